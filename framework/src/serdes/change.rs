//! Updates of a table on a repartition topic, byte for byte as Kafka Streams writes them: the values, then a
//! byte that says which there are.

use super::{ArcSerde, Serde, SerdeError};
use crate::processor::Change;

const OLD: u8 = 0;
const NEW: u8 = 1;
const BOTH: u8 = 2;
/// Added where a byte before the last says whether the update is the latest of its row.
const WITH_LATEST: u8 = 3;

/// `old` and 0; `new` and 1; or the length of `new`, `new`, `old` and 2. Values are not null.
///
/// # Source
/// `ChangedSerializer` and `ChangedDeserializer`.
pub(crate) struct ChangeSerde<V>(ArcSerde<V>);

impl<V> ChangeSerde<V> {
    pub(crate) fn new(inner: ArcSerde<V>) -> Self {
        Self(inner)
    }
}

impl<V: 'static> Serde<Change<V>> for ChangeSerde<V> {
    fn serialize(&self, change: &Change<V>, bytes: &mut Vec<u8>) -> Result<(), SerdeError> {
        let flag = match (&change.new, &change.old) {
            (Some(new), Some(old)) => {
                let start = bytes.len();
                self.0.serialize(new, bytes)?;
                let length = Varint::of(bytes.len() - start)?;
                bytes.splice(start..start, length);
                self.0.serialize(old, bytes)?;
                BOTH
            }
            (Some(new), None) => {
                self.0.serialize(new, bytes)?;
                NEW
            }
            (None, Some(old)) => {
                self.0.serialize(old, bytes)?;
                OLD
            }
            (None, None) => return Err("an update has neither a new nor an old value".into()),
        };
        bytes.push(flag);
        Ok(())
    }

    fn deserialize(&self, bytes: &[u8]) -> Result<Change<V>, SerdeError> {
        let Some((&flag, mut values)) = bytes.split_last() else {
            return Err("an update has no bytes".into());
        };
        if flag >= WITH_LATEST {
            values = values.split_last().ok_or("an update ends early")?.1;
        }
        let (new, old) = match flag % WITH_LATEST {
            _ if flag > BOTH + WITH_LATEST => {
                return Err(format!("an update ends with {flag}, which says nothing").into());
            }
            OLD => (None, Some(values)),
            NEW => (Some(values), None),
            _ => {
                let (length, values) = read_varint(values).ok_or("an update ends early")?;
                let (new, old) = values.split_at_checked(length).ok_or("an update ends early")?;
                (Some(new), Some(old))
            }
        };
        let read = |bytes: Option<&[u8]>| bytes.map(|bytes| self.0.deserialize(bytes)).transpose();
        Ok(Change::latest(read(new)?, read(old)?))
    }
}

/// A length in zigzag, seven bits to a byte, the lowest first; the top bit says that more follow.
struct Varint(Option<u64>);

impl Varint {
    fn of(length: usize) -> Result<Self, SerdeError> {
        let length = i32::try_from(length)?;
        Ok(Self(Some(u64::from(length.unsigned_abs()) << 1)))
    }
}

impl Iterator for Varint {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let rest = self.0.take()?;
        let [low, ..] = rest.to_le_bytes();
        if rest < 0x80 {
            return Some(low);
        }
        self.0 = Some(rest >> 7);
        Some(low | 0x80)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (1, Some(5))
    }
}

/// A length, and the bytes behind it.
fn read_varint(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut rest = bytes;
    let mut length = 0_usize;
    for shift in (0..35).step_by(7) {
        let (&byte, behind) = rest.split_first()?;
        rest = behind;
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((length >> 1, rest));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::serdes::DefaultSerde;

    fn serde() -> ChangeSerde<String> {
        ChangeSerde::new(String::default_serde())
    }

    fn bytes(new: Option<&str>, old: Option<&str>) -> Vec<u8> {
        let change = Change::latest(new.map(str::to_owned), old.map(str::to_owned));
        let mut bytes = Vec::new();
        serde().serialize(&change, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn bytes_are_those_of_kafka_streams() {
        assert_eq!(bytes(Some("c8"), None), *b"c8\x01");
        assert_eq!(bytes(None, Some("c3")), *b"c3\x00");
        assert_eq!(bytes(Some("c8"), Some("c3")), *b"\x04c8c3\x02");
        assert_eq!(bytes(Some(&"x".repeat(64)), Some(""))[..3], *b"\x80\x01x");
    }

    #[test]
    fn updates_that_say_whether_they_are_the_latest_are_read() {
        let read = |bytes: &[u8]| serde().deserialize(bytes).unwrap();
        let (a, b) = (Some("a".to_owned()), Some("b".to_owned()));
        assert_eq!(read(b"a\x01\x03"), Change::latest(None, a.clone()));
        assert_eq!(read(b"a\x00\x04"), Change::latest(a.clone(), None));
        assert_eq!(read(b"\x02ab\x01\x05"), Change::latest(a, b));
    }

    #[test]
    fn bytes_that_are_no_update_are_refused() {
        for bytes in [&b""[..], b"\x02", b"\x08ab\x02", b"a\x06", b"\x80\x80\x80\x80\x80\x01\x02"] {
            assert!(serde().deserialize(bytes).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn updates_come_back(new in prop::option::of(".{0,200}"), old in prop::option::of(".{0,9}")) {
            prop_assume!(new.is_some() || old.is_some());
            let change = Change::latest(new, old);
            let mut bytes = b"before".to_vec();
            serde().serialize(&change, &mut bytes).unwrap();
            prop_assert_eq!(serde().deserialize(&bytes[6..]).unwrap(), change);
        }
    }
}
