//! The librdkafka properties of each kind of client, with reasons, and the user's changes to them.
//!
//! What the framework's guarantees rest on cannot be changed: [`FIXED`] names it. Everything else is
//! a start value that a user may override.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rdkafka::ClientConfig;

use crate::broker::{BrokerError, BrokerErrorKind, ConsumerRole, GroupSettings, ProducerSettings};

/// librdkafka properties by name.
pub type Properties = BTreeMap<String, String>;

/// The user's changes to the Kafka clients. Properties have librdkafka's names and values; those of
/// a role win over `common`.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaSettings {
    /// For every client: security, addresses, sockets.
    pub common: Properties,
    /// For the consumers of source topics.
    pub main: Properties,
    /// For the consumers of changelogs.
    pub restore: Properties,
    /// For producers.
    pub producer: Properties,
    /// For the group member, which fetches nothing.
    pub member: Properties,
    /// For the client of topics and offsets.
    pub admin: Properties,
    /// How long to wait for the first answer of a broker.
    pub connect_timeout: Duration,
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

impl Default for KafkaSettings {
    fn default() -> Self {
        Self {
            common: Properties::new(),
            main: Properties::new(),
            restore: Properties::new(),
            producer: Properties::new(),
            member: Properties::new(),
            admin: Properties::new(),
            connect_timeout: CONNECT_TIMEOUT,
        }
    }
}

/// Shows names only: values may be passwords.
impl fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |properties: &Properties| properties.keys().cloned().collect::<Vec<_>>();
        f.debug_struct("KafkaSettings")
            .field("common", &names(&self.common))
            .field("main", &names(&self.main))
            .field("restore", &names(&self.restore))
            .field("producer", &names(&self.producer))
            .field("member", &names(&self.member))
            .field("admin", &names(&self.admin))
            .field("connect_timeout", &self.connect_timeout)
            .finish()
    }
}

/// Properties that are not the user's to change.
const FIXED: &[&str] = &[
    "auto.offset.reset",             // a lost position must surface, never jump
    "bootstrap.servers",             // given on its own
    "client.id",                     // names the client's job in the broker's logs
    "delivery.report.only.error",    // follows from what the caller wants to know
    "enable.auto.commit",            // offsets are committed by tasks
    "enable.auto.offset.store",      // the same
    "enable.idempotence",            // order and no duplicates within a producer
    "enable.partition.eof",          // follows from the consumer's job
    "group.id",                      // is the application id
    "group.instance.id",             // one process may have several members
    "group.protocol",                // the port speaks the classic protocol
    "heartbeat.interval.ms",         // given by the group settings
    "isolation.level",               // a record that is not committed has never happened
    "max.poll.interval.ms",          // the same
    "partition.assignment.strategy", // co-partitioned topics need range
    "session.timeout.ms",            // given by the group settings
    "transaction.timeout.ms",        // given by the producer's settings
    "transactional.id",              // transactions are the framework's
];

const COMMON: &[(&str, &str)] = &[
    ("enable.metrics.push", "false"), // no reports to the cluster without being asked
    ("log.connection.close", "false"), // brokers close idle connections; that is no news
    ("reconnect.backoff.max.ms", "2000"), // back soon after a broker's restart
    ("socket.keepalive.enable", "true"),
    ("socket.nagle.disable", "true"), // requests are small and waited for
    ("topic.metadata.refresh.interval.ms", "30000"), // added partitions show within half a minute
];

