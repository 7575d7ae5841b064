//! What all aggregations of grouped streams share: from `count`, `reduce` and `aggregate`, in whatever windows,
//! to a store and the nodes that fold records into its rows.
//!
//! An aggregation has one store, and one node for each grouped stream that it folds: one, or several where
//! streams are cogrouped. [`Placement`] says which rows a record goes into; a further kind of windows is a
//! further variant.

use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use super::ktable::Table;
use super::ktable::origin::{SendOld, Stored};
use super::options::{EmitStrategy, Materialized, Named};
use super::placement::Placement;
use super::stores::add_store;
use super::time_windowing::TimeWindowing;
use crate::error::Error;
use crate::graph::Plan;
use crate::processor::operators::aggregate::Aggregate;
use crate::processor::operators::final_results::{FinalResults, Visibility};
use crate::processor::operators::fold::{Fold, Update};
use crate::processor::operators::late::{Late, LateHandler};
use crate::processor::operators::session_aggregate::{Merger, SessionAggregate};
use crate::processor::operators::sliding_aggregate::SlidingAggregate;
use crate::processor::operators::versioned_aggregate::VersionedAggregate;
use crate::processor::operators::window_keys::WindowKeys;
use crate::processor::operators::windowed_aggregate::WindowedAggregate;
use crate::processor::operators::windowed_rows::WindowedRows;
use crate::processor::value_getter::StoreKey;
use crate::processor::{Data, Outlet};
use crate::serdes::{ArcSerde, SessionWindowedSerde, TimeWindowedSerde};
use crate::time::windows::{FixedWindows, SessionWindows, SlidingWindows, Windowed};
use crate::topology::StoreId;
use crate::topology::link::{Linker, NodeSupplier, flushing_node, node};

/// An aggregation as the user asked for it.
pub(super) struct Aggregation<K, V, A> {
    pub(super) update: Update<K, V, A>,
    /// What generated names begin with.
    pub(super) prefix: &'static str,
    pub(super) named: Named,
    pub(super) materialized: Materialized<K, A>,
}

const AGGREGATE: &str = "KSTREAM-AGGREGATE-";

impl<K, V> Aggregation<K, V, i64> {
    /// Counts the values.
    pub(super) fn count(named: Named, materialized: Materialized<K, i64>) -> Self {
        let update = Update::beginning_with(Arc::new(|| 0), |_: &K, _, count| Some(count + 1));
        Self { update, prefix: AGGREGATE, named, materialized }
    }
}

#[expect(
    clippy::mismatching_type_param_order,
    reason = "a reduction's aggregate is of the values' type"
)]
impl<K, V: 'static> Aggregation<K, V, V> {
    /// Combines the values, two at a time.
    pub(super) fn reduce<R: Into<Option<V>>>(
        reducer: impl Fn(V, V) -> R + Send + Sync + 'static,
        named: Named,
        materialized: Materialized<K, V>,
    ) -> Self {
        let update = Update::new(move |_: &K, value, old| match old {
            Some(old) => reducer(old, value).into(),
            None => Some(value),
        });
        Self { update, prefix: "KSTREAM-REDUCE-", named, materialized }
    }
}

impl<K: 'static, V: 'static, A: 'static> Aggregation<K, V, A> {
    /// Folds the values, beginning with the initializer's.
    pub(super) fn aggregate<R: Into<Option<A>>>(
        initializer: impl Fn() -> A + Send + Sync + 'static,
        aggregator: impl Fn(&K, V, A) -> R + Send + Sync + 'static,
        named: Named,
        materialized: Materialized<K, A>,
    ) -> Self {
        let update = Update::beginning_with(Arc::new(initializer), move |key: &K, value, old| {
            aggregator(key, value, old).into()
        });
        Self { update, prefix: AGGREGATE, named, materialized }
    }
}

/// What the nodes of one aggregation share.
pub(super) struct SharedRows<K, A> {
    placement: Placement<K, A>,
    pub(super) store: StoreId,
    key_serde: ArcSerde<K>,
    row_serde: ArcSerde<A>,
    /// The store's name, if it is the user's.
    user_name: Option<String>,
    /// Whether the store keeps its history.
    versioned: bool,
    caching: bool,
    send_old: SendOld,
    /// How long final results can be given out; `None`: every update goes out.
    finals: Option<Visibility>,
}

