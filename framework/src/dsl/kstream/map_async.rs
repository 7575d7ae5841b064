//! Operators that call something outside of the process and do not wait for it.

use std::hash::Hash;
use std::panic::Location;
use std::sync::Arc;

use super::{KStream, Operator};
use crate::dsl::options::{AsyncCalls, Named};
use crate::processor::Data;
use crate::processor::api::ProcessorError;
use crate::processor::operators::async_map::{AsyncMap, CallLimits, Mapping, attempts};
use crate::topology::link::calling_node;
use crate::topology::timed_calls::TimedCalls;

impl<K: Data + Hash + Eq, V: Data> KStream<K, V> {
    /// Makes a new value of each record by a call to something else, a service or a database, while other
    /// calls are under way.
    ///
    /// **Shape**: `(K, V)` → `(K, V2)`, one per record; the key does not change, and timestamp and headers are the
    /// record's. By default up to 100 records of a task are in flight, results of one key go on in the order
    /// of its records, and a call may take 5 seconds.
    ///
    /// The function is called, and its future runs, on an asynchronous runtime: the instance's own, or
    /// [one that is given](crate::StreamsConfig::async_runtime). A client goes into the closure and is cloned for
    /// each call. Everything behind the operator runs on the stream thread again. Stream time goes on when a
    /// record arrives, not when its result is there: windows behind the operator need a grace for the calls.
    ///
    /// A commit waits for the calls in flight, so that it never has the offset of a record whose result has not
    /// gone on: no result is lost, and exactly-once none comes twice. The call itself may be made more than once
    /// for a record, after a failure or a crash: services have to bear that.
    /// When tasks are given up, calls in flight are finished, or dropped and made again by the next owner.
    ///
    /// # Errors
    /// A call that fails, panics or takes too long stops the application, or goes to the
    /// [processing handler](crate::StreamsConfig::processing_handler), with the record and the call's error. Exactly
    /// once, a start is refused when a call may take longer than the transaction that it is made in:
    /// [`AsyncCalls::with_timeout`] says how long that is.
    ///
    /// # Examples
    /// ```
    /// use std::collections::HashMap;
    /// use std::sync::Arc;
    /// use kstream::{KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// /// Stands for a service on the network.
    /// struct Prices(HashMap<String, i64>);
    ///
    /// impl Prices {
    ///     async fn of(&self, product: &str) -> Result<i64, String> {
    ///         self.0.get(product).copied().ok_or_else(|| format!("no price of {product}"))
    ///     }
    /// }
    ///
    /// let prices = Arc::new(Prices(HashMap::from([("tea".to_owned(), 3), ("cake".to_owned(), 5)])));
    /// let builder = StreamsBuilder::new();
    /// let orders: KStream<String, String> = builder.stream("orders");
    /// orders
    ///     .map_values_async(move |product: String| {
    ///         let prices = Arc::clone(&prices);
    ///         async move { prices.of(&product).await }
    ///     })
    ///     .to("amounts");
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let orders = driver.input_topic::<String, String>("orders");
    /// orders.pipe("table 1".to_owned(), "tea".to_owned())?;
    /// orders.pipe("table 2".to_owned(), "cake".to_owned())?;
    /// let amounts = driver.output_topic::<String, i64>("amounts").read_key_values()?;
    /// assert_eq!(amounts, [("table 1".to_owned(), 3), ("table 2".to_owned(), 5)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// Kafka Streams has no such operator. Flink has `AsyncDataStream`.
    #[track_caller]
    pub fn map_values_async<V2: Data, E, F>(
        &self,
        mapper: impl Fn(V) -> F + Send + Sync + 'static,
    ) -> KStream<K, V2>
    where
        E: Into<ProcessorError> + 'static,
        F: Future<Output = Result<V2, E>> + Send + 'static,
    {
        self.map_values_async_with(move |_, value| mapper(value), AsyncCalls::new())
    }

