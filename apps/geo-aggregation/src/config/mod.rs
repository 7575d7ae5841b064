//! Configuration: what the user wrote ([`raw`]) and what the program means (here).
//!
//! Only resolved types travel; every value in them has been checked.

pub mod raw;

#[cfg(test)]
mod tests;

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use raw::{Cli, FileConfig};

const DEFAULT_APPLICATION_ID: &str = "geo-aggregation";
const DEFAULT_STATE_DIR: &str = "geo-aggregation-state";
const DEFAULT_DATABASE: &str = "sqlite:geo-aggregation.db";
const DEFAULT_LISTEN: &str = "127.0.0.1:8080";
const DEFAULT_INTERVAL: &str = "5s";
const DEFAULT_PARTITIONS: u32 = 4;
const DEFAULT_THREADS: u32 = 1;

/// A configuration that cannot be used; the text says which option and why.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The configuration file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The configuration file is not TOML, or a value has the wrong type.
    #[error("the configuration file {} is wrong: {message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What and where, in one line.
        message: String,
    },
    /// The configuration file has a key that no option has.
    #[error("the configuration file {} has an unknown key `{key}`", path.display())]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
    },
    /// An option's value means nothing.
    #[error("--{option} {value}: {reason}")]
    Value {
        /// The option.
        option: &'static str,
        /// What was given.
        value: String,
        /// What it should be.
        reason: &'static str,
    },
    /// The stage cannot run on the embedded broker.
    #[error(
        "`{0}` needs Kafka: give --broker HOST:PORT (the embedded broker lives inside one process; `all` uses it)"
    )]
    NeedsKafka(&'static str),
    /// No input was named.
    #[error("nothing to read: give --log PATH, or `-` for standard input")]
    NoInput,
    /// Following never ends.
    #[error("--follow never ends, so --exit-when-done would never exit: give one of them")]
    FollowNeverDone,
}

/// What to do, with everything it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// Every stage and the page.
    All(Box<AllConfig>),
    /// Log lines to the topic.
    Import(BrokerConfig, InputConfig),
    /// Raw lines to page views.
    Preprocess(BrokerConfig, StreamsConfig, GeoIpConfig),
    /// Page views to totals.
    Aggregate(BrokerConfig, StreamsConfig, StorageConfig),
    /// The page.
    Web(WebConfig),
    /// A made-up log.
    Sample(SampleConfig),
}

/// What `all` needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllConfig {
    /// Where the log is.
    pub broker: BrokerConfig,
    /// What to read.
    pub input: InputConfig,
    /// How to run.
    pub streams: StreamsConfig,
    /// How to locate.
    pub geoip: GeoIpConfig,
    /// Where totals go.
    pub storage: StorageConfig,
    /// Where the page is; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// Whether to end with the input.
    pub exit_when_done: bool,
}

/// Where the log is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerConfig {
    /// Which broker.
    pub broker: BrokerChoice,
    /// Prefix of groups and internal topics.
    pub application_id: String,
    /// Partitions of topics that do not exist yet.
    pub partitions: NonZeroU32,
}

/// Which broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerChoice {
    /// The embedded one.
    Memory,
    /// Kafka at these bootstrap servers.
    Kafka(String),
}

/// What to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputConfig {
    /// Paths, globs, `-`; never empty.
    pub log: Vec<String>,
    /// Whether to go on behind the end.
    pub follow: bool,
}

/// How to run a topology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamsConfig {
    /// Stream threads.
    pub threads: NonZeroU32,
    /// Local state.
    pub state_dir: PathBuf,
    /// Where metrics, health and the topology are; `None`: nowhere.
    pub listen: Option<SocketAddr>,
}

/// How to locate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeoIpConfig {
    /// A file in MaxMind's format; `None`: the embedded database.
    pub geoip: Option<PathBuf>,
}

/// Where totals go, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageConfig {
    /// The database's URL.
    pub database: String,
    /// Time between two writes.
    pub interval: Duration,
}

/// What `web` needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebConfig {
    /// Whose rows.
    pub application_id: String,
    /// The database's URL.
    pub database: String,
    /// Where the page is.
    pub listen: SocketAddr,
}

/// What `sample` needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleConfig {
    /// How many lines.
    pub lines: u64,
    /// The same seed gives the same lines.
    pub seed: u64,
}

