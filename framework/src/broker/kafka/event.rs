//! Answers that librdkafka gives as events on a queue.
#![expect(unsafe_code, reason = "events belong to a C library")]

use std::ptr::NonNull;

use rdkafka::bindings as sys;
use rdkafka::types::RDKafkaEvent;

use super::client::text;
use super::errors::check;
use super::partitions::{Element, elements};
use crate::broker::BrokerError;

/// An owned event.
#[derive(Debug)]
pub(super) struct Event(NonNull<RDKafkaEvent>);

impl Event {
    /// # Safety
    /// `event` must be null or ours to destroy.
    pub(super) unsafe fn new(event: *mut RDKafkaEvent) -> Option<Self> {
        NonNull::new(event).map(Self)
    }

    pub(super) fn handle(&self) -> *mut RDKafkaEvent {
        self.0.as_ptr()
    }

    /// Fails if the request as a whole failed.
    pub(super) fn check(&self, what: &str) -> Result<(), BrokerError> {
        // SAFETY: the event is live.
        let (error, reason) = unsafe {
            (
                sys::rd_kafka_event_error(self.handle()),
                text(sys::rd_kafka_event_error_string(self.handle())),
            )
        };
        check(error, what, &reason)
    }

    /// The partitions an offset commit was about.
    pub(super) fn partitions(&self) -> impl Iterator<Item = Element<'_>> {
        // SAFETY: the list is null or lives with the event.
        unsafe { elements(sys::rd_kafka_event_topic_partition_list(self.handle())) }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: ours, and destroyed once.
        unsafe { sys::rd_kafka_event_destroy(self.handle()) };
    }
}
