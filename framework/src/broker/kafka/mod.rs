//! The ports on Apache Kafka, by librdkafka. The only module that names the client library, and the
//! only one with `unsafe`.
//!
//! Clients are thin: a consumer never joins a group, a group member never fetches, and topics are asked
//! about by one admin client that all handles share.

mod admin;
mod batch;
mod client;
mod client_config;
mod connect;
mod consumer;
mod creation;
mod deletion;
mod errors;
mod event;
mod groups;
mod member;
mod oauth;
mod partitions;
mod producer;
mod requests;
mod roles;
mod settings;
mod topic_names;

use std::sync::Arc;

pub use oauth::{OAuthToken, OAuthTokens};
pub use settings::{KafkaSettings, Properties};

use self::admin::KafkaAdmin;
use self::connect::{check_roles, connect};
use self::consumer::KafkaConsumer;
use self::member::KafkaMember;
use self::producer::KafkaProducer;
use self::roles::AdminRole;
use super::{
    Admin, Broker, BrokerError, BrokerErrorKind, Consumer, ConsumerRole, GroupMember,
    GroupSettings, Producer, ProducerSettings,
};

/// A Kafka cluster.
#[derive(Debug)]
pub struct KafkaBroker {
    bootstrap: String,
    settings: KafkaSettings,
    admin: KafkaAdmin,
}

impl KafkaBroker {
    /// Connects to the cluster behind `bootstrap`, a list like `host:9092,other:9092`.
    ///
    /// # Errors
    /// [`BrokerErrorKind::Invalid`] when properties are wrong or not the user's to set, all of them together,
    /// or when the broker cannot be talked to by TLS; [`BrokerErrorKind::Authorization`] when it refuses the
    /// login; [`BrokerErrorKind::Retriable`] when no broker answers within
    /// [`KafkaSettings::connect_timeout`].
    pub fn new(bootstrap: &str, settings: KafkaSettings) -> Result<Self, BrokerError> {
        let problems = settings.problems();
        if !problems.is_empty() {
            let list = problems.join("\n  ");
            let message = format!("the Kafka client properties are wrong:\n  {list}");
            return Err(BrokerError::new(BrokerErrorKind::Invalid, message));
        }
        let config = settings.admin(bootstrap);
        let client = connect(&config, AdminRole, bootstrap, settings.connect_timeout)?;
        check_roles(&settings, bootstrap)?;
        let (observer, groups) = (settings.observer(bootstrap), settings.admin(bootstrap));
        let admin = KafkaAdmin::new(Arc::new(client), observer, groups);
        Ok(Self { bootstrap: bootstrap.to_owned(), settings, admin })
    }
}

impl Broker for KafkaBroker {
    fn name(&self) -> &str {
        &self.bootstrap
    }

    fn admin(&self) -> Result<Box<dyn Admin>, BrokerError> {
        Ok(Box::new(self.admin.clone()))
    }

    fn consumer(
        &self,
        role: ConsumerRole,
        client_id: &str,
    ) -> Result<Box<dyn Consumer>, BrokerError> {
        let config = self.settings.consumer(&self.bootstrap, role, client_id);
        Ok(Box::new(KafkaConsumer::new(&config)?))
    }

    fn producer(&self, settings: &ProducerSettings) -> Result<Box<dyn Producer>, BrokerError> {
        let config = self.settings.producer(&self.bootstrap, settings);
        let admin = self.admin.clone();
        Ok(Box::new(KafkaProducer::new(&config, settings, admin)?))
    }

    fn group_member(&self, settings: &GroupSettings) -> Result<Arc<dyn GroupMember>, BrokerError> {
        let config = self.settings.member(&self.bootstrap, settings);
        Ok(Arc::new(KafkaMember::new(&config, &settings.group_id)?))
    }
}
