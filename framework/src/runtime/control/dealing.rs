//! Which thread of the process runs which of its tasks: a pure function.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::TaskId;

/// Where a task is and was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placed {
    /// Whether it has stores: such tasks are spread first.
    pub(super) heavy: bool,
    /// The thread that runs it, or ran it last.
    pub(super) thread: Option<usize>,
}

/// Deals tasks to threads. Those with stores are spread evenly, to within one, and so are all tasks together
/// as far as that allows; a task stays where it is if that thread has room.
pub(super) fn deal(
    tasks: &BTreeMap<TaskId, Placed>,
    threads: &BTreeSet<usize>,
) -> BTreeMap<TaskId, usize> {
    let mut hands: BTreeMap<usize, usize> = threads.iter().map(|thread| (*thread, 0)).collect();
    let mut dealt = BTreeMap::new();
    if hands.is_empty() {
        return dealt;
    }
    let mut before = 0;
    for heavy in [true, false] {
        let round: Vec<_> = tasks.iter().filter(|(_, placed)| placed.heavy == heavy).collect();
        let all = before + round.len();
        // So many threads may have one task more than the others.
        let (least, mut spare) = (all / hands.len(), all % hands.len());
        let mut homeless = Vec::new();
        for (task, placed) in round {
            let hand = placed.thread.and_then(|thread| Some((thread, hands.get_mut(&thread)?)));
            match hand {
                Some((thread, hand)) if *hand < least || (*hand == least && spare > 0) => {
                    if *hand == least {
                        spare -= 1;
                    }
                    *hand += 1;
                    dealt.insert(*task, thread);
                }
                _ => homeless.push(*task),
            }
        }
        for task in homeless {
            let fewest = hands.iter_mut().min_by_key(|(thread, hand)| (**hand, **thread));
            if let Some((thread, hand)) = fewest {
                *hand += 1;
                dealt.insert(task, *thread);
            }
        }
        before = all;
    }
    dealt
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn task(number: i32) -> TaskId {
        TaskId { subtopology: 0, partition: number }
    }

    fn sizes(dealt: &BTreeMap<TaskId, usize>, threads: &BTreeSet<usize>) -> Vec<usize> {
        let size = |thread: &usize| dealt.values().filter(|other| *other == thread).count();
        threads.iter().map(size).collect()
    }

    proptest! {
        #[test]
        fn tasks_are_spread_evenly_and_stay_where_they_are(
            heavy in proptest::collection::vec(any::<bool>(), 0..30),
            at_first in 1_usize..6,
            later in 1_usize..6,
        ) {
            let mut tasks: BTreeMap<TaskId, Placed> = heavy
                .iter()
                .enumerate()
                .map(|(number, heavy)| {
                    (task(i32::try_from(number).unwrap()), Placed { heavy: *heavy, thread: None })
                })
                .collect();
            let threads: BTreeSet<usize> = (0..at_first).collect();
            let first = deal(&tasks, &threads);
            for (task, placed) in &mut tasks {
                placed.thread = first.get(task).copied();
            }
            // Nothing moves when nothing has changed.
            prop_assert_eq!(&deal(&tasks, &threads), &first);
            let threads: BTreeSet<usize> = (0..later).collect();
            let second = deal(&tasks, &threads);
            prop_assert_eq!(second.len(), tasks.len());
            let all = sizes(&second, &threads);
            prop_assert!(all.iter().max().unwrap() - all.iter().min().unwrap() <= 1, "{:?}", all);
            let with_stores: BTreeMap<_, _> =
                second.into_iter().filter(|(task, _)| tasks[task].heavy).collect();
            let heavy = sizes(&with_stores, &threads);
            prop_assert!(heavy.iter().max().unwrap() - heavy.iter().min().unwrap() <= 1);
        }
    }

    #[test]
    fn a_thread_more_takes_no_more_than_its_share() {
        let placed = |thread| Placed { heavy: true, thread: Some(thread) };
        let tasks: BTreeMap<_, _> =
            (0..8).zip([0, 1].into_iter().cycle()).map(|(n, at)| (task(n), placed(at))).collect();
        let dealt = deal(&tasks, &BTreeSet::from([0, 1, 2]));
        let moved =
            tasks.iter().filter(|(task, placed)| placed.thread != Some(dealt[task])).count();
        assert_eq!(moved, 2);
    }
}
