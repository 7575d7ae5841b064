//! The records on the topics.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use kstream::serdes::{ArcSerde, DefaultSerde, Serde, SerdeError};

use serde::{Deserialize, Serialize};

use crate::country::CountryCode;
use crate::user_agent::Device;

/// A visit, as `page-views` carries it, in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageView {
    /// Which log line it was.
    pub line: LineKey,
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
/// Visits from a country that arrived within one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowVisits {
    /// When the window began, in milliseconds since the epoch.
    pub start_ms: i64,
    /// How many.
    pub visits: u64,
}

/// What counting needs of a [`PageView`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visit {
    /// Which log line it was.
    #[serde(default)]
    pub line: LineKey,
}

kstream::json_serde!(PageView, WindowVisits, Visit);

/// A run of an importer and the partition of `raw-page-views` that it wrote to: where line numbers
/// come from. Written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineSource {
    /// The run; a later run has a higher number. 0 stands for foreign producers.
    pub run: u64,
    /// The partition.
    pub partition: u32,
}

impl fmt::Display for LineSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.run, self.partition)
    }
}

/// Text that is not a line source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a run and a partition")]
pub struct LineSourceError(String);

impl FromStr for LineSource {
    type Err = LineSourceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (run, partition) = text.split_once('-')?;
            let run = u64::from_str_radix(run, 16).ok()?;
            Some(Self { run, partition: partition.parse().ok()? })
        };
        parse().ok_or_else(|| LineSourceError(text.to_owned()))
    }
}

struct LineSourceSerde;

impl Serde<LineSource> for LineSourceSerde {
    fn serialize(&self, value: &LineSource, bytes: &mut Vec<u8>) -> Result<(), SerdeError> {
        bytes.extend_from_slice(value.to_string().as_bytes());
        Ok(())
    }

    fn deserialize(&self, bytes: &[u8]) -> Result<LineSource, SerdeError> {
        Ok(std::str::from_utf8(bytes)?.parse()?)
    }
}

impl DefaultSerde for LineSource {
    fn default_serde() -> ArcSerde<Self> {
        Arc::new(LineSourceSerde)
    }
}

/// Which line of which source a raw line is; in JSON an array of run, partition and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "(u64, u32, u64)", into = "(u64, u32, u64)")]
pub struct LineId {
    /// Where its number comes from.
    pub source: LineSource,
    /// Its number, growing by one from 0 within the source.
    pub number: u64,
}

impl LineId {
    pub(crate) const BYTES: usize = 20;

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
}

impl From<(u64, u32, u64)> for LineId {
    fn from((run, partition, number): (u64, u32, u64)) -> Self {
        Self { source: LineSource { run, partition }, number }
    }
}

impl From<LineId> for (u64, u32, u64) {
    fn from(line: LineId) -> Self {
        (line.source.run, line.source.partition, line.number)
    }
}

/// The key of a raw line. It travels with the visit, so that a line that is processed twice is
/// counted once. A foreign producer's key, or none, is no line id; such lines always count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LineKey(pub Option<LineId>);

impl LineKey {
    /// Where the line comes from.
    pub fn source(&self) -> LineSource {
        self.0.map_or(LineSource { run: 0, partition: 0 }, |line| line.source)
    }
}

struct LineKeySerde;

impl Serde<LineKey> for LineKeySerde {
    fn serialize(&self, value: &LineKey, bytes: &mut Vec<u8>) -> Result<(), SerdeError> {
        if let Some(line) = value.0 {
            bytes.extend_from_slice(&line.to_bytes());
        }
        Ok(())
    }

    fn deserialize(&self, bytes: &[u8]) -> Result<LineKey, SerdeError> {
        Ok(LineKey(LineId::from_bytes(bytes)))
    }

    fn is_null(&self, value: &LineKey) -> bool {
        value.0.is_none()
    }

    fn null(&self) -> Option<LineKey> {
        Some(LineKey(None))
    }
}

impl DefaultSerde for LineKey {
    fn default_serde() -> ArcSerde<Self> {
        Arc::new(LineKeySerde)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: LineId = LineId { source: LineSource { run: 0xabc, partition: 3 }, number: 77 };

    fn round_trip<T: DefaultSerde + 'static>(value: &T) -> (Vec<u8>, T) {
        let (serde, mut bytes) = (T::default_serde(), Vec::new());
        serde.serialize(value, &mut bytes).unwrap();
        let back = serde.deserialize(&bytes).unwrap();
        (bytes, back)
    }

    #[test]
    fn keys_round_trip() {
        let (bytes, key) = round_trip(&LineKey(Some(LINE)));
        assert_eq!((bytes.len(), key), (LineId::BYTES, LineKey(Some(LINE))));
        let (bytes, source) = round_trip(&LINE.source);
        assert_eq!((bytes, source), (b"0000000000000abc-3".to_vec(), LINE.source));
    }

    #[test]
    fn foreign_keys_are_no_line_id() {
        let serde = LineKey::default_serde();
        assert_eq!(serde.deserialize(b"user-17").unwrap(), LineKey(None));
        assert_eq!(serde.null(), Some(LineKey(None)));
        assert!(serde.is_null(&LineKey(None)));
    }

    #[test]
    fn page_view_is_json_without_what_is_absent() {
        let view = PageView {
            line: LineKey(Some(LINE)),
            time: 5,
            ip: Some([10, 0, 0, 1].into()),
            country: CountryCode::UNKNOWN,
            method: Some("GET".to_owned()),
            path: Some("/".to_owned()),
            status: Some(200),
            bytes: None,
            referer: None,
            browser: Some("Firefox".into()),
            os: None,
            device: Device::Desktop,
            bot: false,
        };
        let (bytes, back) = round_trip(&view);
        assert_eq!(
            String::from_utf8(bytes.clone()).unwrap(),
            r#"{"line":[2748,3,77],"time":5,"ip":"10.0.0.1","country":"ZZ","method":"GET","path":"/","status":200,"browser":"Firefox","device":"desktop","bot":false}"#
        );
        assert_eq!(back, view);
        let visit: Visit = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(visit.line, LineKey(Some(LINE)));
    }
}
