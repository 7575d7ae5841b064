//! The other roles: members that keep copies, and members that warm up for tasks that they shall have.

use std::collections::BTreeSet;

use super::{Crew, Fitness, Placement};
use crate::ids::TaskId;

/// Turns the wanted owners into a placement.
pub(super) fn place(crew: &Crew<'_>, owners: Vec<Option<usize>>) -> Placement {
    let mut placement = Placement::default();
    let mut active = owners;
    for (task, owner) in active.iter_mut().enumerate() {
        let (Some(wanted), Some(task)) = (*owner, crew.task(task)) else { continue };
        let Some(ready) = ready_instead(crew, task, wanted) else { continue };
        *owner = Some(ready);
        if placement.warm_up.len() < crew.settings.max_warmup_replicas
            && let Some(id) = crew.ids.get(wanted)
        {
            placement.warm_up.insert(task.0, *id);
        }
    }
    let mut copies = vec![0; crew.members.len()];
    for (task, owner) in active.iter().enumerate() {
        let (Some(owner), Some((task, stateful))) = (*owner, crew.task(task)) else { continue };
        let Some(id) = crew.ids.get(owner) else { continue };
        placement.active.insert(task, *id);
        if stateful {
            standbys(crew, task, owner, &mut copies, &mut placement);
        }
    }
    placement
}

/// Who keeps a task active while its wanted owner warms up: somebody who is ready while that one is not.
fn ready_instead(crew: &Crew<'_>, task: (TaskId, bool), wanted: usize) -> Option<usize> {
    if crew.settings.max_warmup_replicas == 0 || crew.fitness(wanted, task) == Fitness::Ready {
        return None;
    }
    let ready = crew.indices().filter(|member| {
        crew.can_run(*member, task.0) && crew.fitness(*member, task) == Fitness::Ready
    });
    ready.min_by_key(|member| !crew.holds(*member, task.0))
}

/// Chooses the members that keep copies: on other racks than the task's other copies, where there is state
/// already, and where there are few.
fn standbys(
    crew: &Crew<'_>,
    task: TaskId,
    owner: usize,
    copies: &mut [usize],
    placement: &mut Placement,
) {
    let warming = placement.warm_up.get(&task).copied();
    let mut chosen = vec![owner];
    for _ in 0..crew.settings.num_standby_replicas {
        let free = crew.indices().filter(|member| {
            !chosen.contains(member)
                && crew.can_run(*member, task)
                && crew.ids.get(*member).copied() != warming
        });
        let best = free.min_by_key(|member| {
            let near = chosen.iter().filter(|other| same_place(crew, *member, **other)).count();
            let fitness = crew.fitness(*member, (task, true));
            // Loads per thread, compared in thousandths.
            let load = copies
                .get(*member)
                .map_or(0, |copies| (copies + 1) * 1000 / crew.threads(*member).max(1));
            (near, fitness, load)
        });
        let Some(best) = best else { break };
        chosen.push(best);
        if let Some(copies) = copies.get_mut(best) {
            *copies += 1;
        }
    }
    let ids: BTreeSet<_> =
        chosen.iter().skip(1).filter_map(|member| crew.ids.get(*member).copied()).collect();
    if !ids.is_empty() {
        placement.standby.insert(task, ids);
    }
}

/// Whether two members agree in all tags in which copies should differ.
fn same_place(crew: &Crew<'_>, a: usize, b: usize) -> bool {
    let tags = &crew.settings.rack_tags;
    let tag = |member: usize, name: &String| crew.member(member).and_then(|m| m.tags.get(name));
    !tags.is_empty()
        && tags.iter().all(|name| tag(a, name).is_some() && tag(a, name) == tag(b, name))
}
