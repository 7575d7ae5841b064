//! Foreign-key joins of two tables (KIP-213), from subscription to result.
//!
//! ```text
//! primary table ─► subscription_send ══ registration topic ══► subscription_receive ─► subscription_join ─┐
//!       ▲ reads                                                       │ keeps              │ reads         │
//!       │                                                     subscription store      foreign table        │
//!       │                                                             ▼ scans              │               ▼
//! result ◄─ response_join ◄══════ response topic ══════════ foreign_table_join ◄───────────┘ ────────► (sink)
//! ```
//! A response carries the hash of the value that the subscription was made for: one that comes too late,
//! when the row has changed, is dropped.

pub(crate) mod murmur3;
pub(crate) mod response_join;
pub(crate) mod subscription_receive;
pub(crate) mod subscription_send;
#[cfg(test)]
mod tests;
pub(crate) mod wire;
