//! Both brokers against the one body.

use std::sync::Arc;
use std::time::Duration;

use kstream::broker::memory::MemoryBroker;
use kstream::time::{Clock, ManualClock};
use kstream_conformance::broker::{BrokerUnderTest, run_all};

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
