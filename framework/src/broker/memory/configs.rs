//! Topic configs by Kafka's names, with the defaults and the checks of Kafka 4.3.
//!
//! Acted on are `cleanup.policy`, `retention.ms`, `retention.bytes`, `delete.retention.ms`,
//! `min.compaction.lag.ms`, `max.message.bytes` and `message.timestamp.type`. The others speak of
//! disks, replicas and background work that a log in memory does not have: they are checked, kept and
//! read back.

use std::collections::BTreeMap;

use crate::broker::{BrokerError, BrokerErrorKind};
use crate::record::Timestamp;

/// What a config's value may be.
#[derive(Debug, Clone, Copy)]
enum Check {
    /// A whole number in this range.
    Number(i64, i64),
    /// A number from 0 to 1.
    Ratio,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Some of these words, separated by commas.
    Words(&'static [&'static str]),
    /// `*`, or whatever a broker with replicas would understand.
    Text,
}

use Check::{Number, Ratio, Text, Word, Words};

const BOOL: Check = Word(&["false", "true"]);
const INT_MAX: i64 = i32::MAX as i64;
const LONG_MAX: i64 = i64::MAX;
const COMPRESSIONS: Check = Word(&["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"]);

/// Every topic config: name, default, check.
const CONFIGS: &[(&str, &str, Check)] = &[
    ("cleanup.policy", "delete", Words(&["delete", "compact"])),
    ("compression.gzip.level", "-1", Number(-1, 9)),
    ("compression.lz4.level", "9", Number(1, 17)),
    ("compression.type", "producer", COMPRESSIONS),
    ("compression.zstd.level", "3", Number(-131_072, 22)),
    ("delete.retention.ms", "86400000", Number(0, LONG_MAX)),
    ("file.delete.delay.ms", "60000", Number(0, LONG_MAX)),
    ("flush.messages", "9223372036854775807", Number(1, LONG_MAX)),
    ("flush.ms", "9223372036854775807", Number(0, LONG_MAX)),
    ("follower.replication.throttled.replicas", "", Text),
    ("index.interval.bytes", "4096", Number(0, INT_MAX)),
    ("leader.replication.throttled.replicas", "", Text),
    ("local.retention.bytes", "-2", Number(-2, LONG_MAX)),
    ("local.retention.ms", "-2", Number(-2, LONG_MAX)),
    ("max.compaction.lag.ms", "9223372036854775807", Number(1, LONG_MAX)),
    ("max.message.bytes", "1048588", Number(0, INT_MAX)),
    ("message.timestamp.after.max.ms", "3600000", Number(0, LONG_MAX)),
    ("message.timestamp.before.max.ms", "9223372036854775807", Number(0, LONG_MAX)),
    ("message.timestamp.type", "CreateTime", Word(&["CreateTime", "LogAppendTime"])),
    ("min.cleanable.dirty.ratio", "0.5", Ratio),
    ("min.compaction.lag.ms", "0", Number(0, LONG_MAX)),
    ("min.insync.replicas", "1", Number(1, INT_MAX)),
    ("preallocate", "false", BOOL),
    ("remote.log.copy.disable", "false", BOOL),
    ("remote.log.delete.on.disable", "false", BOOL),
    ("remote.storage.enable", "false", BOOL),
    ("retention.bytes", "-1", Number(-1, LONG_MAX)),
    ("retention.ms", "604800000", Number(-1, LONG_MAX)),
    ("segment.bytes", "1073741824", Number(1_048_576, INT_MAX)),
    ("segment.index.bytes", "10485760", Number(4, INT_MAX)),
    ("segment.jitter.ms", "0", Number(0, LONG_MAX)),
    ("segment.ms", "604800000", Number(1, LONG_MAX)),
    ("unclean.leader.election.enable", "false", BOOL),
];

impl Check {
    fn accepts(self, value: &str) -> bool {
        match self {
            Number(min, max) => value.parse().is_ok_and(|number| (min..=max).contains(&number)),
            Ratio => value.parse().is_ok_and(|ratio| (0.0..=1.0).contains(&ratio)),
            Word(words) => words.contains(&value),
            Words(words) => value.split(',').all(|word| words.contains(&word.trim())),
            Text => true,
        }
    }
}

/// The configs of one topic.
#[derive(Debug)]
pub(super) struct TopicConfigs {
    /// What was set at creation, by name.
    set: BTreeMap<String, String>,
    is_deleting: bool,
    is_compacting: bool,
    timestamps: TimestampType,
    max_message_bytes: usize,
}

/// Whose time a record gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The broker's.
    LogAppendTime,
}

