//! Serdes: how typed keys and values become bytes and back.
//!
//! A [`Serde`] turns one type into bytes. A serde is found by type through [`DefaultSerde`]; any operator
//! can override it through its options. Null is a property of the serde: only `Option`'s writes and
//! reads it, every other type has none.

pub(crate) mod change;
mod count_windowed;
mod json;
mod list;
mod option;
mod primitives;
mod uuid;
mod windowed;

use std::error::Error as StdError;
use std::sync::Arc;

pub(crate) use count_windowed::CountedSerde;
pub use json::{JsonSerde, json};
pub use list::{ListSerde, list};
pub use option::OptionSerde;
pub use primitives::{BoolSerde, BytesSerde, FixedSerde, StringSerde, UnitSerde};
pub use uuid::UuidSerde;
pub use windowed::{SessionWindowedSerde, TimeWindowedSerde};

/// What a serde reports when bytes do not fit the type, or a value cannot be written.
pub type SerdeError = Box<dyn StdError + Send + Sync>;

/// Turns values of `T` into bytes and back.
///
/// # Examples
/// A serde of one's own:
/// ```
/// use kstream::serdes::{Serde, SerdeError};
///
/// #[derive(Debug, PartialEq)]
/// struct Celsius(i16);
///
/// struct CelsiusSerde;
///
/// impl Serde<Celsius> for CelsiusSerde {
///     fn serialize(&self, value: &Celsius, bytes: &mut Vec<u8>) -> Result<(), SerdeError> {
///         bytes.extend_from_slice(&value.0.to_be_bytes());
///         Ok(())
///     }
///     fn deserialize(&self, bytes: &[u8]) -> Result<Celsius, SerdeError> {
///         Ok(Celsius(i16::from_be_bytes(bytes.try_into()?)))
///     }
/// }
///
/// let mut bytes = Vec::new();
/// CelsiusSerde.serialize(&Celsius(-5), &mut bytes)?;
/// assert_eq!(CelsiusSerde.deserialize(&bytes)?, Celsius(-5));
/// # Ok::<(), SerdeError>(())
/// ```
///
/// # Source
/// `org.apache.kafka.common.serialization.Serde`; there null is a value of every type, here it is
/// `None`.
pub trait Serde<T>: Send + Sync + 'static {
    /// Appends the value's bytes. Called only for values that are not null.
    fn serialize(&self, value: &T, bytes: &mut Vec<u8>) -> Result<(), SerdeError>;

    /// Reads a value back from all of `bytes`, which are not null.
    fn deserialize(&self, bytes: &[u8]) -> Result<T, SerdeError>;

    /// Whether this value is written as null.
    fn is_null(&self, value: &T) -> bool {
        let _ = value;
        false
    }

    /// The value that null is read as; `None` if the type has none.
    fn null(&self) -> Option<T> {
        None
    }

    /// The part of a key's bytes that decides its partition: all of them, but for windowed keys, which are
    /// partitioned by the key inside.
    fn partition_bytes<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes
    }

    /// How many bytes every value takes, where Java's serde of the type is one of fixed length; lists then
    /// leave the length of their elements out.
    fn fixed_bytes(&self) -> Option<usize> {
        None
    }

    /// A name for the bytes that it writes, which never changes while they stay the same. An application that
    /// starts with a serde of another name for the same store is refused. `None`: nobody checks.
    fn format(&self) -> Option<String> {
        None
    }

    /// About how many bytes of memory the value takes, for cache budgets. The default knows only the
    /// type's own size; override it for types that own much on the heap.
    fn memory_bytes(&self, value: &T) -> usize {
        let _ = value;
        size_of::<T>()
    }
}

/// A shared serde, as options and operators hold it.
pub type ArcSerde<T> = Arc<dyn Serde<T>>;

/// The serde that a type is written with where no option says otherwise.
///
/// Implemented for strings, integers (big-endian, as Kafka's), floats, `bool`, byte vectors, `()`,
/// `Option`, and [`Windowed`](crate::Windowed) keys. For a type of one's own, [`json!`](crate::json_serde)
/// chooses JSON.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no default serde",
    label = "kstream does not know how `{Self}` becomes bytes",
    note = "write `kstream::json_serde!({Self});` next to the type (it needs serde's Serialize and Deserialize), \
            implement `DefaultSerde` for it, or pass a serde with `Consumed::with`, `Produced::with`, `Grouped::with` or `Materialized::with`"
)]
pub trait DefaultSerde: Sized {
    /// The type's serde.
    fn default_serde() -> ArcSerde<Self>;
}
