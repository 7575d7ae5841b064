//! What the user wrote: flags, environment variables and the configuration file, nothing filled in.
//!
//! A flag group serves the command line and the file alike, so that a key of the file is the flag's
//! name without dashes.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use serde::Deserialize;

/// Counts the visits in web server access logs by country, live.
///
/// Every option can also be given as an environment variable (GEO_ and its name) and as a key of
/// the configuration file. A flag outdoes the variable, the variable outdoes the file.
#[derive(Debug, Parser)]
#[command(name = "geo-aggregation", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// TOML file with the options; its keys are the long flags without dashes in front.
    #[arg(long, value_name = "FILE", env = "GEO_CONFIG", global = true)]
    pub config: Option<PathBuf>,
}

/// The program's ways to run.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run every stage and the page in this process: on the embedded broker unless --broker says
    /// otherwise.
    All(AllArgs),
    /// Send access log lines to the topic raw-page-views.
    Import(ImportArgs),
    /// Turn raw lines into located page views, on the topic page-views.
    Preprocess(PreprocessArgs),
    /// Count page views by country and keep the totals in the database.
    Aggregate(AggregateArgs),
    /// Serve the page from the totals in the database.
    Web(WebArgs),
    /// Print a made-up access log: the same seed gives the same lines.
    Sample(SampleArgs),
}

/// Options of `all`.
#[derive(Debug, Args)]
pub struct AllArgs {
    /// Where the log is.
    #[command(flatten)]
    pub broker: BrokerArgs,
    /// What to read.
    #[command(flatten)]
    pub input: InputArgs,
    /// How to run.
    #[command(flatten)]
    pub streams: StreamsArgs,
    /// How to locate.
    #[command(flatten)]
    pub geoip: GeoIpArgs,
    /// Where totals go.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// How often they go there.
    #[command(flatten)]
    pub interval: IntervalArgs,
    /// Where the page is.
    #[command(flatten)]
    pub listen: ListenArgs,
    /// Finish the input, write the totals to the database, print them as a table and exit.
    #[arg(long, env = "GEO_EXIT_WHEN_DONE")]
    pub exit_when_done: bool,
}

/// Options of `import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Where the log is.
    #[command(flatten)]
    pub broker: BrokerArgs,
    /// What to read.
    #[command(flatten)]
    pub input: InputArgs,
}

/// Options of `preprocess`.
#[derive(Debug, Args)]
pub struct PreprocessArgs {
    /// Where the log is.
    #[command(flatten)]
    pub broker: BrokerArgs,
    /// How to run.
    #[command(flatten)]
    pub streams: StreamsArgs,
    /// How to locate.
    #[command(flatten)]
    pub geoip: GeoIpArgs,
    /// Where its metrics are.
    #[command(flatten)]
    pub listen: ListenArgs,
}

/// Options of `aggregate`.
#[derive(Debug, Args)]
pub struct AggregateArgs {
    /// Where the log is.
    #[command(flatten)]
    pub broker: BrokerArgs,
    /// How to run.
    #[command(flatten)]
    pub streams: StreamsArgs,
    /// Where totals go.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// How often they go there.
    #[command(flatten)]
    pub interval: IntervalArgs,
    /// Where its metrics are.
    #[command(flatten)]
    pub listen: ListenArgs,
}

/// Options of `web`.
#[derive(Debug, Args)]
pub struct WebArgs {
    /// Whose totals to show.
    #[command(flatten)]
    pub application: ApplicationArgs,
    /// Where totals are.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Where the page is.
    #[command(flatten)]
    pub listen: ListenArgs,
}

/// Options of `sample`.
#[derive(Debug, Args)]
pub struct SampleArgs {
    /// How many lines.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub lines: u64,
    /// The same seed gives the same lines.
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
}

/// Whose topics, groups, stores and rows.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ApplicationArgs {
    /// Name under which instances share the work; it marks groups, internal topics and rows in
    /// the database [default: geo-aggregation]
    #[arg(long, value_name = "ID", env = "GEO_APPLICATION_ID")]
    pub application_id: Option<String>,
}