/// One node of an aggregation.
pub(super) struct AggregateNode<K, V, A> {
    pub(super) name: String,
    pub(super) value_serde: ArcSerde<V>,
    pub(super) update: Update<K, V, A>,
    pub(super) on_late: Option<LateHandler<K, V>>,
}

/// What a store is made of: the user's options, and the name that it has by now.
pub(super) struct StoreSpec<K, A> {
    pub(super) store_name: String,
    pub(super) placement: Placement<K, A>,
    pub(super) emit: EmitStrategy,
    pub(super) materialized: Materialized<K, A>,
    pub(super) group_key_serde: ArcSerde<K>,
}

impl<K: Data, A: Data> SharedRows<K, A> {
    /// Adds the store to the plan; `subject` is what mistakes are reported of.
    pub(super) fn add(
        plan: &mut Plan,
        spec: StoreSpec<K, A>,
        subject: &str,
        location: &'static Location<'static>,
    ) -> Self {
        let StoreSpec { store_name, placement, emit, mut materialized, group_key_serde } = spec;
        let least = placement.least_retention_ms();
        let retention_ms = match (materialized.retention, least) {
            (Some(retention), Some(_)) => i64::try_from(retention.as_millis()).unwrap_or(i64::MAX),
            (_, least) => least.unwrap_or(i64::MAX),
        };
        let too_short = least.filter(|least| retention_ms < *least).map(|least| {
            format!(
                "its retention of {retention_ms} ms is shorter than {}, {least} ms",
                placement.least_retention_of()
            )
        });
        let never_final = (placement.never_closes() && emit.is_final()).then(|| {
            "unlimited windows never close, so that they have no final results; emit on update"
                .to_owned()
        });
        for problem in placement.problem().into_iter().chain(too_short).chain(never_final) {
            plan.report(format!("node {subject}"), problem, location);
        }
        let finals = emit.visibility(placement.visibility(retention_ms, materialized.store_type));
        if finals.is_some() {
            // A final result is out as soon as there is one: there is nothing to hold back.
            materialized.caching = false;
        }
        let key_serde = materialized.key_serde.unwrap_or(group_key_serde);
        materialized.key_serde = Some(Arc::clone(&key_serde));
        let caching = materialized.caching;
        let row_serde = Arc::clone(&materialized.value_serde);
        let versioned = materialized.history.is_some();
        if let Placement::Windows(windows) = &placement {
            materialized.window_ms = windows.size_ms();
        }
        let user_name = materialized.name.replace(store_name);
        let store = add_store(plan, materialized, placement.store_kind(retention_ms), location);
        let send_old = SendOld::default();
        Self {
            placement,
            store,
            key_serde,
            row_serde,
            user_name,
            versioned,
            caching,
            send_old,
            finals,
        }
    }

    /// The table of an aggregation by keys.
    pub(super) fn table(&self) -> Table<K, A> {
        let (key_serde, row_serde) = (Arc::clone(&self.key_serde), Arc::clone(&self.row_serde));
        Table::stored(self.store, key_serde, row_serde, self.send_old.clone())
            .with_store_name(self.user_name.as_deref())
            .with_history(self.versioned)
    }

    /// The table of an aggregation by keys and windows.
    pub(super) fn windowed_table(&self) -> Table<Windowed<K>, A> {
        let keys = self.placement.window_keys();
        let store_serde = Arc::clone(&self.key_serde);
        let store_key: StoreKey<Windowed<K>> = Arc::new(move |key, bytes| {
            store_serde.serialize(&key.key, bytes)?;
            keys.write(key.window, bytes);
            Ok(())
        });
        let inner = Arc::clone(&self.key_serde);
        let key_serde: ArcSerde<Windowed<K>> = match keys {
            WindowKeys::Window { size_ms } => Arc::new(TimeWindowedSerde::new(inner, size_ms)),
            WindowKeys::Session => Arc::new(SessionWindowedSerde::new(inner)),
        };
        let origin = Stored { store: self.store, store_key, send_old: self.send_old.clone() };
        Table::new(Rc::new(origin), key_serde)
            .with_value_serde(Arc::clone(&self.row_serde))
            .with_store_name(self.user_name.as_deref())
            .with_grace_ms(self.placement.grace_ms())
    }

