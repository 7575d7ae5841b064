//! Dropping repeats.

use std::collections::BTreeMap;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::KStream;
use crate::dsl::joins::repartition::JoinSide;
use crate::dsl::joins::stores::JoinStoreSpec;
use crate::dsl::options::Distinct;
use crate::graph::GraphNodeKind;
use crate::processor::Data;
use crate::processor::operators::distinct::{DistinctRecords, DistinctTimes, IdSelector};
use crate::serdes::DefaultSerde;
use crate::state::rows::RowHeaders;
use crate::time::windows::whole_ms;
use crate::topology::StoreType;
use crate::topology::link::node;

impl<K: Data, V: Data> KStream<K, V> {
    /// Lets one record of each key through and drops its repeats: the records of that key less than
    /// `within` before or after it. The next one that is `within` or more apart is let through again.
    ///
    /// **Shape**: `(K, V)` → `(K, V)`, none or one per record; the key does not change. A window store with a
    /// changelog remembers for each key when a record was let through. Records with a null key, and late
    /// ones, `within` or more behind stream time, are dropped and counted; stream time here is the highest
    /// timestamp that this operator has seen. A stream whose key has changed goes through a repartition
    /// topic first.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use kstream::{KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let alarms: KStream<String, String> = builder.stream("alarms");
    /// alarms.distinct(Duration::from_secs(60)).to("pages");
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let alarms = driver.input_topic::<String, String>("alarms");
    /// for (ms, text) in [(0, "disk full"), (30_000, "disk full"), (60_000, "still full")] {
    ///     alarms.pipe_at("db1".to_owned(), text.to_owned(), ms)?;
    /// }
    /// let pages = driver.output_topic::<String, String>("pages").read_key_values()?;
    /// let texts: Vec<_> = pages.iter().map(|(_, text)| text.as_str()).collect();
    /// assert_eq!(texts, ["disk full", "still full"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// Kafka Streams has no such operator (KIP-655 proposed one).
    #[must_use]
    #[track_caller]
    pub fn distinct(&self, within: Duration) -> Self
    where
        K: DefaultSerde,
        V: DefaultSerde,
    {
        self.distinct_with(|_, _| (), Distinct::within(within))
    }

    /// [`KStream::distinct`] with options, where a repeat has to have the same id as well: what `id` makes of key
    /// and value.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use kstream::{Distinct, KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let readings: KStream<String, i64> = builder.stream("readings");
    /// let hour = Distinct::within(Duration::from_secs(3600)).with_name("drop-equal-readings");
    /// readings.distinct_with(|_sensor, reading| *reading, hour).to("changes");
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let readings = driver.input_topic::<String, i64>("readings");
    /// for (ms, reading) in [(0, 20), (1_000, 20), (2_000, 21)] {
    ///     readings.pipe_at("cellar".to_owned(), reading, ms)?;
    /// }
    /// let changes = driver.output_topic::<String, i64>("changes").read_key_values()?;
    /// assert_eq!(changes, [("cellar".to_owned(), 20), ("cellar".to_owned(), 21)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn distinct_with<I: Data>(
        &self,
        id: impl Fn(&K, &V) -> I + Send + Sync + 'static,
        options: Distinct<K, V, I>,
    ) -> Self {
        let location = Location::caller();
        let times = times(&options);
        let is_too_short = whole_ms(options.within) < 1;
        let Distinct { key_serde, value_serde, id_serde, name, store_name, .. } = options;
        let mut plan = self.plan.borrow_mut();
        let side = JoinSide {
            stream: self,
            key_serde: &key_serde,
            value_serde: &value_serde,
            name: name.clone(),
        };
        let parent = side.partitioned(&mut plan, location);
        let generated = plan.store_name("KSTREAM-DISTINCT-");
        let node_name = plan.name_or(name, "KSTREAM-DISTINCT-");
        if is_too_short {
            let problem = "equal records have to be at least a millisecond apart to count as repeats; give a \
                 longer time";
            plan.report(format!("node {node_name}"), problem.to_owned(), location);
        }
        let store_name = store_name.unwrap_or(generated);
        let store = store(store_name, times, options.store_type, options.logging);
        let store = plan.add_store(store.store(), location);
        let id: IdSelector<K, V, I> = Arc::new(id);
        let name = node_name.clone();
        let supplier = node(move |linker| {
            Ok(DistinctRecords {
                name: name.clone(),
                times,
                id: Arc::clone(&id),
                key_serde: Arc::clone(&key_serde),
                id_serde: Arc::clone(&id_serde),
                rows: linker.rows(store)?,
                next: linker.outlet()?,
                key_bytes: Vec::new(),
                stream_time: -1,
            })
        });
        let kind = GraphNodeKind::Processor { name: node_name, supplier, stores: vec![store] };
        let node = plan.add_node(vec![parent], kind, location);
        drop(plan);
        Self::new(Rc::clone(&self.plan), node, false)
    }
}

fn times<K, V, I>(options: &Distinct<K, V, I>) -> DistinctTimes {
    DistinctTimes { within_ms: whole_ms(options.within).max(1), grace_ms: whole_ms(options.grace) }
}

/// The store of what was let through.
fn store(
    name: String,
    times: DistinctTimes,
    store_type: StoreType,
    logging: bool,
) -> JoinStoreSpec<i64> {
    JoinStoreSpec {
        name,
        retention_ms: Some(times.retention_ms()),
        store_type,
        logging,
        topic_configs: BTreeMap::new(),
        value_serde: i64::default_serde(),
        headers: RowHeaders::Dropped,
        row_cache: true,
    }
}
