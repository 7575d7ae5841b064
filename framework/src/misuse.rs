//! Mistakes that do not compile, each beside the same code without it. They are documentation tests, which
//! share the build of everything else; only documentation tests see this module.
//!
//! # A type without a serde
//! The message says how to give it one.
//! ```compile_fail,E0277
//! # use kstream::{KStream, StreamsBuilder};
//! #[derive(Clone, serde::Serialize, serde::Deserialize)]
//! struct View { path: String }
//! let builder = StreamsBuilder::new();
//! let views: KStream<String, View> = builder.stream("views");
//! ```
//! ```
//! # use kstream::{KStream, StreamsBuilder};
//! #[derive(Clone, serde::Serialize, serde::Deserialize)]
//! struct View { path: String }
//! kstream::json_serde!(View);
//! let builder = StreamsBuilder::new();
//! let views: KStream<String, View> = builder.stream("views");
//! ```
//!
//! # A mapper of another value type
//! ```compile_fail,E0631
//! # use kstream::{KStream, StreamsBuilder};
//! let builder = StreamsBuilder::new();
//! let sizes: KStream<String, i64> = builder.stream("sizes");
//! sizes.map_values(|size: String| size.len() as u64).to("out");
//! ```
//! ```
//! # use kstream::{KStream, StreamsBuilder};
//! let builder = StreamsBuilder::new();
//! let sizes: KStream<String, i64> = builder.stream("sizes");
//! sizes.map_values(|size: i64| size.unsigned_abs()).to("out");
//! ```
//!
//! # A predicate that is none
//! ```compile_fail,E0308
//! # use kstream::{KStream, StreamsBuilder};
//! let builder = StreamsBuilder::new();
//! let sizes: KStream<String, i64> = builder.stream("sizes");
//! sizes.filter(|_, size| *size).to("out");
//! ```
//! ```
//! # use kstream::{KStream, StreamsBuilder};
//! let builder = StreamsBuilder::new();
//! let sizes: KStream<String, i64> = builder.stream("sizes");
//! sizes.filter(|_, size| *size > 0).to("out");
//! ```
//!
//! # A closure that cannot go to a stream thread
//! ```compile_fail,E0277
//! # use kstream::{KStream, StreamsBuilder};
//! use std::{cell::Cell, rc::Rc};
//! let builder = StreamsBuilder::new();
//! let sizes: KStream<String, i64> = builder.stream("sizes");
//! let seen = Rc::new(Cell::new(0));
//! sizes.peek(move |_, size| seen.set(*size)).to("out");
//! ```
//! ```
//! # use kstream::{KStream, StreamsBuilder};
//! use std::sync::{Arc, atomic::{AtomicI64, Ordering}};
//! let builder = StreamsBuilder::new();
//! let sizes: KStream<String, i64> = builder.stream("sizes");
//! let seen = Arc::new(AtomicI64::new(0));
//! sizes.peek(move |_, size| seen.store(*size, Ordering::Relaxed)).to("out");
//! ```
//!
//! # Streams of different types merged
//! ```compile_fail,E0308
//! # use kstream::{KStream, StreamsBuilder};
//! let builder = StreamsBuilder::new();
//! let sizes: KStream<String, i64> = builder.stream("sizes");
//! let names: KStream<String, String> = builder.stream("names");
//! sizes.merge(&names).to("out");
//! ```
//! ```
//! # use kstream::{KStream, StreamsBuilder};
//! let builder = StreamsBuilder::new();
//! let sizes: KStream<String, i64> = builder.stream("sizes");
//! let names: KStream<String, String> = builder.stream("names");
//! sizes.map_values(|size| size.to_string()).merge(&names).to("out");
//! ```
//!
//! # A processor of other types
//! The message names the types that the processor takes.
//! ```compile_fail,E0277
//! # use kstream::{KStream, Processor, ProcessorContext, ProcessorError, Record, StreamsBuilder};
//! struct Pass;
//! impl Processor<String, i64, String, i64> for Pass {
//!     fn process(
//!         &mut self,
//!         context: &mut ProcessorContext<'_, String, i64>,
//!         record: Record<String, i64>,
//!     ) -> Result<(), ProcessorError> {
//!         Ok(context.forward(record)?)
//!     }
//! }
//! let builder = StreamsBuilder::new();
//! let names: KStream<String, String> = builder.stream("names");
//! names.process(|| Pass).to("out");
//! ```
//! ```
//! # use kstream::{KStream, Processor, ProcessorContext, ProcessorError, Record, StreamsBuilder};
//! struct Pass;
//! impl Processor<String, i64, String, i64> for Pass {
//!     fn process(
//!         &mut self,
//!         context: &mut ProcessorContext<'_, String, i64>,
//!         record: Record<String, i64>,
//!     ) -> Result<(), ProcessorError> {
//!         Ok(context.forward(record)?)
//!     }
//! }
//! let builder = StreamsBuilder::new();
//! let sizes: KStream<String, i64> = builder.stream("sizes");
//! sizes.process(|| Pass).to("out");
//! ```
//!
//! # A sink behind a node of other types
//! ```compile_fail,E0308
//! # use kstream::TopologyBuilder;
//! let builder = TopologyBuilder::new();
//! let sizes = builder.add_source::<String, i64>("sizes", "sizes");
//! builder.add_sink::<String, String>("sink", "out", &[&sizes]);
//! ```
//! ```
//! # use kstream::TopologyBuilder;
//! let builder = TopologyBuilder::new();
//! let sizes = builder.add_source::<String, i64>("sizes", "sizes");
//! builder.add_sink::<String, i64>("sink", "out", &[&sizes]);
//! ```
