//! The active owners, in three steps: tasks go where they belong by their state; those that belong nowhere
//! are dealt; then tasks move from the most loaded to the least loaded members until no move helps.
//!
//! Each move lowers the sum over members of tasks² / threads, so the moves come to an end.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use super::{Crew, Fitness};
use crate::ids::TaskId;

/// By task: the member that shall be active.
pub(super) fn owners(crew: &Crew<'_>) -> Vec<Option<usize>> {
    let mut deal = Deal::new(crew);
    for task in 0..crew.tasks.len() {
        if let Some(home) = deal.home(task) {
            deal.give(task, home);
        }
    }
    for task in 0..crew.tasks.len() {
        if deal.owners.get(task).is_some_and(Option::is_none)
            && let Some(member) = deal.best_hand(task)
        {
            deal.give(task, member);
        }
    }
    while let Some((task, member)) = deal.next_move() {
        deal.give(task, member);
    }
    deal.owners
}

struct Deal<'a> {
    crew: &'a Crew<'a>,
    owners: Vec<Option<usize>>,
    /// By member: its tasks.
    hands: Vec<BTreeSet<usize>>,
    /// By member and sub-topology: how many tasks.
    spread: FxHashMap<(usize, u32), usize>,
}

/// What speaks against a move; the smallest is done. In order: whether the task is anywhere else than at the
/// new owner by the present assignment, whether it would be taken from where it is by that, the surplus of
/// its sub-topology at the old owner, the new owner's state, and the task.
type Cost = (bool, bool, Reverse<i128>, Fitness, usize, usize);

impl<'a> Deal<'a> {
    fn new(crew: &'a Crew<'a>) -> Self {
        Self {
            crew,
            owners: vec![None; crew.tasks.len()],
            hands: vec![BTreeSet::new(); crew.members.len()],
            spread: FxHashMap::default(),
        }
    }

    /// Where the state of a task is best. A task that runs where it has caught up stays; one that does not
    /// goes where it has; if nobody has caught up it stays too, because what has been restored would be
    /// restored again elsewhere.
    fn home(&self, task: usize) -> Option<usize> {
        let crew = self.crew;
        let (id, stateful) = crew.task(task)?;
        let able = || crew.indices().filter(|member| crew.can_run(*member, id));
        let holder = able().find(|member| crew.holds(*member, id));
        let fitness = |member: &usize| crew.fitness(*member, (id, stateful));
        if !stateful {
            return holder;
        }
        let best = able().min_by_key(|member| {
            (fitness(member), crew.member(*member).and_then(|m| m.lags.get(&id)).copied())
        })?;
        match (holder, fitness(&best)) {
            (Some(holder), best) if best != Fitness::Ready => Some(holder),
            (Some(holder), _) if fitness(&holder) == Fitness::Ready => Some(holder),
            (_, Fitness::Cold) => None,
            _ => Some(best),
        }
    }

    /// The member that takes another task best: the least loaded, with fewest tasks of the sub-topology.
    fn best_hand(&self, task: usize) -> Option<usize> {
        let (id, _) = self.crew.task(task)?;
        let able = self.crew.indices().filter(|member| self.crew.can_run(*member, id));
        able.min_by(|a, b| {
            self.compare_next(*a, *b).then_with(|| {
                let per_thread = |member, other| self.count(member, id) * self.crew.threads(other);
                per_thread(*a, *b).cmp(&per_thread(*b, *a))
            })
        })
    }

    fn give(&mut self, task: usize, member: usize) {
        let Some((id, _)) = self.crew.task(task) else { return };
        let Some(owner) = self.owners.get_mut(task) else { return };
        if let Some(old) = owner.replace(member) {
            if let Some(hand) = self.hands.get_mut(old) {
                hand.remove(&task);
            }
            if let Some(count) = self.spread.get_mut(&(old, id.subtopology)) {
                *count -= 1;
            }
        }
        if let Some(hand) = self.hands.get_mut(member) {
            hand.insert(task);
        }
        *self.spread.entry((member, id.subtopology)).or_default() += 1;
    }

    fn hand(&self, member: usize) -> usize {
        self.hands.get(member).map_or(0, BTreeSet::len)
    }

    fn count(&self, member: usize, task: TaskId) -> usize {
        self.spread.get(&(member, task.subtopology)).copied().unwrap_or(0)
    }

    /// Compares loads; tasks without any thread are the highest.
    fn compare_load(&self, a: usize, b: usize) -> Ordering {
        match (self.crew.threads(a), self.crew.threads(b)) {
            (0, 0) => self.hand(a).cmp(&self.hand(b)),
            (0, _) => Ordering::Greater,
            (_, 0) => Ordering::Less,
            (threads_a, threads_b) => (self.hand(a) * threads_b).cmp(&(self.hand(b) * threads_a)),
        }
    }

    /// Compares the loads that two members with threads would have with one more task.
    fn compare_next(&self, a: usize, b: usize) -> Ordering {
        let (threads_a, threads_b) = (self.crew.threads(a), self.crew.threads(b));
        ((self.hand(a) + 1) * threads_b).cmp(&((self.hand(b) + 1) * threads_a))
    }

    /// Whether a task moved from one to the other leaves the receiver with a lower load than the giver had.
    fn helps(&self, from: usize, to: usize) -> bool {
        let (threads_from, threads_to) = (self.crew.threads(from), self.crew.threads(to));
        threads_from == 0 || self.hand(from) * threads_to > (self.hand(to) + 1) * threads_from
    }

    /// The best of the moves from the most loaded to the least loaded members between which a task can
    /// move.
    fn next_move(&self) -> Option<(usize, usize)> {
        let mut givers: Vec<usize> =
            self.crew.indices().filter(|member| self.hand(*member) > 0).collect();
        givers.sort_by(|a, b| self.compare_load(*b, *a));
        let mut takers: Vec<usize> =
            self.crew.indices().filter(|member| self.crew.threads(*member) > 0).collect();
        takers.sort_by(|a, b| self.compare_next(*a, *b));
        for givers in givers.chunk_by(|a, b| self.compare_load(*a, *b).is_eq()) {
            for takers in takers.chunk_by(|a, b| self.compare_next(*a, *b).is_eq()) {
                let moves =
                    givers.iter().flat_map(|from| takers.iter().map(move |to| (*from, *to)));
                let costs = moves
                    .filter(|(from, to)| from != to && self.helps(*from, *to))
                    .filter_map(|(from, to)| self.cheapest(from, to));
                if let Some((.., task, to)) = costs.min() {
                    return Some((task, to));
                }
            }
        }
        None
    }

    fn cheapest(&self, from: usize, to: usize) -> Option<Cost> {
        let tasks = self.hands.get(from)?.iter();
        tasks.filter_map(|task| self.cost(*task, from, to)).min()
    }

    fn cost(&self, task: usize, from: usize, to: usize) -> Option<Cost> {
        let crew = self.crew;
        let (id, stateful) = crew.task(task)?;
        let per_thread =
            |member: usize, other: usize| (self.count(member, id) * crew.threads(other)) as i128;
        crew.can_run(to, id).then(|| {
            let surplus = per_thread(from, to) - per_thread(to, from);
            let fitness = crew.fitness(to, (id, stateful));
            (!crew.holds(to, id), crew.holds(from, id), Reverse(surplus), fitness, task, to)
        })
    }
}
