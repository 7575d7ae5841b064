//! The admin requests of librdkafka: made, waited for and read, one function each.
#![expect(unsafe_code, reason = "requests and answers belong to a C library")]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::bindings as sys;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::{
    RDKafkaAdminOp, RDKafkaAdminOptions, RDKafkaQueue, RDKafkaResourceType, RDKafkaRespErr,
    RDKafkaTopicResult,
};

use super::client::{Client, Deadline, REASON_LEN, c_string, millis, text};
use super::creation::Creation;
use super::errors::{all_or_rights, broker_error, check_topic};
use super::event::Event;
use super::partitions::{Element, list_of};
use super::roles::AdminRole;
use crate::broker::{BrokerError, NewTopic, TopicDescription};
use crate::ids::{TopicId, TopicPartition};

/// A request that has not been answered by then has failed. Not less: after the loss of a broker librdkafka may wait
/// for some seconds until it knows another one to ask ("timed out waiting for controller").
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// A request that failed is made again for so long, with a pause in between.
const RETRY_TIMEOUT: Duration = Duration::from_secs(3);
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// librdkafka ends the request itself; this only guards against it not doing so.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(35);

/// What metadata says about a topic that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TopicState {
    pub(super) description: TopicDescription,
    /// Every partition has a leader.
    pub(super) led: bool,
}

/// Which end of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OffsetSpec {
    Earliest,
    Latest,
}

impl OffsetSpec {
    fn raw(self) -> i64 {
        match self {
            Self::Earliest => sys::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_EARLIEST as i64,
            Self::Latest => sys::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_LATEST as i64,
        }
    }
}

/// Results of topics by name.
pub(super) type TopicResults = BTreeMap<String, Result<(), BrokerError>>;

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Requests {
    client: Arc<Client<AdminRole>>,
}

impl Requests {
    pub(super) fn new(client: Arc<Client<AdminRole>>) -> Self {
        Self { client }
    }

    pub(super) fn client(&self) -> &Client<AdminRole> {
        &self.client
    }

    /// Waits a little, serving the client.
    pub(super) fn pause(&self, time: Duration) {
        self.client.serve(time);
    }

    /// Makes a request and waits for the answer. It is made again when the broker that was asked has gone away:
    /// librdkafka asks one, and reports it even if others are there. Nothing is harmed by asking twice; who creates or
    /// deletes may find it done.
    pub(super) fn ask(
        &self,
        operation: RDKafkaAdminOp,
        what: &str,
        mut request: impl FnMut(*mut RDKafkaAdminOptions, *mut RDKafkaQueue),
    ) -> Result<Event, BrokerError> {
        let deadline = Deadline::after(RETRY_TIMEOUT);
        loop {
            match self.ask_once(operation, what, &mut request) {
                Err(error) if error.is_retriable() && !deadline.passed() => self.pause(RETRY_PAUSE),
                answer => return answer,
            }
        }
    }

    /// With options and an answer queue of its own.
    fn ask_once(
        &self,
        operation: RDKafkaAdminOp,
        what: &str,
        request: &mut dyn FnMut(*mut RDKafkaAdminOptions, *mut RDKafkaQueue),
    ) -> Result<Event, BrokerError> {
        let client = self.client.handle();
        let mut reason = [0; REASON_LEN];
        // SAFETY: the client is live; options and queue are made, used and destroyed here; an event is
        // ours.
        let event = unsafe {
            let options = sys::rd_kafka_AdminOptions_new(client, operation);
            let queue = sys::rd_kafka_queue_new(client);
            sys::rd_kafka_AdminOptions_set_request_timeout(
                options,
                millis(REQUEST_TIMEOUT),
                reason.as_mut_ptr(),
                reason.len(),
            );
            request(options, queue);
            let event = sys::rd_kafka_queue_poll(queue, millis(ANSWER_TIMEOUT));
            sys::rd_kafka_queue_destroy(queue);
            sys::rd_kafka_AdminOptions_destroy(options);
            Event::new(event)
        };
        self.client.serve(Duration::ZERO);
        let Some(event) = event else {
            return Err(broker_error(RDKafkaErrorCode::OperationTimedOut, what));
        };
        event.check(what)?;
        Ok(event)
    }

    /// What metadata says about those of the topics that exist; asking creates none.
    pub(super) fn topics(
        &self,
        names: &[&str],
    ) -> Result<BTreeMap<String, TopicState>, BrokerError> {
        let names: BTreeSet<&str> = names.iter().copied().collect();
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        let names: Vec<CString> = names.into_iter().map(c_string).collect::<Result<_, _>>()?;
        let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
        let what = "cannot describe topics";
        let event =
            self.ask(RDKafkaAdminOp::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, what, |options, queue| {
                // SAFETY: the names live through the call, which copies them; the collection is
                // destroyed once.
                unsafe {
                    let topics = sys::rd_kafka_TopicCollection_of_topic_names(
                        pointers.as_mut_ptr(),
                        pointers.len(),
                    );
                    sys::rd_kafka_DescribeTopics(self.client.handle(), topics, options, queue);
                    sys::rd_kafka_TopicCollection_destroy(topics);
                }
            })?;
        let mut count = 0;
        // SAFETY: everything read lives with the event.
        unsafe {
            let result = sys::rd_kafka_event_DescribeTopics_result(event.handle());
            let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
            let states = array(topics.cast_const(), count).iter().map(|topic| {
                let name = text(sys::rd_kafka_TopicDescription_name(*topic));
                let state = topic_state(*topic, &name)?;
                Ok(state.map(|state| (name, state)))
            });
            all_or_rights(states).map(|states| states.into_iter().flatten().collect())
        }
    }

