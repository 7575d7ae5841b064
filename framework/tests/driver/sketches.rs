//! Aggregates of many values, against exact computation: plain, in windows, merged, and read back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kstream::aggregates::{DistinctSketch, QuantileSketch, TopK};
use kstream::serdes::DefaultSerde;
use kstream::{KStream, Materialized, Named, StreamsBuilder, TimeWindows, Topology};
use kstream_test_utils::TopologyTestDriver;
use proptest::prelude::*;

/// What a store or changelog does with a value.
#[track_caller]
fn written_and_read<T: DefaultSerde + 'static>(value: &T) -> T {
    let serde = T::default_serde();
    let mut bytes = Vec::new();
    serde.serialize(value, &mut bytes).unwrap();
    serde.deserialize(&bytes).unwrap()
}

/// Numbers without a pattern that a sketch would like.
fn scattered(count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17))
}

#[expect(clippy::cast_precision_loss, reason = "numbers of a test")]
fn float(number: u64) -> f64 {
    number as f64
}

/// How far the sketch's answer is from the rank that was asked for, in a sorted list of all values.
fn rank_error(sketch: &QuantileSketch, sorted: &[f64], rank: f64) -> f64 {
    let answer = sketch.quantile(rank).unwrap();
    let below = sorted.partition_point(|value| *value < answer);
    let up_to = sorted.partition_point(|value| *value <= answer);
    let count = float(sorted.len() as u64);
    let (low, high) = (float(below as u64) / count, float(up_to as u64) / count);
    (low - rank).max(rank - high).max(0.0)
}

#[track_caller]
fn check_quantiles(values: Vec<f64>) {
    let half = values.len() / 2;
    let all = |values: &[f64]| {
        values.iter().fold(QuantileSketch::new(), |sketch, value| sketch.with(*value))
    };
    let one = all(&values);
    let two = all(&values[..half]).merged(written_and_read(&all(&values[half..])));
    let mut sorted = values;
    sorted.sort_by(f64::total_cmp);
    for sketch in [one, two] {
        assert_eq!(sketch.count(), sorted.len() as u64);
        assert_eq!((sketch.min(), sketch.max()), (sorted.first().copied(), sorted.last().copied()));
        for (rank, allowed) in
            [(0.01, 0.002), (0.1, 0.01), (0.5, 0.012), (0.9, 0.01), (0.99, 0.002), (0.999, 0.001)]
        {
            let error = rank_error(&sketch, &sorted, rank);
            assert!(error <= allowed, "rank {rank} is off by {error}");
        }
    }
}

#[test]
fn quantiles_are_near_the_exact_ones_for_any_distribution() {
    let uniform = || scattered(20_000).map(|number| float(number >> 11) / float(1 << 53));
    check_quantiles(uniform().collect());
    check_quantiles(uniform().map(|value| -(1.0 - value).ln()).collect());
    check_quantiles(uniform().map(|value| (value * 12.0).exp()).collect());
    check_quantiles((0..20_000).map(float).collect());
    check_quantiles(scattered(20_000).map(|number| float(number % 7)).collect());
}

#[test]
fn histogram_has_every_value_once_and_buckets_near_the_exact_ones() {
    let values: Vec<f64> = scattered(30_000).map(|number| float(number % 1000)).collect();
    let sketch = values.iter().fold(QuantileSketch::new(), |sketch, value| sketch.with(*value));
    let bounds = [100.0, 250.0, 500.0, 990.0];
    let buckets = sketch.histogram(&bounds).unwrap();
    assert_eq!(buckets.iter().sum::<u64>(), 30_000);
    let mut from = f64::NEG_INFINITY;
    for (bucket, to) in buckets.iter().zip(bounds.into_iter().chain([f64::INFINITY])) {
        let exact = values.iter().filter(|value| (from..to).contains(value)).count() as u64;
        assert!(bucket.abs_diff(exact) <= 300, "{bucket} values below {to}, in truth {exact}");
        from = to;
    }
    assert_eq!(sketch.histogram(&[2.0, 1.0]), None);
    assert_eq!(QuantileSketch::new().histogram(&bounds), None);
}

