//! From the totals' topics to the database and the page: the feed on a thread, the sink on a task.

use std::sync::Arc;
use std::time::Duration;

use kstream::TopicPartition;
use kstream::broker::{Admin, Broker, BrokerError};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::Context;
use crate::database::{Database, DatabaseError, Sink};
use crate::error::AppError;
use crate::feed::{Feed, Readers};
use crate::stop::Stop;
use crate::totals::Totals;

/// Changes that may wait for the sink; each has at most one number per country.
const WAITING_CHANGES: usize = 64;

/// The feed and the sink at work.
#[derive(Debug)]
pub(super) struct Counting {
    feed: JoinHandle<Result<(), BrokerError>>,
    sink: JoinHandle<Result<(), DatabaseError>>,
    /// Stops the feed; not the program's stop, because the feed reads on until the stages before it
    /// have ended.
    stop: Stop,
    totals: watch::Receiver<Arc<Totals>>,
    partitions: Vec<TopicPartition>,
    positions: watch::Receiver<Vec<i64>>,
}

impl Counting {
    pub(super) fn start(
        broker: &Arc<dyn Broker>,
        database: Database,
        interval: Duration,
        context: &Context,
    ) -> Result<Self, AppError> {
        let feed = Feed::open(broker, Arc::clone(&context.clock))?;
        let (changes, changed) = mpsc::channel(WAITING_CHANGES);
        let (sender, totals) = watch::channel(Arc::new(Totals::default()));
        let partitions = feed.partitions().to_vec();
        let (position_sender, positions) = watch::channel(vec![0; partitions.len()]);
        let readers = Readers { changes, totals: sender, positions: position_sender };
        let stop = Stop::default();
        let feed = tokio::task::spawn_blocking({
            let stop = stop.clone();
            move || feed.run(&readers, &stop)
        });
        let sink = Sink::new(database, Arc::clone(&context.clock), interval);
        let sink = tokio::spawn(sink.run(changed));
        Ok(Self { feed, sink, stop, totals, partitions, positions })
    }

    /// The totals as they come.
    pub(super) fn totals(&self) -> watch::Receiver<Arc<Totals>> {
        self.totals.clone()
    }

    /// Whether everything that is in the totals' topics has been read.
    pub(super) fn is_caught_up(&self, admin: &dyn Admin) -> Result<bool, BrokerError> {
        let ends = admin.end_offsets(&self.partitions)?;
        Ok(self.positions.borrow().iter().zip(ends).all(|(position, end)| *position >= end))
    }

    /// Whether the feed or the sink has ended, which neither should before its time;
    /// [`Counting::finish`] says why.
    pub(super) fn has_ended(&self) -> bool {
        self.feed.is_finished() || self.sink.is_finished()
    }

    /// Reads and writes what is left: all that has been counted is in the database then. The answer is
    /// everything.
    pub(super) async fn finish(self) -> Result<Arc<Totals>, AppError> {
        self.stop.request();
        let read = self.feed.await.map_err(|_panicked| AppError::Panic("the feed"))?;
        let written = self.sink.await.map_err(|_panicked| AppError::Panic("the sink"))?;
        read?;
        written?;
        Ok(self.totals.borrow().clone())
    }
}
