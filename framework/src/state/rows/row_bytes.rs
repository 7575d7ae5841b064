//! The bytes of a row in the backing store: its timestamp, its headers if the store keeps them, its value.

use super::Stamped;
use crate::error::{Error, ErrorKind};
use crate::record::{Headers, Timestamp};
use crate::serdes::{ArcSerde, SerdeError};

const TIMESTAMP_BYTES: usize = 8;
/// The length of a null header value.
const NULL: u32 = u32::MAX;

/// Writes what stands before the value.
#[inline]
pub(super) fn write_head(timestamp: Timestamp, headers: Option<&Headers>, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&timestamp.to_be_bytes());
    if let Some(headers) = headers {
        write_headers(headers, bytes);
    }
}

/// Appends a row; the answer is where its value begins.
pub(super) fn encode<V: 'static>(
    serde: &ArcSerde<V>,
    row: &Stamped<V>,
    headers: Option<&Headers>,
    bytes: &mut Vec<u8>,
) -> Result<usize, Error> {
    write_head(row.timestamp, headers, bytes);
    let value_at = bytes.len();
    serde.serialize(&row.value, bytes).map_err(unwritable)?;
    Ok(value_at)
}

/// The timestamp of a row; the lowest for what is none.
pub(super) fn timestamp_of(bytes: &[u8]) -> Timestamp {
    bytes
        .first_chunk::<TIMESTAMP_BYTES>()
        .map_or(Timestamp::MIN, |bytes| i64::from_be_bytes(*bytes))
}

/// Reads a row and its headers.
pub(super) fn decode<V: 'static>(
    serde: &ArcSerde<V>,
    with_headers: bool,
    bytes: &[u8],
) -> Result<(Stamped<V>, Headers), Error> {
    let Some((timestamp, rest)) = bytes.split_first_chunk::<TIMESTAMP_BYTES>() else {
        return Err(damaged("a stored row is shorter than its timestamp"));
    };
    let (headers, value) = if with_headers {
        read_headers(rest).ok_or_else(|| damaged("the headers of a stored row cannot be read"))?
    } else {
        (Headers::new(), rest)
    };
    let value = serde.deserialize(value).map_err(|error| {
        Error::new(ErrorKind::Fatal, "a stored value cannot be read; was the store's type changed?")
            .with_source(error)
    })?;
    Ok((Stamped { value, timestamp: i64::from_be_bytes(*timestamp) }, headers))
}

fn write_headers(headers: &Headers, bytes: &mut Vec<u8>) {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(NULL);
    bytes.extend_from_slice(&u32::try_from(headers.len()).unwrap_or(NULL).to_be_bytes());
    for header in headers {
        bytes.extend_from_slice(&length(header.name.as_bytes()).to_be_bytes());
        bytes.extend_from_slice(header.name.as_bytes());
        bytes.extend_from_slice(&header.value.as_deref().map_or(NULL, length).to_be_bytes());
        bytes.extend_from_slice(header.value.as_deref().unwrap_or_default());
    }
}

fn read_headers(mut bytes: &[u8]) -> Option<(Headers, &[u8])> {
    let mut headers = Headers::new();
    for _ in 0..take_u32(&mut bytes)? {
        let length = take_u32(&mut bytes)?;
        let name = std::str::from_utf8(bytes.split_off(..length as usize)?).ok()?;
        let value = match take_u32(&mut bytes)? {
            NULL => None,
            length => Some(bytes.split_off(..length as usize)?),
        };
        headers.add(name, value);
    }
    Some((headers, bytes))
}

fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    *bytes = rest;
    Some(u32::from_be_bytes(*number))
}

#[cold]
fn damaged(message: &str) -> Error {
    Error::new(ErrorKind::TaskCorrupted, message)
}

#[cold]
pub(super) fn unwritable(error: SerdeError) -> Error {
    Error::new(ErrorKind::Fatal, "a value cannot be written to its store").with_source(error)
}
