//! How many different values there are.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datasketches::common::NumStdDev;
use datasketches::hll::{HllSketch, HllType, HllUnion};

use crate::serdes::{ArcSerde, DefaultSerde, Serde, SerdeError};

/// The usual precision: 4096 registers.
const PRECISION: u8 = 12;

/// How many different values there were, in 2 KiB however many: a `HyperLogLog`.
///
/// **Estimated**: with the usual precision, two of three answers are within 1.7 % of the truth, and nineteen
/// of twenty within 3.4 %; up to some tens of values they are nearly always exact. Each step of precision
/// doubles the memory and divides the error by 1.4.
///
/// **Bytes** of the default serde: the image of Apache `DataSketches`' HLL sketch (`HLL_4`), which its Java, C++
/// and Python libraries read. Text and bytes are hashed as those libraries hash byte arrays, so that sketches
/// from both sides can be merged.
///
/// # Examples
/// ```
/// use kstream::aggregates::DistinctSketch;
/// use kstream::{KStream, StreamsBuilder};
/// use kstream_test_utils::TopologyTestDriver;
///
/// let builder = StreamsBuilder::new();
/// let visits: KStream<String, String> = builder.stream("visits");
/// visits
///     .group_by_key()
///     .aggregate(DistinctSketch::new, |_, visitor, sketch: DistinctSketch| sketch.with(&visitor))
///     .to_stream()
///     .map_values(|sketch| sketch.map_or(0, |sketch| sketch.count()))
///     .to("visitors");
/// let driver = TopologyTestDriver::new(builder.build()?)?;
/// let input = driver.input_topic::<String, String>("visits");
/// for visitor in ["ann", "bob", "ann"] {
///     input.pipe("/".to_owned(), visitor.to_owned())?;
/// }
/// let counts = driver.output_topic::<String, u64>("visitors").read_key_values()?;
/// assert_eq!(counts.last(), Some(&("/".to_owned(), 2)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Source
/// Flajolet and others, "`HyperLogLog`: the analysis of a near-optimal cardinality estimation algorithm".
#[derive(Clone, PartialEq)]
pub struct DistinctSketch(HllSketch);

impl std::fmt::Debug for DistinctSketch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DistinctSketch").field("count", &self.count()).finish_non_exhaustive()
    }
}

/// A value that can be told from others by its bytes.
pub trait DistinctValue {
    /// Shows the bytes: the same for equal values, different ones for others.
    fn with_bytes<R>(&self, show: impl FnOnce(&[u8]) -> R) -> R;
}

impl DistinctValue for [u8] {
    fn with_bytes<R>(&self, show: impl FnOnce(&[u8]) -> R) -> R {
        show(self)
    }
}

impl DistinctValue for str {
    fn with_bytes<R>(&self, show: impl FnOnce(&[u8]) -> R) -> R {
        show(self.as_bytes())
    }
}

impl DistinctValue for String {
    fn with_bytes<R>(&self, show: impl FnOnce(&[u8]) -> R) -> R {
        show(self.as_bytes())
    }
}

impl DistinctValue for Vec<u8> {
    fn with_bytes<R>(&self, show: impl FnOnce(&[u8]) -> R) -> R {
        show(self)
    }
}

macro_rules! big_endian {
    ($($type:ty),*) => {$(
        impl DistinctValue for $type {
            fn with_bytes<R>(&self, show: impl FnOnce(&[u8]) -> R) -> R {
                show(&self.to_be_bytes())
            }
        }
    )*};
}

big_endian!(i8, i16, i32, i64, i128, u8, u16, u32, u64, u128);

/// Hashed as its bytes and nothing else: the standard library adds a length or an end.
struct Plain<'a>(&'a [u8]);

impl Hash for Plain<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.0);
    }
}

impl DistinctSketch {
    /// No values yet; the usual precision.
    pub fn new() -> Self {
        Self::with_precision(PRECISION)
    }

    /// With `2^precision` registers, half a byte each; from 4 to 21 is taken.
    pub fn with_precision(precision: u8) -> Self {
        Self(sketch(precision.clamp(4, 21)))
    }

    /// Takes a value.
    #[must_use]
    pub fn with(mut self, value: &(impl DistinctValue + ?Sized)) -> Self {
        value.with_bytes(|bytes| self.0.update(Plain(bytes)));
        self
    }

    /// Takes the values of another; the lower precision of both remains.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "a merger has two aggregates to give away")]
    pub fn merged(self, other: Self) -> Self {
        let precision = self.0.lg_config_k().max(other.0.lg_config_k());
        let Ok(mut union) = HllUnion::new(precision) else { return self };
        union.update(&self.0);
        union.update(&other.0);
        Self(union.to_sketch(HllType::Hll4))
    }

    /// About how many different values there were.
    pub fn count(&self) -> u64 {
        whole(self.0.estimate())
    }

    /// Between which numbers the truth is in nineteen of twenty cases.
    pub fn bounds(&self) -> (u64, u64) {
        (whole(self.0.lower_bound(NumStdDev::Two)), whole(self.0.upper_bound(NumStdDev::Two)))
    }

    /// The precision.
    pub fn precision(&self) -> u8 {
        self.0.lg_config_k()
    }
}

impl Default for DistinctSketch {
    fn default() -> Self {
        Self::new()
    }
}

#[expect(
    clippy::expect_used,
    reason = "the only error is a precision that is not between 4 and 21"
)]
fn sketch(precision: u8) -> HllSketch {
    HllSketch::new(precision, HllType::Hll4).expect("the precision is between 4 and 21")
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate of a count, never negative"
)]
fn whole(estimate: f64) -> u64 {
    estimate.round() as u64
}

/// The serde of [`DistinctSketch`]: Apache `DataSketches`' image of an HLL sketch.
#[derive(Debug, Clone, Copy, Default)]
pub struct DistinctSerde;

impl Serde<DistinctSketch> for DistinctSerde {
    fn serialize(&self, sketch: &DistinctSketch, bytes: &mut Vec<u8>) -> Result<(), SerdeError> {
        bytes.extend_from_slice(&sketch.0.serialize());
        Ok(())
    }

    fn deserialize(&self, bytes: &[u8]) -> Result<DistinctSketch, SerdeError> {
        Ok(DistinctSketch(HllSketch::deserialize(bytes)?))
    }

    fn format(&self) -> Option<String> {
        Some("datasketches hll".to_owned())
    }

    fn memory_bytes(&self, sketch: &DistinctSketch) -> usize {
        sketch.0.estimated_size()
    }
}

impl DefaultSerde for DistinctSketch {
    fn default_serde() -> ArcSerde<Self> {
        Arc::new(DistinctSerde)
    }
}
