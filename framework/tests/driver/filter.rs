//! `filter` and `filter_not`.

use kstream::KStream;

use crate::harness::Harness;

#[test]
fn filter_keeps_what_the_predicate_accepts_with_time_and_order() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        stream.filter(|key, value| key == "a" || value == "x").to("out");
    });
    test.pipe("a", "1", 30);
    test.pipe("b", "2", 10);
    test.pipe("b", "x", 10);
    test.pipe("a", "3", 20);
    assert_eq!(test.out(), ["a=1@30", "b=x@10", "a=3@20"]);
}

#[test]
fn filter_not_keeps_exactly_what_filter_drops() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, i64> = builder.stream("in");
        stream.filter(|_, value| value % 3 == 0).to("kept");
        stream.filter_not(|_, value| value % 3 == 0).to("rest");
    });
    for value in 0..7 {
        test.pipe_number("k", value, value);
    }
    assert_eq!(test.read_from::<i64>("kept"), ["k=0@0", "k=3@3", "k=6@6"]);
    assert_eq!(test.read_from::<i64>("rest"), ["k=1@1", "k=2@2", "k=4@4", "k=5@5"]);
}

#[test]
fn record_filtered_out_is_not_counted_as_dropped() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        stream.filter(|_, _| false).to("out");
    });
    test.pipe("a", "1", 0);
    assert_eq!(test.out(), Vec::<String>::new());
    assert_eq!(test.driver.dropped_records(), 0);
}
