//! Errors about the keys and values of rows.

use crate::error::{Error, ErrorKind};
use crate::serdes::SerdeError;

#[cold]
pub(crate) fn unwritable_key(node: &str, error: SerdeError) -> Error {
    Error::new(ErrorKind::BadRecord, "the key cannot be written").with_source(error).at_node(node)
}

#[cold]
pub(crate) fn unreadable_key(node: &str, error: SerdeError) -> Error {
    Error::new(ErrorKind::Fatal, "a stored key cannot be read; was the store's type changed?")
        .with_source(error)
        .at_node(node)
}

#[cold]
pub(crate) fn unwritable_value(node: &str, error: SerdeError) -> Error {
    Error::new(ErrorKind::BadRecord, "the value cannot be written").with_source(error).at_node(node)
}

#[cold]
pub(crate) fn unreadable_value(node: &str, error: SerdeError) -> Error {
    Error::new(ErrorKind::Fatal, "a stored value cannot be read; was the store's type changed?")
        .with_source(error)
        .at_node(node)
}
