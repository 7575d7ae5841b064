//! Identities that travel through every floor: topic partitions, tasks, names.

use std::fmt;
use std::sync::Arc;

/// A partition of a topic. Cloning is a reference count.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// Names partition `partition` of `topic`.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// The unit of work and of state: one sub-topology on one partition. Prints as Kafka Streams prints
/// it, `0_3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId {
    /// The sub-topology's number in the topology's description.
    pub subtopology: u32,
    /// The partition of the sub-topology's source topics.
    pub partition: i32,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.subtopology, self.partition)
    }
}

/// What tells a topic from another that had its name before it: 16 bytes that the broker chooses when it
/// creates the topic. Prints as Kafka prints it, 22 letters of URL-safe Base64.
///
/// # Source
/// `org.apache.kafka.common.Uuid`; KIP-516.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicId(u128);

/// The alphabet of URL-safe Base64.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// How many letters an id has; the last one has four bits that mean nothing.
const TOPIC_ID_LETTERS: usize = 22;

impl TopicId {
    /// The id of these bytes; `None` for zeros, by which Kafka says that there is no id.
    pub fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        let number = u128::from_be_bytes(bytes);
        (number != 0).then_some(Self(number))
    }

    /// The id's bytes.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// Reads an id as it prints; `None` for any other text, and for zeros.
    pub fn parse(text: &str) -> Option<Self> {
        let letters = text.strip_suffix("==").unwrap_or(text).as_bytes();
        if letters.len() != TOPIC_ID_LETTERS {
            return None;
        }
        let mut number = 0_u128;
        for (index, letter) in letters.iter().enumerate() {
            let bits = LETTERS.iter().position(|other| other == letter)? as u128;
            let is_last = index == TOPIC_ID_LETTERS - 1;
            number = if is_last { number << 2 | bits >> 4 } else { number << 6 | bits };
        }
        (number != 0).then_some(Self(number))
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = |bits: u128| {
            let index = usize::try_from(bits & 63).unwrap_or_default();
            char::from(LETTERS.get(index).copied().unwrap_or(b'A'))
        };
        let mut shift = 128;
        while shift > 6 {
            shift -= 6;
            write!(f, "{}", letter(self.0 >> shift))?;
        }
        write!(f, "{}", letter(self.0 << (6 - shift)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_id_prints_as_kafka_prints_it() {
        // By Java: new Uuid(0x0123456789abcdefL, 0x7edcba9876543210L) and Uuid.ONE_UUID, METADATA_TOPIC_ID.
        let bytes = 0x0123_4567_89ab_cdef_7edc_ba98_7654_3210_u128.to_be_bytes();
        let id = TopicId::from_bytes(bytes).unwrap();
        assert_eq!(id.to_string(), "ASNFZ4mrze9-3LqYdlQyEA");
        assert_eq!(TopicId::parse("ASNFZ4mrze9-3LqYdlQyEA"), Some(id));
        assert_eq!(TopicId::parse("AAAAAAAAAAAAAAAAAAAAAQ").unwrap().to_bytes()[15], 1);
        assert_eq!(TopicId::parse("_____________________w").unwrap().to_bytes(), [0xff; 16]);
        assert_eq!(TopicId::from_bytes([0xff; 16]).unwrap().to_string(), "_____________________w");
    }

    #[test]
    fn what_is_no_topic_id_is_none() {
        assert_eq!(TopicId::from_bytes([0; 16]), None);
        for text in
            ["", "AAAAAAAAAAAAAAAAAAAAAA", "ASNFZ4mrze9-3LqYdlQyE", "ASNFZ4mrze9+3LqYdlQyEA"]
        {
            assert_eq!(TopicId::parse(text), None, "{text:?}");
        }
    }
}
