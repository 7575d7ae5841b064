//! What a run can fail at.

use std::path::Path;

use kstream::broker::BrokerError;
use kstream_test_support::SupportError;
use rdkafka::error::KafkaError;

/// A run without a summary.
#[derive(Debug, thiserror::Error)]
#[error("{history}\n{}", error.report())]
pub struct FailedRun {
    /// Why it ended.
    pub error: Box<ChaosError>,
    /// What happened and when, as far as it came.
    pub history: String,
}

impl FailedRun {
    /// Whether it is the application's fault; otherwise nothing can be said about it.
    pub fn is_of_application(&self) -> bool {
        matches!(*self.error, ChaosError::Application(_))
    }
}

/// Why a run came to no end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChaosError {
    /// The application did not get as far as to be judged.
    #[error("{0}")]
    Application(String),
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
