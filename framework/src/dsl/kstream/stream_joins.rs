//! Joins of two streams.

use std::panic::Location;
use std::sync::Arc;

use super::KStream;
use crate::dsl::join_sides::StreamByKey;
use crate::dsl::joins::streams::StreamJoinCall;
use crate::dsl::options::StreamJoined;
use crate::processor::Data;
use crate::processor::operators::stream_join::Joiners;
use crate::serdes::DefaultSerde;
use crate::time::windows::JoinWindows;

impl<K: Data, V: Data> KStream<K, V> {
    /// Joins the records of two streams that have the same key and are close in time.
    ///
    /// **Shape**: `(K, V)` and `(K, VO)` → `(K, VR)`, one record for each pair, with the later timestamp of the two
    /// and the headers of the one that was processed last; the key does not change. A record with a null
    /// key or value joins nothing; it is dropped and counted. Each side has a window store with a changelog.
    /// A side whose key has changed goes through a repartition topic; what both sides read has to have the
    /// same number of partitions.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use kstream::{JoinWindows, KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let views: KStream<String, String> = builder.stream("views");
    /// let clicks: KStream<String, i64> = builder.stream("clicks");
    /// let minute = JoinWindows::of_time_difference_with_no_grace(Duration::from_secs(60));
    /// views.join(&clicks, |page, button| format!("{page} #{button}"), minute).to("clicked");
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input_topic::<String, String>("views").pipe("ann".to_owned(), "/home".to_owned())?;
    /// driver.input_topic::<String, i64>("clicks").pipe("ann".to_owned(), 3)?;
    /// let clicked = driver.output_topic::<String, String>("clicked").read_key_values()?;
    /// assert_eq!(clicked, [("ann".to_owned(), "/home #3".to_owned())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// `KStream.join(KStream, …)`.
    #[track_caller]
    pub fn join<VO: Data + DefaultSerde, VR: Data>(
        &self,
        other: &impl StreamByKey<K, VO>,
        joiner: impl Fn(&V, &VO) -> VR + Send + Sync + 'static,
        windows: JoinWindows,
    ) -> KStream<K, VR>
    where
        K: DefaultSerde,
        V: DefaultSerde,
    {
        let joiner = move |_: &K, left: &V, right: &VO| joiner(left, right);
        self.join_with(other, joiner, windows, StreamJoined::new())
    }

    /// [`KStream::join`] with options, and with a look at the key.
    #[track_caller]
    pub fn join_with<VO: Data, VR: Data>(
        &self,
        other: &impl StreamByKey<K, VO>,
        joiner: impl Fn(&K, &V, &VO) -> VR + Send + Sync + 'static,
        windows: JoinWindows,
        joined: StreamJoined<K, V, VO>,
    ) -> KStream<K, VR> {
        let joiners = Joiners { matched: Arc::new(joiner), left: None, right: None };
        let call = StreamJoinCall { left: self, right: other.stream(), joiners, windows, joined };
        call.add(Location::caller())
    }

    /// [`KStream::join`], where a left record without a match comes out alone.
    ///
    /// **Shape**: as of [`KStream::join`]. A left record that finds no match comes out, with its own timestamp,
    /// once stream time is past its window and the grace; with the headers of the record that moved stream
    /// time. Those that are due together come out by time, then key. A left record with a null key comes
    /// out alone at once. Unmatched records wait in a store of their own with a changelog.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use kstream::{JoinWindows, KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let orders: KStream<String, i64> = builder.stream("orders");
    /// let payments: KStream<String, i64> = builder.stream("payments");
    /// let minute = JoinWindows::of_time_difference_with_no_grace(Duration::from_secs(60));
    /// orders
    ///     .left_join(&payments, |order, paid| order - paid.copied().unwrap_or(0), minute)
    ///     .to("open");
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let orders = driver.input_topic::<String, i64>("orders");
    /// orders.pipe_at("ann".to_owned(), 30, 0)?;
    /// orders.pipe_at("bob".to_owned(), 50, 1_000)?;
    /// let payments = driver.input_topic::<String, i64>("payments");
    /// payments.pipe_at("bob".to_owned(), 20, 2_000)?;
    /// payments.pipe_at("eve".to_owned(), 1, 60_001)?;
    /// let open = driver.output_topic::<String, i64>("open").read_key_values()?;
    /// assert_eq!(open, [("bob".to_owned(), 30), ("ann".to_owned(), 30)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// `KStream.leftJoin(KStream, …)` (KIP-633).
    #[track_caller]
    pub fn left_join<VO: Data + DefaultSerde, VR: Data>(
        &self,
        other: &impl StreamByKey<K, VO>,
        joiner: impl Fn(&V, Option<&VO>) -> VR + Send + Sync + 'static,
        windows: JoinWindows,
    ) -> KStream<K, VR>
    where
        K: DefaultSerde,
        V: DefaultSerde,
    {
        let joiner = move |_: &K, left: &V, right: Option<&VO>| joiner(left, right);
        self.left_join_with(other, joiner, windows, StreamJoined::new())
    }

