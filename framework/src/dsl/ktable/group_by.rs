//! `group_by` on a table.

use std::cell::Cell;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use super::KTable;
use crate::dsl::kgrouped_table::KGroupedTable;
use crate::dsl::options::Grouped;
use crate::graph::GraphNodeKind;
use crate::processor::Data;
use crate::processor::operators::table_select::{Selector, TableSelect};
use crate::serdes::DefaultSerde;
use crate::topology::link::node;

impl<K: Data, V: Data> KTable<K, V> {
    /// Groups rows by a new key, with default serdes.
    ///
    /// **Shape**: `(K, V)` rows → `(K2, V2)` rows, which aggregations add to their groups and, when they
    /// change or are deleted, take out again. A row whose new key or value is null is in no group. Always goes
    /// through a repartition topic. The table is kept in a store from now on, if it was not.
    ///
    /// # Examples
    /// How many users each country has now:
    /// ```
    /// use kstream::{KTable, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let country_of_user: KTable<String, String> = builder.table("users");
    /// let by_country = country_of_user.group_by(|user: &String, country| (country, user.clone()));
    /// by_country.count().to_stream().to("counts");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, String>("users");
    /// input.pipe("ann".to_owned(), "NL".to_owned())?;
    /// input.pipe("ann".to_owned(), "DE".to_owned())?;
    /// let counts = driver.output_topic::<String, Option<i64>>("counts").read_key_values()?;
    /// let expected = [("NL", 1), ("NL", 0), ("DE", 1)];
    /// assert_eq!(counts, expected.map(|(country, count)| (country.to_owned(), Some(count))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// `KTable.groupBy`.
    #[track_caller]
    pub fn group_by<K2: Data + PartialEq + DefaultSerde, V2: Data + DefaultSerde>(
        &self,
        selector: impl Fn(&K, V) -> (K2, V2) + Send + Sync + 'static,
    ) -> KGroupedTable<K2, V2> {
        self.group_by_with(selector, Grouped::new())
    }

    /// [`KTable::group_by`] with options.
    #[track_caller]
    pub fn group_by_with<K2: Data + PartialEq, V2: Data>(
        &self,
        selector: impl Fn(&K, V) -> (K2, V2) + Send + Sync + 'static,
        grouped: Grouped<K2, V2>,
    ) -> KGroupedTable<K2, V2> {
        let selector: Selector<K, V, K2, V2> = Arc::new(selector);
        let (key_serde, value_serde) =
            (Arc::clone(&grouped.key_serde), Arc::clone(&grouped.value_serde));
        let versioned = self.table.versioned;
        let supplier = node(move |linker| {
            Ok(TableSelect {
                selector: Arc::clone(&selector),
                key_serde: Arc::clone(&key_serde),
                value_serde: Arc::clone(&value_serde),
                versioned,
                next: linker.outlet()?,
            })
        });
        let mut plan = self.plan.borrow_mut();
        let name = plan.name_or(grouped.name.clone(), "KTABLE-SELECT-");
        let kind = GraphNodeKind::Processor { name, supplier, stores: Vec::new() };
        let node = plan.add_node(vec![self.node], kind, Location::caller());
        drop(plan);
        self.enable_sending_old_values(true);
        let plan = Rc::clone(&self.plan);
        KGroupedTable { plan, node, grouped, repartition: Rc::new(Cell::new(None)) }
    }
}
