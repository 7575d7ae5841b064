//! `split` and its branches.

use kstream::{Branched, KStream};

use crate::harness::Harness;

fn ends(digit: char) -> impl Fn(&String, &String) -> bool + Send + Sync + 'static {
    move |_, value| value.ends_with(digit)
}

#[test]
fn record_goes_down_the_first_branch_that_accepts_it() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let branches =
            stream.split().branch(|_, value| value.len() > 1).branch(ends('1')).default_branch();
        for (name, stream) in &branches {
            let last = name.chars().last().unwrap();
            stream.to(&format!("out-{last}"));
        }
    });
    for value in ["11", "1", "2", "21"] {
        test.pipe("k", value, 0);
    }
    assert_eq!(test.read_from::<String>("out-1"), ["k=11@0", "k=21@0"]);
    assert_eq!(test.read_from::<String>("out-2"), ["k=1@0"]);
    assert_eq!(test.read_from::<String>("out-0"), ["k=2@0"]);
}

#[test]
fn without_default_branch_other_records_end_there() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let branches = stream.split().branch(ends('1')).no_default_branch();
        assert_eq!(branches.len(), 1);
        for stream in branches.values() {
            stream.to("out");
        }
    });
    test.pipe("k", "1", 0);
    test.pipe("k", "2", 0);
    assert_eq!(test.out(), ["k=1@0"]);
}

#[test]
fn branches_are_found_by_the_names_of_splitter_and_branch() {
    let builder = kstream::StreamsBuilder::new();
    let stream: KStream<String, String> = builder.stream("in");
    let branches = stream
        .split_with("by-digit-")
        .branch_with(ends('1'), Branched::named("one"))
        .branch(ends('2'))
        .branch_with(ends('3'), Branched::with_consumer(|stream| stream.to("out")))
        .default_branch();
    let names: Vec<_> = branches.keys().map(String::as_str).collect();
    assert_eq!(names, ["by-digit-0", "by-digit-2", "by-digit-one"]);
}

#[test]
fn function_of_a_branch_says_what_is_found_under_its_name() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let shout = |stream: KStream<String, String>| stream.map_values(|v: String| v + "!");
        let branches = stream
            .split_with("s-")
            .branch_with(ends('1'), Branched::with_function(shout).with_name("loud"))
            .default_branch();
        branches.get("s-loud").unwrap().to("out");
    });
    test.pipe("k", "1", 0);
    test.pipe("k", "2", 0);
    assert_eq!(test.out(), ["k=1!@0"]);
}

#[test]
fn branch_keeps_whether_the_key_has_changed() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let rekeyed = stream.select_key(|_, value| value.clone());
        let branches = rekeyed.split().branch(ends('1')).no_default_branch();
        for stream in branches.values() {
            stream.group_by_key().count().to_stream().to("out");
        }
    });
    test.pipe("k", "1", 0);
    assert_eq!(test.driver.task().borrow().repartition_topics().len(), 1);
    assert_eq!(test.out_numbers(), ["1=1@0"]);
}
