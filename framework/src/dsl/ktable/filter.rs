//! `filter` and `filter_not` on a table.

use std::panic::Location;
use std::sync::Arc;

use super::KTable;
use super::derive::{Derivation, Pure};
use crate::dsl::options::{Materialized, Named};
use crate::processor::Data;
use crate::processor::operators::filter::Predicate;
use crate::processor::value_getter::Derive;

impl<K: Data, V: Data> KTable<K, V> {
    /// Keeps the rows that `predicate` accepts.
    ///
    /// **Shape**: `(K, V)` rows → `(K, V)` rows; the key does not change. An update whose new value is refused
    /// deletes the row. Where the table before has a store, updates of rows that were refused and still are
    /// do not go on; otherwise they go on as deletions.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KTable, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let stock: KTable<String, i64> = builder.table("stock");
    /// stock.filter(|_, count| *count < 5).to_stream().to("scarce");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, i64>("stock");
    /// input.pipe("tea".to_owned(), 3)?;
    /// input.pipe("tea".to_owned(), 30)?;
    /// let scarce = driver.output_topic::<String, Option<i64>>("scarce");
    /// assert_eq!(scarce.read_key_values()?, [("tea".to_owned(), Some(3)), ("tea".to_owned(), None)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// `KTable.filter`.
    #[must_use]
    #[track_caller]
    pub fn filter(&self, predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> Self {
        self.filter_with(predicate, Named::default())
    }

    /// [`KTable::filter`] with a name.
    #[must_use]
    #[track_caller]
    pub fn filter_with(
        &self,
        predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static,
        named: impl Into<Named>,
    ) -> Self {
        self.add_filter(Arc::new(predicate), true, named.into(), None)
    }

    /// [`KTable::filter`] with a name and a store, if `materialized` names one.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KTable, Materialized, Named, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let stock: KTable<String, i64> = builder.table("stock");
    /// let store = Materialized::named("scarce");
    /// let scarce = stock.filter_materialized(|_, count| *count < 5, Named::default(), store);
    /// assert_eq!(scarce.queryable_store_name(), Some("scarce"));
    /// # builder.build()?;
    /// # Ok::<(), kstream::TopologyErrors>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn filter_materialized(
        &self,
        predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static,
        named: impl Into<Named>,
        materialized: Materialized<K, V>,
    ) -> Self {
        self.add_filter(Arc::new(predicate), true, named.into(), Some(materialized))
    }

    /// Keeps the rows that `predicate` refuses; otherwise as [`KTable::filter`].
    ///
    /// # Examples
    /// ```
    /// use kstream::{KTable, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let stock: KTable<String, i64> = builder.table("stock");
    /// stock.filter_not(|_, count| *count == 0).to_stream().to("in-stock");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input_topic::<String, i64>("stock").pipe("tea".to_owned(), 3)?;
    /// let in_stock = driver.output_topic::<String, Option<i64>>("in-stock");
    /// assert_eq!(in_stock.read_key_values()?, [("tea".to_owned(), Some(3))]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// `KTable.filterNot`.
    #[must_use]
    #[track_caller]
    pub fn filter_not(&self, predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> Self {
        self.filter_not_with(predicate, Named::default())
    }

    /// [`KTable::filter_not`] with a name.
    #[must_use]
    #[track_caller]
    pub fn filter_not_with(
        &self,
        predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static,
        named: impl Into<Named>,
    ) -> Self {
        self.add_filter(Arc::new(predicate), false, named.into(), None)
    }

    /// [`KTable::filter_not`] with a name and a store, if `materialized` names one.
    #[must_use]
    #[track_caller]
    pub fn filter_not_materialized(
        &self,
        predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static,
        named: impl Into<Named>,
        materialized: Materialized<K, V>,
    ) -> Self {
        self.add_filter(Arc::new(predicate), false, named.into(), Some(materialized))
    }

    #[track_caller]
    fn add_filter(
        &self,
        predicate: Predicate<K, V>,
        keep_if: bool,
        named: Named,
        materialized: Option<Materialized<K, V>>,
    ) -> Self {
        let derive: Derive<K, V, V> =
            Arc::new(move |key, value| (predicate(key, &value) == keep_if).then_some(value));
        let derivation = Derivation {
            prefix: "KTABLE-FILTER-",
            named,
            operator: Pure::<_, _, _, true>(derive),
            materialized,
            value_serde: self.table.value_serde.clone(),
        };
        self.derive(derivation, Location::caller())
    }
}
