//! Several grouped streams that are aggregated into one table of sessions.

use std::sync::Arc;

use super::cogrouped_kstream::{CogroupedKStream, Initializer};
use super::ktable::KTable;
use super::options::{Materialized, Named};
use super::placement::Placement;
use super::session_windowed_kstream::merger_from;
use crate::processor::Data;
use crate::serdes::DefaultSerde;
use crate::time::windows::{SessionWindows, Windowed};

/// Cogrouped streams, grouped by sessions as well, ready to be aggregated.
///
/// Records of all streams share sessions, but each stream's are late by the times of that stream alone;
/// otherwise as a [`SessionWindowedKStream`](crate::SessionWindowedKStream).
///
/// # Source
/// `org.apache.kafka.streams.kstream.SessionWindowedCogroupedKStream` (KIP-150).
#[derive(Debug)]
pub struct SessionWindowedCogroupedKStream<K, A> {
    streams: CogroupedKStream<K, A>,
    windows: SessionWindows,
}

impl<K: Data, A: Data> SessionWindowedCogroupedKStream<K, A> {
    pub(super) fn new(streams: CogroupedKStream<K, A>, windows: SessionWindows) -> Self {
        Self { streams, windows }
    }

    /// Folds the values of each key and session, of all streams in the order in which they come, beginning
    /// with `initializer`'s; `merger` combines sessions that meet.
    ///
    /// **Shape**: records of each stream → `(Windowed<K>, A)` rows; a session store with a changelog.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use kstream::{KStream, SessionWindows, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let clicks: KStream<String, String> = builder.stream("clicks");
    /// let purchases: KStream<String, i64> = builder.stream("purchases");
    /// let visits = clicks
    ///     .group_by_key()
    ///     .cogroup(|_user, path, visit: String| visit + &path)
    ///     .cogroup(&purchases.group_by_key(), |_user, price, visit| format!("{visit} €{price}"))
    ///     .windowed_by(SessionWindows::of_inactivity_gap_with_no_grace(Duration::from_secs(60)))
    ///     .aggregate(String::new, |_user, one, other| one + &other);
    /// visits.to_stream().select_key(|visit, _| visit.window.end).to("visits");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input_topic::<String, String>("clicks").pipe_at("ann".to_owned(), "/".to_owned(), 1_000)?;
    /// driver.input_topic::<String, i64>("purchases").pipe_at("ann".to_owned(), 5, 31_000)?;
    /// let visits = driver.output_topic::<i64, Option<String>>("visits").read_key_values()?;
    /// assert_eq!(visits.last(), Some(&(31_000, Some("/ €5".to_owned()))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn aggregate<M: Into<Option<A>>>(
        &self,
        initializer: impl Fn() -> A + Send + Sync + 'static,
        merger: impl Fn(&K, A, A) -> M + Send + Sync + 'static,
    ) -> KTable<Windowed<K>, A>
    where
        A: DefaultSerde,
    {
        self.aggregate_with(initializer, merger, Named::default(), Materialized::new())
    }

    /// [`SessionWindowedCogroupedKStream::aggregate`] with options.
    #[track_caller]
    pub fn aggregate_with<M: Into<Option<A>>>(
        &self,
        initializer: impl Fn() -> A + Send + Sync + 'static,
        merger: impl Fn(&K, A, A) -> M + Send + Sync + 'static,
        named: impl Into<Named>,
        materialized: Materialized<K, A>,
    ) -> KTable<Windowed<K>, A> {
        let initializer: Initializer<A> = Arc::new(initializer);
        let merger = merger_from(Arc::clone(&initializer), merger);
        let options = (named.into(), materialized);
        self.streams.aggregate_windows(
            &initializer,
            Placement::Sessions(self.windows, merger),
            options,
        )
    }
}
