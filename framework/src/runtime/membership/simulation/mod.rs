//! Histories of whole clusters, chosen and random.
//!
//! A random history follows from its seed, which is printed with the end of the history when it fails.
//! `SIMULATION_SEEDS=first..last` runs others than the usual ones.

mod flaky;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use proptest::prelude::RngExt as _;
use proptest::test_runner::{RngAlgorithm, TestRng};

use self::world::{SESSION, World};
use super::MembershipEvent;
use crate::broker::Broker as _;
use crate::error::ErrorKind;
use crate::ids::TaskId;

/// How many tasks have another owner.
fn moved(before: &BTreeMap<TaskId, usize>, after: &BTreeMap<TaskId, usize>) -> usize {
    after.iter().filter(|(task, owner)| before.get(task) != Some(owner)).count()
}

/// The tasks that a process was told to give up since the last look.
fn revoked(world: &World, number: usize) -> BTreeSet<TaskId> {
    let told = world.processes[number].told.iter();
    let revoked = told.filter_map(|event| match event {
        MembershipEvent::Revoked(tasks) => Some(tasks.clone()),
        MembershipEvent::Assigned(_)
        | MembershipEvent::Lost
        | MembershipEvent::ShutdownRequested(_) => None,
    });
    revoked.flatten().collect()
}

fn settled(threads: &[usize]) -> World {
    let mut world = World::new();
    for threads in threads {
        world.add(*threads);
    }
    world.settle();
    world
}

#[test]
fn one_process_gets_everything() {
    let world = settled(&[1]);
    assert_eq!(world.owners().len(), World::tasks().len());
}

#[test]
fn a_joining_process_gets_its_share_and_the_others_give_up_no_more() {
    let mut world = settled(&[1, 1]);
    let before = world.owners();
    let newcomer = world.add(1);
    world.release_polls = 5;
    for _ in 0..world::SETTLE_ROUNDS {
        world.round();
    }
    let after = world.owners();
    let theirs: BTreeSet<TaskId> =
        after.iter().filter(|(_, owner)| **owner == newcomer).map(|(task, _)| *task).collect();
    assert_eq!((theirs.len(), moved(&before, &after)), (4, 4));
    let given_up: BTreeSet<TaskId> = &revoked(&world, 0) | &revoked(&world, 1);
    assert_eq!(given_up, theirs);
    world.settle();
}

#[test]
fn threads_are_what_tasks_are_shared_by() {
    let world = settled(&[3, 1]);
    let owners = world.owners();
    assert_eq!(owners.values().filter(|owner| **owner == 0).count(), 9);
}

#[test]
fn the_tasks_of_a_killed_process_go_to_the_others_and_nothing_else_moves() {
    for killed in 0..3 {
        let mut world = settled(&[1, 1, 1]);
        let before = world.owners();
        world.kill(killed);
        world.settle();
        let theirs = before.values().filter(|owner| **owner == killed).count();
        assert_eq!(moved(&before, &world.owners()), theirs);
        for survivor in (0..3).filter(|number| *number != killed) {
            assert_eq!(revoked(&world, survivor), BTreeSet::new());
        }
    }
}

#[test]
fn the_tasks_of_a_leaving_process_go_to_the_others_and_nothing_else_moves() {
    for leaver in 0..3 {
        let mut world = settled(&[1, 1, 1]);
        let before = world.owners();
        world.leave(leaver);
        world.settle();
        let theirs = before.values().filter(|owner| **owner == leaver).count();
        assert_eq!(moved(&before, &world.owners()), theirs);
    }
}

#[test]
fn a_process_that_is_killed_and_started_at_once_gets_its_tasks_back() {
    for restarted in 0..3 {
        let mut world = settled(&[1, 1, 1]);
        let before = world.owners();
        world.kill(restarted);
        world.round();
        world.start(restarted).unwrap();
        for _ in 0..world::SETTLE_ROUNDS {
            world.round();
        }
        assert_eq!(world.owners(), before);
        for other in (0..3).filter(|number| *number != restarted) {
            assert_eq!(world.processes[other].told, [], "{other} is disturbed");
        }
        world.settle();
    }
}

