//! `map_values` on a table.

use std::panic::Location;
use std::sync::Arc;

use super::KTable;
use super::derive::{Derivation, Pure};
use crate::dsl::options::{Materialized, Named};
use crate::processor::Data;
use crate::processor::value_getter::Derive;

impl<K: Data, V: Data> KTable<K, V> {
    /// Makes a new value of each row's value.
    ///
    /// **Shape**: `(K, V)` rows → `(K, V2)` rows; the key does not change. Deletions stay deletions, without
    /// asking the mapper. The mapper is also asked whenever another operator reads a row, so it must not
    /// depend on anything but its arguments.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KTable, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let cents: KTable<String, i64> = builder.table("cents");
    /// cents.map_values(|cents| cents / 100).to_stream().to("euros");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input_topic::<String, i64>("cents").pipe("tea".to_owned(), 350)?;
    /// let euros = driver.output_topic::<String, Option<i64>>("euros");
    /// assert_eq!(euros.read_key_values()?, [("tea".to_owned(), Some(3))]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// `KTable.mapValues`; there a mapper may answer null, which [`KTable::filter_map_values`] has.
    #[track_caller]
    pub fn map_values<V2: Data>(
        &self,
        mapper: impl Fn(V) -> V2 + Send + Sync + 'static,
    ) -> KTable<K, V2> {
        self.add_map_values(Arc::new(move |_, value| Some(mapper(value))), Named::default(), None)
    }

    /// [`KTable::map_values`] with a name, and with a look at the key.
    #[track_caller]
    pub fn map_values_with<V2: Data>(
        &self,
        mapper: impl Fn(&K, V) -> V2 + Send + Sync + 'static,
        named: impl Into<Named>,
    ) -> KTable<K, V2> {
        self.add_map_values(
            Arc::new(move |key, value| Some(mapper(key, value))),
            named.into(),
            None,
        )
    }

    /// [`KTable::map_values`] with a name, with a look at the key, and with a store, if `materialized` names
    /// one.
    #[track_caller]
    pub fn map_values_materialized<V2: Data>(
        &self,
        mapper: impl Fn(&K, V) -> V2 + Send + Sync + 'static,
        named: impl Into<Named>,
        materialized: Materialized<K, V2>,
    ) -> KTable<K, V2> {
        let derive: Derive<K, V, V2> = Arc::new(move |key, value| Some(mapper(key, value)));
        self.add_map_values(derive, named.into(), Some(materialized))
    }

    /// Makes a new value of each row's value, or none: then there is no row.
    ///
    /// **Shape**: `(K, V)` rows → `(K, V2)` rows; the key does not change. Unlike behind a filter, every update
    /// goes on, also that of a row that was none and is none.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KTable, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let texts: KTable<String, String> = builder.table("texts");
    /// texts.filter_map_values(|text| text.parse::<i64>().ok()).to_stream().to("numbers");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, String>("texts");
    /// input.pipe("a".to_owned(), "7".to_owned())?;
    /// input.pipe("a".to_owned(), "seven".to_owned())?;
    /// let numbers = driver.output_topic::<String, Option<i64>>("numbers");
    /// assert_eq!(numbers.read_key_values()?, [("a".to_owned(), Some(7)), ("a".to_owned(), None)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// `KTable.mapValues` with a mapper that may answer null.
    #[track_caller]
    pub fn filter_map_values<V2: Data>(
        &self,
        mapper: impl Fn(V) -> Option<V2> + Send + Sync + 'static,
    ) -> KTable<K, V2> {
        self.add_map_values(Arc::new(move |_, value| mapper(value)), Named::default(), None)
    }

    /// [`KTable::filter_map_values`] with a name, and with a look at the key.
    #[track_caller]
    pub fn filter_map_values_with<V2: Data>(
        &self,
        mapper: impl Fn(&K, V) -> Option<V2> + Send + Sync + 'static,
        named: impl Into<Named>,
    ) -> KTable<K, V2> {
        self.add_map_values(Arc::new(mapper), named.into(), None)
    }

    /// [`KTable::filter_map_values`] with a name, with a look at the key, and with a store, if
    /// `materialized` names one.
    #[track_caller]
    pub fn filter_map_values_materialized<V2: Data>(
        &self,
        mapper: impl Fn(&K, V) -> Option<V2> + Send + Sync + 'static,
        named: impl Into<Named>,
        materialized: Materialized<K, V2>,
    ) -> KTable<K, V2> {
        self.add_map_values(Arc::new(mapper), named.into(), Some(materialized))
    }

    #[track_caller]
    fn add_map_values<V2: Data>(
        &self,
        derive: Derive<K, V, V2>,
        named: Named,
        materialized: Option<Materialized<K, V2>>,
    ) -> KTable<K, V2> {
        let (prefix, operator) = ("KTABLE-MAPVALUES-", Pure::<_, _, _, false>(derive));
        let derivation = Derivation { prefix, named, operator, materialized, value_serde: None };
        self.derive(derivation, Location::caller())
    }
}
