//! Errors of a running application, named by reaction, and the list of mistakes in a topology.

use std::error::Error as StdError;
use std::fmt;
use std::panic::Location;

use crate::ids::{TaskId, TopicPartition};

/// What the runtime, or its user, does about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Trying again may help; the runtime does so by itself.
    Retriable,
    /// The task belongs to another member by now: what is uncommitted is dropped and the member
    /// rejoins.
    TaskMigrated,
    /// The transaction of a thread's tasks is not committed: what it did is forgotten, and done again.
    TransactionAborted,
    /// The task's local state cannot be used: it is deleted and restored from the changelog.
    TaskCorrupted,
    /// A record cannot be processed, and its handler said [`fail`](crate::HandlerResponse::fail).
    BadRecord,
    /// A setting, a topic or a right is wrong: fix it and start again.
    Config,
    /// The client stops.
    Fatal,
}

/// An error of a running application: how to react, what happened, and where.
///
/// It prints as one line: the message, then task, node, topic partition and offset as far as they are
/// known. Its source is printed by whoever reports the chain.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    task: Option<TaskId>,
    node: Option<String>,
    position: Option<(TopicPartition, i64)>,
    source: Option<Box<dyn StdError + Send + Sync>>,
    /// Whether a handler has decided about it: none further up is asked.
    settled: bool,
}

impl Error {
    /// An error of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self(Box::new(Inner {
            kind,
            message,
            task: None,
            node: None,
            position: None,
            source: None,
            settled: false,
        }))
    }

    /// The same with the error that led to it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same, saying in which node, unless that is known already.
    #[must_use]
    pub fn at_node(mut self, node: &str) -> Self {
        self.0.node.get_or_insert_with(|| node.to_owned());
        self
    }

    /// The same, saying at which record, unless that is known already.
    #[must_use]
    pub fn at_record(mut self, partition: TopicPartition, offset: i64) -> Self {
        self.0.position.get_or_insert((partition, offset));
        self
    }

    /// The same, saying in which task, unless that is known already.
    #[must_use]
    pub fn in_task(mut self, task: TaskId) -> Self {
        self.0.task.get_or_insert(task);
        self
    }

    /// The same, for no handler to decide about any more.
    pub(crate) fn settled(mut self) -> Self {
        self.0.settled = true;
        self
    }

    /// Whether a processing handler may decide about it.
    pub(crate) fn is_open(&self) -> bool {
        self.0.kind == ErrorKind::BadRecord && !self.0.settled
    }

    /// The error that led to it.
    pub(crate) fn cause(&self) -> Option<&(dyn StdError + Send + Sync + 'static)> {
        self.0.source.as_deref()
    }

    /// How to react.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The node it happened in, if known.
    pub fn node(&self) -> Option<&str> {
        self.0.node.as_deref()
    }

    /// The task it happened in, if known.
    pub fn task(&self) -> Option<TaskId> {
        self.0.task
    }

    /// The record's topic partition and offset, if known.
    pub fn position(&self) -> Option<(&TopicPartition, i64)> {
        self.0.position.as_ref().map(|(partition, offset)| (partition, *offset))
    }

    /// The message and those of all sources, joined by `: `.
    pub fn report(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if let Some(task) = self.0.task {
            write!(f, ", task {task}")?;
        }
        if let Some(node) = &self.0.node {
            write!(f, ", node {node}")?;
        }
        if let Some((partition, offset)) = &self.0.position {
            write!(f, ", {partition} at offset {offset}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.to_string())
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0.source {
            Some(source) => Some(source.as_ref()),
            None => None,
        }
    }
}

/// One mistake in a topology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopologyError {
    /// The node, store or topic concerned.
    pub subject: String,
    /// What is wrong and what to do.
    pub problem: String,
    /// The line of user code that asked for it.
    pub location: Option<&'static Location<'static>>,
}

impl fmt::Display for TopologyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.problem)?;
        self.location
            .map_or(Ok(()), |location| write!(f, " ({}:{})", location.file(), location.line()))
    }
}

/// All mistakes in a topology, in the order of the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopologyErrors(pub(crate) Vec<TopologyError>);

impl TopologyErrors {
    /// The mistakes one by one.
    pub fn iter(&self) -> std::slice::Iter<'_, TopologyError> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a TopologyErrors {
    type Item = &'a TopologyError;
    type IntoIter = std::slice::Iter<'a, TopologyError>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for TopologyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "the topology has a mistake: {one}"),
            all => {
                write!(f, "the topology has {} mistakes:", all.len())?;
                all.iter().try_for_each(|error| write!(f, "\n  {error}"))
            }
        }
    }
}

impl StdError for TopologyErrors {}
