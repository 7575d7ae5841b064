//! The runtime: tasks, threads, commit, restore, membership.

pub(crate) mod task;
