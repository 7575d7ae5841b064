//! The user's changes to the Kafka clients, by role, and the configuration of each client.
//!
//! What the framework's guarantees rest on cannot be changed; everything else is a start value that a
//! user may override (see `defaults`).

mod check;
mod defaults;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use self::defaults::{ALIASES, COMMON, CONSUMER, MAIN, MEMBER, PRODUCER, RESTORE};
use super::client_config::ClientConfig;
use super::oauth::OAuthTokens;
use crate::broker::{ConsumerRole, GroupSettings, ProducerSettings};

/// librdkafka properties by name.
pub type Properties = BTreeMap<String, String>;

/// The user's changes to the Kafka clients: any property of
/// [librdkafka](https://github.com/confluentinc/librdkafka/blob/v2.12.1/CONFIGURATION.md), for all clients or
/// for those of one role. The closer name wins: `main.consumer.` over `consumer.`, and that over a property
/// for all.
///
/// | prefix in [`set`](Self::set) | field | clients |
/// |---|---|---|
/// | none | `common` | all: addresses, TLS, SASL, sockets |
/// | `consumer.` | `consumer` | consumers of all kinds, the group member too |
/// | `main.consumer.` | `main` | consumers of source topics |
/// | `restore.consumer.` | `restore` | consumers of changelogs and of global stores |
/// | `member.` | `member` | the group member, which fetches nothing |
/// | `producer.` | `producer` | producers |
/// | `admin.` | `admin` | the client of topics and offsets |
///
/// # Errors
/// [`KafkaBroker::new`](super::KafkaBroker::new) refuses, all together, properties that the guarantees rest
/// on (`enable.auto.commit`, `isolation.level`, `transactional.id`, …), with the reason; and names and values
/// that librdkafka refuses, in its words. A property that means nothing to its client, such as
/// `main.consumer.linger.ms`, is a warning in the log, by librdkafka.
///
/// # Examples
/// ```
/// use kstream::broker::kafka::KafkaSettings;
///
/// let settings: KafkaSettings = [
///     ("security.protocol", "SASL_SSL"),
///     ("ssl.ca.location", "/etc/ssl/our-ca.pem"),
///     ("sasl.mechanism", "SCRAM-SHA-512"),
///     ("sasl.username", "counter"),
///     ("sasl.password", "secret"),
///     ("main.consumer.fetch.wait.max.ms", "50"),
/// ]
/// .into_iter()
/// .collect();
/// assert_eq!(settings.main["fetch.wait.max.ms"], "50");
/// ```
///
/// # Source
/// The prefixes of `StreamsConfig`: `mainConsumerPrefix` and its like. `member.` is ours: a main consumer of
/// Kafka Streams is the group's member as well.
#[derive(Clone)]
pub struct KafkaSettings {
    /// For every client: security, addresses, sockets.
    pub common: Properties,
    /// For consumers of all kinds and the group member.
    pub consumer: Properties,
    /// For the consumers of source topics.
    pub main: Properties,
    /// For the consumers of changelogs and of global stores.
    pub restore: Properties,
    /// For the group member, which fetches nothing.
    pub member: Properties,
    /// For producers.
    pub producer: Properties,
    /// For the client of topics and offsets.
    pub admin: Properties,
    /// Where clients with `sasl.mechanism` `OAUTHBEARER` get their tokens. Without it librdkafka makes unsecured
    /// ones, if `enable.sasl.oauthbearer.unsecure.jwt` says so.
    pub oauth_tokens: Option<Arc<dyn OAuthTokens>>,
    /// How long to wait for the first answer of a broker.
    pub connect_timeout: Duration,
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The name of the process's own questions in the broker's logs.
const ADMIN_ID: &str = "kstream-admin";

impl Default for KafkaSettings {
    fn default() -> Self {
        Self {
            common: Properties::new(),
            consumer: Properties::new(),
            main: Properties::new(),
            restore: Properties::new(),
            member: Properties::new(),
            producer: Properties::new(),
            admin: Properties::new(),
            oauth_tokens: None,
            connect_timeout: CONNECT_TIMEOUT,
        }
    }
}

/// Shows names only: values may be passwords.
impl fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = ROLES
            .iter()
            .flat_map(|(prefix, of, _)| of(self).keys().map(move |name| format!("{prefix}{name}")));
        let mut shown = f.debug_struct("KafkaSettings");
        shown.field("properties", &names.collect::<Vec<_>>());
        shown.field("oauth_tokens", &self.oauth_tokens.is_some());
        shown.field("connect_timeout", &self.connect_timeout).finish_non_exhaustive()
    }
}

/// A client of a role that has settings of its own.
pub(super) struct OwnClient {
    pub(super) prefix: &'static str,
    pub(super) config: ClientConfig,
    pub(super) is_producer: bool,
    /// Whether it may meet another answer than the others when it connects.
    pub(super) connects: bool,
}

/// How the names of properties begin that decide whether a broker lets a client in.
const SECURITY: [&str; 6] = ["security.", "ssl.", "sasl.", "enable.s", "https.", "broker.address."];

type Of = fn(&KafkaSettings) -> &Properties;
type OfMut = fn(&mut KafkaSettings) -> &mut Properties;

