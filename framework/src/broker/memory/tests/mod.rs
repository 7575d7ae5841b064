//! The memory broker beside what the conformance body says of every broker.

mod cleaning;
mod clients;
mod histories;
mod model;
mod transactions;