    /// [`KStream::left_join`] with options, and with a look at the key.
    #[track_caller]
    pub fn left_join_with<VO: Data, VR: Data>(
        &self,
        other: &impl StreamByKey<K, VO>,
        joiner: impl Fn(&K, &V, Option<&VO>) -> VR + Send + Sync + 'static,
        windows: JoinWindows,
        joined: StreamJoined<K, V, VO>,
    ) -> KStream<K, VR> {
        let joiner = Arc::new(joiner);
        let for_left = Arc::clone(&joiner);
        let joiners = Joiners {
            matched: Arc::new(move |key: &K, left: &V, right: &VO| joiner(key, left, Some(right))),
            left: Some(Arc::new(move |key: &K, left: &V| for_left(key, left, None))),
            right: None,
        };
        let call = StreamJoinCall { left: self, right: other.stream(), joiners, windows, joined };
        call.add(Location::caller())
    }

    /// [`KStream::join`], where records of both sides come out alone if they have no match.
    ///
    /// **Shape**: as of [`KStream::left_join`], for either side. Of records that are due together and have the
    /// same timestamp, right ones come out first. At least one of the joiner's arguments is there.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use kstream::{JoinWindows, KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let sent: KStream<String, i64> = builder.stream("sent");
    /// let received: KStream<String, i64> = builder.stream("received");
    /// let second = JoinWindows::of_time_difference_with_no_grace(Duration::from_secs(1));
    /// sent.outer_join(&received, |sent, received| format!("{sent:?} {received:?}"), second).to("both");
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input_topic::<String, i64>("sent").pipe_at("a".to_owned(), 1, 0)?;
    /// driver.input_topic::<String, i64>("received").pipe_at("b".to_owned(), 2, 500)?;
    /// driver.input_topic::<String, i64>("sent").pipe_at("c".to_owned(), 3, 9_000)?;
    /// let both = driver.output_topic::<String, String>("both").read_key_values()?;
    /// let texts: Vec<_> = both.iter().map(|(_, text)| text.as_str()).collect();
    /// assert_eq!(texts, ["Some(1) None", "None Some(2)"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// `KStream.outerJoin(KStream, …)` (KIP-633).
    #[track_caller]
    pub fn outer_join<VO: Data + DefaultSerde, VR: Data>(
        &self,
        other: &impl StreamByKey<K, VO>,
        joiner: impl Fn(Option<&V>, Option<&VO>) -> VR + Send + Sync + 'static,
        windows: JoinWindows,
    ) -> KStream<K, VR>
    where
        K: DefaultSerde,
        V: DefaultSerde,
    {
        let joiner = move |_: &K, left: Option<&V>, right: Option<&VO>| joiner(left, right);
        self.outer_join_with(other, joiner, windows, StreamJoined::new())
    }

    /// [`KStream::outer_join`] with options, and with a look at the key.
    #[track_caller]
    pub fn outer_join_with<VO: Data, VR: Data>(
        &self,
        other: &impl StreamByKey<K, VO>,
        joiner: impl Fn(&K, Option<&V>, Option<&VO>) -> VR + Send + Sync + 'static,
        windows: JoinWindows,
        joined: StreamJoined<K, V, VO>,
    ) -> KStream<K, VR> {
        let joiner = Arc::new(joiner);
        let (for_left, for_right) = (Arc::clone(&joiner), Arc::clone(&joiner));
        let joiners = Joiners {
            matched: Arc::new(move |key: &K, left: &V, right: &VO| {
                joiner(key, Some(left), Some(right))
            }),
            left: Some(Arc::new(move |key: &K, left: &V| for_left(key, Some(left), None))),
            right: Some(Arc::new(move |key: &K, right: &VO| for_right(key, None, Some(right)))),
        };
        let call = StreamJoinCall { left: self, right: other.stream(), joiners, windows, joined };
        call.add(Location::caller())
    }
}
