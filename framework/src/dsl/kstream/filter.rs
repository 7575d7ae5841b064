//! `filter` and `filter_not`.

use std::sync::Arc;

use super::{KStream, Operator};
use crate::dsl::options::Named;
use crate::processor::Data;
use crate::processor::operators::filter::{Filter, Predicate};
use crate::topology::link::node;

impl<K: Data, V: Data> KStream<K, V> {
    /// Keeps the records that `predicate` accepts.
    ///
    /// **Shape**: `(K, V)` → `(K, V)`, none or one per record; the key does not change.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let sizes: KStream<String, i64> = builder.stream("sizes");
    /// sizes.filter(|_, size| *size > 100).to("large");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, i64>("sizes");
    /// input.pipe("a".to_owned(), 7)?;
    /// input.pipe("b".to_owned(), 700)?;
    /// let large = driver.output_topic::<String, i64>("large");
    /// assert_eq!(large.read_key_values()?, [("b".to_owned(), 700)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn filter(&self, predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> Self {
        self.filter_with(predicate, Named::default())
    }

    /// [`KStream::filter`] with a name.
    #[must_use]
    #[track_caller]
    pub fn filter_with(
        &self,
        predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static,
        named: impl Into<Named>,
    ) -> Self {
        self.add_filter(Arc::new(predicate), true, named.into())
    }

    /// Keeps the records that `predicate` refuses.
    ///
    /// **Shape**: `(K, V)` → `(K, V)`, none or one per record; the key does not change.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let stream: KStream<String, i64> = builder.stream("in");
    /// stream.filter_not(|_, size| *size > 100).to("small");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, i64>("in");
    /// input.pipe("a".to_owned(), 7)?;
    /// input.pipe("b".to_owned(), 700)?;
    /// let out = driver.output_topic::<String, i64>("small").read_key_values()?;
    /// assert_eq!(out, [("a".to_owned(), 7)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn filter_not(&self, predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> Self {
        self.filter_not_with(predicate, Named::default())
    }

    /// [`KStream::filter_not`] with a name.
    #[must_use]
    #[track_caller]
    pub fn filter_not_with(
        &self,
        predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static,
        named: impl Into<Named>,
    ) -> Self {
        self.add_filter(Arc::new(predicate), false, named.into())
    }

    #[track_caller]
    fn add_filter(&self, predicate: Predicate<K, V>, keep_if: bool, named: Named) -> Self {
        let supplier = node(move |linker| {
            Ok(Filter { predicate: Arc::clone(&predicate), keep_if, next: linker.outlet()? })
        });
        self.add(Operator { prefix: "KSTREAM-FILTER-", named, changes_key: false }, supplier)
    }
}
