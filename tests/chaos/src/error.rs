//! What a run can fail at before anything can be said about the application.

use std::path::Path;

use kstream::broker::BrokerError;
use kstream_test_support::SupportError;
use rdkafka::error::KafkaError;

/// A run that could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChaosError {
    /// A server or a process.
    #[error(transparent)]
    Support(#[from] SupportError),
    /// The topics.
    #[error("the topics of the run")]
    Broker(#[from] BrokerError),
    /// A client of the runner.
    #[error("{action}")]
    Kafka {
        /// What was tried.
        action: String,
        /// Why it failed.
        source: KafkaError,
    },
    /// The system.
    #[error("{action}")]
    Io {
        /// What was tried.
        action: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The input is not what was to be sent.
    #[error("the input itself is not complete, nothing can be said about the output:\n  {0}")]
    Input(String),
    /// A part of the runner.
    #[error("{0}")]
    Runner(String),
}

impl ChaosError {
    pub(crate) fn kafka(action: impl Into<String>) -> impl FnOnce(KafkaError) -> Self {
        let action = action.into();
        move |source| Self::Kafka { action, source }
    }

    pub(crate) fn io(action: &str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let action = format!("{action} {}", path.display());
        move |source| Self::Io { action, source }
    }

    /// The whole chain as one text.
    pub fn report(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        text
    }
}
