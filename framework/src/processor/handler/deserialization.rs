//! Records that cannot be read.

use std::fmt::Debug;

use super::{ErrorContext, HandlerResponse};
use crate::serdes::SerdeError;

/// Decides about records whose bytes the source's serdes refuse.
///
/// # Source
/// `DeserializationExceptionHandler`; dead-letter topics: KIP-1034.
pub trait DeserializationHandler: Debug + Send + Sync + 'static {
    /// Called once per bad record, on the stream thread.
    fn handle(&self, context: &ErrorContext<'_>, error: &SerdeError) -> HandlerResponse;
}
