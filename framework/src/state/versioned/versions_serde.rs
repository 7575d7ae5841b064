//! The versions of a key as bytes: a mark, then for each version the time it is valid from, the length of
//! its value, and the value.

use super::versions::{Version, Versions};
use crate::serdes::{ArcSerde, Serde, SerdeError};

/// Written instead of a length where there is no value.
const DELETED: u32 = u32::MAX;

const LENGTH_BYTES: usize = 4;

/// Writes versions with the serde of their values.
pub(super) struct VersionsSerde<V>(pub(super) ArcSerde<V>);

impl<V: 'static> Serde<Versions<V>> for VersionsSerde<V> {
    fn serialize(&self, versions: &Versions<V>, bytes: &mut Vec<u8>) -> Result<(), SerdeError> {
        bytes.push(versions.latest_has_past.into());
        for version in &versions.list {
            bytes.extend_from_slice(&version.from.to_be_bytes());
            let length_at = bytes.len();
            bytes.extend_from_slice(&DELETED.to_be_bytes());
            let Some(value) = &version.value else { continue };
            self.0.serialize(value, bytes)?;
            let length = u32::try_from(bytes.len() - length_at - LENGTH_BYTES)?;
            if let Some(place) = bytes.get_mut(length_at..length_at + LENGTH_BYTES) {
                place.copy_from_slice(&length.to_be_bytes());
            }
        }
        Ok(())
    }

    fn deserialize(&self, bytes: &[u8]) -> Result<Versions<V>, SerdeError> {
        let (&mark, mut rest) = bytes.split_first().ok_or("no versions")?;
        let mut list = Vec::new();
        while let Some((from, after)) = rest.split_first_chunk::<8>() {
            let (length, after) =
                after.split_first_chunk::<LENGTH_BYTES>().ok_or("a version ends early")?;
            rest = after;
            let value = match u32::from_be_bytes(*length) {
                DELETED => None,
                length => {
                    let value = rest.split_off(..length as usize).ok_or("a version ends early")?;
                    Some(self.0.deserialize(value)?)
                }
            };
            list.push(Version { from: i64::from_be_bytes(*from), value });
        }
        Ok(Versions { list, latest_has_past: mark != 0 })
    }

    fn memory_bytes(&self, versions: &Versions<V>) -> usize {
        let values = versions.list.iter().map(|version| {
            size_of::<Version<V>>()
                + version.value.as_ref().map_or(0, |value| self.0.memory_bytes(value))
        });
        size_of::<Versions<V>>() + values.sum::<usize>()
    }
}
