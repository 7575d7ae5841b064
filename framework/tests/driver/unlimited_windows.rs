//! Unlimited windows.

use kstream::{EmitStrategy, KStream, StreamsBuilder, UnlimitedWindows};

use crate::harness::Harness;

fn counted(windows: UnlimitedWindows) -> impl FnOnce(&StreamsBuilder) {
    move |builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let counts = stream.group_by_key().windowed_by(windows).count();
        counts
            .to_stream()
            .select_key(|windowed, _| {
                format!("{}[{},{}]", windowed.key, windowed.window.start, windowed.window.end)
            })
            .to("out");
    }
}

#[test]
fn window_begins_at_its_start_and_never_closes() {
    let test = Harness::new(counted(UnlimitedWindows::of().start_on(100)));
    for timestamp in [100, i64::MAX / 2, 99, 100] {
        test.pipe("k", "x", timestamp);
    }
    let end = i64::MAX;
    let latest = i64::MAX / 2;
    let expected = [
        format!("k[100,{end}]=1@100"),
        format!("k[100,{end}]=2@{latest}"),
        format!("k[100,{end}]=3@{latest}"),
    ];
    assert_eq!(test.out_numbers(), expected);
    assert_eq!(test.driver.dropped_records(), 0, "a record before the start is not late");
}

#[test]
fn mistakes_are_reported_together() {
    let builder = StreamsBuilder::new();
    let stream: KStream<String, String> = builder.stream("in");
    let group = stream.group_by_key();
    group.windowed_by(UnlimitedWindows::of().start_on(-1)).count();
    let windowed = group.windowed_by(UnlimitedWindows::of());
    windowed.emit_strategy(EmitStrategy::on_window_close()).count();
    let text = builder.build().unwrap_err().to_string();
    assert!(text.contains("must not start before the epoch"), "{text}");
    assert!(text.contains("unlimited windows never close"), "{text}");
}
