//! An application instance: started, watched, stopped.

mod start;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use super::control::Request;
use super::housekeeping::Housekeeping;
use super::membership::{Enrolment, LogMembership, Membership};
use super::restore::StateRestoreListener;
use super::status::{State, Status};
use crate::broker::Broker;
use crate::config::StreamsConfig;
use crate::error::{Error, ErrorKind};
use crate::http::{HttpServer, router};
use crate::metrics::{Metrics, RestoreProgress};
use crate::state::persistent::StateEnv;
use crate::time::{Clock, SystemClock};
use crate::topology::Topology;

/// How often a running application looks whether it has failed.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// Runs a topology: one instance of an application. Starting another process with the same application id
/// shares the work.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use kstream::broker::memory::MemoryBroker;
/// use kstream::time::SystemClock;
/// use kstream::{KStream, KafkaStreams, State, StreamsBuilder, StreamsConfig};
///
/// let builder = StreamsBuilder::new();
/// let names: KStream<String, String> = builder.stream("names");
/// names.map_values(|name: String| format!("hello {name}")).to("greetings");
///
/// let broker = MemoryBroker::new(Arc::new(SystemClock::new()));
/// broker.create_topic("names", 1)?;
/// broker.create_topic("greetings", 1)?;
/// # let folder = tempfile::tempdir()?;
/// let config = StreamsConfig::new("greeter").state_dir(folder.path());
/// let mut streams = KafkaStreams::new(builder.build()?, config, broker)?;
/// streams.start()?;
/// assert!(streams.wait_for_state(State::Running, Duration::from_secs(10)));
/// streams.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Source
/// `org.apache.kafka.streams.KafkaStreams`.
pub struct KafkaStreams {
    topology: Arc<Topology>,
    config: Arc<StreamsConfig>,
    broker: Arc<dyn Broker>,
    pub(super) clock: Arc<dyn Clock>,
    env: StateEnv,
    metrics: Metrics,
    pub(super) status: Arc<Status>,
    restore_listener: Option<Arc<dyn StateRestoreListener>>,
    stop: Arc<AtomicBool>,
    paused: Arc<AtomicBool>,
    requests: Option<Sender<Request>>,
    control: Option<JoinHandle<()>>,
    /// Ends with the instance.
    housekeeping: Option<Housekeeping>,
    http: Option<(Runtime, HttpServer)>,
}

impl fmt::Debug for KafkaStreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaStreams")
            .field("application_id", &self.config.application_id)
            .field("broker", &self.broker)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

impl KafkaStreams {
    /// An instance that is not started yet.
    ///
    /// # Errors
    /// Everything that is wrong with the settings, together.
    pub fn new(
        topology: Topology,
        config: StreamsConfig,
        broker: impl Broker,
    ) -> Result<Self, Error> {
        let problems = config.problems();
        if !problems.is_empty() {
            let list = problems.join("\n  ");
            return Err(Error::new(
                ErrorKind::Config,
                format!("the settings are wrong:\n  {list}"),
            ));
        }
        let env = StateEnv::new(config.rocksdb_memory_bytes);
        let metrics = Metrics::new(&env);
        let status = Arc::new(Status::new(metrics.clone(), &topology));
        Ok(Self {
            topology: Arc::new(topology),
            config: Arc::new(config),
            broker: Arc::new(broker),
            clock: Arc::new(SystemClock::new()),
            env,
            metrics,
            status,
            restore_listener: None,
            stop: Arc::default(),
            paused: Arc::default(),
            requests: None,
            control: None,
            housekeeping: None,
            http: None,
        })
    }

    /// Prepares the topics, opens the state folder, joins the group and starts the threads; returns when
    /// the instance is on its way. Does nothing if it has been started before.
    ///
    /// # Errors
    /// A topology that does not fit the state that the application id has; all topics that are missing or do
    /// not fit, together; a broker that does not answer; a state folder
    /// that another process uses; an HTTP address that is taken.
    pub fn start(&mut self) -> Result<(), Error> {
        if self.status.state() != State::Created {
            return Ok(());
        }
        self.start_as(|enrolment| Ok(Arc::new(LogMembership::join(enrolment)?)))
    }

    /// Starts as a member of whatever `join` joins.
    pub(super) fn start_as(
        &mut self,
        join: impl FnOnce(Enrolment) -> Result<Arc<dyn Membership>, Error>,
    ) -> Result<(), Error> {
        let result = self.try_start(join);
        if result.is_err() {
            self.status.set_state(State::Error);
        }
        result
    }

    /// The instance's state.
    pub fn state(&self) -> State {
        self.status.state()
    }

    /// Waits until the instance is in this state, or until the timeout; says which.
    pub fn wait_for_state(&self, state: State, timeout: Duration) -> bool {
        self.status.wait_until(timeout, |now| now == state)
    }

    /// Has each change of the instance's state told to `listener`: the new state, and the old one. To be set
    /// before the start. It is called on the thread that changes the state, which waits for it: it must be
    /// quick, and must not [`close`](Self::close) the instance.
    ///
    /// # Source
    /// `KafkaStreams.setStateListener`.
    pub fn set_state_listener(&mut self, listener: impl Fn(State, State) + Send + 'static) {
        self.status.set_listener(Box::new(listener));
    }

