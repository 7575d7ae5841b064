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
//!
//! # Streams cogrouped in windows of a number of records
//! ```compile_fail,E0277
//! # use kstream::{CountWindows, KStream, StreamsBuilder};
//! let builder = StreamsBuilder::new();
//! let sizes: KStream<String, i64> = builder.stream("sizes");
//! let group = sizes.group_by_key();
//! group.cogroup(|_, size, sum: i64| sum + size).windowed_by(CountWindows::of_size(3));
//! ```
//! ```
//! # use kstream::{KStream, StreamsBuilder, UnlimitedWindows};
//! let builder = StreamsBuilder::new();
//! let sizes: KStream<String, i64> = builder.stream("sizes");
//! let group = sizes.group_by_key();
//! group.cogroup(|_, size, sum: i64| sum + size).windowed_by(UnlimitedWindows::of());
//! ```
//!
//! # An aggregate without a serde
//! The message says where a serde can be given.
//! ```compile_fail,E0277
//! # use kstream::{KStream, StreamsBuilder};
//! #[derive(Clone)]
//! struct Sum(i64);
//! let builder = StreamsBuilder::new();
//! let sizes: KStream<String, i64> = builder.stream("sizes");
//! sizes.group_by_key().aggregate(|| Sum(0), |_, size, sum: Sum| Sum(sum.0 + size));
//! ```
//! ```
//! # use kstream::{KStream, StreamsBuilder};
//! #[derive(Clone, serde::Serialize, serde::Deserialize)]
//! struct Sum(i64);
//! kstream::json_serde!(Sum);
//! let builder = StreamsBuilder::new();
//! let sizes: KStream<String, i64> = builder.stream("sizes");
//! sizes.group_by_key().aggregate(|| Sum(0), |_, size, sum: Sum| Sum(sum.0 + size));
//! ```
//!
//! # A store of another value type
//! ```compile_fail,E0308
//! # use kstream::{KStream, Materialized, StreamsBuilder};
//! let builder = StreamsBuilder::new();
//! let sizes: KStream<String, i64> = builder.stream("sizes");
//! let store = Materialized::<String, String>::named("counts");
//! sizes.group_by_key().count_with("count", store);
//! ```
//! ```
//! # use kstream::{KStream, Materialized, StreamsBuilder};
//! let builder = StreamsBuilder::new();
//! let sizes: KStream<String, i64> = builder.stream("sizes");
//! let store = Materialized::<String, i64>::named("counts");
//! sizes.group_by_key().count_with("count", store);
//! ```
//!
//! # A time where windows are asked for
//! The message lists the windows that there are.
//! ```compile_fail,E0277
//! # use std::time::Duration;
//! # use kstream::{KStream, StreamsBuilder};
//! let builder = StreamsBuilder::new();
//! let sizes: KStream<String, i64> = builder.stream("sizes");
//! sizes.group_by_key().windowed_by(Duration::from_secs(1)).count();
//! ```
//! ```
//! # use std::time::Duration;
//! # use kstream::{KStream, StreamsBuilder, TimeWindows};
//! let builder = StreamsBuilder::new();
//! let sizes: KStream<String, i64> = builder.stream("sizes");
//! let windows = TimeWindows::of_size_with_no_grace(Duration::from_secs(1));
//! sizes.group_by_key().windowed_by(windows).count();
//! ```
//!
//! # Topics that are none
//! ```compile_fail,E0277
//! # use kstream::{KStream, StreamsBuilder};
//! let builder = StreamsBuilder::new();
//! let sizes: KStream<String, i64> = builder.stream(7);
//! ```
//! ```
//! # use kstream::{KStream, StreamsBuilder};
//! let builder = StreamsBuilder::new();
//! let sizes: KStream<String, i64> = builder.stream(["sizes", "more-sizes"]);
//! ```
//!
//! # Tables with other keys joined
//! The message says how to give one of them other keys.
//! ```compile_fail,E0277
//! # use kstream::{KTable, StreamsBuilder};
//! let builder = StreamsBuilder::new();
//! let prices: KTable<String, i64> = builder.table("prices");
//! let stock: KTable<u64, i64> = builder.table("stock");
//! prices.join(&stock, |price, stock| price * stock);
//! ```
//! ```
//! # use kstream::{KTable, StreamsBuilder};
//! let builder = StreamsBuilder::new();
//! let prices: KTable<String, i64> = builder.table("prices");
//! let stock: KTable<u64, i64> = builder.table("stock");
//! let stock = stock.group_by(|key, amount| (key.to_string(), amount)).reduce(|a, b| a + b, |a, b| a - b);
//! prices.join(&stock, |price, stock| price * stock);
//! ```
//!
//! # Streams with other keys joined
//! ```compile_fail,E0277
//! # use std::time::Duration;
//! # use kstream::{JoinWindows, KStream, StreamsBuilder};
//! let builder = StreamsBuilder::new();
//! let clicks: KStream<String, i64> = builder.stream("clicks");
//! let views: KStream<u64, i64> = builder.stream("views");
//! let windows = JoinWindows::of_time_difference_with_no_grace(Duration::from_secs(1));
//! clicks.join(&views, |click, view| click + view, windows).to("both");
//! ```
//! ```
//! # use std::time::Duration;
//! # use kstream::{JoinWindows, KStream, StreamsBuilder};
//! let builder = StreamsBuilder::new();
//! let clicks: KStream<String, i64> = builder.stream("clicks");
//! let views: KStream<u64, i64> = builder.stream("views");
//! let views = views.select_key(|key, _| key.to_string());
//! let windows = JoinWindows::of_time_difference_with_no_grace(Duration::from_secs(1));
//! clicks.join(&views, |click, view| click + view, windows).to("both");
//! ```
