//! Every stage and the page in one process.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use kstream::broker::memory::MemoryBroker;
use kstream::broker::{Admin, Broker};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tracing::{error, info};

use super::counting::Counting;
use super::embedded::Trimming;
use super::stage::{Stage, aggregate_group, preprocess_group};
use super::{Context, WATCH_INTERVAL, announce, blocking, connect, import_lines, wait_until};
use crate::caught_up::is_caught_up;
use crate::config::AllConfig;
use crate::database::Database;
use crate::error::AppError;
use crate::geoip::Locator;
use crate::import::{Inputs, ProducerSink};
use crate::report;
use crate::topics::{PAGE_VIEWS, RAW_PAGE_VIEWS, REJECTED};
use crate::topology::REJECTED_BY_SOURCE;
use crate::totals::{Countries, Totals};
use crate::web;

/// How far totals lag behind arrival within a process: the stages' commit interval, and some more.
const LAG: Duration = Duration::from_millis(1500);

/// Imports, counts and shows, until the input is done or the program is to stop.
pub(super) async fn run(config: AllConfig, context: &Context) -> Result<(), AppError> {
    let inputs = Inputs::find(&config.input)?;
    let locator = Locator::open(config.geoip.geoip.as_deref())?;
    let connection = connect(&config.broker, context).await?;
    let id = &config.broker.application_id;
    let database = Database::open(&config.storage.database, id).await?;
    let listener = match config.listen {
        Some(address) => Some((web::listen(address).await?, address)),
        None => None,
    };
    let scratch = match &connection.embedded {
        Some(broker) => Some(Scratch::start(broker.clone(), id, &database).await?),
        None => None,
    };
    let mut streams = config.streams.clone();
    if let Some(scratch) = &scratch {
        streams.state_dir = scratch.state.path().to_owned();
    }
    let settings = connection.settings(config.broker.clone(), streams);

    let broker = &connection.broker;
    let counting = Counting::start(broker, database, config.storage.interval, context)?;
    let stages = [Stage::preprocess(&settings, locator).await?, Stage::aggregate(&settings).await?];
    let page = listener.map(|(listener, address)| {
        announce(listener.local_addr().unwrap_or(address));
        serve_page(listener, &counting, &stages, context)
    });
    let work = Work { config: &config, context, stages: &stages, counting: &counting };
    let sink = ProducerSink::new(broker, RAW_PAGE_VIEWS, context.run)?;
    let import = start_import(inputs, sink, scratch.as_ref(), context);
    let worked = work.until_done(broker, import).await;

    // ORDER: each part ends before the one that takes its output.
    let [preprocess, aggregate] = stages;
    let closed = [preprocess.close().await, aggregate.close().await];
    let totals = counting.finish().await;
    if let Some(page) = page {
        page.abort();
    }
    if let Some(scratch) = scratch {
        scratch.trimming.finish().await?;
    }
    worked?;
    closed.into_iter().collect::<Result<(), _>>()?;
    let totals = totals?;
    if config.exit_when_done {
        print(&totals)?;
    }
    Ok(())
}

/// What the embedded broker needs beside it. It has forgotten what earlier processes counted and
/// counts from zero, so rows and local state of theirs mean nothing to it.
struct Scratch {
    state: TempDir,
    trimming: Trimming,
}

impl Scratch {
    async fn start(broker: MemoryBroker, id: &str, database: &Database) -> Result<Self, AppError> {
        database.clear().await?;
        let state = tempfile::tempdir().map_err(|source| AppError::Io {
            what: "cannot make a temporary folder for state",
            source,
        })?;
        let trimming = Trimming::start(broker, &preprocess_group(id), &aggregate_group(id))?;
        Ok(Self { state, trimming })
    }
}

fn start_import(
    inputs: Inputs,
    sink: ProducerSink,
    scratch: Option<&Scratch>,
    context: &Context,
) -> JoinHandle<Result<(), AppError>> {
    let context = context.clone();
    match scratch {
        Some(scratch) => {
            let sink = scratch.trimming.throttle(sink, context.stop.clone());
            tokio::task::spawn_blocking(move || import_lines(inputs, sink, context))
        }
        None => tokio::task::spawn_blocking(move || import_lines(inputs, sink, context)),
    }
}

/// The parts while they are at work.
struct Work<'a> {
    config: &'a AllConfig,
    context: &'a Context,
    stages: &'a [Stage],
    counting: &'a Counting,
}

impl Work<'_> {
    /// Waits until the input is done, or until a signal or a failure ends the work; the import has
    /// ended in any case.
    async fn until_done(
        &self,
        broker: &Arc<dyn Broker>,
        mut import: JoinHandle<Result<(), AppError>>,
    ) -> Result<(), AppError> {
        let imported = tokio::select! {
            imported = &mut import => imported,
            () = self.interrupted() => {
                self.context.stop.request();
                import.await
            }
        };
        imported.map_err(|_panicked| AppError::Panic("the import"))??;
        tokio::select! {
            settled = self.settled(broker) => settled?,
            () = self.interrupted() => return Ok(()),
        }
        if !self.config.exit_when_done {
            print(&self.counting.totals().borrow().clone())?;
            info!("everything is counted; the page goes on until Ctrl-C");
            self.interrupted().await;
        }
        Ok(())
    }

    async fn interrupted(&self) {
        let ended = || self.stages.iter().any(Stage::has_ended) || self.counting.has_ended();
        wait_until(|| self.context.stop.is_requested() || ended()).await;
    }

    /// Waits until every line has gone all the way.
    async fn settled(&self, broker: &Arc<dyn Broker>) -> Result<(), AppError> {
        let admin: Arc<dyn Admin> = Arc::from(broker.admin()?);
        let id = &self.config.broker.application_id;
        let (preprocess, aggregate) = (preprocess_group(id), aggregate_group(id));
        let repartition = format!("{aggregate}-{REJECTED_BY_SOURCE}-repartition");
        // ORDER: a topic is complete when all that is written from has been read.
        for (group, topics) in [
            (preprocess, vec![RAW_PAGE_VIEWS.to_owned()]),
            (aggregate.clone(), vec![PAGE_VIEWS.to_owned(), REJECTED.to_owned()]),
            (aggregate, vec![repartition]),
        ] {
            let mut ticks = tokio::time::interval(WATCH_INTERVAL);
            loop {
                ticks.tick().await;
                let (admin, group, topics) = (Arc::clone(&admin), group.clone(), topics.clone());
                let look = move || is_caught_up(&*admin, &group, &topics);
                if blocking("the look at offsets", look).await?? {
                    break;
                }
            }
        }
        while !self.counting.is_caught_up(&*admin)? {
            tokio::time::sleep(WATCH_INTERVAL).await;
        }
        Ok(())
    }
}

/// The page, and below it what the framework tells about both stages.
fn serve_page(
    listener: TcpListener,
    counting: &Counting,
    stages: &[Stage],
    context: &Context,
) -> JoinHandle<()> {
    let source =
        web::Source { totals: counting.totals(), clock: Arc::clone(&context.clock), lag: LAG };
    let routes = stages.iter().fold(web::router(source), |routes, stage| {
        routes.nest(&format!("/{}", stage.name()), stage.http_router())
    });
    tokio::spawn(async move {
        if let Err(error) = web::serve(listener, routes).await {
            error!(%error, "the page is gone");
        }
    })
}

fn print(totals: &Totals) -> Result<(), AppError> {
    let table = report::table(&Countries::of(totals));
    std::io::stdout()
        .write_all(table.as_bytes())
        .map_err(|source| AppError::Io { what: "cannot print the table", source })
}
