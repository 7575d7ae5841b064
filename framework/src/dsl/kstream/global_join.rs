//! Joins of a stream with a global table.

use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use super::KStream;
use crate::dsl::global_ktable::GlobalKTable;
use crate::dsl::options::Joined;
use crate::graph::GraphNodeKind;
use crate::processor::Data;
use crate::processor::operators::global_table::{GlobalJoiner, GlobalKeySelector, GlobalTableJoin};
use crate::serdes::DefaultSerde;
use crate::topology::link::node;

/// What is looked up, and what comes of it.
struct Lookup<K, V, GK, GV, VOut> {
    left: bool,
    selector: GlobalKeySelector<K, V, GK>,
    joiner: GlobalJoiner<K, V, GV, VOut>,
}

impl<K: Data, V: Data> KStream<K, V> {
    /// Looks each record up in a global table, under a key that `selector` makes of it.
    ///
    /// **Shape**: `(K, V)` with a table of `(GK, GV)` → `(K, VOut)`, none or one per record; the key does not
    /// change, and neither side is repartitioned. Records with a null value, or without a key to look up, are
    /// dropped and counted; those that find no row come to nothing. Only the stream's records cause
    /// results, the table's updates do not.
    ///
    /// # Examples
    /// ```
    /// use kstream::{GlobalKTable, KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let countries: GlobalKTable<String, String> = builder.global_table("countries");
    /// let visits: KStream<i64, String> = builder.stream("visits");
    /// visits
    ///     .join_global(&countries, |_, code| code.clone(), |code, name| format!("{code}: {name}"))
    ///     .to("named");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver
    ///     .input_topic::<String, String>("countries")
    ///     .pipe("NL".to_owned(), "Netherlands".to_owned())?;
    /// let visits = driver.input_topic::<i64, String>("visits");
    /// visits.pipe(7, "NL".to_owned())?;
    /// visits.pipe(8, "XX".to_owned())?;
    /// let named = driver.output_topic::<i64, String>("named").read_key_values()?;
    /// assert_eq!(named, [(7, "NL: Netherlands".to_owned())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// `KStream.join(GlobalKTable, …)`.
    #[track_caller]
    pub fn join_global<GK: Data, GV: Data, VOut: Data, R: Into<Option<GK>>>(
        &self,
        table: &GlobalKTable<GK, GV>,
        selector: impl Fn(&K, &V) -> R + Send + Sync + 'static,
        joiner: impl Fn(&V, &GV) -> VOut + Send + Sync + 'static,
    ) -> KStream<K, VOut>
    where
        K: DefaultSerde,
        V: DefaultSerde,
    {
        let joiner = move |_: &K, value: &V, global: &GV| joiner(value, global);
        self.join_global_with(table, selector, joiner, Joined::new())
    }

    /// [`KStream::join_global`] with options, and with a look at the key. Of the serdes only what they take for
    /// null matters; a grace period has no meaning here.
    #[track_caller]
    pub fn join_global_with<GK: Data, GV: Data, VOut: Data, R: Into<Option<GK>>>(
        &self,
        table: &GlobalKTable<GK, GV>,
        selector: impl Fn(&K, &V) -> R + Send + Sync + 'static,
        joiner: impl Fn(&K, &V, &GV) -> VOut + Send + Sync + 'static,
        joined: Joined<K, V>,
    ) -> KStream<K, VOut> {
        let joiner = move |key: &K, value: &V, global: Option<&GV>| {
            global.map(|global| joiner(key, value, global))
        };
        let selector = move |key: &K, value: &V| selector(key, value).into();
        let (selector, joiner) = (Arc::new(selector), Arc::new(joiner));
        self.add_global_join(table, Lookup { left: false, selector, joiner }, joined)
    }

