//! A topology at work under its name.

use std::sync::Arc;
use std::time::Duration;

use kstream::broker::Broker;
use kstream::{Error, KafkaStreams, LogAndContinue, State};

use super::blocking;
use crate::config::StreamsConfig;
use crate::error::AppError;
use crate::geoip::Locator;
use crate::topics;
use crate::topology::{self, RejectLines};

/// What both stages need.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) broker: Arc<dyn Broker>,
    pub(super) application_id: String,
    pub(super) streams: StreamsConfig,
    /// How often a stage commits, and so how old totals may be.
    pub(super) commit_interval: Duration,
}

/// The group of the preprocessing instances.
pub(super) fn preprocess_group(application_id: &str) -> String {
    format!("{application_id}-preprocess")
}

/// The group of the aggregating instances.
pub(super) fn aggregate_group(application_id: &str) -> String {
    format!("{application_id}-aggregate")
}

/// One running topology.
#[derive(Debug)]
pub(super) struct Stage {
    name: &'static str,
    streams: KafkaStreams,
}

impl Stage {
    pub(super) async fn preprocess(
        settings: &Settings,
        locator: Locator,
    ) -> Result<Self, AppError> {
        let config = config(preprocess_group(&settings.application_id), settings)
            .deserialization_handler(RejectLines)
            .dead_letter_topic(topics::REJECTED);
        let topology = topology::preprocess(Arc::new(locator))?;
        Self::start("preprocess", KafkaStreams::new(topology, config, Arc::clone(&settings.broker)))
            .await
    }

    pub(super) async fn aggregate(settings: &Settings) -> Result<Self, AppError> {
        let config = config(aggregate_group(&settings.application_id), settings)
            .deserialization_handler(LogAndContinue);
        let topology = topology::aggregate()?;
        Self::start("aggregate", KafkaStreams::new(topology, config, Arc::clone(&settings.broker)))
            .await
    }

    /// Starts on a thread that may wait for the broker, and end there if that fails.
    async fn start(
        name: &'static str,
        streams: Result<KafkaStreams, Error>,
    ) -> Result<Self, AppError> {
        let starting = move || {
            let mut streams = streams?;
            streams.start()?;
            Ok(streams)
        };
        let started: Result<KafkaStreams, Error> = blocking(name, starting).await?;
        started
            .map(|streams| Self { name, streams })
            .map_err(|error| AppError::Stage { stage: name, source: error.into() })
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it has ended by itself; [`Stage::close`] says why.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.streams.state(), State::Error | State::NotRunning)
    }

    /// Metrics, health and topology.
    pub(super) fn http_router(&self) -> axum::Router {
        self.streams.http_router()
    }

    /// Finishes, commits and stops.
    pub(super) async fn close(mut self) -> Result<(), AppError> {
        let (name, closing) = (self.name, move || self.streams.close());
        let closed = blocking(name, closing).await?;
        closed.map_err(|error| AppError::Stage { stage: name, source: error.into() })
    }
}

fn config(group: String, settings: &Settings) -> kstream::StreamsConfig {
    let StreamsConfig { threads, state_dir, listen } = &settings.streams;
    let config = kstream::StreamsConfig::new(group)
        .state_dir(state_dir)
        .num_stream_threads(usize::try_from(threads.get()).unwrap_or(usize::MAX))
        .commit_interval(settings.commit_interval);
    match *listen {
        Some(address) => config.http_listen(address),
        None => config,
    }
}