    /// The supplier of one of the aggregation's nodes.
    pub(super) fn supplier<V: Data>(
        self: &Arc<Self>,
        node: AggregateNode<K, V, A>,
    ) -> NodeSupplier {
        match &self.placement {
            Placement::Keys if self.versioned => self.versioned_node(node),
            Placement::Keys => self.key_node(node),
            Placement::Windows(TimeWindowing::Fixed(windows)) => self.window_node(*windows, node),
            Placement::Windows(TimeWindowing::Unlimited(windows)) => {
                self.window_node(*windows, node)
            }
            Placement::Windows(TimeWindowing::Sliding(windows)) => {
                self.sliding_node(*windows, node)
            }
            Placement::Sessions(windows, merger) => {
                self.session_node(*windows, Arc::clone(merger), node)
            }
        }
    }

    fn key_node<V: Data>(self: &Arc<Self>, node: AggregateNode<K, V, A>) -> NodeSupplier {
        let shared = Arc::clone(self);
        flushing_node(move |linker| {
            Ok(Aggregate {
                name: node.name.clone(),
                key_serde: Arc::clone(&shared.key_serde),
                value_serde: Arc::clone(&node.value_serde),
                fold: shared.fold(&node, linker)?,
                next: linker.outlet()?,
                key_bytes: Vec::new(),
            })
        })
    }

    fn versioned_node<V: Data>(self: &Arc<Self>, parts: AggregateNode<K, V, A>) -> NodeSupplier {
        let shared = Arc::clone(self);
        node(move |linker| {
            Ok(VersionedAggregate {
                name: parts.name.clone(),
                key_serde: Arc::clone(&shared.key_serde),
                value_serde: Arc::clone(&parts.value_serde),
                update: parts.update.clone(),
                rows: linker.versioned_rows(shared.store)?,
                send_old: shared.send_old.is_enabled(),
                next: linker.outlet()?,
                key_bytes: Vec::new(),
            })
        })
    }

    fn window_node<V: Data>(
        self: &Arc<Self>,
        windows: impl FixedWindows,
        node: AggregateNode<K, V, A>,
    ) -> NodeSupplier {
        let shared = Arc::clone(self);
        flushing_node(move |linker| {
            Ok(WindowedAggregate { windows, rows: shared.windowed_rows(&node, linker)? })
        })
    }

    fn sliding_node<V: Data>(
        self: &Arc<Self>,
        windows: SlidingWindows,
        node: AggregateNode<K, V, A>,
    ) -> NodeSupplier {
        let shared = Arc::clone(self);
        flushing_node(move |linker| {
            Ok(SlidingAggregate {
                windows,
                value_serde: Arc::clone(&node.value_serde),
                rows: shared.windowed_rows(&node, linker)?,
                close_time: 0,
                found: Vec::new(),
                bounds: (Vec::new(), Vec::new()),
            })
        })
    }

    fn session_node<V: Data>(
        self: &Arc<Self>,
        windows: SessionWindows,
        merger: Merger<K, A>,
        node: AggregateNode<K, V, A>,
    ) -> NodeSupplier {
        let shared = Arc::clone(self);
        flushing_node(move |linker| {
            Ok(SessionAggregate {
                windows,
                merger: Arc::clone(&merger),
                rows: shared.windowed_rows(&node, linker)?,
                found: Vec::new(),
                bounds: (Vec::new(), Vec::new()),
            })
        })
    }

    fn fold<V: Data>(
        &self,
        node: &AggregateNode<K, V, A>,
        linker: &Linker<'_>,
    ) -> Result<Fold<K, V, A>, Error> {
        Ok(Fold {
            update: node.update.clone(),
            rows: linker.rows(self.store)?,
            caching: self.caching && linker.record_cache(),
            send_old: self.send_old.is_enabled(),
        })
    }

    fn windowed_rows<V: Data>(
        &self,
        node: &AggregateNode<K, V, A>,
        linker: &mut Linker<'_>,
    ) -> Result<WindowedRows<K, V, A>, Error> {
        let keys = self.placement.window_keys();
        let (next, late): (_, Outlet<Windowed<K>, V>) = linker.outlets()?;
        let finals = self
            .finals
            .map(|visibility| FinalResults::new(keys, visibility, linker.progress(self.store)));
        Ok(WindowedRows {
            name: node.name.clone(),
            keys,
            key_serde: Arc::clone(&self.key_serde),
            fold: self.fold(node, linker)?,
            late: Late { handler: node.on_late.clone(), stream: late },
            finals,
            next,
            stream_time: -1,
            key_bytes: Vec::new(),
            key_length: 0,
        })
    }
}
