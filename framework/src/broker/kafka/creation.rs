//! Topics to be created, in librdkafka's form.
#![expect(unsafe_code, reason = "the topics belong to a C library")]

use std::ptr::NonNull;

use rdkafka::bindings as sys;
use rdkafka::types::RDKafkaNewTopic;

use super::client::{REASON_LEN, c_string, text};
use super::errors::check;
use crate::broker::{BrokerError, BrokerErrorKind, NewTopic};

/// An owned topic to be created.
#[derive(Debug)]
pub(super) struct Creation(NonNull<RDKafkaNewTopic>);

impl Creation {
    pub(super) fn new(topic: &NewTopic) -> Result<Self, BrokerError> {
        let name = c_string(&topic.name)?;
        let mut reason = [0; REASON_LEN];
        // SAFETY: the name is copied, and the buffer has the length given.
        let creation = unsafe {
            sys::rd_kafka_NewTopic_new(
                name.as_ptr(),
                topic.partitions,
                topic.replication_factor,
                reason.as_mut_ptr(),
                reason.len(),
            )
        };
        let Some(creation) = NonNull::new(creation).map(Self) else {
            let message = format!("cannot create topic {}: {}", topic.name, text(reason.as_ptr()));
            return Err(BrokerError::new(BrokerErrorKind::Invalid, message));
        };
        for (key, value) in &topic.configs {
            let (key, value) = (c_string(key)?, c_string(value)?);
            // SAFETY: the topic is live, and key and value are copied.
            let error = unsafe {
                sys::rd_kafka_NewTopic_set_config(creation.0.as_ptr(), key.as_ptr(), value.as_ptr())
            };
            check(error, format_args!("cannot create topic {}", topic.name), "")?;
        }
        Ok(creation)
    }

    pub(super) fn handle(&self) -> *mut RDKafkaNewTopic {
        self.0.as_ptr()
    }
}

impl Drop for Creation {
    fn drop(&mut self) {
        // SAFETY: ours, and destroyed once.
        unsafe { sys::rd_kafka_NewTopic_destroy(self.0.as_ptr()) };
    }
}
