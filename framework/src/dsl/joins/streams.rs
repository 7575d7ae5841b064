//! A stream-stream join: two nodes that keep records, two that look for matches, and one behind them.
//!
//! Names, their order and the stores are those of Kafka Streams' `KStreamImplJoin`.

use std::any::Any;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use super::repartition::JoinSide;
use super::sides::{SideSpec, WindowedSpec};
use super::stores::JoinStoreSpec;
use crate::dsl::kstream::KStream;
use crate::dsl::options::{JoinStore, StreamJoined};
use crate::graph::{GraphNodeId, GraphNodeKind, Plan, StreamJoinNodes};
use crate::processor::Data;
use crate::processor::operators::merge::PassThrough;
use crate::processor::operators::self_join::SelfJoin;
use crate::processor::operators::stream_join::{JoinRows, Joiner, Joiners, Outer};
use crate::processor::operators::unmatched::{Either, Side, UnmatchedSerde};
use crate::serdes::ArcSerde;
use crate::state::rows::RowHeaders;
use crate::time::windows::JoinWindows;
use crate::topology::link::{NodeSupplier, node};
use crate::topology::{StoreId, StoreType};

/// A join call.
pub(crate) struct StreamJoinCall<'a, K, L, R, O> {
    pub(crate) left: &'a KStream<K, L>,
    pub(crate) right: &'a KStream<K, R>,
    pub(crate) joiners: Joiners<K, L, R, O>,
    pub(crate) windows: JoinWindows,
    pub(crate) joined: StreamJoined<K, L, R>,
}

/// The names of the nodes, left before right, and the numbers that the stores are named after.
struct Names {
    windowed: [String; 2],
    generated: [String; 2],
    joins: [String; 2],
    merge: String,
}

/// The nodes that both sides get their records from, and the line of code that joins them.
struct Sources {
    nodes: [GraphNodeId; 2],
    location: &'static Location<'static>,
}

/// The stores: of the left side, of the right side, of records without a match.
#[derive(Clone, Copy)]
struct Stores {
    left: StoreId,
    right: StoreId,
    unmatched: Option<StoreId>,
}

