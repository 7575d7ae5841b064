//! Decisions one at a time; whole histories are in the simulation.

use uuid::Uuid;

use super::super::messages::{ReleasedRecord, SubtopologyRecord};
use super::*;
use crate::error::ErrorKind;

const GRACE: Duration = Duration::from_secs(3);
const MINUTE: Duration = Duration::from_mins(1);

fn process(number: u128) -> ProcessId {
    ProcessId::new(Uuid::from_u128(number))
}

fn task(subtopology: u32, partition: i32) -> TaskId {
    TaskId { subtopology, partition }
}

/// A leader with its log and its group, driven by hand.
struct World {
    leader: Leader,
    view: View,
    group: BTreeSet<MemberId>,
    now: Duration,
}

impl World {
    fn new() -> Self {
        let settings = LeaderSettings {
            assignor: Settings::default(),
            silence_grace: GRACE,
            return_grace: GRACE,
            release_patience: MINUTE,
            forget_after: MINUTE,
            transactions_end: MINUTE * 15,
        };
        Self {
            leader: Leader::new(settings),
            view: View::default(),
            group: BTreeSet::new(),
            now: MINUTE,
        }
    }

    /// A process joins and writes its record: sub-topology 0 has four tasks with stores, sub-topology 1
    /// four without.
    fn join(&mut self, number: u128, id: &str) {
        let part = |topic: &str, stateful| SubtopologyRecord {
            topics: [(topic.to_owned(), 4)].into(),
            stateful,
        };
        let record = MemberRecord {
            member_id: MemberId::new(id),
            threads: 1,
            subtopologies: [(0, part("a", true)), (1, part("b", false))].into(),
            transactional_ids: [format!("tx-{number}")].into(),
            ..MemberRecord::default()
        };
        self.view.members.insert(process(number), record);
        self.group.insert(MemberId::new(id));
    }

    fn leaves(&mut self, number: u128, id: &str) {
        let member = self.view.members.get_mut(&process(number)).unwrap();
        (member.left, member.transactional_ids) = (true, BTreeSet::new());
        self.group.remove(&MemberId::new(id));
    }

    fn is_dropped(&mut self, id: &str) {
        self.group.remove(&MemberId::new(id));
    }

    fn decide_as(&mut self, number: u128, id: &str) -> Result<Option<Decision>, Error> {
        let member_id = MemberId::new(id);
        let me = Me { process: process(number), member_id: &member_id };
        self.leader.decide(&self.view, &self.group, me, self.now)
    }

    /// Process 1 leads; what it decides is written.
    fn decide(&mut self) -> Option<Decision> {
        let decision = self.decide_as(1, "m-1").unwrap()?;
        if let Some(assignment) = &decision.assignment {
            self.view.assignment = assignment.clone();
        }
        if let Some(plan) = &decision.plan {
            self.view.plan = plan.clone();
        }
        for process in &decision.forget {
            self.view.members.remove(process);
        }
        Some(decision)
    }

    /// Everything that is asked for is released, until nothing more is decided.
    fn settle(&mut self) {
        for _ in 0..10 {
            for (task, waiting) in &self.view.assignment.waiting {
                if let Some(from) = &waiting.from {
                    let record =
                        ReleasedRecord { member_id: from.member_id.clone(), epoch: from.since };
                    self.view.released.insert(*task, record);
                }
            }
            if self.decide().is_none_or(|decision| decision.is_empty()) {
                return;
            }
        }
        panic!("the leader does not come to rest: {:?}", self.view.assignment);
    }

    fn active(&self, number: u128) -> Vec<TaskId> {
        let share = self.view.assignment.members.get(&process(number));
        share.map(|share| share.active.iter().copied().collect()).unwrap_or_default()
    }

    fn all() -> Vec<TaskId> {
        (0..2).flat_map(|sub| (0..4).map(move |partition| task(sub, partition))).collect()
    }
}

#[test]
fn the_first_member_gets_everything_and_then_there_is_nothing_to_decide() {
    let mut world = World::new();
    world.join(1, "m-1");
    world.decide();
    assert_eq!(world.active(1), World::all());
    assert_eq!(world.view.assignment.epoch, 1);
    assert!(world.decide().unwrap().is_empty());
}

