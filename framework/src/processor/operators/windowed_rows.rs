//! What all aggregations in windows share: rows by key and window, results as they change or once they are
//! final, late records.

use super::final_results::FinalResults;
use super::fold::{Fold, Folded};
use super::held_back::forward_held_back_at;
use super::late::Late;
use super::row_errors::{unreadable_key, unwritable_key};
use super::window_keys::WindowKeys;
use crate::error::Error;
use crate::processor::context::TaskContext;
use crate::processor::{Change, Data, Outlet};
use crate::record::{Headers, Record, Timestamp};
use crate::serdes::ArcSerde;
use crate::state::rows::Stamped;
use crate::time::windows::{Window, Windowed};

/// A row's new value and what is known of the record that caused it.
pub(crate) struct RowUpdate<A> {
    /// `None` removes the row.
    pub(crate) value: Option<A>,
    pub(crate) timestamp: Timestamp,
    pub(crate) written_at: Timestamp,
    pub(crate) headers: Headers,
}

/// The rows of an aggregation in windows, and its way out.
pub(crate) struct WindowedRows<K, V, A> {
    pub(crate) name: String,
    pub(crate) keys: WindowKeys,
    pub(crate) key_serde: ArcSerde<K>,
    pub(crate) fold: Fold<K, V, A>,
    pub(crate) late: Late<K, V>,
    /// `None`: results go out as they change.
    pub(crate) finals: Option<FinalResults>,
    pub(crate) next: Outlet<Windowed<K>, Change<A>>,
    /// The highest timestamp that this node has seen.
    pub(crate) stream_time: Timestamp,
    /// The changelog key that is being worked on, the record key first.
    pub(crate) key_bytes: Vec<u8>,
    /// How long the record key is.
    pub(crate) key_length: usize,
}

impl<K: Data, V: Data, A: Data> WindowedRows<K, V, A> {
    /// Takes in a record's key and time.
    #[inline]
    pub(crate) fn observe(&mut self, key: &K, timestamp: Timestamp) -> Result<(), Error> {
        self.stream_time = self.stream_time.max(timestamp);
        self.key_bytes.clear();
        self.key_serde
            .serialize(key, &mut self.key_bytes)
            .map_err(|error| unwritable_key(&self.name, error))?;
        self.key_length = self.key_bytes.len();
        match &mut self.finals {
            Some(finals) => finals.load(&self.fold.rows),
            None => Ok(()),
        }
    }

    /// Completes the changelog key of the observed record key and this window.
    #[inline]
    pub(crate) fn point_at(&mut self, window: Window) {
        self.key_bytes.truncate(self.key_length);
        self.keys.write(window, &mut self.key_bytes);
    }

    /// Folds a record into the window's row.
    #[inline]
    pub(crate) fn update(
        &mut self,
        task: &mut TaskContext,
        window: Window,
        record: Record<K, V>,
    ) -> Result<(), Error> {
        self.point_at(window);
        let Record { key, value, timestamp, headers } = record;
        let looked_at = Record { key: &key, value, timestamp, headers };
        let forwards = self.forwards();
        let folded = self.fold.fold(&self.key_bytes, looked_at, forwards)?;
        self.pass_on(task, Windowed { key, window }, folded)
    }

    /// Sets the window's row to what folding a record into `old` gives, whatever the row was.
    pub(crate) fn update_from(
        &mut self,
        task: &mut TaskContext,
        window: Window,
        record: Record<K, V>,
        old: Option<Stamped<A>>,
    ) -> Result<(), Error> {
        let Record { key, value, timestamp: written_at, headers } = record;
        let (old, timestamp) = match old {
            Some(old) => (Some(old.value), old.timestamp.max(written_at)),
            None => (None, written_at),
        };
        let told = self.fold.send_old.then(|| self.fold.update.told(old.clone())).flatten();
        let value = self.fold.update.apply(&key, value, old);
        let update = RowUpdate { value, timestamp, written_at, headers };
        self.replace(task, Windowed { key, window }, update, told)
    }