/// Prefixes and what they are for; the empty one, which fits every name, comes last.
const ROLES: [(&str, Of, OfMut); 7] = [
    ("main.consumer.", |settings| &settings.main, |settings| &mut settings.main),
    ("restore.consumer.", |settings| &settings.restore, |settings| &mut settings.restore),
    ("consumer.", |settings| &settings.consumer, |settings| &mut settings.consumer),
    ("member.", |settings| &settings.member, |settings| &mut settings.member),
    ("producer.", |settings| &settings.producer, |settings| &mut settings.producer),
    ("admin.", |settings| &settings.admin, |settings| &mut settings.admin),
    ("", |settings| &settings.common, |settings| &mut settings.common),
];

impl KafkaSettings {
    /// Sets a property by its name behind the prefix of its role, as in the table above.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        for (prefix, _, of) in ROLES {
            if let Some(name) = name.strip_prefix(prefix) {
                of(self).insert(name.to_owned(), value.into());
                return;
            }
        }
    }

    pub(super) fn consumer(&self, bootstrap: &str, role: ConsumerRole, id: &str) -> ClientConfig {
        let (defaults, overrides) = match role {
            ConsumerRole::Main => (MAIN, &self.main),
            ConsumerRole::Restore => (RESTORE, &self.restore),
        };
        self.client(bootstrap, id, &[CONSUMER, defaults], &[&self.consumer, overrides])
    }

    pub(super) fn producer(&self, bootstrap: &str, settings: &ProducerSettings) -> ClientConfig {
        let mut config =
            self.client(bootstrap, &settings.client_id, &[PRODUCER], &[&self.producer]);
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
        let mut config = self.client(bootstrap, &settings.client_id, &[MEMBER], &self.of_member());
        config
            .set("group.id", &settings.group_id)
            .set("session.timeout.ms", settings.session_timeout.as_millis().to_string())
            .set("heartbeat.interval.ms", settings.heartbeat_interval.as_millis().to_string())
            .set("max.poll.interval.ms", settings.max_poll_interval.as_millis().to_string());
        config
    }

    /// A client that asks for the offsets of a group it is not in.
    pub(super) fn observer(&self, bootstrap: &str) -> ClientConfig {
        let mut config = self.client(bootstrap, ADMIN_ID, &[MEMBER], &self.of_member());
        // Shows what is committed; only members wait for open transactions.
        config.set("isolation.level", "read_uncommitted");
        config
    }

    pub(super) fn admin(&self, bootstrap: &str) -> ClientConfig {
        self.client(bootstrap, ADMIN_ID, &[], &[&self.admin])
    }

    /// A client of each role that has settings of its own, to try them with.
    pub(super) fn own_clients(&self, bootstrap: &str) -> Vec<OwnClient> {
        let plain = ProducerSettings {
            client_id: ADMIN_ID.to_owned(),
            track_acks: false,
            transactions: None,
        };
        let consumer = |role| self.consumer(bootstrap, role, ADMIN_ID);
        let (main, restore) = ([&self.consumer, &self.main], [&self.consumer, &self.restore]);
        let clients: [(_, &[&Properties], _, _); 4] = [
            ("main.consumer.", &main, consumer(ConsumerRole::Main), false),
            ("restore.consumer.", &restore, consumer(ConsumerRole::Restore), false),
            ("member.", &self.of_member(), self.observer(bootstrap), false),
            ("producer.", &[&self.producer], self.producer(bootstrap, &plain), true),
        ];
        let own = clients.into_iter().filter_map(|(prefix, of, config, is_producer)| {
            let mut names = of.iter().flat_map(|properties| properties.keys()).peekable();
            names.peek()?;
            let connects = names.any(|name| SECURITY.iter().any(|start| name.starts_with(start)));
            Some(OwnClient { prefix, config, is_producer, connects })
        });
        own.collect()
    }

    fn of_member(&self) -> [&Properties; 2] {
        [&self.consumer, &self.member]
    }

    fn client(
        &self,
        bootstrap: &str,
        client_id: &str,
        defaults: &[&[(&str, &str)]],
        overrides: &[&Properties],
    ) -> ClientConfig {
        let mut config = ClientConfig::new(self.oauth_tokens.clone());
        for (name, value) in COMMON.iter().chain(defaults.iter().copied().flatten()) {
            config.set(name, *value);
        }
        for (name, value) in self.common.iter().chain(overrides.iter().copied().flatten()) {
            // Two names of one property would come to librdkafka in no order.
            let alias = ALIASES.iter().find(|(alias, _)| alias == name);
            config.set(alias.map_or(name, |(_, name)| name), value);
        }
        config.set("bootstrap.servers", bootstrap).set("client.id", client_id);
        config
    }
}

impl<N: AsRef<str>, V: Into<String>> Extend<(N, V)> for KafkaSettings {
    fn extend<I: IntoIterator<Item = (N, V)>>(&mut self, properties: I) {
        properties.into_iter().for_each(|(name, value)| self.set(name.as_ref(), value));
    }
}

impl<N: AsRef<str>, V: Into<String>> FromIterator<(N, V)> for KafkaSettings {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(properties: I) -> Self {
        let mut settings = Self::default();
        settings.extend(properties);
        settings
    }
}

#[cfg(test)]
mod tests;