impl Job {
    /// What the command line, the environment and the file mean together.
    ///
    /// # Errors
    /// The first value that means nothing, with its option.
    pub fn resolve(cli: Cli) -> Result<Self, ConfigError> {
        let file = cli.config.as_deref().map(read_file).transpose()?.unwrap_or_default();
        Ok(match cli.command {
            raw::Command::All(args) => Self::All(Box::new(resolve_all(args, file)?)),
            raw::Command::Import(args) => Self::Import(
                kafka_only(resolve_broker(args.broker, file.broker)?, "import")?,
                resolve_input(args.input, file.input)?,
            ),
            raw::Command::Preprocess(args) => Self::Preprocess(
                kafka_only(resolve_broker(args.broker, file.broker)?, "preprocess")?,
                resolve_streams(
                    args.streams,
                    file.streams,
                    resolve_listen(args.listen, file.listen)?,
                )?,
                resolve_geoip(args.geoip, file.geoip),
            ),
            raw::Command::Aggregate(args) => Self::Aggregate(
                kafka_only(resolve_broker(args.broker, file.broker)?, "aggregate")?,
                resolve_streams(
                    args.streams,
                    file.streams,
                    resolve_listen(args.listen, file.listen)?,
                )?,
                resolve_storage((args.database, file.database), (args.interval, file.interval))?,
            ),
            raw::Command::Web(args) => Self::Web(WebConfig {
                application_id: resolve_application(args.application, file.broker.application)?,
                database: resolve_database(args.database, file.database)?,
                listen: resolve_listen(args.listen, file.listen)?.unwrap_or(default_listen()?),
            }),
            raw::Command::Sample(args) => {
                Self::Sample(SampleConfig { lines: args.lines, seed: args.seed })
            }
        })
    }
}

fn read_file(path: &Path) -> Result<FileConfig, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let wrong = |error: &toml::de::Error| ConfigError::Parse {
        path: path.to_owned(),
        message: match error.span() {
            Some(span) => {
                let line = text.get(..span.start).unwrap_or("").lines().count().max(1);
                format!("line {line}: {}", error.message())
            }
            None => error.message().to_owned(),
        },
    };
    let table: toml::Table = text.parse().map_err(|error| wrong(&error))?;
    match table.keys().find(|key| !raw::FILE_KEYS.contains(&key.as_str())) {
        Some(key) => Err(ConfigError::UnknownKey { path: path.to_owned(), key: key.clone() }),
        None => toml::from_str(&text).map_err(|error| wrong(&error)),
    }
}

fn resolve_all(args: raw::AllArgs, file: FileConfig) -> Result<AllConfig, ConfigError> {
    let exit_when_done = args.exit_when_done || file.exit_when_done;
    let input = resolve_input(args.input, file.input)?;
    if input.follow && exit_when_done {
        return Err(ConfigError::FollowNeverDone);
    }
    let listen = match resolve_listen(args.listen, file.listen)? {
        None if !exit_when_done => Some(default_listen()?),
        given => given,
    };
    Ok(AllConfig {
        broker: resolve_broker(args.broker, file.broker)?,
        input,
        streams: resolve_streams(args.streams, file.streams, None)?,
        geoip: resolve_geoip(args.geoip, file.geoip),
        storage: resolve_storage((args.database, file.database), (args.interval, file.interval))?,
        listen,
        exit_when_done,
    })
}

fn resolve_application(
    args: raw::ApplicationArgs,
    file: raw::ApplicationArgs,
) -> Result<String, ConfigError> {
    let id = args.application_id.or(file.application_id);
    let id = id.unwrap_or_else(|| DEFAULT_APPLICATION_ID.to_owned());
    // Topic and group names are made of it.
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if id.is_empty() || !id.chars().all(legal) {
        let reason = "use letters, digits, dots, dashes and underscores";
        return Err(ConfigError::Value { option: "application-id", value: id, reason });
    }
    Ok(id)
}

fn resolve_broker(
    args: raw::BrokerArgs,
    file: raw::BrokerArgs,
) -> Result<BrokerConfig, ConfigError> {
    let broker = match args.broker.or(file.broker).as_deref().map(str::trim) {
        None | Some("memory") => BrokerChoice::Memory,
        Some(servers) if servers.split(',').all(is_host_and_port) => {
            BrokerChoice::Kafka(servers.to_owned())
        }
        Some(other) => {
            let reason = "give `memory`, or HOST:PORT, several with commas between";
            return Err(ConfigError::Value { option: "broker", value: other.to_owned(), reason });
        }
    };
    Ok(BrokerConfig {
        broker,
        application_id: resolve_application(args.application, file.application)?,
        partitions: positive(
            "partitions",
            args.partitions.or(file.partitions),
            DEFAULT_PARTITIONS,
        )?,
    })
}

