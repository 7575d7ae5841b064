//! A stream as a table.

use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use super::KStream;
use crate::dsl::ktable::KTable;
use crate::dsl::ktable::source::{TableSourceSpec, add_table_source};
use crate::dsl::options::{Materialized, Named};
use crate::dsl::repartition::{RepartitionSpec, add_converting_repartition};
use crate::processor::Data;
use crate::serdes::{ArcSerde, DefaultSerde, OptionSerde};

impl<K: Data + DefaultSerde, V: Data> KStream<K, V> {
    /// The stream as a table: each record is the new value of its key, with default serdes.
    ///
    /// **Shape**: `(K, T)` or `(K, Option<T>)` records → `(K, T)` rows; `None` deletes the row. Records with a
    /// null key are dropped. If the key has changed since the records were last partitioned, they go through
    /// a repartition topic. Rows are only kept if an operator behind the table reads them.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KStream, KTable, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let orders: KStream<i64, String> = builder.stream("orders");
    /// let last_buyer: KTable<i64, String> = orders.to_table();
    /// last_buyer.filter(|_, buyer| buyer != "ann").to_stream().to("others");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input_topic::<i64, String>("orders").pipe(1, "bob".to_owned())?;
    /// let others = driver.output_topic::<i64, Option<String>>("others");
    /// assert_eq!(others.read_key_values()?, [(1, Some("bob".to_owned()))]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// `KStream.toTable` (KIP-523).
    #[track_caller]
    pub fn to_table<T: Data + DefaultSerde>(&self) -> KTable<K, T>
    where
        V: Into<Option<T>>,
    {
        self.to_table_with(Named::default(), Materialized::new())
    }

    /// [`KStream::to_table`] with a name, and with a store, if `materialized` names one. A repartition topic
    /// is called after the name.
    #[track_caller]
    pub fn to_table_with<T: Data>(
        &self,
        named: impl Into<Named>,
        mut materialized: Materialized<K, T>,
    ) -> KTable<K, T>
    where
        V: Into<Option<T>>,
    {
        let location = Location::caller();
        let mut plan = self.plan.borrow_mut();
        let name = plan.name_or(named.into().0, "KSTREAM-TOTABLE-");
        let queryable = materialized.name.is_some();
        if !queryable {
            materialized.name = Some(plan.store_name("KSTREAM-TOTABLE-"));
        }
        let key_serde = materialized.key_serde.clone().unwrap_or_else(|| self.inferred_key_serde());
        let repartition = self.repartition_required.then(|| {
            let names = plan.repartition_names(&name);
            let value_serde: ArcSerde<Option<T>> =
                Arc::new(OptionSerde::new(Arc::clone(&materialized.value_serde)));
            let key_serde = Arc::clone(&key_serde);
            RepartitionSpec { names, partitions: None, key_serde, value_serde }
        });
        match repartition {
            None => {
                drop(plan);
                let parent = self.node;
                let spec = TableSourceSpec { name, parent, key_serde, materialized, queryable };
                add_table_source::<K, V, T>(&self.plan, spec, location)
            }
            Some(spec) => {
                let parent = add_converting_repartition::<K, V, Option<T>>(
                    &mut plan, self.node, spec, location,
                );
                drop(plan);
                let spec = TableSourceSpec { name, parent, key_serde, materialized, queryable };
                add_table_source::<K, Option<T>, T>(&Rc::clone(&self.plan), spec, location)
            }
        }
    }
}
