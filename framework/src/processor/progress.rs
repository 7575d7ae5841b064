//! What operators remember from run to run that is in no store: up to which time they have given out final
//! results.
//!
//! It goes with the committed offsets, behind the topology's fingerprint and a line break, so that it always
//! fits what has been processed. In Kafka Streams it is the processor metadata of a commit.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::record::Timestamp;

/// What ends the fingerprint.
const SEPARATOR: char = '\n';

/// The most that goes with an offset: the limit of a broker as it comes.
const MAX_BYTES: usize = 4096;

/// What the operators of a task have to remember, by the names of their stores.
#[derive(Debug, Default)]
pub(crate) struct Progress(BTreeMap<String, Rc<Cell<Timestamp>>>);

impl Progress {
    /// The place of an operator's time; `Timestamp::MIN` until there is one.
    pub(crate) fn of(&mut self, store: &str) -> Rc<Cell<Timestamp>> {
        let place = self.0.entry(store.to_owned());
        Rc::clone(place.or_insert_with(|| Rc::new(Cell::new(Timestamp::MIN))))
    }

    /// What goes with an offset: the fingerprint, and what there is to remember. Where both are too long, it
    /// is the fingerprint alone; results may come twice then.
    pub(crate) fn offset_metadata(&self, fingerprint: &str) -> String {
        let known = self.0.iter().filter(|(_, time)| time.get() > Timestamp::MIN);
        let times: BTreeMap<&str, Timestamp> =
            known.map(|(store, time)| (store.as_str(), time.get())).collect();
        let mut metadata = fingerprint.to_owned();
        if times.is_empty() {
            return metadata;
        }
        let times = serde_json::to_string(&times).unwrap_or_default();
        if metadata.len() + 1 + times.len() <= MAX_BYTES {
            metadata.push(SEPARATOR);
            metadata.push_str(&times);
        }
        metadata
    }

    /// Takes in what was committed with one of the task's offsets; the latest time of each operator counts.
    pub(crate) fn read(&self, offset_metadata: &str) {
        let Some((_, times)) = offset_metadata.split_once(SEPARATOR) else { return };
        let times: BTreeMap<String, Timestamp> = serde_json::from_str(times).unwrap_or_default();
        for (store, time) in times {
            if let Some(place) = self.0.get(&store) {
                place.set(place.get().max(time));
            }
        }
    }
}

/// The fingerprint in what goes with an offset.
pub(crate) fn fingerprint_of(offset_metadata: &str) -> &str {
    offset_metadata.split_once(SEPARATOR).map_or(offset_metadata, |(fingerprint, _)| fingerprint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_again_behind_any_fingerprint() {
        let mut before = Progress::default();
        assert_eq!(before.offset_metadata("{}"), "{}");
        before.of("a").set(5);
        before.of("b").set(-7);
        before.of("new");
        let metadata = before.offset_metadata("{}");
        assert_eq!(fingerprint_of(&metadata), "{}");
        let mut after = Progress::default();
        let [a, b, c] = ["a", "b", "c"].map(|store| after.of(store));
        b.set(9);
        after.read(&metadata);
        assert_eq!((a.get(), b.get(), c.get()), (5, 9, Timestamp::MIN));
    }

    #[test]
    fn too_much_to_remember_leaves_the_fingerprint_alone() {
        let mut progress = Progress::default();
        progress.of(&"x".repeat(MAX_BYTES)).set(1);
        assert_eq!(progress.offset_metadata("{}"), "{}");
    }

    #[test]
    fn foreign_metadata_changes_nothing() {
        let mut progress = Progress::default();
        let place = progress.of("a");
        for text in ["", "AgAAAAAAAAB7", "{}\nnot json", "{}\n[1]"] {
            progress.read(text);
        }
        assert_eq!(place.get(), Timestamp::MIN);
    }
}
