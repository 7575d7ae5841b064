//! What a test may fail at beside its assertions.

use kstream::serdes::SerdeError;

/// A record that could not be processed, written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestError {
    /// The topology failed.
    #[error("the topology failed")]
    Topology(#[from] kstream::Error),
    /// A key or value could not be written or read with the topic's serdes.
    #[error("topic {topic}: the {part} does not fit its serde")]
    Serde {
        /// The topic.
        topic: String,
        /// `key` or `value`.
        part: &'static str,
        /// What the serde says.
        #[source]
        source: SerdeError,
    },
    /// A null where the type of the output topic has none.
    #[error("topic {topic}: the {part} is null; read it as an Option")]
    Null {
        /// The topic.
        topic: String,
        /// `key` or `value`.
        part: &'static str,
    },
}
