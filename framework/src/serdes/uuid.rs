//! UUIDs as text, as Kafka's serde writes them.

use std::sync::Arc;

use uuid::Uuid;

use super::{ArcSerde, DefaultSerde, Serde, SerdeError};

/// The 36 characters of a UUID's text.
///
/// # Source
/// `UUIDSerializer` and `UUIDDeserializer`.
#[derive(Debug, Clone, Copy, Default)]
pub struct UuidSerde;

/// The length of the text.
const TEXT_BYTES: usize = 36;

impl Serde<Uuid> for UuidSerde {
    fn serialize(&self, value: &Uuid, bytes: &mut Vec<u8>) -> Result<(), SerdeError> {
        let mut text = Uuid::encode_buffer();
        bytes.extend_from_slice(value.hyphenated().encode_lower(&mut text).as_bytes());
        Ok(())
    }
    fn deserialize(&self, bytes: &[u8]) -> Result<Uuid, SerdeError> {
        Ok(Uuid::try_parse_ascii(bytes)?)
    }
    fn fixed_bytes(&self) -> Option<usize> {
        Some(TEXT_BYTES)
    }
}

impl DefaultSerde for Uuid {
    fn default_serde() -> ArcSerde<Self> {
        Arc::new(UuidSerde)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuid_is_its_text() {
        let uuid = Uuid::from_u64_pair(7, 1);
        let mut bytes = Vec::new();
        UuidSerde.serialize(&uuid, &mut bytes).unwrap();
        assert_eq!(bytes, b"00000000-0000-0007-0000-000000000001");
        assert_eq!(UuidSerde.deserialize(&bytes).unwrap(), uuid);
        assert!(UuidSerde.deserialize(b"7").is_err());
    }
}
