//! Every put since the last commit, in order: what a versioned store's changelog gets.

use std::ops::Range;

use crate::error::{Error, ErrorKind};
use crate::record::{Headers, Timestamp};
use crate::serdes::ArcSerde;
use crate::state::rows::{ChangelogRecord, EmitChange};

/// Puts with their keys and values as bytes.
#[derive(Default)]
pub(super) struct PutLog {
    puts: Vec<Put>,
    bytes: Vec<u8>,
}

struct Put {
    key: Range<usize>,
    /// `None` is a deletion.
    value: Option<Range<usize>>,
    from: Timestamp,
}

impl PutLog {
    /// Notes a put.
    pub(super) fn append<V: 'static>(
        &mut self,
        key: &[u8],
        value: Option<&V>,
        from: Timestamp,
        serde: &ArcSerde<V>,
    ) -> Result<(), Error> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        let key = start..self.bytes.len();
        let value = match value {
            None => None,
            Some(value) => {
                if let Err(error) = serde.serialize(value, &mut self.bytes) {
                    self.bytes.truncate(start);
                    let message = "a value cannot be written to its store";
                    return Err(Error::new(ErrorKind::Fatal, message).with_source(error));
                }
                Some(key.end..self.bytes.len())
            }
        };
        self.puts.push(Put { key, value, from });
        Ok(())
    }

    /// Gives the puts out as changelog records.
    pub(super) fn emit(&self, emit: &mut EmitChange<'_>) -> Result<(), Error> {
        let headers = Headers::new();
        let bytes = |range: &Range<usize>| self.bytes.get(range.clone()).unwrap_or_default();
        for put in &self.puts {
            emit(ChangelogRecord {
                key: bytes(&put.key),
                value: put.value.as_ref().map(bytes),
                timestamp: Some(put.from),
                headers: &headers,
            })?;
        }
        Ok(())
    }

    /// Forgets what is committed.
    pub(super) fn clear(&mut self) {
        self.puts.clear();
        self.bytes.clear();
    }

    /// Bytes of memory in use.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len() + self.puts.len() * size_of::<Put>()
    }
}
