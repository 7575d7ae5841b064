//! The nodes, topics and the store of a foreign-key join.

use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use super::ForeignKeyJoin;
use super::topics::{JoinTopic, of_foreign_row, of_primary_row, unknown_topic};
use crate::dsl::ktable::KTable;
use crate::dsl::ktable::origin::TableView;
use crate::dsl::ktable::source::{TableSourceSpec, add_table_source};
use crate::dsl::ktable::suppress::{NO_VALUE_SERDE, no_value_serde};
use crate::error::Error;
use crate::graph::{GraphNodeId, GraphNodeKind, Plan, RepartitionNames};
use crate::processor::Data;
use crate::processor::operators::foreign_key::response_join::ResponseJoin;
use crate::processor::operators::foreign_key::subscription_receive::{
    ForeignTableJoin, SubscriptionJoin, SubscriptionReceive, SubscriptionStore,
};
use crate::processor::operators::foreign_key::subscription_send::SubscriptionSend;
use crate::processor::operators::foreign_key::wire::{
    Response, ResponseSerde, Subscription, SubscriptionSerde,
};
use crate::serdes::{ArcSerde, OptionSerde};
use crate::state::key_layout::KeyLayout;
use crate::state::rows::{RowHeaders, Rows, RowsOptions};
use crate::topology::link::{BuiltStore, Linker, NodeSupplier, node};
use crate::topology::{StoreId, StoreKind, StoreType, TopologyStore};

/// Everything that a foreign-key join is called, in the order in which the names use numbers up.
struct Names {
    registration: RepartitionNames,
    send: String,
    store: String,
    receive: String,
    join: String,
    foreign_join: String,
    response: RepartitionNames,
    resolver: String,
    result: String,
}

impl Names {
    fn new(plan: &mut Plan, name: Option<&str>) -> Self {
        let mut next = |suffix: &str, prefix: &str| {
            plan.name_or(name.map(|name| format!("{name}{suffix}")), prefix)
        };
        let topic = |topic: String| format!("{topic}-topic");
        let (sink, source) = ("KTABLE-SINK-", "KTABLE-SOURCE-");
        let processor = "KTABLE-FK-JOIN-SUBSCRIPTION-PROCESSOR-";
        let registration =
            next("-subscription-registration", "KTABLE-FK-JOIN-SUBSCRIPTION-REGISTRATION-");
        let send = next(
            "-subscription-registration-processor",
            "KTABLE-FK-JOIN-SUBSCRIPTION-REGISTRATION-",
        );
        let registration = RepartitionNames {
            topic: topic(registration),
            filter: String::new(),
            sink: next("-subscription-registration-sink", sink),
            source: next("-subscription-registration-source", source),
        };
        let store = next("-subscription-store", "KTABLE-FK-JOIN-SUBSCRIPTION-STATE-STORE-");
        let receive = next("-subscription-receive", processor);
        let join = next("-subscription-join-foreign", processor);
        let foreign_join = next("-foreign-join-subscription", processor);
        let response = RepartitionNames {
            topic: topic(next("-subscription-response", "KTABLE-FK-JOIN-SUBSCRIPTION-RESPONSE-")),
            filter: String::new(),
            sink: next("-subscription-response-sink", sink),
            source: next("-subscription-response-source", source),
        };
        let resolver = next(
            "-subscription-response-resolver",
            "KTABLE-FK-JOIN-SUBSCRIPTION-RESPONSE-RESOLVER-PROCESSOR-",
        );
        let result = next("-result", "KTABLE-FK-JOIN-OUTPUT-");
        Self { registration, send, store, receive, join, foreign_join, response, resolver, result }
    }
}

/// The serdes of both sides' keys and values.
struct Serdes<K, V, KO, VO> {
    key: ArcSerde<K>,
    value: Option<ArcSerde<V>>,
    foreign_key: ArcSerde<KO>,
    foreign_value: Option<ArcSerde<VO>>,
}

/// The store of subscriptions, as its nodes reach it.
struct Subscriptions<K, KO> {
    id: StoreId,
    key: ArcSerde<K>,
    foreign_key: ArcSerde<KO>,
}

impl<K, KO> Clone for Subscriptions<K, KO> {
    fn clone(&self) -> Self {
        let (key, foreign_key) = (Arc::clone(&self.key), Arc::clone(&self.foreign_key));
        Self { id: self.id, key, foreign_key }
    }
}

impl<K: Data, KO: Data> Subscriptions<K, KO> {
    fn link(&self, linker: &Linker<'_>) -> Result<SubscriptionStore<K, KO>, Error> {
        Ok(SubscriptionStore {
            rows: linker.rows(self.id)?,
            foreign_key_serde: Arc::clone(&self.foreign_key),
            primary_key_serde: Arc::clone(&self.key),
            bytes: Vec::new(),
        })
    }
}

