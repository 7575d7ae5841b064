//! Windowed keys on topics, byte for byte as Kafka Streams writes them.

use std::fmt;
use std::sync::Arc;

use super::{ArcSerde, DefaultSerde, Serde, SerdeError};
use crate::time::windows::{Window, Windowed};

/// Keys of tumbling and hopping windows: the key's bytes, then the window start as a big-endian
/// `i64`. The window size is not in the bytes, so the reader states it.
///
/// # Source
/// `TimeWindowedSerializer` and `TimeWindowedDeserializer`.
pub struct TimeWindowedSerde<K> {
    inner: ArcSerde<K>,
    /// `None`: keys can be written but not read.
    size_ms: Option<i64>,
}

impl<K> TimeWindowedSerde<K> {
    /// Windowed keys over `inner`, of windows that are `size_ms` milliseconds long.
    pub fn new(inner: ArcSerde<K>, size_ms: i64) -> Self {
        Self { inner, size_ms: Some(size_ms) }
    }
}

impl<K> fmt::Debug for TimeWindowedSerde<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeWindowedSerde").field("size_ms", &self.size_ms).finish_non_exhaustive()
    }
}

impl<K: 'static> Serde<Windowed<K>> for TimeWindowedSerde<K> {
    fn serialize(&self, value: &Windowed<K>, bytes: &mut Vec<u8>) -> Result<(), SerdeError> {
        self.inner.serialize(&value.key, bytes)?;
        bytes.extend_from_slice(&value.window.start.to_be_bytes());
        Ok(())
    }

    fn partition_bytes<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.split_last_chunk::<8>().map_or(bytes, |(key, _)| self.inner.partition_bytes(key))
    }

    fn deserialize(&self, bytes: &[u8]) -> Result<Windowed<K>, SerdeError> {
        let Some((key, start)) = bytes.split_last_chunk::<8>() else {
            return Err(
                format!("a windowed key takes at least 8 bytes, not {}", bytes.len()).into()
            );
        };
        let Some(size_ms) = self.size_ms else {
            return Err("a windowed key's bytes do not say how long the window is; read it with \
                TimeWindowedSerde::new(key_serde, size_ms)"
                .into());
        };
        let start = i64::from_be_bytes(*start);
        let window = Window { start, end: start.saturating_add(size_ms) };
        Ok(Windowed { key: self.inner.deserialize(key)?, window })
    }
}

/// Keys of session windows: the key's bytes, then the session's end and its start, each as a big-endian
/// `i64`.
///
/// # Examples
/// ```
/// use kstream::serdes::{DefaultSerde, Serde, SerdeError, SessionWindowedSerde};
/// use kstream::{Window, Windowed};
///
/// let serde = SessionWindowedSerde::new(String::default_serde());
/// let visit = Windowed { key: "ann".to_owned(), window: Window { start: 1_000, end: 31_000 } };
/// let mut bytes = Vec::new();
/// serde.serialize(&visit, &mut bytes)?;
/// assert_eq!(serde.deserialize(&bytes)?, visit);
/// # Ok::<(), SerdeError>(())
/// ```
///
/// # Source
/// `SessionWindowedSerializer` and `SessionWindowedDeserializer`.
pub struct SessionWindowedSerde<K> {
    inner: ArcSerde<K>,
}

impl<K> SessionWindowedSerde<K> {
    /// Session-windowed keys over `inner`.
    pub fn new(inner: ArcSerde<K>) -> Self {
        Self { inner }
    }
}

impl<K> fmt::Debug for SessionWindowedSerde<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionWindowedSerde").finish_non_exhaustive()
    }
}

impl<K: 'static> Serde<Windowed<K>> for SessionWindowedSerde<K> {
    fn serialize(&self, value: &Windowed<K>, bytes: &mut Vec<u8>) -> Result<(), SerdeError> {
        self.inner.serialize(&value.key, bytes)?;
        bytes.extend_from_slice(&value.window.end.to_be_bytes());
        bytes.extend_from_slice(&value.window.start.to_be_bytes());
        Ok(())
    }

    fn deserialize(&self, bytes: &[u8]) -> Result<Windowed<K>, SerdeError> {
        let parts = bytes.split_last_chunk::<8>();
        let parts = parts.and_then(|(rest, start)| Some((rest.split_last_chunk::<8>()?, start)));
        let Some(((key, end), start)) = parts else {
            return Err(
                format!("a session key takes at least 16 bytes, not {}", bytes.len()).into()
            );
        };
        let window = Window { start: i64::from_be_bytes(*start), end: i64::from_be_bytes(*end) };
        Ok(Windowed { key: self.inner.deserialize(key)?, window })
    }
}

/// Writes windowed keys of tumbling, hopping and sliding windows; to read them, the window size has to be stated with [`TimeWindowedSerde::new`].
impl<K: DefaultSerde + 'static> DefaultSerde for Windowed<K> {
    fn default_serde() -> ArcSerde<Self> {
        Arc::new(TimeWindowedSerde { inner: K::default_serde(), size_ms: None })
    }
}
