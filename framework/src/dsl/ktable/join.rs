//! Joins of two tables by their key.

mod nodes;

use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use super::kept_store::OutputTable;
use super::origin::{JoinedTable, SendOld};
use super::{KTable, Table};
use crate::dsl::join_sides::TableByKey;
use crate::dsl::options::{Materialized, Named};
use crate::processor::Data;
use crate::processor::operators::table_join::Combine;
use nodes::{JoinNames, JoinNodes, Side, merge_kind};

/// A join to be added.
struct Join<K, L, R, V> {
    needs: Side,
    combine: Combine<L, R, V>,
    named: Named,
    materialized: Option<Materialized<K, V>>,
}

impl<K: Data, V: Data> KTable<K, V> {
    /// Joins rows of two tables that have the same key: a row for each key that both have.
    ///
    /// **Shape**: `(K, V)` and `(K, V2)` rows → `(K, V3)` rows; the key does not change. An update on either
    /// side makes an update of the result, a deletion deletes it. Both tables are kept in stores from now
    /// on, if they were not, and must have the same number of partitions.
    ///
    /// **Time**: a result has the higher timestamp of both rows.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KTable, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let price: KTable<String, i64> = builder.table("prices");
    /// let stock: KTable<String, i64> = builder.table("stock");
    /// price.join(&stock, |price, stock| price * stock).to_stream().to("values");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input_topic::<String, i64>("prices").pipe("tea".to_owned(), 3)?;
    /// driver.input_topic::<String, i64>("stock").pipe("tea".to_owned(), 10)?;
    /// let values = driver.output_topic::<String, Option<i64>>("values");
    /// assert_eq!(values.read_key_values()?, [("tea".to_owned(), Some(30))]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// `KTable.join`.
    #[track_caller]
    pub fn join<V2: Data, V3: Data>(
        &self,
        other: &impl TableByKey<K, V2>,
        joiner: impl Fn(&V, &V2) -> V3 + Send + Sync + 'static,
    ) -> KTable<K, V3> {
        self.join_with(other, joiner, Named::default())
    }

    /// [`KTable::join`] with a name.
    #[track_caller]
    pub fn join_with<V2: Data, V3: Data>(
        &self,
        other: &impl TableByKey<K, V2>,
        joiner: impl Fn(&V, &V2) -> V3 + Send + Sync + 'static,
        named: impl Into<Named>,
    ) -> KTable<K, V3> {
        let join = Join::inner(joiner, named.into(), None);
        self.add_join(other.table(), join, Location::caller())
    }

    /// [`KTable::join`] with a name, and with a store for the results.
    #[track_caller]
    pub fn join_materialized<V2: Data, V3: Data>(
        &self,
        other: &impl TableByKey<K, V2>,
        joiner: impl Fn(&V, &V2) -> V3 + Send + Sync + 'static,
        named: impl Into<Named>,
        materialized: Materialized<K, V3>,
    ) -> KTable<K, V3> {
        let join = Join::inner(joiner, named.into(), Some(materialized));
        self.add_join(other.table(), join, Location::caller())
    }

    /// Joins rows of two tables that have the same key: a row for each key that this table has.
    ///
    /// **Shape**: as [`KTable::join`]; the joiner gets `None` where the other table has no row.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KTable, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let price: KTable<String, i64> = builder.table("prices");
    /// let discount: KTable<String, i64> = builder.table("discounts");
    /// let reduced = |price: &i64, discount: Option<&i64>| price - discount.unwrap_or(&0);
    /// price.left_join(&discount, reduced).to_stream().to("reduced");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input_topic::<String, i64>("prices").pipe("tea".to_owned(), 3)?;
    /// driver.input_topic::<String, i64>("discounts").pipe("tea".to_owned(), 1)?;
    /// let reduced = driver.output_topic::<String, Option<i64>>("reduced");
    /// assert_eq!(reduced.read_key_values()?, [("tea".to_owned(), Some(3)), ("tea".to_owned(), Some(2))]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// `KTable.leftJoin`.
    #[track_caller]
    pub fn left_join<V2: Data, V3: Data>(
        &self,
        other: &impl TableByKey<K, V2>,
        joiner: impl Fn(&V, Option<&V2>) -> V3 + Send + Sync + 'static,
    ) -> KTable<K, V3> {
        self.left_join_with(other, joiner, Named::default())
    }

    /// [`KTable::left_join`] with a name.
    #[track_caller]
    pub fn left_join_with<V2: Data, V3: Data>(
        &self,
        other: &impl TableByKey<K, V2>,
        joiner: impl Fn(&V, Option<&V2>) -> V3 + Send + Sync + 'static,
        named: impl Into<Named>,
    ) -> KTable<K, V3> {
        let join = Join::left(joiner, named.into(), None);
        self.add_join(other.table(), join, Location::caller())
    }

    /// [`KTable::left_join`] with a name, and with a store for the results.
    #[track_caller]
    pub fn left_join_materialized<V2: Data, V3: Data>(
        &self,
        other: &impl TableByKey<K, V2>,
        joiner: impl Fn(&V, Option<&V2>) -> V3 + Send + Sync + 'static,
        named: impl Into<Named>,
        materialized: Materialized<K, V3>,
    ) -> KTable<K, V3> {
        let join = Join::left(joiner, named.into(), Some(materialized));
        self.add_join(other.table(), join, Location::caller())
    }

