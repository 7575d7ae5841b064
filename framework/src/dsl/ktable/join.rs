//! Joins of two tables by their key.

use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use super::kept_store::{KeptBy, KeptStore};
use super::origin::{JoinedTable, SendOld, TableView};
use super::{KTable, Table};
use crate::dsl::join_sides::TableByKey;
use crate::dsl::options::{Materialized, Named};
use crate::graph::{GraphNodeId, GraphNodeKind, Plan};
use crate::processor::Data;
use crate::processor::operators::table_join::{Combine, SideRules, TableJoin};
use crate::processor::operators::table_join_merge::TableJoinMerge;
use crate::processor::value_getter::plain_store_key;
use crate::topology::link::{NodeSupplier, flushing_node, node};

/// Which rows a join needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Both,
    Left,
    Either,
}

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
        let send_old = SendOld::default();
        let versioned = (self.table.versioned, other.table.versioned);
        let sides =
            Sides { needs, combine: Arc::clone(&combine), send_old: send_old.clone(), versioned };
        let (parents, nodes) =
            ((self.node, other.node), (names.this.as_str(), names.other.as_str()));
        plan.copartition(vec![self.node, other.node]);
        let [this, that] = sides.add(&mut plan, parents, nodes, views, location);
        let own_serdes =
            materialized.as_ref().map(|m| (m.key_serde.clone(), Arc::clone(&m.value_serde)));
        let (own_key_serde, value_serde) = own_serdes.unzip();
        let key_serde =
            own_key_serde.flatten().unwrap_or_else(|| Arc::clone(&self.table.key_serde));
        let store_name = materialized.as_ref().and_then(|materialized| materialized.name.clone());
        let versioned = materialized.as_ref().is_some_and(|options| options.history.is_some());
        let kept = materialized.map(|options| {
            let by = KeptBy { node: &names.merge, key_serde: &key_serde, send_old: &send_old };
            KeptStore::add(&mut plan, options, &by, location)
        });
        let store = kept.as_ref().map(|kept| kept.id);
        let (name, stores) = (names.merge, store.into_iter().collect());
        let kind = GraphNodeKind::Processor { name, supplier: merge::<K, V3>(kept), stores };
        let node = plan.add_node(vec![this, that], kind, location);
        drop(plan);
        let origin = JoinedTable {
            left: Rc::clone(&self.table.origin),
            right: Rc::clone(&other.table.origin),
            store: store.map(|store| (store, plain_store_key(&key_serde))),
            send_old,
            combine,
            left_required: needs != Side::Either,
        };
        let table = Table {
            value_serde,
            store_name: store_name.as_deref().map(Into::into),
            versioned,
            grace_ms: self.table.grace_ms.max(other.table.grace_ms),
            ..Table::new(Rc::new(origin), key_serde)
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

/// The names of a join's nodes.
struct JoinNames {
    this: String,
    other: String,
    merge: String,
}

impl JoinNames {
    fn new(plan: &mut Plan, named: &Named) -> Self {
        let suffixed = |suffix| named.0.as_ref().map(|name| format!("{name}{suffix}"));
        let merge = plan.name_or(named.0.clone(), "KTABLE-MERGE-");
        let this = plan.name_or(suffixed("-join-this"), "KTABLE-JOINTHIS-");
        let other = plan.name_or(suffixed("-join-other"), "KTABLE-JOINOTHER-");
        Self { this, other, merge }
    }
}

/// Both sides of a join.
struct Sides<L, R, V> {
    needs: Side,
    combine: Combine<L, R, V>,
    send_old: SendOld,
    /// Whether they keep their history.
    versioned: (bool, bool),
}

impl<L: Data, R: Data, V: Data> Sides<L, R, V> {
    /// Adds the nodes: updates of one table meet the rows of the other.
    fn add<K: Data>(
        self,
        plan: &mut Plan,
        parents: (GraphNodeId, GraphNodeId),
        names: (&str, &str),
        views: (TableView<K, L>, TableView<K, R>),
        location: &'static Location<'static>,
    ) -> [GraphNodeId; 2] {
        let combine = Arc::clone(&self.combine);
        let reverse: Combine<R, L, V> = Arc::new(move |right, left| combine(left, right));
        let (left, right) = views;
        let mut add = |parent, name: &str, stores, supplier| {
            let kind = GraphNodeKind::Processor { name: name.to_owned(), supplier, stores };
            plan.add_node(vec![parent], kind, location)
        };
        let (this_versioned, other_versioned) = self.versioned;
        let right_required = self.needs == Side::Both;
        let rules = SideRules { other_required: right_required, versioned: this_versioned };
        let stores = right.stores.clone();
        let this = side(right, self.combine, rules, self.send_old.clone());
        let this = add(parents.0, names.0, stores, this);
        let left_required = self.needs != Side::Either;
        let stores = left.stores.clone();
        let rules = SideRules { other_required: left_required, versioned: other_versioned };
        let other = side(left, reverse, rules, self.send_old);
        [this, add(parents.1, names.1, stores, other)]
    }
}

fn side<K: Data, V1: Data, V2: Data, V: Data>(
    other: TableView<K, V2>,
    combine: Combine<V1, V2, V>,
    rules: SideRules,
    send_old: SendOld,
) -> NodeSupplier {
    node(move |linker| {
        Ok(TableJoin {
            other: (other.getter)(linker)?,
            combine: Arc::clone(&combine),
            rules,
            send_old: send_old.is_enabled(),
            next: linker.outlet()?,
        })
    })
}

fn merge<K: Data, V: Data>(kept: Option<KeptStore<K>>) -> NodeSupplier {
    flushing_node(move |linker| {
        let kept = kept.as_ref().map(|kept| kept.link(linker)).transpose()?;
        Ok(TableJoinMerge::<K, V> { kept, next: linker.outlet()? })
    })
}
