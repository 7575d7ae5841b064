//! When a thread commits, and in whose name.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::presence::{Confirmed, has_rows_under_way, identity};
use super::{StreamThread, ThreadEvent};
use crate::error::{Error, ErrorKind};
use crate::ids::TopicPartition;
use crate::runtime::commit::{Commit, InputOffsets};
use crate::runtime::pulse::Absences;

/// After a commit that the broker did not answer, or the group between two generations, the next one waits so
/// long.
const COMMIT_PAUSE: Duration = Duration::from_millis(100);

impl StreamThread {
    pub(super) fn commit_if_due(
        &mut self,
        now: Duration,
        has_processed: bool,
    ) -> Result<(), Error> {
        let requested = self.running.iter().any(|active| active.task.commit_requested());
        let interval = self.shared.config.effective_commit_interval();
        let due = now.saturating_sub(self.last_commit) >= interval;
        let wanted = requested || due || self.is_full || !self.revoking.is_empty();
        if wanted && now >= self.commit_again {
            let committed = self.try_commit().inspect_err(|error| {
                if error.kind() == ErrorKind::Retriable {
                    self.commit_again = self.shared.clock.monotonic() + COMMIT_PAUSE;
                }
            })?;
            if committed {
                // From its end on: a commit that takes longer than the interval would leave no time to process
                // between it and the next.
                self.last_commit = self.shared.clock.monotonic();
                self.release_revoked()?;
            } else if !self.revoking.is_empty() && now >= self.revoking_until {
                self.give_up_revoked()?;
            }
        } else if has_processed {
            self.bound_memory()?;
        }
        Ok(())
    }

    /// Empties the record cache when it is full, and commits early when uncommitted rows take too much
    /// memory.
    pub(super) fn bound_memory(&mut self) -> Result<(), Error> {
        let config = &self.shared.config;
        let uncommitted = self.uncommitted_bytes();
        if uncommitted > config.statestore_uncommitted_max_bytes {
            self.try_commit()?;
            return Ok(());
        }
        let cache =
            config.statestore_cache_max_bytes / self.shared.threads.load(Ordering::Relaxed).max(1);
        if self.shared.link.record_cache && uncommitted.saturating_sub(self.flushed_bytes) > cache {
            for active in &mut self.running {
                active.task.flush_caches()?;
            }
            self.flushed_bytes = uncommitted;
        }
        Ok(())
    }

    fn uncommitted_bytes(&self) -> usize {
        self.running.iter().map(|active| active.task.uncommitted_bytes()).sum()
    }

    /// Commits all tasks, and holds them up if they may not and have too much uncommitted: those that wait for nothing
    /// would go on without end.
    fn try_commit(&mut self) -> Result<bool, Error> {
        let committed = self.commit();
        self.is_full = !matches!(committed, Ok(true))
            && self.uncommitted_bytes() > self.shared.config.statestore_uncommitted_max_bytes;
        committed
    }