    /// Joins rows of two tables that have the same key: a row for each key that one of them has.
    ///
    /// **Shape**: as [`KTable::join`]; the joiner gets `None` for the table that has no row, never twice.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KTable, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let here: KTable<String, i64> = builder.table("here");
    /// let there: KTable<String, i64> = builder.table("there");
    /// let sum = |here: Option<&i64>, there: Option<&i64>| here.unwrap_or(&0) + there.unwrap_or(&0);
    /// here.outer_join(&there, sum).to_stream().to("sums");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input_topic::<String, i64>("there").pipe("tea".to_owned(), 3)?;
    /// driver.input_topic::<String, i64>("here").pipe("tea".to_owned(), 4)?;
    /// let sums = driver.output_topic::<String, Option<i64>>("sums");
    /// assert_eq!(sums.read_key_values()?, [("tea".to_owned(), Some(3)), ("tea".to_owned(), Some(7))]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// `KTable.outerJoin`.
    #[track_caller]
    pub fn outer_join<V2: Data, V3: Data>(
        &self,
        other: &impl TableByKey<K, V2>,
        joiner: impl Fn(Option<&V>, Option<&V2>) -> V3 + Send + Sync + 'static,
    ) -> KTable<K, V3> {
        self.outer_join_with(other, joiner, Named::default())
    }

    /// [`KTable::outer_join`] with a name.
    #[track_caller]
    pub fn outer_join_with<V2: Data, V3: Data>(
        &self,
        other: &impl TableByKey<K, V2>,
        joiner: impl Fn(Option<&V>, Option<&V2>) -> V3 + Send + Sync + 'static,
        named: impl Into<Named>,
    ) -> KTable<K, V3> {
        let join = Join::outer(joiner, named.into(), None);
        self.add_join(other.table(), join, Location::caller())
    }

    /// [`KTable::outer_join`] with a name, and with a store for the results.
    #[track_caller]
    pub fn outer_join_materialized<V2: Data, V3: Data>(
        &self,
        other: &impl TableByKey<K, V2>,
        joiner: impl Fn(Option<&V>, Option<&V2>) -> V3 + Send + Sync + 'static,
        named: impl Into<Named>,
        materialized: Materialized<K, V3>,
    ) -> KTable<K, V3> {
        let join = Join::outer(joiner, named.into(), Some(materialized));
        self.add_join(other.table(), join, Location::caller())
    }

    fn add_join<V2: Data, V3: Data>(
        &self,
        other: &KTable<K, V2>,
        join: Join<K, V, V2, V3>,
        location: &'static Location<'static>,
    ) -> KTable<K, V3> {
        let Join { needs, combine, named, mut materialized } = join;
        if needs != Side::Both {
            self.enable_sending_old_values(true);
        }
        if needs == Side::Either {
            other.enable_sending_old_values(true);
        }
        let views = (self.view(), other.view());
        let mut plan = self.plan.borrow_mut();
        if let Some(materialized) = &mut materialized
            && materialized.name.is_none()
        {
            materialized.name = Some(plan.store_name("KTABLE-MERGE-"));
        }
        let names = JoinNames::new(&mut plan, &named);
        if !Rc::ptr_eq(&self.plan, &other.plan) {
            let problem = "the tables come from different builders".to_owned();
            plan.report(format!("node {}", names.merge), problem, location);
        }
        let send_old = SendOld::default();
        let by = (names.merge.as_str(), &send_old);
        let mut output =
            OutputTable::new(&mut plan, materialized, &self.table.key_serde, by, location);
        let store = output.store();
        let nodes = JoinNodes {
            needs,
            combine: Arc::clone(&combine),
            send_old: send_old.clone(),
            versioned: (self.table.versioned, other.table.versioned),
            location,
        };
        let [this, that] = nodes.add_sides(&mut plan, (self.node, other.node), &names, views);
        let merge = merge_kind::<K, V3>(names.merge, output.kept.take());
        let node = plan.add_node(vec![this, that], merge, location);
        drop(plan);
        let (left, right) = (Rc::clone(&self.table.origin), Rc::clone(&other.table.origin));
        let left_required = needs != Side::Either;
        let origin = JoinedTable { left, right, store, send_old, combine, left_required };
        let table = Table {
            origin: Rc::new(origin),
            key_serde: output.key_serde,
            value_serde: output.value_serde,
            store_name: output.store_name,
            versioned: output.versioned,
            grace_ms: self.table.grace_ms.max(other.table.grace_ms),
        };
        KTable::new(Rc::clone(&self.plan), node, table)
    }
}

impl<K, L: 'static, R: 'static, V: 'static> Join<K, L, R, V> {
    fn inner(
        joiner: impl Fn(&L, &R) -> V + Send + Sync + 'static,
        named: Named,
        materialized: Option<Materialized<K, V>>,
    ) -> Self {
        let combine: Combine<L, R, V> = Arc::new(move |l, r| Some(joiner(l?, r?)));
        Self { needs: Side::Both, combine, named, materialized }
    }

    fn left(
        joiner: impl Fn(&L, Option<&R>) -> V + Send + Sync + 'static,
        named: Named,
        materialized: Option<Materialized<K, V>>,
    ) -> Self {
        let combine: Combine<L, R, V> = Arc::new(move |l, r| Some(joiner(l?, r)));
        Self { needs: Side::Left, combine, named, materialized }
    }

    fn outer(
        joiner: impl Fn(Option<&L>, Option<&R>) -> V + Send + Sync + 'static,
        named: Named,
        materialized: Option<Materialized<K, V>>,
    ) -> Self {
        let combine: Combine<L, R, V> =
            Arc::new(move |l, r| (l.is_some() || r.is_some()).then(|| joiner(l, r)));
        Self { needs: Side::Either, combine, named, materialized }
    }
}
