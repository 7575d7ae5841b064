//! Null as a value: `Option<T>` is written as `T`'s bytes or as null.

use std::fmt;
use std::sync::Arc;

use super::{ArcSerde, DefaultSerde, Serde, SerdeError};

/// Writes `Some` as the inner serde does and `None` as null.
pub struct OptionSerde<T>(ArcSerde<T>);

impl<T> OptionSerde<T> {
    /// Nullable values of `inner`.
    pub fn new(inner: ArcSerde<T>) -> Self {
        Self(inner)
    }
}

impl<T> fmt::Debug for OptionSerde<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OptionSerde").finish_non_exhaustive()
    }
}

impl<T: 'static> Serde<Option<T>> for OptionSerde<T> {
    fn serialize(&self, value: &Option<T>, bytes: &mut Vec<u8>) -> Result<(), SerdeError> {
        value.as_ref().map_or(Ok(()), |value| self.0.serialize(value, bytes))
    }
    fn deserialize(&self, bytes: &[u8]) -> Result<Option<T>, SerdeError> {
        self.0.deserialize(bytes).map(Some)
    }
    fn is_null(&self, value: &Option<T>) -> bool {
        value.as_ref().is_none_or(|value| self.0.is_null(value))
    }
    fn null(&self) -> Option<Option<T>> {
        Some(None)
    }
    fn partition_bytes<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        self.0.partition_bytes(bytes)
    }
    fn fixed_bytes(&self) -> Option<usize> {
        self.0.fixed_bytes()
    }
    fn format(&self) -> Option<String> {
        self.0.format()
    }
    fn memory_bytes(&self, value: &Option<T>) -> usize {
        value.as_ref().map_or(size_of::<Option<T>>(), |value| self.0.memory_bytes(value))
    }
}

impl<T: DefaultSerde + 'static> DefaultSerde for Option<T> {
    fn default_serde() -> ArcSerde<Self> {
        Arc::new(OptionSerde::new(T::default_serde()))
    }
}
