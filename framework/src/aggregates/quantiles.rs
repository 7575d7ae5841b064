//! How values are distributed: percentiles and histograms.

use std::sync::Arc;

use datasketches::tdigest::TDigestMut;

use crate::serdes::{ArcSerde, DefaultSerde, Serde, SerdeError};

/// Percentiles and histograms of numbers, in a few KiB however many there are: a t-digest.
///
/// **Estimated**: the rank of an answer is right to about one in a hundred in the middle, and much closer
/// at both ends, where percentiles are asked for; the smallest and the largest value are exact. NaN and
/// infinite numbers are left out. An estimate may differ a little after a restart, because the state is
/// condensed when it is written.
///
/// **Bytes** of the default serde: the image of Apache `DataSketches`' t-digest of doubles, which its Java, C++
/// and Python libraries read.
///
/// # Examples
/// ```
/// use kstream::aggregates::QuantileSketch;
/// use kstream::{KStream, StreamsBuilder};
/// use kstream_test_utils::TopologyTestDriver;
///
/// let builder = StreamsBuilder::new();
/// let times: KStream<String, f64> = builder.stream("response-ms");
/// times
///     .group_by_key()
///     .aggregate(QuantileSketch::new, |_, ms, sketch: QuantileSketch| sketch.with(ms))
///     .to_stream()
///     .map_values(|sketch| sketch.and_then(|sketch| sketch.quantile(0.5)).unwrap_or_default())
///     .to("median-ms");
/// let driver = TopologyTestDriver::new(builder.build()?)?;
/// let input = driver.input_topic::<String, f64>("response-ms");
/// for ms in [10.0, 30.0, 20.0] {
///     input.pipe("/".to_owned(), ms)?;
/// }
/// let medians = driver.output_topic::<String, f64>("median-ms").read_key_values()?;
/// assert_eq!(medians.last(), Some(&("/".to_owned(), 20.0)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Source
/// Dunning and Ertl, "Computing Extremely Accurate Quantiles Using t-Digests".
#[derive(Debug, Clone, Default)]
pub struct QuantileSketch(TDigestMut);

impl QuantileSketch {
    /// No values yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a finer (larger) or coarser compression than the usual 200; at least 10 is taken. Memory grows
    /// with it, the error shrinks.
    pub fn with_compression(compression: u16) -> Self {
        // Never an error: the only one is a compression below 10.
        Self(TDigestMut::new(compression.max(10)).unwrap_or_default())
    }

    /// Takes a value.
    #[must_use]
    pub fn with(mut self, value: f64) -> Self {
        self.0.update(value);
        self
    }

    /// Takes the values of another; the compression stays.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "a merger has two aggregates to give away")]
    pub fn merged(mut self, other: Self) -> Self {
        self.0.merge(&other.0);
        self
    }

    /// How many values there were.
    pub fn count(&self) -> u64 {
        self.0.total_weight()
    }

    /// The smallest value.
    pub fn min(&self) -> Option<f64> {
        self.0.min_value()
    }

    /// The largest value.
    pub fn max(&self) -> Option<f64> {
        self.0.max_value()
    }

    /// The value that about this share of all values is below: 0.5 is the median, 0.99 the 99th percentile.
    /// `None` without values, or for a rank that is not between 0 and 1.
    pub fn quantile(&self, rank: f64) -> Option<f64> {
        self.0.clone().quantile(rank).ok().flatten()
    }

    /// The quantiles of several ranks, for the price of one.
    pub fn quantiles(&self, ranks: &[f64]) -> Option<Vec<f64>> {
        self.0.clone().quantiles(ranks).ok().flatten()
    }

    /// About which share of all values is below this one.
    pub fn rank(&self, value: f64) -> Option<f64> {
        self.0.clone().rank(value).ok().flatten()
    }

    /// About how many values are in each of the buckets between these bounds, which rise: the first bucket
    /// is what is below the first bound, the last what is at or above the last one. The sum is
    /// [`QuantileSketch::count`]. `None` without values, or if the bounds do not rise.
    pub fn histogram(&self, bounds: &[f64]) -> Option<Vec<u64>> {
        let shares = self.0.clone().cdf(bounds).ok().flatten()?;
        let count = self.count();
        let mut below = 0;
        let mut buckets = Vec::with_capacity(shares.len());
        for share in shares {
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "an estimate between 0 and the count"
            )]
            let up_to = ((count as f64 * share).round() as u64).clamp(below, count);
            buckets.push(up_to - below);
            below = up_to;
        }
        if let Some(last) = buckets.last_mut() {
            *last += count - below;
        }
        Some(buckets)
    }
}

/// The serde of [`QuantileSketch`]: Apache `DataSketches`' image of a t-digest.
#[derive(Debug, Clone, Copy, Default)]
pub struct QuantileSerde;

impl Serde<QuantileSketch> for QuantileSerde {
    fn serialize(&self, sketch: &QuantileSketch, bytes: &mut Vec<u8>) -> Result<(), SerdeError> {
        bytes.extend_from_slice(&sketch.0.clone().serialize());
        Ok(())
    }

    fn deserialize(&self, bytes: &[u8]) -> Result<QuantileSketch, SerdeError> {
        Ok(QuantileSketch(TDigestMut::deserialize(bytes)?))
    }

    fn format(&self) -> Option<String> {
        Some("datasketches t-digest".to_owned())
    }

    fn memory_bytes(&self, sketch: &QuantileSketch) -> usize {
        sketch.0.estimated_size()
    }
}

impl DefaultSerde for QuantileSketch {
    fn default_serde() -> ArcSerde<Self> {
        Arc::new(QuantileSerde)
    }
}
