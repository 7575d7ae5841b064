//! The program as its user runs it, against an independent count of the same log.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail like tests"
)]

mod embedded;
mod kafka;
mod mistakes;
mod page;
mod postgres;
mod program;
