//! Adds a table that comes from another row by row.

use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use super::kept_store::{KeptBy, KeptStore};
use super::origin::{DerivedSupplier, DerivedTable, SendOld};
use super::{KTable, Table};
use crate::dsl::options::{Materialized, Named};
use crate::graph::GraphNodeKind;
use crate::processor::Data;
use crate::processor::operators::table_derive::TableDerive;
use crate::processor::value_getter::{Derive, DerivedGetter, plain_store_key};
use crate::serdes::ArcSerde;
use crate::topology::link::{NodeSupplier, flushing_node};

/// An operator that works a table out row by row.
pub(super) struct Derivation<K, P, V> {
    pub(super) prefix: &'static str,
    pub(super) named: Named,
    pub(super) derive: Derive<K, P, V>,
    /// Whether it only ever leaves rows out.
    pub(super) is_filter: bool,
    pub(super) materialized: Option<Materialized<K, V>>,
    /// The values' serde, where it is that of the parent.
    pub(super) value_serde: Option<ArcSerde<V>>,
}

impl<K: Data, P: Data> KTable<K, P> {
    /// Adds the operator behind this table.
    pub(super) fn derive<V: Data>(
        &self,
        derivation: Derivation<K, P, V>,
        location: &'static Location<'static>,
    ) -> KTable<K, V> {
        let Derivation { prefix, named, derive, is_filter, materialized, value_serde } = derivation;
        let send_old = SendOld::default();
        if is_filter && self.enable_sending_old_values(false) {
            // KAFKA: where old values are to be had, a filter takes them, to leave out useless tombstones.
            send_old.enable();
        }
        let mut plan = self.plan.borrow_mut();
        if materialized.as_ref().is_some_and(|materialized| materialized.name.is_none()) {
            // KAFKA: the store that is not made uses a number up.
            plan.store_name("");
        }
        let name = plan.name_or(named.0, prefix);
        let inherits = materialized.is_none();
        let own_history = materialized.as_ref().is_some_and(|options| options.history.is_some());
        let own_serdes = materialized.as_ref().map(|materialized| {
            (materialized.key_serde.clone(), Arc::clone(&materialized.value_serde))
        });
        let (own_key_serde, own_value_serde) = own_serdes.unzip();
        let key_serde =
            own_key_serde.flatten().unwrap_or_else(|| Arc::clone(&self.table.key_serde));
        let store_name = materialized.as_ref().and_then(|materialized| materialized.name.clone());
        let kept = materialized.filter(|materialized| materialized.name.is_some()).map(|options| {
            let node = KeptBy { node: &name, key_serde: &key_serde, send_old: &send_old };
            KeptStore::add(&mut plan, options, &node, location)
        });
        let store = kept.as_ref().map(|kept| kept.id);
        let operator = Deriving {
            derive: Arc::clone(&derive),
            kept,
            send_old: send_old.clone(),
            skips_absent: is_filter && !self.table.versioned,
        };
        let stores = store.into_iter().collect();
        let kind = GraphNodeKind::Processor { name, supplier: operator.supplier(), stores };
        let node = plan.add_node(vec![self.node], kind, location);
        drop(plan);
        let store = store.map(|store| (store, plain_store_key(&key_serde)));
        let parent = Rc::clone(&self.table.origin);
        let getter: DerivedSupplier<K, P, V> = Arc::new(move |_, parent| {
            Ok(Box::new(DerivedGetter { parent, derive: Arc::clone(&derive) }))
        });
        let table = Table {
            origin: Rc::new(DerivedTable { parent, store, send_old, getter }),
            key_serde,
            value_serde: own_value_serde.or(value_serde),
            store_name: store_name.as_deref().map(Into::into),
            versioned: if inherits { self.table.versioned } else { own_history },
            grace_ms: self.table.grace_ms,
        };
        KTable::new(Rc::clone(&self.plan), node, table)
    }
}

/// What the node is made of when a task is linked.
struct Deriving<K, P, V> {
    derive: Derive<K, P, V>,
    kept: Option<KeptStore<K>>,
    send_old: SendOld,
    skips_absent: bool,
}

impl<K: Data, P: Data, V: Data> Deriving<K, P, V> {
    fn supplier(self) -> NodeSupplier {
        flushing_node(move |linker| {
            Ok(TableDerive {
                derive: Arc::clone(&self.derive),
                kept: self.kept.as_ref().map(|kept| kept.link(linker)).transpose()?,
                send_old: self.send_old.is_enabled(),
                skips_absent: self.skips_absent,
                next: linker.outlet()?,
            })
        })
    }
}
