//! What one pass does beside listening to the group: it reads and follows the log, writes what the log does
//! not show yet, and leads.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::super::ids::{MemberId, ProcessId};
use super::super::leader::refusal;
use super::super::leadership::{Leadership, Surroundings};
use super::super::log::{LogReader, LogWriter, changed_topics};
use super::super::member::Member;
use super::super::messages::{Key, MemberRecord, ReleasedRecord, write};
use super::super::view::View;
use super::super::{MemberReport, MembershipEvent};
use super::Requests;
use crate::broker::{Admin, GroupMember};
use crate::error::{Error, ErrorKind};
use crate::ids::{TaskId, TopicPartition};
use crate::time::Clock;

/// A record that does not show in the log for so long is written again.
const WRITE_AGAIN: Duration = Duration::from_secs(10);
/// How often the group is asked whether an earlier life of the process is still in it, and after which time topics are
/// asked about again. Others wait for this process while it asks.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How often lags alone are worth a record.
const LAG_INTERVAL: Duration = Duration::from_secs(5);
/// How long a write may hold up the loop.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(50);
/// How long the last record may take; the others notice by themselves that a member has gone.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Machine {
    pub(super) admin: Arc<dyn Admin>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) process: ProcessId,
    pub(super) group: String,
    pub(super) session_timeout: Duration,
    pub(super) log: TopicPartition,
    /// What the group's members subscribe to.
    pub(super) subscription: Vec<String>,
    /// Whether the process wants to be in the group.
    pub(super) subscribed: bool,
    /// The source topics with their numbers of partitions.
    pub(super) topics: BTreeMap<String, i32>,
    /// When to look at the topics, if since the last look there was a new generation.
    pub(super) topics_due: Option<Duration>,
    pub(super) reader: LogReader,
    pub(super) writer: LogWriter,
    pub(super) view: View,
    pub(super) leadership: Leadership,
    pub(super) standing: Standing,
    /// What the process says of itself.
    pub(super) own: MemberRecord,
    /// The last record of its own that was written and does not show yet, and when.
    pub(super) said: Option<(MemberRecord, Duration)>,
    /// When the process's record was written last.
    pub(super) spoke_at: Option<Duration>,
    /// Releases that do not show in the log yet, and when they were written.
    pub(super) releases: BTreeMap<TaskId, (ReleasedRecord, Option<Duration>)>,
    /// Earlier lives of this process.
    pub(super) past: BTreeSet<MemberId>,
    pub(super) events: VecDeque<MembershipEvent>,
}

/// A process that the group has just counted.
#[derive(Debug)]
pub(super) struct Arrival {
    id: MemberId,
    since: Duration,
    /// When the group was asked last whether an earlier life of the process is still in it.
    asked: Option<Duration>,
}

#[derive(Debug)]
pub(super) enum Standing {
    /// The group does not count it.
    Outside,
    /// The group counts it, and nobody knows of it yet.
    Arrived(Arrival),
    Member(Member),
    /// What it had is lost, and `rejoin` is awaited.
    Lost {
        /// The group has asked; the answer makes it join again.
        asked: bool,
        /// The life that it has begun already.
        counted: Option<MemberId>,
    },
}

impl Machine {
    /// Takes what the process has done and what it says of itself.
    pub(super) fn take(&mut self, requests: Requests) {
        if let Standing::Member(member) = &mut self.standing {
            let released = member.release(&requests.released).into_iter();
            self.releases.extend(released.map(|(task, record)| (task, (record, None))));
        }
        self.own.shutdown |= requests.shutdown;
        if let Some(MemberReport { threads, transactional_ids, lags }) = requests.report {
            self.own = MemberRecord { threads, transactional_ids, lags, ..self.own.clone() };
        }
    }

