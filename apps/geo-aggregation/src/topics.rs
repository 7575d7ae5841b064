//! The topics between the stages, and how they are created.

use std::collections::BTreeMap;

use kstream::TopicPartition;
use kstream::broker::{Admin, BrokerError, BrokerErrorKind, NewTopic};

/// Log lines as they were written; the key is the line's [id](crate::model::LineId).
pub const RAW_PAGE_VIEWS: &str = "raw-page-views";

/// Lines that are no visit, as they were, with the reason in the header
/// `__streams.errors.message`.
pub const REJECTED: &str = "raw-page-views-rejected";

/// Visits as JSON, by country.
pub const PAGE_VIEWS: &str = "page-views";

/// Visits counted by country: the newest total per country stays.
pub const COUNTRY_VISITS: &str = "country-visits";

/// Visits counted by country and five-second window of arrival.
pub const VISIT_WINDOWS: &str = "country-visits-by-window";

/// Rejected lines counted by the importer's run and partition: the newest total of each stays.
pub const REJECTED_LINES: &str = "rejected-lines";

/// Topics that stages read and write, beside those the framework makes.
pub const ALL: [&str; 6] =
    [RAW_PAGE_VIEWS, REJECTED, PAGE_VIEWS, COUNTRY_VISITS, VISIT_WINDOWS, REJECTED_LINES];

/// Topics that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TopicsError {
    /// The broker is away or refuses.
    #[error("cannot prepare the topics")]
    Broker(#[from] BrokerError),
    /// Rejected lines are counted in order, which several partitions do not keep.
    #[error(
        "the topic {REJECTED} has {0} partitions, but must have 1: delete it, and it is made anew"
    )]
    RejectedPartitions(i32),
}

/// Creates those topics that do not exist.
///
/// # Errors
/// The broker is away or refuses, or an existing topic does not fit.
pub fn ensure(admin: &dyn Admin, partitions: i32) -> Result<(), TopicsError> {
    let counts = admin.partition_counts(&ALL)?;
    let missing: Vec<NewTopic> = ALL
        .iter()
        .zip(&counts)
        .filter(|(_, count)| count.is_none())
        .map(|(name, _)| new_topic(name, partitions))
        .collect();
    if !missing.is_empty() {
        for created in admin.create_topics(&missing)? {
            match created {
                Err(error) if error.kind() != BrokerErrorKind::TopicExists => {
                    return Err(error.into());
                }
                // Another instance may have been faster.
                _ => {}
            }
        }
    }
    match admin.partition_counts(&[REJECTED])?.first() {
        Some(&Some(count)) if count != 1 => Err(TopicsError::RejectedPartitions(count)),
        _ => Ok(()),
    }
}

/// All partitions of a topic.
///
/// # Errors
/// The broker is away, or there is no such topic.
pub fn partitions_of(admin: &dyn Admin, topic: &str) -> Result<Vec<TopicPartition>, BrokerError> {
    let count = admin.partition_counts(&[topic])?.first().copied().flatten().ok_or_else(|| {
        let message = format!("the topic {topic} does not exist");
        BrokerError::new(BrokerErrorKind::UnknownTopicOrPartition, message)
    })?;
    Ok((0..count).map(|partition| TopicPartition::new(topic, partition)).collect())
}

fn new_topic(name: &str, partitions: i32) -> NewTopic {
    let partitions = match name {
        // Rejected lines are few, and one partition keeps their order.
        REJECTED | REJECTED_LINES => 1,
        _ => partitions,
    };
    let configs: &[(&str, &str)] = match name {
        // Records carry the time of the log line. A log of last year must not fall to retention
        // before it is counted, nor one from a clock that is ahead be refused.
        PAGE_VIEWS => &[("retention.ms", "-1"), ("message.timestamp.after.max.ms", MAX_MS)],
        COUNTRY_VISITS | REJECTED_LINES => &COMPACTED,
        VISIT_WINDOWS => &[("retention.ms", "3600000")],
        _ => &[],
    };
    let configs: BTreeMap<String, String> =
        configs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    NewTopic { name: name.to_owned(), partitions, replication_factor: -1, configs }
}

const MAX_MS: &str = "9223372036854775807";

/// Readers begin at the beginning, so the log is kept short: small segments, compacted early.
const COMPACTED: [(&str, &str); 4] = [
    ("cleanup.policy", "compact"),
    ("segment.ms", "600000"),
    ("segment.bytes", "16777216"),
    ("min.cleanable.dirty.ratio", "0.1"),
];
