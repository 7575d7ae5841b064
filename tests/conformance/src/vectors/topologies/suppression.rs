//! Suppressed tables.

use std::collections::BTreeMap;
use std::time::Duration;

use kstream::{
    BufferConfig, Consumed, Grouped, KStream, KTable, Materialized, Named, SessionWindows,
    StreamsBuilder, Suppressed, TimeWindows,
};

use super::{Build, Text, text, window_text};

pub(super) fn topology(name: &str) -> Option<Build> {
    Some(match name {
        "suppress-window-close" => window_close,
        "suppress-session" => session,
        "suppress-time-limit" => time_limit,
        "suppress-table" => table,
        "suppress-shutdown-when-full" => shutdown_when_full,
        "suppress-downstream-group" => downstream_group,
        "headers-suppress" => headers,
        _ => return None,
    })
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn window_close(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    stream
        .group_by_key()
        .windowed_by(TimeWindows::of_size_and_grace(ms(100), ms(50)))
        .count_with(Named::default(), Materialized::named("w"))
        .suppress(Suppressed::until_window_closes(BufferConfig::unbounded()))
        .to_stream()
        .select_key(|key, _| window_text(key))
        .map_values(text)
        .to("out");
}

fn session(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let buffer = BufferConfig::unbounded().with_logging_disabled();
    stream
        .group_by_key()
        .windowed_by(SessionWindows::of_inactivity_gap_and_grace(ms(40), ms(30)))
        .count_with(Named::default(), Materialized::named("s"))
        .suppress(Suppressed::until_window_closes(buffer).with_name("sup"))
        .to_stream()
        .select_key(|key, _| window_text(key))
        .map_values(text)
        .to("out");
}

fn counts(builder: &StreamsBuilder, store: &str) -> KTable<Text, i64> {
    let stream: KStream<Text, Text> = builder.stream("in");
    stream.group_by_key().count_with(Named::default(), Materialized::named(store))
}

fn time_limit(builder: &StreamsBuilder) {
    let buffer = BufferConfig::max_records(3).emit_early_when_full().with_logging_disabled();
    counts(builder, "counts")
        .suppress(Suppressed::until_time_limit(ms(100), buffer).with_name("sup"))
        .to_stream()
        .map_values(text)
        .to("out");
}

fn table(builder: &StreamsBuilder) {
    let table: KTable<String, String> =
        builder.table_with("in", Consumed::new(), Materialized::named("t"));
    let buffer = BufferConfig::unbounded().with_logging_disabled();
    table
        .suppress(Suppressed::until_time_limit(ms(60), buffer).with_name("sup"))
        .to_stream()
        .to("out");
}

fn shutdown_when_full(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let buffer = BufferConfig::max_records(5).shut_down_when_full().with_logging_disabled();
    stream
        .group_by_key()
        .windowed_by(TimeWindows::of_size_with_no_grace(ms(200)))
        .count_with(Named::default(), Materialized::named("w"))
        .suppress(Suppressed::until_window_closes(buffer).with_name("sup"))
        .to_stream()
        .select_key(|key, _| window_text(key))
        .map_values(text)
        .to("out");
}

fn downstream_group(builder: &StreamsBuilder) {
    let buffer = BufferConfig::unbounded().with_logging_disabled();
    let parity = |count: &i64| if count % 2 == 0 { "even" } else { "odd" }.to_owned();
    counts(builder, "counts")
        .suppress(Suppressed::until_time_limit(ms(80), buffer).with_name("sup"))
        .group_by_with(move |_, count| (parity(&count), count), Grouped::new())
        .reduce_with(|a, b| a + b, |a, b| a - b, Named::default(), Materialized::named("sum"))
        .to_stream()
        .to("out");
}

fn headers(builder: &StreamsBuilder) {
    let buffer = BufferConfig::unbounded().with_logging_enabled(BTreeMap::<String, String>::new());
    counts(builder, "c")
        .suppress(Suppressed::until_time_limit(ms(80), buffer).with_name("sup"))
        .to_stream()
        .to("out");
}
