//! Foreign-key joins against a naive join of the whole tables, on random input.

use std::collections::BTreeMap;

use kstream::{KTable, StreamsConfig};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::harness::{Harness, Text, config};

type Table = KTable<String, String>;

/// An update: of a primary row, `foreign key:value` or without a foreign key, or of a foreign one.
#[derive(Debug, Clone)]
enum Update {
    Left(String, Text),
    Right(String, Text),
}

fn update() -> impl Strategy<Value = Update> {
    let value = prop_oneof![
        4 => "(a|b|ab|):[xyz]".prop_map(Some),
        1 => Just(Some("none".to_owned())),
        1 => Just(None),
    ];
    prop_oneof![
        3 => ("[123]", value).prop_map(|(key, value)| Update::Left(key, value)),
        // KAFKA: an empty foreign value cannot be told from none on the way back.
        2 => ("(a|b|ab|)", prop_oneof![3 => "[RST]".prop_map(Some), 1 => Just(None)])
            .prop_map(|(key, value)| Update::Right(key, value)),
    ]
}

fn foreign_key(value: &str) -> Option<String> {
    value.split_once(':').map(|(key, _)| key.to_owned())
}

fn build(config: StreamsConfig, left_join: bool) -> Harness {
    Harness::with_config(config, |builder| {
        let (left, right): (Table, Table) = (builder.table("left"), builder.table("right"));
        let key = |_: &String, value: &String| foreign_key(value);
        let joined = if left_join {
            left.left_join_on_foreign_key(&right, key, |left, right| {
                format!("{left}+{}", right.map_or("", String::as_str))
            })
        } else {
            left.join_on_foreign_key(&right, key, |left, right| format!("{left}+{right}"))
        };
        joined.to_stream().to("out");
    })
}

/// Each primary row with the row it names.
fn join(
    left: &BTreeMap<String, String>,
    right: &BTreeMap<String, String>,
    left_join: bool,
) -> BTreeMap<String, String> {
    let mut joined = BTreeMap::new();
    for (key, value) in left {
        let other = foreign_key(value).and_then(|key| right.get(&key));
        match other {
            Some(other) => drop(joined.insert(key.clone(), format!("{value}+{other}"))),
            None if left_join => drop(joined.insert(key.clone(), format!("{value}+"))),
            None => {}
        }
    }
    joined
}

fn set(table: &mut BTreeMap<String, String>, key: &str, value: &Text) {
    match value {
        Some(value) => drop(table.insert(key.to_owned(), value.clone())),
        None => drop(table.remove(key)),
    }
}

fn check(config: StreamsConfig, left_join: bool, updates: &[Update]) -> Result<(), TestCaseError> {
    let test = build(config, left_join);
    let (mut left, mut right) = (BTreeMap::new(), BTreeMap::new());
    let mut results = BTreeMap::new();
    for (time, update) in updates.iter().enumerate() {
        let time = i64::try_from(time).unwrap();
        match update {
            Update::Left(key, value) => {
                test.pipe_to("left", key.as_str(), value.clone(), time);
                set(&mut left, key, value);
            }
            Update::Right(key, value) => {
                test.pipe_to("right", key.as_str(), value.clone(), time);
                set(&mut right, key, value);
            }
        }
        for record in test.records::<String>("out") {
            set(&mut results, record.key.as_deref().unwrap(), &record.value);
        }
        prop_assert_eq!(&results, &join(&left, &right, left_join), "after {:?}", update);
    }
    Ok(())
}

proptest! {
    #[test]
    fn results_are_those_of_an_inner_join_after_every_update(updates in vec(update(), 0..40)) {
        check(config(), false, &updates)?;
    }

    #[test]
    fn results_are_those_of_a_left_join_after_every_update(updates in vec(update(), 0..40)) {
        check(config(), true, &updates)?;
    }

    #[test]
    fn the_record_cache_changes_no_result(left in any::<bool>(), updates in vec(update(), 0..40)) {
        check(config().statestore_cache_max_bytes(1 << 20), left, &updates)?;
    }

    #[test]
    fn no_memory_for_committed_rows_changes_no_result(
        left in any::<bool>(),
        updates in vec(update(), 0..40),
    ) {
        check(config().statestore_row_cache_max_bytes(0), left, &updates)?;
    }
}
