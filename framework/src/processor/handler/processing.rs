//! Records at which a node fails.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt::{self, Debug};

use super::{ErrorContext, FailedRecord, HandlerResponse};

/// Decides about records at which a node fails: closures report by panicking, processors by returning an
/// error.
///
/// When the handler resumes, the record is dropped at the failing node. Siblings of that node still get it,
/// and what was forwarded or stored before stays.
///
/// # Examples
/// ```
/// use std::error::Error;
/// use kstream::{
///     ErrorContext, FailedRecord, HandlerResponse, KStream, ProcessingHandler, StreamsBuilder, StreamsConfig,
/// };
/// use kstream_test_utils::TopologyTestDriver;
///
/// #[derive(Debug)]
/// struct SkipNumbersThatAreNone;
///
/// impl ProcessingHandler for SkipNumbersThatAreNone {
///     fn handle(
///         &self,
///         context: &ErrorContext<'_>,
///         record: Option<&FailedRecord<'_>>,
///         _error: &(dyn Error + Send + Sync + 'static),
///     ) -> HandlerResponse {
///         assert_eq!(record.and_then(|record| record.value::<String>()), Some(&"x".to_owned()));
///         if context.node == "parse" { HandlerResponse::resume() } else { HandlerResponse::fail() }
///     }
/// }
///
/// let builder = StreamsBuilder::new();
/// let texts: KStream<String, String> = builder.stream("texts");
/// texts.map_values_with(|_, text| text.parse::<i64>().expect("a number"), "parse").to("numbers");
/// let config = StreamsConfig::new("app").processing_handler(SkipNumbersThatAreNone);
/// let driver = TopologyTestDriver::with_config(builder.build()?, config)?;
/// let input = driver.input_topic::<String, String>("texts");
/// input.pipe("a".to_owned(), "x".to_owned())?;
/// input.pipe("a".to_owned(), "7".to_owned())?;
/// let numbers = driver.output_topic::<String, i64>("numbers").read_key_values()?;
/// assert_eq!(numbers, [("a".to_owned(), 7)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Source
/// `ProcessingExceptionHandler` (KIP-1033).
pub trait ProcessingHandler: Debug + Send + Sync + 'static {
    /// Called once per failure, on the stream thread. There is no record in a punctuation. A panic is a
    /// [`UserPanic`]; what a processor returned is given as it is.
    fn handle(
        &self,
        context: &ErrorContext<'_>,
        record: Option<&FailedRecord<'_>>,
        error: &(dyn StdError + Send + Sync + 'static),
    ) -> HandlerResponse;
}

/// A panic of the application's code; prints as the panic's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserPanic(String);

impl fmt::Display for UserPanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for UserPanic {}

/// What a caught panic says.
pub(crate) fn panic_of(panic: &(dyn Any + Send)) -> UserPanic {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    UserPanic(text.unwrap_or_else(|| "a panic without a message".to_owned()))
}
