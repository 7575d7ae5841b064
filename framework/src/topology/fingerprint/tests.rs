//! What the fingerprint sees of a topology, and what it says of two.

use super::*;
use crate::ids::TaskId;
use crate::{Grouped, KStream, Materialized, Named, Repartitioned, StreamsBuilder, TimeWindows};

fn fingerprint(build: impl FnOnce(&StreamsBuilder)) -> Fingerprint {
    let builder = StreamsBuilder::new();
    build(&builder);
    Fingerprint::of(&builder.build().unwrap())
}

fn stream(builder: &StreamsBuilder, topic: &str) -> KStream<String, String> {
    builder.stream(topic)
}

fn count(stream: &KStream<String, String>, store: &str) {
    stream.group_by_key().count_with(Named::default(), Materialized::named(store));
}

/// The changes between two topologies, as `kind: text`.
fn changes(old: impl FnOnce(&StreamsBuilder), new: impl FnOnce(&StreamsBuilder)) -> Vec<String> {
    let changes = fingerprint(new).changes_since(&fingerprint(old));
    changes.iter().map(|change| format!("{:?}: {change}", change.kind)).collect()
}

#[test]
fn the_text_of_version_1_stays_readable() {
    let now = fingerprint(|builder| {
        let stream = stream(builder, "in");
        let group = stream.group_by_with(|_, value| value.clone(), Grouped::named("group"));
        group.count_with(Named::default(), Materialized::named("counts"));
        count(&stream, "plain");
    });
    let text = concat!(
        r#"{"version":1,"subtopologies":{"#,
        r#""0":{"sources":["in"],"stores":{"plain":{"kind":"key-value","changelog":"own","key":"utf-8","value":"i64"}}},"#,
        r#""1":{"repartitions":{"group-repartition":null},"#,
        r#""stores":{"counts":{"kind":"key-value","changelog":"own","key":"utf-8","value":"i64"}}}}}"#
    );
    assert_eq!(now.text(), text);
    assert_eq!(Fingerprint::read(text), Ok(now));
}