const CONSUMER: &[(&str, &str)] = &[
    ("auto.offset.reset", "error"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("fetch.queue.backoff.ms", "2"), // the default of a second idles a consumer that drains fast
    ("isolation.level", "read_committed"), // an aborted record has never happened
];

const MAIN: &[(&str, &str)] = &[
    ("enable.partition.eof", "true"),
    ("fetch.max.bytes", "8388608"),
    // Per partition: bounds what lies behind a slow one, and what one batch keeps alive.
    ("fetch.message.max.bytes", "524288"),
    // The longest that idle partitions hold a new one back.
    ("fetch.wait.max.ms", "100"),
    // Per partition, payload only.
    ("queued.max.messages.kbytes", "2048"),
    // Per partition: the real limit where records are small.
    ("queued.min.messages", "5000"),
];

const RESTORE: &[(&str, &str)] = &[
    // A changelog may end with records that compaction has taken: only this mark tells.
    ("enable.partition.eof", "true"),
    ("fetch.max.bytes", "16777216"),
    ("fetch.message.max.bytes", "2097152"),
    ("fetch.wait.max.ms", "50"),
    ("queued.max.messages.kbytes", "4096"),
    ("queued.min.messages", "10000"),
];

const PRODUCER: &[(&str, &str)] = &[
    ("acks", "all"),
    ("enable.idempotence", "true"),
    // KAFKA: as Kafka Streams sets it. A flush does not wait for it; a fifth less CPU than with 20.
    ("linger.ms", "100"),
    ("message.timeout.ms", "300000"),
    ("queue.buffering.max.kbytes", "32768"),
    ("queue.buffering.max.messages", "100000"),
];

const MEMBER: &[(&str, &str)] = &[
    ("auto.offset.reset", "error"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("group.protocol", "classic"),
    ("isolation.level", "read_committed"), // committed offsets wait for open transactions
    ("partition.assignment.strategy", "range"),
];

impl KafkaSettings {
    /// Refuses what may not be overridden.
    pub(super) fn check(&self) -> Result<(), BrokerError> {
        let roles =
            [&self.common, &self.main, &self.restore, &self.producer, &self.member, &self.admin];
        for name in roles.into_iter().flat_map(BTreeMap::keys) {
            if FIXED.contains(&name.as_str()) {
                let message = format!("Kafka client property {name} is set by the framework");
                return Err(BrokerError::new(BrokerErrorKind::Invalid, message));
            }
        }
        Ok(())
    }

    pub(super) fn consumer(&self, bootstrap: &str, role: ConsumerRole, id: &str) -> ClientConfig {
        let (defaults, overrides) = match role {
            ConsumerRole::Main => (MAIN, &self.main),
            ConsumerRole::Restore => (RESTORE, &self.restore),
        };
        self.client(bootstrap, id, &[CONSUMER, defaults], overrides)
    }

    pub(super) fn producer(&self, bootstrap: &str, settings: &ProducerSettings) -> ClientConfig {
        let mut config = self.client(bootstrap, &settings.client_id, &[PRODUCER], &self.producer);
        config.set("delivery.report.only.error", (!settings.track_acks).to_string());
        if let Some(transactions) = &settings.transactions {
            let timeout = transactions.timeout.as_millis();
            let longest = config.get("message.timeout.ms").and_then(|text| text.parse().ok());
            // KAFKA: a record that the broker has not taken when its transaction ends is not part of it.
            let longest =
                longest.filter(|longest| *longest != 0).map_or(timeout, |ms: u128| ms.min(timeout));
            config
                .set("transactional.id", &transactions.transactional_id)
                .set("transaction.timeout.ms", timeout.to_string())
                .set("message.timeout.ms", longest.to_string());
        }
        config
    }

    pub(super) fn member(&self, bootstrap: &str, settings: &GroupSettings) -> ClientConfig {
        let mut config = self.client(bootstrap, &settings.client_id, &[MEMBER], &self.member);
        config
            .set("group.id", &settings.group_id)
            .set("session.timeout.ms", settings.session_timeout.as_millis().to_string())
            .set("heartbeat.interval.ms", settings.heartbeat_interval.as_millis().to_string())
            .set("max.poll.interval.ms", settings.max_poll_interval.as_millis().to_string());
        config
    }

    /// A client that asks for the offsets of a group it is not in.
    pub(super) fn observer(&self, bootstrap: &str) -> ClientConfig {
        let mut config = self.client(bootstrap, "kstream-admin", &[MEMBER], &self.member);
        // Shows what is committed; only members wait for open transactions.
        config.set("isolation.level", "read_uncommitted");
        config
    }

    pub(super) fn admin(&self, bootstrap: &str) -> ClientConfig {
        self.client(bootstrap, "kstream-admin", &[], &self.admin)
    }

    fn client(
        &self,
        bootstrap: &str,
        client_id: &str,
        defaults: &[&[(&str, &str)]],
        overrides: &Properties,
    ) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (name, value) in COMMON.iter().chain(defaults.iter().copied().flatten()) {
            config.set(*name, *value);
        }
        for (name, value) in self.common.iter().chain(overrides) {
            config.set(name, value);
        }
        config.set("bootstrap.servers", bootstrap).set("client.id", client_id);
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> KafkaSettings {
        KafkaSettings {
            common: [("sasl.password".into(), "secret".into())].into(),
            main: [("queued.min.messages".into(), "7".into())].into(),
            ..KafkaSettings::default()
        }
    }

    #[test]
    fn a_role_overrides_its_own_clients_only() {
        let main = settings().consumer("b:1", ConsumerRole::Main, "c");
        let restore = settings().consumer("b:1", ConsumerRole::Restore, "c");
        assert_eq!(main.get("queued.min.messages"), Some("7"));
        assert_ne!(restore.get("queued.min.messages"), Some("7"));
        assert_eq!(restore.get("sasl.password"), Some("secret"));
    }

    #[test]
    fn a_property_that_guarantees_rest_on_is_refused() {
        let mut settings = settings();
        assert!(settings.check().is_ok());
        settings.producer.insert("enable.idempotence".into(), "false".into());
        let error = settings.check().unwrap_err();
        assert_eq!(error.kind(), BrokerErrorKind::Invalid);
        assert!(error.to_string().contains("enable.idempotence"));
    }

    #[test]
    fn secrets_do_not_show() {
        let shown = format!("{:?}", settings());
        assert!(shown.contains("sasl.password") && !shown.contains("secret\""), "{shown}");
    }
}
