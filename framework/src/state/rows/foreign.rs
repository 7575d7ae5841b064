//! Rows that another task writes: what is in memory of them is a cache, and this side only reads.

use super::Rows;
use crate::error::{Error, ErrorKind};

impl<V> Rows<V> {
    /// Forgets what is in memory if it is out of date, or too much.
    pub(super) fn refresh(&mut self) -> Result<(), Error> {
        let version = self.backing.foreign_version();
        if version == self.foreign && self.bytes <= self.budget.cached_bytes {
            return Ok(());
        }
        self.foreign = version;
        self.slots.clear();
        self.free.clear();
        self.index.clear();
        self.bytes = 0;
        // The writer's clock is known as far as its rows tell.
        let layout = &mut self.layout;
        self.backing.scan(&[], None, true, &mut |row_key, _| {
            layout.opened(row_key);
            false
        })?;
        Ok(())
    }

    /// Refuses to write what another task writes.
    pub(crate) fn check_writable(&self) -> Result<(), Error> {
        if self.foreign.is_none() {
            return Ok(());
        }
        let message = "a global store is written by its own processor only";
        Err(Error::new(ErrorKind::BadRecord, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serdes::DefaultSerde;
    use crate::state::MemoryRows;
    use crate::state::key_layout::{KeyLayout, window_record_key, write_window_suffix};
    use crate::state::rows::{ManagedStore, RowBudget, RowHeaders, RowsOptions, Stamped};
    use crate::state::shared_rows::SharedRows;

    fn rows(backing: SharedRows, layout: KeyLayout) -> Rows<i64> {
        let options = RowsOptions {
            layout,
            budget: RowBudget { cached_bytes: 1 << 20 },
            headers: RowHeaders::default(),
            log_every_update: false,
        };
        Rows::new(Box::new(backing), i64::default_serde(), options).unwrap()
    }

    fn commit(rows: &mut Rows<i64>) {
        rows.prepare_commit(&mut |_| Ok(())).unwrap();
        rows.finish_commit(None, 0).unwrap();
    }

    fn get(rows: &mut Rows<i64>, key: &[u8]) -> Option<i64> {
        rows.get(key).unwrap().map(|row| row.value)
    }

    #[test]
    fn a_reader_sees_what_is_committed_as_soon_as_it_is() {
        let shared = SharedRows::new(Box::new(MemoryRows::new()));
        let mut reader = rows(shared.reader(), KeyLayout::Plain);
        let mut writer = rows(shared, KeyLayout::Plain);
        assert_eq!(get(&mut reader, b"a"), None);
        for value in [1, 2] {
            let before = get(&mut reader, b"a");
            writer.set(b"a", Some(Stamped { value, timestamp: 0 }), 0).unwrap();
            assert_eq!(get(&mut reader, b"a"), before);
            commit(&mut writer);
            assert_eq!(get(&mut reader, b"a"), Some(value));
        }
        writer.set(b"a", None, 0).unwrap();
        commit(&mut writer);
        assert_eq!(get(&mut reader, b"a"), None);
        assert!(reader.set(b"a", None, 0).is_err());
    }

    #[test]
    fn a_reader_of_windows_finds_those_that_came_after_it_was_opened() {
        let shared = SharedRows::new(Box::new(MemoryRows::new()));
        let layout = || KeyLayout::windowed(200_000);
        let mut reader = rows(shared.reader(), layout());
        let mut writer = rows(shared, layout());
        for start in [0, 150_000, 1_000_000] {
            let mut key = b"a".to_vec();
            write_window_suffix(start, &mut key);
            writer.set(&key, Some(Stamped { value: start, timestamp: start }), start).unwrap();
            commit(&mut writer);
            let mut found = Vec::new();
            let show = &mut |key: &[u8], row: &Stamped<i64>| {
                assert_eq!(window_record_key(key), b"a");
                found.push(row.value);
                true
            };
            reader.scan_times(0..=i64::MAX, &[], None, true, show).unwrap();
            assert_eq!(found.first(), Some(&start));
            assert_eq!(get(&mut reader, &key), Some(start));
        }
    }
}
