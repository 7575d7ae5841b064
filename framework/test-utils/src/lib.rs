//! Tests for kstream topologies: the real task on an in-process broker, without threads, on a clock that
//! moves only when told to.
//!
//! ```
//! use kstream::{KStream, StreamsBuilder};
//! use kstream_test_utils::TopologyTestDriver;
//!
//! let builder = StreamsBuilder::new();
//! let names: KStream<String, String> = builder.stream("names");
//! names.map_values(|name: String| format!("hello {name}")).to("greetings");
//!
//! let driver = TopologyTestDriver::new(builder.build()?)?;
//! driver.input_topic::<String, String>("names").pipe("1".to_owned(), "Ada".to_owned())?;
//! let greetings = driver.output_topic::<String, String>("greetings").read_key_values()?;
//! assert_eq!(greetings, [("1".to_owned(), "hello Ada".to_owned())]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod driver;
mod error;
mod topics;

pub use driver::{Row, TopologyTestDriver};
pub use error::TestError;
pub use topics::{TestInputTopic, TestOutputTopic};