    /// [`KStream::join_global`] where every record has a result, with `None` for a row that is not there.
    ///
    /// **Shape**: `(K, V)` with a table of `(GK, GV)` → `(K, VOut)`, one per record; one without a key to look
    /// up finds no row. Records with a null value are dropped and counted.
    ///
    /// # Examples
    /// ```
    /// use kstream::{GlobalKTable, KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let countries: GlobalKTable<String, String> = builder.global_table("countries");
    /// let visits: KStream<i64, String> = builder.stream("visits");
    /// visits
    ///     .left_join_global(
    ///         &countries,
    ///         |_, code| code.clone(),
    ///         |code, name| name.unwrap_or(code).clone(),
    ///     )
    ///     .to("named");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input_topic::<i64, String>("visits").pipe(8, "XX".to_owned())?;
    /// let named = driver.output_topic::<i64, String>("named").read_key_values()?;
    /// assert_eq!(named, [(8, "XX".to_owned())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// `KStream.leftJoin(GlobalKTable, …)`.
    #[track_caller]
    pub fn left_join_global<GK: Data, GV: Data, VOut: Data, R: Into<Option<GK>>>(
        &self,
        table: &GlobalKTable<GK, GV>,
        selector: impl Fn(&K, &V) -> R + Send + Sync + 'static,
        joiner: impl Fn(&V, Option<&GV>) -> VOut + Send + Sync + 'static,
    ) -> KStream<K, VOut>
    where
        K: DefaultSerde,
        V: DefaultSerde,
    {
        let joiner = move |_: &K, value: &V, global: Option<&GV>| joiner(value, global);
        self.left_join_global_with(table, selector, joiner, Joined::new())
    }

    /// [`KStream::left_join_global`] with options, as [`KStream::join_global_with`].
    #[track_caller]
    pub fn left_join_global_with<GK: Data, GV: Data, VOut: Data, R: Into<Option<GK>>>(
        &self,
        table: &GlobalKTable<GK, GV>,
        selector: impl Fn(&K, &V) -> R + Send + Sync + 'static,
        joiner: impl Fn(&K, &V, Option<&GV>) -> VOut + Send + Sync + 'static,
        joined: Joined<K, V>,
    ) -> KStream<K, VOut> {
        let joiner =
            move |key: &K, value: &V, global: Option<&GV>| Some(joiner(key, value, global));
        let selector = move |key: &K, value: &V| selector(key, value).into();
        let (selector, joiner) = (Arc::new(selector), Arc::new(joiner));
        self.add_global_join(table, Lookup { left: true, selector, joiner }, joined)
    }

    #[track_caller]
    fn add_global_join<GK: Data, GV: Data, VOut: Data>(
        &self,
        table: &GlobalKTable<GK, GV>,
        lookup: Lookup<K, V, GK, GV, VOut>,
        joined: Joined<K, V>,
    ) -> KStream<K, VOut> {
        let Lookup { left, selector, joiner } = lookup;
        let Joined { value_serde, name, .. } = joined;
        let location = Location::caller();
        let mut plan = self.plan.borrow_mut();
        // KAFKA: an inner join has this name too.
        let name = plan.name_or(name, "KSTREAM-LEFTJOIN-");
        if !Rc::ptr_eq(&self.plan, &table.plan) {
            let problem = "the stream and the global table come from different builders".to_owned();
            plan.report(format!("node {name}"), problem, location);
        }
        let (store, global_key_serde) = (table.store, Arc::clone(&table.key_serde));
        let node_name = name.clone();
        let supplier = node(move |linker| {
            Ok(GlobalTableJoin {
                name: node_name.clone(),
                left,
                value_serde: Arc::clone(&value_serde),
                selector: Arc::clone(&selector),
                joiner: Arc::clone(&joiner),
                global_key_serde: Arc::clone(&global_key_serde),
                rows: linker.rows(store)?,
                next: linker.outlet()?,
                key_bytes: Vec::new(),
            })
        });
        let kind = GraphNodeKind::Processor { name, supplier, stores: Vec::new() };
        let node = plan.add_node(vec![self.node], kind, location);
        drop(plan);
        KStream::new(Rc::clone(&self.plan), node, self.repartition_required)
    }
}