impl TopicConfigs {
    /// Checks names and values.
    pub(super) fn new(topic: &str, set: &BTreeMap<String, String>) -> Result<Self, BrokerError> {
        for (name, value) in set {
            let known = CONFIGS.iter().find(|(known, ..)| known == name);
            let problem = match known {
                None => format!("unknown topic config {name}"),
                Some((_, _, check)) if !check.accepts(value) => {
                    format!("invalid value {value} for config {name}")
                }
                Some(_) => continue,
            };
            return Err(BrokerError::new(
                BrokerErrorKind::Invalid,
                format!("topic {topic}: {problem}"),
            ));
        }
        let mut configs = Self {
            set: set.clone(),
            is_deleting: false,
            is_compacting: false,
            timestamps: TimestampType::CreateTime,
            max_message_bytes: 0,
        };
        let policy = configs.text("cleanup.policy");
        let (is_deleting, is_compacting) = (policy.contains("delete"), policy.contains("compact"));
        (configs.is_deleting, configs.is_compacting) = (is_deleting, is_compacting);
        if configs.text("message.timestamp.type") == "LogAppendTime" {
            configs.timestamps = TimestampType::LogAppendTime;
        }
        let max_message_bytes = configs.number("max.message.bytes");
        configs.max_message_bytes = usize::try_from(max_message_bytes).unwrap_or(usize::MAX);
        Ok(configs)
    }

    /// All configs by name, defaults included.
    pub(super) fn all(&self) -> BTreeMap<String, String> {
        let name_and_value = |(name, ..): &(&str, _, _)| ((*name).to_owned(), self.text(name));
        CONFIGS.iter().map(name_and_value).map(|(name, value)| (name, value.to_owned())).collect()
    }

    pub(super) fn is_deleting(&self) -> bool {
        self.is_deleting
    }

    pub(super) fn is_compacting(&self) -> bool {
        self.is_compacting
    }

    pub(super) fn timestamps(&self) -> TimestampType {
        self.timestamps
    }

    pub(super) fn min_insync_replicas(&self) -> i32 {
        i32::try_from(self.number("min.insync.replicas")).unwrap_or(i32::MAX)
    }

    pub(super) fn max_message_bytes(&self) -> usize {
        self.max_message_bytes
    }

    /// `None`: for ever.
    pub(super) fn retention_ms(&self) -> Option<Timestamp> {
        Some(self.number("retention.ms")).filter(|ms| *ms >= 0)
    }

    /// `None`: without limit.
    pub(super) fn retention_bytes(&self) -> Option<usize> {
        usize::try_from(self.number("retention.bytes")).ok()
    }

    pub(super) fn delete_retention_ms(&self) -> Timestamp {
        self.number("delete.retention.ms")
    }

    /// `None`: records may be compacted at once.
    pub(super) fn min_compaction_lag_ms(&self) -> Option<Timestamp> {
        Some(self.number("min.compaction.lag.ms")).filter(|ms| *ms > 0)
    }

    fn text(&self, name: &str) -> &str {
        let default = CONFIGS.iter().find(|(known, ..)| *known == name);
        let default = default.map_or("", |(_, default, _)| default);
        self.set.get(name).map_or(default, String::as_str)
    }

    /// A number whose value or default has been checked.
    fn number(&self, name: &str) -> i64 {
        self.text(name).parse().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configs(set: &[(&str, &str)]) -> Result<TopicConfigs, BrokerError> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        TopicConfigs::new("t", &set.iter().map(owned).collect())
    }

    #[test]
    fn defaults_pass_their_own_checks() {
        for (name, default, check) in CONFIGS {
            assert!(check.accepts(default), "{name}={default}");
        }
    }

    #[test]
    fn what_is_set_is_read_back_among_the_defaults() {
        let all = configs(&[("retention.ms", "-1")]).unwrap().all();
        assert_eq!(all["retention.ms"], "-1");
        assert_eq!(all["max.message.bytes"], "1048588");
        assert_eq!(all.len(), CONFIGS.len());
    }

    #[test]
    fn unknown_names_and_values_out_of_range_are_refused() {
        for (name, value) in [
            ("retention.hours", "1"),
            ("retention.ms", "-2"),
            ("retention.ms", "soon"),
            ("cleanup.policy", "compact,shred"),
            ("cleanup.policy", ""),
            ("min.cleanable.dirty.ratio", "1.5"),
            ("preallocate", "maybe"),
        ] {
            let refused = configs(&[(name, value)]).unwrap_err();
            assert_eq!(refused.kind(), BrokerErrorKind::Invalid, "{name}={value}");
            assert!(refused.to_string().contains(name), "{refused}");
        }
    }

    #[test]
    fn cleanup_policies_may_be_combined() {
        let both = configs(&[("cleanup.policy", "compact, delete")]).unwrap();
        assert!(both.is_compacting() && both.is_deleting());
        let compact = configs(&[("cleanup.policy", "compact")]).unwrap();
        assert!(compact.is_compacting() && !compact.is_deleting());
    }
}
