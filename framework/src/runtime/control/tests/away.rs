//! A process that was suspended, and does not know for how long.

use super::*;

/// A process that is stopped, for a session, while it has the eleventh record.
struct Away {
    clock: Arc<ManualClock>,
    script: Arc<Script>,
    broker: MemoryBroker,
    streams: KafkaStreams,
    _folder: tempfile::TempDir,
}

impl Away {
    /// It has committed ten records, and is about to have ten more.
    fn start(is_expelled: bool) -> Self {
        let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
        let script = Script::new(&GroupOffsets::default());
        let clock = Arc::new(ManualClock::new(0));
        let config = config(folder.path());
        let session = config.session_timeout;
        let topology = {
            let (clock, script, seen) =
                (Arc::clone(&clock), Arc::clone(&script), AtomicU32::new(0));
            counting(move || {
                if seen.fetch_add(1, Ordering::SeqCst) == 10 {
                    script.expelled.store(is_expelled, Ordering::SeqCst);
                    clock.advance(session);
                }
            })
        };
        let mut streams = KafkaStreams::new(topology, config, broker.clone()).unwrap();
        streams.clock = Arc::clone(&clock) as Arc<dyn Clock>;
        streams.start_as(|_| Ok(Arc::clone(&script) as Arc<dyn Membership>)).unwrap();
        script.assign(&[0]);
        produce(&broker, 10);
        let away = Self { clock, script, broker, streams, _folder: folder };
        away.wait_until_committed(10);
        produce(&away.broker, 10);
        away
    }

    #[track_caller]
    fn wait_until_committed(&self, offset: i64) {
        let is_committed = || {
            // Little, lest it looks like an absence.
            self.clock.advance(Duration::from_millis(1));
            self.script.committed_input(0) == Some(offset)
        };
        wait_until(SOON, "a commit", is_committed).unwrap();
    }

    fn rows(&self) -> usize {
        self.broker.records(CHANGELOG, 0, 0).unwrap().len()
    }
}

#[test]
fn a_process_that_was_away_sends_no_rows_of_tasks_that_are_somebody_elses() {
    let mut away = Away::start(true);
    let is_back = || {
        away.clock.advance(Duration::from_secs(1));
        away.script.rejoined.load(Ordering::SeqCst) == 1
    };
    wait_until(SOON, "the process's return", is_back).unwrap();
    assert_eq!(away.rows(), 1);
    assert_eq!(away.script.committed_input(0), Some(10));
    away.script.assign(&[0]);
    away.wait_until_committed(20);
    away.streams.close().unwrap();
    assert_eq!(count(&away.broker), Some(20));
}

#[test]
fn a_process_that_was_away_and_still_counts_goes_on() {
    let mut away = Away::start(false);
    away.wait_until_committed(20);
    away.streams.close().unwrap();
    assert_eq!(away.script.rejoined.load(Ordering::SeqCst), 0);
    assert_eq!(away.rows(), 2);
    assert_eq!(count(&away.broker), Some(20));
}
