//! Broker ports: the small traits through which the runtime sees a log, and their two
//! implementations. Ports speak bytes, topics, partitions and offsets; they know no tasks and no
//! stores.
//!
//! Invariants every implementation keeps:
//! - a [`Consumer`] and a [`Producer`] belong to one thread; a [`GroupMember`] is polled by one thread,
//!   while its `commit` and `committed` may be called from any;
//! - a record handed out by [`RecordBatch`] borrows from the batch: nothing is copied until an
//!   operator asks for it;
//! - an offset is only reported as acknowledged once the broker has confirmed it;
//! - a [`Consumer`] sees committed records only: it stops before the first record of a transaction that is
//!   open, and passes over aborted ones. What it has seen is never taken back.

mod error;
pub mod kafka;
pub mod memory;
mod partitioner;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

pub use error::{BrokerError, BrokerErrorKind};
pub use partitioner::{murmur2, partition_for_key};

use crate::ids::{TopicId, TopicPartition};
use crate::record::{Headers, Timestamp};

/// A connection to a broker: makes the clients that a process needs.
pub trait Broker: Debug + Send + Sync + 'static {
    /// Where it is, for messages: `memory` or the bootstrap servers.
    fn name(&self) -> &str;
    /// A client for topics and offsets.
    fn admin(&self) -> Result<Box<dyn Admin>, BrokerError>;
    /// A consumer outside any group. `client_id` names it in the broker's logs.
    fn consumer(
        &self,
        role: ConsumerRole,
        client_id: &str,
    ) -> Result<Box<dyn Consumer>, BrokerError>;
    /// A producer.
    fn producer(&self, settings: &ProducerSettings) -> Result<Box<dyn Producer>, BrokerError>;
    /// A member of a consumer group.
    fn group_member(&self, settings: &GroupSettings) -> Result<Arc<dyn GroupMember>, BrokerError>;
}

/// A shared connection is a connection: an application may use the one that its topologies use.
impl<B: Broker + ?Sized> Broker for Arc<B> {
    fn name(&self) -> &str {
        (**self).name()
    }
    fn admin(&self) -> Result<Box<dyn Admin>, BrokerError> {
        (**self).admin()
    }
    fn consumer(
        &self,
        role: ConsumerRole,
        client_id: &str,
    ) -> Result<Box<dyn Consumer>, BrokerError> {
        (**self).consumer(role, client_id)
    }
    fn producer(&self, settings: &ProducerSettings) -> Result<Box<dyn Producer>, BrokerError> {
        (**self).producer(settings)
    }
    fn group_member(&self, settings: &GroupSettings) -> Result<Arc<dyn GroupMember>, BrokerError> {
        (**self).group_member(settings)
    }
}

/// What a consumer is for; implementations tune fetching by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsumerRole {
    /// Reads the source topics of running tasks.
    Main,
    /// Reads changelogs into stores.
    Restore,
}

/// Settings of a producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerSettings {
    /// Its name in the broker's logs.
    pub client_id: String,
    /// Whether [`Producer::last_acked`] is wanted. Without it an acknowledged record costs no event.
    pub track_acks: bool,
    /// Makes the producer transactional: it sends inside transactions only.
    pub transactions: Option<TransactionSettings>,
}

/// Settings of a transactional producer. KAFKA: `transactional.id` and `transaction.timeout.ms`, with the
/// semantics of KIP-98, KIP-447 and KIP-360.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionSettings {
    /// Fences every earlier producer with the same id, and ends what it has left open.
    pub transactional_id: String,
    /// A transaction that is open for longer, counted from its first record or offsets, is aborted by the
    /// broker, and its producer fenced. KAFKA: looked at every ten seconds. A record that the broker has not
    /// taken after this time has failed.
    pub timeout: Duration,
}

/// A member as its group knows it at one moment: what an offset commit inside a transaction is fenced by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMetadata {
    /// The group.
    pub group_id: String,
    /// The generation; never negative.
    pub generation: i32,
    /// The member id; never empty.
    pub member_id: String,
}

