//! How far the topics of global stores have been read, on disk beside the rows.

use std::collections::BTreeMap;

use crate::ids::{TopicId, TopicPartition};
use crate::record::Timestamp;
use crate::state::{RowStore, StateError, StorePosition};

/// The next offset of each partition; those of stores on disk survive a restart.
#[derive(Debug, Default)]
pub(crate) struct Positions {
    next: BTreeMap<TopicPartition, StorePosition>,
    saved: Option<Box<dyn RowStore>>,
    /// The topics of stores on disk.
    persistent: Vec<String>,
    /// The ids of the topics, as far as they are known.
    ids: BTreeMap<String, TopicId>,
    /// When reading began.
    begun_ms: Timestamp,
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
        Ok(Self { next, saved: Some(saved), persistent, ..Self::default() })
    }

    /// Reading begins, of the topics with these ids.
    pub(crate) fn begin(
        &mut self,
        ids: impl Iterator<Item = (String, TopicId)>,
        now_ms: Timestamp,
    ) {
        self.ids = ids.collect();
        self.begun_ms = now_ms;
    }

    /// The next offset of a partition, if any of it has been read.
    pub(crate) fn of(&self, partition: &TopicPartition) -> Option<i64> {
        self.next.get(partition).map(|position| position.next_offset)
    }

    /// A partition has been read up to here.
    pub(crate) fn set(&mut self, partition: &TopicPartition, next_offset: i64) {
        if let Some(place) = self.next.get_mut(partition) {
            place.next_offset = next_offset;
        } else {
            let position =
                StorePosition { next_offset, written_at_ms: self.begun_ms, topic_id: None };
            self.next.insert(partition.clone(), position);
        }
    }

    /// All that a partition has had until now has been read.
    pub(crate) fn up_to_date(&mut self, partition: &TopicPartition, now_ms: Timestamp) {
        if let Some(place) = self.next.get_mut(partition) {
            place.written_at_ms = now_ms;
        }
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&TopicPartition, StorePosition)> {
        self.next.iter().map(|(partition, next)| (partition, *next))
    }

    /// Writes them to disk.
    pub(crate) fn save(&mut self) -> Result<(), StateError> {
        let Some(saved) = &mut self.saved else { return Ok(()) };
        let mut batch = saved.batch();
        let mut key = Vec::new();
        for (partition, position) in &self.next {
            if self.persistent.iter().any(|topic| **topic == *partition.topic) {
                key.clear();
                key.extend_from_slice(&partition.partition.to_be_bytes());
                key.extend_from_slice(partition.topic.as_bytes());
                let topic_id = self.ids.get(&*partition.topic).copied();
                batch.put(&key, &write(StorePosition { topic_id, ..*position }));
            }
        }
        batch.commit(None)?;
        saved.flush()
    }
}

/// A row's value: next offset, time, the topic's id or zeros.
fn write(position: StorePosition) -> [u8; 32] {
    let mut value = [0; 32];
    let (offset, rest) = value.split_at_mut(8);
    let (time, topic_id) = rest.split_at_mut(8);
    offset.copy_from_slice(&position.next_offset.to_be_bytes());
    time.copy_from_slice(&position.written_at_ms.to_be_bytes());
    topic_id.copy_from_slice(&position.topic_id.map_or([0; 16], TopicId::to_bytes));
    value
}

/// A row: partition and topic, position. One that is none of ours is as good as none.
fn read(key: &[u8], value: &[u8]) -> Option<(TopicPartition, StorePosition)> {
    let (partition, topic) = key.split_first_chunk()?;
    let topic = std::str::from_utf8(topic).ok()?;
    let (offset, rest) = value.split_first_chunk()?;
    // Builds before this one wrote the offset alone: such a row is never too old.
    let (written_at_ms, topic_id) = match rest.split_first_chunk() {
        Some((time, id)) => (i64::from_be_bytes(*time), TopicId::from_bytes(id.try_into().ok()?)),
        None if rest.is_empty() => (Timestamp::MAX, None),
        None => return None,
    };
    let next_offset = i64::from_be_bytes(*offset);
    let position = StorePosition { next_offset, written_at_ms, topic_id };
    Some((TopicPartition::new(topic, i32::from_be_bytes(*partition)), position))
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
        let id = TopicId::from_bytes([7; 16]).expect("not zeros");
        positions.begin([("kept".to_owned(), id)].into_iter(), 100);
        let kept = [2, 3].map(|partition| TopicPartition::new("kept", partition));
        let other = TopicPartition::new("other", 0);
        positions.set(&kept[0], 7);
        positions.set(&kept[0], 8);
        positions.set(&kept[1], 5);
        positions.set(&other, 9);
        positions.up_to_date(&kept[1], 300);
        assert_eq!((positions.of(&kept[0]), positions.of(&other)), (Some(8), Some(9)));
        positions.save().expect("memory does not fail");

        let again = Positions::open(Box::new(disk.writer()), topics).expect("memory does not fail");
        let position = |next_offset, written_at_ms| StorePosition {
            next_offset,
            written_at_ms,
            topic_id: Some(id),
        };
        let expected = [(&kept[0], position(8, 100)), (&kept[1], position(5, 300))];
        assert_eq!(again.iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn offsets_without_time_and_topic_are_read() {
        let key = [&[0, 0, 0, 2][..], b"kept"].concat();
        let (partition, position) = read(&key, &8_i64.to_be_bytes()).expect("a position");
        assert_eq!(partition, TopicPartition::new("kept", 2));
        let expected =
            StorePosition { next_offset: 8, written_at_ms: Timestamp::MAX, topic_id: None };
        assert_eq!(position, expected);
        for length in [0, 7, 9, 16, 31, 33] {
            assert_eq!(read(&key, &vec![1; length]), None, "{length} bytes");
        }
    }
}
