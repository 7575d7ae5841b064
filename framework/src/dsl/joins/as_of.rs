//! An as-of join: a node that joins left records, one that keeps right ones, and one behind both.

use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use super::repartition::JoinSide;
use super::stores::{JoinStoreSpec, buffer_store};
use crate::dsl::kstream::KStream;
use crate::dsl::options::{JoinStore, StreamJoined};
use crate::error::Error;
use crate::graph::{GraphNodeId, GraphNodeKind, Plan};
use crate::processor::Data;
use crate::processor::operators::as_of_join::{AsOfLeft, AsOfLefts, AsOfLookup, AsOfRight};
use crate::processor::operators::merge::PassThrough;
use crate::processor::operators::stream_join::{Alone, Joiner};
use crate::processor::operators::waiting_records::{RecordBytes, WaitingRecords};
use crate::serdes::ArcSerde;
use crate::state::rows::RowHeaders;
use crate::time::windows::AsOf;
use crate::topology::StoreId;
use crate::topology::link::{Linker, NodeSupplier, node};

/// A join call.
pub(crate) struct AsOfJoinCall<'a, K, L, R, O> {
    pub(crate) left: &'a KStream<K, L>,
    pub(crate) right: &'a KStream<K, R>,
    pub(crate) matched: Joiner<K, L, R, O>,
    /// For left records without a match, in left joins.
    pub(crate) alone: Option<Alone<K, L, O>>,
    pub(crate) as_of: AsOf,
    pub(crate) joined: StreamJoined<K, L, R>,
}

/// The names of the nodes, left before right, and of the stores.
struct Names {
    left: String,
    right: String,
    merge: String,
    rights: String,
    waiting: String,
}

impl<K: Data, L: Data, R: Data, O: Data> AsOfJoinCall<'_, K, L, R, O> {
    /// Adds the join to the plan.
    pub(crate) fn add(self, location: &'static Location<'static>) -> KStream<K, O> {
        let shared_plan = Rc::clone(&self.left.plan);
        let mut plan = shared_plan.borrow_mut();
        let [left, right] = self.partitioned(&mut plan, location);
        plan.copartition(vec![left, right]);
        let names = self.names(&mut plan);
        if !Rc::ptr_eq(&self.left.plan, &self.right.plan) {
            let problem = "the streams come from different builders".to_owned();
            plan.report(format!("node {}", names.merge), problem, location);
        }
        let (rights, waiting) = self.add_stores(&mut plan, &names, location);
        let stores: Vec<StoreId> = [rights].into_iter().chain(waiting).collect();
        let mut add = |parents, name: &String, stores, supplier| {
            let kind = GraphNodeKind::Processor { name: name.clone(), supplier, stores };
            plan.add_node(parents, kind, location)
        };
        let spec = self.spec(&names, rights, waiting);
        let (for_left, for_right) = spec.suppliers(&self.joined.other_value_serde);
        let left = add(vec![left], &names.left, stores.clone(), for_left);
        let right = add(vec![right], &names.right, stores, for_right);
        let supplier = node(|linker| Ok(PassThrough::<K, O> { next: linker.outlet()? }));
        let merge = add(vec![left, right], &names.merge, Vec::new(), supplier);
        if self.alone.is_some() {
            plan.take_null_keys(left);
        }
        drop(plan);
        KStream::new(shared_plan, merge, false)
    }

    /// Both streams, partitioned by their keys.
    fn partitioned(
        &self,
        plan: &mut Plan,
        location: &'static Location<'static>,
    ) -> [GraphNodeId; 2] {
        let StreamJoined { key_serde, value_serde, other_value_serde, name, .. } = &self.joined;
        let topic = |side| name.as_ref().map(|name| format!("{name}-{side}"));
        let left = JoinSide { stream: self.left, key_serde, value_serde, name: topic("left") };
        let left = left.partitioned(plan, location);
        let right = JoinSide {
            stream: self.right,
            key_serde,
            value_serde: other_value_serde,
            name: topic("right"),
        };
        [left, right.partitioned(plan, location)]
    }

    fn names(&self, plan: &mut Plan) -> Names {
        let named = |suffix| self.joined.name.as_ref().map(|name| format!("{name}{suffix}"));
        let [generated_left, generated_right] =
            ["KSTREAM-ASOFTHIS-", "KSTREAM-ASOFOTHER-"].map(|prefix| plan.processor_name(prefix));
        let merge = plan.name_or(named("-merge"), "KSTREAM-MERGE-");
        let base = self.joined.store_name.as_ref();
        let [waiting, rights] = match base {
            Some(base) => ["this", "other"].map(|side| format!("{base}-{side}-as-of-store")),
            None => [&generated_left, &generated_right].map(|name| format!("{name}-store")),
        };
        let chosen = |store: &Option<JoinStore>| store.as_ref().map(|store| store.name.clone());
        Names {
            left: named("-this-as-of").unwrap_or(generated_left),
            right: named("-other-as-of").unwrap_or(generated_right),
            merge,
            rights: chosen(&self.joined.other_store).unwrap_or(rights),
            waiting: chosen(&self.joined.this_store).unwrap_or(waiting),
        }
    }

    /// The store of right records, and that of left ones that wait, if there is a grace period.
    fn add_stores(
        &self,
        plan: &mut Plan,
        names: &Names,
        location: &'static Location<'static>,
    ) -> (StoreId, Option<StoreId>) {
        let joined = &self.joined;
        let rights = JoinStoreSpec {
            name: names.rights.clone(),
            retention_ms: Some(self.as_of.retention_ms()),
            store_type: joined.other_store.as_ref().map_or(joined.store_type, |s| s.store_type),
            logging: joined.logging,
            topic_configs: joined.topic_configs.clone(),
            value_serde: Arc::clone(&joined.other_value_serde),
            headers: RowHeaders::Dropped,
            row_cache: true,
        };
        let rights = plan.add_store(rights.store(), location);
        let waiting = (self.as_of.grace_ms() > 0).then(|| {
            let topic_configs = joined.topic_configs.clone();
            let store = buffer_store(names.waiting.clone(), joined.logging, topic_configs);
            plan.add_store(store, location)
        });
        (rights, waiting)
    }

    fn spec(&self, names: &Names, rights: StoreId, waiting: Option<StoreId>) -> Spec<K, L, R, O> {
        Spec {
            left_name: names.left.clone(),
            right_name: names.right.clone(),
            as_of: self.as_of,
            key_serde: Arc::clone(&self.joined.key_serde),
            value_serde: Arc::clone(&self.joined.value_serde),
            matched: Arc::clone(&self.matched),
            alone: self.alone.clone(),
            rights,
            waiting,
        }
    }
}

