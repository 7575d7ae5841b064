//! Results that come once per window, when it closes.

use std::time::Duration;

use kstream::{
    EmitStrategy, KStream, KTable, Materialized, Named, SessionWindows, SlidingWindows,
    StreamsBuilder, TimeWindows, Windowed,
};

use super::{Build, Text, shown, text, window_text};

pub(super) fn topology(name: &str) -> Option<Build> {
    Some(match name {
        "headers-aggregate" => headers_aggregate,
        "session-emit-final" => session,
        "sliding-emit-final" => sliding,
        "tumbling-emit-final" => tumbling,
        _ => return None,
    })
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Windows of 100 ms with a grace of 50 ms.
fn tumbling_windows() -> TimeWindows {
    TimeWindows::of_size_and_grace(ms(100), ms(50))
}

fn show(counts: &KTable<Windowed<Text>, i64>, topic: &str) {
    counts.to_stream().select_key(|key, _| window_text(key)).map_values(text).to(topic);
}

fn tumbling(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let windowed = stream.group_by_key().windowed_by(tumbling_windows());
    let windowed = windowed.emit_strategy(EmitStrategy::on_window_close());
    show(&windowed.count_with(Named::default(), Materialized::named("w")), "out");
}

fn sliding(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let windows = SlidingWindows::of_time_difference_and_grace(ms(50), ms(30));
    let windowed = stream.group_by_key().windowed_by(windows);
    let windowed = windowed.emit_strategy(EmitStrategy::on_window_close());
    show(&windowed.count_with(Named::default(), Materialized::named("w")), "out");
}

fn session(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let windows = SessionWindows::of_inactivity_gap_and_grace(ms(50), ms(30));
    let windowed = stream.group_by_key().windowed_by(windows);
    let windowed = windowed.emit_strategy(EmitStrategy::on_window_close());
    show(&windowed.count_with(Named::default(), Materialized::named("s")), "out");
}

fn headers_aggregate(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let group = stream.group_by_key();
    let join = |old: Text, new: Text| Some(format!("{}{}", shown(&old), shown(&new)));
    group.count_with(Named::default(), Materialized::named("c")).to_stream().to("out-count");
    group
        .windowed_by(tumbling_windows())
        .reduce_with(
            move |old, new| Some(join(old, new)),
            Named::default(),
            Materialized::named("w"),
        )
        .to_stream()
        .select_key(|key, _| window_text(key))
        .to("out-window");
    group
        .windowed_by(SessionWindows::of_inactivity_gap_and_grace(ms(30), ms(50)))
        .reduce_with(
            move |old, new| Some(join(old, new)),
            Named::default(),
            Materialized::named("s"),
        )
        .to_stream()
        .select_key(|key, _| window_text(key))
        .to("out-session");
    let windowed = group.windowed_by(tumbling_windows());
    let windowed = windowed.emit_strategy(EmitStrategy::on_window_close());
    show(&windowed.count_with(Named::default(), Materialized::named("e")), "out-final");
}
