//! What a process may still do with tasks that it has lost.

use super::*;

#[test]
fn what_a_lost_process_has_not_committed_is_dropped_and_done_again() {
    let script = Script::new(&GroupOffsets::default());
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let never = config(folder.path()).commit_interval(Duration::from_hours(1));
    let seen = Arc::new(AtomicU32::new(0));
    let look = Arc::clone(&seen);
    let topology = counting(move || {
        look.fetch_add(1, Ordering::SeqCst);
    });
    let mut streams = start(topology, never, &broker, &script);
    script.assign(&[0]);
    produce(&broker, 10);
    wait_until(SOON, "ten records", || seen.load(Ordering::SeqCst) == 10).unwrap();
    script.lose();
    assert_eq!(script.committed_input(0), None);
    assert!(broker.records(CHANGELOG, 0, 0).unwrap().is_empty());
    script.assign(&[0]);
    wait_until(SOON, "ten records again", || seen.load(Ordering::SeqCst) == 20).unwrap();
    streams.close().unwrap();
    assert_eq!(script.committed_input(0), Some(10));
    assert_eq!(count(&broker), Some(10));
}

#[test]
fn a_process_asks_for_tasks_only_when_none_of_its_threads_is_at_work_on_old_ones() {
    let script = Script::new(&GroupOffsets::default());
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let (busy, entered) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
    let topology = {
        let (busy, entered) = (Arc::clone(&busy), Arc::clone(&entered));
        counting(move || {
            entered.store(true, Ordering::SeqCst);
            wait_until(SOON, "end of work", || !busy.load(Ordering::SeqCst)).unwrap();
        })
    };
    let mut streams = start(topology, config(folder.path()), &broker, &script);
    script.assign(&[0]);
    produce(&broker, 1);
    wait_until(SOON, "work", || entered.load(Ordering::SeqCst)).unwrap();
    script.say(MembershipEvent::Lost);
    // Read behind the loss, and ignored with it: the process has not asked for anything yet.
    let is_read = || script.events.lock().unwrap().is_empty();
    wait_until(SOON, "the loss", is_read).unwrap();
    assert_eq!(script.rejoined.load(Ordering::SeqCst), 0);
    busy.store(false, Ordering::SeqCst);
    let is_back = || script.rejoined.load(Ordering::SeqCst) == 1;
    wait_until(SOON, "the process's return", is_back).unwrap();
    assert_eq!(script.committed_input(0), None);
    assert!(broker.records(CHANGELOG, 0, 0).unwrap().is_empty());
    script.assign(&[0]);
    script.wait_until_committed(1);
    streams.close().unwrap();
    assert_eq!(count(&broker), Some(1));
}

#[test]
fn tasks_that_are_lost_in_the_middle_of_a_commit_write_nothing_more() {
    let script = Script::new(&GroupOffsets::default());
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let is_first = Arc::new(AtomicBool::new(true));
    // The record cache gives its rows out when the commit has begun.
    let topology = {
        let (script, is_first) = (Arc::clone(&script), Arc::clone(&is_first));
        let builder = StreamsBuilder::new();
        let records: KStream<String, String> = builder.stream(INPUT);
        let counts = records.group_by_key().count_with("count", Materialized::named("counts"));
        let look = move |_: &String, _: &Option<i64>| {
            if is_first.swap(false, Ordering::SeqCst) {
                script.lose_and_go_on();
            }
        };
        counts.to_stream().peek(look).to(OUTPUT);
        builder.build().unwrap()
    };
    let mut streams = start(topology, config(folder.path()), &broker, &script);
    script.assign(&[0]);
    produce(&broker, 10);
    let is_back = || script.rejoined.load(Ordering::SeqCst) == 1;
    wait_until(SOON, "the process's return", is_back).unwrap();
    assert_eq!(script.committed_input(0), None);
    assert!(broker.records(CHANGELOG, 0, 0).unwrap().is_empty());
    script.assign(&[0]);
    script.wait_until_committed(10);
    streams.close().unwrap();
    assert_eq!(count(&broker), Some(10));
}

#[test]
fn what_the_group_had_at_an_earlier_time_is_not_committed_again() {
    let script = Script::new(&GroupOffsets::default());
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    // The group is asked before each commit.
    let config = config(folder.path()).heartbeat_interval(Duration::from_millis(1));
    let mut streams = start(counting(|| ()), config, &broker, &script);
    script.assign(&[0, 1]);
    produce(&broker, 10);
    script.wait_until_committed(10);
    script.revoke(&[0]);
    // Somebody else has the task for a while.
    produce(&broker, 10);
    script.offsets.lock().unwrap().get_mut(&TopicPartition::new(INPUT, 0)).unwrap().offset = 20;
    script.assign(&[0, 1]);
    let runs = || streams.status.ready().states.get("0_0").is_some_and(|state| state == "running");
    wait_until(SOON, "the task's return", runs).unwrap();
    produce_to(&broker, 1, 10);
    let is_committed = || script.committed_input(1) == Some(10);
    wait_until(SOON, "commit of partition 1", is_committed).unwrap();
    assert_eq!(script.committed_input(0), Some(20));
    streams.close().unwrap();
}

#[test]
fn a_process_without_threads_that_is_lost_comes_back() {
    let script = Script::new(&GroupOffsets::default());
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let mut streams = start(counting(|| ()), config(folder.path()), &broker, &script);
    script.assign(&[0]);
    produce(&broker, 10);
    script.wait_until_committed(10);
    assert!(streams.remove_stream_thread().unwrap().is_some());
    script.lose();
    streams.add_stream_thread().unwrap();
    script.assign(&[0]);
    produce(&broker, 10);
    script.wait_until_committed(20);
    streams.close().unwrap();
    assert_eq!(count(&broker), Some(20));
}
