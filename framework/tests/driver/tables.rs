//! Tables made of tables and of streams: what goes on, what is kept, what it is called.

use kstream::state::KeyValueStore;
use kstream::{
    Consumed, Grouped, KStream, KTable, Materialized, Named, ProcessorError, Repartitioned, Stores,
    StreamsBuilder, TransformContext, ValueTransformerWithKey,
};

use crate::harness::{Harness, Null, Text, config};

fn numbers(builder: &StreamsBuilder) -> KTable<String, String> {
    builder.table_with("in", Consumed::new(), Materialized::named("t"))
}

fn described(build: impl FnOnce(&StreamsBuilder)) -> String {
    let builder = StreamsBuilder::new();
    build(&builder);
    builder.build().unwrap().describe().to_string()
}

#[test]
fn filter_behind_a_stored_table_sends_no_useless_tombstones() {
    let test = Harness::new(|builder| {
        numbers(builder).filter(|_, value| value != "x").to_stream().to("out");
    });
    test.pipe("k", "x", 1);
    test.pipe("k", "1", 2);
    test.pipe("k", "x", 3);
    test.pipe("k", Null, 4);
    assert_eq!(test.out(), ["k=1@2", "k=null@3"]);
}

#[test]
fn filter_behind_a_table_without_a_store_sends_a_tombstone_for_every_refusal() {
    let test = Harness::new(|builder| {
        let table: KTable<String, String> = builder.table("in");
        table.filter(|_, value| value != "x").to_stream().to("out");
    });
    test.pipe("k", "x", 1);
    test.pipe("k", Null, 2);
    assert_eq!(test.out(), ["k=null@1", "k=null@2"]);
    assert!(test.driver.task().borrow().changelog_topics().is_empty());
}

#[test]
fn kept_tables_have_their_rows_in_their_stores() {
    let test = Harness::new(|builder| {
        let kept = numbers(builder)
            .filter_not_materialized(|_, value| value == "x", "f", Materialized::named("f"))
            .map_values_materialized(
                |key, value| key.clone() + &value,
                "m",
                Materialized::named("m"),
            );
        assert_eq!(kept.queryable_store_name(), Some("m"));
    });
    test.pipe("k", "x", 1);
    test.pipe("l", "2", 2);
    assert_eq!(test.rows::<String>("t"), ["k=x@1", "l=2@2"]);
    assert_eq!(test.rows::<String>("f"), ["l=2@2"]);
    assert_eq!(test.rows::<String>("m"), ["l=l2@2"]);
    assert_eq!(test.read_from::<String>("app-f-changelog"), ["l=2@2"]);
}

#[test]
fn value_that_is_mapped_to_none_deletes_the_row() {
    let test = Harness::new(|builder| {
        let parse = |_: &String, value: String| value.parse::<i64>().ok();
        let store = Materialized::named("m");
        let parsed =
            numbers(builder).filter_map_values_materialized(parse, Named::default(), store);
        parsed.to_stream().to("out");
    });
    test.pipe("k", "1", 1);
    test.pipe("k", "one", 2);
    assert_eq!(test.out_numbers(), ["k=1@1", "k=null@2"]);
    assert!(test.rows::<i64>("m").is_empty());
}

#[test]
fn options_without_a_store_name_make_no_store_but_use_a_number_up() {
    let description = described(|builder| {
        let table: KTable<String, String> = builder.table("in");
        let kept = table.filter_materialized(|_, _| true, Named::default(), Materialized::new());
        assert_eq!(kept.queryable_store_name(), None);
    });
    assert!(
        description.contains("Processor: KTABLE-FILTER-0000000004 (stores: [])"),
        "{description}"
    );
}

