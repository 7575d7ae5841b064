//! As-of joins of two streams.

use std::panic::Location;
use std::sync::Arc;

use super::KStream;
use crate::dsl::join_sides::StreamByKey;
use crate::dsl::joins::as_of::AsOfJoinCall;
use crate::dsl::options::StreamJoined;
use crate::processor::Data;
use crate::serdes::DefaultSerde;
use crate::time::windows::AsOf;

impl<K: Data, V: Data> KStream<K, V> {
    /// Joins each record with the latest record of the other stream that has the same key and is at or
    /// before its time, and not older than the tolerance; records without one are left out.
    ///
    /// **Shape**: `(K, V)` and `(K, VO)` → `(K, VR)`, none or one per left record, with its timestamp and headers;
    /// the key does not change. Of right records with the same key and time the last one counts. A record
    /// with a null key or value joins nothing; it is dropped and counted. Right records are kept in a window
    /// store with a changelog, for tolerance and grace.
    ///
    /// **Time**: without grace, a left record is joined when it comes, with the right records that have come
    /// before it. With grace it waits, in a buffer with a changelog, until stream time is so much past it;
    /// records that fall due together come out by time, key and arrival. A left record that is later than the grace allows is
    /// joined at once, with what is still kept; a right one that is tolerance and grace behind is dropped
    /// and counted as late. Stream time here is the highest timestamp of both sides' records, those without
    /// key or value excepted.
    ///
    /// A side whose key has changed goes through a repartition topic; what both sides read has to have the
    /// same number of partitions.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use kstream::{AsOf, KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let trades: KStream<String, i64> = builder.stream("trades");
    /// let quotes: KStream<String, i64> = builder.stream("quotes");
    /// trades
    ///     .join_as_of(&quotes, |trade, quote| trade - quote, AsOf::within(Duration::from_secs(5)))
    ///     .to("over-quote");
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let quotes = driver.input_topic::<String, i64>("quotes");
    /// quotes.pipe_at("KSTR".to_owned(), 100, 1_000)?;
    /// quotes.pipe_at("KSTR".to_owned(), 102, 2_000)?;
    /// driver.input_topic::<String, i64>("trades").pipe_at("KSTR".to_owned(), 105, 2_500)?;
    /// let over = driver.output_topic::<String, i64>("over-quote").read_key_values()?;
    /// assert_eq!(over, [("KSTR".to_owned(), 3)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// Kafka Streams has no such operator; a stream-table join with a versioned table comes near.
    #[track_caller]
    pub fn join_as_of<VO: Data + DefaultSerde, VR: Data>(
        &self,
        other: &impl StreamByKey<K, VO>,
        joiner: impl Fn(&V, &VO) -> VR + Send + Sync + 'static,
        as_of: AsOf,
    ) -> KStream<K, VR>
    where
        K: DefaultSerde,
        V: DefaultSerde,
    {
        let joiner = move |_: &K, left: &V, right: &VO| joiner(left, right);
        self.join_as_of_with(other, joiner, as_of, StreamJoined::new())
    }

    /// [`KStream::join_as_of`] with options, and with a look at the key.
    #[track_caller]
    pub fn join_as_of_with<VO: Data, VR: Data>(
        &self,
        other: &impl StreamByKey<K, VO>,
        joiner: impl Fn(&K, &V, &VO) -> VR + Send + Sync + 'static,
        as_of: AsOf,
        joined: StreamJoined<K, V, VO>,
    ) -> KStream<K, VR> {
        let matched = Arc::new(joiner);
        let call =
            AsOfJoinCall { left: self, right: other.stream(), matched, alone: None, as_of, joined };
        call.add(Location::caller())
    }

    /// [`KStream::join_as_of`], where a left record without a match is joined with `None`; so is one with a
    /// null key, at once.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use kstream::{AsOf, KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let visits: KStream<String, String> = builder.stream("visits");
    /// let campaigns: KStream<String, String> = builder.stream("campaigns");
    /// // A campaign's record may come up to a second late.
    /// let day = AsOf::within(Duration::from_secs(86_400)).with_grace(Duration::from_secs(1));
    /// visits
    ///     .left_join_as_of(&campaigns, |page, campaign| format!("{page} by {campaign:?}"), day)
    ///     .to("attributed");
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let visits = driver.input_topic::<String, String>("visits");
    /// visits.pipe_at("ann".to_owned(), "/".to_owned(), 5_000)?;
    /// let campaigns = driver.input_topic::<String, String>("campaigns");
    /// campaigns.pipe_at("ann".to_owned(), "mail".to_owned(), 4_900)?;
    /// visits.pipe_at("bob".to_owned(), "/".to_owned(), 6_000)?;
    /// let attributed = driver.output_topic::<String, String>("attributed").read_key_values()?;
    /// assert_eq!(attributed, [("ann".to_owned(), "/ by Some(\"mail\")".to_owned())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn left_join_as_of<VO: Data + DefaultSerde, VR: Data>(
        &self,
        other: &impl StreamByKey<K, VO>,
        joiner: impl Fn(&V, Option<&VO>) -> VR + Send + Sync + 'static,
        as_of: AsOf,
    ) -> KStream<K, VR>
    where
        K: DefaultSerde,
        V: DefaultSerde,
    {
        let joiner = move |_: &K, left: &V, right: Option<&VO>| joiner(left, right);
        self.left_join_as_of_with(other, joiner, as_of, StreamJoined::new())
    }

    /// [`KStream::left_join_as_of`] with options, and with a look at the key.
    #[track_caller]
    pub fn left_join_as_of_with<VO: Data, VR: Data>(
        &self,
        other: &impl StreamByKey<K, VO>,
        joiner: impl Fn(&K, &V, Option<&VO>) -> VR + Send + Sync + 'static,
        as_of: AsOf,
        joined: StreamJoined<K, V, VO>,
    ) -> KStream<K, VR> {
        let joiner = Arc::new(joiner);
        let for_alone = Arc::clone(&joiner);
        let call = AsOfJoinCall {
            left: self,
            right: other.stream(),
            matched: Arc::new(move |key: &K, left: &V, right: &VO| joiner(key, left, Some(right))),
            alone: Some(Arc::new(move |key: &K, left: &V| for_alone(key, left, None))),
            as_of,
            joined,
        };
        call.add(Location::caller())
    }
}