#[test]
fn a_process_that_is_stopped_and_started_in_good_order_gets_its_state_back() {
    for restarted in 0..3 {
        let mut world = settled(&[1, 1, 1]);
        let before = world.owners();
        world.leave(restarted);
        for _ in 0..10 {
            world.round();
        }
        world.start(restarted).unwrap();
        world.settle();
        let after = world.owners();
        for (task, owner) in &before {
            // Sub-topology 1 has no stores: its tasks may go elsewhere.
            assert!(after[task] == *owner || task.subtopology == 1, "{task} has moved");
        }
    }
}

#[test]
fn a_process_that_is_suspended_beyond_its_session_loses_everything_and_comes_back() {
    for suspended in 0..3 {
        let mut world = settled(&[1, 1, 1]);
        world.processes[suspended].stopped = 200;
        world.settle();
        assert_eq!(world.owners().len(), World::tasks().len());
    }
}

#[test]
fn a_new_life_cannot_commit_for_the_tasks_of_the_old_one() {
    let world = settled(&[1, 1]);
    world.commit_one(0).unwrap();
    // The client has been expelled and has joined again; nobody has told the process yet.
    *world.impostor.lock().unwrap() = Some("somebody".to_owned());
    let error = world.commit_one(0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TaskMigrated);
}

/// The transactional ids whose transactions the first of two processes is told to end when this happens to the other.
fn orphans_after(what: impl FnOnce(&mut World)) -> BTreeSet<String> {
    let mut world = settled(&[1, 1]);
    what(&mut world);
    for _ in 0..world::SETTLE_ROUNDS {
        world.round();
    }
    world.processes[0]
        .told
        .iter()
        .filter_map(|event| match event {
            MembershipEvent::Assigned(assignment) => Some(assignment.orphaned_transactions.clone()),
            MembershipEvent::Revoked(_)
            | MembershipEvent::Lost
            | MembershipEvent::ShutdownRequested(_) => None,
        })
        .flatten()
        .collect()
}

#[test]
fn open_transactions_are_told_of_processes_that_did_not_end_in_good_order() {
    assert_eq!(orphans_after(|world| world.kill(1)), ["tx-1".to_owned()].into());
    // A thread of it is stuck in a commit.
    assert_eq!(orphans_after(|world| world.walk_out(1)), ["tx-1".to_owned()].into());
    assert_eq!(orphans_after(|world| world.leave(1)), BTreeSet::new());
}

#[test]
fn a_process_with_another_topology_is_refused_and_nobody_notices() {
    let mut world = settled(&[1, 1]);
    let newcomer = world.add(1);
    world.settle();
    world.leave(newcomer);
    world.settle();
    let mut tasks = World::tasks();
    for task in tasks.iter_mut().filter(|task| task.id.subtopology == 1) {
        task.partitions[0].topic = "others".into();
    }
    let error = world.start_with(newcomer, tasks, "").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("sub-topology 1 reads others here"), "{error}");
    world.settle();
}

#[test]
fn of_two_topologies_that_begin_together_one_is_refused() {
    let mut world = World::new();
    world.add(1);
    world.add(1);
    world.kill(1);
    let mut tasks = World::tasks();
    for task in tasks.iter_mut().filter(|task| task.id.subtopology == 1) {
        task.partitions[0].topic = "orders-too".into();
    }
    world.broker.create_topic("orders-too", 4).unwrap();
    world.start_with(1, tasks, "").unwrap();
    let mut refused = Vec::new();
    for _ in 0..world::SETTLE_ROUNDS {
        for number in 0..2 {
            if world.is_alive(number)
                && let Err(error) = world.poll(number)
            {
                assert_eq!(error.kind(), ErrorKind::Config);
                refused.push(number);
                world.leave(number);
            }
        }
        world.clock.advance(world::ROUND);
    }
    assert_eq!(refused.len(), 1);
    world.settle();
}

