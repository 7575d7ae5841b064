//! Operators that make new keys and values: `map`, `flat_map`, `select_key` and their kin.

use std::sync::Arc;

use super::{KStream, Operator};
use crate::dsl::options::Named;
use crate::processor::Data;
use crate::processor::operators::flat_map::{FlatMap, FlatMapValues, FlatMapper, FlatValueMapper};
use crate::processor::operators::map::{
    KeySelector, Map, MapValues, Mapper, SelectKey, ValueMapper,
};
use crate::topology::link::node;

impl<K: Data, V: Data> KStream<K, V> {
    /// Makes a new key and value of each record.
    ///
    /// **Shape**: `(K, V)` → `(K2, V2)`, one per record. The key may change: a grouping behind it goes through a
    /// repartition topic. Where only the value changes, [`KStream::map_values`] saves that.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let stream: KStream<String, i64> = builder.stream("in");
    /// stream.map(|page, visits| (page.len() as i64, visits * 2)).to("out");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, i64>("in");
    /// input.pipe("/about".to_owned(), 7)?;
    /// let out = driver.output_topic::<i64, i64>("out").read_key_values()?;
    /// assert_eq!(out, [(6, 14)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn map<K2: Data, V2: Data>(
        &self,
        mapper: impl Fn(K, V) -> (K2, V2) + Send + Sync + 'static,
    ) -> KStream<K2, V2> {
        self.map_with(mapper, Named::default())
    }

    /// [`KStream::map`] with a name.
    #[track_caller]
    pub fn map_with<K2: Data, V2: Data>(
        &self,
        mapper: impl Fn(K, V) -> (K2, V2) + Send + Sync + 'static,
        named: impl Into<Named>,
    ) -> KStream<K2, V2> {
        let mapper: Mapper<K, V, K2, V2> = Arc::new(mapper);
        let supplier =
            node(move |linker| Ok(Map { mapper: Arc::clone(&mapper), next: linker.outlet()? }));
        let named = named.into();
        self.add(Operator { prefix: "KSTREAM-MAP-", named, changes_key: true }, supplier)
    }

    /// Makes a new value of each record.
    ///
    /// **Shape**: `(K, V)` → `(K, V2)`, one per record; the key does not change.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let stream: KStream<String, String> = builder.stream("in");
    /// stream.map_values(|text| text.len() as i64).to("lengths");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, String>("in");
    /// input.pipe("a".to_owned(), "four".to_owned())?;
    /// let out = driver.output_topic::<String, i64>("lengths").read_key_values()?;
    /// assert_eq!(out, [("a".to_owned(), 4)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn map_values<V2: Data>(
        &self,
        mapper: impl Fn(V) -> V2 + Send + Sync + 'static,
    ) -> KStream<K, V2> {
        self.add_map_values(Arc::new(move |_, value| mapper(value)), Named::default())
    }

    /// [`KStream::map_values`] with a name, and with a look at the key.
    #[track_caller]
    pub fn map_values_with<V2: Data>(
        &self,
        mapper: impl Fn(&K, V) -> V2 + Send + Sync + 'static,
        named: impl Into<Named>,
    ) -> KStream<K, V2> {
        self.add_map_values(Arc::new(mapper), named.into())
    }

    #[track_caller]
    fn add_map_values<V2: Data>(
        &self,
        mapper: ValueMapper<K, V, V2>,
        named: Named,
    ) -> KStream<K, V2> {
        let supplier = node(move |linker| {
            Ok(MapValues { mapper: Arc::clone(&mapper), next: linker.outlet()? })
        });
        self.add(Operator { prefix: "KSTREAM-MAPVALUES-", named, changes_key: false }, supplier)
    }

    /// Makes any number of records of each record.
    ///
    /// **Shape**: `(K, V)` → `(K2, V2)`, as many as the mapper's iterator gives, with the record's timestamp
    /// and headers. The key may change: a grouping behind it goes through a repartition topic.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let stream: KStream<String, i64> = builder.stream("in");
    /// stream.flat_map(|name, n| (0..n).map(move |i| (format!("{name}{i}"), i))).to("out");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, i64>("in");
    /// input.pipe("a".to_owned(), 2)?;
    /// input.pipe("b".to_owned(), 0)?;
    /// let out = driver.output_topic::<String, i64>("out").read_key_values()?;
    /// assert_eq!(out, [("a0".to_owned(), 0), ("a1".to_owned(), 1)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn flat_map<K2: Data, V2: Data, I: IntoIterator<Item = (K2, V2)>>(
        &self,
        mapper: impl Fn(K, V) -> I + Send + Sync + 'static,
    ) -> KStream<K2, V2> {
        self.flat_map_with(mapper, Named::default())
    }

    /// [`KStream::flat_map`] with a name.
    #[track_caller]
    pub fn flat_map_with<K2: Data, V2: Data, I: IntoIterator<Item = (K2, V2)>>(
        &self,
        mapper: impl Fn(K, V) -> I + Send + Sync + 'static,
        named: impl Into<Named>,
    ) -> KStream<K2, V2> {
        let mapper: FlatMapper<K, V, (K2, V2)> =
            Arc::new(move |key, value, emit| mapper(key, value).into_iter().try_for_each(emit));
        let supplier =
            node(move |linker| Ok(FlatMap { mapper: Arc::clone(&mapper), next: linker.outlet()? }));
        let named = named.into();
        self.add(Operator { prefix: "KSTREAM-FLATMAP-", named, changes_key: true }, supplier)
    }

    /// Makes any number of values of each value.
    ///
    /// **Shape**: `(K, V)` → `(K, V2)`, as many as the mapper's iterator gives; the key does not change.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let stream: KStream<String, String> = builder.stream("in");
    /// stream
    ///     .flat_map_values(|text| text.split(' ').map(str::to_owned).collect::<Vec<_>>())
    ///     .to("words");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, String>("in");
    /// input.pipe("a".to_owned(), "to be".to_owned())?;
    /// let out = driver.output_topic::<String, String>("words").read_key_values()?;
    /// assert_eq!(out, [("a".to_owned(), "to".to_owned()), ("a".to_owned(), "be".to_owned())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn flat_map_values<V2: Data, I: IntoIterator<Item = V2>>(
        &self,
        mapper: impl Fn(V) -> I + Send + Sync + 'static,
    ) -> KStream<K, V2> {
        self.flat_map_values_with(move |_, value| mapper(value), Named::default())
    }

    /// [`KStream::flat_map_values`] with a name, and with a look at the key.
    #[track_caller]
    pub fn flat_map_values_with<V2: Data, I: IntoIterator<Item = V2>>(
        &self,
        mapper: impl Fn(&K, V) -> I + Send + Sync + 'static,
        named: impl Into<Named>,
    ) -> KStream<K, V2> {
        let mapper: FlatValueMapper<K, V, V2> =
            Arc::new(move |key, value, emit| mapper(key, value).into_iter().try_for_each(emit));
        let supplier = node(move |linker| {
            Ok(FlatMapValues { mapper: Arc::clone(&mapper), next: linker.outlet()? })
        });
        let named = named.into();
        self.add(Operator { prefix: "KSTREAM-FLATMAPVALUES-", named, changes_key: false }, supplier)
    }

    /// Gives each record a new key.
    ///
    /// **Shape**: `(K, V)` → `(K2, V)`, one per record. The key changes: a grouping behind it goes through a
    /// repartition topic.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let stream: KStream<String, i64> = builder.stream("in");
    /// stream.select_key(|page, _| page.len() as i64).to("out");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, i64>("in");
    /// input.pipe("/about".to_owned(), 7)?;
    /// let out = driver.output_topic::<i64, i64>("out").read_key_values()?;
    /// assert_eq!(out, [(6, 7)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn select_key<K2: Data>(
        &self,
        mapper: impl Fn(&K, &V) -> K2 + Send + Sync + 'static,
    ) -> KStream<K2, V> {
        self.select_key_with(mapper, Named::default())
    }

    /// [`KStream::select_key`] with a name.
    #[track_caller]
    pub fn select_key_with<K2: Data>(
        &self,
        mapper: impl Fn(&K, &V) -> K2 + Send + Sync + 'static,
        named: impl Into<Named>,
    ) -> KStream<K2, V> {
        let mapper: KeySelector<K, V, K2> = Arc::new(mapper);
        let supplier = node(move |linker| {
            Ok(SelectKey { mapper: Arc::clone(&mapper), next: linker.outlet()? })
        });
        let named = named.into();
        self.add(Operator { prefix: "KSTREAM-KEY-SELECT-", named, changes_key: true }, supplier)
    }
}