    pub(super) fn configs(&self, topic: &str) -> Result<BTreeMap<String, String>, BrokerError> {
        let name = c_string(topic)?;
        let what = format!("cannot read the configs of topic {topic}");
        let operation = RDKafkaAdminOp::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS;
        let event = self.ask(operation, &what, |options, queue| {
            // SAFETY: the resource is copied by the call and destroyed once.
            unsafe {
                let kind = RDKafkaResourceType::RD_KAFKA_RESOURCE_TOPIC;
                let mut resource = sys::rd_kafka_ConfigResource_new(kind, name.as_ptr());
                sys::rd_kafka_DescribeConfigs(
                    self.client.handle(),
                    &raw mut resource,
                    1,
                    options,
                    queue,
                );
                sys::rd_kafka_ConfigResource_destroy(resource);
            }
        })?;
        let mut configs = BTreeMap::new();
        let mut count = 0;
        // SAFETY: everything read lives with the event.
        unsafe {
            let result = sys::rd_kafka_event_DescribeConfigs_result(event.handle());
            let resources = sys::rd_kafka_DescribeConfigs_result_resources(result, &raw mut count);
            for resource in array(resources.cast_const(), count) {
                let reason = text(sys::rd_kafka_ConfigResource_error_string(*resource));
                let error = sys::rd_kafka_ConfigResource_error(*resource);
                check_topic(error, &what, &reason, ("DESCRIBE_CONFIGS", topic))?;
                let mut count = 0;
                let entries = sys::rd_kafka_ConfigResource_configs(*resource, &raw mut count);
                for entry in array(entries.cast_const(), count) {
                    let value = sys::rd_kafka_ConfigEntry_value(*entry);
                    // A value that the broker keeps to itself is null.
                    if !value.is_null() {
                        configs.insert(text(sys::rd_kafka_ConfigEntry_name(*entry)), text(value));
                    }
                }
            }
        }
        Ok(configs)
    }

    pub(super) fn create(&self, topics: &[NewTopic]) -> Result<TopicResults, BrokerError> {
        if topics.is_empty() {
            return Ok(TopicResults::new());
        }
        let topics = topics.iter().map(Creation::new).collect::<Result<Vec<_>, _>>()?;
        let mut pointers: Vec<_> = topics.iter().map(Creation::handle).collect();
        let what = "cannot create topics";
        let operation = RDKafkaAdminOp::RD_KAFKA_ADMIN_OP_CREATETOPICS;
        let event = self.ask(operation, what, |options, queue| {
            // SAFETY: the topics live through the call, which copies them.
            unsafe {
                sys::rd_kafka_CreateTopics(
                    self.client.handle(),
                    pointers.as_mut_ptr(),
                    pointers.len(),
                    options,
                    queue,
                );
            }
        })?;
        let mut count = 0;
        // SAFETY: everything read lives with the event.
        unsafe {
            let result = sys::rd_kafka_event_CreateTopics_result(event.handle());
            let topics = sys::rd_kafka_CreateTopics_result_topics(result, &raw mut count);
            Ok(topic_results(array(topics.cast_const(), count), ("create", "CREATE")))
        }
    }

    pub(super) fn delete(&self, topics: &[&str]) -> Result<TopicResults, BrokerError> {
        let names: BTreeSet<&str> = topics.iter().copied().collect();
        if names.is_empty() {
            return Ok(TopicResults::new());
        }
        let names: Vec<CString> = names.into_iter().map(c_string).collect::<Result<_, _>>()?;
        let what = "cannot delete topics";
        let operation = RDKafkaAdminOp::RD_KAFKA_ADMIN_OP_DELETETOPICS;
        let event = self.ask(operation, what, |options, queue| {
            // SAFETY: the topics are copied by the call and destroyed once.
            unsafe {
                let mut topics: Vec<_> =
                    names.iter().map(|name| sys::rd_kafka_DeleteTopic_new(name.as_ptr())).collect();
                sys::rd_kafka_DeleteTopics(
                    self.client.handle(),
                    topics.as_mut_ptr(),
                    topics.len(),
                    options,
                    queue,
                );
                sys::rd_kafka_DeleteTopic_destroy_array(topics.as_mut_ptr(), topics.len());
            }
        })?;
        let mut count = 0;
        // SAFETY: everything read lives with the event.
        unsafe {
            let result = sys::rd_kafka_event_DeleteTopics_result(event.handle());
            let topics = sys::rd_kafka_DeleteTopics_result_topics(result, &raw mut count);
            Ok(topic_results(array(topics.cast_const(), count), ("delete", "DELETE")))
        }
    }

