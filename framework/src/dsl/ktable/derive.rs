//! Adds a table that comes from another row by row.

use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use super::kept_store::{KeptStore, OutputTable};
use super::origin::{DerivedSupplier, DerivedTable, SendOld};
use super::{KTable, Table};
use crate::dsl::options::{Materialized, Named};
use crate::error::Error;
use crate::graph::GraphNodeKind;
use crate::processor::Data;
use crate::processor::operators::kept_rows::KeptRows;
use crate::processor::operators::table_derive::TableDerive;
use crate::processor::value_getter::{Derive, DerivedGetter};
use crate::serdes::ArcSerde;
use crate::topology::link::{Linker, NodeSupplier, flushing_node};

/// A table that is worked out row by row.
pub(super) struct Derivation<K, V, O> {
    pub(super) prefix: &'static str,
    pub(super) named: Named,
    pub(super) operator: O,
    pub(super) materialized: Option<Materialized<K, V>>,
    /// The values' serde, where it is that of the parent.
    pub(super) value_serde: Option<ArcSerde<V>>,
}

/// What works it out.
pub(super) trait RowOperator<K, P, V> {
    /// Whether it only ever leaves rows out.
    const IS_FILTER: bool;
    /// Whether options for a store that is not made use a number up.
    const NUMBERS_UNMADE_STORE: bool;

    /// The node.
    fn supplier(&self, rows: DerivedRows<K>) -> NodeSupplier;

    /// How others read the table where it has no store.
    fn getter(self) -> DerivedSupplier<K, P, V>;
}

/// Where the rows go.
pub(super) struct DerivedRows<K> {
    pub(super) kept: Option<KeptStore<K>>,
    pub(super) send_old: SendOld,
    /// Whether the parent keeps its history.
    pub(super) versioned: bool,
}

impl<K: Data> DerivedRows<K> {
    /// The rows that are kept, for one task.
    pub(super) fn link<V: Data>(
        &self,
        linker: &Linker<'_>,
    ) -> Result<Option<KeptRows<K, V>>, Error> {
        self.kept.as_ref().map(|kept| kept.link(linker)).transpose()
    }
}

impl<K: Data, P: Data> KTable<K, P> {
    /// Adds the operator behind this table.
    pub(super) fn derive<V: Data, O: RowOperator<K, P, V>>(
        &self,
        derivation: Derivation<K, V, O>,
        location: &'static Location<'static>,
    ) -> KTable<K, V> {
        let Derivation { prefix, named, operator, materialized, value_serde } = derivation;
        let send_old = SendOld::default();
        if O::IS_FILTER && self.enable_sending_old_values(false) {
            // KAFKA: where old values are to be had, a filter takes them, to leave out useless tombstones.
            send_old.enable();
        }
        let mut plan = self.plan.borrow_mut();
        let unmade = materialized.as_ref().is_some_and(|options| options.name.is_none());
        if unmade && O::NUMBERS_UNMADE_STORE {
            // KAFKA: the store that is not made uses a number up.
            plan.store_name("");
        }
        let name = plan.name_or(named.0, prefix);
        let inherits = materialized.is_none();
        let by = (name.as_str(), &send_old);
        let mut output =
            OutputTable::new(&mut plan, materialized, &self.table.key_serde, by, location);
        let store = output.store();
        let stores = store.iter().map(|(store, _)| *store).collect();
        let versioned = self.table.versioned;
        let rows = DerivedRows { kept: output.kept.take(), send_old: send_old.clone(), versioned };
        let kind = GraphNodeKind::Processor { name, supplier: operator.supplier(rows), stores };
        let node = plan.add_node(vec![self.node], kind, location);
        drop(plan);
        let (parent, getter) = (Rc::clone(&self.table.origin), operator.getter());
        let table = Table {
            origin: Rc::new(DerivedTable { parent, store, send_old, getter }),
            key_serde: output.key_serde,
            value_serde: output.value_serde.or(value_serde),
            store_name: output.store_name,
            versioned: if inherits { versioned } else { output.versioned },
            grace_ms: self.table.grace_ms,
        };
        KTable::new(Rc::clone(&self.plan), node, table)
    }
}

/// `filter` and `map_values`: from key and value alone.
pub(super) struct Pure<K, P, V, const IS_FILTER: bool>(pub(super) Derive<K, P, V>);

impl<K: Data, P: Data, V: Data, const IS_FILTER: bool> RowOperator<K, P, V>
    for Pure<K, P, V, IS_FILTER>
{
    const IS_FILTER: bool = IS_FILTER;
    const NUMBERS_UNMADE_STORE: bool = true;

    fn supplier(&self, rows: DerivedRows<K>) -> NodeSupplier {
        let derive = Arc::clone(&self.0);
        flushing_node(move |linker| {
            Ok(TableDerive {
                derive: Arc::clone(&derive),
                kept: rows.link(linker)?,
                send_old: rows.send_old.is_enabled(),
                skips_absent: IS_FILTER && !rows.versioned,
                next: linker.outlet()?,
            })
        })
    }

    fn getter(self) -> DerivedSupplier<K, P, V> {
        let derive = self.0;
        Arc::new(move |_, parent| {
            Ok(Box::new(DerivedGetter { parent, derive: Arc::clone(&derive) }))
        })
    }
}
