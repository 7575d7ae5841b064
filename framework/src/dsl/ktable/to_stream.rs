//! A table's updates as a stream.

use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use super::KTable;
use crate::dsl::kstream::KStream;
use crate::dsl::options::Named;
use crate::graph::GraphNodeKind;
use crate::processor::Data;
use crate::processor::operators::to_stream::ToStream;
use crate::topology::link::node;

impl<K: Data, V: Data> KTable<K, V> {
    /// The table's updates as a stream.
    ///
    /// **Shape**: `(K, V)` rows → `(K, Option<V>)` records; a deletion is `None`. The key does not change.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KTable, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let prices: KTable<String, i64> = builder.table("prices");
    /// prices.to_stream().to("updates");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, Option<i64>>("prices");
    /// input.pipe("tea".to_owned(), Some(3))?;
    /// input.pipe("tea".to_owned(), None)?;
    /// let updates = driver.output_topic::<String, Option<i64>>("updates");
    /// assert_eq!(updates.read_key_values()?, [("tea".to_owned(), Some(3)), ("tea".to_owned(), None)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// `KTable.toStream`; there a deletion is a null value of the same type.
    #[track_caller]
    pub fn to_stream(&self) -> KStream<K, Option<V>> {
        self.to_stream_with(Named::default())
    }

    /// [`KTable::to_stream`] with a name.
    #[track_caller]
    pub fn to_stream_with(&self, named: impl Into<Named>) -> KStream<K, Option<V>> {
        let mut plan = self.plan.borrow_mut();
        let name = plan.name_or(named.into().0, "KTABLE-TOSTREAM-");
        let supplier = node(|linker| Ok(ToStream::<K, V> { next: linker.outlet()? }));
        let kind = GraphNodeKind::Processor { name, supplier, stores: Vec::new() };
        let node = plan.add_node(vec![self.node], kind, Location::caller());
        drop(plan);
        // What the default serde of such keys would not know: whether they are of sessions, how long windows are.
        let windowed = self.table.grace_ms.map(|_| Arc::clone(&self.table.key_serde));
        KStream::new(Rc::clone(&self.plan), node, false).with_key_serde(windowed)
    }

    /// The table's updates as a stream with other keys.
    ///
    /// **Shape**: `(K, V)` rows → `(K2, Option<V>)` records; a deletion is `None`. The key changes: a grouping
    /// behind it goes through a repartition topic.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KTable, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let prices: KTable<String, i64> = builder.table("prices");
    /// prices.to_stream_with_key(|tea, _| tea.len() as i64).to("by-length");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input_topic::<String, i64>("prices").pipe("tea".to_owned(), 5)?;
    /// let updates = driver.output_topic::<i64, Option<i64>>("by-length");
    /// assert_eq!(updates.read_key_values()?, [(3, Some(5))]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// `KTable.toStream(KeyValueMapper)`.
    #[track_caller]
    pub fn to_stream_with_key<K2: Data>(
        &self,
        mapper: impl Fn(&K, &Option<V>) -> K2 + Send + Sync + 'static,
    ) -> KStream<K2, Option<V>> {
        self.to_stream().select_key(mapper)
    }
}
