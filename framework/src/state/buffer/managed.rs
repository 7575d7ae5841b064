//! A buffer as its task sees it: its changes go to the changelog at a commit, and come back from there.

use std::rc::Rc;

use super::value::Reader;
use super::{BufferKind, Buffered, Place, TimeOrderedBuffer, Unlogged, read_grace_key};
use crate::broker::{RawRecord, RecordBatch};
use crate::error::{Error, ErrorKind};
use crate::record::{Headers, Timestamp};
use crate::state::StorePosition;
use crate::state::rows::{ChangelogRecord, EmitChange, ManagedStore};

/// The header of a suppression buffer's changelog records: the version of their layout.
const VERSION: &str = "v";
/// The version that is written.
const CURRENT: &[u8] = &[3];
/// Kafka Streams 2.4 and 2.5 write the same layout under this version.
const MISLABELED: &[u8] = &[2];

impl ManagedStore for TimeOrderedBuffer {
    fn prepare_commit(&mut self, emit: &mut EmitChange<'_>) -> Result<(), Error> {
        let no_headers = Headers::new();
        match &mut self.unlogged {
            Unlogged::Nothing => Ok(()),
            Unlogged::Writes(writes) => writes
                .iter()
                .try_for_each(|(key, value)| emit(change(key, value.as_deref(), &no_headers))),
            Unlogged::Keys { order, keys, .. } => {
                order.sort(keys);
                let mut version = Headers::new();
                version.add(VERSION, Some(CURRENT));
                for key in keys {
                    let place =
                        self.times.get(key).map(|time| Place { time: *time, key: Rc::clone(key) });
                    let row = place.and_then(|place| Some((place.time, self.rows.get(&place)?)));
                    let Some((time, row)) = row else {
                        emit(change(key, None, &no_headers))?;
                        continue;
                    };
                    self.scratch.clear();
                    row.write(&mut self.scratch);
                    self.scratch.extend_from_slice(&time.to_be_bytes());
                    emit(change(key, Some(&self.scratch), &version))?;
                }
                Ok(())
            }
        }
    }

    fn gave_out(&self) -> bool {
        self.gave_out && !matches!(self.unlogged, Unlogged::Nothing)
    }

    fn finish_commit(
        &mut self,
        position: Option<StorePosition>,
        _now_ms: Timestamp,
    ) -> Result<(), Error> {
        match &mut self.unlogged {
            Unlogged::Nothing => {}
            Unlogged::Keys { keys, set, .. } => {
                keys.clear();
                set.clear();
            }
            Unlogged::Writes(writes) => writes.clear(),
        }
        self.unlogged_bytes = 0;
        self.gave_out = false;
        self.position = position.or(self.position);
        Ok(())
    }

    fn restore(&mut self, records: &dyn RecordBatch, position: StorePosition) -> Result<(), Error> {
        for index in 0..records.len() {
            let record = records.record(index);
            let Some(key) = record.key else { continue };
            let Some(value) = record.value else {
                if let Some(place) = self.place_of(key)
                    && let Some(row) = self.rows.remove(&place)
                {
                    self.forget(key, &row);
                }
                continue;
            };
            let Some((time, row)) = self.read(key, value, &record) else {
                return Err(unreadable(&record));
            };
            self.restore_row(time, key, row);
        }
        self.position = Some(position);
        Ok(())
    }

    fn position(&self) -> Result<Option<StorePosition>, Error> {
        Ok(self.position)
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn uncommitted_bytes(&self) -> usize {
        self.unlogged_bytes
    }

    fn approximate_rows(&self) -> u64 {
        self.rows.len() as u64
    }

    fn approximate_bytes(&self) -> u64 {
        self.bytes as u64
    }
}

/// A change of a row, without a timestamp: that is part of the value.
fn change<'a>(key: &'a [u8], value: Option<&'a [u8]>, headers: &'a Headers) -> ChangelogRecord<'a> {
    ChangelogRecord { key, value, timestamp: None, headers }
}

impl TimeOrderedBuffer {
    /// Time and row of a changelog record; `None` if its layout is not known.
    fn read(
        &mut self,
        key: &[u8],
        value: &[u8],
        record: &RawRecord<'_>,
    ) -> Option<(Timestamp, Buffered)> {
        let mut reader = Reader(value);
        let row = Buffered::read(&mut reader)?;
        let written = reader.i64()?;
        match self.kind {
            BufferKind::Suppression => {
                let version = record.headers.last(VERSION)??;
                (version == CURRENT || version == MISLABELED).then_some((written, row))
            }
            BufferKind::Grace => {
                let (time, _, sequence) = read_grace_key(key)?;
                self.sequence = self.sequence.max(sequence);
                Some((time, row))
            }
        }
    }

    /// Sets a row as the changelog has it. Its place is the one it was written with: it may have gone
    /// downstream and come back since the changelog saw it last.
    fn restore_row(&mut self, time: Timestamp, key: &[u8], mut row: Buffered) {
        if let Some(place) = self.place_of(key)
            && let Some(before) = self.rows.remove(&place)
        {
            self.forget(key, &before);
        }
        // Most rows are of one topic, or of a few.
        if let Some((_, other)) = self.rows.first_key_value()
            && other.origin.topic == row.origin.topic
        {
            row.origin.topic = std::sync::Arc::clone(&other.origin.topic);
        }
        let key: Rc<[u8]> = key.into();
        self.bytes += super::counted_bytes(&key, &row);
        self.times.insert(Rc::clone(&key), time);
        self.rows.insert(Place { time, key }, row);
    }
}

#[cold]
fn unreadable(record: &RawRecord<'_>) -> Error {
    let message = format!(
        "the buffer's changelog record at offset {} is of an unknown layout; Kafka Streams before 2.4 wrote others",
        record.offset
    );
    Error::new(ErrorKind::Fatal, message)
}