    /// Starts another stream thread, and says its name. Tasks of the other threads move to it; other
    /// instances notice nothing, but may get fewer tasks at the next assignment.
    ///
    /// # Errors
    /// An instance that is not running; a broker or a system that has no room for the thread.
    ///
    /// # Source
    /// `KafkaStreams.addStreamThread` (KIP-663).
    pub fn add_stream_thread(&self) -> Result<String, Error> {
        let (answer, answered) = sync_channel(1);
        self.request(Request::AddThread(answer))?;
        answered.recv().unwrap_or_else(|_| Err(not_running()))
    }

    /// Ends the stream thread that began last, and says its name once it has ended; `None` if there is none
    /// left, or if it does not end within the close timeout. Its tasks go to the other threads. An instance
    /// without threads keeps its place in the group, with its tasks waiting.
    ///
    /// # Errors
    /// An instance that is not running.
    ///
    /// # Source
    /// `KafkaStreams.removeStreamThread` (KIP-663).
    pub fn remove_stream_thread(&self) -> Result<Option<String>, Error> {
        let (answer, answered) = sync_channel(1);
        self.request(Request::RemoveThread(answer))?;
        match answered.recv_timeout(self.config.close_timeout) {
            Ok(name) => Ok(name),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(not_running()),
        }
    }

    fn request(&self, request: Request) -> Result<(), Error> {
        let requests = self.requests.as_ref().ok_or_else(not_running)?;
        if requests.send(request).is_err() { Err(not_running()) } else { Ok(()) }
    }

    /// Stops processing, with all tasks, their state and the membership kept; also before the start. What is
    /// being processed is finished and committed.
    ///
    /// # Source
    /// `KafkaStreams.pause` (KIP-834).
    pub fn pause(&self) {
        self.paused.store(true, Ordering::Relaxed);
    }

    /// Goes on after [`pause`](Self::pause).
    pub fn resume(&self) {
        self.paused.store(false, Ordering::Relaxed);
    }

    /// Whether processing is [paused](Self::pause).
    pub fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    /// The metrics, for an application's own beside them.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// How many changelog records this instance has replayed into its stores since it was started.
    pub fn restored_records(&self) -> u64 {
        self.status.restored_records()
    }

    /// How far the stores are that are being brought up to date from their changelogs, as of the last fifth of
    /// a second.
    pub fn restore_progress(&self) -> Vec<RestoreProgress> {
        self.status.restoring()
    }

    /// Has this listener told about every restore of the instance, global stores included. Before the start.
    ///
    /// # Errors
    /// The instance has been started.
    ///
    /// # Source
    /// `KafkaStreams.setGlobalStateRestoreListener`.
    pub fn set_global_state_restore_listener(
        &mut self,
        listener: impl StateRestoreListener,
    ) -> Result<(), Error> {
        if self.state() != State::Created {
            let message = "a restore listener can be set before the start only";
            return Err(Error::new(ErrorKind::Config, message));
        }
        self.restore_listener = Some(Arc::new(listener));
        Ok(())
    }

    /// The routes `/metrics`, `/health/live`, `/health/ready` and `/topology`, for an application that has an
    /// HTTP server of its own.
    pub fn http_router(&self) -> axum::Router {
        let status: Arc<Status> = Arc::clone(&self.status);
        router(self.metrics.clone(), status)
    }

    /// The address of the instance's HTTP server, if it has one.
    pub fn http_address(&self) -> Option<std::net::SocketAddr> {
        self.http.as_ref().map(|(_, server)| server.addr())
    }

    /// Runs until SIGTERM, SIGINT or an error, then stops gracefully.
    ///
    /// # Errors
    /// What [`start`](Self::start) or [`close`](Self::close) reports.
    pub fn run(mut self) -> Result<(), Error> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| {
            Error::new(ErrorKind::Fatal, "signals cannot be watched").with_source(error)
        })?;
        // Watched from before the start, which may take a while.
        let signal = {
            let _context = runtime.enter();
            shutdown_signal()
        };
        self.start()?;
        let status = Arc::clone(&self.status);
        runtime.block_on(async move {
            let mut watch = tokio::time::interval(WATCH_INTERVAL);
            tokio::pin!(signal);
            loop {
                tokio::select! {
                    () = &mut signal => break,
                    _ = watch.tick() => if status.has_error() { break },
                }
            }
        });
        self.close()
    }

    /// Stops: finishes the records in hand, commits, closes stores, leaves the group; within the close
    /// timeout.
    ///
    /// # Errors
    /// The error that had stopped the instance before, or a stop that took too long.
    pub fn close(&mut self) -> Result<(), Error> {
        self.stop.store(true, Ordering::SeqCst);
        self.requests = None;
        if let Some(control) = self.control.take() {
            if control.join().is_err() {
                self.status.set_state(State::Error);
            }
            self.housekeeping = None;
        } else if self.status.state() == State::Created {
            self.status.set_state(State::NotRunning);
        }
        if let Some((runtime, server)) = self.http.take() {
            if let Err(error) = runtime.block_on(server.shutdown(WATCH_INTERVAL)) {
                tracing::warn!(%error, "the HTTP server did not stop cleanly");
            }
            runtime.shutdown_background();
        }
        match self.status.take_error() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

impl Drop for KafkaStreams {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(error = error.report(), "the application had failed");
        }
    }
}

fn not_running() -> Error {
    Error::new(ErrorKind::Config, "the instance is not running: start it first")
}

/// Resolves at SIGTERM or SIGINT; they are watched from this call on.
fn shutdown_signal() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async move {
        match signals {
            (Ok(mut terminate), Ok(mut interrupt)) => {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            }
            (Err(error), _) | (_, Err(error)) => {
                tracing::error!(%error, "signals cannot be watched; stop with close()");
                std::future::pending::<()>().await;
            }
        }
    }
}