fn subscription_store<K: Data>(name: String, key: ArcSerde<K>) -> TopologyStore {
    let value_serde: ArcSerde<Subscription<K>> = Arc::new(SubscriptionSerde { primary_key: key });
    TopologyStore {
        name,
        kind: StoreKind::KeyValue,
        store_type: StoreType::Persistent,
        logging: true,
        caching: false,
        topic_configs: std::collections::BTreeMap::new(),
        subtopology: 0,
        supplier: Arc::new(move |backing, settings| {
            let options = RowsOptions {
                layout: KeyLayout::Plain,
                budget: settings.budget,
                headers: RowHeaders::Logged,
                log_every_update: settings.log_every_update,
            };
            Ok(BuiltStore::of_rows(Rows::new(backing, Arc::clone(&value_serde), options)?))
        }),
    }
}

impl<K: Data, V: Data> KTable<K, V> {
    pub(super) fn add_foreign_key_join<KO: Data, VO: Data, VR: Data>(
        &self,
        other: &KTable<KO, VO>,
        mut join: ForeignKeyJoin<K, V, KO, VO, VR>,
        location: &'static Location<'static>,
    ) -> KTable<K, VR> {
        // The old foreign key has to hear that the row has left.
        other.enable_sending_old_values(true);
        self.enable_sending_old_values(true);
        let (foreign_view, primary_view) = (other.view(), self.view());
        let mut plan = self.plan.borrow_mut();
        let names = Names::new(&mut plan, join.joined.name.as_deref());
        let queryable = join.materialized.name.is_some();
        let store_name = join.materialized.name.take();
        let store_name = store_name.unwrap_or_else(|| plan.store_name("KTABLE-FK-JOIN-OUTPUT-"));
        let serdes = self.serdes_with(other);
        if serdes.value.is_none() || serdes.foreign_value.is_none() {
            plan.report(format!("node {}", names.send), NO_VALUE_SERDE.to_owned(), location);
        }
        let versioned = (self.table.versioned, other.table.versioned);
        let mut adding = Adding { plan: &mut plan, location, serdes: &serdes, versioned };
        let registered = adding.registration(self.node, &names, &join);
        adding.plan.copartition(vec![registered, other.node]);
        let subscriptions = adding.store(names.store.clone());
        let answering = vec![
            adding.subscription_answers(registered, &names, &subscriptions, foreign_view),
            adding.change_answers(other.node, &names, &subscriptions),
        ];
        let responses = adding.responses(answering, names.response, &join);
        adding.plan.copartition(vec![responses, self.node]);
        let parent = adding.resolver(responses, names.resolver, &join, primary_view);
        drop(plan);
        let ForeignKeyJoin { mut materialized, .. } = join;
        materialized.name = Some(store_name);
        let key_serde = materialized.key_serde.clone().unwrap_or(serdes.key);
        let name = names.result;
        let spec = TableSourceSpec { name, parent, key_serde, materialized, queryable };
        add_table_source::<K, Option<VR>, VR>(&self.plan, spec, location)
    }

    fn serdes_with<KO, VO>(&self, other: &KTable<KO, VO>) -> Serdes<K, V, KO, VO> {
        Serdes {
            key: Arc::clone(&self.table.key_serde),
            value: self.table.value_serde.clone(),
            foreign_key: Arc::clone(&other.table.key_serde),
            foreign_value: other.table.value_serde.clone(),
        }
    }
}

/// The plan while a join is added to it.
struct Adding<'a, K, V, KO, VO> {
    plan: &'a mut Plan,
    location: &'static Location<'static>,
    serdes: &'a Serdes<K, V, KO, VO>,
    /// Whether the primary and the foreign table keep their history.
    versioned: (bool, bool),
}