/// Settings of a group member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSettings {
    /// The group, which is the application id.
    pub group_id: String,
    /// Its name in the broker's logs.
    pub client_id: String,
    /// After this time without a heartbeat the group drops the member.
    pub session_timeout: Duration,
    /// Time between heartbeats.
    pub heartbeat_interval: Duration,
    /// How long a member may take to give up its partitions, and to poll.
    pub max_poll_interval: Duration,
}

/// Where a consumer starts in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartOffset {
    /// At this offset. If the log no longer or not yet has it, `fetch` fails with
    /// [`BrokerErrorKind::OffsetOutOfRange`]; there is no silent jump.
    At(i64),
    /// At the oldest record.
    Earliest,
    /// Behind the newest record there is when the broker is asked, which may be later than the call. For a
    /// start that leaves out nothing sent from now on, ask [`Admin::end_offsets`] and take `At`.
    Latest,
}

/// An assigned partition of one consumer: an index that is cheap to fetch by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub usize);

/// A consumer with manual assignment. It belongs to no group and cannot commit.
pub trait Consumer: Debug + Send {
    /// Starts to read partitions; the answer has one slot per partition, in order. Slots of
    /// unassigned partitions may be used again. It does not wait for brokers; so a partition that does not exist
    /// may be waited for without a word. [`Admin::describe_topics`] tells what exists.
    fn assign(
        &mut self,
        partitions: &[(TopicPartition, StartOffset)],
    ) -> Result<Vec<Slot>, BrokerError>;
    /// Reads the partition of a slot from elsewhere on, and drops what was fetched ahead. It does not wait for
    /// brokers either.
    fn seek(&mut self, slot: Slot, start: StartOffset) -> Result<(), BrokerError>;
    /// Stops to read these slots and drops what was fetched ahead.
    fn unassign(&mut self, slots: &[Slot]) -> Result<(), BrokerError>;
    /// Takes up to `max_records` records that have arrived, without waiting. `None`: nothing yet.
    fn fetch(
        &mut self,
        slot: Slot,
        max_records: usize,
    ) -> Result<Option<Box<dyn RecordBatch>>, BrokerError>;
    /// Waits until some slot may have records, or until `timeout`; may wake early.
    fn wait(&mut self, timeout: Duration);
    /// Serves the client's errors and logs; called once per loop turn. Fails only when the client
    /// cannot go on.
    fn poll(&mut self) -> Result<(), BrokerError>;
    /// The highest known end offset (high watermark) of the slot's partition, from the last fetch: for
    /// lag. It counts records of open transactions, and markers. `None` before the first fetch.
    fn end_offset(&self, slot: Slot) -> Option<i64>;
    /// The end of the log that was last reached, offsets included that give no record: of compacted and of
    /// aborted ones, and the markers that end transactions. While a transaction is open it is where that
    /// one's records begin, below [`Consumer::end_offset`]; so who has reached an end offset that it was told
    /// has read everything before. `None` before it first got to an end.
    fn reached_end(&self, slot: Slot) -> Option<i64>;
}

/// Records of one partition, in offset order, owned by whoever took them.
#[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
pub trait RecordBatch: Debug + Send {
    /// How many records; never 0.
    fn len(&self) -> usize;
    /// The record at `index < len()`; borrows from the batch.
    fn record(&self, index: usize) -> RawRecord<'_>;
    /// The record's timestamp alone: asked for when several partitions wait in one task.
    fn timestamp(&self, index: usize) -> Timestamp {
        self.record(index).timestamp
    }
}

/// A record as the broker holds it.
#[derive(Debug, Clone)]
pub struct RawRecord<'a> {
    /// Its offset.
    pub offset: i64,
    /// Its timestamp in milliseconds; −1 if it has none.
    pub timestamp: Timestamp,
    /// Key bytes; `None` is null, which is not the same as empty.
    pub key: Option<&'a [u8]>,
    /// Value bytes; `None` is null.
    pub value: Option<&'a [u8]>,
    /// Headers.
    pub headers: Headers,
}

/// A topic known to one producer: an index that is cheap to send by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicHandle(pub usize);

