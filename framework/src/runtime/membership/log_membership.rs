//! Membership by a leader's assignment in the coordination log; the module above says how it works.
//!
//! One thread polls. A *pass* takes what the others ask for, listens to the group, reads the log, follows the
//! assignment, says what is new, and leads if it is this process that leads. Group events are answered at
//! once: tasks keep running while the group finds a new generation, and nobody waits for a slow task.
//!
//! ```text
//!             counted by the group            its record may be written
//!   Outside ─────────────────────► Arrived ─────────────────────────────► Member
//!      ▲ ▲                            ▲                                      │
//!      │ └──── rejoin ──── Lost ──────┘ rejoin, if it is counted again       │
//!      │                     ▲                                               │
//!      │                     └── dropped by the group, or its tasks given away, while it had some
//!      └──────────────────────── dropped while it had none ──────────────────┘
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::assignor::Settings;
use super::compatible::conflicts;
use super::ids::{MemberId, ProcessId};
use super::leader::{LeaderSettings, refusal};
use super::leadership::{Leadership, Surroundings};
use super::log::{LogReader, LogWriter, changed_topics, partition_of, prepare};
use super::member::Member;
use super::messages::{Key, MemberRecord, ReleasedRecord, SubtopologyRecord, write};
use super::view::View;
use super::{MemberReport, Membership, MembershipEvent};
use crate::broker::{
    Admin, Broker, BrokerErrorKind, CommittedOffset, GroupEvent, GroupMember, GroupMetadata,
    GroupSettings,
};
use crate::error::{Error, ErrorKind};
use crate::ids::{TaskId, TopicPartition};
use crate::runtime::commit::Offsets;
use crate::time::Clock;

/// How long one wait for the group lasts, so that the log is looked at as well.
const SLICE: Duration = Duration::from_millis(20);
/// A record that does not show in the log for so long is written again.
const WRITE_AGAIN: Duration = Duration::from_secs(10);
/// How often lags alone are worth a record.
const LAG_INTERVAL: Duration = Duration::from_secs(5);
/// How long a write may hold up the loop.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(50);
/// How long the last record may take; the others notice by themselves that a member has gone.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(5);
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
    /// Copies of the coordination topic.
    pub(crate) replication_factor: i32,
    /// What the process says of itself when it joins; above all which state it has on disk.
    pub(crate) report: MemberReport,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct LogMembership {
    group: String,
    member: Arc<dyn GroupMember>,
    /// Who this process is, for those who commit. Guards two words; held for moments.
    identity: Mutex<Identity>,
    /// What other threads ask for. Held for moments.
    requests: Mutex<Requests>,
    /// The machine. Held for a pass; contended only by `rejoin` and `leave`.
    machine: Mutex<Machine>,
}

#[derive(Debug, Default)]
struct Identity {
    /// The life that the process's tasks were granted to.
    id: Option<MemberId>,
    /// Between two generations the group may say of a member that it counts that it does not know it.
    between_generations: bool,
}

#[derive(Debug, Default)]
struct Requests {
    released: BTreeSet<TaskId>,
    report: Option<MemberReport>,
    /// All instances are to stop.
    shutdown: bool,
}

#[derive(Debug)]
struct Machine {
    admin: Arc<dyn Admin>,
    clock: Arc<dyn Clock>,
    process: ProcessId,
    group: String,
    log: TopicPartition,
    /// What the group's members subscribe to.
    subscription: Vec<String>,
    /// Whether the process wants to be in the group.
    subscribed: bool,
    /// The source topics with their numbers of partitions.
    topics: BTreeMap<String, i32>,
    /// Since the last look at the topics there was a new generation.
    topics_due: bool,
    reader: LogReader,
    writer: LogWriter,
    view: View,
    leadership: Leadership,
    standing: Standing,
    /// What the process says of itself.
    own: MemberRecord,
    /// The last record of its own that was written and does not show yet, and when.
    said: Option<(MemberRecord, Duration)>,
    /// When the process's record was written last.
    spoke_at: Option<Duration>,
    /// Releases that do not show in the log yet, and when they were written.
    releases: BTreeMap<TaskId, (ReleasedRecord, Option<Duration>)>,
    /// Earlier lives of this process.
    past: BTreeSet<MemberId>,
    events: VecDeque<MembershipEvent>,
}

