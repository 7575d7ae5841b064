//! Tasks that come, go and come back.

use super::*;

#[test]
fn a_task_that_ran_elsewhere_meanwhile_goes_on_with_what_was_done_there() {
    let offsets = GroupOffsets::default();
    let (here, there) = (Script::new(&offsets), Script::new(&offsets));
    let broker = broker();
    let folders = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());

    let mut first = start(counting(|| ()), config(folders.0.path()), &broker, &here);
    here.assign(&[0]);
    produce(&broker, 10);
    here.wait_until_committed(10);
    here.revoke(&[0]);

    let mut second = start(counting(|| ()), config(folders.1.path()), &broker, &there);
    there.assign(&[0]);
    produce(&broker, 10);
    there.wait_until_committed(20);
    second.close().unwrap();

    here.assign(&[0]);
    produce(&broker, 10);
    here.wait_until_committed(30);
    first.close().unwrap();
    assert_eq!(count(&broker), Some(30));
    assert!(first.restored_records() > 0);
}

#[test]
fn a_task_that_comes_back_replays_nothing_when_nobody_else_had_it() {
    let script = Script::new(&GroupOffsets::default());
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let mut streams = start(counting(|| ()), config(folder.path()), &broker, &script);
    for round in 1..5 {
        script.assign(&[0, 1, 2, 3]);
        produce(&broker, 10);
        script.wait_until_committed(round * 10);
        script.revoke(&[0, 1, 2, 3]);
    }
    streams.close().unwrap();
    assert_eq!(count(&broker), Some(40));
    assert_eq!(streams.restored_records(), 0);
}

#[test]
fn only_the_tasks_that_are_revoked_pause() {
    let script = Script::new(&GroupOffsets::default());
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let busy = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&busy);
    // One thread is held up while it has a record; the other goes on.
    let topology = counting(move || {
        wait_until(SOON, "end of work", || !gate.load(Ordering::SeqCst)).unwrap();
    });
    let two = config(folder.path()).num_stream_threads(2);
    let mut streams = start(topology, two, &broker, &script);
    script.assign(&[0, 1, 2, 3]);
    wait_for_running(&streams);
    busy.store(true, Ordering::SeqCst);
    produce(&broker, 1);
    // Task 0 is on the thread that is held up, task 1 on the other one.
    script.revoke(&[1]);
    assert_eq!(script.committed_input(0), None);
    busy.store(false, Ordering::SeqCst);
    script.wait_until_committed(1);
    script.revoke(&[0, 2, 3]);
    streams.close().unwrap();
}

#[test]
fn tasks_move_between_the_threads_of_a_process() {
    let script = Script::new(&GroupOffsets::default());
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let two = config(folder.path()).num_stream_threads(2);
    let mut streams = start(counting(|| ()), two, &broker, &script);
    let mut total = 0;
    let mut has: &[i32] = &[];
    // Each leaves one thread with both tasks that stay, of which one has to move.
    for partitions in [&[0, 1, 2, 3][..], &[0, 2], &[0, 1, 2, 3], &[1, 3], &[0, 1, 3], &[0, 1]] {
        let gone: Vec<i32> = has.iter().copied().filter(|p| !partitions.contains(p)).collect();
        if !gone.is_empty() {
            script.revoke(&gone);
        }
        script.assign(partitions);
        has = partitions;
        if partitions.contains(&0) {
            produce(&broker, 10);
            total += 10;
            script.wait_until_committed(total);
        }
    }
    streams.close().unwrap();
    assert_eq!(count(&broker), Some(total));
    assert_eq!(streams.restored_records(), 0);
}