/// The join, as its suppliers keep it.
struct Spec<K, L, R, O> {
    left_name: String,
    right_name: String,
    as_of: AsOf,
    key_serde: ArcSerde<K>,
    value_serde: ArcSerde<L>,
    matched: Joiner<K, L, R, O>,
    alone: Option<Alone<K, L, O>>,
    rights: StoreId,
    waiting: Option<StoreId>,
}

impl<K: Data, L: Data, R: Data, O: Data> Spec<K, L, R, O> {
    fn lefts(&self, name: &str, linker: &mut Linker<'_>) -> Result<AsOfLefts<K, L, R, O>, Error> {
        let waiting = match self.waiting {
            None => None,
            Some(store) => Some(WaitingRecords {
                name: name.to_owned(),
                key_serde: Arc::clone(&self.key_serde),
                value_serde: Arc::clone(&self.value_serde),
                buffer: linker.buffer(store)?,
                bytes: RecordBytes::default(),
            }),
        };
        let lookup = AsOfLookup {
            name: name.to_owned(),
            as_of: self.as_of,
            key_serde: Arc::clone(&self.key_serde),
            rights: linker.rows(self.rights)?,
            matched: Arc::clone(&self.matched),
            alone: self.alone.clone(),
            next: linker.outlet()?,
            from: Vec::new(),
            to: Vec::new(),
        };
        Ok(AsOfLefts { lookup, waiting, clock: linker.shared(self.rights) })
    }

    /// The nodes of both sides.
    fn suppliers(self, right_serde: &ArcSerde<R>) -> (NodeSupplier, NodeSupplier) {
        let spec = Arc::new(self);
        let (for_right, right_serde) = (Arc::clone(&spec), Arc::clone(right_serde));
        let left = node(move |linker| {
            let value_serde = Arc::clone(&spec.value_serde);
            Ok(AsOfLeft { lefts: spec.lefts(&spec.left_name, linker)?, value_serde })
        });
        let right = node(move |linker| {
            Ok(AsOfRight {
                name: for_right.right_name.clone(),
                lefts: for_right.lefts(&for_right.right_name, linker)?,
                value_serde: Arc::clone(&right_serde),
                key_bytes: Vec::new(),
            })
        });
        (left, right)
    }
}
