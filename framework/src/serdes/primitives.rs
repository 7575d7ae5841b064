//! Serdes of strings, numbers, booleans, bytes and unit, byte for byte those of
//! `org.apache.kafka.common.serialization.Serdes`.

use std::marker::PhantomData;
use std::sync::Arc;

use super::{ArcSerde, DefaultSerde, Serde, SerdeError};

/// UTF-8 text.
#[derive(Debug, Clone, Copy, Default)]
pub struct StringSerde;

impl Serde<String> for StringSerde {
    fn serialize(&self, value: &String, bytes: &mut Vec<u8>) -> Result<(), SerdeError> {
        bytes.extend_from_slice(value.as_bytes());
        Ok(())
    }
    fn deserialize(&self, bytes: &[u8]) -> Result<String, SerdeError> {
        Ok(std::str::from_utf8(bytes)?.to_owned())
    }
    fn format(&self) -> Option<String> {
        Some("utf-8".to_owned())
    }
    fn memory_bytes(&self, value: &String) -> usize {
        size_of::<String>() + value.capacity()
    }
}

impl DefaultSerde for String {
    fn default_serde() -> ArcSerde<Self> {
        Arc::new(StringSerde)
    }
}

impl Serde<Arc<str>> for StringSerde {
    fn serialize(&self, value: &Arc<str>, bytes: &mut Vec<u8>) -> Result<(), SerdeError> {
        bytes.extend_from_slice(value.as_bytes());
        Ok(())
    }
    fn deserialize(&self, bytes: &[u8]) -> Result<Arc<str>, SerdeError> {
        Ok(std::str::from_utf8(bytes)?.into())
    }
    fn format(&self) -> Option<String> {
        Some("utf-8".to_owned())
    }
    fn memory_bytes(&self, value: &Arc<str>) -> usize {
        size_of::<Arc<str>>() + value.len()
    }
}

impl DefaultSerde for Arc<str> {
    fn default_serde() -> ArcSerde<Self> {
        Arc::new(StringSerde)
    }
}

/// Bytes as they are.
#[derive(Debug, Clone, Copy, Default)]
pub struct BytesSerde;

impl Serde<Vec<u8>> for BytesSerde {
    fn serialize(&self, value: &Vec<u8>, bytes: &mut Vec<u8>) -> Result<(), SerdeError> {
        bytes.extend_from_slice(value);
        Ok(())
    }
    fn deserialize(&self, bytes: &[u8]) -> Result<Vec<u8>, SerdeError> {
        Ok(bytes.to_vec())
    }
    fn memory_bytes(&self, value: &Vec<u8>) -> usize {
        size_of::<Vec<u8>>() + value.capacity()
    }
}

impl DefaultSerde for Vec<u8> {
    fn default_serde() -> ArcSerde<Self> {
        Arc::new(BytesSerde)
    }
}

/// Integers and floats in two's complement or IEEE 754, big-endian, at their own width.
#[derive(Debug, Clone, Copy, Default)]
pub struct FixedSerde<T>(PhantomData<fn() -> T>);

macro_rules! fixed {
    ($($type:ty),*) => {$(
        impl Serde<$type> for FixedSerde<$type> {
            fn serialize(&self, value: &$type, bytes: &mut Vec<u8>) -> Result<(), SerdeError> {
                bytes.extend_from_slice(&value.to_be_bytes());
                Ok(())
            }
            fn fixed_bytes(&self) -> Option<usize> {
                // Java has no serdes of single bytes.
                Some(size_of::<$type>()).filter(|bytes| *bytes > 1)
            }
            fn deserialize(&self, bytes: &[u8]) -> Result<$type, SerdeError> {
                match bytes.try_into() {
                    Ok(exact) => Ok(<$type>::from_be_bytes(exact)),
                    Err(_) => Err(wrong_length(stringify!($type), size_of::<$type>(), bytes.len())),
                }
            }
            fn format(&self) -> Option<String> {
                Some(stringify!($type).to_owned())
            }
        }

        impl DefaultSerde for $type {
            fn default_serde() -> ArcSerde<Self> {
                Arc::new(FixedSerde::<$type>(PhantomData))
            }
        }
    )*};
}

fixed!(i8, i16, i32, i64, i128, u8, u16, u32, u64, u128, f32, f64);

#[cold]
fn wrong_length(type_name: &str, expected: usize, found: usize) -> SerdeError {
    format!("{type_name} takes {expected} bytes, not {found}").into()
}

/// One byte, 0 or 1.
#[derive(Debug, Clone, Copy, Default)]
pub struct BoolSerde;

impl Serde<bool> for BoolSerde {
    fn serialize(&self, value: &bool, bytes: &mut Vec<u8>) -> Result<(), SerdeError> {
        bytes.push(u8::from(*value));
        Ok(())
    }
    fn deserialize(&self, bytes: &[u8]) -> Result<bool, SerdeError> {
        match bytes {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(format!("bool takes the byte 0 or 1, not {other}").into()),
            _ => Err(wrong_length("bool", 1, bytes.len())),
        }
    }
    fn format(&self) -> Option<String> {
        Some("bool".to_owned())
    }
}

impl DefaultSerde for bool {
    fn default_serde() -> ArcSerde<Self> {
        Arc::new(BoolSerde)
    }
}

/// No information: written as null, any bytes are read as `()`.
///
/// # Source
/// Kafka's `Void` serde; it refuses bytes, this one skips over them, so that a topic can be read for
/// its values alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct UnitSerde;

impl Serde<()> for UnitSerde {
    fn serialize(&self, (): &(), _: &mut Vec<u8>) -> Result<(), SerdeError> {
        Ok(())
    }
    fn deserialize(&self, _: &[u8]) -> Result<(), SerdeError> {
        Ok(())
    }
    fn is_null(&self, (): &()) -> bool {
        true
    }
    fn null(&self) -> Option<()> {
        Some(())
    }
}

impl DefaultSerde for () {
    fn default_serde() -> ArcSerde<Self> {
        Arc::new(UnitSerde)
    }
}
