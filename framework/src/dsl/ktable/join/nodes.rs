//! The nodes of a join of two tables: one for the updates of each side, and one where they come together.

use std::panic::Location;
use std::sync::Arc;

use crate::dsl::ktable::kept_store::KeptStore;
use crate::dsl::ktable::origin::{SendOld, TableView};
use crate::dsl::options::Named;
use crate::graph::{GraphNodeId, GraphNodeKind, Plan};
use crate::processor::Data;
use crate::processor::operators::table_join::{Combine, SideRules, TableJoin};
use crate::processor::operators::table_join_merge::TableJoinMerge;
use crate::topology::link::{NodeSupplier, flushing_node, node};

/// Which rows a join needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Both,
    Left,
    Either,
}

/// The names of a join's nodes.
pub(super) struct JoinNames {
    pub(super) this: String,
    pub(super) other: String,
    pub(super) merge: String,
}

impl JoinNames {
    pub(super) fn new(plan: &mut Plan, named: &Named) -> Self {
        let suffixed = |suffix| named.0.as_ref().map(|name| format!("{name}{suffix}"));
        let merge = plan.name_or(named.0.clone(), "KTABLE-MERGE-");
        let this = plan.name_or(suffixed("-join-this"), "KTABLE-JOINTHIS-");
        let other = plan.name_or(suffixed("-join-other"), "KTABLE-JOINOTHER-");
        Self { this, other, merge }
    }
}

/// What the nodes of a join are made of.
pub(super) struct JoinNodes<L, R, V> {
    pub(super) needs: Side,
    pub(super) combine: Combine<L, R, V>,
    pub(super) send_old: SendOld,
    /// Whether the tables keep their history.
    pub(super) versioned: (bool, bool),
    pub(super) location: &'static Location<'static>,
}

impl<L: Data, R: Data, V: Data> JoinNodes<L, R, V> {
    /// Adds both sides: updates of one table meet the rows of the other.
    pub(super) fn add_sides<K: Data>(
        self,
        plan: &mut Plan,
        parents: (GraphNodeId, GraphNodeId),
        names: &JoinNames,
        views: (TableView<K, L>, TableView<K, R>),
    ) -> [GraphNodeId; 2] {
        plan.copartition(vec![parents.0, parents.1]);
        let location = self.location;
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
        let this = add(parents.0, &names.this, stores, this);
        let left_required = self.needs != Side::Either;
        let stores = left.stores.clone();
        let rules = SideRules { other_required: left_required, versioned: other_versioned };
        let other = side(left, reverse, rules, self.send_old);
        [this, add(parents.1, &names.other, stores, other)]
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

/// Where both sides come together.
pub(super) fn merge_kind<K: Data, V: Data>(
    name: String,
    kept: Option<KeptStore<K>>,
) -> GraphNodeKind {
    let stores = kept.iter().map(|kept| kept.id).collect();
    let supplier = flushing_node(move |linker| {
        let kept = kept.as_ref().map(|kept| kept.link(linker)).transpose()?;
        Ok(TableJoinMerge::<K, V> { kept, next: linker.outlet()? })
    });
    GraphNodeKind::Processor { name, supplier, stores }
}
