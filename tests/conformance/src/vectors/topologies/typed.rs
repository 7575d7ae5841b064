//! Types other than text, and serdes of one's own.

use std::sync::Arc;

use kstream::serdes::{ArcSerde, DefaultSerde, OptionSerde, Serde, SerdeError};
use kstream::{KStream, Materialized, Named, Produced, StreamsBuilder};

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
    map(&stream, "out-uuid", String::default_serde(), |_, number| uuid_text(number));
    map(&stream, "out-bytes", Vec::<u8>::default_serde(), |text, _| text.as_bytes().to_vec());
    map(&stream, "out-list-long", Arc::new(LongList), |_, number| {
        vec![i64::from(number), i64::from(number) + 1]
    });
    map(&stream, "out-list-string", Arc::new(StringList), |text, _| {
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

/// `new UUID(number, 1)` as text.
fn uuid_text(number: i32) -> String {
    let high = i64::from(number).cast_unsigned();
    format!(
        "{:08x}-{:04x}-{:04x}-0000-000000000001",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xffff
    )
}

/// Java's `ListSerde` of longs: no nulls, then size and elements.
struct LongList;

impl Serde<Vec<i64>> for LongList {
    fn serialize(&self, list: &Vec<i64>, bytes: &mut Vec<u8>) -> Result<(), SerdeError> {
        bytes.push(0);
        bytes.extend_from_slice(&0_i32.to_be_bytes());
        bytes.extend_from_slice(&i32::try_from(list.len())?.to_be_bytes());
        for element in list {
            bytes.extend_from_slice(&element.to_be_bytes());
        }
        Ok(())
    }
    fn deserialize(&self, _: &[u8]) -> Result<Vec<i64>, SerdeError> {
        Err("lists are only written here".into())
    }
}

/// Java's `ListSerde` of strings: size, then each element's length and bytes.
struct StringList;

impl Serde<Vec<String>> for StringList {
    fn serialize(&self, list: &Vec<String>, bytes: &mut Vec<u8>) -> Result<(), SerdeError> {
        bytes.push(1);
        bytes.extend_from_slice(&i32::try_from(list.len())?.to_be_bytes());
        for element in list {
            bytes.extend_from_slice(&i32::try_from(element.len())?.to_be_bytes());
            bytes.extend_from_slice(element.as_bytes());
        }
        Ok(())
    }
    fn deserialize(&self, _: &[u8]) -> Result<Vec<String>, SerdeError> {
        Err("lists are only written here".into())
    }
}
