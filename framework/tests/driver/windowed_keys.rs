//! Keys of windows on topics: written as the table has them that they come from.

use std::sync::Arc;
use std::time::Duration;

use kstream::serdes::{ArcSerde, DefaultSerde, Serde, SessionWindowedSerde, TimeWindowedSerde};
use kstream::{KStream, SessionWindows, StreamsBuilder, TimeWindows, Window, Windowed};
use proptest::prelude::*;

use crate::harness::Harness;

fn sessions(builder: &StreamsBuilder) -> KStream<Windowed<String>, Option<i64>> {
    let stream: KStream<String, String> = builder.stream("in");
    let windows = SessionWindows::of_inactivity_gap_with_no_grace(Duration::from_millis(10));
    stream.group_by_key().windowed_by(windows).count().to_stream()
}

fn key_bytes(test: &Harness, topic: &str) -> Vec<u8> {
    let out = test.driver.output_topic::<Vec<u8>, Option<i64>>(topic);
    out.read_key_values().unwrap().pop().unwrap().0
}

#[test]
fn sessions_are_written_with_end_and_start() {
    let test = Harness::new(|builder| {
        let sessions = sessions(builder);
        sessions.to("out");
        sessions.filter(|_, count| count.is_some()).map_values(|count| count).to("filtered");
        sessions.map(|key, count| (key, count)).to("mapped");
    });
    test.pipe("k", "a", 100);
    let expected = [b"k".as_slice(), &100_i64.to_be_bytes(), &100_i64.to_be_bytes()].concat();
    assert_eq!(key_bytes(&test, "out"), expected);
    assert_eq!(key_bytes(&test, "filtered"), expected);
    let unknown = [b"k".as_slice(), &100_i64.to_be_bytes()].concat();
    assert_eq!(key_bytes(&test, "mapped"), unknown, "a key that was mapped may be any");
}

#[test]
fn windowed_keys_go_through_a_repartition_topic() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let windows = TimeWindows::of_size_with_no_grace(Duration::from_millis(100));
        let counts = stream.group_by_key().windowed_by(windows).count().to_stream();
        let show = |key: &Windowed<String>, _: &Option<i64>| {
            format!("{}[{},{}]", key.key, key.window.start, key.window.end)
        };
        counts.repartition().select_key(show).to("out");
        sessions(builder).repartition().select_key(show).to("out");
    });
    test.pipe("k", "a", 120);
    assert_eq!(test.out_numbers(), ["k[100,200]=1@120", "k[120,120]=1@120"]);
}

proptest! {
    #[test]
    fn keys_are_read_as_they_were_written(key in ".{0,8}", start in any::<i64>(), size in 0..1000_i64) {
        let window = Window { start, end: start.saturating_add(size) };
        let windowed = Windowed { key, window };
        let serdes: [ArcSerde<Windowed<String>>; 2] = [
            Arc::new(TimeWindowedSerde::new(String::default_serde(), size)),
            Arc::new(SessionWindowedSerde::new(String::default_serde())),
        ];
        for serde in serdes {
            let mut bytes = Vec::new();
            Serde::serialize(&*serde, &windowed, &mut bytes).unwrap();
            prop_assert_eq!(&serde.deserialize(&bytes).unwrap(), &windowed);
            prop_assert!(serde.deserialize(&bytes[..7.min(bytes.len())]).is_err());
        }
    }
}
