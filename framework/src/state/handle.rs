//! What a processor holds of a store: a cheap, typed handle.
//!
//! The supplier of a store makes its handle when a task is linked and keeps it, without its type, beside
//! the rows; a processor asks for it by name and gets a clone. Handles of one store share its rows. They
//! stay in their task, on one thread.

use std::cell::Cell;
use std::rc::Rc;

use crate::record::Timestamp;

/// A handle on a store that a processor can ask its context for by name: the store types implement it.
///
/// A clone refers to the same store.
///
/// # Source
/// `org.apache.kafka.streams.processor.StateStore`, as `ProcessorContext.getStateStore` gives it.
pub trait StateStoreHandle: Clone + 'static {}

/// The timestamp of the record that a processor of the task works on: what a store notes as the time of a
/// write. In a punctuation it is the punctuation's.
#[derive(Debug, Clone, Default)]
pub(crate) struct RecordClock(Rc<Cell<Timestamp>>);

impl RecordClock {
    /// The record's timestamp.
    pub(crate) fn now(&self) -> Timestamp {
        self.0.get()
    }

    /// A processor turns to another record.
    pub(crate) fn set(&self, timestamp: Timestamp) {
        self.0.set(timestamp);
    }
}
