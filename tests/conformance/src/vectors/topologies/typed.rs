//! Types other than text, and serdes of one's own.

use std::sync::Arc;

use kstream::serdes::{ArcSerde, DefaultSerde, OptionSerde, list};
use kstream::{KStream, Materialized, Named, Produced, StreamsBuilder};

use uuid::Uuid;

use super::{Build, Text};

pub(super) fn topology(name: &str) -> Option<Build> {
    Some(match name {
        "typed-aggregate" => aggregate,
        "typed-serdes" => serdes,
        _ => return None,
    })
}

fn aggregate(builder: &StreamsBuilder) {
    let stream: KStream<Option<i32>, Option<i64>> = builder.stream("in");
    let stream = stream.filter(|_, value| value.is_some_and(|value| value >= 0));
    let add = |_: &Option<i32>, value: Option<i64>, sum: i64| sum + value.unwrap_or(0);
    let sums = stream.group_by_key().aggregate_with(
        || 0,
        add,
        Named::default(),
        Materialized::named("sum"),
    );
    sums.to_stream().to("out");
    let group = stream.select_key(|key, _| key.map_or(0, |key| key % 2)).group_by_key();
    let largest = group.reduce_with(Ord::max, Named::default(), Materialized::named("max"));
    largest.to_stream().to("out-max");
}

fn serdes(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    map(&stream, "out-int", i32::default_serde(), |_, number| number);
    map(&stream, "out-long", i64::default_serde(), |_, number| i64::from(number) * 1_000_000_007);
    map(&stream, "out-short", i16::default_serde(), |text, _| text.parse().unwrap_or_default());
    map(&stream, "out-double", f64::default_serde(), |_, number| f64::from(number) / 7.0);
    #[expect(clippy::cast_precision_loss, reason = "as in the recording; the numbers are small")]
    map(&stream, "out-float", f32::default_serde(), |_, number| number as f32 / 7.0);
    map(&stream, "out-bool", bool::default_serde(), |_, number| number % 2 == 0);
    map(&stream, "out-uuid", Uuid::default_serde(), |_, number| {
        Uuid::from_u64_pair(i64::from(number).cast_unsigned(), 1)
    });
    map(&stream, "out-bytes", Vec::<u8>::default_serde(), |text, _| text.as_bytes().to_vec());
    map(&stream, "out-list-long", list(i64::default_serde()), |_, number| {
        vec![i64::from(number), i64::from(number) + 1]
    });
    map(&stream, "out-list-string", list(String::default_serde()), |text, _| {
        vec![text.to_owned(), "x".to_owned()]
    });
    let number = |_: &Text, value: &Text| value.as_ref().and_then(|value| value.parse().ok());
    stream.select_key::<Option<i32>>(number).to("out-key");
}

/// Writes what the mapper makes of each value's text and number to a topic; null stays null.
#[track_caller]
fn map<T: Clone + Send + 'static>(
    stream: &KStream<Text, Text>,
    topic: &str,
    serde: ArcSerde<T>,
    mapper: fn(&str, i32) -> T,
) {
    let produced = Produced::with(Text::default_serde(), Arc::new(OptionSerde::new(serde)));
    stream
        .map_values(move |value| {
            value.map(|value| mapper(&value, value.parse().unwrap_or_default()))
        })
        .to_with(topic, produced);
}
