//! What becomes of rows whose lifetime ends on their way to a changelog.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kstream_test_support::wait_until;

use super::{CHANGELOG, GroupOffsets, SOON, Script, broker, config, count, counting, produce};
use crate::broker::memory::MemoryBroker;
use crate::broker::{
    Admin, Broker, BrokerError, BrokerErrorKind, Consumer, ConsumerRole, GroupMember,
    GroupSettings, OutgoingRecord, Producer, ProducerSettings, TopicHandle,
};
use crate::runtime::KafkaStreams;
use crate::runtime::membership::Membership;

/// A broker that rows do not reach while it is told so.
#[derive(Debug, Clone)]
struct Unreachable {
    inner: MemoryBroker,
    from_now_on: Arc<AtomicBool>,
}

impl Broker for Unreachable {
    fn name(&self) -> &str {
        self.inner.name()
    }
    fn admin(&self) -> Result<Box<dyn Admin>, BrokerError> {
        self.inner.admin()
    }
    fn consumer(
        &self,
        role: ConsumerRole,
        client_id: &str,
    ) -> Result<Box<dyn Consumer>, BrokerError> {
        self.inner.consumer(role, client_id)
    }
    fn producer(&self, settings: &ProducerSettings) -> Result<Box<dyn Producer>, BrokerError> {
        let inner = self.inner.producer(settings)?;
        let is_unreachable = Arc::clone(&self.from_now_on);
        Ok(Box::new(Queue { inner, is_unreachable, rows: None, has_expired: false }))
    }
    fn group_member(&self, settings: &GroupSettings) -> Result<Arc<dyn GroupMember>, BrokerError> {
        self.inner.group_member(settings)
    }
}

/// Gives rows up that do not reach the broker.
#[derive(Debug)]
struct Queue {
    inner: Box<dyn Producer>,
    is_unreachable: Arc<AtomicBool>,
    rows: Option<TopicHandle>,
    has_expired: bool,
}

impl Producer for Queue {
    fn topic(&mut self, name: &str) -> Result<TopicHandle, BrokerError> {
        self.inner.topic(name)
    }
    fn topic_with_lifetime(
        &mut self,
        name: &str,
        _lifetime: Duration,
    ) -> Result<TopicHandle, BrokerError> {
        let topic = self.inner.topic(name)?;
        self.rows = Some(topic);
        Ok(topic)
    }
    fn partition_count(&self, topic: TopicHandle) -> i32 {
        self.inner.partition_count(topic)
    }
    fn send(&mut self, topic: TopicHandle, record: OutgoingRecord<'_>) -> Result<(), BrokerError> {
        if self.rows == Some(topic) && self.is_unreachable.load(Ordering::SeqCst) {
            self.has_expired = true;
            return Ok(());
        }
        self.inner.send(topic, record)
    }
    fn poll(&mut self) -> Result<(), BrokerError> {
        self.inner.poll()
    }
    fn flush(&mut self, timeout: Duration) -> Result<(), BrokerError> {
        self.inner.flush(timeout)?;
        if std::mem::take(&mut self.has_expired) {
            self.is_unreachable.store(false, Ordering::SeqCst);
            return Err(BrokerError::new(BrokerErrorKind::Expired, "given up by the test"));
        }
        Ok(())
    }
    fn last_acked(&self, topic: TopicHandle, partition: i32) -> Option<i64> {
        self.inner.last_acked(topic, partition)
    }
}

/// A process that has committed ten records, and whose next rows are given up on their way.
struct Expiry {
    script: Arc<Script>,
    broker: MemoryBroker,
    streams: KafkaStreams,
    _folder: tempfile::TempDir,
}

impl Expiry {
    fn start(is_expelled: bool) -> Self {
        let (inner, folder) = (broker(), tempfile::tempdir().unwrap());
        let script = Script::new(&GroupOffsets::default());
        let from_now_on = Arc::new(AtomicBool::new(false));
        let broker = Unreachable { inner: inner.clone(), from_now_on: Arc::clone(&from_now_on) };
        let config = config(folder.path());
        let mut streams = KafkaStreams::new(counting(|| ()), config, broker).unwrap();
        streams.start_as(|_| Ok(Arc::clone(&script) as Arc<dyn Membership>)).unwrap();
        script.assign(&[0]);
        produce(&inner, 10);
        script.wait_until_committed(10);
        script.expelled.store(is_expelled, Ordering::SeqCst);
        from_now_on.store(true, Ordering::SeqCst);
        produce(&inner, 10);
        Self { script, broker: inner, streams, _folder: folder }
    }

    /// How often the ten records' row is in the changelog.
    fn first_rows(&self) -> usize {
        let rows = self.broker.records(CHANGELOG, 0, 0).unwrap();
        let ten = 10_i64.to_be_bytes();
        rows.into_iter().filter(|row| row.value.as_deref() == Some(&ten)).count()
    }
}

#[test]
fn rows_that_were_given_up_are_sent_again_when_the_group_still_counts_the_process() {
    let mut expiry = Expiry::start(false);
    expiry.script.wait_until_committed(20);
    let commits = expiry.script.commits.load(Ordering::SeqCst);
    expiry.streams.close().unwrap();
    assert_eq!(expiry.script.rejoined.load(Ordering::SeqCst), 0);
    assert!(commits >= 3, "{commits} commits: the group was not asked");
    assert_eq!(count(&expiry.broker), Some(20));
    let rows = expiry.broker.records(CHANGELOG, 0, 0).unwrap();
    assert_eq!(rows.last().unwrap().value.as_deref(), Some(&20_i64.to_be_bytes()[..]));
}

#[test]
fn rows_that_were_given_up_are_not_sent_again_when_the_group_has_gone_on() {
    let mut expiry = Expiry::start(true);
    let is_back = || expiry.script.rejoined.load(Ordering::SeqCst) == 1;
    wait_until(SOON, "the process's return", is_back).unwrap();
    assert_eq!(expiry.script.committed_input(0), Some(10));
    assert_eq!(expiry.broker.records(CHANGELOG, 0, 0).unwrap().len(), expiry.first_rows());
    expiry.script.assign(&[0]);
    expiry.script.wait_until_committed(20);
    expiry.streams.close().unwrap();
    assert_eq!(count(&expiry.broker), Some(20));
}
