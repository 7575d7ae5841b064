//! Joins of two tables by a foreign key.

mod nodes;
mod topics;

use std::panic::Location;
use std::sync::Arc;

use super::KTable;
use crate::dsl::options::{Materialized, TableJoined};
use crate::processor::Data;
use crate::processor::operators::foreign_key::response_join::ForeignJoiner;
use crate::processor::operators::foreign_key::subscription_send::ForeignKeyExtractor;
use crate::serdes::DefaultSerde;

/// A join to be added.
struct ForeignKeyJoin<K, V, KO, VO, VR> {
    extractor: ForeignKeyExtractor<K, V, KO>,
    joiner: ForeignJoiner<V, VO, VR>,
    /// Whether every primary row has a result.
    left: bool,
    joined: TableJoined<K, KO>,
    materialized: Materialized<K, VR>,
}

impl<K: Data, V: Data> KTable<K, V> {
    /// Joins each row with the row of another table that it names: `extractor` takes the other table's key
    /// from a row's key and value. Many rows may name the same one; a row whose key is `None`, or of which
    /// there is none, has no result.
    ///
    /// **Shape**: `(K, V)` and `(KO, VO)` rows → `(K, VR)` rows; the key does not change. An update on either side
    /// makes updates of all results that it is part of. Both tables are kept in stores from now on, if they
    /// were not. There is another store with a changelog, of who names whom, and two internal topics in
    /// between; the tables need not have the same number of partitions.
    ///
    /// **Time**: a result has the higher timestamp of both rows where the row itself has changed, and that of the
    /// other table's update otherwise.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KTable, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let country_of_city: KTable<String, String> = builder.table("cities");
    /// let people_of_country: KTable<String, i64> = builder.table("countries");
    /// country_of_city
    ///     .join_on_foreign_key(&people_of_country, |_, country| country.clone(), |_, people| *people)
    ///     .to_stream()
    ///     .to("people-of-country-of-city");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input_topic::<String, String>("cities").pipe("Bonn".to_owned(), "DE".to_owned())?;
    /// driver.input_topic::<String, i64>("countries").pipe("DE".to_owned(), 83)?;
    /// let output = driver.output_topic::<String, Option<i64>>("people-of-country-of-city");
    /// assert_eq!(output.read_key_values()?, [("Bonn".to_owned(), Some(83))]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// `KTable.join` with a foreign-key extractor (KIP-213, KIP-1104).
    #[track_caller]
    pub fn join_on_foreign_key<KO: Data, VO: Data, F: Into<Option<KO>>, VR: Data + DefaultSerde>(
        &self,
        other: &KTable<KO, VO>,
        extractor: impl Fn(&K, &V) -> F + Send + Sync + 'static,
        joiner: impl Fn(&V, &VO) -> VR + Send + Sync + 'static,
    ) -> KTable<K, VR> {
        self.join_on_foreign_key_with(other, extractor, joiner, TableJoined::new())
    }

    /// [`KTable::join_on_foreign_key`] with options.
    #[track_caller]
    pub fn join_on_foreign_key_with<KO, VO, F, VR>(
        &self,
        other: &KTable<KO, VO>,
        extractor: impl Fn(&K, &V) -> F + Send + Sync + 'static,
        joiner: impl Fn(&V, &VO) -> VR + Send + Sync + 'static,
        joined: TableJoined<K, KO>,
    ) -> KTable<K, VR>
    where
        KO: Data,
        VO: Data,
        F: Into<Option<KO>>,
        VR: Data + DefaultSerde,
    {
        let materialized = Materialized::new();
        self.join_on_foreign_key_materialized(other, extractor, joiner, joined, materialized)
    }