    /// Commits all tasks; false: not now, because calls are in flight, or because the group does not say who
    /// this process is.
    pub(super) fn commit(&mut self) -> Result<bool, Error> {
        if !self.running.iter().any(|active| active.task.needs_commit()) {
            return Ok(true);
        }
        let now = self.shared.clock.monotonic();
        let mut is_ready = true;
        for active in &mut self.running {
            is_ready &= active.task.ready_to_commit(now)?;
        }
        let grants: Vec<_> =
            self.running.iter().map(|active| (active.task.id, active.grant)).collect();
        if !is_ready || identity(&self.shared, &grants)?.is_none() {
            return Ok(false);
        }
        let transactional = self.producer.is_transactional();
        let confirmed = if transactional { None } else { Some(self.confirm_presence(now)?) };
        let Self { shared, running, producer, progress, presence, .. } = self;
        let started = shared.clock.monotonic();
        let mut reached = None;
        let until = presence.lasts_until(shared.config.heartbeat_interval);
        let confirmed =
            confirmed.map(|absences| Confirmed { shared, grants: &grants, absences, until });
        let mut as_member = |offsets| {
            let asked = shared.clock.monotonic();
            shared.membership.commit(&offsets)?;
            presence.committed(offsets, asked);
            Ok(())
        };
        let mut in_transaction = || {
            let identity = identity(shared, &grants)?;
            identity.ok_or_else(|| {
                let message = "the group does not count this process at the moment";
                Error::new(ErrorKind::TransactionAborted, message)
            })
        };
        let commit = Commit {
            now_ms: shared.clock.now_ms(),
            input_offsets: if transactional {
                InputOffsets::ExactlyOnce(&mut in_transaction)
            } else {
                InputOffsets::AtLeastOnce(&mut as_member)
            },
            producer: producer.shared(),
            between: &mut |step| {
                reached = Some(step);
                confirmed.as_ref().map_or(Ok(()), |confirmed| confirmed.check(step))
            },
            waiting: &|| progress.check_in(shared.clock.monotonic()),
        };
        let result = commit.run(running.iter_mut().map(|active| &mut active.task));
        if result.is_err() && reached.is_some_and(has_rows_under_way) {
            presence.doubt();
        }
        result?;
        producer.committed();
        self.note_committed(started);
        Ok(true)
    }

    /// Notes a commit that began at this time: for the record cache, the metrics, and the deletion of what has been read
    /// of repartition topics.
    fn note_committed(&mut self, started: Duration) {
        self.flushed_bytes = 0;
        let took = self.shared.clock.monotonic().saturating_sub(started);
        self.metrics.commits.inc();
        self.metrics.commit_duration.observe(took.as_secs_f64());
        for queue in self.running.iter().flat_map(|active| active.task.group.queues()) {
            if let Some(offset) = queue.consumed {
                self.shared.purge.note_committed(&queue.partition, offset);
            }
        }
    }

    /// Asks the group, if it has not been heard lately, or the process has been away or could not commit, whether it still
    /// counts it; gives the absences until now.
    fn confirm_presence(&mut self, now: Duration) -> Result<Absences, Error> {
        let running = &self.running;
        let has = |wanted: &TopicPartition| {
            let mut queues = running.iter().flat_map(|active| active.task.group.queues());
            queues.any(|queue| queue.partition == *wanted)
        };
        let absences = self.shared.pulse.beat(now);
        let time = (now, self.shared.config.heartbeat_interval);
        self.presence.confirm(absences, time, &*self.shared.membership, has)?;
        Ok(absences)
    }

    /// Closes the tasks that are to be released; all of them are committed.
    pub(super) fn release_revoked(&mut self) -> Result<(), Error> {
        if self.revoking.is_empty() {
            return Ok(());
        }
        self.publish();
        let (revoked, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.running)
            .into_iter()
            .partition(|active| self.revoking.contains(&active.task.id));
        self.running = kept;
        for mut active in revoked {
            self.consumer.unassign(&active.slots)?;
            active.task.stop();
            active.task.flush_stores()?;
        }
        self.reports.send(ThreadEvent::Released(std::mem::take(&mut self.revoking)));
        Ok(())
    }

    /// Closes the tasks that are to be released, although they could not be committed: their next owner does
    /// again what they have done since the last commit.
    pub(super) fn give_up_revoked(&mut self) -> Result<(), Error> {
        tracing::warn!(
            "tasks were to be given up and could not be committed in time; their work is lost"
        );
        // One producer is for all tasks: what is under way is dropped by all, or by none.
        if self.producer.is_transactional() || self.presence.is_doubted() {
            return self.roll_back();
        }
        let (revoked, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.running)
            .into_iter()
            .partition(|active| self.revoking.contains(&active.task.id));
        self.running = kept;
        for active in revoked {
            self.close_unclean(active)?;
        }
        self.reports.send(ThreadEvent::Released(std::mem::take(&mut self.revoking)));
        Ok(())
    }
}