impl<K: Data, L: Data, R: Data, O: Data> StreamJoinCall<'_, K, L, R, O> {
    /// Adds the join to the plan.
    pub(crate) fn add(self, location: &'static Location<'static>) -> KStream<K, O> {
        let shared_plan = Rc::clone(&self.left.plan);
        let mut plan = shared_plan.borrow_mut();
        let [left, right] = self.partitioned(&mut plan, location);
        plan.copartition(vec![left, right]);
        let names = self.names(&mut plan);
        let problems = self.windows.problem().into_iter();
        let other_builder = (!Rc::ptr_eq(&self.left.plan, &self.right.plan))
            .then(|| "the streams come from different builders".to_owned());
        for problem in problems.chain(other_builder) {
            plan.report(format!("node {}", names.merge), problem, location);
        }
        let stores = self.add_stores(&mut plan, &names, location);
        let sources = Sources { nodes: [left, right], location };
        let merge = self.add_nodes(&mut plan, sources, &names, stores);
        if self.joiners.left.is_some() {
            plan.take_null_keys(merge);
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
        let topic = |side| self.joined.name.as_ref().map(|name| format!("{name}-{side}"));
        let key_serde = &self.joined.key_serde;
        let left = JoinSide {
            stream: self.left,
            key_serde,
            value_serde: &self.joined.value_serde,
            name: topic("left"),
        };
        let left = left.partitioned(plan, location);
        let right = JoinSide {
            stream: self.right,
            key_serde,
            value_serde: &self.joined.other_value_serde,
            name: topic("right"),
        };
        [left, right.partitioned(plan, location)]
    }

    /// What the names of join nodes and stores end in.
    fn suffixes(&self) -> [&'static str; 2] {
        let right_outer = self.joiners.right.is_some();
        let left_outer = self.joiners.left.is_some();
        [
            if right_outer { "-outer-this-join" } else { "-this-join" },
            if left_outer { "-outer-other-join" } else { "-other-join" },
        ]
    }

    fn names(&self, plan: &mut Plan) -> Names {
        let named = |suffix| self.joined.name.as_ref().map(|name| format!("{name}{suffix}"));
        let windowed = ["-this-windowed", "-other-windowed"]
            .map(|suffix| plan.name_or(named(suffix), "KSTREAM-WINDOWED-"));
        let right_outer = self.joiners.right.is_some();
        let left_outer = self.joiners.left.is_some();
        let generated = [
            if right_outer { "KSTREAM-OUTERTHIS-" } else { "KSTREAM-JOINTHIS-" },
            if left_outer { "KSTREAM-OUTEROTHER-" } else { "KSTREAM-JOINOTHER-" },
        ]
        .map(|prefix| plan.processor_name(prefix));
        let [this, other] = self.suffixes();
        let [generated_this, generated_other] = &generated;
        let joins = [
            named(this).unwrap_or_else(|| generated_this.clone()),
            named(other).unwrap_or_else(|| generated_other.clone()),
        ];
        let merge = plan.name_or(named("-merge"), "KSTREAM-MERGE-");
        Names { windowed, generated, joins, merge }
    }

    fn add_stores(
        &self,
        plan: &mut Plan,
        names: &Names,
        location: &'static Location<'static>,
    ) -> Stores {
        let joined = &self.joined;
        let [this, other] = self.suffixes();
        let [generated_this, generated_other] = &names.generated;
        let name = |suffix: &str, generated: &str| match &joined.store_name {
            Some(base) => format!("{base}{suffix}-store"),
            None => format!("{generated}-store"),
        };
        let chosen = |store: &Option<JoinStore>| store.as_ref().map(|store| store.name.clone());
        let this_name = chosen(&joined.this_store).unwrap_or_else(|| name(this, generated_this));
        let other_name =
            chosen(&joined.other_store).unwrap_or_else(|| name(other, generated_other));
        let [this_type, other_type] = self.store_types();
        let left = self.window_store(this_name, this_type, &joined.value_serde);
        let right = self.window_store(other_name, other_type, &joined.other_value_serde);
        let unmatched = self.unmatched_store(generated_this, this_type);
        Stores {
            left: plan.add_store(left.store(), location),
            right: plan.add_store(right.store(), location),
            unmatched: unmatched.map(|store| plan.add_store(store.store(), location)),
        }
    }

    /// Where the stores of the left and of the right side are.
    fn store_types(&self) -> [StoreType; 2] {
        [&self.joined.this_store, &self.joined.other_store]
            .map(|store| store.as_ref().map_or(self.joined.store_type, |store| store.store_type))
    }

    fn window_store<V>(
        &self,
        name: String,
        store_type: StoreType,
        value_serde: &ArcSerde<V>,
    ) -> JoinStoreSpec<V> {
        let mut topic_configs = self.joined.topic_configs.clone();
        // KAFKA: no two rows have the same key, so there is nothing to compact.
        topic_configs.insert("cleanup.policy".to_owned(), "delete".to_owned());
        JoinStoreSpec {
            name,
            retention_ms: Some(self.windows.retention_ms()),
            store_type,
            logging: self.joined.logging,
            topic_configs,
            value_serde: Arc::clone(value_serde),
            headers: RowHeaders::Logged,
            // `RecentRows` has what joins look for.
            row_cache: false,
        }
    }

    /// The store of records without a match, in left and outer joins.
    fn unmatched_store(
        &self,
        generated_this: &str,
        store_type: StoreType,
    ) -> Option<JoinStoreSpec<Vec<Either<L, R>>>> {
        self.joiners.left.as_ref()?;
        let joined = &self.joined;
        let outer = self.joiners.right.is_some();
        let suffix = if outer { "-outer-shared-join" } else { "-left-shared-join" };
        let base =
            joined.this_store.as_ref().map(|store| &store.name).or(joined.store_name.as_ref());
        let generated = || {
            let number = generated_this.rsplit('-').next().unwrap_or_default();
            format!("KSTREAM-OUTERSHARED-{number}-store")
        };
        let name = base.map_or_else(generated, |base| format!("{base}{suffix}-store"));
        let (left, right) = (&joined.value_serde, &joined.other_value_serde);
        Some(JoinStoreSpec {
            name,
            retention_ms: None,
            store_type,
            logging: joined.logging,
            topic_configs: joined.topic_configs.clone(),
            value_serde: UnmatchedSerde::shared(Arc::clone(left), Arc::clone(right)),
            headers: RowHeaders::Dropped,
            row_cache: true,
        })
    }

    /// Adds the nodes; the answer is the last.
    fn add_nodes(
        &self,
        plan: &mut Plan,
        Sources { nodes: [left, right], location }: Sources,
        names: &Names,
        stores: Stores,
    ) -> GraphNodeId {
        let [left_windowed, right_windowed] = &names.windowed;
        let [left_join, right_join] = &names.joins;
        let mut add = |parents: Vec<GraphNodeId>, name: &String, stores, supplier| {
            let kind = GraphNodeKind::Processor { name: name.clone(), supplier, stores };
            plan.add_node(parents, kind, location)
        };
        let [left_type, right_type] = self.store_types();
        let supplier = self.windowed::<L>(left_windowed, stores.left, left_type);
        let keep_left = add(vec![left], left_windowed, vec![stores.left], supplier);
        let supplier = self.windowed::<R>(right_windowed, stores.right, right_type);
        let keep_right = add(vec![right], right_windowed, vec![stores.right], supplier);
        let used = |store| [store].into_iter().chain(stores.unmatched).collect::<Vec<_>>();
        let supplier = self.left_join(left_join, stores);
        let find_left = add(vec![keep_left], left_join, used(stores.right), supplier);
        let supplier = self.right_join(right_join, stores);
        let find_right = add(vec![keep_right], right_join, used(stores.left), supplier);
        let supplier = node(|linker| Ok(PassThrough::<K, O> { next: linker.outlet()? }));
        let merge = add(vec![find_left, find_right], &names.merge, Vec::new(), supplier);
        plan.note_stream_join(StreamJoinNodes {
            windowed: [keep_left, keep_right],
            joins: [find_left, find_right],
            merge,
            stores: [stores.left, stores.right],
            self_join: self.self_join(&names.merge, stores),
        });
        merge
    }

    /// The node that keeps the records of one side.
    fn windowed<V: Data>(&self, name: &str, store: StoreId, store_type: StoreType) -> NodeSupplier {
        let spec = WindowedSpec {
            name: name.to_owned(),
            key_serde: Arc::clone(&self.joined.key_serde),
            store,
            retention_ms: self.windows.retention_ms(),
            in_memory: store_type == StoreType::InMemory,
        };
        spec.supplier::<V>()
    }

    fn left_join(&self, name: &str, stores: Stores) -> NodeSupplier {
        let side = SideSpec {
            name: name.to_owned(),
            side: Side::Left,
            windows: self.windows,
            key_serde: Arc::clone(&self.joined.key_serde),
            value_serde: Arc::clone(&self.joined.value_serde),
            matched: Arc::clone(&self.joiners.matched),
            others: stores.right,
            left_store: stores.left,
        };
        let joiners = self.joiners.clone();
        node(move |linker| {
            let outer = stores.unmatched.map(|store| side.unmatched(linker, store)).transpose()?;
            let outer = outer.map(|store| Outer {
                store,
                keep: Either::Left,
                alone: joiners.left.clone(),
                joiners: joiners.clone(),
            });
            side.build(linker, outer)
        })
    }

    fn right_join(&self, name: &str, stores: Stores) -> NodeSupplier {
        let matched = Arc::clone(&self.joiners.matched);
        let side = SideSpec {
            name: name.to_owned(),
            side: Side::Right,
            windows: self.windows,
            key_serde: Arc::clone(&self.joined.key_serde),
            value_serde: Arc::clone(&self.joined.other_value_serde),
            matched: Arc::new(move |key: &K, right: &R, left: &L| matched(key, left, right)),
            others: stores.left,
            left_store: stores.left,
        };
        let joiners = self.joiners.clone();
        node(move |linker| {
            let outer = stores.unmatched.map(|store| side.unmatched(linker, store)).transpose()?;
            let outer = outer.map(|store| Outer {
                store,
                keep: Either::Right,
                alone: joiners.right.clone(),
                joiners: joiners.clone(),
            });
            side.build(linker, outer)
        })
    }

    /// The join of a stream with itself; none if the types say that it is none.
    fn self_join(&self, name: &str, stores: Stores) -> Option<NodeSupplier> {
        let meets_itself = self.windows.before_ms() >= 0 && self.windows.after_ms() >= 0;
        if self.joiners.left.is_some() || !meets_itself {
            return None;
        }
        let joiner: Box<dyn Any> = Box::new(Arc::clone(&self.joiners.matched));
        let joiner = *joiner.downcast::<Joiner<K, L, L, O>>().ok()?;
        let (name, windows) = (name.to_owned(), self.windows);
        let key_serde = Arc::clone(&self.joined.key_serde);
        let value_serde = Arc::clone(&self.joined.value_serde);
        Some(node(move |linker| {
            Ok(SelfJoin {
                name: name.clone(),
                windows,
                key_serde: Arc::clone(&key_serde),
                value_serde: Arc::clone(&value_serde),
                joiner: Arc::clone(&joiner),
                rows: JoinRows::new(linker.rows(stores.left)?, linker.shared(stores.left)),
                next: linker.outlet()?,
                key_bytes: Vec::new(),
                stream_time: -1,
                results: Vec::new(),
            })
        }))
    }
}
