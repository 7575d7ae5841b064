//! What the assignor guarantees, over random clusters and histories. Expectations are stated on the result
//! alone: counts per member, and who had what before.

use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

type Members = BTreeMap<ProcessId, Candidate>;
type Tasks = BTreeMap<TaskId, bool>;

fn process(number: u128) -> ProcessId {
    ProcessId::new(Uuid::from_u128(number))
}

fn task(subtopology: u32, partition: i32) -> TaskId {
    TaskId { subtopology, partition }
}

/// Sub-topologies by their number of partitions; every other one has stores.
fn tasks(partitions: &[i32]) -> Tasks {
    let of = |(number, count): (usize, &i32)| {
        let number = u32::try_from(number).unwrap();
        (0..*count).map(move |partition| (task(number, partition), number % 2 == 0))
    };
    partitions.iter().enumerate().flat_map(of).collect()
}

/// Members 1, 2, … with these threads, without tasks.
fn members(threads: &[usize]) -> Members {
    let member = |(number, threads): (usize, &usize)| {
        (process(number as u128 + 1), Candidate { threads: *threads, ..Candidate::default() })
    };
    threads.iter().enumerate().map(member).collect()
}

fn run(members: &Members, tasks: &Tasks) -> Placement {
    assign(members, tasks, &Settings::default())
}

/// What the members have once the placement has been carried out: who left a task keeps its state, as it was.
fn carried_out(members: &Members, tasks: &Tasks, placement: &Placement) -> Members {
    let mut after = members.clone();
    for member in after.values_mut() {
        member.current.clear();
    }
    for (task, owner) in &placement.active {
        let member = after.get_mut(owner).unwrap();
        member.current.insert(*task);
        if tasks[task] {
            member.lags.insert(*task, 0);
        }
    }
    after
}

fn moved(before: &Placement, after: &Placement) -> usize {
    before.active.iter().filter(|(task, owner)| after.active.get(task) != Some(owner)).count()
}

fn count(placement: &Placement, owner: ProcessId) -> usize {
    placement.active.values().filter(|other| **other == owner).count()
}

/// Every task has one owner, and no move would help.
fn check_balance(members: &Members, tasks: &Tasks, placement: &Placement) {
    let able: Vec<_> = members.iter().filter(|(_, member)| member.threads > 0).collect();
    let expected = if able.is_empty() { 0 } else { tasks.len() };
    assert_eq!(placement.active.len(), expected);
    for (a, from) in members {
        for (b, to) in &able {
            let (tasks_a, tasks_b) = (count(placement, *a), count(placement, **b));
            if from.threads == 0 {
                assert!(able.is_empty() || tasks_a == 0);
            } else {
                // The loads, compared without division.
                assert!(
                    tasks_a * to.threads <= (tasks_b + 1) * from.threads,
                    "{a} has {tasks_a} on {} threads, {b} has {tasks_b} on {}",
                    from.threads,
                    to.threads
                );
            }
        }
    }
}

fn any_tasks() -> impl Strategy<Value = Tasks> {
    vec(1..12i32, 1..5).prop_map(|partitions| tasks(&partitions))
}

