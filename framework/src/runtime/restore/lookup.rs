//! What the brokers know about a starting task: how far its group has come, and what its changelogs have.
//!
//! It is asked on a thread of its own. An answer may wait for a broker, or for the end of somebody else's
//! transaction, and the tasks that run on the stream thread must not wait with it.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as StdError;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread::{Builder, park_timeout};
use std::time::Duration;

use crate::broker::{
    Admin, BrokerError, BrokerErrorKind, CommittedOffset, StartOffset, TopicDescription,
};
use crate::error::{Error, ErrorKind};
use crate::ids::{TaskId, TopicId, TopicPartition};
use crate::runtime::membership::Membership;
use crate::runtime::task::StreamTask;
use crate::state::StorePosition;

/// How long one question for committed offsets may take.
const COMMITTED_TIMEOUT: Duration = Duration::from_secs(5);
/// How often it is asked about a topic that a broker does not know, and the pause in between, half a minute in all: one
/// that has stood still, or has not heard of a new topic yet, says the same as one whose topic was deleted.
const ATTEMPTS: usize = 60;
const PAUSE: Duration = Duration::from_millis(500);
/// Kafka's default `delete.retention.ms`, for a topic whose configs may not be read.
const DEFAULT_TOMBSTONES_KEPT: Duration = Duration::from_hours(24);

/// Asks the group for committed offsets.
pub(crate) type AskCommitted<'a> =
    dyn Fn(&[TopicPartition]) -> Result<Vec<Option<CommittedOffset>>, Error> + 'a;

/// What a task wants to know.
#[derive(Debug)]
pub(crate) struct Question {
    task: TaskId,
    inputs: Vec<TopicPartition>,
    /// Where to begin with each input of which the group has no offset.
    resets: Vec<StartOffset>,
    /// Those of the inputs from which the application deletes.
    deleted: Vec<TopicPartition>,
    logs: Vec<StoreLog>,
}

/// A store, where its rows stand, and the partition that has its changes.
#[derive(Debug, Clone)]
struct StoreLog {
    /// The store's place in its task.
    store: usize,
    partition: TopicPartition,
    /// The partition is one of the task's inputs.
    is_input: bool,
    position: Option<StorePosition>,
}

/// What a task has to know to restore its stores and to begin.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The group's offsets of the task's inputs, in order. Where the application deletes records and somebody else
    /// has deleted more, it is the first offset that there is.
    pub(crate) committed: Vec<Option<CommittedOffset>>,
    /// Where to begin with each input. A start at the end of a log is the end at the time of the answer: what comes
    /// while the task's state is restored is read.
    pub(crate) starts: Vec<StartOffset>,
    pub(crate) logs: Vec<LogFacts>,
}

/// A store's changelog as it is now, beside where the store's rows stand.
#[derive(Debug, Clone)]
pub(crate) struct LogFacts {
    /// The store's place in its task.
    pub(crate) store: usize,
    pub(crate) partition: TopicPartition,
    pub(crate) position: Option<StorePosition>,
    pub(crate) log: LogRange,
    /// `None`: the broker gives no ids.
    pub(crate) topic_id: Option<TopicId>,
    /// How long compaction leaves tombstones for those who lag behind; `None`: it removes none, or it does
    /// not matter because the store does not lag.
    pub(crate) tombstones_kept: Option<Duration>,
}

/// What a changelog has, and how far it is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogRange {
    pub(crate) beginning: i64,
    pub(crate) end: i64,
    pub(crate) wanted: i64,
}

impl LogFacts {
    /// Offsets between the rows and the end that is wanted; 0 for a store without rows, which has nothing
    /// to lose.
    pub(super) fn gap(&self) -> i64 {
        self.position.map_or(0, |position| (self.log.wanted - position.next_offset).max(0))
    }

    /// Finds out how long tombstones are kept, where that matters.
    pub(crate) fn ask_for_tombstones(&mut self, admin: &dyn Admin) -> Result<(), Error> {
        if self.gap() > 0 {
            self.tombstones_kept = tombstones_kept(admin, &self.partition.topic)?;
        }
        Ok(())
    }
}

impl Question {
    /// What this task has to know. Its stores are open.
    pub(crate) fn of(
        task: &StreamTask,
        resets: Vec<StartOffset>,
        is_deleted: impl Fn(&str) -> bool,
    ) -> Result<Self, Error> {
        let mut logs = Vec::new();
        for (place, store) in task.stores.iter().enumerate() {
            let Some(partition) = store.log() else { continue };
            let position = store.built.managed.borrow().position()?;
            let (partition, is_input) = (partition.clone(), store.source.is_some());
            logs.push(StoreLog { store: place, partition, is_input, position });
        }
        let inputs = task.partitions();
        let deleted = inputs.iter().filter(|input| is_deleted(&input.topic)).cloned().collect();
        Ok(Self { task: task.id, inputs, resets, deleted, logs })
    }

