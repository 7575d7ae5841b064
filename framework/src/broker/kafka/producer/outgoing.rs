//! One record on its way into librdkafka's queue.
#![expect(unsafe_code, reason = "headers and the queue belong to a C library")]

use std::ffi::{c_int, c_void};
use std::ptr;

use rdkafka::bindings as sys;
use rdkafka::bindings::rd_kafka_vtype_t as VType;
use rdkafka::types::{RDKafkaHeaders, RDKafkaRespErr};

use super::SendTopic;
use super::deliveries::Deliveries;
use crate::broker::kafka::client::Client;
use crate::broker::kafka::errors::{self, failed};
use crate::broker::{BrokerError, OutgoingRecord};
use crate::record::{Headers, Timestamp};

/// Headers in librdkafka's form; they are its own once a record has been queued.
pub(super) struct OutgoingHeaders(*mut RDKafkaHeaders);

impl OutgoingHeaders {
    pub(super) fn new(headers: &Headers) -> Result<Self, BrokerError> {
        if headers.is_empty() {
            return Ok(Self(ptr::null_mut()));
        }
        // SAFETY: a new list; names and values are copied with the lengths given.
        unsafe {
            let list = Self(sys::rd_kafka_headers_new(headers.len()));
            for header in headers {
                let value = header.value.as_deref();
                let error = sys::rd_kafka_header_add(
                    list.0,
                    header.name.as_ptr().cast(),
                    header.name.len().cast_signed(),
                    value.map_or(ptr::null(), <[u8]>::as_ptr).cast(),
                    value.map_or(0, <[u8]>::len).cast_signed(),
                );
                errors::check(error, format_args!("cannot send header {:?}", header.name), "")?;
            }
            Ok(list)
        }
    }
}

impl Drop for OutgoingHeaders {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: still ours, as the record was not queued.
            unsafe { sys::rd_kafka_headers_destroy(self.0) };
        }
    }
}

/// librdkafka takes 0 for "now".
const NOW: Timestamp = 0;

/// Queues a copy of the record.
pub(super) fn produce(
    client: &Client<Deliveries>,
    topic: &SendTopic,
    record: &OutgoingRecord<'_>,
    headers: &mut OutgoingHeaders,
) -> RDKafkaRespErr {
    let timestamp = match record.timestamp {
        None => NOW,
        // KAFKA: the start of the epoch cannot be sent by librdkafka. A millisecond later is the
        // smaller evil: "now" would push stream time half a century ahead.
        Some(NOW) => NOW + 1,
        Some(timestamp) => timestamp,
    };
    let (key, key_len) = raw(record.key);
    let (value, value_len) = raw(record.value);
    // SAFETY: the list of tagged arguments is what `rd_kafka_producev` expects, with C types; key and
    // value are copied by the call; headers change hands when it succeeds.
    let error = unsafe {
        sys::rd_kafka_producev(
            client.handle(),
            VType::RD_KAFKA_VTYPE_RKT as c_int,
            topic.handle.as_ptr(),
            VType::RD_KAFKA_VTYPE_PARTITION as c_int,
            record.partition,
            VType::RD_KAFKA_VTYPE_MSGFLAGS as c_int,
            sys::RD_KAFKA_MSG_F_COPY as c_int,
            VType::RD_KAFKA_VTYPE_VALUE as c_int,
            value,
            value_len,
            VType::RD_KAFKA_VTYPE_KEY as c_int,
            key,
            key_len,
            VType::RD_KAFKA_VTYPE_TIMESTAMP as c_int,
            timestamp,
            VType::RD_KAFKA_VTYPE_HEADERS as c_int,
            headers.0,
            VType::RD_KAFKA_VTYPE_END as c_int,
        )
    };
    if failed(error).is_none() {
        headers.0 = ptr::null_mut();
    }
    error
}

/// Null for `None`; an empty slice is not null.
fn raw(bytes: Option<&[u8]>) -> (*const c_void, usize) {
    bytes.map_or((ptr::null(), 0), |bytes| (bytes.as_ptr().cast(), bytes.len()))
}
