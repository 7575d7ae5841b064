//! The deletion of records from the beginning of logs.
#![expect(unsafe_code, reason = "requests and answers belong to a C library")]

use std::collections::BTreeMap;

use rdkafka::bindings as sys;
use rdkafka::types::RDKafkaAdminOp;

use super::errors::check_topic;
use super::partitions::{elements, list_at};
use super::requests::Requests;
use crate::broker::BrokerError;
use crate::ids::TopicPartition;

/// Results of partitions by name.
pub(super) type PartitionResults = BTreeMap<TopicPartition, Result<(), BrokerError>>;

impl Requests {
    /// Deletes the records before these offsets. The partitions have to exist: librdkafka would look for the
    /// leaders of others in silence.
    pub(super) fn delete_records(
        &self,
        before: &BTreeMap<&TopicPartition, i64>,
    ) -> Result<PartitionResults, BrokerError> {
        if before.is_empty() {
            return Ok(PartitionResults::new());
        }
        let what = "cannot delete records";
        let list = list_at(before.iter().map(|(partition, offset)| (*partition, *offset)))?;
        let operation = RDKafkaAdminOp::RD_KAFKA_ADMIN_OP_DELETERECORDS;
        let event = self.ask(operation, what, |options, queue| {
            // SAFETY: the list is copied by the first call, the request by the second, and it is
            // destroyed once.
            unsafe {
                let mut request = sys::rd_kafka_DeleteRecords_new(list.ptr());
                let client = self.client().handle();
                sys::rd_kafka_DeleteRecords(client, &raw mut request, 1, options, queue);
                sys::rd_kafka_DeleteRecords_destroy(request);
            }
        })?;
        // SAFETY: the offsets live with the event.
        unsafe {
            let result = sys::rd_kafka_event_DeleteRecords_result(event.handle());
            let offsets = sys::rd_kafka_DeleteRecords_result_offsets(result);
            Ok(elements(offsets)
                .map(|element| {
                    let partition = element.partition();
                    let what = format!("{what} of {partition}");
                    let needs = ("DELETE", &*partition.topic);
                    let outcome = check_topic(element.error(), what, "", needs);
                    (partition, outcome)
                })
                .collect())
        }
    }
}
