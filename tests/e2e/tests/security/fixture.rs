//! One broker for all cases, with a listener for each way in, and an application that uses it.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use kstream::broker::kafka::{KafkaBroker, KafkaSettings};
use kstream::broker::{Broker, BrokerError, NewTopic, OutgoingRecord, ProducerSettings};
use kstream::{
    Error, Headers, KStream, KafkaStreams, Materialized, ProcessingGuarantee, State,
    StreamsBuilder, StreamsConfig, TopicPartition, Topology,
};
use kstream_test_support::{
    CertificateAuthority, KafkaListener, KafkaOptions, KafkaServer, wait_until,
};

/// How long anything may take; generous, since tests share few cores.
pub(crate) const SOON: Duration = Duration::from_mins(2);
/// How long a start may take before it has to say what is wrong.
const CONNECT: Duration = Duration::from_secs(10);

/// Listener: TLS, no login.
pub(crate) const TLS: &str = "TLS";
/// Listener: TLS, and the client has to have a certificate.
pub(crate) const MUTUAL: &str = "MUTUAL";
/// Listener: no TLS, a login.
pub(crate) const LOGIN: &str = "LOGIN";
/// Listener: TLS and a login.
pub(crate) const BOTH: &str = "BOTH";

/// What everybody's password is, who is not told otherwise.
pub(crate) const PASSWORD: &str = "right";

pub(crate) struct Fixture {
    pub(crate) server: KafkaServer,
    pub(crate) authority: CertificateAuthority,
}

/// The broker; it ends with the test process.
pub(crate) fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let authority = CertificateAuthority::create().unwrap();
        let server = KafkaServer::start_with(&options(&authority)).unwrap();
        rights_of_everybody(&server);
        Fixture { server, authority }
    })
}

/// Users that may do everything, until a case takes a right away; `User:ANONYMOUS` is the tests themselves.
fn options(authority: &CertificateAuthority) -> KafkaOptions {
    let store = authority.sign("localhost").unwrap().both.display().to_string();
    let trusted = authority.certificate().display().to_string();
    let tls = [("ssl.keystore.type", "PEM"), ("ssl.keystore.location", &*store)];
    let mutual = [
        ("ssl.client.auth", "required"),
        ("ssl.truststore.type", "PEM"),
        ("ssl.truststore.location", &*trusted),
    ];
    let users = super::rights::USERS.iter().chain(&super::rights::ENOUGH).chain(&["plain"]);
    let users: Vec<_> = users.map(|user| format!("user_{user}=\"{PASSWORD}\"")).collect();
    let users = users.join(" ");
    let security = "org.apache.kafka.common.security";
    let plain = format!("{security}.plain.PlainLoginModule required {users};");
    let scram = format!("{security}.scram.ScramLoginModule required;");
    let tokens = format!(
        "{security}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"broker\";"
    );
    let login = [
        ("sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER"),
        ("plain.sasl.jaas.config", &*plain),
        ("scram-sha-256.sasl.jaas.config", &*scram),
        ("scram-sha-512.sasl.jaas.config", &*scram),
        ("oauthbearer.sasl.jaas.config", &*tokens),
    ];
    let listeners = vec![
        KafkaListener::new(TLS, "SSL", &tls),
        KafkaListener::new(MUTUAL, "SSL", &[&tls[..], &mutual].concat()),
        KafkaListener::new(LOGIN, "SASL_PLAINTEXT", &login),
        KafkaListener::new(BOTH, "SASL_SSL", &[&tls[..], &login].concat()),
    ];
    let authorizer = "org.apache.kafka.metadata.authorizer.StandardAuthorizer";
    let properties = [("authorizer.class.name", authorizer), ("super.users", "User:ANONYMOUS")];
    let scram_users = ["SCRAM-SHA-256", "SCRAM-SHA-512"]
        .map(|mechanism| [mechanism, &mechanism.to_lowercase(), PASSWORD].map(str::to_owned))
        .to_vec();
    let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    KafkaOptions { listeners, scram_users, properties, ..KafkaOptions::default() }
}

/// All rights for all users but the one who gets them one by one.
fn rights_of_everybody(server: &KafkaServer) {
    use kstream_test_support::AclResource::{Cluster, Group, Topic, TransactionalId};
    use kstream_test_support::{Acl, AclOperation};
    let all = [(Topic, "*"), (Group, "*"), (TransactionalId, "*"), (Cluster, "kafka-cluster")];
    let others = ["plain", "scram-sha-256", "scram-sha-512", "unsecured", "app", "CN=client"];
    let users = others.iter().chain(&super::rights::USERS).map(|user| format!("User:{user}"));
    for principal in users {
        let acls = all.map(|(resource, name)| {
            let (principal, operation) = (&*principal, AclOperation::All);
            Acl { principal, resource, name, operation, deny: false }
        });
        server.add_acls(&acls).unwrap();
    }
}

