//! What a foreign-key join sends between its two sides, byte for byte as Kafka Streams does.
//!
//! A subscription is a byte of version (its top bit: no hash), a byte of instruction, the hash, the primary
//! key, and from version 1 the primary key's partition. A response is a byte of version with the same top
//! bit, the hash, and the foreign row's value.

use crate::serdes::{ArcSerde, Serde, SerdeError};

/// What the other side is to do with a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Instruction {
    /// Forget the subscription and say nothing.
    Unsubscribe = 0,
    /// Forget the subscription and answer that there is no foreign row.
    UnsubscribeAndAnswer = 1,
    /// Subscribe and answer in any case.
    Subscribe = 2,
    /// Subscribe and answer if there is a foreign row.
    SubscribeAndAnswerIfFound = 3,
}

impl Instruction {
    fn read(byte: u8) -> Option<Self> {
        [
            Self::Unsubscribe,
            Self::UnsubscribeAndAnswer,
            Self::Subscribe,
            Self::SubscribeAndAnswerIfFound,
        ]
        .into_iter()
        .find(|instruction| *instruction as u8 == byte)
    }
}

/// The hash of a primary row's value; `None` for no row.
pub(crate) type ValueHash = Option<u128>;

/// A primary row that wants to know about a foreign row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subscription<K> {
    pub(crate) hash: ValueHash,
    pub(crate) instruction: Instruction,
    pub(crate) primary_key: K,
    /// The partition of the primary row, where the answer goes; unknown in version 0.
    pub(crate) primary_partition: Option<i32>,
}

/// The answer to a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response<VO> {
    /// The hash that the subscription came with.
    pub(crate) hash: ValueHash,
    pub(crate) value: Option<VO>,
    /// The partition that the answer goes to; it is not written.
    pub(crate) primary_partition: Option<i32>,
}

/// The top bit of the version byte.
const NO_HASH: u8 = 0x80;
/// The version of subscriptions that know their partition.
const WITH_PARTITION: u8 = 1;

fn read_hash(version: u8, bytes: &[u8]) -> Option<(ValueHash, &[u8])> {
    if version & NO_HASH != 0 {
        return Some((None, bytes));
    }
    let (hash, rest) = bytes.split_first_chunk::<16>()?;
    Some((Some(u128::from_be_bytes(*hash)), rest))
}

/// Writes and reads subscriptions.
pub(crate) struct SubscriptionSerde<K> {
    pub(crate) primary_key: ArcSerde<K>,
}

impl<K: 'static> Serde<Subscription<K>> for SubscriptionSerde<K> {
    fn serialize(&self, value: &Subscription<K>, bytes: &mut Vec<u8>) -> Result<(), SerdeError> {
        let Subscription { hash, instruction, primary_key, primary_partition } = value;
        let version = if primary_partition.is_some() { WITH_PARTITION } else { 0 };
        bytes.push(version | if hash.is_some() { 0 } else { NO_HASH });
        bytes.push(*instruction as u8);
        bytes.extend_from_slice(hash.map(u128::to_be_bytes).as_ref().map_or(&[][..], |hash| hash));
        self.primary_key.serialize(primary_key, bytes)?;
        if let Some(partition) = primary_partition {
            bytes.extend_from_slice(&partition.to_be_bytes());
        }
        Ok(())
    }

    fn deserialize(&self, bytes: &[u8]) -> Result<Subscription<K>, SerdeError> {
        let bad = || "the bytes are no subscription of a foreign-key join";
        let [version, instruction, rest @ ..] = bytes else { return Err(bad().into()) };
        let instruction = Instruction::read(*instruction).ok_or_else(bad)?;
        let (hash, rest) = read_hash(*version, rest).ok_or_else(bad)?;
        let (key, primary_partition) = match version & !NO_HASH {
            0 => (rest, None),
            WITH_PARTITION => {
                let (key, partition) = rest.split_last_chunk::<4>().ok_or_else(bad)?;
                (key, Some(i32::from_be_bytes(*partition)))
            }
            other => return Err(format!("subscription version {other} is not known").into()),
        };
        let primary_key = self.primary_key.deserialize(key)?;
        Ok(Subscription { hash, instruction, primary_key, primary_partition })
    }
}

/// Writes and reads responses.
pub(crate) struct ResponseSerde<VO> {
    pub(crate) value: ArcSerde<VO>,
}

impl<VO: 'static> Serde<Response<VO>> for ResponseSerde<VO> {
    fn serialize(&self, value: &Response<VO>, bytes: &mut Vec<u8>) -> Result<(), SerdeError> {
        bytes.push(if value.hash.is_some() { 0 } else { NO_HASH });
        let hash = value.hash.map(u128::to_be_bytes);
        bytes.extend_from_slice(hash.as_ref().map_or(&[][..], |hash| hash));
        match &value.value {
            Some(value) if !self.value.is_null(value) => self.value.serialize(value, bytes),
            _ => Ok(()),
        }
    }

    fn deserialize(&self, bytes: &[u8]) -> Result<Response<VO>, SerdeError> {
        let bad = || "the bytes are no response of a foreign-key join";
        let (version, rest) = bytes.split_first().ok_or_else(bad)?;
        if version & !NO_HASH != 0 {
            return Err(format!("response version {} is not known", version & !NO_HASH).into());
        }
        let (hash, rest) = read_hash(*version, rest).ok_or_else(bad)?;
        // KAFKA: a foreign value of no bytes cannot be told from none.
        let value = if rest.is_empty() { None } else { Some(self.value.deserialize(rest)?) };
        Ok(Response { hash, value, primary_partition: None })
    }
}

/// Writes the key of a subscription in its store: the foreign key behind its length, then the primary key.
pub(crate) fn write_combined_key<KO: 'static, K: 'static>(
    foreign: (&dyn Serde<KO>, &KO),
    primary: Option<(&dyn Serde<K>, &K)>,
    bytes: &mut Vec<u8>,
) -> Result<(), SerdeError> {
    bytes.clear();
    bytes.extend_from_slice(&[0; 4]);
    let (serde, key) = foreign;
    serde.serialize(key, bytes)?;
    let length = i32::try_from(bytes.len() - 4)?.to_be_bytes();
    for (place, byte) in bytes.iter_mut().zip(length) {
        *place = byte;
    }
    primary.map_or(Ok(()), |(serde, key)| serde.serialize(key, bytes))
}

/// The first key behind all those with this prefix; `None` if there is none.
pub(crate) fn behind_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}
