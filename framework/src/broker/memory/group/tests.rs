//! The coordinator alone, without the members' side: phases, generations, expiry, fencing.

use super::*;
use crate::broker::NewTopic;

const SESSION: Duration = Duration::from_secs(10);
const MAX_POLL: Duration = Duration::from_mins(5);
const NOW: Duration = Duration::from_secs(1000);

fn topics() -> Arc<Topics> {
    let topics = Topics::default();
    create(&topics, "t", 4);
    Arc::new(topics)
}

fn create(topics: &Topics, name: &str, partitions: i32) {
    let (name, configs) = (name.to_owned(), BTreeMap::new());
    topics.create(&NewTopic { name, partitions, replication_factor: 1, configs }).unwrap();
}

fn group(topics: &Arc<Topics>) -> GroupState {
    GroupState::new("g", Arc::clone(topics))
}

fn join(state: &mut GroupState, client_id: &str) -> String {
    let settings = GroupSettings {
        group_id: "g".to_owned(),
        client_id: client_id.to_owned(),
        session_timeout: SESSION,
        heartbeat_interval: SESSION / 3,
        max_poll_interval: MAX_POLL,
    };
    state.join(&settings, &["t".to_owned(), "later".to_owned()], NOW)
}

/// A group in this phase; in `PreparingRebalance` member `a` has not rejoined, member `b` has.
fn group_in(phase: Phase, topics: &Arc<Topics>) -> (GroupState, Vec<String>) {
    let mut state = group(topics);
    let mut ids = Vec::new();
    if phase != Phase::Empty {
        ids.push(join(&mut state, "a"));
    }
    if phase == Phase::PreparingRebalance {
        ids.push(join(&mut state, "b"));
    }
    assert_eq!(state.phase, phase);
    (state, ids)
}

/// Brings a change about by what really causes it.
fn bring_about(change: Change, state: &mut GroupState, ids: &[String]) {
    match change {
        Change::Joined => {
            join(state, "c");
        }
        Change::AllRejoined => {
            for id in ids {
                state.rejoin(id, NOW);
            }
        }
        Change::MemberGone => {
            // One that has not rejoined stays, so that the rebalance is not over.
            let stays = state.members.len() > 1;
            let goes = if stays { ids.last().unwrap().clone() } else { join_quietly(state) };
            state.remove(&goes, NOW);
        }
        Change::LastMemberGone => {
            for id in ids.iter().rev() {
                state.remove(id, NOW);
            }
        }
        Change::TopicsChanged => {
            create(&state.topics, "later", 1);
            state.look_at_topics(NOW);
        }
    }
}

/// A second member of a stable group.
fn join_quietly(state: &mut GroupState) -> String {
    let id = join(state, "c");
    let ids: Vec<_> = state.members.keys().cloned().collect();
    for id in ids {
        state.rejoin(&id, NOW);
    }
    assert_eq!(state.phase, Phase::Stable);
    id
}

/// What a change leads to in the end: a rebalance that nobody has to be waited for is over at once.
fn settled(after: Phase, state: &GroupState) -> Phase {
    let waits = state.members.values().any(|member| !member.rejoined);
    if after == Phase::PreparingRebalance && !waits { Phase::Stable } else { after }
}

#[test]
fn every_row_of_the_transition_table_is_walked() {
    for (before, change, after) in TRANSITIONS {
        let topics = topics();
        let (mut state, ids) = group_in(before, &topics);
        bring_about(change, &mut state, &ids);
        assert_eq!(state.phase, settled(after, &state), "{before:?} --{change:?}-->");
    }
}

#[test]
fn each_assignment_is_a_new_generation() {
    let topics = topics();
    let mut state = group(&topics);
    let first = join(&mut state, "a");
    let (generation, all) = state.assignment(&first).unwrap();
    assert_eq!((generation, all.len()), (1, 4));
    let second = join(&mut state, "b");
    assert_eq!(state.assignment(&second), None, "the first has not given anything up");
    assert!(state.must_rejoin(&first) && !state.must_rejoin(&second));
    state.rejoin(&first, NOW);
    assert_eq!(state.assignment(&first).unwrap().0, 2);
    assert_eq!(state.assignment(&second).unwrap().1.len(), 2);
}

#[test]
fn a_silent_member_is_expelled_at_its_session_timeout_and_not_before() {
    let topics = topics();
    let mut state = group(&topics);
    let id = join(&mut state, "a");
    state.expire(NOW + SESSION.saturating_sub(Duration::from_millis(1)));
    assert!(state.heartbeat(&id, NOW + SESSION / 2));
    state.expire(NOW + SESSION);
    assert!(state.members.contains_key(&id), "the heartbeat has prolonged its session");
    state.expire(NOW + SESSION / 2 + SESSION);
    assert_eq!(state.phase, Phase::Empty);
    assert!(!state.heartbeat(&id, NOW));
}

#[test]
fn who_does_not_give_its_partitions_up_is_expelled_though_it_polls() {
    let topics = topics();
    let mut state = group(&topics);
    let slow = join(&mut state, "a");
    let second = join(&mut state, "b");
    let late = NOW + MAX_POLL;
    for id in [&slow, &second] {
        state.heartbeat(id, late);
    }
    state.expire(late.saturating_sub(Duration::from_millis(1)));
    assert_eq!(state.phase, Phase::PreparingRebalance);
    state.expire(late);
    assert!(!state.members.contains_key(&slow));
    assert_eq!(state.assignment(&second).unwrap().1.len(), 4);
}

#[test]
fn commits_are_fenced_by_member_and_generation() {
    let topics = topics();
    let mut state = group(&topics);
    let id = join(&mut state, "a");
    let partition = TopicPartition::new("t", 0);
    let offset = CommittedOffset { offset: 7, metadata: "m".to_owned() };
    let offsets = [(partition.clone(), offset.clone())];
    state.commit(&id, 1, &offsets).unwrap();
    for (id, generation, kind) in [
        (id.as_str(), 0, BrokerErrorKind::Rebalancing),
        (id.as_str(), 2, BrokerErrorKind::Rebalancing),
        ("a-unknown", 1, BrokerErrorKind::NotAMember),
        ("", 1, BrokerErrorKind::NotAMember),
    ] {
        let refused = state.commit(id, generation, &offsets).unwrap_err();
        assert_eq!(refused.kind(), kind, "{id} {generation}");
    }
    let second = join(&mut state, "b");
    state.commit(&id, 1, &offsets).unwrap();
    state.rejoin(&id, NOW);
    assert!(state.commit(&id, 1, &offsets).is_err(), "the partitions are dealt anew");
    state.remove(&id, NOW);
    state.remove(&second, NOW);
    assert_eq!(state.committed(&[partition]), [Some(offset)], "an empty group keeps its offsets");
}

#[test]
fn a_topic_outside_the_subscription_changes_nothing() {
    let topics = topics();
    let mut state = group(&topics);
    join(&mut state, "a");
    create(&topics, "other", 1);
    state.look_at_topics(NOW);
    assert_eq!(state.phase, Phase::Stable);
}
