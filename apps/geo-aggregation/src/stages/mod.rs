//! The ways to run: each stage as a process of its own, or all of them in one.
//!
//! What always holds: everything that can be wrong from the start (files, broker, topics, database,
//! address) is tried before the first line is read; and a stop ends the parts in the order that data
//! takes, so that each one's last output reaches the next.

mod all;
mod counting;
mod embedded;
mod stage;

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kstream::broker::Broker;
use kstream::broker::kafka::{KafkaBroker, KafkaSettings};
use kstream::broker::memory::MemoryBroker;
use kstream::time::Clock;
use tokio::sync::watch;
use tracing::info;

use crate::config::{
    BrokerChoice, BrokerConfig, GeoIpConfig, InputConfig, Job, SampleConfig, StorageConfig,
    StreamsConfig, WebConfig,
};
use crate::database::Database;
use crate::error::AppError;
use crate::geoip::Locator;
use crate::import::{self, Inputs, LineSink, ProducerSink, Progress};
use crate::stop::Stop;
use crate::totals::Totals;
use crate::{sample, topics, web};
use counting::Counting;
use stage::{Settings, Stage};

/// How often a waiting stage looks whether it is to stop, or has failed.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// How far totals in the database lag behind: the writing instance's interval, and some more.
const DATABASE_LAG: Duration = Duration::from_secs(7);

/// How often stages commit to Kafka.
const COMMIT_INTERVAL: Duration = Duration::from_secs(1);

/// How often they commit to the embedded broker, where that costs less, and where what is not
/// committed takes memory.
const EMBEDDED_COMMIT_INTERVAL: Duration = Duration::from_millis(200);

/// What every way to run needs from outside.
#[derive(Debug, Clone)]
pub struct Context {
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// When to stop.
    pub stop: Stop,
    /// The number of this run: higher than that of any earlier one.
    pub run: u64,
}

/// Does the job.
///
/// # Errors
/// What ended it before its time.
pub async fn run(job: Job, context: &Context) -> Result<(), AppError> {
    match job {
        Job::All(config) => all::run(*config, context).await,
        Job::Import(broker, input) => import(broker, input, context).await,
        Job::Preprocess(broker, streams, geoip) => {
            preprocess(broker, streams, geoip, context).await
        }
        Job::Aggregate(broker, streams, storage) => {
            aggregate(broker, streams, storage, context).await
        }
        Job::Web(config) => web(config, context).await,
        Job::Sample(config) => write_sample(&config),
    }
}

async fn import(
    broker: BrokerConfig,
    input: InputConfig,
    context: &Context,
) -> Result<(), AppError> {
    let inputs = Inputs::find(&input)?;
    let client = connect(&broker, context).await?.broker;
    let context = context.clone();
    let importing = move || {
        let sink = ProducerSink::new(&client, topics::RAW_PAGE_VIEWS, context.run)?;
        import_lines(inputs, sink, context)
    };
    blocking("the import", importing).await?
}

/// Runs the import on the present thread.
fn import_lines(inputs: Inputs, mut sink: impl LineSink, context: Context) -> Result<(), AppError> {
    let mut progress = Progress::new(context.clock);
    Ok(import::run(inputs, &mut sink, &mut progress, &context.stop)?)
}

async fn preprocess(
    broker: BrokerConfig,
    streams: StreamsConfig,
    geoip: GeoIpConfig,
    context: &Context,
) -> Result<(), AppError> {
    let locator = Locator::open(geoip.geoip.as_deref())?;
    let connection = connect(&broker, context).await?;
    let stage = Stage::preprocess(&connection.settings(broker, streams), locator).await?;
    wait_until(|| context.stop.is_requested() || stage.has_ended()).await;
    stage.close().await
}

async fn aggregate(
    broker: BrokerConfig,
    streams: StreamsConfig,
    storage: StorageConfig,
    context: &Context,
) -> Result<(), AppError> {
    let connection = connect(&broker, context).await?;
    let database = Database::open(&storage.database, &broker.application_id).await?;
    let counting = Counting::start(&connection.broker, database, storage.interval, context)?;
    let stage = Stage::aggregate(&connection.settings(broker, streams)).await?;
    let stop = || context.stop.is_requested() || stage.has_ended() || counting.has_ended();
    wait_until(stop).await;
    // ORDER: the last totals are read when the stage has written them.
    let closed = stage.close().await;
    let counted = counting.finish().await;
    closed.and(counted.map(drop))
}

async fn web(config: WebConfig, context: &Context) -> Result<(), AppError> {
    let database = Database::open(&config.database, &config.application_id).await?;
    let listener = web::listen(config.listen).await?;
    announce(listener.local_addr().unwrap_or(config.listen));
    let (sender, totals) = watch::channel(Arc::new(Totals::default()));
    let source = web::Source { totals, clock: Arc::clone(&context.clock), lag: DATABASE_LAG };
    tokio::select! {
        served = web::serve(listener, web::router(source)) => {
            served.map_err(|source| AppError::Io { what: "the page is gone", source })
        }
        () = web::poll_database(database, sender) => Ok(()),
        () = wait_until(|| context.stop.is_requested()) => Ok(()),
    }
}

fn announce(address: SocketAddr) {
    info!("the page is at http://{address}/");
}

fn write_sample(config: &SampleConfig) -> Result<(), AppError> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let written = sample::write(&mut out, config.lines, config.seed).and_then(|()| out.flush());
    match written {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|source| AppError::Io { what: "cannot write the sample", source }),
    }
}

/// A broker with the topics between the stages.
#[derive(Debug)]
struct Connection {
    broker: Arc<dyn Broker>,
    /// The same, if it is the embedded one.
    embedded: Option<MemoryBroker>,
}

impl Connection {
    fn settings(&self, broker: BrokerConfig, streams: StreamsConfig) -> Settings {
        let commit_interval =
            if self.embedded.is_some() { EMBEDDED_COMMIT_INTERVAL } else { COMMIT_INTERVAL };
        let application_id = broker.application_id;
        Settings { broker: Arc::clone(&self.broker), application_id, streams, commit_interval }
    }
}

async fn connect(config: &BrokerConfig, context: &Context) -> Result<Connection, AppError> {
    let partitions = i32::try_from(config.partitions.get()).unwrap_or(i32::MAX);
    let (choice, clock) = (config.broker.clone(), Arc::clone(&context.clock));
    let connecting = move || -> Result<Connection, AppError> {
        let connection = match choice {
            BrokerChoice::Memory => {
                let broker = MemoryBroker::new(clock);
                Connection { broker: Arc::new(broker.clone()), embedded: Some(broker) }
            }
            BrokerChoice::Kafka(servers) => {
                let broker = KafkaBroker::new(&servers, KafkaSettings::default())?;
                Connection { broker: Arc::new(broker), embedded: None }
            }
        };
        topics::ensure(&*connection.broker.admin()?, partitions)?;
        Ok(connection)
    };
    blocking("the connection", connecting).await?
}

/// Looks again and again whether something is so.
async fn wait_until(reached: impl Fn() -> bool) {
    let mut ticks = tokio::time::interval(WATCH_INTERVAL);
    while !reached() {
        ticks.tick().await;
    }
}

/// Runs what waits or computes on a thread where that disturbs nobody.
async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, AppError> {
    tokio::task::spawn_blocking(work).await.map_err(|_panicked| AppError::Panic(what))
}