/// A record to be sent; the bytes are copied by the call.
#[derive(Debug, Clone, Copy)]
pub struct OutgoingRecord<'a> {
    /// The partition; always explicit.
    pub partition: i32,
    /// Key bytes; `None` is null.
    pub key: Option<&'a [u8]>,
    /// Value bytes; `None` is null.
    pub value: Option<&'a [u8]>,
    /// Milliseconds since the epoch; `None`: the broker's present time.
    pub timestamp: Option<Timestamp>,
    /// Headers.
    pub headers: &'a Headers,
}

/// An idempotent producer. Sending is asynchronous: a failure shows at a later call and stays until
/// the producer is dropped, or until its transaction is aborted. The calls about transactions are for a
/// producer with [`ProducerSettings::transactions`]; another one refuses them as
/// [`BrokerErrorKind::Invalid`], and so does this one when they come out of order. `send` is part of the order:
/// outside of a transaction it is refused.
///
/// Inside a transaction every call may fail with
/// - [`BrokerErrorKind::TransactionAborted`]: a record has failed for good, or the broker has given the
///   transaction up. Nothing of it will count; [`Producer::abort_transaction`], then go on. A record that fails
///   because of what it is, too large for its topic for example, fails again the next time: see
///   [`Producer::report_undelivered`];
/// - [`BrokerErrorKind::Fenced`]: the producer is at its end. Whether a transaction was committed whose commit
///   has failed so is not known.
///
/// A record that `send` itself refuses is not part of the transaction, which goes on without it. A producer that
/// is dropped leaves its transaction open, like one that has died.
pub trait Producer: Debug + Send {
    /// Looks a topic up, once per topic; later calls are by handle. Fails with
    /// [`BrokerErrorKind::UnknownTopicOrPartition`] when the topic does not exist.
    fn topic(&mut self, name: &str) -> Result<TopicHandle, BrokerError>;
    /// The same for a topic whose records are given up when they are not acknowledged after this time, counted
    /// from `send`: even those that were queued when the process was suspended are not sent later than that.
    /// Then [`BrokerErrorKind::Expired`] is the answer, once, of a `flush` that has nothing left to wait for, or
    /// of `send` to such a topic; what else was sent is not concerned. An implementation that queues nothing
    /// has nothing to do.
    fn topic_with_lifetime(
        &mut self,
        name: &str,
        _lifetime: Duration,
    ) -> Result<TopicHandle, BrokerError> {
        self.topic(name)
    }
    /// The topic's number of partitions, as looked up by [`Producer::topic`].
    fn partition_count(&self, topic: TopicHandle) -> i32;
    /// Queues a record. Waits when the queue is full (back-pressure), and fails when an earlier
    /// record has failed for good.
    fn send(&mut self, topic: TopicHandle, record: OutgoingRecord<'_>) -> Result<(), BrokerError>;
    /// Serves acknowledgements; called once per loop turn. Fails when a record has failed for good.
    fn poll(&mut self) -> Result<(), BrokerError>;
    /// Sends what is queued at once and waits until all of it is acknowledged.
    fn flush(&mut self, timeout: Duration) -> Result<(), BrokerError>;
    /// From now on a record that has failed for good is handed out by [`Producer::take_undelivered`], and the
    /// others go on. In a transaction it ends that all the same, and is handed out beside. An implementation
    /// that refuses records by `send` alone has nothing to do.
    fn report_undelivered(&mut self) {}
    /// The records that have failed for good since the last call, if they are reported.
    fn take_undelivered(&mut self) -> Vec<UndeliveredRecord> {
        Vec::new()
    }
    /// The highest acknowledged offset of a partition sent to since the producer was made, if
    /// [`ProducerSettings::track_acks`] is on. Records of an aborted transaction count too: what they brought
    /// is for the caller to forget.
    fn last_acked(&self, topic: TopicHandle, partition: i32) -> Option<i64>;

    /// Fences earlier producers with the same transactional id and waits until what they left open is
    /// aborted; once, before the first transaction. A retriable error: call it again.
    fn init_transactions(&mut self, _timeout: Duration) -> Result<(), BrokerError> {
        Err(not_transactional())
    }
    /// Begins a transaction: what is sent from now on is part of it. Cheap and local: the broker learns of it
    /// with the first record or offsets, and until then nothing is open there.
    fn begin_transaction(&mut self) -> Result<(), BrokerError> {
        Err(not_transactional())
    }
    /// Adds the offsets to the open transaction, on behalf of this member. Fails with
    /// [`BrokerErrorKind::TransactionAborted`] when the group has moved on to another generation or has dropped
    /// the member: abort, and ask the group who one is. A group that is between two generations takes them. A
    /// retriable error: call it again with the same offsets.
    fn send_offsets(
        &mut self,
        _offsets: &[(TopicPartition, CommittedOffset)],
        _member: &GroupMetadata,
        _timeout: Duration,
    ) -> Result<(), BrokerError> {
        Err(not_transactional())
    }
    /// Commits the open transaction, after a flush. A retriable error: call it again, nothing else; it goes on
    /// where it was. [`BrokerErrorKind::TransactionAborted`]: it is not committed, abort it. Any other error:
    /// whether it is committed is not known; only a reader of committed records can tell. KAFKA: it is committed
    /// for certain from the answer on, and shows to readers a moment later.
    fn commit_transaction(&mut self, _timeout: Duration) -> Result<(), BrokerError> {
        Err(not_transactional())
    }
    /// Aborts the open transaction, also one that has failed, and forgets what is not sent yet. A retriable
    /// error: call it again, nothing else.
    fn abort_transaction(&mut self, _timeout: Duration) -> Result<(), BrokerError> {
        Err(not_transactional())
    }
}

/// What a producer without transactions says to the calls about them.
fn not_transactional() -> BrokerError {
    BrokerError::new(BrokerErrorKind::Invalid, "this producer was made without transactions")
}

/// A record that was taken and then refused.
#[derive(Debug)]
pub struct UndeliveredRecord {
    /// Where it was sent.
    pub partition: TopicPartition,
    /// Key bytes; `None` is null.
    pub key: Option<Vec<u8>>,
    /// Value bytes; `None` is null.
    pub value: Option<Vec<u8>>,
    /// Milliseconds since the epoch.
    pub timestamp: Timestamp,
    /// Headers.
    pub headers: Headers,
    /// Why.
    pub error: BrokerError,
}

/// What a group tells its member. Every event but `Lost` must be answered by
/// [`GroupMember::acknowledge`]; the group waits for the answer to `Revoked` before anyone else gets the
/// partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupEvent {
    /// The member's whole new assignment (eager protocol: after `Revoked` of everything).
    Assigned(Vec<TopicPartition>),
    /// Finish, commit and give up these partitions, then acknowledge.
    Revoked(Vec<TopicPartition>),
    /// The group has dropped the member: nothing may be committed any more. Acknowledge to rejoin.
    Lost(Vec<TopicPartition>),
}

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next offset to read.
    pub offset: i64,
    /// Free text stored with it.
    pub metadata: String,
}