/// Members in any condition: some have state, some claim tasks, some have no threads.
fn any_members() -> impl Strategy<Value = Members> {
    let state = vec((0..5u32, 0..12i32, prop_oneof![0..5u64, 5_000..50_000u64]), 0..12);
    vec((0..4usize, state), 1..7).prop_map(|all| {
        let mut members = Members::new();
        for (number, (threads, state)) in all.into_iter().enumerate() {
            let lags: BTreeMap<_, _> =
                state.into_iter().map(|(sub, part, lag)| (task(sub, part), lag)).collect();
            let candidate = Candidate { threads, lags, ..Candidate::default() };
            members.insert(process(number as u128 + 1), candidate);
        }
        members
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_task_has_one_owner_and_loads_are_even(members in any_members(), tasks in any_tasks()) {
        check_balance(&members, &tasks, &run(&members, &tasks));
    }

    #[test]
    fn what_is_assigned_is_assigned_again(members in any_members(), tasks in any_tasks()) {
        let first = run(&members, &tasks);
        let settled = carried_out(&members, &tasks, &first);
        prop_assert_eq!(run(&settled, &tasks), first);
    }

    /// Before anybody has restored anything: only `current` has changed.
    #[test]
    fn repetition_converges_while_nothing_is_restored(
        members in any_members(), tasks in any_tasks()
    ) {
        let mut members = members;
        let mut last = run(&members, &tasks);
        for round in 0.. {
            for (id, member) in &mut members {
                let mine = last.active.iter().filter(|(_, owner)| *owner == id);
                member.current = mine.map(|(task, _)| *task).collect();
            }
            let next = run(&members, &tasks);
            if next == last {
                break;
            }
            prop_assert!(round < 2, "still moving: {} tasks", moved(&last, &next));
            last = next;
        }
    }

    #[test]
    fn a_joining_member_takes_its_share_and_nothing_else_moves(
        threads in vec(1..4usize, 1..7), tasks in any_tasks(), joining in 1..4usize
    ) {
        let before = members(&threads);
        let first = run(&before, &tasks);
        let mut grown = carried_out(&before, &tasks, &first);
        let newcomer = process(99);
        grown.insert(newcomer, Candidate { threads: joining, ..Candidate::default() });
        let second = run(&grown, &tasks);
        check_balance(&grown, &tasks, &second);
        prop_assert_eq!(moved(&first, &second), count(&second, newcomer));
        let all: usize = threads.iter().sum::<usize>() + joining;
        // Its share by threads, rounded up, plus one: a large member may take the tasks that small ones
        // would not share evenly.
        prop_assert!(count(&second, newcomer) <= (tasks.len() * joining).div_ceil(all) + joining);
    }

    #[test]
    fn of_a_leaving_member_only_its_own_tasks_move(
        threads in vec(1..4usize, 2..7), tasks in any_tasks(), leaver in any::<prop::sample::Index>()
    ) {
        let before = members(&threads);
        let first = run(&before, &tasks);
        let mut left = carried_out(&before, &tasks, &first);
        let gone = *left.keys().nth(leaver.index(threads.len())).unwrap();
        left.remove(&gone);
        let second = run(&left, &tasks);
        check_balance(&left, &tasks, &second);
        prop_assert_eq!(moved(&first, &second), count(&first, gone));
    }

    #[test]
    fn histories_of_joins_and_leaves_keep_the_guarantees(
        history in vec((any::<bool>(), 0..3usize, any::<prop::sample::Index>()), 1..25),
        tasks in any_tasks()
    ) {
        let mut cluster = members(&[1]);
        let mut last = run(&cluster, &tasks);
        cluster = carried_out(&cluster, &tasks, &last);
        for (number, (joins, threads, pick)) in history.into_iter().enumerate() {
            let before = last.clone();
            let expected = if joins || cluster.len() == 1 {
                let newcomer = process(number as u128 + 100);
                let candidate = Candidate { threads: threads + 1, ..Candidate::default() };
                cluster.insert(newcomer, candidate);
                last = run(&cluster, &tasks);
                count(&last, newcomer)
            } else {
                let gone = *cluster.keys().nth(pick.index(cluster.len())).unwrap();
                cluster.remove(&gone);
                last = run(&cluster, &tasks);
                count(&before, gone)
            };
            check_balance(&cluster, &tasks, &last);
            prop_assert_eq!(moved(&before, &last), expected, "at step {}", number);
            cluster = carried_out(&cluster, &tasks, &last);
            prop_assert_eq!(&run(&cluster, &tasks), &last);
        }
    }

    #[test]
    fn a_restarted_process_gets_its_tasks_back(
        threads in vec(1..3usize, 2..6), tasks in any_tasks(), pick in any::<prop::sample::Index>()
    ) {
        let before = members(&threads);
        let first = run(&before, &tasks);
        let mut cluster = carried_out(&before, &tasks, &first);
        // It is behind, and what it has on disk is worth keeping.
        let restarted = *cluster.keys().nth(pick.index(threads.len())).unwrap();
        for lag in cluster.get_mut(&restarted).unwrap().lags.values_mut() {
            *lag = 500_000;
        }
        prop_assert_eq!(run(&cluster, &tasks), first);
    }

    #[test]
    fn a_fresh_deal_spreads_each_sub_topology(
        number in 1..6usize, partitions in vec(1..12i32, 1..6)
    ) {
        let cluster = members(&vec![2; number]);
        let placement = run(&cluster, &tasks(&partitions));
        for subtopology in 0..u32::try_from(partitions.len()).unwrap() {
            let counts: Vec<usize> = cluster.keys().map(|id| {
                let mine = placement.active.iter().filter(|(_, owner)| *owner == id);
                mine.filter(|(task, _)| task.subtopology == subtopology).count()
            }).collect();
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            prop_assert!(most - least <= 1, "sub-topology {}: {:?}", subtopology, counts);
        }
    }

    #[test]
    fn a_member_gets_only_what_it_can_run(
        members in any_members(), tasks in any_tasks(), known in 1..4u32
    ) {
        let mut members = members;
        let old = *members.keys().next().unwrap();
        let only: BTreeSet<TaskId> =
            tasks.keys().copied().filter(|task| task.subtopology < known).collect();
        members.get_mut(&old).unwrap().only = Some(only.clone());
        let placement = run(&members, &tasks);
        let others = members.iter().any(|(id, member)| *id != old && member.threads > 0);
        for task in tasks.keys() {
            let owner = placement.active.get(task);
            prop_assert!(owner != Some(&old) || only.contains(task));
            prop_assert!(owner.is_some() || !others);
        }
    }

    #[test]
    fn tasks_that_wait_for_warm_ups_stay_where_their_state_is(
        threads in vec(1..3usize, 1..4), tasks in any_tasks(), warm_ups in 1..4usize
    ) {
        let settings = Settings { max_warmup_replicas: warm_ups, ..Settings::default() };
        let before = members(&threads);
        let first = assign(&before, &tasks, &settings);
        let mut grown = carried_out(&before, &tasks, &first);
        let newcomer = process(99);
        grown.insert(newcomer, Candidate { threads: 1, ..Candidate::default() });
        // Each round the warm-ups catch up; in the end the load is even.
        for round in 0..=tasks.len() {
            let placement = assign(&grown, &tasks, &settings);
            prop_assert!(placement.warm_up.len() <= warm_ups);
            for (task, owner) in &placement.active {
                let ready = !tasks[task] || grown[owner].lags.contains_key(task);
                prop_assert!(ready, "task {} moved cold to {}", task, owner);
            }
            let warm = placement.warm_up.clone();
            grown = carried_out(&grown, &tasks, &placement);
            if warm.is_empty() {
                check_balance(&grown, &tasks, &placement);
                break;
            }
            for (task, owner) in warm {
                prop_assert!(placement.active[&task] != owner);
                grown.get_mut(&owner).unwrap().lags.insert(task, 7);
            }
            prop_assert!(round < tasks.len(), "warm-ups never end");
        }
    }
}

fn with_state(threads: usize, current: &[TaskId], lags: &[(TaskId, u64)]) -> Candidate {
    Candidate {
        threads,
        current: current.iter().copied().collect(),
        lags: lags.iter().copied().collect(),
        ..Candidate::default()
    }
}

#[test]
fn a_task_without_owner_goes_where_least_is_to_be_restored() {
    let cluster = Members::from([
        (process(1), with_state(1, &[], &[(task(0, 0), 90_000)])),
        (process(2), with_state(1, &[], &[(task(0, 0), 40_000)])),
        (process(3), with_state(1, &[], &[])),
    ]);
    let placement = run(&cluster, &Tasks::from([(task(0, 0), true)]));
    assert_eq!(placement.active, BTreeMap::from([(task(0, 0), process(2))]));
}

#[test]
fn a_task_leaves_an_owner_that_restores_for_one_that_has_caught_up() {
    let cluster = Members::from([
        (process(1), with_state(1, &[task(0, 0)], &[(task(0, 0), 900_000)])),
        (process(2), with_state(1, &[], &[(task(0, 0), 10_000)])),
    ]);
    let placement = run(&cluster, &Tasks::from([(task(0, 0), true)]));
    assert_eq!(placement.active, BTreeMap::from([(task(0, 0), process(2))]));
}

#[test]
fn a_task_stays_with_an_owner_that_restores_if_nobody_has_caught_up() {
    let cluster = Members::from([
        (process(1), with_state(1, &[task(0, 0)], &[(task(0, 0), 900_000)])),
        (process(2), with_state(1, &[], &[(task(0, 0), 10_001)])),
    ]);
    let placement = run(&cluster, &Tasks::from([(task(0, 0), true)]));
    assert_eq!(placement.active, BTreeMap::from([(task(0, 0), process(1))]));
}

#[test]
fn threads_count() {
    let placement = run(&members(&[3, 1]), &tasks(&[8]));
    assert_eq!([count(&placement, process(1)), count(&placement, process(2))], [6, 2]);
}

#[test]
fn standbys_are_on_other_members_and_other_racks() {
    let mut cluster = members(&[1, 1, 1]);
    for (id, rack) in [(1, "a"), (2, "a"), (3, "b")] {
        let tags = &mut cluster.get_mut(&process(id)).unwrap().tags;
        tags.insert("rack".to_owned(), rack.to_owned());
    }
    let settings = Settings {
        num_standby_replicas: 1,
        rack_tags: vec!["rack".to_owned()],
        ..Settings::default()
    };
    let placement = assign(&cluster, &tasks(&[3]), &settings);
    assert_eq!(placement.standby.len(), 3);
    for (task, standby) in &placement.standby {
        let owner = placement.active[task];
        let expected = if owner == process(3) { vec![1, 2] } else { vec![3] };
        assert_eq!(standby.len(), 1);
        assert!(expected.into_iter().any(|id| standby.contains(&process(id))), "{task}");
    }
}
