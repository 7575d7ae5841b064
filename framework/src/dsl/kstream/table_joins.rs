//! Joins of a stream with a table.

use std::panic::Location;
use std::sync::Arc;

use super::KStream;
use crate::dsl::join_sides::TableByKey;
use crate::dsl::joins::table::TableJoinCall;
use crate::dsl::options::Joined;
use crate::processor::Data;
use crate::serdes::DefaultSerde;

impl<K: Data, V: Data> KStream<K, V> {
    /// Joins each record with the table's row of its key; records without a row are left out.
    ///
    /// **Shape**: `(K, V)` and a table of `(K, VT)` → `(K, VR)`, none or one per record, with the record's timestamp and
    /// headers; the key does not change. The row is the one that the table has when the record is
    /// processed; of a versioned table it is the one that was valid at the record's time. Only the
    /// stream's records make results, updates of the table make none. A record with a null key or value is
    /// dropped and counted.
    ///
    /// The table is kept in a store from now on, if it was not. A stream whose key has changed goes through a
    /// repartition topic; stream and table have to have the same number of partitions.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KStream, KTable, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let prices: KTable<String, i64> = builder.table("prices");
    /// let orders: KStream<String, i64> = builder.stream("orders");
    /// orders.join_table(&prices, |amount, price| amount * price).to("totals");
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input_topic::<String, i64>("prices").pipe("tea".to_owned(), 3)?;
    /// let orders = driver.input_topic::<String, i64>("orders");
    /// orders.pipe("tea".to_owned(), 10)?;
    /// orders.pipe("cake".to_owned(), 1)?;
    /// let totals = driver.output_topic::<String, i64>("totals").read_key_values()?;
    /// assert_eq!(totals, [("tea".to_owned(), 30)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// `KStream.join(KTable, …)`.
    #[track_caller]
    pub fn join_table<VT: Data, VR: Data>(
        &self,
        table: &impl TableByKey<K, VT>,
        joiner: impl Fn(&V, &VT) -> VR + Send + Sync + 'static,
    ) -> KStream<K, VR>
    where
        K: DefaultSerde,
        V: DefaultSerde,
    {
        self.join_table_with(table, move |_, value, row| joiner(value, row), Joined::new())
    }

    /// [`KStream::join_table`] with options, and with a look at the key.
    #[track_caller]
    pub fn join_table_with<VT: Data, VR: Data>(
        &self,
        table: &impl TableByKey<K, VT>,
        joiner: impl Fn(&K, &V, &VT) -> VR + Send + Sync + 'static,
        joined: Joined<K, V>,
    ) -> KStream<K, VR> {
        let matched = Arc::new(joiner);
        let call =
            TableJoinCall { stream: self, table: table.table(), matched, alone: None, joined };
        call.add(Location::caller())
    }

    /// [`KStream::join_table`], where a record without a row is joined with `None`.
    ///
    /// **Shape**: as of [`KStream::join_table`], one record per record. A record with a null key has no row;
    /// one with a null value is dropped and counted.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KStream, KTable, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let names: KTable<u32, String> = builder.table("names");
    /// let visits: KStream<u32, String> = builder.stream("visits");
    /// visits
    ///     .left_join_table(&names, |page, name| {
    ///         format!("{} {page}", name.map_or("somebody", String::as_str))
    ///     })
    ///     .to("log");
    ///
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input_topic::<u32, String>("names").pipe(7, "ann".to_owned())?;
    /// let visits = driver.input_topic::<u32, String>("visits");
    /// visits.pipe(7, "/".to_owned())?;
    /// visits.pipe(8, "/".to_owned())?;
    /// let log = driver.output_topic::<u32, String>("log").read_key_values()?;
    /// assert_eq!(log, [(7, "ann /".to_owned()), (8, "somebody /".to_owned())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// `KStream.leftJoin(KTable, …)`.
    #[track_caller]
    pub fn left_join_table<VT: Data, VR: Data>(
        &self,
        table: &impl TableByKey<K, VT>,
        joiner: impl Fn(&V, Option<&VT>) -> VR + Send + Sync + 'static,
    ) -> KStream<K, VR>
    where
        K: DefaultSerde,
        V: DefaultSerde,
    {
        self.left_join_table_with(table, move |_, value, row| joiner(value, row), Joined::new())
    }

    /// [`KStream::left_join_table`] with options, and with a look at the key.
    #[track_caller]
    pub fn left_join_table_with<VT: Data, VR: Data>(
        &self,
        table: &impl TableByKey<K, VT>,
        joiner: impl Fn(&K, &V, Option<&VT>) -> VR + Send + Sync + 'static,
        joined: Joined<K, V>,
    ) -> KStream<K, VR> {
        let joiner = Arc::new(joiner);
        let for_alone = Arc::clone(&joiner);
        let call = TableJoinCall {
            stream: self,
            table: table.table(),
            matched: Arc::new(move |key: &K, value: &V, row: &VT| joiner(key, value, Some(row))),
            alone: Some(Arc::new(move |key: &K, value: &V| for_alone(key, value, None))),
            joined,
        };
        call.add(Location::caller())
    }
}
