//! `flat_map` and `flat_map_values`.

use kstream::{KStream, Named};

use crate::harness::Harness;

#[test]
fn flat_map_values_gives_as_many_records_as_the_iterator_has_items() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let words = |line: String| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        stream.flat_map_values(words).to("out");
    });
    test.pipe("k", "b a  b", 3);
    test.pipe("k", "", 4);
    test.pipe("l", "z", 2);
    assert_eq!(test.out(), ["k=b@3", "k=a@3", "k=b@3", "l=z@2"]);
}

#[test]
fn flat_map_gives_new_keys_with_the_time_of_the_record() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, i64> = builder.stream("in");
        stream.flat_map(|key, n| (0..n).map(move |i| (format!("{key}{i}"), i))).to("out");
    });
    test.pipe_number("k", 3, 9);
    test.pipe_number("k", 0, 10);
    assert_eq!(test.out_numbers(), ["k0=0@9", "k1=1@9", "k2=2@9"]);
}

#[test]
fn iterator_is_drained_while_its_items_go_downstream() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, i64> = builder.stream("in");
        // Collected first, these would not fit into memory.
        let endless = stream.flat_map_values(|n| (0..i64::MAX).take_while(move |i| *i < n));
        endless.filter(|_, i| *i == 1).to("out");
    });
    test.pipe_number("k", 100, 0);
    assert_eq!(test.out_numbers(), ["k=1@0"]);
}

#[test]
fn option_is_an_iterator_of_none_or_one() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let parse =
            |key: &String, value: String| (key != "skip").then(|| value.parse::<i64>().ok());
        stream.flat_map_values_with(parse, Named::default()).flat_map_values(|n| n).to("out");
    });
    test.pipe("k", "7", 0);
    test.pipe("k", "seven", 1);
    test.pipe("skip", "8", 2);
    assert_eq!(test.out_numbers(), ["k=7@0"]);
}
