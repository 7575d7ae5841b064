//! What a process does beside its tasks: it tells the group about itself, and deletes state that it does not
//! need any more.

use std::collections::BTreeMap;

use super::{Control, UNKNOWN_LAG};
use crate::error::Error;
use crate::ids::TaskId;
use crate::runtime::membership::MemberReport;

impl Control {
    /// Deletes the state of tasks that have long been elsewhere.
    pub(super) fn clean_up(&self) {
        let delay = self.shared.config.state_cleanup_delay;
        let now_ms = self.shared.clock.now_ms();
        match self.shared.stores.delete_idle(now_ms, delay, |task| self.tasks.has(task)) {
            Ok(deleted) if deleted.is_empty() => {}
            Ok(deleted) => {
                let tasks: Vec<_> = deleted.iter().map(ToString::to_string).collect();
                tracing::info!(tasks = tasks.join(" "), "unused local state was deleted");
            }
            Err(error) => {
                tracing::warn!(error = error.report(), "unused local state could not be deleted");
            }
        }
    }

    /// Tells the group what has changed.
    pub(super) fn report(&mut self) -> Result<(), Error> {
        let exactly_once = self.shared.config.is_exactly_once();
        let report = MemberReport {
            threads: self.workers.values().filter(|worker| !worker.retiring).count(),
            transactional_ids: self
                .workers
                .values()
                .filter(|_| exactly_once)
                .map(|worker| self.shared.transactional_id(&worker.name))
                .collect(),
            lags: self.lags()?,
        };
        if self.reported.as_ref() != Some(&report) {
            self.shared.membership.report(&report)?;
            self.reported = Some(report);
        }
        Ok(())
    }

    /// How many changelog records the state on this process's disk lacks, as far as that is known. It is looked
    /// at when tasks have come or gone.
    fn lags(&mut self) -> Result<BTreeMap<TaskId, u64>, Error> {
        let on_threads = self.tasks.on_threads();
        if let Some((then, lags)) = &self.state
            && *then == on_threads
        {
            return Ok(lags.clone());
        }
        let local = self.shared.stores.local_tasks()?.into_iter();
        let lag = |task| if on_threads.contains(&task) { 0 } else { UNKNOWN_LAG };
        let lags: BTreeMap<_, _> = local.map(|task| (task, lag(task))).collect();
        self.state = Some((on_threads, lags.clone()));
        Ok(lags)
    }
}
