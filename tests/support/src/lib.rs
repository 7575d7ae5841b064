//! Real servers and a real browser for tests: [`KafkaServer`], [`KafkaCluster`], [`PostgresServer`],
//! [`Chromium`].
//!
//! What always holds: each server has its own temporary folder and ports, so that tests may run in
//! parallel; it is ready when its constructor returns; it ends when its value is dropped, and also
//! when the test process is killed. Nothing here sleeps: [`wait_until`] waits for a condition, up to
//! a deadline.

mod chromium;
mod error;
mod kafka;
mod ports;
mod postgres;
mod process;
mod tls;
mod wait;

pub use chromium::{Chromium, Page};
pub use error::SupportError;
pub use kafka::{
    Acl, AclOperation, AclResource, KAFKA_VERSION, KafkaCluster, KafkaListener, KafkaNode,
    KafkaOptions, KafkaServer, LocalKafka, kafka_streams_jars,
};
pub use ports::free_port;
pub use postgres::PostgresServer;
pub use process::Process;
pub use tls::{Certificate, CertificateAuthority};
pub use wait::{poll_until, wait_until};
