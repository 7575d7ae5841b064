//! Keys of count windows on topics, and the rows of their stores.

use std::sync::Arc;

use super::{ArcSerde, DefaultSerde, Serde, SerdeError};
use crate::processor::operators::count_aggregate::{Counted, OpenWindow};
use crate::time::windows::{CountWindow, CountWindowed};

/// The key's bytes, then the numbers of the first record inside and of the first one behind.
struct CountWindowedSerde<K>(ArcSerde<K>);

impl<K: 'static> Serde<CountWindowed<K>> for CountWindowedSerde<K> {
    fn serialize(&self, value: &CountWindowed<K>, bytes: &mut Vec<u8>) -> Result<(), SerdeError> {
        self.0.serialize(&value.key, bytes)?;
        bytes.extend_from_slice(&value.window.start.to_be_bytes());
        bytes.extend_from_slice(&value.window.end.to_be_bytes());
        Ok(())
    }

    fn deserialize(&self, bytes: &[u8]) -> Result<CountWindowed<K>, SerdeError> {
        let parts = bytes.split_last_chunk::<8>();
        let parts = parts.and_then(|(rest, end)| Some((rest.split_last_chunk::<8>()?, end)));
        let Some(((key, start), end)) = parts else {
            return Err(format!(
                "a key of a count window takes at least 16 bytes, not {}",
                bytes.len()
            )
            .into());
        };
        let window =
            CountWindow { start: u64::from_be_bytes(*start), end: u64::from_be_bytes(*end) };
        Ok(CountWindowed { key: self.0.deserialize(key)?, window })
    }
}

impl<K: DefaultSerde + 'static> DefaultSerde for CountWindowed<K> {
    fn default_serde() -> ArcSerde<Self> {
        Arc::new(CountWindowedSerde(K::default_serde()))
    }
}

/// How many records there were, and for each open window, the earliest first: its latest timestamp, the length
/// of its aggregate, −1 for none, and the aggregate.
pub(crate) struct CountedSerde<A>(pub(crate) ArcSerde<A>);

impl<A: 'static> Serde<Counted<A>> for CountedSerde<A> {
    fn serialize(&self, value: &Counted<A>, bytes: &mut Vec<u8>) -> Result<(), SerdeError> {
        bytes.extend_from_slice(&value.seen.to_be_bytes());
        for window in &value.open {
            bytes.extend_from_slice(&window.timestamp.to_be_bytes());
            let aggregate = window.aggregate.as_ref().filter(|value| !self.0.is_null(value));
            let Some(aggregate) = aggregate else {
                bytes.extend_from_slice(&(-1_i32).to_be_bytes());
                continue;
            };
            let at = bytes.len();
            bytes.extend_from_slice(&[0; 4]);
            self.0.serialize(aggregate, bytes)?;
            let length = i32::try_from(bytes.len() - at - 4)?;
            if let Some(place) = bytes.get_mut(at..at + 4) {
                place.copy_from_slice(&length.to_be_bytes());
            }
        }
        Ok(())
    }

    fn deserialize(&self, bytes: &[u8]) -> Result<Counted<A>, SerdeError> {
        let mut rest = bytes;
        let mut counted =
            Counted { seen: u64::from_be_bytes(take(&mut rest)?), ..Counted::default() };
        while !rest.is_empty() {
            let timestamp = i64::from_be_bytes(take(&mut rest)?);
            let length = i32::from_be_bytes(take(&mut rest)?);
            let aggregate = match usize::try_from(length) {
                Err(_) => None,
                Ok(length) => {
                    let parts = rest.split_at_checked(length).ok_or("the row ends too early")?;
                    rest = parts.1;
                    Some(self.0.deserialize(parts.0)?)
                }
            };
            counted.open.push_back(OpenWindow { aggregate, timestamp });
        }
        Ok(counted)
    }

    fn memory_bytes(&self, value: &Counted<A>) -> usize {
        let windows = value.open.iter().map(|window| {
            let aggregate = window.aggregate.as_ref();
            size_of::<OpenWindow<A>>() + aggregate.map_or(0, |value| self.0.memory_bytes(value))
        });
        size_of::<Counted<A>>() + windows.sum::<usize>()
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], SerdeError> {
    let (first, rest) = bytes.split_first_chunk::<N>().ok_or("the row ends too early")?;
    *bytes = rest;
    Ok(*first)
}
