//! Aggregates that are more than a number: the largest of many, how values are distributed, how many
//! different ones there are.
//!
//! Each begins empty, takes values one by one (`with`), and can be combined with another of its kind
//! (`merged`), so that it serves plain, windowed and session aggregations alike. Each has a default serde whose
//! bytes are described and stay as they are.
//!
//! | aggregate | answers | memory |
//! |---|---|---|
//! | [`TopK`] | which items have the highest scores; exact | the items it keeps |
//! | [`QuantileSketch`] | percentiles and histograms; estimated | a few KiB, however many values |
//! | [`DistinctSketch`] | how many different values; estimated | 2 KiB by default |
//!
//! # Examples
//! Response times by page: the slowest tenth, in windows of a minute.
//! ```
//! use std::time::Duration;
//! use kstream::aggregates::QuantileSketch;
//! use kstream::{KStream, StreamsBuilder, TimeWindows};
//! use kstream_test_utils::TopologyTestDriver;
//!
//! let builder = StreamsBuilder::new();
//! let times: KStream<String, f64> = builder.stream("response-ms");
//! let minutes = TimeWindows::of_size_with_no_grace(Duration::from_secs(60));
//! times
//!     .group_by_key()
//!     .windowed_by(minutes)
//!     .aggregate(QuantileSketch::new, |_page, ms, sketch: QuantileSketch| sketch.with(ms))
//!     .to_stream()
//!     .map(|window, sketch| (window.key, sketch.and_then(|sketch| sketch.quantile(0.9)).unwrap_or(0.0)))
//!     .to("slow");
//! let driver = TopologyTestDriver::new(builder.build()?)?;
//! let input = driver.input_topic::<String, f64>("response-ms");
//! for ms in 1..=100 {
//!     input.pipe("/".to_owned(), f64::from(ms))?;
//! }
//! let slow = driver.output_topic::<String, f64>("slow").read_key_values()?;
//! let (page, ms) = slow.last().unwrap();
//! assert!(page == "/" && (88.0..=92.0).contains(ms), "{ms} is not about 90");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod distinct;
mod quantiles;
mod top_k;

pub use distinct::{DistinctSerde, DistinctSketch, DistinctValue};
pub use quantiles::{QuantileSerde, QuantileSketch};
pub use top_k::{TopK, TopKSerde};