/// Settings with these properties.
pub(crate) fn settings(properties: &[(&str, &str)]) -> KafkaSettings {
    let mut settings: KafkaSettings = properties.iter().copied().collect();
    settings.connect_timeout = CONNECT;
    settings
}

/// A login without TLS.
pub(crate) fn login(mechanism: &str, user: &str, password: &str) -> KafkaSettings {
    settings(&[
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", mechanism),
        ("sasl.username", user),
        ("sasl.password", password),
    ])
}

pub(crate) fn connect(listener: &str, settings: KafkaSettings) -> Result<KafkaBroker, BrokerError> {
    KafkaBroker::new(&fixture().server.listener(listener), settings)
}

/// Connects in vain, and in good time; the error.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "a real broker lets real time pass")]
pub(crate) fn refused(listener: &str, settings: KafkaSettings) -> BrokerError {
    fixture(); // its start is nobody's waiting
    let start = Instant::now();
    let error = connect(listener, settings).expect_err("the broker lets everybody in");
    let took = start.elapsed();
    assert!(took < CONNECT * 3, "{error} after {took:?}");
    error
}

/// Counts words of `in-{id}` to `out-{id}`, with a repartition topic and a changelog.
fn topology(id: &str) -> Topology {
    let builder = StreamsBuilder::new();
    let lines: KStream<String, String> = builder.stream(format!("in-{id}"));
    lines
        .group_by(|_, word: &String| word.clone())
        .count_with("count", Materialized::named("counts"))
        .to_stream()
        .to(&format!("out-{id}"));
    builder.build().unwrap()
}

/// An application of a case, and what the tests see of it past all locks.
pub(crate) struct Application {
    id: String,
    guarantee: ProcessingGuarantee,
    plain: KafkaBroker,
    folder: tempfile::TempDir,
}

impl Application {
    /// Makes the topics of the application with this id.
    pub(crate) fn new(id: &str) -> Self {
        let plain =
            KafkaBroker::new(fixture().server.bootstrap(), KafkaSettings::default()).unwrap();
        let topics = ["in", "out"].map(|name| NewTopic {
            name: format!("{name}-{id}"),
            partitions: 1,
            replication_factor: 1,
            configs: BTreeMap::new(),
        });
        for created in plain.admin().unwrap().create_topics(&topics).unwrap() {
            created.unwrap();
        }
        let guarantee = ProcessingGuarantee::AtLeastOnce;
        Self { id: id.to_owned(), guarantee, plain, folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn with_guarantee(self, guarantee: ProcessingGuarantee) -> Self {
        Self { guarantee, ..self }
    }

    fn streams(&self, broker: KafkaBroker) -> KafkaStreams {
        let config = StreamsConfig::new(&self.id)
            .state_dir(self.folder.path())
            .processing_guarantee(self.guarantee)
            .commit_interval(Duration::from_millis(100))
            .rocksdb_memory_bytes(8 << 20);
        KafkaStreams::new(topology(&self.id), config, broker).unwrap()
    }

    /// Runs it until it has counted and committed what it is given.
    #[track_caller]
    pub(crate) fn counts(&self, broker: KafkaBroker) {
        let mut streams = self.streams(broker);
        self.produce();
        streams.start().map_err(|error| error.report()).unwrap();
        let out = [TopicPartition::new(format!("out-{}", self.id), 0)];
        let input = [TopicPartition::new(format!("in-{}", self.id), 0)];
        let admin = self.plain.admin().unwrap();
        wait_until(SOON, "counts and a commit", || {
            assert_ne!(streams.state(), State::Error);
            admin.end_offsets(&out).is_ok_and(|ends| ends[0] > 0)
                && admin.group_offsets(&self.id, &input).is_ok_and(|offsets| {
                    offsets[0].as_ref().is_some_and(|committed| committed.offset > 0)
                })
        })
        .unwrap();
        streams.close().map_err(|error| error.report()).unwrap();
    }

    /// Runs it until it fails, which it has to; the error.
    #[track_caller]
    pub(crate) fn fails(&self, broker: KafkaBroker) -> Error {
        let mut streams = self.streams(broker);
        self.produce();
        if let Err(error) = streams.start() {
            return error;
        }
        assert!(streams.wait_for_state(State::Error, SOON), "{:?}", streams.state());
        streams.close().expect_err("the error that stopped it")
    }

    fn produce(&self) {
        let settings = ProducerSettings {
            client_id: "test".to_owned(),
            track_acks: false,
            transactions: None,
        };
        let mut producer = self.plain.producer(&settings).unwrap();
        let topic = producer.topic(&format!("in-{}", self.id)).unwrap();
        let (key, headers) = (Some(&b"k"[..]), &Headers::new());
        for value in ["a", "b", "a"] {
            let (partition, value) = (0, Some(value.as_bytes()));
            producer
                .send(topic, OutgoingRecord { partition, key, value, timestamp: None, headers })
                .unwrap();
        }
        producer.flush(SOON).unwrap();
    }
}