#[test]
fn other_texts_are_told_apart() {
    assert_eq!(Fingerprint::read(""), Err(Unreadable::Foreign));
    assert_eq!(Fingerprint::read("AgAAAZM="), Err(Unreadable::Foreign));
    assert_eq!(Fingerprint::read(r#"{"version":1,"x":0}"#), Err(Unreadable::Foreign));
    assert_eq!(Fingerprint::read(r#"{"version":2,"x":0}"#), Err(Unreadable::Later(2)));
}

#[test]
fn stateless_operators_come_and_go() {
    let old = |builder: &StreamsBuilder| {
        count(&stream(builder, "in"), "counts");
        stream(builder, "other").to("out");
    };
    let new = |builder: &StreamsBuilder| {
        let stream = stream(builder, "in").filter_with(|_, _| true, "renamed");
        count(&stream.map_values(|value: String| value), "counts");
        stream.to("elsewhere");
    };
    assert_eq!(changes(old, new), [""; 0]);
    assert_eq!(changes(new, old), [""; 0]);
}

#[test]
fn a_generated_name_that_shifts_is_a_store_lost() {
    let old = |builder: &StreamsBuilder| {
        stream(builder, "in").group_by_key().count();
    };
    let new = |builder: &StreamsBuilder| {
        stream(builder, "in").filter(|_, _| true).group_by_key().count();
    };
    assert_eq!(
        changes(old, new),
        [
            "Removed: sub-topology 0 (it reads in and keeps KSTREAM-AGGREGATE-STATE-STORE-0000000001) is gone",
            "Added: store KSTREAM-AGGREGATE-STATE-STORE-0000000002 is new",
        ]
    );
}

#[test]
fn a_source_in_front_renumbers_what_follows() {
    let old = |builder: &StreamsBuilder| count(&stream(builder, "in"), "counts");
    let new = |builder: &StreamsBuilder| {
        stream(builder, "first").to("out");
        count(&stream(builder, "in"), "counts");
    };
    let text = "Conflict: sub-topology 0 (it reads in and keeps counts) is sub-topology 1 now: sources in front of \
                it were added or removed";
    assert_eq!(changes(old, new), [text]);
}

#[test]
fn a_store_of_another_kind_or_type_is_a_conflict() {
    let plain = |builder: &StreamsBuilder| count(&stream(builder, "in"), "s");
    let text = |builder: &StreamsBuilder| {
        let group = stream(builder, "in").group_by_key();
        group.reduce_with(|_, new| new, Named::default(), Materialized::named("s"));
    };
    let windows = |seconds| {
        move |builder: &StreamsBuilder| {
            let size = std::time::Duration::from_secs(seconds);
            let windowed = stream(builder, "in")
                .group_by_key()
                .windowed_by(TimeWindows::of_size_with_no_grace(size));
            windowed.count_with(Named::default(), Materialized::named("s"));
        }
    };
    assert_eq!(
        changes(plain, windows(1)),
        ["Conflict: store s: key-value store before, window store now"]
    );
    assert_eq!(
        changes(plain, text),
        ["Conflict: store s: values written as i64 before, as utf-8 now"]
    );
    // The changelog fits; the rows on disk do not.
    assert_eq!(changes(windows(1), windows(9000)), [""; 0]);
    let (short, long) = (fingerprint(windows(1)), fingerprint(windows(9000)));
    assert_eq!(long.moved_on_disk(&short).len(), 1);
    assert_eq!(short.moved_on_disk(&short).len(), 0);
}

#[test]
fn topics_and_their_partitions_are_compared() {
    let repartitioned = |partitions: Option<i32>, name: &'static str| {
        move |builder: &StreamsBuilder| {
            let mut options = Repartitioned::named(name);
            if let Some(partitions) = partitions {
                options = options.with_number_of_partitions(partitions);
            }
            count(&stream(builder, "in").repartition_with(options), "counts");
        }
    };
    assert_eq!(
        changes(repartitioned(Some(3), "r"), repartitioned(None, "r")),
        [
            "Conflict: repartition topic r-repartition: 3 partitions asked for before, no number of partitions now"
        ]
    );
    assert_eq!(
        changes(repartitioned(None, "r"), repartitioned(None, "q")),
        ["Removed: repartition topic r-repartition is no longer read"]
    );
    assert_eq!(
        changes(repartitioned(None, "r"), |builder| count(&stream(builder, "in"), "counts")),
        [
            "Conflict: sub-topology 1 (it reads r-repartition and keeps counts) is sub-topology 0 now: sources in \
             front of it were added or removed",
            "Removed: repartition topic r-repartition is no longer read",
        ]
    );
}

#[test]
fn an_input_may_be_added_but_not_exchanged() {
    let one = |builder: &StreamsBuilder| count(&stream(builder, "a"), "counts");
    let two = |builder: &StreamsBuilder| {
        count(&stream(builder, "a").merge(&stream(builder, "b")), "counts");
    };
    let other = |builder: &StreamsBuilder| count(&stream(builder, "b"), "counts");
    assert_eq!(changes(one, two), [""; 0]);
    assert_eq!(changes(one, other), ["Conflict: sub-topology 0 no longer reads topic a"]);
}

#[test]
fn what_goes_with_an_offset_stays_small_and_tells_the_task_first() {
    let many = fingerprint(|builder| {
        for topic in ["a", "b"] {
            let stream = stream(builder, topic);
            for number in 0..60 {
                count(&stream, &format!("a-store-of-topic-{topic}-{number}"));
            }
        }
    });
    let task = TaskId { subtopology: 1, partition: 3 };
    let text = many.offset_metadata(task);
    assert!((2000..=MAX_BYTES).contains(&text.len()), "{}", text.len());
    let part = Fingerprint::read(&text).unwrap();
    assert!(part.stores().all(|(number, name, _)| number == 1 && name.contains("topic-b")));
    assert_eq!(
        many.changes_since(&part).iter().filter(|change| change.kind != ChangeKind::Added).count(),
        0
    );

    let few = fingerprint(|builder| count(&stream(builder, "a"), "counts"));
    assert_eq!(few.offset_metadata(task), few.text());
}
