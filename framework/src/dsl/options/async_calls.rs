//! How the calls of an asynchronous operator are made.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use backon::ExponentialBuilder;

/// In which order the results of calls go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CallOrder {
    /// Results of one key go on in the order of its records; their calls may be under way at the same time.
    #[default]
    PerKey,
    /// As [`PerKey`](Self::PerKey), and the call of a record begins when that of the one before it with the same
    /// key has ended, with all its attempts: for services that have to see the records of a key in order.
    OneAtATimePerKey,
    /// All results go on in the order of the records: one slow call holds up those behind it.
    Input,
    /// Each result goes on as soon as it is there.
    Unordered,
}

/// How the calls of [`map_async`](crate::KStream::map_async) and
/// [`map_values_async`](crate::KStream::map_values_async) are made: how many at a time, how long they may take, and
/// what happens to those that fail. `E` is what a call fails with.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use kstream::{AsyncCalls, CallOrder};
///
/// let calls = AsyncCalls::named("look-up")
///     .with_max_in_flight(20)
///     .with_order(CallOrder::Unordered)
///     .with_timeout(Duration::from_secs(3))
///     .with_attempt_timeout(Duration::from_secs(1))
///     .with_retries(4)
///     .with_retry_if(|error: &std::io::Error| error.kind() == std::io::ErrorKind::ConnectionReset);
/// ```
///
/// # Source
/// Kafka Streams has nothing of the kind. Flink has `AsyncDataStream` with capacity, timeout and an
/// `AsyncRetryStrategy`.
pub struct AsyncCalls<E> {
    pub(crate) name: Option<String>,
    pub(crate) max_in_flight: usize,
    pub(crate) order: CallOrder,
    pub(crate) timeout: Duration,
    pub(crate) attempt_timeout: Option<Duration>,
    retries: usize,
    first_pause: Duration,
    longest_pause: Duration,
    pub(crate) retry_if: Arc<dyn Fn(&E) -> bool + Send + Sync>,
}

impl<E> Default for AsyncCalls<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> Clone for AsyncCalls<E> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), retry_if: Arc::clone(&self.retry_if), ..*self }
    }
}

impl<E> fmt::Debug for AsyncCalls<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncCalls")
            .field("name", &self.name)
            .field("max_in_flight", &self.max_in_flight)
            .field("order", &self.order)
            .field("timeout", &self.timeout)
            .field("attempt_timeout", &self.attempt_timeout)
            .field("retries", &self.retries)
            .finish_non_exhaustive()
    }
}

impl<E> AsyncCalls<E> {
    /// 100 records in flight, results in order by key, 5 seconds for a call, no retries.
    pub fn new() -> Self {
        Self {
            name: None,
            max_in_flight: 100,
            order: CallOrder::PerKey,
            timeout: Duration::from_secs(5),
            attempt_timeout: None,
            retries: 0,
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(10),
            retry_if: Arc::new(|_| true),
        }
    }

    /// [`AsyncCalls::new`] with a name for the node.
    pub fn named(name: impl Into<String>) -> Self {
        Self::new().with_name(name)
    }

    /// Names the node.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How many records of a task may be in flight; 100 by default. When so many are, the task takes no more
    /// until one has gone on. Where one record becomes several on its way here, those above the limit wait for
    /// others to end before their calls begin.
    #[must_use]
    pub fn with_max_in_flight(mut self, records: usize) -> Self {
        self.max_in_flight = records;
        self
    }

    /// In which order results go on; by key by default.
    #[must_use]
    pub fn with_order(mut self, order: CallOrder) -> Self {
        self.order = order;
        self
    }

    /// How long the call of a record may take, from the beginning of its first attempt, with all attempts and the
    /// pauses between them; 5 seconds by default. What is not answered then has failed.
    ///
    /// A commit waits for the calls in flight, and so up to this long; in a transaction this and the
    /// [commit interval](crate::StreamsConfig::commit_interval) together have to be shorter than its
    /// [timeout](crate::StreamsConfig::transaction_timeout), 10 s by default, or the start is refused. With [`CallOrder::OneAtATimePerKey`] it waits for the calls of each key one
    /// after another.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long one attempt may take before it is cut off, and the next one made if
    /// [retries](Self::with_retries) are left; by default as long as the call.
    #[must_use]
    pub fn with_attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = Some(timeout);
        self
    }

    /// How many further attempts follow one that fails; none by default. Between them are
    /// [pauses](Self::with_pauses).
    #[must_use]
    pub fn with_retries(mut self, retries: usize) -> Self {
        self.retries = retries;
        self
    }

    /// The pause before the first further attempt, and the longest one; 100 ms and 10 s by default. Each is
    /// twice as long as the one before, and up to as long again is added at random, so that not all callers
    /// come back at the same time.
    #[must_use]
    pub fn with_pauses(mut self, first: Duration, longest: Duration) -> Self {
        self.first_pause = first;
        self.longest_pause = longest;
        self
    }

    /// Which errors are worth another attempt; by default all are. A panic never is, and an attempt that took
    /// too long always is.
    #[must_use]
    pub fn with_retry_if(
        mut self,
        is_retriable: impl Fn(&E) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.retry_if = Arc::new(is_retriable);
        self
    }

    /// The pauses between attempts.
    pub(crate) fn pauses(&self) -> ExponentialBuilder {
        ExponentialBuilder::default()
            .with_min_delay(self.first_pause)
            .with_max_delay(self.longest_pause)
            .with_max_times(self.retries)
            .with_jitter()
    }

    /// What is wrong with the options.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        if self.max_in_flight == 0 {
            return Some("no record may be in flight, so none could pass; allow at least one");
        }
        let timeouts = [Some(self.timeout), self.attempt_timeout];
        if timeouts.into_iter().flatten().any(|timeout| timeout.is_zero()) {
            return Some("a call that may take no time always fails; give it a longer timeout");
        }
        if self.first_pause > self.longest_pause {
            return Some("the first pause is longer than the longest; exchange them");
        }
        None
    }
}
