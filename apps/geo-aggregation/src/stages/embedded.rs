//! Keeps the embedded broker small: records that have been processed are dropped, and the import
//! waits for the stages when it is too far ahead of them.
//!
//! What the embedded broker holds is lost with the process anyway, so nobody can miss a record that
//! every reader has committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kstream::TopicPartition;
use kstream::broker::memory::MemoryBroker;
use kstream::broker::{Admin, Broker as _, BrokerError};
use tokio::task::JoinHandle;

use crate::import::LineSink;
use crate::stop::Stop;
use crate::topics::{self, PAGE_VIEWS, RAW_PAGE_VIEWS, REJECTED};

/// How often processed records are dropped.
const TRIM_INTERVAL: Duration = Duration::from_millis(50);

/// How often topics are compacted and retention is looked at, in trims.
const TRIMS_PER_RETENTION: u32 = 1200;

/// The import waits while more records than this are neither processed nor dropped; about 100 MB.
const MAX_BACKLOG: u64 = 150_000;

/// Drops processed records until it is stopped.
#[derive(Debug)]
pub(super) struct Trimming {
    backlog: Arc<AtomicU64>,
    stop: Stop,
    thread: JoinHandle<Result<(), BrokerError>>,
}

impl Trimming {
    /// Begins, for the groups of both stages.
    pub(super) fn start(
        broker: MemoryBroker,
        preprocess: &str,
        aggregate: &str,
    ) -> Result<Self, BrokerError> {
        let admin = broker.admin()?;
        let mut readers = Vec::new();
        for (topic, group) in
            [(RAW_PAGE_VIEWS, preprocess), (PAGE_VIEWS, aggregate), (REJECTED, aggregate)]
        {
            readers.push((group.to_owned(), topics::partitions_of(&*admin, topic)?));
        }
        let (backlog, stop) = (Arc::new(AtomicU64::new(0)), Stop::default());
        let trimmer = Trimmer { broker, admin, readers, backlog: Arc::clone(&backlog) };
        let thread = tokio::task::spawn_blocking({
            let stop = stop.clone();
            move || trimmer.run(&stop)
        });
        Ok(Self { backlog, stop, thread })
    }

    /// A sink that waits while too much is unprocessed.
    pub(super) fn throttle<S: LineSink>(&self, sink: S, stop: Stop) -> Throttled<S> {
        Throttled { sink, backlog: Arc::clone(&self.backlog), stop }
    }

    pub(super) async fn finish(self) -> Result<(), BrokerError> {
        self.stop.request();
        // A panic there has been reported where it happened, and costs memory only.
        self.thread.await.unwrap_or(Ok(()))
    }
}

struct Trimmer {
    broker: MemoryBroker,
    admin: Box<dyn Admin>,
    readers: Vec<(String, Vec<TopicPartition>)>,
    backlog: Arc<AtomicU64>,
}

impl Trimmer {
    fn run(&self, stop: &Stop) -> Result<(), BrokerError> {
        let mut trims = 0_u32;
        while !stop.wait(TRIM_INTERVAL) {
            self.trim()?;
            trims += 1;
            if trims.is_multiple_of(TRIMS_PER_RETENTION) {
                self.broker.run_retention();
            }
        }
        // Whoever still waits may go on.
        self.backlog.store(0, Ordering::Relaxed);
        Ok(())
    }

    fn trim(&self) -> Result<(), BrokerError> {
        let mut backlog = 0;
        for (group, partitions) in &self.readers {
            let ends = self.admin.end_offsets(partitions)?;
            let committed = self.admin.group_offsets(group, partitions)?;
            for ((partition, end), committed) in partitions.iter().zip(ends).zip(committed) {
                let offset = committed.map_or(0, |committed| committed.offset);
                if offset > 0 {
                    self.broker.delete_records(partition, offset)?;
                }
                backlog += u64::try_from(end - offset).unwrap_or(0);
            }
        }
        self.backlog.store(backlog, Ordering::Relaxed);
        Ok(())
    }
}

/// A sink that waits while too much is unprocessed.
#[derive(Debug)]
pub(super) struct Throttled<S> {
    sink: S,
    backlog: Arc<AtomicU64>,
    stop: Stop,
}

impl<S: LineSink> LineSink for Throttled<S> {
    fn send(&mut self, line: &[u8]) -> Result<(), BrokerError> {
        self.sink.send(line)
    }

    fn poll(&mut self) -> Result<(), BrokerError> {
        while self.backlog.load(Ordering::Relaxed) > MAX_BACKLOG && !self.stop.wait(TRIM_INTERVAL) {
        }
        self.sink.poll()
    }

    fn flush(&mut self) -> Result<(), BrokerError> {
        self.sink.flush()
    }
}
