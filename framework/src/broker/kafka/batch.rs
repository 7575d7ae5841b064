//! Records as librdkafka fetched them: pointers into its buffers, freed together.
//!
//! A batch keeps its fetch responses alive, up to `fetch.max.bytes`; whoever needs bytes for longer
//! copies them.
#![expect(unsafe_code, reason = "messages belong to a C library")]

use std::ffi::CStr;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;

use rdkafka::bindings as sys;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::RDKafkaMessage;

use super::client::{Client, text};
use super::errors::failed;
use super::roles::Reader;
use crate::broker::{RawRecord, RecordBatch};
use crate::record::Headers;

// `Message::is_bare` rests on how this version lays records out.
const _: () = assert!(sys::RD_KAFKA_VERSION >> 24 == 2);

/// One message of the batch call, ours to destroy.
#[derive(Debug)]
#[repr(transparent)]
pub(super) struct Message(NonNull<RDKafkaMessage>);

// SAFETY: messages are not bound to a thread; reference counts of shared buffers are atomic.
unsafe impl Send for Message {}

impl Message {
    /// # Safety
    /// `message` must come from the batch call, and from nowhere twice.
    pub(super) unsafe fn new(message: *mut RDKafkaMessage) -> Self {
        // SAFETY: the batch call returns no null pointers.
        Self(unsafe { NonNull::new_unchecked(message) })
    }

    fn get(&self) -> &RDKafkaMessage {
        // SAFETY: live until `drop`.
        unsafe { self.0.as_ref() }
    }

    /// The error that stands in the place of a record.
    pub(super) fn error(&self) -> Option<RDKafkaErrorCode> {
        failed(self.get().err)
    }

    /// The offset behind the partition's last record, if this stands for having reached it.
    pub(super) fn end_of_partition(&self) -> Option<i64> {
        (self.error() == Some(RDKafkaErrorCode::PartitionEOF)).then(|| self.get().offset)
    }

    /// What librdkafka says about the error.
    pub(super) fn error_text(&self) -> String {
        // SAFETY: the message is live.
        text(unsafe { sys::rd_kafka_message_errstr(self.0.as_ptr()) })
    }

    /// Whether the record has no headers for certain. Asking librdkafka costs an allocation even then,
    /// a third of the whole fetch.
    fn is_bare(&self) -> bool {
        let fields = self.get();
        // SAFETY: key and value that are not empty lie in the received batch: librdkafka does not copy
        // them. Only format 2 has a leader epoch, and in it a record goes on behind its value with the
        // number of headers, and behind its key with the value's length, one byte for null.
        unsafe {
            sys::rd_kafka_message_leader_epoch(fields) >= 0
                && if fields.len > 0 {
                    *fields.payload.cast::<u8>().add(fields.len) == 0
                } else if fields.payload.is_null() && fields.key_len > 0 {
                    *fields.key.cast::<u8>().add(fields.key_len + 1) == 0
                } else {
                    false
                }
        }
    }

    fn headers(&self) -> Headers {
        if self.is_bare() {
            return Headers::new();
        }
        // SAFETY: the message is live, and belongs to one thread at a time.
        unsafe { headers_of(self.0.as_ptr()) }
    }
}

/// The headers of a message.
///
/// # Safety
/// The message must be live, and used by this thread only: librdkafka parses its headers at the first call and
/// keeps them with it.
pub(super) unsafe fn headers_of(message: *const RDKafkaMessage) -> Headers {
    let mut headers = Headers::new();
    let mut list = ptr::null_mut();
    // SAFETY: the caller vouches for the message; the list lives with it, and so do names and values.
    unsafe {
        if failed(sys::rd_kafka_message_headers(message, &raw mut list)).is_some() {
            return headers;
        }
        for index in 0.. {
            let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
            let error = sys::rd_kafka_header_get_all(
                list,
                index,
                &raw mut name,
                &raw mut value,
                &raw mut size,
            );
            if failed(error).is_some() {
                break;
            }
            // Foreign producers may use names that are not UTF-8: they are kept as they can be.
            let name = CStr::from_ptr(name).to_string_lossy();
            headers.add(&name, bytes(value.cast(), size));
        }
    }
    headers
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: ours, and destroyed once.
        unsafe { sys::rd_kafka_message_destroy(self.0.as_ptr()) };
    }
}

/// Null is `None`; empty is not null.
///
/// # Safety
/// `start` must be null or point to `len` bytes that live for `'a`.
pub(super) unsafe fn bytes<'a>(start: *const u8, len: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller vouches for it.
    (!start.is_null()).then(|| unsafe { slice::from_raw_parts(start, len) })
}

/// See the module.
#[derive(Debug)]
pub(super) struct KafkaBatch {
    messages: Box<[Message]>,
    /// A client is not destroyed while it has messages outside: it goes after them.
    _client: Arc<Client<Reader>>,
}

impl KafkaBatch {
    pub(super) fn new(messages: Box<[Message]>, client: Arc<Client<Reader>>) -> Self {
        Self { messages, _client: client }
    }
}

impl RecordBatch for KafkaBatch {
    fn len(&self) -> usize {
        self.messages.len()
    }

    #[expect(clippy::indexing_slicing, reason = "the caller keeps index < len()")]
    fn record(&self, index: usize) -> RawRecord<'_> {
        let message = &self.messages[index];
        let fields = message.get();
        // SAFETY: key and payload live with the message, which the batch owns.
        unsafe {
            RawRecord {
                offset: fields.offset,
                timestamp: sys::rd_kafka_message_timestamp(fields, ptr::null_mut()),
                key: bytes(fields.key.cast(), fields.key_len),
                value: bytes(fields.payload.cast(), fields.len),
                headers: message.headers(),
            }
        }
    }
}