    pub(super) fn offsets(
        &self,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
    ) -> Result<BTreeMap<TopicPartition, i64>, BrokerError> {
        if partitions.is_empty() {
            return Ok(BTreeMap::new());
        }
        let list = unique(partitions);
        // SAFETY: the list is ours; the specification is a number in the offset's place.
        unsafe {
            let raw = &mut *list.ptr();
            let count = usize::try_from(raw.cnt).unwrap_or(0);
            for element in slice::from_raw_parts_mut(raw.elems, count) {
                element.offset = spec.raw();
            }
        }
        let what = "cannot look up offsets";
        let operation = RDKafkaAdminOp::RD_KAFKA_ADMIN_OP_LISTOFFSETS;
        let event = self.ask(operation, what, |options, queue| {
            // SAFETY: list, options and queue are live; the list is copied.
            unsafe {
                sys::rd_kafka_ListOffsets(self.client.handle(), list.ptr(), options, queue);
            }
        })?;
        let mut count = 0;
        // SAFETY: everything read lives with the event.
        unsafe {
            let result = sys::rd_kafka_event_ListOffsets_result(event.handle());
            let infos = sys::rd_kafka_ListOffsets_result_infos(result, &raw mut count);
            array(infos.cast_const(), count)
                .iter()
                .map(|info| {
                    let element = sys::rd_kafka_ListOffsetsResultInfo_topic_partition(*info);
                    let element = Element::new(element);
                    element.check(what)?;
                    Ok((element.partition(), element.offset()))
                })
                .collect()
        }
    }
}

/// Requests refuse a partition that is named twice.
fn unique(partitions: &[TopicPartition]) -> TopicPartitionList {
    let partitions: BTreeSet<&TopicPartition> = partitions.iter().collect();
    list_of(partitions)
}

/// # Safety
/// `start` must be null or point to `count` elements that live for `'a`.
unsafe fn array<'a, T>(start: *const T, count: usize) -> &'a [T] {
    if start.is_null() || count == 0 {
        return &[];
    }
    // SAFETY: the caller vouches for it.
    unsafe { slice::from_raw_parts(start, count) }
}

/// # Safety
/// `topic` must be live.
unsafe fn topic_state(
    topic: *const sys::rd_kafka_TopicDescription_t,
    name: &str,
) -> Result<Option<TopicState>, BrokerError> {
    // SAFETY: everything read lives with the topic.
    unsafe {
        let error = sys::rd_kafka_TopicDescription_error(topic);
        let code = sys::rd_kafka_error_code(error);
        if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART {
            return Ok(None);
        }
        let reason = text(sys::rd_kafka_error_string(error));
        let what = format_args!("cannot describe topic {name}");
        check_topic(code, what, &reason, ("DESCRIBE", name))?;
        let mut count = 0;
        let partitions = sys::rd_kafka_TopicDescription_partitions(topic, &raw mut count);
        let infos = array(partitions.cast_const(), count);
        let led = |info: &*const _| !sys::rd_kafka_TopicPartitionInfo_leader(*info).is_null();
        let copies = |info: &*const _| {
            let mut copies = 0;
            sys::rd_kafka_TopicPartitionInfo_replicas(*info, &raw mut copies);
            copies
        };
        let description = TopicDescription {
            partitions: i32::try_from(count).unwrap_or(i32::MAX),
            replication_factor: infos
                .iter()
                .map(copies)
                .min()
                .map_or(0, |copies| i32::try_from(copies).unwrap_or(i32::MAX)),
            id: topic_id(sys::rd_kafka_TopicDescription_topic_id(topic)),
        };
        Ok(Some(TopicState { description, led: infos.iter().all(led) }))
    }
}

/// # Safety
/// `id` must be null or live.
unsafe fn topic_id(id: *const sys::rd_kafka_Uuid_t) -> Option<TopicId> {
    if id.is_null() {
        return None;
    }
    // SAFETY: the caller vouches for it.
    let (most, least) = unsafe {
        (
            sys::rd_kafka_Uuid_most_significant_bits(id),
            sys::rd_kafka_Uuid_least_significant_bits(id),
        )
    };
    let mut bytes = [0; 16];
    let (first, last) = bytes.split_at_mut(8);
    first.copy_from_slice(&most.to_be_bytes());
    last.copy_from_slice(&least.to_be_bytes());
    TopicId::from_bytes(bytes)
}

/// # Safety
/// The results must be live.
unsafe fn topic_results(
    results: &[*const RDKafkaTopicResult],
    (verb, right): (&str, &str),
) -> TopicResults {
    results
        .iter()
        .map(|result| {
            // SAFETY: the caller vouches for it.
            let (name, error, reason) = unsafe {
                (
                    text(sys::rd_kafka_topic_result_name(*result)),
                    sys::rd_kafka_topic_result_error(*result),
                    text(sys::rd_kafka_topic_result_error_string(*result)),
                )
            };
            let what = format_args!("cannot {verb} topic {name}");
            let outcome = check_topic(error, what, &reason, (right, &name));
            (name, outcome)
        })
        .collect()
}