    /// A process that the group counts becomes a member, once no earlier life of it is in the group: one that
    /// has died is, for up to a session. One that stays is another process with a copy of the folder.
    pub(super) fn arrive(&mut self) -> Result<(), Error> {
        let now = self.clock.monotonic();
        let Standing::Arrived(arrival) = &mut self.standing else { return Ok(()) };
        let before = self.view.members.get(&self.process);
        let stranger = before.filter(|record| {
            !record.left && record.member_id != arrival.id && !self.past.contains(&record.member_id)
        });
        if let Some(stranger) = stranger {
            if arrival.asked.is_some_and(|at| now.saturating_sub(at) < ASK_AGAIN) {
                return Ok(());
            }
            arrival.asked = Some(now);
            let members = match self.admin.group_members(&self.group) {
                Err(error) if error.is_retriable() => return Ok(()),
                members => members?,
            };
            if members.iter().any(|member| member.member_id == stranger.member_id.as_str()) {
                let patience = self.session_timeout * 2;
                let stays = now.saturating_sub(arrival.since) > patience;
                return if stays { Err(twin(self.process)) } else { Ok(()) };
            }
        }
        let id = arrival.id.clone();
        self.own.member_id = id.clone();
        self.standing = Standing::Member(Member::new(self.process, id));
        Ok(())
    }

    /// The group counts the process, as this member.
    pub(super) fn counted(&mut self, id: MemberId) {
        match &mut self.standing {
            Standing::Member(member) if *member.id() == id => {}
            Standing::Member(member) if member.has_anything() => {
                self.lose(Some(id));
            }
            Standing::Lost { counted, .. } => *counted = Some(id),
            // Whoever it had to wait for may have been dropped.
            Standing::Arrived(arrival) if arrival.id == id => arrival.asked = None,
            Standing::Member(_) | Standing::Outside | Standing::Arrived(_) => self.begin_life(id),
        }
    }

    pub(super) fn begin_life(&mut self, id: MemberId) {
        self.forget_life();
        let since = self.clock.monotonic();
        self.standing = Standing::Arrived(Arrival { id, since, asked: None });
    }

    /// The group has dropped the process; true: there is nothing to lose, and it may join again at once.
    pub(super) fn dropped(&mut self) -> bool {
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

    pub(super) fn lose(&mut self, counted: Option<MemberId>) {
        self.events.retain(|event| matches!(event, MembershipEvent::ShutdownRequested(_)));
        self.events.push_back(MembershipEvent::Lost);
        self.forget_life();
        self.standing = Standing::Lost { asked: false, counted };
    }

    /// What the present life has written is no longer of use.
    pub(super) fn forget_life(&mut self) {
        if let Standing::Member(member) = &self.standing {
            self.past.insert(member.id().clone());
        }
        self.releases.clear();
        self.said = None;
        self.spoke_at = None;
    }

    pub(super) fn read(&mut self) -> Result<bool, Error> {
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
    pub(super) fn check_topics(&mut self) -> Result<(), Error> {
        let now = self.clock.monotonic();
        if self.topics_due.take_if(|due| *due <= now).is_none() {
            return Ok(());
        }
        let changed = match changed_topics(&self.topics, &*self.admin) {
            Err(error) if error.is_retriable() => {
                self.topics_due = Some(self.clock.monotonic() + ASK_AGAIN);
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

    pub(super) fn follow(&mut self) {
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
    pub(super) fn say(&mut self) -> Result<(), Error> {
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

    pub(super) fn say_self(&mut self, now: Duration) -> Result<bool, Error> {
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
    pub(super) fn say_farewell(&mut self) -> Result<(), Error> {
        if !matches!(self.standing, Standing::Member(_)) {
            return Ok(());
        }
        let last = MemberRecord { left: true, ..self.own.clone() };
        self.writer.put(Key::Member(self.process), &write(&last)?)?;
        self.writer.flush(FAREWELL_TIMEOUT)
    }

    pub(super) fn lead(&mut self, member: &dyn GroupMember) -> Result<bool, Error> {
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

fn twin(process: ProcessId) -> Error {
    let message = format!(
        "another running instance has the process id {process} of this state folder: the folder is a copy of the other \
         one's; give each instance a folder of its own, and delete the file process-id in this one"
    );
    Error::new(ErrorKind::Config, message)
}
