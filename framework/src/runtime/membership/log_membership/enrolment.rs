//! What a process joins with, and what is checked before anybody hears of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::super::MemberReport;
use super::super::assignor::Settings;
use super::super::compatible::conflicts;
use super::super::ids::{MemberId, ProcessId};
use super::super::leader::{LeaderSettings, refusal};
use super::super::leadership::Leadership;
use super::super::log::{LogReader, LogWriter, partition_of};
use super::super::messages::{MemberRecord, SubtopologyRecord};
use super::super::view::View;
use super::machine::{Machine, Standing};
use crate::broker::{Admin, Broker, GroupSettings};
use crate::error::Error;
use crate::ids::{TaskId, TopicPartition};
use crate::time::Clock;

/// Graces of the leader, in heartbeats. A member hears of a rebalance at its next heartbeat, so one takes
/// about one of them.
const GRACE_HEARTBEATS: u32 = 3;
/// Records of processes that are gone are kept for so long.
const FORGET_AFTER: Duration = Duration::from_mins(10);
/// KAFKA: `transaction.max.timeout.ms`, unless the broker's operator has changed it.
const TRANSACTIONS_END: Duration = Duration::from_mins(15);

/// A task of the application, whoever runs it.
#[derive(Debug, Clone)]
pub(crate) struct PlannedTask {
    pub(crate) id: TaskId,
    /// Its source partitions.
    pub(crate) partitions: Vec<TopicPartition>,
    /// Whether it has stores.
    pub(crate) stateful: bool,
}

/// Everything that a process joins with.
#[derive(Debug)]
pub(crate) struct Enrolment {
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) admin: Arc<dyn Admin>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The group is the application id.
    pub(crate) group: GroupSettings,
    /// Names the state folder through restarts.
    pub(crate) process_id: Uuid,
    /// Where others reach the process's HTTP server.
    pub(crate) http: Option<String>,
    /// Where the process runs, for example its rack.
    pub(crate) tags: BTreeMap<String, String>,
    /// The topology's fingerprint, as it goes with committed offsets.
    pub(crate) fingerprint: String,
    /// All tasks of the application.
    pub(crate) tasks: Vec<PlannedTask>,
    /// What the process says of itself when it joins; above all which state it has on disk.
    pub(crate) report: MemberReport,
}

impl Machine {
    /// Reads the log, whose topic is there, and compares with those that run.
    pub(super) fn new(enrolment: Enrolment) -> Result<Self, Error> {
        let own = enrolment.record();
        let Enrolment { broker, admin, clock, group, process_id, .. } = enrolment;
        let log = partition_of(&group.group_id);
        let topics: BTreeMap<String, i32> =
            own.subtopologies.values().flat_map(|part| part.topics.clone()).collect();
        let process = ProcessId::new(process_id);
        let mut reader = LogReader::open(&*broker, &log, &group.client_id)?;
        let mut view = View::default();
        reader.read_what_there_is(&mut view)?;
        check_fit(&own, process, &view, &*admin, &group.group_id)?;
        let settings = leader_settings(&group);
        Ok(Self {
            subscribed: true,
            subscription: [&*log.topic]
                .into_iter()
                .chain(topics.keys().map(String::as_str))
                .map(str::to_owned)
                .collect(),
            writer: LogWriter::new(Arc::clone(&broker), log.clone(), group.client_id),
            leadership: Leadership::new(
                broker,
                Arc::clone(&admin),
                log.clone(),
                &group.group_id,
                settings,
            ),
            admin,
            clock,
            process,
            session_timeout: group.session_timeout,
            group: group.group_id,
            log,
            topics,
            topics_due: None,
            reader,
            view,
            standing: Standing::Outside,
            own,
            said: None,
            spoke_at: None,
            releases: BTreeMap::new(),
            past: BTreeSet::new(),
            events: VecDeque::new(),
        })
    }
}

/// The leader's times, from those of the group.
fn leader_settings(group: &GroupSettings) -> LeaderSettings {
    let grace = group.heartbeat_interval * GRACE_HEARTBEATS;
    LeaderSettings {
        assignor: Settings::default(),
        silence_grace: grace,
        return_grace: grace.min(group.session_timeout),
        release_patience: group.max_poll_interval,
        forget_after: FORGET_AFTER,
        transactions_end: TRANSACTIONS_END,
    }
}

impl Enrolment {
    /// What the process says of itself; its member id is still to come.
    fn record(&self) -> MemberRecord {
        let MemberReport { threads, transactional_ids, lags } = self.report.clone();
        MemberRecord {
            threads,
            http: self.http.clone(),
            tags: self.tags.clone(),
            subtopologies: subtopologies(&self.tasks),
            fingerprint: self.fingerprint.clone(),
            transactional_ids,
            lags,
            ..MemberRecord::default()
        }
    }
}

/// The sub-topologies whose tasks these are.
fn subtopologies(tasks: &[PlannedTask]) -> BTreeMap<u32, SubtopologyRecord> {
    let mut parts: BTreeMap<u32, SubtopologyRecord> = BTreeMap::new();
    for task in tasks {
        let part = parts.entry(task.id.subtopology).or_default();
        part.stateful |= task.stateful;
        for partition in &task.partitions {
            let count = part.topics.entry(partition.topic.to_string()).or_default();
            *count = (*count).max(partition.partition + 1);
        }
    }
    parts
}

/// Compares with the members that run, before anybody hears of this process.
fn check_fit(
    own: &MemberRecord,
    process: ProcessId,
    view: &View,
    admin: &dyn Admin,
    group: &str,
) -> Result<(), Error> {
    // What this process was before it was started anew does not run any more.
    let others = || view.members.iter().filter(|(other, _)| **other != process);
    if others().all(|(_, record)| record.left || conflicts(own, record).is_empty()) {
        return Ok(());
    }
    let members = match admin.group_members(group) {
        // Nobody can say who runs. The leader compares again.
        Err(error) if error.is_retriable() => return Ok(()),
        members => members?,
    };
    let members: BTreeSet<MemberId> =
        members.into_iter().map(|member| MemberId::new(member.member_id)).collect();
    let running = view.live(&members).filter(|(other, record)| {
        *other != process && view.refusal(*other, &record.member_id).is_none()
    });
    let reasons: BTreeSet<String> =
        running.flat_map(|(_, record)| conflicts(own, record)).collect();
    if reasons.is_empty() { Ok(()) } else { Err(refusal(reasons.iter())) }
}
