//! What happens when a stream thread ends by an error.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorKind};

/// What the application does about a stream thread that has ended by an error.
///
/// # Source
/// `StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse` (KIP-671).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UncaughtErrorResponse {
    /// A new thread takes the old one's place and its tasks, from their last commit on. The same record may
    /// end the new thread too; it begins after a pause that grows up to 10 s while that goes on.
    ReplaceThread,
    /// This instance stops, and reports the error from [`close`](crate::KafkaStreams::close) and
    /// [`run`](crate::KafkaStreams::run). The others take its tasks over.
    ShutdownClient,
    /// All instances of the application stop.
    ShutdownApplication,
}

/// Decides about a stream thread that has ended by an error.
///
/// # Examples
/// ```
/// use kstream::{ErrorKind, StreamsConfig, UncaughtErrorResponse};
///
/// let config = StreamsConfig::new("geo-aggregation").uncaught_error_handler(|error: &kstream::Error| {
///     match error.kind() {
///         ErrorKind::BadRecord => UncaughtErrorResponse::ShutdownClient,
///         _ => UncaughtErrorResponse::ReplaceThread,
///     }
/// });
/// ```
///
/// # Source
/// `org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler` (KIP-671).
pub trait UncaughtErrorHandler: Send + Sync {
    /// Decides; called on the control thread, once the thread's stores are closed.
    fn handle(&self, error: &Error) -> UncaughtErrorResponse;
}

impl<F: Fn(&Error) -> UncaughtErrorResponse + Send + Sync> UncaughtErrorHandler for F {
    fn handle(&self, error: &Error) -> UncaughtErrorResponse {
        self(error)
    }
}

/// The handler of a configuration.
#[derive(Clone)]
pub(crate) struct SharedHandler(pub(crate) Arc<dyn UncaughtErrorHandler>);

impl fmt::Debug for SharedHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UncaughtErrorHandler")
    }
}

impl Default for SharedHandler {
    fn default() -> Self {
        Self(Arc::new(|_: &Error| UncaughtErrorResponse::ShutdownClient))
    }
}

impl Error {
    /// The exit code that tells a supervisor what kind of error ended the program, as `sysexits.h` numbers
    /// them: 78 for wrong settings, topics or rights, which no restart mends; 65 for a record that cannot be
    /// processed; 69 for a broker that does not answer; 70 for anything else.
    ///
    /// # Examples
    /// ```
    /// use std::process::ExitCode;
    /// use kstream::{Error, ErrorKind};
    ///
    /// let error = Error::new(ErrorKind::Config, "topic orders does not exist");
    /// assert_eq!(error.exit_code(), ExitCode::from(78));
    /// ```
    pub fn exit_code(&self) -> std::process::ExitCode {
        std::process::ExitCode::from(match self.kind() {
            ErrorKind::Config => 78,
            ErrorKind::BadRecord => 65,
            ErrorKind::Retriable => 69,
            ErrorKind::TaskMigrated
            | ErrorKind::TransactionAborted
            | ErrorKind::TaskCorrupted
            | ErrorKind::Fatal => 70,
        })
    }
}
