//! A count that counts each log line once, however often the line is processed.
//!
//! Under at-least-once a stage that dies repeats what it had not committed, and its repetitions
//! arrive behind the originals. Lines of one source keep their order on every way from the importer
//! to a count, so one number per source tells a repetition from a new line: the highest counted.
//!
//! This does not cover a preprocessing instance that loses its partitions without noticing, and
//! still writes after its successor has begun; only transactions shut that out.

use std::sync::Arc;

use kstream::serdes::{ArcSerde, DefaultSerde, Serde, SerdeError};

use crate::model::{LineId, LineKey};

/// Sources remembered per count: 32 runs of an importer with four partitions. Beyond that the oldest
/// run is forgotten; its lines are committed long since.
const MAX_SOURCES: usize = 128;

/// How many lines were counted, and the last one of each source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    count: u64,
    last_counted: Vec<LineId>,
}

impl Tally {
    /// How many.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The tally with this line in it. A line without an id, from a foreign producer, always counts.
    #[must_use]
    pub fn with(mut self, line: LineKey) -> Self {
        if line.0.is_none_or(|line| self.is_new(line)) {
            self.count += 1;
        }
        self
    }

    /// Whether the line is behind the last counted one of its source; remembers it if so.
    fn is_new(&mut self, line: LineId) -> bool {
        if let Some(last) = self.last_counted.iter_mut().find(|last| last.source == line.source) {
            let is_new = line.number > last.number;
            if is_new {
                last.number = line.number;
            }
            return is_new;
        }
        if self.last_counted.len() == MAX_SOURCES {
            self.forget_oldest();
        }
        self.last_counted.push(line);
        true
    }

    fn forget_oldest(&mut self) {
        let oldest = self.last_counted.iter().enumerate().min_by_key(|(_, last)| last.source);
        if let Some(index) = oldest.map(|(index, _)| index) {
            self.last_counted.swap_remove(index);
        }
    }
}

/// The count, then the last line of each source; all numbers big-endian.
struct TallySerde;

impl Serde<Tally> for TallySerde {
    fn serialize(&self, value: &Tally, bytes: &mut Vec<u8>) -> Result<(), SerdeError> {
        bytes.extend_from_slice(&value.count.to_be_bytes());
        for last in &value.last_counted {
            bytes.extend_from_slice(&last.to_bytes());
        }
        Ok(())
    }

    fn deserialize(&self, bytes: &[u8]) -> Result<Tally, SerdeError> {
        let (count, rest) = bytes.split_first_chunk().ok_or("a tally has at least 8 bytes")?;
        let last_counted = rest
            .chunks(LineId::BYTES)
            .map(|line| LineId::from_bytes(line).ok_or("a tally ends within a line id"))
            .collect::<Result<_, _>>()?;
        Ok(Tally { count: u64::from_be_bytes(*count), last_counted })
    }

    fn memory_bytes(&self, value: &Tally) -> usize {
        size_of::<Tally>() + value.last_counted.len() * size_of::<LineId>()
    }
}

impl DefaultSerde for Tally {
    fn default_serde() -> ArcSerde<Self> {
        Arc::new(TallySerde)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::LineSource;

    fn line(run: u64, partition: u32, number: u64) -> LineKey {
        LineKey(Some(LineId { source: LineSource { run, partition }, number }))
    }

    fn count(lines: impl IntoIterator<Item = LineKey>) -> u64 {
        lines.into_iter().fold(Tally::default(), Tally::with).count()
    }

    #[test]
    fn repeated_lines_count_once() {
        let first: Vec<_> = [0, 1, 5, 6].map(|number| line(1, 0, number)).into();
        let repeated = [&first[..], &first[1..], &[line(1, 0, 9)]].concat();
        assert_eq!(count(repeated), 5);
    }

    #[test]
    fn sources_do_not_hide_each_other() {
        assert_eq!(count([line(1, 0, 7), line(1, 1, 3), line(2, 0, 0), line(1, 0, 7)]), 3);
    }

    #[test]
    fn lines_without_an_id_always_count() {
        assert_eq!(count([LineKey(None), LineKey(None)]), 2);
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_run_is_forgotten_first() {
        let runs = u64::try_from(MAX_SOURCES).unwrap();
        let full = (0..=runs).map(|run| line(run, 0, 4)).fold(Tally::default(), Tally::with);
        assert_eq!(full.last_counted.len(), MAX_SOURCES);
        assert_eq!(full.clone().with(line(1, 0, 4)).count(), full.count());
        assert_eq!(full.clone().with(line(0, 0, 4)).count(), full.count() + 1);
    }

    proptest! {
        /// However a source is cut into attempts, each beginning at or before where the last one
        /// ended, the count is that of the distinct lines.
        #[test]
        fn any_replay_counts_distinct_lines(steps in proptest::collection::vec((0_u64..20, 0_u64..20), 1..20)) {
            let (mut end, mut tally) = (0, Tally::default());
            for (back, forward) in steps {
                let begin = end - back.min(end);
                let stop = begin + forward;
                for number in begin..stop {
                    tally = tally.with(line(3, 2, number));
                }
                end = end.max(stop);
            }
            prop_assert_eq!(tally.count(), end);
        }

        #[test]
        fn serde_round_trips(count in any::<u64>(), lines in proptest::collection::vec((any::<u64>(), any::<u32>(), any::<u64>()), 0..5)) {
            let last_counted = lines.into_iter().filter_map(|(run, partition, number)| line(run, partition, number).0).collect();
            let tally = Tally { count, last_counted };
            let (serde, mut bytes) = (Tally::default_serde(), Vec::new());
            serde.serialize(&tally, &mut bytes).unwrap();
            prop_assert_eq!(serde.deserialize(&bytes).unwrap(), tally);
            bytes.push(0);
            prop_assert!(serde.deserialize(&bytes).is_err());
        }
    }
}