#[test]
fn source_gets_its_store_when_its_rows_are_read() {
    let description = described(|builder| {
        let left: KTable<String, String> = builder.table("left");
        let right: KTable<String, String> = builder.table("right");
        left.filter(|_, _| true).join(&right, |left, right| left.clone() + right);
    });
    let source = "Processor: KTABLE-SOURCE-0000000002 (stores: [left-STATE-STORE-0000000000])";
    assert!(description.contains(source), "{description}");
    let join = "Processor: KTABLE-JOINOTHER-0000000009 (stores: [left-STATE-STORE-0000000000])";
    assert!(description.contains(join), "{description}");
}

#[test]
fn stream_of_values_or_of_nullable_values_becomes_a_table() {
    let test = Harness::new(|builder| {
        let stream: KStream<Text, Text> = builder.stream("in");
        let table: KTable<Text, String> = stream.to_table_with("t", Materialized::named("t"));
        table.to_stream().to("out");
        let lengths = stream
            .filter_not(|_, value| value.is_none())
            .map_values(|value| value.map_or(0, |value| i64::try_from(value.len()).unwrap()));
        let lengths: KTable<Text, i64> = lengths.to_table();
        lengths.to_stream().to("lengths");
    });
    test.pipe("k", "abc", 1);
    test.pipe(Null, "lost", 2);
    test.pipe("k", Null, 3);
    assert_eq!(test.out(), ["k=abc@1", "k=null@3"]);
    assert_eq!(test.read_from::<i64>("lengths"), ["k=3@1"]);
    assert_eq!(test.driver.dropped_records(), 2);
}

#[test]
fn stream_with_new_keys_becomes_a_table_behind_a_repartition_topic() {
    let test = Harness::new(|builder| {
        let stream: KStream<Text, Text> = builder.stream("in");
        let rekeyed = stream.select_key(|_, value| value.clone());
        let table: KTable<Text, String> = rekeyed.to_table();
        table.to_stream().to("out");
    });
    test.pipe("k", "a", 1);
    test.pipe("k", Null, 2);
    assert_eq!(test.out(), ["a=a@1"]);
    let topics = test.driver.task().borrow().repartition_topics();
    assert_eq!(topics, ["app-KSTREAM-TOTABLE-0000000002-repartition"]);
}

#[test]
fn table_as_a_stream_with_other_keys() {
    let test = Harness::new(|builder| {
        let key = |key: &String, value: &Text| key.clone() + value.as_deref().unwrap_or("-");
        numbers(builder).to_stream_with_key(key).to("out");
    });
    test.pipe("k", "1", 1);
    test.pipe("k", Null, 2);
    assert_eq!(test.out(), ["k1=1@1", "k-=null@2"]);
}

#[test]
fn row_that_moves_leaves_its_old_group_before_it_comes_into_the_new_one() {
    let test = Harness::new(|builder| {
        let group = numbers(builder)
            .group_by_with(|key, value| (value, key.clone()), Grouped::named("by-value"));
        let append = |_: &String, key: String, all: String| format!("{all}+{key}");
        let remove = |_: &String, key: String, all: String| format!("{all}-{key}");
        group.aggregate(String::new, append, remove).to_stream().to("out");
        // A named group has one repartition topic.
        group.count().to_stream().to("counts");
    });
    test.pipe("k", "x", 5);
    test.pipe("k", "x", 4);
    test.pipe("k", "y", 3);
    test.pipe("k", Null, 2);
    test.pipe("k", Null, 1);
    let moves = ["x=+k@5", "x=+k-k+k@5", "x=+k-k+k-k@5", "y=+k@3", "y=+k-k@3"];
    assert_eq!(test.out(), moves);
    assert_eq!(test.read_from::<i64>("counts"), ["x=1@5", "x=1@5", "x=0@5", "y=1@3", "y=0@3"]);
    assert_eq!(test.driver.task().borrow().repartition_topics(), ["app-by-value-repartition"]);
}

