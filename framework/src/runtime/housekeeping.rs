//! What has to be asked of the brokers now and then, on a thread of its own: nobody else waits for the
//! answers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::Builder;
use std::time::Duration;

use super::purge::Purge;
use super::topics::TopicPlan;
use crate::broker::Admin;
use crate::error::{Error, ErrorKind};
use crate::time::Clock;

/// How often the thread looks whether there is something to do; bounds how long it outlives the application.
const TURN: Duration = Duration::from_secs(1);
/// How often the topics are looked at.
const WATCH_INTERVAL: Duration = Duration::from_secs(30);

/// Watches the topics that are read: a deleted one, and partitions that nobody reads, are told once each.
#[derive(Debug)]
pub(crate) struct TopicWatch {
    plan: Arc<TopicPlan>,
    next: Duration,
    told: BTreeSet<String>,
}

impl TopicWatch {
    /// Looks for the first time one interval from now.
    pub(crate) fn new(plan: Arc<TopicPlan>, now: Duration) -> Self {
        Self { plan, next: now + WATCH_INTERVAL, told: BTreeSet::new() }
    }

    /// What has changed and was not told before, each with what to do; nothing before it is time.
    pub(crate) fn news(&mut self, admin: &dyn Admin, now: Duration) -> Vec<String> {
        if now < self.next {
            return Vec::new();
        }
        self.next = now + WATCH_INTERVAL;
        match self.plan.changes(admin) {
            Ok(mut changes) => {
                changes.retain(|change| self.told.insert(change.clone()));
                changes
            }
            Err(error) => {
                tracing::debug!(error = error.report(), "the topics cannot be looked at now");
                Vec::new()
            }
        }
    }
}

/// The thread; it ends by itself, soon after its value is dropped.
#[derive(Debug)]
pub(crate) struct Housekeeping {
    /// Nothing is sent: its end is the word.
    _running: SyncSender<()>,
}

impl Housekeeping {
    pub(crate) fn spawn(
        purge: Arc<Purge>,
        mut watch: TopicWatch,
        admin: Arc<dyn Admin>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let (running, ended): (_, Receiver<()>) = sync_channel(0);
        let turn = TURN.min(purge.interval());
        let body = move || {
            while ended.recv_timeout(turn) == Err(RecvTimeoutError::Timeout) {
                let now = clock.monotonic();
                purge.run(&*admin, now);
                for change in watch.news(&*admin, now) {
                    tracing::error!("{change}");
                }
            }
        };
        Builder::new().name("kstream-housekeeping".to_owned()).spawn(body).map_err(|error| {
            Error::new(ErrorKind::Fatal, "no thread can be started").with_source(error)
        })?;
        Ok(Self { _running: running })
    }
}
