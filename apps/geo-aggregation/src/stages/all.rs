//! Every stage and the page in one process.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kstream::broker::{Admin, Broker};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tracing::info;

use super::counting::Counting;
use super::stage::{Stage, aggregate_group, preprocess_group};
use super::{Context, WATCH_INTERVAL, announce, blocking, connect, import_lines};
use crate::caught_up::is_caught_up;
use crate::config::{AllConfig, BrokerChoice, StreamsConfig};
use crate::database::Database;
use crate::error::AppError;
use crate::geoip::Locator;
use crate::import::Inputs;
use crate::report;
use crate::stop::Stop;
use crate::topics::{PAGE_VIEWS, RAW_PAGE_VIEWS, REJECTED};
use crate::topology::REJECTED_BY_SOURCE;
use crate::totals::Countries;
use crate::web;

/// How far totals lag behind arrival within a process: the stages' commit interval, and some more.
const LAG: Duration = Duration::from_millis(1500);

/// Imports, counts and shows, until the input is done or the program is to stop.
pub(super) async fn run(config: AllConfig, context: &Context) -> Result<(), AppError> {
    let inputs = Inputs::find(&config.input)?;
    let locator = Locator::open(config.geoip.geoip.as_deref())?;
    let broker = connect(&config.broker, context).await?;
    let id = &config.broker.application_id;
    let database = Database::open(&config.storage.database, id).await?;
    let listener = match config.listen {
        Some(address) => Some((web::listen(address).await?, address)),
        None => None,
    };
    // The embedded broker has forgotten what earlier rows were counted from, and counts from zero:
    // rows and local state of an earlier process mean nothing to it.
    let temporary = match config.broker.broker {
        BrokerChoice::Memory => {
            database.clear().await?;
            Some(tempfile::tempdir().map_err(|source| AppError::Io {
                what: "cannot make a temporary folder for state",
                source,
            })?)
        }
        BrokerChoice::Kafka(_) => None,
    };
    let streams = StreamsConfig {
        state_dir: temporary
            .as_ref()
            .map_or(config.streams.state_dir.clone(), |folder| folder.path().to_owned()),
        ..config.streams.clone()
    };

    let counting = Counting::start(&broker, database, config.storage.interval, context)?;
    let page = listener.map(|listener| serve_page(listener, &counting, context));
    let stages = [
        Stage::preprocess(&broker, id, &streams, locator)?,
        Stage::aggregate(&broker, id, &streams)?,
    ];
    let importing = context.stop.clone();
    let import = import_lines(&broker, inputs, context, importing.clone());
    let work = Work { config: &config, context, stages: &stages, counting: &counting };
    let result = work.until_done(&broker, import).await;

    // ORDER: each part ends before the one that takes its output.
    importing.request();
    let [preprocess, aggregate] = stages;
    let closed = preprocess.close().await.and(aggregate.close().await);
    let totals = counting.finish().await;
    if let Some(page) = page {
        page.abort();
    }
    result.and(closed)?;
    let totals = totals?;
    if config.exit_when_done {
        print(&Countries::of(&totals))?;
    }
    Ok(())
}