#[test]
fn row_without_a_new_key_or_value_is_in_no_group() {
    let test = Harness::new(|builder| {
        let unless = |value: &str, other: &str| (value != other).then(|| value.to_owned());
        let group =
            numbers(builder).group_by(move |_, value| (unless(&value, "n"), unless(&value, "z")));
        group.count().to_stream().to("out");
    });
    test.pipe("k", "n", 1);
    test.pipe("k", "a", 2);
    test.pipe("k", "z", 3);
    assert_eq!(test.out_numbers(), ["a=1@2", "a=0@3"]);
}

#[test]
fn table_joined_with_what_it_was_made_of() {
    for bytes in [0, 1 << 20] {
        let test = Harness::with_config(config().statestore_cache_max_bytes(bytes), |builder| {
            let table = numbers(builder);
            let doubled = table.map_values(|value| value.clone() + &value);
            table.join(&doubled, |one, two| format!("{one}/{two}")).to_stream().to("out");
        });
        test.pipe("k", "1", 1);
        test.pipe("k", "2", 2);
        // Either side of the join sees each update.
        assert_eq!(test.out(), ["k=1/11@1", "k=1/11@1", "k=2/22@2", "k=2/22@2"]);
    }
}

#[test]
fn joined_rows_have_the_headers_of_the_update_and_the_higher_timestamp() {
    let test = Harness::new(|builder| {
        let left: KTable<String, String> = builder.table("left");
        let right: KTable<String, String> = builder.table("right");
        left.join(&right, |left, right| left.clone() + right).to_stream().to("out");
    });
    test.pipe_to("left", "k", "1", 9);
    test.pipe_to("right", "k", "2", 3);
    test.pipe_to("left", "k", Null, 4);
    test.pipe_to("right", "k", "3", 10);
    assert_eq!(test.out(), ["k=12@9", "k=null@4"]);
}

/// KAFKA: both deletions are known by the time the first is joined, and an inner join says nothing about a row
/// whose other side is gone.
#[test]
fn inner_join_of_rows_that_the_record_cache_deletes_together_is_not_deleted() {
    let test = Harness::with_config(config().statestore_cache_max_bytes(1 << 20), |builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let side = |of: char| -> KTable<String, String> {
            let side = stream.filter(move |_, value| value.starts_with(of));
            side.map_values(|value| value.get(1..2).map(str::to_owned)).to_table()
        };
        let join = |left: &String, right: &String| left.clone() + right;
        side('l').join(&side('r'), join).to_stream().to("out");
    });
    test.pipe("k", "l1", 1);
    test.pipe("k", "r2", 2);
    let deletion = |side: &str| (Some("k".to_owned()), Some(side.to_owned()), 3);
    test.pipe_together(&[deletion("l"), deletion("r")]);
    assert_eq!(test.out(), ["k=12@2"]);
}

#[test]
fn store_of_a_join_is_called_by_number_where_the_user_names_none() {
    let description = described(|builder| {
        let left: KTable<String, String> = builder.table("left");
        let right: KTable<String, String> = builder.table("right");
        let sum = |left: &String, right: &String| left.clone() + right;
        left.join_materialized(&right, sum, Named::default(), Materialized::new());
    });
    let merge = "KTABLE-MERGE-0000000007 (stores: [KTABLE-MERGE-STATE-STORE-0000000006])";
    assert!(description.contains(merge), "{description}");
}

#[test]
fn joined_tables_need_the_same_number_of_partitions() {
    let builder = StreamsBuilder::new();
    let side = |topic: &str, partitions| -> KTable<String, String> {
        let stream: KStream<String, String> = builder.stream(topic);
        let repartitioned = Repartitioned::named(topic).with_number_of_partitions(partitions);
        stream.repartition_with(repartitioned).to_table()
    };
    side("l", 2).join(&side("r", 3), |left, right| left.clone() + right);
    let errors = builder.build().unwrap_err().to_string();
    assert!(errors.contains("it has 3 partitions, but is joined with"), "{errors}");
}

