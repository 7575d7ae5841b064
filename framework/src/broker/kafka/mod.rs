//! The ports on Apache Kafka, by librdkafka. The only module that names the client library, and the
//! only one with `unsafe`.
//!
//! Clients are thin: a consumer never joins a group, a group member never fetches, and topics are asked
//! about by one admin client that all handles share.

mod admin;
mod batch;
mod client;
mod consumer;
mod creation;
mod errors;
mod event;
mod groups;
mod member;
mod partitions;
mod producer;
mod requests;
mod settings;
mod topic_names;

use std::sync::Arc;
use std::time::Duration;

pub use settings::{KafkaSettings, Properties};

use self::admin::KafkaAdmin;
use self::client::{Client, Deadline};
use self::consumer::KafkaConsumer;
use self::member::KafkaMember;
use self::producer::KafkaProducer;
use self::requests::AdminRole;
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
    /// [`BrokerErrorKind::Invalid`] when a property is wrong or not the user's to set;
    /// [`BrokerErrorKind::Retriable`] when no broker answers within
    /// [`KafkaSettings::connect_timeout`].
    pub fn new(bootstrap: &str, settings: KafkaSettings) -> Result<Self, BrokerError> {
        settings.check()?;
        let client = Client::new(&settings.admin(bootstrap), AdminRole)?;
        connect(&client, bootstrap, settings.connect_timeout)?;
        let (observer, groups) = (settings.observer(bootstrap), settings.admin(bootstrap));
        let admin = KafkaAdmin::new(Arc::new(client), observer, groups);
        Ok(Self { bootstrap: bootstrap.to_owned(), settings, admin })
    }
}

/// One try to reach a broker.
const CONNECT_STEP: Duration = Duration::from_millis(500);

fn connect(
    client: &Client<AdminRole>,
    bootstrap: &str,
    timeout: Duration,
) -> Result<(), BrokerError> {
    let deadline = Deadline::after(timeout);
    loop {
        let answer = client.reach(CONNECT_STEP.min(deadline.left()));
        client.serve(Duration::ZERO);
        client.check()?;
        let Err(code) = answer else { return Ok(()) };
        if deadline.passed() {
            let reason = client.context().last_error().unwrap_or_else(|| code.to_string());
            let message = format!(
                "no Kafka broker answers at {bootstrap} within {timeout:?} ({reason}): check the \
                 address, that the broker runs, and that its advertised listeners can be reached \
                 from here"
            );
            return Err(BrokerError::new(BrokerErrorKind::Retriable, message).with_source(code));
        }
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
        Ok(Box::new(KafkaConsumer::new(&config, self.admin.clone())?))
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
