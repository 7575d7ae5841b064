//! Visitor analytics: access log lines become visits, located and counted by country, live.

pub mod access_log;
pub mod config;
pub mod country;
pub mod database;
pub mod geoip;
pub mod import;
pub mod model;
pub mod sample;
pub mod stop;
pub mod tally;
pub mod totals;
pub mod user_agent;