fn is_host_and_port(server: &str) -> bool {
    server
        .trim()
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

fn kafka_only(config: BrokerConfig, stage: &'static str) -> Result<BrokerConfig, ConfigError> {
    match config.broker {
        BrokerChoice::Memory => Err(ConfigError::NeedsKafka(stage)),
        BrokerChoice::Kafka(_) => Ok(config),
    }
}

fn positive(
    option: &'static str,
    value: Option<u32>,
    default: u32,
) -> Result<NonZeroU32, ConfigError> {
    NonZeroU32::new(value.unwrap_or(default)).ok_or_else(|| ConfigError::Value {
        option,
        value: "0".to_owned(),
        reason: "give at least 1",
    })
}

fn resolve_input(args: raw::InputArgs, file: raw::InputArgs) -> Result<InputConfig, ConfigError> {
    let log = if args.log.is_empty() { file.log } else { args.log };
    if log.is_empty() {
        return Err(ConfigError::NoInput);
    }
    Ok(InputConfig { log, follow: args.follow || file.follow })
}

fn resolve_streams(
    args: raw::StreamsArgs,
    file: raw::StreamsArgs,
    listen: Option<SocketAddr>,
) -> Result<StreamsConfig, ConfigError> {
    Ok(StreamsConfig {
        threads: positive("threads", args.threads.or(file.threads), DEFAULT_THREADS)?,
        state_dir: args.state_dir.or(file.state_dir).unwrap_or_else(|| DEFAULT_STATE_DIR.into()),
        listen,
    })
}

fn resolve_geoip(args: raw::GeoIpArgs, file: raw::GeoIpArgs) -> GeoIpConfig {
    GeoIpConfig { geoip: args.geoip.or(file.geoip) }
}

fn resolve_storage(
    database: (raw::DatabaseArgs, raw::DatabaseArgs),
    interval: (raw::IntervalArgs, raw::IntervalArgs),
) -> Result<StorageConfig, ConfigError> {
    let text = interval.0.interval.or(interval.1.interval);
    let text = text.unwrap_or_else(|| DEFAULT_INTERVAL.to_owned());
    let parsed = text.parse::<jiff::SignedDuration>().ok();
    let interval = parsed.and_then(|time| Duration::try_from(time).ok());
    let Some(interval) = interval.filter(|time| !time.is_zero()) else {
        let reason = "give a time above zero with its unit, such as 5s, 500ms or 1m";
        return Err(ConfigError::Value { option: "interval", value: text, reason });
    };
    Ok(StorageConfig { database: resolve_database(database.0, database.1)?, interval })
}

fn resolve_database(
    args: raw::DatabaseArgs,
    file: raw::DatabaseArgs,
) -> Result<String, ConfigError> {
    let url = args.database.or(file.database).unwrap_or_else(|| DEFAULT_DATABASE.to_owned());
    if ["sqlite:", "postgres:", "postgresql:"].iter().any(|scheme| url.starts_with(scheme)) {
        return Ok(url);
    }
    // The URL is not repeated: it may hold a password.
    let reason = "give a URL that begins with sqlite: or postgres://";
    Err(ConfigError::Value { option: "database", value: "URL".to_owned(), reason })
}

fn resolve_listen(
    args: raw::ListenArgs,
    file: raw::ListenArgs,
) -> Result<Option<SocketAddr>, ConfigError> {
    args.listen.or(file.listen).map(|text| parse_listen(&text)).transpose()
}

fn default_listen() -> Result<SocketAddr, ConfigError> {
    parse_listen(DEFAULT_LISTEN)
}

fn parse_listen(text: &str) -> Result<SocketAddr, ConfigError> {
    let addresses = text.to_socket_addrs().ok();
    addresses.and_then(|mut found| found.next()).ok_or_else(|| ConfigError::Value {
        option: "listen",
        value: text.to_owned(),
        reason: "give ADDRESS:PORT, such as 127.0.0.1:8080 or [::]:8080",
    })
}
