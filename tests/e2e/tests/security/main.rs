//! A broker that lets nobody in without TLS, a login, or rights: what works, and what the errors say.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]
#![expect(clippy::expect_used, reason = "the same")]
#![expect(clippy::indexing_slicing, reason = "the same")]

mod fixture;
mod login;
mod rights;
mod tls;
