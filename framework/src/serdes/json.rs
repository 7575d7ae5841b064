//! JSON through serde.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{ArcSerde, Serde, SerdeError};

/// Writes any serde type as JSON.
pub struct JsonSerde<T>(PhantomData<fn() -> T>);

impl<T> Default for JsonSerde<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T> fmt::Debug for JsonSerde<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JsonSerde")
    }
}

impl<T: Serialize + DeserializeOwned + 'static> Serde<T> for JsonSerde<T> {
    fn serialize(&self, value: &T, bytes: &mut Vec<u8>) -> Result<(), SerdeError> {
        Ok(serde_json::to_writer(bytes, value)?)
    }
    fn deserialize(&self, bytes: &[u8]) -> Result<T, SerdeError> {
        Ok(serde_json::from_slice(bytes)?)
    }
    fn format(&self) -> Option<String> {
        Some("json".to_owned())
    }
}

/// A JSON serde for `T`, to pass to an option.
pub fn json<T: Serialize + DeserializeOwned + 'static>() -> ArcSerde<T> {
    Arc::new(JsonSerde::default())
}

/// Makes JSON the default serde of types that implement serde's traits.
///
/// # Examples
/// ```
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Clone, Serialize, Deserialize)]
/// struct View { path: String }
/// kstream::json_serde!(View);
/// ```
#[macro_export]
macro_rules! json_serde {
    ($($type:ty),+ $(,)?) => {$(
        impl $crate::serdes::DefaultSerde for $type {
            fn default_serde() -> $crate::serdes::ArcSerde<Self> {
                $crate::serdes::json()
            }
        }
    )+};
}