#[test]
fn tables_of_different_builders_are_not_joined() {
    let (builder, other) = (StreamsBuilder::new(), StreamsBuilder::new());
    let left: KTable<String, String> = builder.table("l");
    let right: KTable<String, String> = other.table("r");
    left.join(&right, |left, right| left.clone() + right);
    let errors = builder.build().unwrap_err().to_string();
    assert!(errors.contains("the tables come from different builders"), "{errors}");
}

/// Numbers the values of each key, deletions included, from a store that it brings along.
struct Numbering(Option<KeyValueStore<String, i64>>);

impl ValueTransformerWithKey<String, String, String> for Numbering {
    fn init(&mut self, context: &mut TransformContext<'_>) -> Result<(), ProcessorError> {
        self.0 = Some(context.store("calls")?);
        Ok(())
    }

    fn transform(
        &mut self,
        _: &mut TransformContext<'_>,
        key: &String,
        value: Option<String>,
    ) -> Result<Option<String>, ProcessorError> {
        let calls = self.0.as_mut().unwrap();
        let number = calls.get(key)?.unwrap_or_default() + 1;
        calls.put(key, Some(number))?;
        Ok(value.map(|value| format!("{value}#{number}")))
    }
}

fn with_calls(builder: &StreamsBuilder) -> KTable<String, String> {
    let calls = Stores::persistent_key_value_store("calls");
    builder.add_state_store(Stores::key_value_store_builder::<String, i64>(calls));
    numbers(builder)
}

#[test]
fn transformer_sees_deletions_and_keeps_its_state_in_stores() {
    for kept in [false, true] {
        let test = Harness::new(|builder| {
            let table = with_calls(builder);
            let supplier = || Numbering(None);
            let table = if kept {
                let store = Materialized::named("kept");
                table.transform_values_materialized(supplier, "number", &["calls"], store)
            } else {
                table.transform_values_with(supplier, "number", &["calls"])
            };
            table.to_stream().to("out");
        });
        test.pipe("k", "a", 1);
        test.pipe("k", Null, 2);
        test.pipe("k", "b", 3);
        assert_eq!(test.out(), ["k=a#1@1", "k=null@2", "k=b#3@3"]);
        if kept {
            assert_eq!(test.rows::<String>("kept"), ["k=b#3@3"]);
        }
    }
}

#[test]
fn old_value_of_a_transformed_table_is_the_one_that_was_kept() {
    let test = Harness::new(|builder| {
        let (supplier, store) = (|| Numbering(None), Materialized::named("kept"));
        let table = with_calls(builder);
        let table =
            table.transform_values_materialized(supplier, Named::default(), &["calls"], store);
        table.group_by(|key, value| (value, key.clone())).count().to_stream().to("out");
    });
    test.pipe("k", "a", 1);
    test.pipe("k", "a", 2);
    assert_eq!(test.out_numbers(), ["a#1=1@1", "a#1=0@2", "a#2=1@2"]);
}

/// Says where a value came from.
struct Place;

impl ValueTransformerWithKey<String, String, String> for Place {
    fn transform(
        &mut self,
        context: &mut TransformContext<'_>,
        _: &String,
        value: Option<String>,
    ) -> Result<Option<String>, ProcessorError> {
        let topic = context.record_metadata().and_then(|metadata| metadata.topic);
        Ok(value.map(|value| format!("{value}:{}", topic.as_deref().unwrap_or("-"))))
    }
}

#[test]
fn transformed_table_that_is_read_has_no_record_behind_its_row() {
    let test = Harness::new(|builder| {
        let placed = numbers(builder).transform_values(|| Place);
        let right: KTable<String, String> = builder.table("right");
        placed.join(&right, |left, right| format!("{left}/{right}")).to_stream().to("out");
    });
    test.pipe("k", "a", 1);
    test.pipe_to("right", "k", "b", 2);
    test.pipe("k", "c", 3);
    assert_eq!(test.out(), ["k=a:-/b@2", "k=c:in/b@3"]);
}
