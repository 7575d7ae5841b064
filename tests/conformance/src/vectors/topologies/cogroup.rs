//! Several streams aggregated into one table.

use std::time::Duration;

use kstream::{
    KGroupedStream, KStream, Materialized, Named, SessionWindows, StreamsBuilder, TimeWindows,
};

use super::{Build, Text, first_letter, shown, window_text};

pub(super) fn topology(name: &str) -> Option<Build> {
    Some(match name {
        "cogroup" => cogroup,
        "cogroup-rekeyed" => rekeyed,
        "cogroup-session" => session,
        "cogroup-tumbling" => tumbling,
        _ => return None,
    })
}

type Group = KGroupedStream<Text, Text>;

fn left_and_right(builder: &StreamsBuilder) -> [Group; 2] {
    ["left", "right"].map(|topic| {
        let stream: KStream<Text, Text> = builder.stream(topic);
        stream.group_by_key()
    })
}

/// Appends a letter and the value.
fn append(letter: char) -> impl Fn(&Text, Text, String) -> String {
    move |_, value, all| format!("{all}{letter}{}", shown(&value))
}

fn cogroup(builder: &StreamsBuilder) {
    let short = |letter| {
        let append = append(letter);
        move |key: &Text, value: Text, all: String| {
            (all.len() <= 12).then(|| append(key, value, all))
        }
    };
    let [left, right] = left_and_right(builder);
    left.cogroup(short('L'))
        .cogroup(&right, short('R'))
        .aggregate_with(String::new, Named::default(), Materialized::named("co"))
        .to_stream()
        .to("out");
}

fn rekeyed(builder: &StreamsBuilder) {
    let count = |letter: &'static str| {
        move |_: &Text, _: Text, all: String| {
            if all.len() > 20 { letter.to_owned() } else { all + letter }
        }
    };
    let left: KStream<Text, Text> = builder.stream("left");
    let left = left.group_by_key();
    let mid: KStream<Text, Text> = builder.stream("mid");
    let mid = mid.group_by(|_, value| first_letter(value));
    let right: KStream<Text, Text> = builder.stream("right");
    left.cogroup(count("l"))
        .cogroup(&mid, count("m"))
        .cogroup(&right.group_by_key(), count("r"))
        .aggregate_with(|| "0".to_owned(), "cg", Materialized::named("co"))
        .to_stream()
        .to("out");
}

fn tumbling(builder: &StreamsBuilder) {
    let [left, right] = left_and_right(builder);
    let ms = Duration::from_millis;
    left.cogroup(append('L'))
        .cogroup(&right, append('R'))
        .windowed_by(TimeWindows::of_size_and_grace(ms(100), ms(50)))
        .aggregate_with(String::new, Named::default(), Materialized::named("co"))
        .to_stream()
        .select_key(|key, _| window_text(key))
        .to("out");
}

fn session(builder: &StreamsBuilder) {
    let [left, right] = left_and_right(builder);
    let ms = Duration::from_millis;
    let merge = |_: &Text, one: String, other: String| format!("{one}&{other}");
    left.cogroup(append('L'))
        .cogroup(&right, append('R'))
        .windowed_by(SessionWindows::of_inactivity_gap_and_grace(ms(30), ms(20)))
        .aggregate_with(String::new, merge, Named::default(), Materialized::named("co"))
        .to_stream()
        .select_key(|key, _| window_text(key))
        .to("out");
}