    /// Asks, and waits for all answers.
    pub(crate) fn ask(
        &self,
        admin: &dyn Admin,
        committed: &AskCommitted<'_>,
    ) -> Result<Answer, Error> {
        let answer = self.answers(admin, committed);
        answer.map_err(|error| error.in_task(self.task))
    }

    /// Asks, and again while a topic is not known to the broker that was asked.
    pub(crate) fn ask_again(
        &self,
        admin: &dyn Admin,
        committed: &AskCommitted<'_>,
        mut pause: impl FnMut(),
    ) -> Result<Answer, Error> {
        for _ in 1..ATTEMPTS {
            match self.ask(admin, committed) {
                Err(error) if is_unknown(&error) => pause(),
                answer => return answer,
            }
        }
        self.ask(admin, committed)
    }

    fn answers(&self, admin: &dyn Admin, committed: &AskCommitted<'_>) -> Result<Answer, Error> {
        // ORDER: the offsets first. They wait for the transactions of whoever had the task before, and only
        // then are the ends behind all that it has committed.
        let mut offsets =
            if self.inputs.is_empty() { Vec::new() } else { committed(&self.inputs)? };
        self.pass_over_deleted(admin, &mut offsets)?;
        let known = KnownTopics::of(
            admin,
            self.inputs.iter().chain(self.logs.iter().map(|log| &log.partition)),
        )?;
        let starts = self.starts(admin, &offsets)?;
        let partitions: Vec<_> = self.logs.iter().map(|log| log.partition.clone()).collect();
        let (ends, beginnings) = if partitions.is_empty() {
            Default::default()
        } else {
            (admin.end_offsets(&partitions)?, admin.beginning_offsets(&partitions)?)
        };
        let committed_of = |partition: &TopicPartition| {
            let place = self.inputs.iter().position(|input| input == partition)?;
            Some(offsets.get(place)?.as_ref()?.offset)
        };
        let logs = self.logs.iter().zip(ends).zip(beginnings);
        let logs = logs.map(|((log, end), beginning)| {
            let wanted = if log.is_input {
                // What comes behind is processed, not restored.
                committed_of(&log.partition).map_or(0, |offset| end.min(offset))
            } else {
                end
            };
            let mut facts = LogFacts {
                store: log.store,
                partition: log.partition.clone(),
                position: log.position,
                log: LogRange { beginning, end, wanted },
                topic_id: known.id(&log.partition.topic),
                tombstones_kept: None,
            };
            facts.ask_for_tombstones(admin)?;
            Ok(facts)
        });
        let logs = logs.collect::<Result<_, Error>>()?;
        Ok(Answer { committed: offsets, starts, logs })
    }

    /// Where to begin with each input.
    fn starts(
        &self,
        admin: &dyn Admin,
        committed: &[Option<CommittedOffset>],
    ) -> Result<Vec<StartOffset>, Error> {
        let start = |(committed, reset): (&Option<CommittedOffset>, &StartOffset)| {
            committed.as_ref().map_or(*reset, |committed| StartOffset::At(committed.offset))
        };
        let mut starts: Vec<_> = committed.iter().zip(&self.resets).map(start).collect();
        let at_end = |start: &StartOffset| *start == StartOffset::Latest;
        if starts.iter().any(at_end) {
            let ends = admin.end_offsets(&self.inputs)?;
            for (start, end) in starts.iter_mut().zip(ends).filter(|(start, _)| at_end(start)) {
                *start = StartOffset::At(end);
            }
        }
        Ok(starts)
    }

    /// Goes on behind records that somebody else has deleted before they were read.
    ///
    /// KAFKA: a repartition topic that lacks a position is read from its beginning (`StreamThread.resetOffsets`). That
    /// is safe only if the position is before it: what comes again otherwise would count twice.
    fn pass_over_deleted(
        &self,
        admin: &dyn Admin,
        offsets: &mut [Option<CommittedOffset>],
    ) -> Result<(), Error> {
        if self.deleted.is_empty() {
            return Ok(());
        }
        let beginnings = admin.beginning_offsets(&self.deleted)?;
        let beginnings: BTreeMap<_, _> = self.deleted.iter().zip(beginnings).collect();
        for (partition, committed) in self.inputs.iter().zip(offsets) {
            let (Some(beginning), Some(committed)) = (beginnings.get(partition), committed) else {
                continue;
            };
            if committed.offset < *beginning {
                tracing::warn!(
                    task = %self.task,
                    %partition,
                    committed = committed.offset,
                    beginning,
                    "somebody has deleted records before they were read; they are lost, reading goes on"
                );
                committed.offset = *beginning;
            }
        }
        Ok(())
    }
}

