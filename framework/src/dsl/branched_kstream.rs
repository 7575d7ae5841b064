//! A stream being split into branches.

use std::collections::BTreeMap;
use std::panic::Location;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use super::kstream::KStream;
use super::options::{Branched, Named};
use crate::graph::{GraphNodeId, GraphNodeKind};
use crate::processor::Data;
use crate::processor::operators::branch::Branch;
use crate::processor::operators::filter::Predicate;
use crate::processor::operators::merge::PassThrough;
use crate::topology::link::node;

/// A stream being split; ends with [`default_branch`](BranchedKStream::default_branch) or
/// [`no_default_branch`](BranchedKStream::no_default_branch), which give the branches by name.
///
/// A branch's name is the splitter's followed by the branch's own, or by its number from 1; the default
/// branch's number is 0.
///
/// # Source
/// `org.apache.kafka.streams.kstream.BranchedKStream` (KIP-418).
pub struct BranchedKStream<K, V> {
    stream: KStream<K, V>,
    splitter: GraphNodeId,
    splitter_name: String,
    /// Grows with each branch; read when a task is linked. The lock is only ever held for that.
    predicates: Arc<Mutex<Vec<Predicate<K, V>>>>,
    branches: BTreeMap<String, KStream<K, V>>,
}

impl<K, V> std::fmt::Debug for BranchedKStream<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BranchedKStream").field("name", &self.splitter_name).finish_non_exhaustive()
    }
}

impl<K: Data, V: Data> BranchedKStream<K, V> {
    #[track_caller]
    pub(crate) fn new(stream: &KStream<K, V>, named: Named) -> Self {
        let predicates: Arc<Mutex<Vec<Predicate<K, V>>>> = Arc::default();
        let shared = Arc::clone(&predicates);
        let supplier = node(move |linker| {
            let predicates = shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
            Ok(Branch { predicates, next: linker.outlet()? })
        });
        let mut plan = stream.plan.borrow_mut();
        let splitter_name = plan.name_or(named.0, "KSTREAM-BRANCH-");
        let name = splitter_name.clone();
        let kind = GraphNodeKind::Processor { name, supplier, stores: Vec::new() };
        let splitter = plan.add_node(vec![stream.node], kind, Location::caller());
        drop(plan);
        let stream = stream.clone();
        Self { stream, splitter, splitter_name, predicates, branches: BTreeMap::new() }
    }

    /// Adds a branch for the records that `predicate` accepts and no earlier branch has.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let views: KStream<String, i64> = builder.stream("views");
    /// let branches = views.split_with("by-").branch(|_, status| *status >= 500).default_branch();
    /// branches["by-1"].to("errors");
    /// branches["by-0"].to("others");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, i64>("views");
    /// input.pipe("/".to_owned(), 200)?;
    /// input.pipe("/".to_owned(), 503)?;
    /// let errors = driver.output_topic::<String, i64>("errors").read_key_values()?;
    /// assert_eq!(errors, [("/".to_owned(), 503)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn branch(self, predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> Self {
        self.branch_with(predicate, Branched { name: None, chain: None })
    }

    /// [`BranchedKStream::branch`] with a name, or with what is done with the branch.
    #[track_caller]
    #[must_use]
    pub fn branch_with(
        mut self,
        predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static,
        branched: Branched<K, V>,
    ) -> Self {
        let mut predicates = self.predicates.lock().unwrap_or_else(PoisonError::into_inner);
        predicates.push(Arc::new(predicate));
        let number = predicates.len();
        drop(predicates);
        self.add_branch(branched, number);
        self
    }

    /// Adds a branch for all other records; gives all branches by name.
    #[track_caller]
    pub fn default_branch(self) -> BTreeMap<String, KStream<K, V>> {
        self.default_branch_with(Branched { name: None, chain: None })
    }

    /// [`BranchedKStream::default_branch`] with a name, or with what is done with the branch.
    #[track_caller]
    pub fn default_branch_with(
        mut self,
        branched: Branched<K, V>,
    ) -> BTreeMap<String, KStream<K, V>> {
        self.add_branch(branched, 0);
        self.branches
    }

    /// Drops all other records; gives all branches by name.
    pub fn no_default_branch(self) -> BTreeMap<String, KStream<K, V>> {
        self.branches
    }

    #[track_caller]
    fn add_branch(&mut self, branched: Branched<K, V>, number: usize) {
        let own_name = branched.name.unwrap_or_else(|| number.to_string());
        let name = format!("{}{own_name}", self.splitter_name);
        let mut plan = self.stream.plan.borrow_mut();
        plan.processor_name("");
        let supplier = node(|linker| Ok(PassThrough::<K, V> { next: linker.outlet()? }));
        let kind = GraphNodeKind::Processor { name: name.clone(), supplier, stores: Vec::new() };
        let node = plan.add_node(vec![self.splitter], kind, Location::caller());
        drop(plan);
        let plan = Rc::clone(&self.stream.plan);
        let branch = KStream::new(plan, node, self.stream.repartition_required)
            .with_key_serde(self.stream.key_serde.clone());
        let result = match branched.chain {
            Some(chain) => chain(branch),
            None => Some(branch),
        };
        if let Some(stream) = result {
            self.branches.insert(name, stream);
        }
    }
}
