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

mod enrolment;
mod machine;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::machine::{Machine, Standing};
use super::ids::MemberId;
use super::{MemberReport, Membership, MembershipEvent};
use crate::broker::{BrokerErrorKind, CommittedOffset, GroupEvent, GroupMember, GroupMetadata};
use crate::error::{Error, ErrorKind};
use crate::ids::{TaskId, TopicPartition};
use crate::runtime::commit::Offsets;

pub(crate) use enrolment::{Enrolment, PlannedTask};

/// How long one wait for the group lasts, so that the log is looked at as well.
const SLICE: Duration = Duration::from_millis(20);

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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LogMembership {
    /// Reads the coordination topic, which is there, and joins the group.
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
        machine.arrive()?;
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
                machine.topics_due = Some(Duration::ZERO);
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

    /// Joins the group after it was left.
    fn subscribe(&self, machine: &mut Machine) -> Result<(), Error> {
        if !machine.subscribed {
            self.member.subscribe(&machine.subscription)?;
            machine.subscribed = true;
        }
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
                machine.begin_life(id);
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
        let Some(id) = lock(&self.identity).id.clone() else { return Err(self.not_counted()) };
        match self.member.metadata() {
            Some(metadata) if metadata.member_id == id.as_str() => {}
            Some(_) => return Err(self.not_counted()),
            // It is asked again: if its membership is lost, an event says so.
            None => {
                let message = "the group does not say at the moment who this process is";
                return Err(Error::new(ErrorKind::Retriable, message));
            }
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
