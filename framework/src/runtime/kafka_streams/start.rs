//! The start of an instance: everything is checked and made before a thread begins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::park_timeout;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use super::KafkaStreams;
use crate::broker::{Admin, GroupSettings};
use crate::error::{Error, ErrorKind};
use crate::http::{HttpServer, serve};
use crate::ids::TaskId;
use crate::runtime::compatibility::check_start;
use crate::runtime::control::{Control, UNKNOWN_LAG};
use crate::runtime::global::open_global_stores;
use crate::runtime::housekeeping::{Housekeeping, TopicWatch};
use crate::runtime::membership::{Enrolment, MemberReport, Membership, PlannedTask};
use crate::runtime::pulse::Pulse;
use crate::runtime::purge::Purge;
use crate::runtime::restore::RestoreListener;
use crate::runtime::restore::pace::RateLimit;
use crate::runtime::shared::Shared;
use crate::runtime::status::State;
use crate::runtime::stores::TaskStores;
use crate::runtime::task::source_partitions;
use crate::runtime::topics::{TopicPlan, prepare, resolve_patterns};
use crate::state::StateDirectory;
use crate::time::Clock;
use crate::topology::link::{LinkSettings, TaskScope};

/// How long a start asks brokers again that do not answer: a cluster that has just lost a broker is busy with itself.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);

fn patiently<T>(clock: &dyn Clock, mut ask: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    let deadline = clock.monotonic() + PATIENCE;
    loop {
        match ask() {
            Err(error) if error.kind() == ErrorKind::Retriable && clock.monotonic() < deadline => {
                tracing::warn!(error = error.report(), "no answer at the start; asking again");
                park_timeout(PAUSE);
            }
            result => return result,
        }
    }
}

impl KafkaStreams {
    pub(super) fn try_start(
        &mut self,
        join: impl FnOnce(Enrolment) -> Result<Arc<dyn Membership>, Error>,
    ) -> Result<(), Error> {
        let config = &self.config;
        if let Some(address) = config.http_listen {
            self.http = Some(self.serve_http(address)?);
        }
        let admin: Arc<dyn Admin> = Arc::from(self.broker.admin()?);
        // Nobody shares the topology before the start.
        if let Some(topology) = Arc::get_mut(&mut self.topology) {
            let id = &config.application_id;
            patiently(&*self.clock, || resolve_patterns(topology, id, &*admin))?;
        }
        self.topology.check_calls(config)?;
        let directory = StateDirectory::open(&config.state_dir, &config.application_id)?;
        let check = || check_start(&self.topology, config, &*admin, &directory);
        let fingerprint = Arc::new(patiently(&*self.clock, check)?);
        let plan = || prepare(&self.topology, config, &*admin);
        let plan = Arc::new(patiently(&*self.clock, plan)?);
        let link = Arc::new(LinkSettings::of(config, TaskScope::Subtopology));
        let planned = self.planned_tasks(&plan, &link);
        let membership = join(self.enrolment(&admin, &directory, fingerprint.text(), planned)?)?;
        let state = (&directory, &self.env);
        let now_ms = self.clock.now_ms();
        let globals = || open_global_stores(&self.topology, config, state, &*admin, now_ms);
        let globals = patiently(&*self.clock, globals)?;
        let pulse = Arc::new(Pulse::new(config, self.clock.monotonic()));
        pulse.spawn(Arc::clone(&self.clock))?;
        let purge = self.keep_house(&plan, &admin)?;
        let config = &self.config;
        let shared = Shared {
            globals: Arc::new(globals),
            topology: Arc::clone(&self.topology),
            fingerprint,
            config: Arc::clone(config),
            plan,
            broker: Arc::clone(&self.broker),
            admin,
            membership,
            ownership: Arc::default(),
            clock: Arc::clone(&self.clock),
            stores: Arc::new(TaskStores::new(directory, self.env.clone())),
            restore_limit: Arc::new(RateLimit::new(config.restore_max_bytes_per_second)),
            restore_listener: RestoreListener::new(self.restore_listener.clone()),
            status: Arc::clone(&self.status),
            metrics: self.metrics.clone(),
            link,
            paused: Arc::clone(&self.paused),
            stop: Arc::clone(&self.stop),
            threads: Arc::default(),
            purge,
            pulse,
        };
        self.status.set_state(State::Rebalancing);
        let (requests, received) = channel();
        self.requests = Some(requests);
        self.control = Some(Control::spawn(shared, received)?);
        Ok(())
    }

    /// What the process joins its group with.
    fn enrolment(
        &self,
        admin: &Arc<dyn Admin>,
        directory: &StateDirectory,
        fingerprint: String,
        tasks: Vec<PlannedTask>,
    ) -> Result<Enrolment, Error> {
        let config = &self.config;
        let group = GroupSettings {
            group_id: config.application_id.clone(),
            client_id: format!("{}-{}", config.application_id, directory.process_id()),
            session_timeout: config.session_timeout,
            heartbeat_interval: config.heartbeat_interval,
            max_poll_interval: config.max_poll_interval,
        };
        let local = directory.tasks()?.into_iter();
        Ok(Enrolment {
            broker: Arc::clone(&self.broker),
            admin: Arc::clone(admin),
            clock: Arc::clone(&self.clock),
            group,
            process_id: directory.process_id(),
            http: self.http_address().map(|address| address.to_string()),
            tags: BTreeMap::new(),
            fingerprint,
            tasks,
            report: MemberReport {
                threads: config.num_stream_threads,
                transactional_ids: BTreeSet::new(),
                lags: local.map(|task| (task, UNKNOWN_LAG)).collect(),
            },
        })
    }

    /// Starts what looks after topics; threads tell the answer what they have committed.
    fn keep_house(
        &mut self,
        plan: &Arc<TopicPlan>,
        admin: &Arc<dyn Admin>,
    ) -> Result<Arc<Purge>, Error> {
        let now = self.clock.monotonic();
        let repartition = plan.repartition_topics().iter().cloned();
        let purge = Purge::new(repartition, self.config.repartition_purge_interval, now);
        let purge = Arc::new(purge);
        let watch = TopicWatch::new(Arc::clone(plan), now);
        let (keeper, clock) = (Arc::clone(admin), Arc::clone(&self.clock));
        self.housekeeping = Some(Housekeeping::spawn(Arc::clone(&purge), watch, keeper, clock)?);
        Ok(purge)
    }

    /// All tasks of the application, whoever runs them.
    fn planned_tasks(&self, plan: &TopicPlan, link: &LinkSettings) -> Vec<PlannedTask> {
        let planned = |id: &TaskId| PlannedTask {
            id: *id,
            partitions: source_partitions(&self.topology, *id, link, &|topic| {
                plan.partition_count(topic)
            }),
            stateful: self.topology.stores.iter().any(|store| store.subtopology == id.subtopology),
        };
        plan.tasks().iter().map(planned).collect()
    }

    fn serve_http(&self, address: std::net::SocketAddr) -> Result<(Runtime, HttpServer), Error> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            Error::new(ErrorKind::Config, "the HTTP server cannot start").with_source(error)
        };
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("kstream-http")
            .enable_all()
            .build()
            .map_err(|error| failed(error.into()))?;
        let server = serve(address, self.http_router(), runtime.handle())
            .map_err(|error| failed(error.into()))?;
        Ok((runtime, server))
    }
}
