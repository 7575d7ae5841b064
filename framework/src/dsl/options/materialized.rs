//! How a table's rows are kept.

use std::collections::BTreeMap;
use std::time::Duration;

use super::debug_by_name;
use crate::serdes::{ArcSerde, DefaultSerde};
use crate::topology::StoreType;

/// How a table is kept: the store's name, type and serdes, its changelog, and whether the record cache
/// holds updates back.
///
/// # Source
/// `org.apache.kafka.streams.kstream.Materialized`.
#[derive(Clone)]
pub struct Materialized<K, V> {
    pub(crate) name: Option<String>,
    pub(crate) key_serde: Option<ArcSerde<K>>,
    pub(crate) value_serde: ArcSerde<V>,
    pub(crate) store_type: StoreType,
    pub(crate) logging: bool,
    pub(crate) topic_configs: BTreeMap<String, String>,
    pub(crate) caching: bool,
    pub(crate) retention: Option<Duration>,
    /// How long its windows are; 0 if it has none.
    pub(crate) window_ms: i64,
    pub(crate) history: Option<Duration>,
    pub(crate) ttl: Option<Duration>,
}

debug_by_name!(Materialized<K, V> {
    name, store_type, logging, topic_configs, caching, retention, history, ttl
});

impl<K, V: DefaultSerde> Materialized<K, V> {
    /// A generated store name, the group's key serde, and the value's default serde.
    pub fn new() -> Self {
        Self::with_value_serde(V::default_serde())
    }

    /// This store name; the changelog is `<application id>-<name>-changelog`.
    pub fn named(name: impl Into<String>) -> Self {
        Self::new().with_name(name)
    }

    /// A versioned store of this name; see [`Materialized::with_history_retention`].
    pub fn versioned(name: impl Into<String>, history_retention: Duration) -> Self {
        Self::named(name).with_history_retention(history_retention)
    }
}

impl<K, V: DefaultSerde> Default for Materialized<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> Materialized<K, V> {
    /// These serdes.
    pub fn with(key_serde: ArcSerde<K>, value_serde: ArcSerde<V>) -> Self {
        Self { key_serde: Some(key_serde), ..Self::with_value_serde(value_serde) }
    }

    /// The group's key serde and this value serde.
    pub fn with_value_serde(value_serde: ArcSerde<V>) -> Self {
        Self {
            name: None,
            key_serde: None,
            value_serde,
            store_type: StoreType::Persistent,
            logging: true,
            topic_configs: BTreeMap::new(),
            caching: true,
            retention: None,
            window_ms: 0,
            history: None,
            ttl: None,
        }
    }

    /// Names the store.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Keeps rows on disk or in memory; on disk by default.
    #[must_use]
    pub fn with_store_type(mut self, store_type: StoreType) -> Self {
        self.store_type = store_type;
        self
    }

    /// Has a changelog topic with these configs beside the usual ones; this is the default, without
    /// further configs.
    #[must_use]
    pub fn with_logging_enabled<N: Into<String>, T: Into<String>>(
        mut self,
        topic_configs: impl IntoIterator<Item = (N, T)>,
    ) -> Self {
        self.logging = true;
        self.topic_configs =
            topic_configs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        self
    }

    /// Has no changelog: rows are lost with the local disk, and a task that moves starts empty.
    #[must_use]
    pub fn with_logging_disabled(mut self) -> Self {
        self.logging = false;
        self.topic_configs.clear();
        self
    }

    /// Forwards every update at once, even when the record cache is on.
    #[must_use]
    pub fn with_caching_disabled(mut self) -> Self {
        self.caching = false;
        self
    }

    /// How long a window's rows are kept behind stream time, counted from the window's start; by default
    /// the window's size and grace, which is also the least that is allowed.
    #[must_use]
    pub fn with_retention(mut self, retention: Duration) -> Self {
        self.retention = Some(retention);
        self
    }

    /// Keeps the table's history: what each key was worth when, for so long behind the highest
    /// timestamp. Joins of streams with the table then see the row as it was at the time of their
    /// record. For tables without windows, with a name; not with the record cache, which is off.
    ///
    /// **Time**: a row's timestamp is when it becomes valid. Updates that come out of order are put where
    /// they belong, and go on to filters and streams; joins of tables and groups only take a row's latest. An
    /// update further back than the history is dropped, though its changelog has it.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// use kstream::{Consumed, KTable, Materialized, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let history = Materialized::versioned("price-history", Duration::from_secs(3600));
    /// let prices: KTable<String, i64> = builder.table_with("prices", Consumed::new(), history);
    /// prices.to_stream().to("updates");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, i64>("prices");
    /// input.pipe_at("tea".to_owned(), 3, 2000)?;
    /// input.pipe_at("tea".to_owned(), 2, 1000)?;
    /// let rows = driver.store_rows::<String, i64>("price-history")?;
    /// assert_eq!(rows[0].value, 3, "the update that came late is not the latest");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// `Materialized.as(Stores.persistentVersionedKeyValueStore(name, historyRetention))` (KIP-889, KIP-914).
    #[must_use]
    pub fn with_history_retention(mut self, history_retention: Duration) -> Self {
        self.history = Some(history_retention);
        self
    }

    /// Rows live for so long in event time: one whose timestamp is further than this behind the task's
    /// stream time is gone for everybody who reads the table, is soon removed from disk, and is deleted
    /// from the changelog by a tombstone. No update tells those downstream. For tables without windows;
    /// Kafka Streams has nothing like it.
    #[must_use]
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }
}