#[test]
fn an_empty_quantile_sketch_has_no_answers() {
    let sketch = written_and_read(&QuantileSketch::new());
    assert_eq!((sketch.count(), sketch.quantile(0.5), sketch.min()), (0, None, None));
    let sketch = sketch.with(f64::NAN).with(f64::INFINITY);
    assert_eq!(sketch.count(), 0);
    assert_eq!(sketch.with(7.0).quantile(2.0), None);
}

#[test]
fn distinct_counts_are_near_the_exact_ones() {
    for count in [0, 1, 2, 10, 60, 1000, 20_000, 200_000] {
        let mut sketch = DistinctSketch::new();
        for number in scattered(count).chain(scattered(count / 2)) {
            sketch = sketch.with(&number.to_string());
        }
        let estimate = written_and_read(&sketch).count();
        let error = float(estimate.abs_diff(count)) / float(count.max(1));
        let allowed = if count <= 60 { 0.0 } else { 0.05 };
        assert!(error <= allowed, "{estimate} for {count}");
        let (low, high) = sketch.bounds();
        assert!((low..=high).contains(&estimate));
    }
}

#[test]
fn distinct_sketches_merge_to_the_union() {
    let of = |numbers: std::ops::Range<u64>| {
        numbers.fold(DistinctSketch::new(), |sketch, number| sketch.with(&number))
    };
    for (left, right, union) in [(0..40, 20..60, 60_u64), (0..30_000, 10_000..50_000, 50_000)] {
        let merged = of(left).merged(written_and_read(&of(right))).count();
        assert!(float(merged.abs_diff(union)) <= 0.05 * float(union), "{merged} for {union}");
    }
}

#[test]
fn the_bytes_of_sketches_stay_as_they_are() {
    let bytes = |serialize: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = Vec::new();
        serialize(&mut bytes);
        bytes.iter().fold(String::new(), |all, byte| all + &format!("{byte:02x}"))
    };
    let top = TopK::new(3).with("b".to_owned(), 5_i16).with("a".to_owned(), 7);
    let top = bytes(&|bytes| TopK::default_serde().serialize(&top, bytes).unwrap());
    let entries =
        concat!("00000002", "0007", "00000001", "61", "00000002", "0005", "00000001", "62");
    assert_eq!(top, format!("010000000300000002{entries}"));
    let one = QuantileSketch::new().with(1.0);
    let one = bytes(&|bytes| QuantileSketch::default_serde().serialize(&one, bytes).unwrap());
    assert_eq!(one, "010114c800060000000000000000f03f");
    let none = DistinctSketch::new();
    let none = bytes(&|bytes| DistinctSketch::default_serde().serialize(&none, bytes).unwrap());
    assert_eq!(none, "0201070c030c0000");
}

#[test]
fn damaged_bytes_are_refused() {
    let serde = TopK::<String, i64>::default_serde();
    let mut bytes = Vec::new();
    serde.serialize(&TopK::new(3).with("a".to_owned(), 7), &mut bytes).unwrap();
    for length in 0..bytes.len() {
        assert!(serde.deserialize(&bytes[..length]).is_err(), "cut to {length} bytes");
    }
    bytes.push(0);
    assert!(serde.deserialize(&bytes).is_err());
    assert!(QuantileSketch::default_serde().deserialize(b"?").is_err());
    assert!(DistinctSketch::default_serde().deserialize(b"?").is_err());
}

/// The best items by an obviously right computation.
fn naive_top(k: usize, records: &[(u8, i64)]) -> Vec<(u8, i64)> {
    let mut best: BTreeMap<u8, i64> = BTreeMap::new();
    for (item, score) in records {
        let entry = best.entry(*item).or_insert(*score);
        *entry = (*entry).max(*score);
    }
    let mut all: Vec<(u8, i64)> = best.into_iter().collect();
    all.sort_by_key(|(item, score)| (std::cmp::Reverse(*score), *item));
    all.truncate(k);
    all
}

