//! What the threads of an application have in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use super::global::GlobalStores;
use super::membership::Membership;
use super::ownership::Ownership;
use super::pulse::Pulse;
use super::purge::Purge;
use super::restore::RestoreListener;
use super::restore::pace::RateLimit;
use super::status::Status;
use super::stores::TaskStores;
use super::topics::TopicPlan;
use crate::broker::{Admin, Broker};
use crate::config::StreamsConfig;
use crate::metrics::Metrics;
use crate::time::Clock;
use crate::topology::Topology;
use crate::topology::fingerprint::Fingerprint;
use crate::topology::link::LinkSettings;

/// What all threads of an application share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) topology: Arc<Topology>,
    pub(crate) fingerprint: Arc<Fingerprint>,
    pub(crate) config: Arc<StreamsConfig>,
    pub(crate) plan: Arc<TopicPlan>,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) admin: Arc<dyn Admin>,
    pub(crate) membership: Arc<dyn Membership>,
    pub(crate) ownership: Arc<Ownership>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stores: Arc<TaskStores>,
    pub(crate) restore_limit: Arc<RateLimit>,
    pub(crate) restore_listener: RestoreListener,
    pub(crate) globals: Arc<GlobalStores>,
    pub(crate) status: Arc<Status>,
    pub(crate) metrics: Metrics,
    pub(crate) link: Arc<LinkSettings>,
    pub(crate) purge: Arc<Purge>,
    pub(crate) pulse: Arc<Pulse>,
    /// Whether tasks process nothing for now.
    pub(crate) paused: Arc<AtomicBool>,
    /// Whether the application is to stop.
    pub(crate) stop: Arc<AtomicBool>,
    /// How many stream threads there are.
    pub(crate) threads: Arc<AtomicUsize>,
}

impl Shared {
    /// The transactional id of a thread, the same in each life of the process: the next one thus ends at
    /// once what this one leaves open.
    pub(crate) fn transactional_id(&self, thread: &str) -> String {
        let process = self.stores.process_id();
        format!("{}-{process}-{thread}", self.config.application_id)
    }
}
