//! The names of all topics, from the metadata of the whole cluster.
#![expect(unsafe_code, reason = "the metadata belongs to a C library")]

use std::ptr;
use std::slice;
use std::time::Duration;

use rdkafka::bindings as sys;

use super::client::{Client, Role, millis, text};
use super::errors::check;
use crate::broker::BrokerError;

const TIMEOUT: Duration = Duration::from_secs(30);

/// All topics in order, but those whose names begin with `__`: they are the broker's own.
pub(super) fn topic_names<R: Role>(client: &Client<R>) -> Result<Vec<String>, BrokerError> {
    let mut metadata = ptr::null();
    // SAFETY: the client is live; without a topic all are asked for; what the call gives is destroyed, once,
    // after everything read has been copied.
    unsafe {
        let all_topics = 1;
        let error = sys::rd_kafka_metadata(
            client.handle(),
            all_topics,
            ptr::null_mut(),
            &raw mut metadata,
            millis(TIMEOUT),
        );
        check(error, "cannot list topics", "")?;
        let Some(found) = metadata.as_ref() else { return Ok(Vec::new()) };
        let count = usize::try_from(found.topic_cnt).unwrap_or(0);
        let topics = if count == 0 { &[] } else { slice::from_raw_parts(found.topics, count) };
        let mut names: Vec<String> = topics.iter().map(|topic| text(topic.topic)).collect();
        sys::rd_kafka_metadata_destroy(metadata);
        names.retain(|name| !name.starts_with("__"));
        names.sort();
        Ok(names)
    }
}