    /// [`KStream::map_values_async`] with options, and with the key.
    ///
    /// # Examples
    /// A service that is sometimes busy, asked again; what fails in the end goes to the dead-letter topic:
    /// ```
    /// use std::time::Duration;
    /// use kstream::{AsyncCalls, KStream, LogAndContinue, StreamsBuilder, StreamsConfig};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// async fn country_of(address: String) -> Result<String, std::io::Error> {
    ///     // …
    /// #   if address == "?" { return Err(std::io::Error::other("not an address")); }
    ///     Ok("NL".to_owned())
    /// }
    ///
    /// let builder = StreamsBuilder::new();
    /// let visits: KStream<String, String> = builder.stream("visits");
    /// let calls = AsyncCalls::named("country")
    ///     .with_retries(3)
    ///     .with_retry_if(|error: &std::io::Error| error.kind() == std::io::ErrorKind::TimedOut);
    /// visits.map_values_async_with(|_page, address| country_of(address), calls).to("countries");
    ///
    /// let config =
    ///     StreamsConfig::new("app").processing_handler(LogAndContinue).dead_letter_topic("letters");
    /// let driver = TopologyTestDriver::with_config(builder.build()?, config)?;
    /// let visits = driver.input_topic::<String, String>("visits");
    /// visits.pipe("/".to_owned(), "?".to_owned())?;
    /// visits.pipe("/".to_owned(), "192.0.2.7".to_owned())?;
    /// let countries = driver.output_topic::<String, String>("countries").read_values()?;
    /// assert_eq!(countries, ["NL"]);
    /// let letters = driver.output_topic::<String, String>("letters").read_values()?;
    /// assert_eq!(letters, ["?"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn map_values_async_with<V2: Data, E, F>(
        &self,
        mapper: impl Fn(K, V) -> F + Send + Sync + 'static,
        calls: AsyncCalls<E>,
    ) -> KStream<K, V2>
    where
        E: Into<ProcessorError> + 'static,
        F: Future<Output = Result<V2, E>> + Send + 'static,
    {
        let begin = attempts(mapper, Arc::clone(&calls.retry_if));
        let mapping = Mapping { begin, finish: |key, value| (key, value) };
        self.add_calls(("KSTREAM-MAPVALUESASYNC-", false), calls, mapping)
    }

    /// Makes a new key and value of each record by a call to something else; in all else as
    /// [`KStream::map_values_async`].
    ///
    /// **Shape**: `(K, V)` → `(K2, V2)`, one per record. The key may change: a grouping behind it goes through a
    /// repartition topic. Where only the value changes, [`KStream::map_values_async`] saves that. The order of
    /// results is that of the keys before the call.
    ///
    /// # Errors
    /// As [`KStream::map_values_async`].
    ///
    /// # Examples
    /// ```
    /// use kstream::{KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// async fn user_of(session: String) -> Result<i64, std::io::Error> {
    ///     // …
    /// #   Ok(session.len() as i64)
    /// }
    ///
    /// let builder = StreamsBuilder::new();
    /// let clicks: KStream<String, String> = builder.stream("clicks");
    /// clicks
    ///     .map_async(|session, page| async move {
    ///         Ok::<_, std::io::Error>((user_of(session).await?, page))
    ///     })
    ///     .to("clicks-by-user");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input_topic::<String, String>("clicks").pipe("7f3a".to_owned(), "/".to_owned())?;
    /// let clicks = driver.output_topic::<i64, String>("clicks-by-user").read_key_values()?;
    /// assert_eq!(clicks, [(4, "/".to_owned())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// Kafka Streams has no such operator. Flink has `AsyncDataStream`.
    #[track_caller]
    pub fn map_async<K2: Data, V2: Data, E, F>(
        &self,
        mapper: impl Fn(K, V) -> F + Send + Sync + 'static,
    ) -> KStream<K2, V2>
    where
        E: Into<ProcessorError> + 'static,
        F: Future<Output = Result<(K2, V2), E>> + Send + 'static,
    {
        self.map_async_with(mapper, AsyncCalls::new())
    }

    /// [`KStream::map_async`] with options.
    #[track_caller]
    pub fn map_async_with<K2: Data, V2: Data, E, F>(
        &self,
        mapper: impl Fn(K, V) -> F + Send + Sync + 'static,
        calls: AsyncCalls<E>,
    ) -> KStream<K2, V2>
    where
        E: Into<ProcessorError> + 'static,
        F: Future<Output = Result<(K2, V2), E>> + Send + 'static,
    {
        let begin = attempts(mapper, Arc::clone(&calls.retry_if));
        let mapping = Mapping { begin, finish: |_, result| result };
        self.add_calls(("KSTREAM-MAPASYNC-", true), calls, mapping)
    }

    #[track_caller]
    fn add_calls<K2: Data, V2: Data, R: Data, E>(
        &self,
        (prefix, changes_key): (&'static str, bool),
        calls: AsyncCalls<E>,
        mapping: Mapping<K, V, R, K2, V2>,
    ) -> KStream<K2, V2> {
        if let Some(problem) = calls.problem() {
            let subject = calls.name.as_deref().unwrap_or("an asynchronous operator");
            let (subject, problem) = (subject.to_owned(), problem.to_owned());
            self.plan.borrow_mut().report(subject, problem, Location::caller());
        }
        let timeout = calls.timeout;
        let limits = CallLimits {
            max_in_flight: calls.max_in_flight,
            order: calls.order,
            timeout,
            attempt_timeout: calls.attempt_timeout,
            pauses: calls.pauses(),
        };
        let supplier = calling_node(move |linker| {
            let (name, runtime) = (linker.node_name(), linker.call_runtime()?);
            Ok(AsyncMap::new(name, limits, mapping.clone(), runtime, linker.outlet()?))
        });
        let operator = Operator { prefix, named: Named(calls.name), changes_key };
        let stream = self.add(operator, supplier);
        let mut plan = self.plan.borrow_mut();
        let node = plan.node_name(stream.node).to_owned();
        plan.timed_calls.push(TimedCalls { node, timeout });
        drop(plan);
        stream
    }
}