#[derive(Debug)]
enum Standing {
    /// The group does not count it.
    Outside,
    /// The group counts it, and nobody knows of it yet.
    Arrived(MemberId),
    Member(Member),
    /// What it had is lost, and `rejoin` is awaited.
    Lost {
        /// The group has asked; the answer makes it join again.
        asked: bool,
        /// The life that it has begun already.
        counted: Option<MemberId>,
    },
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LogMembership {
    /// Makes the coordination topic if it is missing, reads it, and joins the group.
    ///
    /// # Errors
    /// `Config`, with a list, if this process's topology does not fit that of the members that run; they are
    /// not disturbed.
    pub(crate) fn join(enrolment: Enrolment) -> Result<Self, Error> {
        let member = enrolment.broker.group_member(&enrolment.group)?;
        let group = enrolment.group.group_id.clone();
        let machine = Machine::new(enrolment)?;
        member.subscribe(&machine.subscription)?;
        Ok(Self {
            group,
            member,
            identity: Mutex::default(),
            requests: Mutex::default(),
            machine: Mutex::new(machine),
        })
    }

    /// One pass; true: there may be more to do at once.
    fn pass(&self, machine: &mut Machine, wait: Duration) -> Result<bool, Error> {
        let requests = std::mem::take(&mut *lock(&self.requests));
        machine.take(requests);
        let event = self.member.poll(wait)?;
        let mut progress = event.is_some();
        if let Some(event) = event {
            self.group_event(machine, event)?;
        }
        progress |= machine.read()?;
        self.arrive(machine)?;
        machine.check_topics()?;
        machine.follow();
        self.publish_identity(machine);
        machine.say()?;
        progress |= machine.lead(&*self.member)?;
        Ok(progress)
    }

    fn group_event(&self, machine: &mut Machine, event: GroupEvent) -> Result<(), Error> {
        match event {
            GroupEvent::Assigned(partitions) => {
                self.member.acknowledge()?;
                machine.topics_due = true;
                if let Some(metadata) = self.member.metadata() {
                    machine.counted(MemberId::new(metadata.member_id));
                    if partitions.contains(&machine.log) {
                        machine.leadership.begin(metadata.generation);
                    }
                }
                lock(&self.identity).between_generations = false;
            }
            GroupEvent::Revoked(_) => {
                // ORDER: whoever leads stops before the group can have another leader.
                machine.leadership.end();
                lock(&self.identity).between_generations = true;
                self.member.acknowledge()?;
            }
            GroupEvent::Lost(_) => {
                machine.leadership.end();
                lock(&self.identity).id = None;
                if machine.dropped() {
                    self.member.acknowledge()?;
                }
            }
        }
        self.publish_identity(machine);
        Ok(())
    }

    /// Lets those who commit know who this process is.
    fn publish_identity(&self, machine: &Machine) {
        let id = match &machine.standing {
            Standing::Member(member) => Some(member.id().clone()),
            Standing::Outside | Standing::Arrived(_) | Standing::Lost { .. } => None,
        };
        lock(&self.identity).id = id;
    }

    /// A process that the group counts becomes a member, unless another one goes by its name.
    fn arrive(&self, machine: &mut Machine) -> Result<(), Error> {
        let Standing::Arrived(id) = &machine.standing else { return Ok(()) };
        let before = machine.view.members.get(&machine.process);
        let stranger = before.filter(|record| {
            !record.left && record.member_id != *id && !machine.past.contains(&record.member_id)
        });
        if let Some(stranger) = stranger {
            // One that has died is not of this generation: nobody is until all have joined or are dropped.
            let members = machine.admin.group_members(&self.group);
            let members = match members {
                Err(error) if error.is_retriable() => return Ok(()),
                members => members?,
            };
            if members.iter().any(|member| member.member_id == stranger.member_id.as_str()) {
                return Err(twin(machine.process));
            }
        }
        let id = id.clone();
        machine.own.member_id = id.clone();
        machine.standing = Standing::Member(Member::new(machine.process, id));
        Ok(())
    }

    fn leave_group(&self, machine: &mut Machine) -> Result<(), Error> {
        machine.leadership.end();
        machine.forget_life();
        machine.standing = Standing::Outside;
        self.publish_identity(machine);
        machine.subscribed = false;
        Ok(self.member.leave()?)
    }

    /// Joins the group after it was left.
    fn subscribe(&self, machine: &mut Machine) -> Result<(), Error> {
        if !machine.subscribed {
            self.member.subscribe(&machine.subscription)?;
            machine.subscribed = true;
        }
        Ok(())
    }

    /// What a member says to the group's refusal to count it.
    fn not_counted(&self) -> Error {
        let message =
            format!("group {} does not count this process as the owner of its tasks", self.group);
        Error::new(ErrorKind::TaskMigrated, message)
    }
}

impl Membership for LogMembership {
    fn poll(&self, timeout: Duration) -> Result<Option<MembershipEvent>, Error> {
        let mut left = timeout;
        let mut busy = false;
        loop {
            let mut machine = lock(&self.machine);
            if let Some(event) = machine.events.pop_front() {
                return Ok(Some(event));
            }
            let wait = if busy { Duration::ZERO } else { left.min(SLICE) };
            busy = self.pass(&mut machine, wait)?;
            if let Some(event) = machine.events.pop_front() {
                return Ok(Some(event));
            }
            if left.is_zero() {
                return Ok(None);
            }
            // A busy pass counts as well, so that this ends.
            left = left.saturating_sub(wait.max(Duration::from_millis(1)));
        }
    }