#[test]
fn a_task_is_given_only_after_it_was_released() {
    let mut world = World::new();
    world.join(1, "m-1");
    world.settle();
    world.join(2, "m-2");
    world.decide();
    let moving: Vec<TaskId> = world.view.assignment.waiting.keys().copied().collect();
    assert_eq!((moving.len(), world.active(1).len(), world.active(2).len()), (4, 4, 0));
    assert!(world.decide().unwrap().is_empty(), "nothing happens before the release");
    // A release of an earlier time, and one by another member, do not count.
    for (task, member, epoch) in [(moving[0], "m-1", 1), (moving[1], "m-0", 2)] {
        let record = ReleasedRecord { member_id: MemberId::new(member), epoch };
        world.view.released.insert(task, record);
    }
    assert!(world.decide().unwrap().is_empty());
    world
        .view
        .released
        .insert(moving[2], ReleasedRecord { member_id: MemberId::new("m-1"), epoch: 2 });
    world.decide();
    assert_eq!(world.active(2), [moving[2]]);
    world.settle();
    assert_eq!(world.active(2), moving);
}

#[test]
fn a_member_that_says_nothing_is_awaited_for_a_while() {
    let mut world = World::new();
    world.join(1, "m-1");
    world.group.insert(MemberId::new("m-2"));
    assert_eq!(world.decide(), None);
    world.now += GRACE.saturating_sub(Duration::from_millis(1));
    assert_eq!(world.decide(), None);
    world.now += Duration::from_millis(1);
    world.decide();
    assert_eq!(world.active(1), World::all());
}

#[test]
fn each_generation_awaits_its_members_anew() {
    let mut world = World::new();
    world.join(1, "m-1");
    world.group.insert(MemberId::new("m-2"));
    world.decide();
    world.now += GRACE;
    assert!(world.decide().is_some());
    world.leader.new_generation();
    assert_eq!(world.decide(), None);
}

#[test]
fn what_a_dropped_member_had_is_given_at_once_with_its_transactions() {
    let mut world = World::new();
    world.join(1, "m-1");
    world.join(2, "m-2");
    world.settle();
    let theirs = world.active(2);
    assert_eq!(theirs.len(), 4);
    world.is_dropped("m-2");
    world.decide();
    assert_eq!(world.active(1), World::all());
    let orphans: Vec<_> = world.view.assignment.orphans.clone().into_iter().collect();
    let expected: Vec<_> =
        theirs.into_iter().map(|task| (task, BTreeSet::from(["tx-2".to_owned()]))).collect();
    assert_eq!(orphans, expected);
    // The process comes back and uses its ids itself.
    world.join(2, "m-2b");
    world.decide();
    assert!(world.view.assignment.orphans.is_empty());
}

#[test]
fn a_restarted_process_finds_its_tasks_and_the_others_are_left_alone() {
    let mut world = World::new();
    world.join(1, "m-1");
    world.join(2, "m-2");
    world.settle();
    let (mine, theirs) = (world.active(1), world.active(2));
    // Its old life is dropped in the generation in which the new one joins; its record comes later.
    world.is_dropped("m-2");
    world.group.insert(MemberId::new("m-2b"));
    assert_eq!(world.decide(), None);
    world.join(2, "m-2b");
    world.decide();
    assert_eq!((world.active(1), world.active(2)), (mine, theirs));
    assert!(world.view.assignment.waiting.is_empty());
}

#[test]
fn an_old_life_that_the_group_still_counts_keeps_what_it_has() {
    let mut world = World::new();
    world.join(1, "m-1");
    world.join(2, "m-2");
    world.settle();
    let theirs = world.active(2);
    world.join(2, "m-2b"); // and m-2 is still in the group
    world.now += GRACE;
    world.decide(); // it is known to be silent from here on
    world.now += GRACE;
    world.decide();
    assert_eq!(world.active(2), []);
    for task in theirs {
        let from = world.view.assignment.waiting[&task].from.clone().unwrap();
        assert_eq!(from.member_id, MemberId::new("m-2"));
    }
    world.is_dropped("m-2");
    world.settle();
    assert_eq!(world.active(2).len(), 4);
}

