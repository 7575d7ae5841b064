//! Both brokers against the one body.

use std::sync::Arc;
use std::time::Duration;

use kstream::broker::kafka::{KafkaBroker, KafkaSettings};
use kstream::broker::memory::MemoryBroker;
use kstream::time::{Clock, ManualClock, SystemClock};
use kstream_conformance::broker::{BrokerUnderTest, run_all};
use kstream_test_support::{KafkaOptions, KafkaServer};

#[test]
fn memory_broker_conforms() {
    run_all(|(_, case)| {
        // A broker for each case: one that lets time pass would end the sessions of another.
        let clock = Arc::new(ManualClock::new(1_700_000_000_000));
        let broker = MemoryBroker::new(Arc::clone(&clock) as Arc<_>);
        case(&BrokerUnderTest {
            broker: &broker,
            session_timeout: Duration::from_secs(10),
            pass_time: &|time| clock.advance(time),
            now_ms: &|| clock.now_ms(),
            deadline: Duration::from_secs(30),
        });
    });
}

#[test]
fn kafka_broker_conforms() {
    let properties = [
        // Cases write records that are as old as can be.
        ("log.retention.ms", "-1"),
        // How often transactions that are too old are looked for.
        ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "500"),
    ];
    let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let kafka =
        KafkaServer::start_with(&KafkaOptions { properties, ..Default::default() }).unwrap();
    let broker = KafkaBroker::new(kafka.bootstrap(), KafkaSettings::default()).unwrap();
    let clock = SystemClock::new();
    let under_test = BrokerUnderTest {
        broker: &broker,
        session_timeout: Duration::from_secs(3),
        pass_time: &|_| {},
        now_ms: &|| clock.now_ms(),
        deadline: Duration::from_mins(2),
    };
    run_all(|(_, case)| case(&under_test));
}
