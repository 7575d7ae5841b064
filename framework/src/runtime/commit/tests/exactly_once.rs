//! The same with exactly once: a crash at every step, with any part of what was under way delivered and any
//! part of the stores on disk, and each record counts once.

use super::world::{COMMITTED, OUTPUT, PROCESSED, RECORDS, STORES, World};
use super::{ON_DISK, counts};
use crate::error::ErrorKind;
use crate::runtime::commit::CommitStep;

/// Before the decision.
const UNDECIDED: [CommitStep; 4] = [
    CommitStep::CachesFlushed,
    CommitStep::ChangelogsSent,
    CommitStep::Acknowledged,
    CommitStep::OffsetsSent,
];
/// Behind it.
const DECIDED: [CommitStep; 2] = [CommitStep::TransactionCommitted, CommitStep::StoresWritten];

/// How many records are under way when a commit stops at this step.
fn under_way(step: CommitStep) -> usize {
    let instance = World::exactly_once().stopped_at(step, ErrorKind::Fatal);
    let unsent = instance.unsent.lock().unwrap();
    unsent.len()
}

/// Crashes, recovers, goes on: state, changelog and output agree, and nothing is counted twice.
fn check(step: CommitStep, delivered: usize, on_disk: [bool; 2]) {
    let case = format!("{step:?}, {delivered} delivered, on disk {on_disk:?}");
    let mut world = World::exactly_once();
    let instance = world.stopped_at(step, ErrorKind::Fatal);
    let left = instance.crash(&world, delivered, &on_disk);
    let mut instance = world.recover(&left);
    let reached = if DECIDED.contains(&step) { PROCESSED } else { COMMITTED };
    assert_eq!(world.committed, Some(i64::try_from(reached).unwrap()), "{case}");
    assert_eq!(instance.state("counts"), counts(0..reached), "{case}");
    assert_eq!(world.outputs(), counts(0..reached), "{case}");
    world.finish(&mut instance);
    assert_eq!(instance.state("counts"), counts(0..RECORDS), "{case}");
    assert_eq!(world.logged(STORES[0].1, i64::MAX), counts(0..RECORDS), "{case}");
    assert_eq!(world.outputs(), counts(0..RECORDS), "{case}");
    let windows = instance.state("windows").values().sum::<i64>();
    assert_eq!(windows, i64::try_from(RECORDS).unwrap(), "{case}");
    // The record cache lets one count of each key through per commit: none comes twice.
    let mut seen = std::collections::BTreeSet::new();
    for record in world.broker.records(OUTPUT, 0, 0).unwrap() {
        assert!(seen.insert((record.key, record.value)), "{case}");
    }
}

#[test]
fn a_crash_before_the_decision_leaves_nothing() {
    for step in UNDECIDED {
        for delivered in 0..=under_way(step) {
            check(step, delivered, [false, false]);
        }
        for on_disk in ON_DISK {
            check(step, usize::MAX, on_disk);
        }
    }
}

#[test]
fn a_crash_behind_the_decision_loses_nothing_and_repeats_nothing() {
    for step in DECIDED {
        for on_disk in ON_DISK {
            check(step, usize::MAX, on_disk);
        }
    }
}