/// A member of a consumer group with the classic `range` strategy (sorted member ids; contiguous
/// ranges per topic, the first members take the remainder).
pub trait GroupMember: Debug + Send + Sync {
    /// Joins with this subscription; it must be the same in all members.
    fn subscribe(&self, topics: &[String]) -> Result<(), BrokerError>;
    /// Waits up to `timeout` for an event. Called by one thread only, often enough to stay in the
    /// group.
    fn poll(&self, timeout: Duration) -> Result<Option<GroupEvent>, BrokerError>;
    /// Answers the event that `poll` returned last.
    fn acknowledge(&self) -> Result<(), BrokerError>;
    /// Commits offsets with the member's id and generation. Fails with
    /// [`BrokerErrorKind::NotAMember`] when the group does not count the member any more, or not yet: what it
    /// held may be another member's by now. Fails with [`BrokerErrorKind::Rebalancing`] when it still counts, but
    /// the group is on its way to another generation, of which it is not told yet: from the answer to
    /// `Revoked` to the next `Assigned`, without asking the broker, whose answer would wait for all members.
    /// Between `Revoked` and its answer a commit is taken.
    fn commit(&self, offsets: &[(TopicPartition, CommittedOffset)]) -> Result<(), BrokerError>;
    /// The group's committed offsets, in the order asked; `None`: none committed. Waits while a transaction
    /// with offsets of these partitions is open, and fails with a retriable error after `timeout`.
    fn committed(
        &self,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<Vec<Option<CommittedOffset>>, BrokerError>;
    /// Who the member is in the group at this moment; `None` when it is not counted: before the first
    /// assignment, and from the loss of its membership to the next assignment. From the answer to `Revoked` to
    /// the next assignment it counts, and its generation may grow at any moment; if the group drops it
    /// meanwhile and takes it in anew, it is `None` until that assignment, which comes with another member id.
    /// Taken afresh for each transaction. Does not wait for the broker.
    fn metadata(&self) -> Option<GroupMetadata>;
    /// Leaves the group, giving partitions up without further events.
    fn leave(&self) -> Result<(), BrokerError>;
}

/// A topic to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions.
    pub partitions: i32,
    /// Copies of each; −1: the broker's default.
    pub replication_factor: i32,
    /// Topic configs by Kafka's names.
    pub configs: BTreeMap<String, String>,
}

