//! A stream-table join: a node that reads the table's rows.

use std::collections::BTreeMap;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::repartition::JoinSide;
use super::stores::buffer_store;
use crate::dsl::kstream::KStream;
use crate::dsl::ktable::KTable;
use crate::dsl::ktable::origin::{GetterSupplier, TableView};
use crate::dsl::options::Joined;
use crate::error::Error;
use crate::graph::GraphNodeKind;
use crate::processor::Data;
use crate::processor::operators::stream_join::{Alone, Joiner};
use crate::processor::operators::stream_table_join::{
    GracedStreamTableJoin, RowLookup, StreamTableJoin,
};
use crate::processor::operators::waiting_records::{RecordBytes, WaitingRecords};
use crate::serdes::ArcSerde;
use crate::time::windows::whole_ms;
use crate::topology::StoreId;
use crate::topology::link::{Linker, NodeSupplier, node};

/// A join call.
pub(crate) struct TableJoinCall<'a, K, V, T, O> {
    pub(crate) stream: &'a KStream<K, V>,
    pub(crate) table: &'a KTable<K, T>,
    pub(crate) matched: Joiner<K, V, T, O>,
    /// For records without a row, in left joins.
    pub(crate) alone: Option<Alone<K, V, O>>,
    pub(crate) joined: Joined<K, V>,
}

impl<K: Data, V: Data, T: Data, O: Data> TableJoinCall<'_, K, V, T, O> {
    /// Adds the join to the plan.
    pub(crate) fn add(self, location: &'static Location<'static>) -> KStream<K, O> {
        let Self { stream, table, matched, alone, joined } = self;
        let Joined { key_serde, value_serde, name, grace } = joined;
        let TableView { mut stores, getter } = table.view();
        let shared_plan = Rc::clone(&stream.plan);
        let mut plan = shared_plan.borrow_mut();
        let (side_key, side_value, side_name) = (&key_serde, &value_serde, name.clone());
        let side =
            JoinSide { stream, key_serde: side_key, value_serde: side_value, name: side_name };
        let parent = side.partitioned(&mut plan, location);
        plan.copartition(vec![parent, table.node]);
        let left = alone.is_some();
        let prefix = if left { "KSTREAM-LEFTJOIN-" } else { "KSTREAM-JOIN-" };
        let name = plan.name_or(name, prefix);
        if !Rc::ptr_eq(&stream.plan, &table.plan) {
            let problem = "stream and table come from different builders".to_owned();
            plan.report(format!("node {name}"), problem, location);
        }
        let lookup =
            LookupSpec { name: name.clone(), key_serde, value_serde, getter, matched, alone };
        let supplier: NodeSupplier = match grace {
            None => node(move |linker| Ok(StreamTableJoin(lookup.build(linker)?))),
            Some(grace) => {
                let history_ms = stores.iter().filter_map(|store| plan.history_ms(*store)).min();
                let problem = grace_problem(grace, history_ms.filter(|_| table.table.versioned));
                if let Some(problem) = problem {
                    plan.report(format!("node {name}"), problem, location);
                }
                let buffer = buffer_store(format!("{name}-Buffer"), true, BTreeMap::new());
                let buffer = plan.add_store(buffer, location);
                stores.push(buffer);
                lookup.graced(buffer, grace)
            }
        };
        let kind = GraphNodeKind::Processor { name, supplier, stores };
        let node = plan.add_node(vec![parent], kind, location);
        if left {
            plan.take_null_keys(node);
        }
        drop(plan);
        KStream::new(shared_plan, node, false)
    }
}

/// A lookup, as its supplier keeps it.
struct LookupSpec<K, V, T, O> {
    name: String,
    key_serde: ArcSerde<K>,
    value_serde: ArcSerde<V>,
    getter: GetterSupplier<K, T>,
    matched: Joiner<K, V, T, O>,
    alone: Option<Alone<K, V, O>>,
}

impl<K: Data, V: Data, T: Data, O: Data> LookupSpec<K, V, T, O> {
    fn build(&self, linker: &Linker<'_>) -> Result<RowLookup<K, V, T, O>, Error> {
        Ok(RowLookup {
            key_serde: Arc::clone(&self.key_serde),
            value_serde: Arc::clone(&self.value_serde),
            getter: (self.getter)(linker)?,
            matched: Arc::clone(&self.matched),
            alone: self.alone.clone(),
            next: linker.outlet()?,
        })
    }

    /// The join node with a grace period.
    fn graced(self, buffer: StoreId, grace: Duration) -> NodeSupplier {
        let grace_ms = whole_ms(grace);
        node(move |linker| {
            let waiting = WaitingRecords {
                name: self.name.clone(),
                key_serde: Arc::clone(&self.key_serde),
                value_serde: Arc::clone(&self.value_serde),
                buffer: linker.buffer(buffer)?,
                bytes: RecordBytes::default(),
            };
            Ok(GracedStreamTableJoin {
                lookup: self.build(linker)?,
                waiting,
                grace_ms,
                stream_time: -1,
            })
        })
    }
}

/// What is wrong with a grace period, given the table's history.
fn grace_problem(grace: Duration, history_ms: Option<i64>) -> Option<String> {
    match history_ms {
        None => Some(
            "a join with a grace period looks rows up in the table's history; give the table a versioned \
             store, with Materialized::versioned"
                .to_owned(),
        ),
        Some(history_ms) if grace.as_millis() > u128::from(history_ms.unsigned_abs()) => {
            Some(format!(
                "its grace period of {} ms reaches further back than the table's history, {history_ms} ms; \
                 make the history at least as long",
                grace.as_millis()
            ))
        }
        Some(_) => None,
    }
}
