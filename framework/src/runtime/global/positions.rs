//! How far the topics of global stores have been read, on disk beside the rows.

use std::collections::BTreeMap;

use crate::ids::TopicPartition;
use crate::state::{RowStore, StateError};

/// The next offset of each partition; those of stores on disk survive a restart.
#[derive(Debug, Default)]
pub(crate) struct Positions {
    next: BTreeMap<TopicPartition, i64>,
    saved: Option<Box<dyn RowStore>>,
    /// The topics of stores on disk.
    persistent: Vec<String>,
}

impl Positions {
    /// What was saved for these topics.
    pub(crate) fn open(
        saved: Box<dyn RowStore>,
        persistent: Vec<String>,
    ) -> Result<Self, StateError> {
        let mut next = BTreeMap::new();
        saved.scan(&[], None, false, &mut |key, value| {
            next.extend(
                read(key, value).filter(|(at, _)| persistent.contains(&at.topic.to_string())),
            );
            true
        })?;
        Ok(Self { next, saved: Some(saved), persistent })
    }

    /// The next offset of a partition, if any of it has been read.
    pub(crate) fn of(&self, partition: &TopicPartition) -> Option<i64> {
        self.next.get(partition).copied()
    }

    /// A partition has been read up to here.
    pub(crate) fn set(&mut self, partition: &TopicPartition, next: i64) {
        if let Some(place) = self.next.get_mut(partition) {
            *place = next;
        } else {
            self.next.insert(partition.clone(), next);
        }
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&TopicPartition, i64)> {
        self.next.iter().map(|(partition, next)| (partition, *next))
    }

    /// Writes them to disk.
    pub(crate) fn save(&mut self) -> Result<(), StateError> {
        let Some(saved) = &mut self.saved else { return Ok(()) };
        let mut batch = saved.batch();
        let mut key = Vec::new();
        for (partition, next) in &self.next {
            if self.persistent.iter().any(|topic| **topic == *partition.topic) {
                key.clear();
                key.extend_from_slice(&partition.partition.to_be_bytes());
                key.extend_from_slice(partition.topic.as_bytes());
                batch.put(&key, &next.to_be_bytes());
            }
        }
        batch.commit(None)?;
        saved.flush()
    }
}

/// A row: partition and topic, next offset. One that is none of ours is as good as none.
fn read(key: &[u8], value: &[u8]) -> Option<(TopicPartition, i64)> {
    let (partition, topic) = key.split_first_chunk()?;
    let topic = std::str::from_utf8(topic).ok()?;
    let next = i64::from_be_bytes(value.try_into().ok()?);
    Some((TopicPartition::new(topic, i32::from_be_bytes(*partition)), next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::MemoryRows;
    use crate::state::shared_rows::SharedRows;

    #[test]
    fn positions_of_stores_on_disk_are_found_again() {
        let disk = SharedRows::new(Box::new(MemoryRows::new()));
        let topics = vec!["kept".to_owned()];
        let mut positions =
            Positions::open(Box::new(disk.writer()), topics.clone()).expect("memory does not fail");
        let (kept, other) = (TopicPartition::new("kept", 2), TopicPartition::new("other", 0));
        positions.set(&kept, 7);
        positions.set(&kept, 8);
        positions.set(&other, 9);
        assert_eq!((positions.of(&kept), positions.of(&other)), (Some(8), Some(9)));
        positions.save().expect("memory does not fail");

        let again = Positions::open(Box::new(disk.writer()), topics).expect("memory does not fail");
        assert_eq!(again.iter().collect::<Vec<_>>(), [(&kept, 8)]);
    }
}
