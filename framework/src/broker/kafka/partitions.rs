//! Lists of partitions as librdkafka takes and returns them.
#![expect(unsafe_code, reason = "the lists belong to a C library")]

use std::slice;
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::error::KafkaError;
use rdkafka::types::{RDKafkaRespErr, RDKafkaTopicPartition, RDKafkaTopicPartitionList};
use rdkafka::{Offset, TopicPartitionList};

use super::client::{Client, Role, millis, text};
use super::errors;
use crate::broker::{BrokerError, BrokerErrorKind, CommittedOffset};
use crate::ids::TopicPartition;

/// A list without offsets.
pub(super) fn list_of<'a>(
    partitions: impl IntoIterator<Item = &'a TopicPartition>,
) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(&partition.topic, partition.partition);
    }
    list
}

/// A list with offsets.
pub(super) fn list_at<'a>(
    offsets: impl Iterator<Item = (&'a TopicPartition, i64)>,
) -> Result<TopicPartitionList, BrokerError> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in offsets {
        let wrong = |error: KafkaError| {
            let message = format!("{offset} is no offset of {partition}");
            BrokerError::new(BrokerErrorKind::Invalid, message).with_source(error)
        };
        let mut element = list.add_partition(&partition.topic, partition.partition);
        element.set_offset(Offset::Offset(offset)).map_err(wrong)?;
    }
    Ok(list)
}

/// A list of offsets to commit.
pub(super) fn offsets_of(
    offsets: &[(TopicPartition, CommittedOffset)],
) -> Result<TopicPartitionList, BrokerError> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for (partition, committed) in offsets {
        let wrong = |error: KafkaError| {
            let message = format!("cannot commit offset {} of {partition}", committed.offset);
            BrokerError::new(BrokerErrorKind::Invalid, message).with_source(error)
        };
        let mut element = list.add_partition(&partition.topic, partition.partition);
        element.set_offset(Offset::Offset(committed.offset)).map_err(wrong)?;
        element.set_metadata(&committed.metadata);
    }
    Ok(list)
}

/// The offsets that the client's group has committed, in the order asked. Waits for open transactions
/// if the client reads committed records only.
pub(super) fn committed<R: Role>(
    client: &Client<R>,
    group: &str,
    partitions: &[TopicPartition],
    timeout: Duration,
) -> Result<Vec<Option<CommittedOffset>>, BrokerError> {
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let list = list_of(partitions);
    let what = format!("group {group}: cannot read committed offsets");
    // SAFETY: client and list are live; the call fills the list in.
    unsafe {
        let error = sys::rd_kafka_committed(client.handle(), list.ptr(), millis(timeout));
        errors::check(error, &what, "")?;
        elements(list.ptr())
            .map(|element| element.check(&what).map(|()| element.committed()))
            .collect()
    }
}

/// One element of a list that librdkafka returned.
pub(super) struct Element<'a>(&'a RDKafkaTopicPartition);

impl Element<'_> {
    /// # Safety
    /// `element` must be live for `'a`.
    pub(super) unsafe fn new(element: *const RDKafkaTopicPartition) -> Self {
        // SAFETY: the caller vouches for it.
        Self(unsafe { &*element })
    }

    pub(super) fn partition(&self) -> TopicPartition {
        TopicPartition::new(text(self.0.topic), self.0.partition)
    }

    pub(super) fn offset(&self) -> i64 {
        self.0.offset
    }

    pub(super) fn error(&self) -> RDKafkaRespErr {
        self.0.err
    }

    /// Fails with this partition's own error.
    pub(super) fn check(&self, what: &str) -> Result<(), BrokerError> {
        errors::check(self.0.err, format_args!("{what} of {}", self.partition()), "")
    }

    /// The offset a group committed, if any.
    pub(super) fn committed(&self) -> Option<CommittedOffset> {
        let bytes: &[u8] = if self.0.metadata.is_null() {
            &[]
        } else {
            // SAFETY: pointer and length come from the same element, which outlives this call.
            unsafe { slice::from_raw_parts(self.0.metadata.cast(), self.0.metadata_size) }
        };
        let metadata = String::from_utf8_lossy(bytes).into_owned();
        (self.0.offset >= 0).then_some(CommittedOffset { offset: self.0.offset, metadata })
    }
}

/// The elements of a list.
///
/// # Safety
/// `list` must be null or live for `'a`.
pub(super) unsafe fn elements<'a>(
    list: *const RDKafkaTopicPartitionList,
) -> impl Iterator<Item = Element<'a>> {
    let elements: &[RDKafkaTopicPartition] = if list.is_null() {
        &[]
    } else {
        // SAFETY: the list is live, and `elems` has `cnt` elements.
        unsafe {
            let list: &sys::rd_kafka_topic_partition_list_t = &*list;
            let count = usize::try_from(list.cnt).unwrap_or(0);
            if count == 0 { &[] } else { slice::from_raw_parts(list.elems, count) }
        }
    };
    elements.iter().map(Element)
}
