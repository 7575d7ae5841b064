//! The ways to run: each stage as a process of its own, or all of them in one.
//!
//! What always holds: everything that can be wrong from the start (files, broker, topics, database,
//! address) is tried before the first line is read; and a stop ends the parts in the order that data
//! takes, so that each one's last output reaches the next.

mod all;
mod counting;
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
use crate::import::{self, Inputs, ProducerSink, Progress};
use crate::stop::Stop;
use crate::totals::Totals;
use crate::{sample, topics, web};
use counting::Counting;
use stage::Stage;

/// How often a waiting stage looks whether it is to stop, or has failed.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// How far totals in the database lag behind: the writing instance's interval, and some more.
const DATABASE_LAG: Duration = Duration::from_secs(7);

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
    let broker = connect(&broker, context).await?;
    let importing = import_lines(&broker, inputs, context);
    blocking("the import", importing).await??;
    Ok(())
}

/// The import as a function for a thread of its own; it returns how many lines there were.
fn import_lines(
    broker: &Arc<dyn Broker>,
    inputs: Inputs,
    context: &Context,
) -> impl FnOnce() -> Result<u64, AppError> + Send + 'static {
    let (broker, context) = (Arc::clone(broker), context.clone());
    move || {
        let mut sink = ProducerSink::new(&broker, topics::RAW_PAGE_VIEWS, context.run)?;
        let mut progress = Progress::new(context.clock);
        import::run(inputs, &mut sink, &mut progress, &context.stop)?;
        Ok(progress.lines())
    }
}

async fn preprocess(
    broker: BrokerConfig,
    streams: StreamsConfig,
    geoip: GeoIpConfig,
    context: &Context,
) -> Result<(), AppError> {
    let locator = Locator::open(geoip.geoip.as_deref())?;
    let client = connect(&broker, context).await?;
    let stage = Stage::preprocess(&client, &broker.application_id, &streams, locator).await?;
    wait_until(|| context.stop.is_requested() || stage.has_ended()).await;
    stage.close().await
}

async fn aggregate(
    broker: BrokerConfig,
    streams: StreamsConfig,
    storage: StorageConfig,
    context: &Context,
) -> Result<(), AppError> {
    let client = connect(&broker, context).await?;
    let database = Database::open(&storage.database, &broker.application_id).await?;
    let counting = Counting::start(&client, database, storage.interval, context)?;
    let stage = Stage::aggregate(&client, &broker.application_id, &streams).await?;
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

/// The broker, with the topics between the stages.
async fn connect(config: &BrokerConfig, context: &Context) -> Result<Arc<dyn Broker>, AppError> {
    let partitions = i32::try_from(config.partitions.get()).unwrap_or(i32::MAX);
    let (choice, clock) = (config.broker.clone(), Arc::clone(&context.clock));
    let connecting = move || -> Result<Arc<dyn Broker>, AppError> {
        let broker: Arc<dyn Broker> = match choice {
            BrokerChoice::Memory => Arc::new(MemoryBroker::new(clock)),
            BrokerChoice::Kafka(servers) => {
                Arc::new(KafkaBroker::new(&servers, KafkaSettings::default())?)
            }
        };
        topics::ensure(&*broker.admin()?, partitions)?;
        Ok(broker)
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
