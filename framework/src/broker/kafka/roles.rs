//! What clients without callbacks of their own are made for.

use rdkafka::types::RDKafkaType;

use super::client::Role;

/// The role of a consumer outside any group.
#[derive(Debug)]
pub(super) struct Reader;

impl Role for Reader {
    const KIND: RDKafkaType = RDKafkaType::RD_KAFKA_CONSUMER;
}

/// The role of the admin client.
#[derive(Debug)]
pub(super) struct AdminRole;

impl Role for AdminRole {
    const KIND: RDKafkaType = RDKafkaType::RD_KAFKA_PRODUCER;
}
