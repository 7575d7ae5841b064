//! Operators at work: typed nodes that take one record and forward others, and what they see of their
//! task.
//!
//! An edge is an [`Outlet`]: the ports of the nodes behind it. Edges are typed and resolved once, when a
//! task is linked; forwarding is one virtual call, and a record is cloned only where a stream forks, not
//! for its last branch. Nodes of a task live on one thread, and the graph has no cycle, so no node is
//! ever entered twice at a time.

pub(crate) mod api;
pub(crate) mod calls;
pub(crate) mod collector;
pub(crate) mod context;
pub(crate) mod failed_node;
pub(crate) mod handler;
pub(crate) mod operators;
pub(crate) mod processor_context;
pub(crate) mod progress;
pub(crate) mod punctuation;
pub(crate) mod stream_partitioner;
pub(crate) mod timestamp_extractor;
pub(crate) mod topic_name_extractor;
pub(crate) mod value_getter;
pub(crate) mod value_transformer;

use std::cell::RefCell;
use std::rc::Rc;

use crate::error::Error;
use crate::record::{Record, Timestamp};
use context::TaskContext;
use failed_node::Entered;
use punctuation::ScheduleId;

/// What keys and values have to be able to do: a fork clones them, and a task may be built on any
/// thread. Implemented for every type that can.
pub trait Data: Clone + Send + 'static {}

impl<T: Clone + Send + 'static> Data for T {}

/// A node that takes records of this type.
pub(crate) trait Node<K, V> {
    /// Handles one record to the end: when it returns, everything it caused has happened.
    fn process(&mut self, task: &mut TaskContext, record: Record<K, V>) -> Result<(), Error>;
}

/// A node that a parent forwards to.
pub(crate) type Port<K, V> = Rc<RefCell<dyn Node<K, V>>>;

/// A child of a node, and its name for errors.
pub(crate) struct Edge<K, V> {
    pub(crate) port: Port<K, V>,
    pub(crate) name: Rc<str>,
}

impl<K, V> Edge<K, V> {
    #[inline]
    fn process(&self, task: &mut TaskContext, record: Record<K, V>) -> Result<(), Error> {
        let entered = Entered(&self.name);
        let result = self.port.borrow_mut().process(task, record);
        entered.leave();
        result.map_err(|error| error.at_node(&self.name))
    }
}

/// The typed edges behind a node: its children, in the order they were added.
pub(crate) struct Outlet<K, V> {
    edges: Vec<Edge<K, V>>,
}

impl<K: Data, V: Data> Outlet<K, V> {
    pub(crate) fn new(edges: Vec<Edge<K, V>>) -> Self {
        Self { edges }
    }

    /// Whether anyone listens.
    pub(crate) fn is_empty(&self) -> bool {
        self.edges.is_empty()
    }

    /// Forwards to all children.
    #[inline]
    pub(crate) fn forward(
        &self,
        task: &mut TaskContext,
        record: Record<K, V>,
    ) -> Result<(), Error> {
        let Some((last, rest)) = self.edges.split_last() else { return Ok(()) };
        for edge in rest {
            edge.process(task, record.clone())?;
        }
        last.process(task, record)
    }

    /// Forwards to one child.
    pub(crate) fn forward_to(
        &self,
        child: usize,
        task: &mut TaskContext,
        record: Record<K, V>,
    ) -> Result<(), Error> {
        match self.edges.get(child) {
            Some(edge) => edge.process(task, record),
            None => Ok(()),
        }
    }
}

/// A node that has something to do when its task commits.
pub(crate) trait Flush {
    /// Forwards what a record cache holds back.
    fn flush(&mut self, task: &mut TaskContext) -> Result<(), Error>;
}

/// A user's processor in its task, by its place among the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ProcessorId(pub(crate) usize);

/// A user's processor beside its records: it starts and stops with its task, and is called when its
/// schedules are due.
pub(crate) trait Lifecycle {
    /// The node's name.
    fn name(&self) -> &str;
    /// The task starts; its stores are up to date.
    fn init(&mut self, task: &mut TaskContext) -> Result<(), Error>;
    /// A schedule is due.
    fn punctuate(
        &mut self,
        task: &mut TaskContext,
        schedule: ScheduleId,
        timestamp: Timestamp,
    ) -> Result<(), Error>;
    /// The task stops.
    fn close(&mut self);
}

/// An update of a table: the row's new value and, where a later node needs it, the old one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change<V> {
    pub(crate) new: Option<V>,
    pub(crate) old: Option<V>,
    /// False of an update that came too late to be the row's latest: only tables that keep their history
    /// have such.
    pub(crate) is_latest: bool,
}

impl<V> Change<V> {
    /// An update that is the row's latest.
    pub(crate) fn latest(new: Option<V>, old: Option<V>) -> Self {
        Self { new, old, is_latest: true }
    }
}
