//! What the application promises across failures, and so what the checker asks for.

use std::fmt;

/// What holds across failures, by Kafka's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guarantee {
    /// Nothing is lost; after a failure something may be there twice.
    AtLeastOnce,
    /// Nothing is lost, nothing is there twice, and nothing is wrong.
    ExactlyOnceV2,
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AtLeastOnce => "at_least_once",
            Self::ExactlyOnceV2 => "exactly_once_v2",
        })
    }
}

impl std::str::FromStr for Guarantee {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        [Self::AtLeastOnce, Self::ExactlyOnceV2]
            .into_iter()
            .find(|guarantee| guarantee.to_string() == name)
            .ok_or_else(|| format!("`{name}` is neither at_least_once nor exactly_once_v2"))
    }
}
