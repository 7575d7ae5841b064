//! What becomes of calls in flight when tasks are taken away.

use tokio::sync::watch;

use super::*;
use crate::{AsyncCalls, CallOrder};

/// The value of records whose calls wait.
const SLOW: &str = "slow";
const HOUR: Duration = Duration::from_hours(1);

/// A service that answers at once, except for what is slow.
#[derive(Debug, Clone)]
struct Service {
    is_open: Arc<watch::Sender<bool>>,
    asked: Arc<AtomicU32>,
    alive: Arc<AtomicU32>,
}

/// Counts a call while its future is alive.
struct Alive(Arc<AtomicU32>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Service {
    fn new() -> Self {
        let is_open = Arc::new(watch::Sender::new(false));
        Self { is_open, asked: Arc::default(), alive: Arc::default() }
    }

    fn call(&self, value: String) -> impl Future<Output = Result<String, String>> + Send + use<> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.alive.fetch_add(1, Ordering::SeqCst);
        let (alive, mut is_open) = (Alive(Arc::clone(&self.alive)), self.is_open.subscribe());
        async move {
            if value == SLOW {
                is_open.wait_for(|is_open| *is_open).await.unwrap();
            }
            drop(alive);
            Ok(value)
        }
    }

    /// Asks about each record, and counts the answers by key.
    fn topology(&self) -> Topology {
        let builder = StreamsBuilder::new();
        let records: KStream<String, String> = builder.stream(INPUT);
        let service = self.clone();
        let calls = AsyncCalls::new().with_order(CallOrder::Unordered).with_timeout(HOUR);
        records
            .map_values_async_with(move |_, value| service.call(value), calls)
            .group_by_key()
            .count_with("count", Materialized::named("counts"))
            .to_stream()
            .to(OUTPUT);
        builder.build().unwrap()
    }

    fn open(&self) {
        self.is_open.send_replace(true);
    }

    #[track_caller]
    fn wait_until_alive(&self, calls: u32) {
        let is_so = || self.alive.load(Ordering::SeqCst) == calls;
        wait_until(SOON, "calls that are alive", is_so).unwrap();
    }
}

/// Ten records, of which one waits.
fn produce_ten(broker: &MemoryBroker) {
    for place in 0..10 {
        let key = format!("key-{place}");
        let record = OutgoingRecord {
            partition: 0,
            key: Some(key.as_bytes()),
            value: Some(if place == 3 { SLOW.as_bytes() } else { b"fast" }),
            timestamp: Some(1000),
            headers: &Headers::new(),
        };
        broker.produce(INPUT, record).unwrap();
    }
}

/// The counts that readers of committed records see.
fn counts(broker: &MemoryBroker) -> Vec<i64> {
    let records = (0..PARTITIONS).flat_map(|p| broker.records(OUTPUT, p, 0).unwrap());
    let value = |value: Option<Vec<u8>>| i64::from_be_bytes(value.unwrap().try_into().unwrap());
    records.map(|record| value(record.value)).collect()
}

/// An instance with a task whose calls wait: one in flight, nine ended, and nothing committed.
fn waiting(
    service: &Service,
    config: StreamsConfig,
    broker: &MemoryBroker,
    script: &Arc<Script>,
) -> KafkaStreams {
    let streams = start(service.topology(), config, broker, script);
    script.assign(&[0]);
    produce_ten(broker);
    let is_asked = || service.asked.load(Ordering::SeqCst) == 10;
    wait_until(SOON, "calls", is_asked).unwrap();
    service.wait_until_alive(1);
    streams
}

fn uncached(folder: &Path) -> StreamsConfig {
    config(folder).statestore_cache_max_bytes(0)
}

#[test]
fn what_was_in_flight_when_the_tasks_were_lost_is_done_again() {
    let script = Script::new(&GroupOffsets::default());
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let service = Service::new();
    let mut streams = waiting(&service, uncached(folder.path()), &broker, &script);
    script.lose();
    service.wait_until_alive(0);
    // A commit was due all the time, and nine of ten calls had ended.
    assert_eq!(script.committed_input(0), None);
    service.open();
    script.assign(&[0]);
    script.wait_until_committed(10);
    streams.close().unwrap();
    // Nothing of what was not committed is in the counts.
    assert!(counts(&broker).iter().all(|count| *count == 1));
    assert_eq!(service.asked.load(Ordering::SeqCst), 20);
}

#[test]
fn tasks_that_are_revoked_finish_their_calls_first() {
    let script = Script::new(&GroupOffsets::default());
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let service = Service::new();
    let mut streams = waiting(&service, uncached(folder.path()), &broker, &script);
    let (opener, asked) = (service.clone(), tasks(&[0]));
    script.say(MembershipEvent::Revoked(asked.clone()));
    assert!(script.released.lock().unwrap().is_empty());
    opener.open();
    let is_released = || *script.released.lock().unwrap() == asked;
    wait_until(SOON, "release", is_released).unwrap();
    assert_eq!(script.committed_input(0), Some(10));
    streams.close().unwrap();
    assert_eq!(counts(&broker), vec![1; 10]);
    assert_eq!(service.asked.load(Ordering::SeqCst), 10);
}

#[test]
fn calls_that_take_longer_than_a_revocation_may_are_dropped() {
    let script = Script::new(&GroupOffsets::default());
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let service = Service::new();
    let impatient = uncached(folder.path())
        .session_timeout(Duration::from_secs(3))
        .max_poll_interval(Duration::from_secs(3));
    let mut streams = waiting(&service, impatient, &broker, &script);
    script.revoke(&[0]);
    service.wait_until_alive(0);
    assert_eq!(script.committed_input(0), None);
    service.open();
    script.assign(&[0]);
    script.wait_until_committed(10);
    streams.close().unwrap();
    assert!(counts(&broker).iter().all(|count| *count == 1));
}