/// Where the log is.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BrokerArgs {
    /// `memory` for the embedded broker, which lives in this process and forgets at its end, or
    /// Kafka's bootstrap servers [default: memory; only `all` can use it]
    #[arg(long, value_name = "memory|HOST:PORT,…", env = "GEO_BROKER")]
    pub broker: Option<String>,
    /// Whose.
    #[command(flatten)]
    #[serde(flatten)]
    pub application: ApplicationArgs,
    /// Partitions of topics that do not exist yet [default: 4]
    #[arg(long, value_name = "N", env = "GEO_PARTITIONS")]
    pub partitions: Option<u32>,
}

/// What to read.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct InputArgs {
    /// Access logs in Common or Combined Log Format: files, gzip files (.gz), globs, or `-` for
    /// standard input
    #[arg(long, value_name = "PATH", env = "GEO_LOG", num_args = 1..)]
    #[serde(default)]
    pub log: Vec<String>,
    /// Keep reading what is appended, through rotation and truncation, like `tail -F`
    #[arg(long, env = "GEO_FOLLOW")]
    #[serde(default)]
    pub follow: bool,
}

/// How to run.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StreamsArgs {
    /// Stream threads of each stage [default: 1]
    #[arg(long, value_name = "N", env = "GEO_THREADS")]
    pub threads: Option<u32>,
    /// Folder for local state; one per instance. The embedded broker keeps nothing, so with it
    /// state goes to a temporary folder [default: geo-aggregation-state]
    #[arg(long, value_name = "DIR", env = "GEO_STATE_DIR")]
    pub state_dir: Option<PathBuf>,
}

/// How to locate.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct GeoIpArgs {
    /// Database in MaxMind's format (.mmdb) for countries [default: the embedded database]
    #[arg(long, value_name = "FILE", env = "GEO_GEOIP")]
    pub geoip: Option<PathBuf>,
}

/// Where totals go.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DatabaseArgs {
    /// `sqlite:FILE` or `postgres://USER:PASSWORD@HOST/NAME`
    /// [default: sqlite:geo-aggregation.db]
    #[arg(long, value_name = "URL", env = "GEO_DATABASE", hide_env_values = true)]
    pub database: Option<String>,
}

/// How often totals go to the database.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct IntervalArgs {
    /// Time between two writes to the database, as in `5s`, `500ms`, `1m` [default: 5s]
    #[arg(long, value_name = "TIME", env = "GEO_INTERVAL")]
    pub interval: Option<String>,
}

/// Where to listen for HTTP.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ListenArgs {
    /// Address and port: of the page for `all` and `web` [default: 127.0.0.1:8080; none with
    /// --exit-when-done], of /metrics, /health/live, /health/ready and /topology for `preprocess`
    /// and `aggregate` [default: none]
    #[arg(long, value_name = "ADDR", env = "GEO_LISTEN")]
    pub listen: Option<String>,
}

/// The configuration file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FileConfig {
    #[serde(flatten)]
    pub(super) broker: BrokerArgs,
    #[serde(flatten)]
    pub(super) input: InputArgs,
    #[serde(flatten)]
    pub(super) streams: StreamsArgs,
    #[serde(flatten)]
    pub(super) geoip: GeoIpArgs,
    #[serde(flatten)]
    pub(super) database: DatabaseArgs,
    #[serde(flatten)]
    pub(super) interval: IntervalArgs,
    #[serde(flatten)]
    pub(super) listen: ListenArgs,
    #[serde(default)]
    pub(super) exit_when_done: bool,
}

/// Every key that the configuration file may have.
pub(super) const FILE_KEYS: [&str; 12] = [
    "application-id",
    "broker",
    "database",
    "exit-when-done",
    "follow",
    "geoip",
    "interval",
    "listen",
    "log",
    "partitions",
    "state-dir",
    "threads",
];