/// Topics and their offsets.
pub trait Admin: Debug + Send + Sync {
    /// The names of all topics, in order; not those that the broker keeps for itself.
    fn topic_names(&self) -> Result<Vec<String>, BrokerError>;
    /// What the cluster knows of these topics; a topic that does not exist is `None`. In the order asked. KAFKA:
    /// `Admin.describeTopics`.
    fn describe_topics(
        &self,
        topics: &[&str],
    ) -> Result<Vec<Option<TopicDescription>>, BrokerError>;
    /// The partition counts of these topics; a topic that does not exist is `None`. In the order asked.
    fn partition_counts(&self, topics: &[&str]) -> Result<Vec<Option<i32>>, BrokerError> {
        let described = self.describe_topics(topics)?;
        Ok(described.into_iter().map(|topic| Some(topic?.partitions)).collect())
    }
    /// The configs of a topic, defaults included.
    fn topic_configs(&self, topic: &str) -> Result<BTreeMap<String, String>, BrokerError>;
    /// Creates topics and waits until they can be written. One result per topic, in order; an
    /// existing topic is [`BrokerErrorKind::TopicExists`].
    fn create_topics(
        &self,
        topics: &[NewTopic],
    ) -> Result<Vec<Result<(), BrokerError>>, BrokerError>;
    /// Deletes topics; one result per topic, in order.
    fn delete_topics(&self, topics: &[&str]) -> Result<Vec<Result<(), BrokerError>>, BrokerError>;
    /// The offset behind the newest record (high watermark), in the order asked. It counts records of open
    /// transactions, and the markers that end transactions.
    fn end_offsets(&self, partitions: &[TopicPartition]) -> Result<Vec<i64>, BrokerError>;
    /// The offset of the oldest record, in the order asked.
    fn beginning_offsets(&self, partitions: &[TopicPartition]) -> Result<Vec<i64>, BrokerError>;
    /// The offsets a group has committed, without being a member; `None`: none. Those of open transactions do
    /// not count yet, and are not waited for.
    fn group_offsets(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<Vec<Option<CommittedOffset>>, BrokerError>;
    /// The members that a group counts now, in the order of their ids; none for a group that does not
    /// exist. Between two generations too. `Retriable` while the group's coordinator is not ready.
    fn group_members(&self, group: &str) -> Result<Vec<GroupMemberInfo>, BrokerError>;
    /// Deletes the records before these offsets; not beyond the end of the log. One result per
    /// partition, in order.
    fn delete_records(
        &self,
        before: &[(TopicPartition, i64)],
    ) -> Result<Vec<Result<(), BrokerError>>, BrokerError>;
}

/// A topic as its cluster knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicDescription {
    /// How many partitions.
    pub partitions: i32,
    /// The copies of the partition that has fewest, whether they are in sync or not.
    pub replication_factor: i32,
    /// Tells the topic from another that had its name before; `None`: the broker gives none (before 2.8).
    pub id: Option<TopicId>,
}

/// A member as its group shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMemberInfo {
    /// Its member id.
    pub member_id: String,
    /// The name that the client gave itself.
    pub client_id: String,
}
