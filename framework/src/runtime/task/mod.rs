//! A stream task: one sub-topology on one partition, with its stores. It belongs to one thread.
//!
//! ```text
//!            ┌─────────┐ link  ┌───────────┐ restored ┌─────────┐
//!            │ created ├──────►│ restoring ├─────────►│ running │◄─┐ resume
//!            └─────────┘       └─────┬─────┘          └──┬───┬──┘  │
//!                                    │              suspend  │ ┌───┴───────┐
//!                                    │                   └───┼►│ suspended │
//!                                    ▼                       ▼ └───┬───────┘
//!                                 closed ◄───────────────────┴─────┘
//! ```
//! Closed is the end of the value: a task is dropped.

mod calls;
pub(crate) mod partition_group;
mod punctuate;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::broker::{CommittedOffset, StartOffset, TopicHandle};
use crate::error::Error;
use crate::ids::{TaskId, TopicId, TopicPartition};
use crate::processor::calls::Calls;
use crate::processor::collector::SharedProducer;
use crate::processor::context::TaskContext;
use crate::processor::failed_node::take_failed_node;
use crate::processor::handler::{panic_of, panicked};
#[cfg(feature = "__test-utils")]
use crate::processor::operators::source::RawNode;
use crate::processor::progress::Progress;
use crate::processor::punctuation::PunctuationType;
use crate::record::Timestamp;
use crate::state::StorePosition;
#[cfg(feature = "__test-utils")]
use crate::topology::NodeId;
use crate::topology::link::{BuiltStore, LinkSettings, LinkedTask, OpenRows, Processors, link};
use crate::topology::source_changelog::ReadRow;
use crate::topology::{AutoOffsetReset, TopicName, Topology};
use partition_group::{Next, PartitionGroup};
use punctuate::punctuate;

/// A store of a task, with its changelog.
pub(crate) struct TaskStore {
    pub(crate) name: String,
    pub(crate) built: BuiltStore,
    pub(crate) changelog: Option<Changelog>,
    /// The source topic that the store is restored from instead.
    pub(crate) source: Option<StoreSource>,
    /// The id of whichever of them it is; `None` while it is not known.
    topic_id: Option<TopicId>,
}

impl TaskStore {
    /// The partition that the store is restored from.
    pub(crate) fn log(&self) -> Option<&TopicPartition> {
        let source = self.source.as_ref().map(|source| &source.partition);
        self.changelog.as_ref().map(|changelog| &changelog.partition).or(source)
    }
}

/// A source partition that has the rows of a store.
pub(crate) struct StoreSource {
    pub(crate) partition: TopicPartition,
    pub(crate) read: ReadRow,
}

/// The changelog partition of a store.
pub(crate) struct Changelog {
    pub(crate) partition: TopicPartition,
    /// Looked up at the first commit.
    handle: Option<TopicHandle>,
    /// Whether this commit has brought it a record.
    sent: bool,
}

/// A task with everything it needs to process records.
pub(crate) struct StreamTask {
    pub(crate) id: TaskId,
    pub(crate) context: TaskContext,
    pub(crate) group: PartitionGroup,
    pub(crate) stores: Vec<TaskStore>,
    /// What goes with every offset that is committed.
    pub(crate) offset_metadata: String,
    /// What operators remember; it goes with the offsets too.
    pub(crate) progress: Progress,
    #[cfg(feature = "__test-utils")]
    sources: Sources,
    processors: Processors,
    linked: Flushers,
    /// Operators whose records wait for calls.
    calls: Vec<std::rc::Rc<std::cell::RefCell<dyn Calls>>>,
    /// No new records: calls in flight end first, for a commit.
    draining: bool,
    /// Whether there is anything to commit.
    dirty: bool,
}

#[cfg(feature = "__test-utils")]
type Sources = Vec<(NodeId, std::rc::Rc<std::cell::RefCell<dyn RawNode>>)>;

type Flushers = Vec<std::rc::Rc<std::cell::RefCell<dyn crate::processor::Flush>>>;

/// A source partition of a task: the topic's name at the broker, and the partition.
pub(crate) fn source_partitions(
    topology: &Topology,
    task: TaskId,
    settings: &LinkSettings,
    partition_count: &dyn Fn(&str) -> i32,
) -> Vec<TopicPartition> {
    use crate::topology::link::TaskScope;
    let mut partitions = Vec::new();
    for subtopology in &topology.subtopologies {
        let others = settings.scope == TaskScope::Subtopology && subtopology.id != task.subtopology;
        if others || subtopology.global {
            continue;
        }
        for topic in &subtopology.sources {
            let topic = topic.resolve(&settings.application_id);
            if task.partition < partition_count(&topic) {
                partitions.push(TopicPartition::new(topic, task.partition));
            }
        }
    }
    partitions
}

