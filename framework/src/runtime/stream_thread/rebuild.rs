//! Damaged local state: the task that has it is begun anew, and the others go on.

use std::collections::BTreeMap;
use std::time::Duration;

use super::StreamThread;
use super::starting::StartingTask;
use crate::error::{Error, ErrorKind};
use crate::ids::TaskId;

/// A task whose state is damaged again and again within this time is on a disk that is failing.
const WITHIN: Duration = Duration::from_mins(10);
/// How often that is borne.
const MOST_TIMES: u32 = 5;

/// How often the state of which task has been deleted lately.
#[derive(Debug, Default)]
pub(super) struct Rebuilds(BTreeMap<TaskId, (u32, Duration)>);

impl Rebuilds {
    /// Notes another time; false: it is once too often.
    fn note(&mut self, id: TaskId, now: Duration) -> bool {
        let (times, since) = self.0.entry(id).or_insert((0, now));
        if now.saturating_sub(*since) > WITHIN {
            (*times, *since) = (0, now);
        }
        *times += 1;
        *times <= MOST_TIMES
    }
}

impl StreamThread {
    /// Deletes the local state of a task, because of this error, and starts the task anew: it is restored from its
    /// changelogs, and processes again what it had not committed. The thread's other tasks keep theirs. With
    /// exactly once what all of them have sent since the last commit is undone together.
    ///
    /// # Errors
    /// `Fatal` when this happens to the same task again and again.
    pub(super) fn rebuild(&mut self, id: TaskId, error: Error) -> Result<(), Error> {
        if self.producer.is_transactional() {
            self.roll_back()?;
        } else if let Some(place) = self.running.iter().position(|active| active.task.id == id) {
            let active = self.running.swap_remove(place);
            let grant = active.grant;
            self.close_unclean(active)?;
            // One that is to be released is done with.
            if !self.revoking.contains(&id) {
                self.starting.push(StartingTask::new(id, grant));
            }
        }
        self.delete_state(id, error)
    }

    /// Deletes the local state of a task that is closed, because of this error.
    pub(super) fn delete_state(&mut self, id: TaskId, error: Error) -> Result<(), Error> {
        if !self.rebuilds.note(id, self.shared.clock.monotonic()) {
            let message = format!(
                "local state was damaged {MOST_TIMES} times within {WITHIN:?}: the disk of the state folder \
                 may be failing"
            );
            return Err(Error::new(ErrorKind::Fatal, message).with_source(error).in_task(id));
        }
        tracing::warn!(
            task = %id,
            error = error.report(),
            "local state is deleted and restored from the changelog"
        );
        self.shared.metrics.state_deletions().inc();
        self.shared.stores.delete(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_again_and_again_is_borne_for_a_while() {
        let (id, other) =
            (TaskId { subtopology: 0, partition: 1 }, TaskId { subtopology: 0, partition: 2 });
        let mut rebuilds = Rebuilds::default();
        for minute in 0..5 {
            assert!(rebuilds.note(id, Duration::from_mins(minute)));
        }
        assert!(!rebuilds.note(id, Duration::from_mins(6)));
        assert!(rebuilds.note(other, Duration::from_mins(6)));
        assert!(rebuilds.note(id, Duration::from_mins(11)));
    }
}
