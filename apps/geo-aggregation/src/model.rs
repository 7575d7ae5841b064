//! The records on the topics.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::country::CountryCode;
use crate::user_agent::Device;

/// A visit, as `page-views` carries it, in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageView {
    /// Which log line it was.
    pub line: LineId,
    /// When the request came, in milliseconds since the epoch.
    pub time: i64,
    /// The visitor's address; absent if the log has a host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    /// The visitor's country.
    pub country: CountryCode,
    /// The request's method; absent if it was not HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// What was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The status code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The size of the answer in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Where the visitor came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referer: Option<String>,
    /// The browser's or crawler's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser: Option<Arc<str>>,
    /// The operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<Arc<str>>,
    /// The kind of device.
    pub device: Device,
    /// Whether a program asked that nobody sits in front of.
    pub bot: bool,
}
kstream::json_serde!(PageView);

/// A run of an importer and the partition of `raw-page-views` that it wrote to: where line numbers
/// come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LineSource {
    /// The run; a later run has a higher number.
    pub run: u64,
    /// The partition.
    pub partition: u32,
}

/// The key of a raw line: which line of which source it is. It travels with the visit, so that a
/// line that is processed twice is counted once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LineId {
    /// Where its number comes from.
    #[serde(flatten)]
    pub source: LineSource,
    /// Its number, growing by one from 0 within the source.
    pub number: u64,
}

impl LineId {
    /// The bytes of a raw line's key: run, partition and number, big-endian.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let (run, rest) = bytes.split_at_mut(8);
        let (partition, number) = rest.split_at_mut(4);
        run.copy_from_slice(&self.source.run.to_be_bytes());
        partition.copy_from_slice(&self.source.partition.to_be_bytes());
        number.copy_from_slice(&self.number.to_be_bytes());
        bytes
    }

    /// Reads a key back; `None` if it has another form.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (run, rest) = bytes.split_first_chunk()?;
        let (partition, rest) = rest.split_first_chunk()?;
        let source =
            LineSource { run: u64::from_be_bytes(*run), partition: u32::from_be_bytes(*partition) };
        Some(Self { source, number: u64::from_be_bytes(rest.try_into().ok()?) })
    }

    pub(crate) const BYTES: usize = 20;
}