    fn release(&self, tasks: &BTreeSet<TaskId>) -> Result<(), Error> {
        lock(&self.requests).released.extend(tasks);
        Ok(())
    }

    fn rejoin(&self) -> Result<(), Error> {
        let mut machine = lock(&self.machine);
        lock(&self.requests).released.clear();
        machine.events.clear();
        match &machine.standing {
            Standing::Outside | Standing::Arrived(_) => self.subscribe(&mut machine),
            Standing::Lost { asked: true, .. } => {
                machine.forget_life();
                machine.standing = Standing::Outside;
                Ok(self.member.acknowledge()?)
            }
            Standing::Lost { counted: Some(id), .. } => {
                let id = id.clone();
                machine.forget_life();
                machine.standing = Standing::Arrived(id);
                Ok(())
            }
            Standing::Lost { .. } | Standing::Member(_) => {
                self.leave_group(&mut machine)?;
                self.subscribe(&mut machine)
            }
        }
    }

    fn report(&self, report: &MemberReport) -> Result<(), Error> {
        lock(&self.requests).report = Some(report.clone());
        Ok(())
    }

    fn shut_down_application(&self) -> Result<(), Error> {
        lock(&self.requests).shutdown = true;
        Ok(())
    }

    fn metadata(&self) -> Option<GroupMetadata> {
        let id = lock(&self.identity).id.clone()?;
        // KAFKA: a member without partitions is expelled and joins again without being told; its new life
        // has none of the old one's tasks.
        self.member.metadata().filter(|metadata| metadata.member_id == id.as_str())
    }