#[test]
fn a_copied_state_folder_is_refused() {
    let mut world = settled(&[1]);
    // The same process id twice.
    let twin = world.processes.len();
    world.add(1);
    world.kill(twin);
    world.settle();
    world.copy_id(0, twin);
    world.start(twin).unwrap();
    let error = (0..world::SETTLE_ROUNDS).find_map(|_| {
        world.round_but(twin);
        world.poll(twin).err()
    });
    let error = error.unwrap();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("the folder is a copy"), "{error}");
    world.kill(twin);
    world.settle();
}

#[test]
fn a_topic_that_grows_is_an_error_that_says_so() {
    let mut world = settled(&[1]);
    world.broker.admin().unwrap().delete_topics(&["clicks"]).unwrap();
    world.broker.create_topic("clicks", 6).unwrap();
    let error = (0..100).find_map(|_| {
        world.clock.advance(world::ROUND);
        world.poll(0).err()
    });
    let error = error.unwrap();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("topic clicks had 4 partitions and has 6 now"), "{error}");
}

#[test]
fn the_log_can_be_compacted_at_any_time() {
    let mut world = settled(&[1, 2]);
    world.broker.run_retention();
    world.add(1);
    world.settle();
    world.kill(0);
    world.broker.run_retention();
    world.start(0).unwrap();
    world.settle();
}

/// What may happen in a random history.
fn random_step(world: &mut World, rng: &mut TestRng) {
    let number = rng.random_range(0..world.processes.len().max(1));
    let alive = world.processes.get(number).is_some_and(|_| world.is_alive(number));
    match rng.random_range(0..400) {
        0..=2 if world.processes.len() < 6 => {
            let threads = rng.random_range(1..4);
            world.add(threads);
        }
        3..=4 if alive => world.leave(number),
        5..=6 if alive => world.kill(number),
        7..=14 if !alive && number < world.processes.len() => world.start(number).unwrap(),
        15..=16 if alive => {
            // Sometimes less than a session, sometimes more.
            let stopped = rng.random_range(20..250);
            world.processes[number].stopped = stopped;
        }
        17 => world.release_polls = rng.random_range(0..40),
        18 => world.broker.run_retention(),
        19 if alive && world.processes[number].stopped == 0 => world.rejoin(number),
        20..=40 => world.round(),
        _ if alive && world.processes[number].stopped == 0 => world.poll(number).unwrap(),
        _ => world.clock.advance(world::ROUND / 5),
    }
}

fn run_history(seed: u64, steps: usize) {
    let rng = |stream: u8| {
        let mut bytes = [stream; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
    };
    let (mut rng, faults) = (rng(0), rng(1));
    let mut world = World::new();
    let run = catch_unwind(AssertUnwindSafe(|| {
        world.add(1);
        // Every other history has failures of its own.
        world.faults.set((seed % 2 == 1).then_some(faults));
        for _ in 0..steps {
            random_step(&mut world, &mut rng);
        }
        world.release_polls = 0;
        world.faults.set(None);
        world.settle();
    }));
    if let Err(panic) = run {
        let mut lines: Vec<&str> = world.history().lines().rev().take(60).collect();
        lines.reverse();
        // Shown by the test harness when the test fails.
        std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("seed {seed}, the last of its history:\n{}\n", lines.join("\n")),
        )
        .unwrap();
        resume_unwind(panic);
    }
}

#[test]
fn random_histories_are_safe_and_come_to_rest() {
    let chosen = std::env::var("SIMULATION_SEEDS").ok();
    let seeds = chosen.as_deref().map_or(0..60, |range| {
        let (first, last) = range.split_once("..").unwrap();
        first.parse().unwrap()..last.parse().unwrap()
    });
    for seed in seeds {
        run_history(seed, 1500);
    }
}

#[test]
fn a_session_is_longer_than_a_round() {
    // What the histories assume: whoever is polled in each round stays in the group.
    assert!(SESSION > world::ROUND * 10);
}
