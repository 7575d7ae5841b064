//! The runtime: tasks, threads, commit, restore, membership.

pub(crate) mod commit;
pub(crate) mod task;