    /// Sets or removes the window's row.
    pub(crate) fn set(
        &mut self,
        task: &mut TaskContext,
        key: Windowed<K>,
        update: RowUpdate<A>,
    ) -> Result<(), Error> {
        self.replace(task, key, update, None)
    }

    /// Sets or removes the window's row; those downstream are told that it was `told` before, or what it was.
    fn replace(
        &mut self,
        task: &mut TaskContext,
        key: Windowed<K>,
        update: RowUpdate<A>,
        told: Option<A>,
    ) -> Result<(), Error> {
        self.point_at(key.window);
        let forwards = self.forwards();
        let RowUpdate { value, timestamp, written_at, headers } = update;
        let mut rows = self.fold.rows.borrow_mut();
        let new = value.filter(|new| !rows.is_null(new));
        let id = rows.find(&self.key_bytes)?;
        let old = if self.fold.send_old { rows.take(id).map(|row| row.value) } else { None };
        let forwarded = (forwards && !self.fold.caching).then(|| new.clone());
        let removed = new.is_none();
        if removed {
            rows.put_deletion_headers(id, &headers);
        }
        rows.put(id, new.map(|value| Stamped { value, timestamp }), written_at);
        if self.fold.caching {
            rows.hold_back(id, headers, old);
            return Ok(());
        }
        drop(rows);
        if let Some(finals) = self.finals.as_mut().filter(|_| removed) {
            finals.forget(&self.key_bytes);
            return Ok(());
        }
        // KAFKA: results of sessions carry no headers, unless they come out of the record cache.
        let headers = if self.keys == WindowKeys::Session { Headers::new() } else { headers };
        let folded = forwarded.map(|new| Folded {
            value: Change::latest(new, told.or(old)),
            timestamp,
            headers,
        });
        self.pass_on(task, key, folded)
    }

    fn forwards(&self) -> bool {
        self.finals.is_none() && !self.next.is_empty()
    }

    #[inline]
    fn pass_on(
        &mut self,
        task: &mut TaskContext,
        key: Windowed<K>,
        folded: Option<Folded<A>>,
    ) -> Result<(), Error> {
        if let Some(finals) = &mut self.finals {
            finals.note(&self.key_bytes);
            return Ok(());
        }
        match folded {
            None => Ok(()),
            Some(Folded { value, timestamp, headers }) => {
                let timestamp = self.keys.result_time(key.window, timestamp);
                self.next.forward(task, Record { key, value, timestamp, headers })
            }
        }
    }

    /// Forwards the results of the windows that are closed, those of time `last` and before, with the headers
    /// of the record that closed them.
    pub(crate) fn give_out_closed(
        &mut self,
        task: &mut TaskContext,
        last: Timestamp,
        headers: &Headers,
    ) -> Result<(), Error> {
        let Some(finals) = &mut self.finals else { return Ok(()) };
        let observed = self.fold.rows.borrow().observed();
        while finals.take_closed(last, observed, &mut self.key_bytes) {
            let row = self.fold.rows.borrow_mut().get_even_expired(&self.key_bytes)?.cloned();
            let Some(Stamped { value, timestamp }) = row else { continue };
            let window = self.keys.window(&self.key_bytes);
            let key = self
                .key_serde
                .deserialize(self.keys.record_key(&self.key_bytes))
                .map_err(|error| unreadable_key(&self.name, error))?;
            let timestamp = self.keys.result_time(window, timestamp);
            let result = Record {
                key: Windowed { key, window },
                value: Change::latest(Some(value), None),
                timestamp,
                headers: headers.clone(),
            };
            self.next.forward(task, result)?;
        }
        Ok(())
    }

    /// Forwards what the record cache holds back.
    pub(crate) fn flush(&self, task: &mut TaskContext) -> Result<(), Error> {
        forward_held_back_at(&self.name, &self.fold.rows, &self.next, task, |key, timestamp| {
            let window = self.keys.window(key);
            let key = self.key_serde.deserialize(self.keys.record_key(key))?;
            Ok((Windowed { key, window }, self.keys.result_time(window, timestamp)))
        })
    }
}