    fn commit(&self, offsets: &Offsets) -> Result<(), Error> {
        if self.metadata().is_none() {
            return Err(self.not_counted());
        }
        match self.member.commit(offsets) {
            Ok(()) => Ok(()),
            Err(error)
                if error.kind() == BrokerErrorKind::NotAMember
                    && lock(&self.identity).between_generations =>
            {
                let message = "the group is between two generations";
                Err(Error::new(ErrorKind::Retriable, message).with_source(error))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn committed(
        &self,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<Vec<Option<CommittedOffset>>, Error> {
        Ok(self.member.committed(partitions, timeout)?)
    }

    fn leave(&self) -> Result<(), Error> {
        let mut machine = lock(&self.machine);
        let requests = std::mem::take(&mut *lock(&self.requests));
        machine.take(requests);
        machine.events.clear();
        let farewell = machine.say_farewell();
        let left = self.leave_group(&mut machine);
        farewell.and(left)
    }
}

impl Machine {
    fn new(enrolment: Enrolment) -> Result<Self, Error> {
        let Enrolment { broker, admin, clock, group, process_id, tasks, .. } = enrolment;
        let log = partition_of(&group.group_id);
        prepare(&*admin, &log, enrolment.replication_factor)?;
        let subtopologies = subtopologies(&tasks);
        let topics: BTreeMap<String, i32> =
            subtopologies.values().flat_map(|part| part.topics.clone()).collect();
        let MemberReport { threads, transactional_ids, lags } = enrolment.report;
        let own = MemberRecord {
            threads,
            http: enrolment.http,
            tags: enrolment.tags,
            subtopologies,
            fingerprint: enrolment.fingerprint,
            transactional_ids,
            lags,
            ..MemberRecord::default()
        };
        let process = ProcessId::new(process_id);
        let mut reader = LogReader::open(&*broker, &log, &group.client_id)?;
        let mut view = View::default();
        reader.read_to_end(&*admin, &log, &mut view)?;
        check_fit(&own, process, &view, &*admin, &group.group_id)?;
        let grace = group.heartbeat_interval * GRACE_HEARTBEATS;
        let settings = LeaderSettings {
            assignor: Settings::default(),
            silence_grace: grace,
            return_grace: grace.min(group.session_timeout),
            release_patience: group.max_poll_interval,
            forget_after: FORGET_AFTER,
            transactions_end: TRANSACTIONS_END,
        };
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
            group: group.group_id,
            log,
            topics,
            topics_due: false,
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

    /// Takes what the process has done and what it says of itself.
    fn take(&mut self, requests: Requests) {
        if let Standing::Member(member) = &mut self.standing {
            let released = member.release(&requests.released).into_iter();
            self.releases.extend(released.map(|(task, record)| (task, (record, None))));
        }
        self.own.shutdown |= requests.shutdown;
        if let Some(MemberReport { threads, transactional_ids, lags }) = requests.report {
            self.own = MemberRecord { threads, transactional_ids, lags, ..self.own.clone() };
        }
    }

    /// The group counts the process, as this member.
    fn counted(&mut self, id: MemberId) {
        match &mut self.standing {
            Standing::Member(member) if *member.id() == id => {}
            Standing::Member(member) if member.has_anything() => {
                self.lose(Some(id));
            }
            Standing::Lost { counted, .. } => *counted = Some(id),
            Standing::Member(_) | Standing::Outside | Standing::Arrived(_) => {
                self.forget_life();
                self.standing = Standing::Arrived(id);
            }
        }
    }

    /// The group has dropped the process; true: there is nothing to lose, and it may join again at once.
    fn dropped(&mut self) -> bool {
        match &mut self.standing {
            Standing::Member(member) if member.has_anything() => {
                self.lose(None);
                if let Standing::Lost { asked, .. } = &mut self.standing {
                    *asked = true;
                }
                false
            }
            Standing::Lost { asked, .. } => {
                *asked = true;
                false
            }
            Standing::Member(_) | Standing::Outside | Standing::Arrived(_) => {
                self.forget_life();
                self.standing = Standing::Outside;
                true
            }
        }
    }

    fn lose(&mut self, counted: Option<MemberId>) {
        self.events.clear();
        self.events.push_back(MembershipEvent::Lost);
        self.forget_life();
        self.standing = Standing::Lost { asked: false, counted };
    }

    /// What the present life has written is no longer of use.
    fn forget_life(&mut self) {
        if let Standing::Member(member) = &self.standing {
            self.past.insert(member.id().clone());
        }
        self.releases.clear();
        self.said = None;
        self.spoke_at = None;
    }

    fn read(&mut self) -> Result<bool, Error> {
        let keys = self.reader.read(&mut self.view)?;
        if let Standing::Member(member) = &self.standing
            && let Some(reasons) = self.view.refusal(self.process, member.id())
        {
            return Err(refusal(reasons.iter()));
        }
        for key in &keys {
            // What was asked for before this process began was for others.
            if let Key::Member(process) = key
                && *process != self.process
                && self.view.members.get(process).is_some_and(|record| record.shutdown)
            {
                self.events.push_back(MembershipEvent::ShutdownRequested(process.to_string()));
            }
        }
        Ok(!keys.is_empty())
    }

    /// After each new generation: a topic that has changed its size is one reason for it.
    fn check_topics(&mut self) -> Result<(), Error> {
        if !std::mem::take(&mut self.topics_due) {
            return Ok(());
        }
        let changed = match changed_topics(&self.topics, &*self.admin) {
            Err(error) if error.is_retriable() => {
                self.topics_due = true;
                return Ok(());
            }
            changed => changed?,
        };
        if changed.is_empty() {
            return Ok(());
        }
        let message = format!(
            "source topics have changed while the application ran:\n  {}\n\
             A task is bound to a partition, and keys of a larger topic go to other partitions. Stop all instances and \
             start them again; if the application has state, its internal topics have to get the same number of \
             partitions, or the application has to begin anew under another application id",
            changed.join("\n  ")
        );
        Err(Error::new(ErrorKind::Config, message))
    }

    fn follow(&mut self) {
        let Standing::Member(member) = &mut self.standing else { return };
        for event in member.follow(&self.view.assignment) {
            match event {
                MembershipEvent::Lost => return self.lose(None),
                MembershipEvent::Assigned(mut assignment) => {
                    // They are in use here.
                    let own = &self.own.transactional_ids;
                    assignment.orphaned_transactions.retain(|id| !own.contains(id));
                    self.events.push_back(MembershipEvent::Assigned(assignment));
                }
                other @ (MembershipEvent::Revoked(_) | MembershipEvent::ShutdownRequested(_)) => {
                    self.events.push_back(other);
                }
            }
        }
    }

    /// Writes what the log does not show yet.
    fn say(&mut self) -> Result<(), Error> {
        if !matches!(self.standing, Standing::Member(_)) {
            return Ok(());
        }
        let now = self.clock.monotonic();
        let mut wrote = self.say_self(now)?;
        let (view, writer) = (&self.view, &mut self.writer);
        self.releases.retain(|task, (record, _)| view.released.get(task) != Some(record));
        for (task, (record, written)) in &mut self.releases {
            if written.is_none_or(|at| now.saturating_sub(at) >= WRITE_AGAIN) {
                writer.put(Key::Released(*task), &write(record)?)?;
                *written = Some(now);
                wrote = true;
            }
        }
        if wrote { self.writer.flush(FLUSH_TIMEOUT) } else { self.writer.poll() }
    }

    fn say_self(&mut self, now: Duration) -> Result<bool, Error> {
        let shown = self.view.members.get(&self.process);
        if shown == Some(&self.own) {
            self.said = None;
            return Ok(false);
        }
        let since = |at: Duration| now.saturating_sub(at);
        let last = self.said.as_ref().map(|(record, _)| record).or(shown);
        let only_lags = last.is_some_and(|last| {
            MemberRecord { lags: self.own.lags.clone(), ..last.clone() } == self.own
        });
        let waits = match &self.said {
            Some((said, at)) if *said == self.own => since(*at) < WRITE_AGAIN,
            _ => only_lags && self.spoke_at.is_some_and(|at| since(at) < LAG_INTERVAL),
        };
        if waits {
            return Ok(false);
        }
        self.writer.put(Key::Member(self.process), &write(&self.own)?)?;
        self.said = Some((self.own.clone(), now));
        self.spoke_at = Some(now);
        Ok(true)
    }

    /// Everything is released: the others need not wait for the group to notice.
    fn say_farewell(&mut self) -> Result<(), Error> {
        if !matches!(self.standing, Standing::Member(_)) {
            return Ok(());
        }
        let last = MemberRecord { left: true, ..self.own.clone() };
        self.writer.put(Key::Member(self.process), &write(&last)?)?;
        self.writer.flush(FAREWELL_TIMEOUT)
    }

    fn lead(&mut self, member: &dyn GroupMember) -> Result<bool, Error> {
        let Standing::Member(this) = &self.standing else { return Ok(false) };
        self.leadership.step(&Surroundings {
            reader: &self.reader,
            view: &self.view,
            member,
            process: self.process,
            member_id: this.id(),
            now: self.clock.monotonic(),
        })
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
    let members = admin.group_members(group)?.into_iter();
    let members: BTreeSet<MemberId> =
        members.map(|member| MemberId::new(member.member_id)).collect();
    let running = view.live(&members).filter(|(other, record)| {
        *other != process && view.refusal(*other, &record.member_id).is_none()
    });
    let reasons: BTreeSet<String> =
        running.flat_map(|(_, record)| conflicts(own, record)).collect();
    if reasons.is_empty() { Ok(()) } else { Err(refusal(reasons.iter())) }
}

fn twin(process: ProcessId) -> Error {
    let message = format!(
        "another running instance has the process id {process} of this state folder: the folder is a copy of the other \
         one's; give each instance a folder of its own, and delete the file process-id in this one"
    );
    Error::new(ErrorKind::Config, message)
}
