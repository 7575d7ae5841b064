//! What a processor holds of a store: a cheap, typed handle.
//!
//! The supplier of a store makes its handle when a task is linked and keeps it, without its type, beside
//! the rows; a processor asks for it by name and gets a clone. Handles of one store share its rows. They
//! stay in their task, on one thread.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::record::{Headers, Timestamp};

/// A handle on a store that a processor can ask its context for by name: the store types implement it.
///
/// A clone refers to the same store.
///
/// # Source
/// `org.apache.kafka.streams.processor.StateStore`, as `ProcessorContext.getStateStore` gives it.
pub trait StateStoreHandle: Clone + 'static {}

/// What the stores of a task see of it: when a write happens, and how far event time is.
#[derive(Debug, Clone)]
pub(crate) struct RecordClock(Rc<Present>);

#[derive(Debug)]
struct Present {
    /// Of the record that a processor works on, or of the punctuation.
    timestamp: Cell<Timestamp>,
    /// Of that record.
    headers: RefCell<Headers>,
    stream_time: Cell<Timestamp>,
}

impl Default for RecordClock {
    fn default() -> Self {
        let (timestamp, headers) = (Cell::new(0), RefCell::default());
        Self(Rc::new(Present { timestamp, headers, stream_time: Cell::new(-1) }))
    }
}

impl RecordClock {
    /// The timestamp of the record that a processor works on: what a store notes as the time of a write. In
    /// a punctuation it is the punctuation's.
    pub(crate) fn now(&self) -> Timestamp {
        self.0.timestamp.get()
    }

    /// A processor turns to another record.
    pub(crate) fn set(&self, timestamp: Timestamp) {
        self.0.timestamp.set(timestamp);
    }

    /// The headers of the record that a processor works on: those of a deletion's changelog record, in
    /// stores that keep headers.
    pub(crate) fn headers(&self) -> Headers {
        self.0.headers.borrow().clone()
    }

    /// See [`RecordClock::headers`].
    pub(crate) fn set_headers(&self, headers: Headers) {
        self.0.headers.replace(headers);
    }

    /// The task's stream time; −1 before the first record.
    pub(crate) fn stream_time(&self) -> Timestamp {
        self.0.stream_time.get()
    }

    /// See [`RecordClock::stream_time`].
    pub(crate) fn set_stream_time(&self, stream_time: Timestamp) {
        self.0.stream_time.set(stream_time);
    }
}
