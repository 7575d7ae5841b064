//! `peek` and `for_each`.

use std::sync::{Arc, Mutex};

use kstream::KStream;

use crate::harness::Harness;

type Seen = Arc<Mutex<Vec<String>>>;

fn note(seen: &Seen) -> impl Fn(&String, &String) + Send + Sync + 'static {
    let seen = Arc::clone(seen);
    move |key, value| seen.lock().unwrap().push(format!("{key}={value}"))
}

#[test]
fn peek_sees_each_record_before_those_behind_it() {
    let seen = Seen::default();
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let first = stream.peek(note(&seen)).map_values(|value: String| value + "'");
        first.peek(note(&seen)).to("out");
    });
    test.pipe("k", "1", 0);
    test.pipe("k", "2", 0);
    assert_eq!(*seen.lock().unwrap(), ["k=1", "k=1'", "k=2", "k=2'"]);
    assert_eq!(test.out(), ["k=1'@0", "k=2'@0"]);
}

#[test]
fn for_each_ends_the_stream_and_leaves_its_siblings_alone() {
    let seen = Seen::default();
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        stream.for_each(note(&seen));
        stream.to("out");
    });
    test.pipe("k", "1", 0);
    assert_eq!(*seen.lock().unwrap(), ["k=1"]);
    assert_eq!(test.out(), ["k=1@0"]);
}
