//! Who is a member of a group, as its coordinator says.
//!
//! KAFKA: librdkafka 2.12 aborts the process when a request to a coordinator times out inside it while no
//! coordinator is known, and one is found later: the request is freed, and used once more (`coord_req`, whose
//! own timeout nobody looks at). So the request is given an hour, and whoever does not want to wait so long
//! throws the client away with it. That is why this has a client of its own.
#![expect(unsafe_code, reason = "requests and answers belong to a C library")]

use std::ptr::NonNull;
use std::slice;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::client_config::ClientConfig;
use rdkafka::bindings as sys;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::{RDKafkaAdminOp, RDKafkaQueue};

use super::client::{Client, REASON_LEN, c_string, millis, text};
use super::errors::{broker_error, broker_error_with, failed};
use super::event::Event;
use super::roles::AdminRole;
use crate::broker::{BrokerError, GroupMemberInfo};

/// The longest that librdkafka takes; see the module.
const REQUEST_TIMEOUT: Duration = Duration::from_hours(1);
/// How long the caller waits.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub(super) struct GroupLookup {
    config: ClientConfig,
    /// Made when it is first needed. Held while waiting for an answer; one thread of a process asks.
    client: Mutex<Option<Client<AdminRole>>>,
}

impl GroupLookup {
    pub(super) fn new(config: ClientConfig) -> Self {
        Self { config, client: Mutex::default() }
    }

    /// The members, in the order of their ids; none for a group that does not exist.
    pub(super) fn members(&self, group: &str) -> Result<Vec<GroupMemberInfo>, BrokerError> {
        let what = format!("cannot describe group {group}");
        let name = c_string(group)?;
        let mut slot = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        // Whatever goes wrong, the next call begins with a new client.
        let client = match slot.take() {
            Some(client) => client,
            None => Client::new(&self.config, AdminRole)?,
        };
        let Some(event) = describe(&client, name.as_ptr()) else {
            return Err(broker_error(RDKafkaErrorCode::OperationTimedOut, what));
        };
        client.serve(Duration::ZERO);
        event.check(&what)?;
        let members = members_of(&event, &what)?;
        *slot = Some(client);
        Ok(members)
    }
}

/// The answer, if there is one in time.
fn describe(client: &Client<AdminRole>, group: *const std::ffi::c_char) -> Option<Event> {
    let mut reason = [0; REASON_LEN];
    let mut groups = [group];
    let operation = RDKafkaAdminOp::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS;
    // SAFETY: client and name are live; options and queue are made, used and destroyed here; names are
    // copied; an event is ours.
    unsafe {
        let options = sys::rd_kafka_AdminOptions_new(client.handle(), operation);
        let queue: *mut RDKafkaQueue = sys::rd_kafka_queue_new(client.handle());
        sys::rd_kafka_AdminOptions_set_request_timeout(
            options,
            millis(REQUEST_TIMEOUT),
            reason.as_mut_ptr(),
            reason.len(),
        );
        sys::rd_kafka_DescribeConsumerGroups(
            client.handle(),
            groups.as_mut_ptr(),
            groups.len(),
            options,
            queue,
        );
        let event = sys::rd_kafka_queue_poll(queue, millis(ANSWER_TIMEOUT));
        sys::rd_kafka_queue_destroy(queue);
        sys::rd_kafka_AdminOptions_destroy(options);
        Event::new(event)
    }
}

fn members_of(event: &Event, what: &str) -> Result<Vec<GroupMemberInfo>, BrokerError> {
    let mut members = Vec::new();
    let mut count = 0;
    // SAFETY: everything read lives with the event; an index is below the count.
    unsafe {
        let result = sys::rd_kafka_event_DescribeConsumerGroups_result(event.handle());
        let groups = sys::rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut count);
        let groups = NonNull::new(groups)
            .map_or(&[][..], |groups| slice::from_raw_parts(groups.as_ptr().cast_const(), count));
        for group in groups {
            let error = sys::rd_kafka_ConsumerGroupDescription_error(*group);
            match failed(sys::rd_kafka_error_code(error)) {
                None => {}
                Some(RDKafkaErrorCode::GroupIdNotFound) => continue,
                Some(code) => {
                    let reason = text(sys::rd_kafka_error_string(error));
                    return Err(broker_error_with(code, what, &reason));
                }
            }
            for index in 0..sys::rd_kafka_ConsumerGroupDescription_member_count(*group) {
                let member = sys::rd_kafka_ConsumerGroupDescription_member(*group, index);
                members.push(GroupMemberInfo {
                    member_id: text(sys::rd_kafka_MemberDescription_consumer_id(member)),
                    client_id: text(sys::rd_kafka_MemberDescription_client_id(member)),
                });
            }
        }
    }
    members.sort_by(|a, b| a.member_id.cmp(&b.member_id));
    Ok(members)
}