    /// [`KTable::join_on_foreign_key`] with options, and with a store for the results, if `materialized` names
    /// one.
    #[expect(clippy::too_many_arguments, reason = "the parts of a join, as in Kafka Streams")]
    #[track_caller]
    pub fn join_on_foreign_key_materialized<KO: Data, VO: Data, F: Into<Option<KO>>, VR: Data>(
        &self,
        other: &KTable<KO, VO>,
        extractor: impl Fn(&K, &V) -> F + Send + Sync + 'static,
        joiner: impl Fn(&V, &VO) -> VR + Send + Sync + 'static,
        joined: TableJoined<K, KO>,
        materialized: Materialized<K, VR>,
    ) -> KTable<K, VR> {
        let join = ForeignKeyJoin {
            extractor: Arc::new(move |key, value| extractor(key, value).into()),
            joiner: Arc::new(move |value, other| Some(joiner(value, other?))),
            left: false,
            joined,
            materialized,
        };
        self.add_foreign_key_join(other, join, Location::caller())
    }

    /// Joins each row with the row of another table that it names, or with none: every row has a result.
    ///
    /// **Shape**: as [`KTable::join_on_foreign_key`]; the joiner gets `None` where the row names no other, or one
    /// that is not there.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KTable, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let country_of_city: KTable<String, String> = builder.table("cities");
    /// let people_of_country: KTable<String, i64> = builder.table("countries");
    /// let country = |_: &String, country: &String| (country != "?").then(|| country.clone());
    /// country_of_city
    ///     .left_join_on_foreign_key(&people_of_country, country, |_, people| *people.unwrap_or(&0))
    ///     .to_stream()
    ///     .to("people-of-country-of-city");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input_topic::<String, String>("cities").pipe("Bonn".to_owned(), "?".to_owned())?;
    /// let output = driver.output_topic::<String, Option<i64>>("people-of-country-of-city");
    /// assert_eq!(output.read_key_values()?, [("Bonn".to_owned(), Some(0))]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// `KTable.leftJoin` with a foreign-key extractor (KIP-213, KIP-1104).
    #[track_caller]
    pub fn left_join_on_foreign_key<KO, VO, F, VR>(
        &self,
        other: &KTable<KO, VO>,
        extractor: impl Fn(&K, &V) -> F + Send + Sync + 'static,
        joiner: impl Fn(&V, Option<&VO>) -> VR + Send + Sync + 'static,
    ) -> KTable<K, VR>
    where
        KO: Data,
        VO: Data,
        F: Into<Option<KO>>,
        VR: Data + DefaultSerde,
    {
        self.left_join_on_foreign_key_with(other, extractor, joiner, TableJoined::new())
    }

    /// [`KTable::left_join_on_foreign_key`] with options.
    #[track_caller]
    pub fn left_join_on_foreign_key_with<KO, VO, F, VR>(
        &self,
        other: &KTable<KO, VO>,
        extractor: impl Fn(&K, &V) -> F + Send + Sync + 'static,
        joiner: impl Fn(&V, Option<&VO>) -> VR + Send + Sync + 'static,
        joined: TableJoined<K, KO>,
    ) -> KTable<K, VR>
    where
        KO: Data,
        VO: Data,
        F: Into<Option<KO>>,
        VR: Data + DefaultSerde,
    {
        let materialized = Materialized::new();
        self.left_join_on_foreign_key_materialized(other, extractor, joiner, joined, materialized)
    }

    /// [`KTable::left_join_on_foreign_key`] with options, and with a store for the results, if `materialized`
    /// names one.
    #[expect(clippy::too_many_arguments, reason = "the parts of a join, as in Kafka Streams")]
    #[track_caller]
    pub fn left_join_on_foreign_key_materialized<KO, VO, F, VR>(
        &self,
        other: &KTable<KO, VO>,
        extractor: impl Fn(&K, &V) -> F + Send + Sync + 'static,
        joiner: impl Fn(&V, Option<&VO>) -> VR + Send + Sync + 'static,
        joined: TableJoined<K, KO>,
        materialized: Materialized<K, VR>,
    ) -> KTable<K, VR>
    where
        KO: Data,
        VO: Data,
        F: Into<Option<KO>>,
        VR: Data,
    {
        let join = ForeignKeyJoin {
            extractor: Arc::new(move |key, value| extractor(key, value).into()),
            joiner: Arc::new(move |value, other| Some(joiner(value, other))),
            left: true,
            joined,
            materialized,
        };
        self.add_foreign_key_join(other, join, Location::caller())
    }
}
