//! What can end the program before its time.

use std::error::Error as StdError;
use std::fmt::Write as _;

use kstream::TopologyErrors;
use kstream::broker::BrokerError;

use crate::config::ConfigError;
use crate::database::DatabaseError;
use crate::geoip::LocatorError;
use crate::import::ImportError;
use crate::topics::TopicsError;
use crate::web::ListenError;

/// What ended the program.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The command line, the environment or the configuration file is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The GeoIP file cannot be used.
    #[error(transparent)]
    Locator(#[from] LocatorError),
    /// Lines cannot be read or sent.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The page's address cannot be used.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The topics cannot be used.
    #[error(transparent)]
    Topics(#[from] TopicsError),
    /// The broker cannot be reached, or refuses.
    #[error("cannot use the broker")]
    Broker(#[from] BrokerError),
    /// A topology is wrong.
    #[error("a topology is wrong")]
    Topology(#[from] TopologyErrors),
    /// A stage has stopped.
    #[error("the stage {stage} has stopped")]
    Stage {
        /// Which one.
        stage: &'static str,
        /// Why.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// A file or stream of the program's own failed.
    #[error("{what}")]
    Io {
        /// What could not be done.
        what: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// A part of the program ended by a panic, which has been reported where it happened.
    #[error("{0} ended by a panic")]
    Panic(&'static str),
}

impl AppError {
    /// The error and its causes, in one line.
    pub fn line(&self) -> String {
        let mut line = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Some libraries repeat their cause in their own text.
            if !line.ends_with(&text) {
                // Writing to a string cannot fail.
                write!(line, ": {text}").ok();
            }
            cause = error.source();
        }
        line.replace('\n', " ")
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::geoip::Locator;

    #[test]
    fn line_names_the_causes_once_each() {
        let error: AppError = Locator::open(Some(Path::new("no/such.mmdb"))).unwrap_err().into();
        let line = error.line();
        assert!(line.starts_with("cannot use the GeoIP file no/such.mmdb: "), "{line}");
        assert_eq!(line.matches("No such file").count(), 1, "{line}");
        assert!(!line.contains('\n'));
    }
}
