//! Visitor analytics: access log lines become visits, located and counted by country, live.

pub mod access_log;
pub mod caught_up;
pub mod config;
pub mod country;
pub mod database;
pub mod error;
pub mod feed;
pub mod geoip;
pub mod import;
pub mod model;
pub mod report;
pub mod sample;
pub mod stages;
pub mod stop;
pub mod tally;
pub mod topics;
pub mod topology;
pub mod totals;
pub mod user_agent;
pub mod web;
