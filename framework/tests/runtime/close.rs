//! A stop is bounded, whatever the broker does.

use std::sync::atomic::Ordering;
use std::time::Duration;

use kstream::time::{Clock, SystemClock};
use kstream::{KafkaStreams, State};
use kstream_test_support::wait_until;

use crate::app::{SOON, broker, config, counting, produce_keys, running};
use crate::faults::FaultyBroker;

const CLOSE_TIMEOUT: Duration = Duration::from_millis(300);
/// What a stop may take on a busy machine. Waiting for the broker instead would take far longer.
const BOUND: Duration = Duration::from_secs(20);

/// Lets the threads of a test end.
struct Unblocked<'a>(&'a FaultyBroker);

impl Drop for Unblocked<'_> {
    fn drop(&mut self) {
        self.0.faults.blocked.store(false, Ordering::SeqCst);
    }
}

/// Closes an instance, one of whose threads waits for the broker.
fn assert_closes_in_time(mut streams: KafkaStreams) {
    let clock = SystemClock::new();
    let error = streams.close().unwrap_err();
    assert!(clock.monotonic() < BOUND, "took {:?}", clock.monotonic());
    assert!(error.to_string().contains("close timeout"), "{error}");
    assert_eq!(streams.state(), State::Error);
}

#[test]
fn a_stop_ends_in_time_while_the_broker_acknowledges_nothing() {
    let (broker, folder) = (FaultyBroker::new(broker()), tempfile::tempdir().unwrap());
    let _unblocked = Unblocked(&broker);
    let config = config(folder.path()).close_timeout(CLOSE_TIMEOUT);
    let streams = running(counting(), config, broker.clone());
    broker.faults.blocked.store(true, Ordering::SeqCst);
    produce_keys(&broker.inner, 0..10);
    wait_until(SOON, "a flush", || broker.faults.is_waiting.load(Ordering::SeqCst)).unwrap();
    assert_closes_in_time(streams);
}

#[test]
fn a_broker_that_comes_back_is_waited_for() {
    let (broker, folder) = (FaultyBroker::new(broker()), tempfile::tempdir().unwrap());
    let mut streams = running(counting(), config(folder.path()), broker.clone());
    broker.faults.blocked.store(true, Ordering::SeqCst);
    produce_keys(&broker.inner, 0..10);
    wait_until(SOON, "a flush", || broker.faults.is_waiting.load(Ordering::SeqCst)).unwrap();
    broker.faults.blocked.store(false, Ordering::SeqCst);
    crate::app::wait_until_committed(&broker.inner, crate::app::INPUT);
    streams.close().unwrap();
}