fn listed(top: &TopK<u8, i64>) -> Vec<(u8, i64)> {
    top.iter().map(|(item, score)| (*item, *score)).collect()
}

proptest! {
    #[test]
    fn top_k_is_exact_however_it_is_merged(
        k in 0..5_usize,
        records in prop::collection::vec((0..8_u8, -3..6_i64), 0..30),
        parts in 1..5_usize,
    ) {
        let size = records.len().div_ceil(parts).max(1);
        let merged = records.chunks(size).fold(TopK::new(k), |top, chunk| {
            let part = chunk.iter().fold(TopK::new(k), |top, (item, score)| top.with(*item, *score));
            top.merged(written_and_read(&part))
        });
        prop_assert_eq!(listed(&merged), naive_top(k, &records));
    }

    #[test]
    fn plain_and_windowed_aggregations_give_what_a_list_gives(
        records in prop::collection::vec((0..2_u8, 0..6_u8, -3..9_i64, 0..40_i64), 1..40),
    ) {
        let driver = TopologyTestDriver::new(aggregating()).unwrap();
        let input = driver.input_topic::<String, String>("in");
        let mut by_key: BTreeMap<String, Vec<(u8, i64)>> = BTreeMap::new();
        let mut by_window: BTreeMap<(String, i64), Vec<(u8, i64)>> = BTreeMap::new();
        for (key, item, score, at) in records {
            let key = format!("k{key}");
            input.pipe_at(key.clone(), format!("{item} {score}"), at).unwrap();
            by_key.entry(key.clone()).or_default().push((item, score));
            by_window.entry((key, at / 10 * 10)).or_default().push((item, score));
        }
        for row in driver.store_rows::<String, TopK<u8, i64>>("top").unwrap() {
            prop_assert_eq!(listed(&row.value), naive_top(3, &by_key[&row.key]));
        }
        for row in driver.store_rows::<String, QuantileSketch>("quantiles").unwrap() {
            let window = &by_window[&(row.key, row.window_start.unwrap())];
            prop_assert_eq!(row.value.count(), window.len() as u64);
            let largest = window.iter().map(|(_, score)| *score).max().unwrap();
            prop_assert_eq!(row.value.quantile(1.0), Some(f64::from(i32::try_from(largest).unwrap())));
        }
        for row in driver.store_rows::<String, DistinctSketch>("distinct").unwrap() {
            let window = &by_window[&(row.key, row.window_start.unwrap())];
            let items: BTreeSet<u8> = window.iter().map(|(item, _)| *item).collect();
            prop_assert_eq!(row.value.count(), items.len() as u64);
        }
    }
}

fn aggregating() -> Topology {
    let parse = |text: &str| -> (u8, i64) {
        let (item, score) = text.split_once(' ').unwrap();
        (item.parse().unwrap(), score.parse().unwrap())
    };
    let builder = StreamsBuilder::new();
    let records: KStream<String, String> = builder.stream("in");
    let group = records.group_by_key();
    group.aggregate_with(
        || TopK::new(3),
        move |_, value: String, top: TopK<u8, i64>| {
            let (item, score) = parse(&value);
            top.with(item, score)
        },
        Named::default(),
        Materialized::named("top"),
    );
    let windows = TimeWindows::of_size_and_grace(Duration::from_millis(10), Duration::from_secs(1));
    let windows = group.windowed_by(windows);
    windows.aggregate_with(
        QuantileSketch::new,
        move |_, value: String, sketch: QuantileSketch| {
            let (_, score) = parse(&value);
            sketch.with(f64::from(i32::try_from(score).unwrap()))
        },
        Named::default(),
        Materialized::named("quantiles"),
    );
    windows.aggregate_with(
        DistinctSketch::new,
        move |_, value: String, sketch: DistinctSketch| sketch.with(&parse(&value).0),
        Named::default(),
        Materialized::named("distinct"),
    );
    builder.build().unwrap()
}