impl StreamTask {
    /// Links the task; `partitions` are its source partitions.
    pub(crate) fn new(
        topology: &Topology,
        context: TaskContext,
        settings: &LinkSettings,
        partitions: Vec<TopicPartition>,
        open_rows: &mut OpenRows<'_>,
    ) -> Result<Self, Error> {
        let id = context.task;
        let LinkedTask { sources, processors, flushers, calls, stores, progress, clock } =
            link(topology, id, settings, open_rows)?;
        let mut context = context;
        context.record_clock = clock;
        let mut group = PartitionGroup::new(settings.max_idle_ms());
        for partition in partitions {
            let source = sources.iter().find(|(node, _)| {
                topology.reads(*node, &settings.application_id, &partition.topic)
            });
            if let Some((node, source)) = source {
                group.add(partition, &topology.node(*node).name, std::rc::Rc::clone(source));
            }
        }
        let stores = stores
            .into_iter()
            .map(|linked| {
                let store = topology.store(linked.id);
                let partition = |topic: &TopicName| {
                    TopicPartition::new(topic.resolve(&settings.application_id), id.partition)
                };
                let changelog = store.changelog().map(|topic| Changelog {
                    partition: partition(&topic),
                    handle: None,
                    sent: false,
                });
                let source = topology.source_changelog(linked.id).map(|source| StoreSource {
                    partition: partition(&source.topic),
                    read: Arc::clone(&source.read),
                });
                let (name, topic_id) = (store.name.clone(), None);
                TaskStore { name, built: linked.built, changelog, source, topic_id }
            })
            .collect();
        Ok(Self {
            id,
            context,
            group,
            stores,
            #[cfg(feature = "__test-utils")]
            sources,
            offset_metadata: String::new(),
            progress,
            processors,
            linked: flushers,
            calls,
            draining: false,
            dirty: false,
        })
    }

    /// Reads a further partition through a source node.
    #[cfg(feature = "__test-utils")]
    pub(crate) fn add_partition(
        &mut self,
        topology: &Topology,
        node: NodeId,
        partition: TopicPartition,
    ) {
        if let Some((_, source)) = self.sources.iter().find(|(other, _)| *other == node) {
            self.group.add(partition, &topology.node(node).name, std::rc::Rc::clone(source));
        }
    }

    /// Processes up to `max_records`; the answer is how many there were. A panic in user code becomes an
    /// error that names the record. It takes none while calls end for a commit, and as many as an operator with
    /// calls has room for.
    pub(crate) fn process(&mut self, max_records: usize) -> Result<usize, Error> {
        if self.draining {
            return Ok(0);
        }
        let result = guarded(|| self.process_slice(max_records));
        result.map_err(|error| self.at_record(error))
    }

    /// The error, saying at which record of this task.
    #[cold]
    fn at_record(&self, error: Error) -> Error {
        let TaskContext { topic, partition, offset, .. } = &self.context;
        if topic.is_empty() {
            return error.in_task(self.id);
        }
        let place = TopicPartition::new(Arc::clone(topic), *partition);
        error.at_record(place, *offset).in_task(self.id)
    }

    fn process_slice(&mut self, max_records: usize) -> Result<usize, Error> {
        let may_be_full = !self.calls.is_empty();
        for processed in 0..max_records {
            if may_be_full && self.is_full() {
                return Ok(processed);
            }
            match self.group.next(&mut self.context)? {
                Next::Nothing => return Ok(processed),
                Next::Dropped => self.dirty = true,
                Next::Record(queue) => {
                    self.dirty = true;
                    self.group.process(queue, &mut self.context)?;
                }
            }
            let (kind, stream_time) = (PunctuationType::StreamTime, self.context.stream_time);
            if self.context.punctuations.may_be_due(kind, stream_time) {
                punctuate(&self.processors, &mut self.context, kind, stream_time)?;
            }
        }
        Ok(max_records)
    }

    /// Whether anything has been processed since the last commit.
    pub(crate) fn needs_commit(&self) -> bool {
        self.dirty
    }

    /// Whether a processor wants what has been processed to be committed soon.
    pub(crate) fn commit_requested(&self) -> bool {
        self.dirty && self.context.commit_requested
    }

    /// Forwards what the record cache holds back. A panic in user code becomes an error.
    pub(crate) fn flush_caches(&mut self) -> Result<(), Error> {
        let flushed = guarded(|| {
            let mut nodes = self.linked.iter();
            nodes.try_for_each(|node| node.borrow_mut().flush(&mut self.context))
        });
        flushed.map_err(|error| error.in_task(self.id))
    }

    /// Whether a changelog is about to forget rows that have gone downstream.
    pub(crate) fn gave_out(&self) -> bool {
        self.stores.iter().any(|store| store.built.managed.borrow().gave_out())
    }

    /// Looks the changelogs up that rows go to, which may take as long as a broker is away.
    pub(crate) fn find_changelogs(&mut self) -> Result<(), Error> {
        for changelog in self.stores.iter_mut().filter_map(|store| store.changelog.as_mut()) {
            if changelog.handle.is_none() {
                let topic = &changelog.partition.topic;
                changelog.handle = Some(self.context.collector.changelog(topic)?);
            }
        }
        Ok(())
    }