impl<K: Data, V: Data, KO: Data, VO: Data> Adding<'_, K, V, KO, VO> {
    fn node(
        &mut self,
        parent: GraphNodeId,
        name: String,
        supplier: NodeSupplier,
        stores: Vec<StoreId>,
    ) -> GraphNodeId {
        let kind = GraphNodeKind::Processor { name, supplier, stores };
        self.plan.add_node(vec![parent], kind, self.location)
    }

    /// From the primary table to the topic of subscriptions; the answer is behind it.
    fn registration<VR>(
        &mut self,
        primary: GraphNodeId,
        names: &Names,
        join: &ForeignKeyJoin<K, V, KO, VO, VR>,
    ) -> GraphNodeId {
        let (name, left) = (names.send.clone(), join.left);
        let (versioned, _) = self.versioned;
        let extractor = Arc::clone(&join.extractor);
        let foreign_key_serde = Arc::clone(&self.serdes.foreign_key);
        let value_serde = self.serdes.value.clone();
        let supplier = node(move |linker| {
            Ok(SubscriptionSend {
                name: name.clone(),
                extractor: Arc::clone(&extractor),
                foreign_key_serde: Arc::clone(&foreign_key_serde),
                value_serde: value_serde.clone().ok_or_else(no_value_serde)?,
                left,
                versioned,
                next: linker.outlet()?,
                bytes: [Vec::new(), Vec::new()],
            })
        });
        let send = self.node(primary, names.send.clone(), supplier, Vec::new());
        let key_serde: ArcSerde<Option<KO>> =
            Arc::new(OptionSerde::new(Arc::clone(&self.serdes.foreign_key)));
        let value_serde: ArcSerde<Subscription<K>> =
            Arc::new(SubscriptionSerde { primary_key: Arc::clone(&self.serdes.key) });
        let partitioner = join.joined.other_partitioner.as_ref().map(of_foreign_row);
        let names = names.registration.clone();
        let topic = JoinTopic { names, key_serde, value_serde, partitioner };
        self.plan.add_node(vec![send], topic.kind(), self.location)
    }

    /// The store of who wants to know of which row.
    fn store(&mut self, name: String) -> Subscriptions<K, KO> {
        let (key, foreign_key) =
            (Arc::clone(&self.serdes.key), Arc::clone(&self.serdes.foreign_key));
        let id = self.plan.add_store(subscription_store(name, Arc::clone(&key)), self.location);
        Subscriptions { id, key, foreign_key }
    }

    /// The nodes that answer to subscriptions.
    fn subscription_answers(
        &mut self,
        registered: GraphNodeId,
        names: &Names,
        subscriptions: &Subscriptions<K, KO>,
        foreign_view: TableView<KO, VO>,
    ) -> GraphNodeId {
        let (name, store) = (names.receive.clone(), subscriptions.clone());
        let supplier = node(move |linker| {
            let store = store.link(linker)?;
            Ok(SubscriptionReceive { name: name.clone(), store, next: linker.outlet()? })
        });
        let stores = vec![subscriptions.id];
        let receive = self.node(registered, names.receive.clone(), supplier, stores);
        let TableView { stores, getter } = foreign_view;
        let supplier = node(move |linker| {
            let (foreign_rows, next) = (getter(linker)?, linker.outlet::<K, _>()?);
            Ok(SubscriptionJoin { foreign_rows, next, types: PhantomData })
        });
        self.node(receive, names.join.clone(), supplier, stores)
    }

    /// The node that answers when a foreign row changes.
    fn change_answers(
        &mut self,
        foreign: GraphNodeId,
        names: &Names,
        subscriptions: &Subscriptions<K, KO>,
    ) -> GraphNodeId {
        let (name, linked) = (names.foreign_join.clone(), subscriptions.clone());
        let (_, versioned) = self.versioned;
        let supplier = node(move |linker| {
            let store = linked.link(linker)?;
            let (name, next) = (name.clone(), linker.outlet()?);
            Ok(ForeignTableJoin::<K, KO, VO> { name, versioned, store, next })
        });
        self.node(foreign, names.foreign_join.clone(), supplier, vec![subscriptions.id])
    }

    /// The topic of answers; the answer is behind it.
    fn responses<VR>(
        &mut self,
        answering: Vec<GraphNodeId>,
        names: RepartitionNames,
        join: &ForeignKeyJoin<K, V, KO, VO, VR>,
    ) -> GraphNodeId {
        let kind = match self.serdes.foreign_value.clone() {
            Some(value) => {
                let key_serde = Arc::clone(&self.serdes.key);
                let value_serde: ArcSerde<Response<VO>> = Arc::new(ResponseSerde { value });
                let partitioner = Some(of_primary_row(join.joined.partitioner.as_ref()));
                JoinTopic { names, key_serde, value_serde, partitioner }.kind()
            }
            // That the serde is not known has been reported.
            None => unknown_topic(names),
        };
        self.plan.add_node(answering, kind, self.location)
    }

    /// The node that makes results of answers.
    fn resolver<VR: Data>(
        &mut self,
        responses: GraphNodeId,
        resolver: String,
        join: &ForeignKeyJoin<K, V, KO, VO, VR>,
        primary_view: TableView<K, V>,
    ) -> GraphNodeId {
        let TableView { stores, getter } = primary_view;
        let (name, left, joiner) = (resolver.clone(), join.left, Arc::clone(&join.joiner));
        let value_serde = self.serdes.value.clone();
        let supplier = node(move |linker| {
            Ok(ResponseJoin {
                name: name.clone(),
                primary_rows: getter(linker)?,
                value_serde: value_serde.clone().ok_or_else(no_value_serde)?,
                joiner: Arc::clone(&joiner),
                left,
                next: linker.outlet()?,
                bytes: Vec::new(),
            })
        });
        self.node(responses, resolver, supplier, stores)
    }
}