/// The topics of partitions, all of which exist.
pub(crate) struct KnownTopics<'a>(BTreeMap<&'a str, TopicDescription>);

impl<'a> KnownTopics<'a> {
    /// Asks. A partition that does not exist is an error: who reads it would wait for it.
    pub(crate) fn of(
        admin: &dyn Admin,
        partitions: impl Iterator<Item = &'a TopicPartition> + Clone,
    ) -> Result<Self, Error> {
        let topics: BTreeSet<&str> =
            partitions.clone().map(|partition| &*partition.topic).collect();
        let topics: Vec<&str> = topics.into_iter().collect();
        let described = topics.iter().copied().zip(admin.describe_topics(&topics)?);
        let known = Self(described.filter_map(|(name, topic)| Some((name, topic?))).collect());
        let exists = |partition: &&TopicPartition| {
            known
                .0
                .get(&*partition.topic)
                .is_some_and(|topic| partition.partition < topic.partitions)
        };
        let Some(missing) = partitions.into_iter().find(|partition| !exists(partition)) else {
            return Ok(known);
        };
        let message = format!("{missing} does not exist");
        Err(BrokerError::new(BrokerErrorKind::UnknownTopicOrPartition, message).into())
    }

    /// The topic's id; `None`: the broker gives none.
    pub(crate) fn id(&self, topic: &str) -> Option<TopicId> {
        self.0.get(topic)?.id
    }
}

/// How long a topic keeps tombstones; `None` if it is not compacted.
fn tombstones_kept(admin: &dyn Admin, topic: &str) -> Result<Option<Duration>, Error> {
    let configs = match admin.topic_configs(topic) {
        Ok(configs) => configs,
        Err(error) if error.is_retriable() => return Err(error.into()),
        Err(error) if error.kind() == BrokerErrorKind::UnknownTopicOrPartition => {
            return Err(error.into());
        }
        // To read the configs is a right of its own, which nothing else needs for a source topic.
        Err(error) => {
            tracing::debug!(topic, %error, "taking Kafka's default of delete.retention.ms");
            return Ok(Some(DEFAULT_TOMBSTONES_KEPT));
        }
    };
    let compacts = configs.get("cleanup.policy").is_none_or(|policy| policy.contains("compact"));
    let kept = configs.get("delete.retention.ms").and_then(|text| text.parse().ok());
    Ok(compacts.then(|| kept.map_or(DEFAULT_TOMBSTONES_KEPT, Duration::from_millis)))
}

fn is_unknown(error: &Error) -> bool {
    let cause = StdError::source(error).and_then(|cause| cause.downcast_ref::<BrokerError>());
    cause.is_some_and(|cause| cause.kind() == BrokerErrorKind::UnknownTopicOrPartition)
}

/// A question on its way.
#[derive(Debug)]
pub(crate) struct Lookup(Receiver<Result<Answer, Error>>);

impl Lookup {
    /// Asks on a thread of its own, which ends with the answer. Who drops this is not interested any more.
    pub(crate) fn start(
        question: Question,
        admin: &Arc<dyn Admin>,
        membership: &Arc<dyn Membership>,
    ) -> Result<Self, Error> {
        let (answer, answered) = sync_channel(1);
        let (admin, membership) = (Arc::clone(admin), Arc::clone(membership));
        let ask = move || {
            let committed =
                |inputs: &[TopicPartition]| membership.committed(inputs, COMMITTED_TIMEOUT);
            answer.send(question.ask_again(&*admin, &committed, || park_timeout(PAUSE))).ok();
        };
        let thread = Builder::new().name("kstream-lookup".to_owned()).spawn(ask);
        thread.map_err(|error| {
            Error::new(ErrorKind::Fatal, "no thread can be started").with_source(error)
        })?;
        Ok(Self(answered))
    }

    /// The answer, if it is there; without waiting.
    pub(crate) fn take(&self) -> Option<Result<Answer, Error>> {
        match self.0.try_recv() {
            Ok(answer) => Some(answer),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                let message = "asking the brokers about a task panicked";
                Some(Err(Error::new(ErrorKind::Fatal, message)))
            }
        }
    }
}