#[test]
fn tasks_with_state_wait_for_a_process_that_has_left() {
    let mut world = World::new();
    world.join(1, "m-1");
    world.join(2, "m-2");
    world.settle();
    let theirs = world.active(2);
    let (stateful, stateless): (Vec<_>, Vec<_>) =
        theirs.iter().partition(|task| task.subtopology == 0);
    assert_eq!((stateful.len(), stateless.len()), (2, 2));
    world.leaves(2, "m-2");
    world.decide();
    assert!(stateless.iter().all(|task| world.active(1).contains(task)));
    assert_eq!(world.view.assignment.waiting.keys().copied().collect::<Vec<_>>(), stateful);
    // It comes back in time,
    let waiting = world.view.clone();
    world.join(2, "m-2b");
    world.settle();
    assert!(stateful.iter().all(|task| world.active(2).contains(task)));
    // or it does not.
    world.view = waiting;
    world.group.remove(&MemberId::new("m-2b"));
    world.decide();
    world.now += GRACE;
    world.settle();
    assert_eq!(world.active(1), World::all());
}

#[test]
fn what_has_left_in_good_order_leaves_no_transactions() {
    let mut world = World::new();
    world.join(1, "m-1");
    world.join(2, "m-2");
    world.settle();
    world.leaves(2, "m-2");
    world.settle();
    assert!(world.view.assignment.orphans.is_empty());
}

#[test]
fn a_member_that_does_not_fit_is_refused_and_the_others_go_on() {
    let mut world = World::new();
    world.join(1, "m-1");
    world.settle();
    let before = world.view.assignment.clone();
    world.join(2, "m-2");
    let record = world.view.members.get_mut(&process(2)).unwrap();
    record.subtopologies.get_mut(&1).unwrap().topics = [("c".to_owned(), 4)].into();
    world.decide();
    assert_eq!(world.view.assignment, before);
    let reasons = world.view.refusal(process(2), &MemberId::new("m-2")).unwrap();
    assert!(reasons[0].contains("sub-topology 1 reads c here, and b there"), "{reasons:?}");
    assert!(world.decide().unwrap().is_empty());
}

#[test]
fn a_leader_that_does_not_fit_refuses_itself() {
    let mut world = World::new();
    world.join(2, "m-2");
    world.view.assignment = world.decide_as(2, "m-2").unwrap().unwrap().assignment.unwrap();
    world.join(1, "m-1");
    let record = world.view.members.get_mut(&process(1)).unwrap();
    record.subtopologies.get_mut(&0).unwrap().topics.insert("a".to_owned(), 9);
    let error = world.decide_as(1, "m-1").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("topic a has 9 partitions now"), "{error}");
}

#[test]
fn tasks_that_only_a_new_version_knows_go_to_the_new_version() {
    let mut world = World::new();
    world.join(1, "m-1");
    world.settle();
    world.join(2, "m-2");
    let record = world.view.members.get_mut(&process(2)).unwrap();
    let part = SubtopologyRecord { topics: [("c".to_owned(), 3)].into(), stateful: false };
    record.subtopologies.insert(2, part);
    world.settle();
    let new: Vec<TaskId> = (0..3).map(|partition| task(2, partition)).collect();
    assert!(new.iter().all(|task| world.active(2).contains(task)));
    assert_eq!(world.active(1).len() + world.active(2).len(), 11);
}

#[test]
fn a_leader_that_the_group_does_not_list_decides_nothing() {
    let mut world = World::new();
    world.join(1, "m-1");
    world.is_dropped("m-1");
    assert_eq!(world.decide(), None);
}

#[test]
fn records_of_processes_that_are_gone_are_deleted_after_a_while() {
    let mut world = World::new();
    world.join(1, "m-1");
    world.join(2, "m-2");
    world.settle();
    world.is_dropped("m-2");
    world.settle();
    world.now += MINUTE.saturating_sub(Duration::from_millis(1));
    world.settle();
    assert!(world.view.members.contains_key(&process(2)));
    world.now += Duration::from_millis(1);
    world.settle();
    assert!(!world.view.members.contains_key(&process(2)));
}