    /// Sends the rows written since the last commit to the changelogs, which should have been found before: it
    /// waits for those that were not. Done again after a failure, it sends all rows again, as they are then.
    pub(crate) fn send_changelogs(&mut self) -> Result<(), Error> {
        self.check_drained()?;
        self.find_changelogs()?;
        for store in &mut self.stores {
            let mut managed = store.built.managed.borrow_mut();
            let found = store.changelog.as_mut();
            let found = found.and_then(|changelog| Some((changelog.handle?, changelog)));
            let Some((handle, changelog)) = found else {
                managed.prepare_commit(&mut |_| Ok(()))?;
                continue;
            };
            let collector = &mut self.context.collector;
            let partition = changelog.partition.partition;
            changelog.sent = false;
            managed.prepare_commit(&mut |record| {
                changelog.sent = true;
                collector.send_changelog(handle, partition, record)
            })?;
        }
        Ok(())
    }

    /// Writes the rows to the stores, with the changelog positions that the broker has acknowledged.
    pub(crate) fn write_stores(
        &self,
        producer: &SharedProducer,
        now_ms: Timestamp,
    ) -> Result<(), Error> {
        for store in &self.stores {
            // INVARIANT: what this thread sent before the task was elsewhere is behind the store's position.
            let sent = store.changelog.as_ref().filter(|changelog| changelog.sent);
            let acked = sent.and_then(|changelog| {
                let partition = changelog.partition.partition;
                producer.borrow().last_acked(changelog.handle?, partition)
            });
            let next_offset = acked.map(|acked| acked + 1).or_else(|| self.consumed(store));
            let topic_id = store.topic_id;
            let position = next_offset.map(|next_offset| StorePosition {
                next_offset,
                written_at_ms: now_ms,
                topic_id,
            });
            store.built.managed.borrow_mut().finish_commit(position, now_ms)?;
        }
        Ok(())
    }

    /// The offset behind the last processed record of the topic that has the store's rows.
    fn consumed(&self, store: &TaskStore) -> Option<i64> {
        let source = store.source.as_ref()?;
        let mut queues = self.group.queues().iter();
        queues.find(|queue| queue.partition == source.partition)?.consumed
    }

    /// Notes which topic a store follows: it goes with the positions of its rows.
    pub(crate) fn follow(&mut self, store: usize, topic_id: Option<TopicId>) {
        if let Some(store) = self.stores.get_mut(store) {
            store.topic_id = topic_id;
        }
    }

    /// The offsets to commit: behind the last processed record of each partition.
    pub(crate) fn consumed_offsets(
        &self,
    ) -> impl Iterator<Item = (TopicPartition, CommittedOffset)> {
        let metadata = self.progress.offset_metadata(&self.offset_metadata);
        self.group.queues().iter().filter_map(move |queue| {
            let offset = queue.consumed?;
            let metadata = metadata.clone();
            Some((queue.partition.clone(), CommittedOffset { offset, metadata }))
        })
    }

    /// Takes the committed offset of a partition as what has been processed. Each commit commits it again, so that the
    /// group refuses also one of a task that has only punctuated.
    pub(crate) fn resume(&mut self, queue: usize, offset: i64) {
        self.group.set_consumed(queue, offset);
    }

    /// Commits all offsets again, as they are: what goes with them has changed.
    pub(crate) fn recommit(&mut self) {
        self.dirty = true;
    }

    /// Notes that everything processed so far is committed.
    pub(crate) fn committed(&mut self) {
        self.dirty = false;
        self.draining = false;
        self.context.commit_requested = false;
    }

    /// The source partitions, in order.
    pub(crate) fn partitions(&self) -> Vec<TopicPartition> {
        self.group.queues().iter().map(|queue| queue.partition.clone()).collect()
    }

    /// Where to read each source partition when the group has committed nothing, in order.
    pub(crate) fn start_offsets(
        &self,
        topology: &Topology,
        settings: &LinkSettings,
    ) -> Vec<StartOffset> {
        let queues = self.group.queues().iter();
        queues
            .map(|queue| {
                match topology.reset_of(&settings.application_id, &queue.partition.topic) {
                    AutoOffsetReset::Earliest => StartOffset::Earliest,
                    AutoOffsetReset::Latest => StartOffset::Latest,
                }
            })
            .collect()
    }

    /// Writes committed rows to disk: a task that is closed cleanly has nothing to replay.
    pub(crate) fn flush_stores(&self) -> Result<(), Error> {
        self.stores.iter().try_for_each(|store| store.built.managed.borrow_mut().flush())
    }

    /// Whether a partition is the changelog of one of the task's stores.
    pub(crate) fn logs_to(&self, partition: &TopicPartition) -> bool {
        let changelogs = self.stores.iter().filter_map(|store| store.changelog.as_ref());
        changelogs.map(|changelog| &changelog.partition).any(|other| other == partition)
    }

    /// Bytes of rows written since the last commit.
    pub(crate) fn uncommitted_bytes(&self) -> usize {
        self.stores.iter().map(|store| store.built.managed.borrow().uncommitted_bytes()).sum()
    }
}

/// Runs what calls the user's code; a panic in it becomes an error.
fn guarded<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let error = panicked(&panic_of(&*panic));
        Err(match take_failed_node() {
            Some(node) => error.at_node(&node),
            None => error,
        })
    })
}
