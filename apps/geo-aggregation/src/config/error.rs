//! What can be wrong with a configuration.

use std::path::PathBuf;

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
