//! Session windows.

use std::sync::Arc;
use std::time::Duration;

use kstream::serdes::{
    ArcSerde, DefaultSerde, OptionSerde, SessionWindowedSerde, TimeWindowedSerde,
};
use kstream::{
    KStream, Materialized, Named, Produced, SessionWindows, StoreType, StreamsBuilder, TimeWindows,
    Windowed,
};

use super::{Build, Text, shown, text, window_text};

pub(super) fn topology(name: &str) -> Option<Build> {
    Some(match name {
        "session-aggregate" => aggregate,
        "session-count" => count,
        "session-reduce" => reduce,
        "windowed-key-out" => windowed_key_out,
        _ => return None,
    })
}

fn sessions(gap_ms: u64, grace_ms: u64) -> SessionWindows {
    let ms = Duration::from_millis;
    SessionWindows::of_inactivity_gap_and_grace(ms(gap_ms), ms(grace_ms))
}

fn count(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    stream
        .group_by_key()
        .windowed_by(sessions(50, 30))
        .count_with(Named::default(), Materialized::named("s"))
        .to_stream()
        .select_key(|key, _| window_text(key))
        .map_values(text)
        .to("out");
}

fn reduce(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let join = |old: Text, new: Text| Some(format!("{}|{}", shown(&old), shown(&new)));
    let store = Materialized::named("s").with_store_type(StoreType::InMemory);
    stream
        .group_by_key()
        .windowed_by(sessions(30, 100))
        .reduce_with(move |old, new| Some(join(old, new)), Named::default(), store)
        .to_stream()
        .select_key(|key, _| window_text(key))
        .to("out");
}

fn aggregate(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let append = |_: &Text, value: Text, all: String| value.map(|value| all + &value);
    let merge = |_: &Text, one: String, other: String| format!("{one}({other})");
    stream
        .group_by_key()
        .windowed_by(sessions(40, 60))
        .aggregate_with(
            || "i".to_owned(),
            append,
            merge,
            Named::default(),
            Materialized::named("s"),
        )
        .to_stream()
        .select_key(|key, _| window_text(key))
        .to("out");
}

fn windowed_key_out(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let group = stream.group_by_key();
    let counts = Arc::new(OptionSerde::new(i64::default_serde()));
    let time: ArcSerde<Windowed<Text>> =
        Arc::new(TimeWindowedSerde::new(Text::default_serde(), 100));
    let windows = TimeWindows::of_size_with_no_grace(Duration::from_millis(100));
    let windowed = group.windowed_by(windows);
    let counted = windowed.count_with(Named::default(), Materialized::named("w")).to_stream();
    counted.to_with("out", Produced::with(time, Arc::<OptionSerde<i64>>::clone(&counts)));
    counted.to("out-inferred");
    let session: ArcSerde<Windowed<Text>> =
        Arc::new(SessionWindowedSerde::new(Text::default_serde()));
    let windowed = group.windowed_by(sessions(30, 0));
    let counted = windowed.count_with(Named::default(), Materialized::named("s")).to_stream();
    counted.to_with("out-session", Produced::with(session, counts));
}
