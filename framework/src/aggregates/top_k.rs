//! The items with the highest scores.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::serdes::{ArcSerde, DefaultSerde, Serde, SerdeError};

/// The `k` items with the highest scores. An item is there once, with the highest score that it ever had.
///
/// **Exact**: also after merging, the items are those that a list of everything would begin with. At equal
/// scores the smaller item comes first. Scores only go up: for scores that also go down, keep them in a
/// table and look at its rows.
///
/// **Bytes** of the default serde, all numbers big-endian: the version, 1, as one byte; `k` and the number
/// of items as 4 bytes each; then for each item, the highest score first, 4 bytes of length and the score,
/// 4 bytes of length and the item, each as its serde writes it.
///
/// # Examples
/// ```
/// use kstream::aggregates::TopK;
/// use kstream::serdes::{DefaultSerde, json};
/// use kstream::{Consumed, Grouped, KStream, StreamsBuilder};
/// use kstream_test_utils::TopologyTestDriver;
///
/// let builder = StreamsBuilder::new();
/// let bids: KStream<String, (String, i64)> =
///     builder.stream_with("bids", Consumed::with(String::default_serde(), json()));
/// bids.group_by_key_with(Grouped::with(String::default_serde(), json()))
///     .aggregate(|| TopK::new(2), |_lot, (bidder, bid), top: TopK<String, i64>| top.with(bidder, bid))
///     .to_stream()
///     .map_values(|top| {
///         let best = top.iter().flat_map(TopK::iter).map(|(bidder, bid)| format!("{bidder} {bid}"));
///         best.collect::<Vec<_>>().join(", ")
///     })
///     .to("best");
/// let driver = TopologyTestDriver::new(builder.build()?)?;
/// let bids = driver.input_topic_with("bids", String::default_serde(), json());
/// for (bidder, bid) in [("ann", 10), ("bob", 12), ("cy", 11), ("ann", 15)] {
///     bids.pipe("lot 7".to_owned(), (bidder.to_owned(), bid))?;
/// }
/// let best = driver.output_topic::<String, String>("best").read_key_values()?;
/// assert_eq!(best.last().unwrap().1, "ann 15, bob 12");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopK<T, S> {
    k: usize,
    /// At most `k`, in order.
    entries: Vec<(T, S)>,
}

impl<T: Ord, S: Ord> TopK<T, S> {
    /// Keeps the best `k` items; with 0, none.
    pub fn new(k: usize) -> Self {
        Self { k, entries: Vec::new() }
    }

    /// Takes an item with its score.
    #[must_use]
    pub fn with(mut self, item: T, score: S) -> Self {
        self.insert(item, score);
        self
    }

    /// Takes the items of another; `k` stays.
    #[must_use]
    pub fn merged(mut self, other: Self) -> Self {
        for (item, score) in other.entries {
            self.insert(item, score);
        }
        self
    }

    fn insert(&mut self, item: T, score: S) {
        if let Some(known) = self.entries.iter().position(|(other, _)| *other == item) {
            if self.entries.get(known).is_some_and(|(_, old)| *old >= score) {
                return;
            }
            self.entries.remove(known);
        }
        let place = self.entries.partition_point(|(other, other_score)| {
            better(&(other, other_score), &(&item, &score)) == Ordering::Less
        });
        if place < self.k {
            self.entries.insert(place, (item, score));
            self.entries.truncate(self.k);
        }
    }
}

/// The higher score comes first, then the smaller item.
fn better<T: Ord, S: Ord>(left: &(&T, &S), right: &(&T, &S)) -> Ordering {
    right.1.cmp(left.1).then_with(|| left.0.cmp(right.0))
}

impl<T, S> TopK<T, S> {
    /// The items with their scores, the best first.
    pub fn iter(&self) -> impl Iterator<Item = (&T, &S)> {
        self.entries.iter().map(|(item, score)| (item, score))
    }

    /// How many items there are; at most `k`.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many items are kept at most.
    pub fn k(&self) -> usize {
        self.k
    }
}

const VERSION: u8 = 1;

/// The serde of [`TopK`], which says what the bytes are.
pub struct TopKSerde<T, S> {
    item: ArcSerde<T>,
    score: ArcSerde<S>,
}

impl<T, S> TopKSerde<T, S> {
    /// Items and scores with these serdes.
    pub fn new(item: ArcSerde<T>, score: ArcSerde<S>) -> Self {
        Self { item, score }
    }
}

impl<T, S> std::fmt::Debug for TopKSerde<T, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TopKSerde").finish_non_exhaustive()
    }
}

impl<T: 'static, S: 'static> Serde<TopK<T, S>> for TopKSerde<T, S> {
    fn serialize(&self, top: &TopK<T, S>, bytes: &mut Vec<u8>) -> Result<(), SerdeError> {
        bytes.push(VERSION);
        bytes.extend_from_slice(&u32::try_from(top.k)?.to_be_bytes());
        bytes.extend_from_slice(&u32::try_from(top.entries.len())?.to_be_bytes());
        for (item, score) in &top.entries {
            write(&*self.score, score, bytes)?;
            write(&*self.item, item, bytes)?;
        }
        Ok(())
    }

    fn deserialize(&self, bytes: &[u8]) -> Result<TopK<T, S>, SerdeError> {
        let mut rest = bytes;
        let version = take(&mut rest, 1)?;
        if version != [VERSION] {
            return Err(format!("a top-k list of an unknown version, {version:?}").into());
        }
        let k = take_number(&mut rest)?;
        let count = take_number(&mut rest)?;
        let mut entries = Vec::new();
        for _ in 0..count {
            let length = take_number(&mut rest)?;
            let score = self.score.deserialize(take(&mut rest, length)?)?;
            let length = take_number(&mut rest)?;
            let item = self.item.deserialize(take(&mut rest, length)?)?;
            entries.push((item, score));
        }
        if !rest.is_empty() || count > k {
            return Err("not a top-k list: there is more than it says".into());
        }
        Ok(TopK { k, entries })
    }

    fn format(&self) -> Option<String> {
        Some(format!("top-k of {} by {}", self.item.format()?, self.score.format()?))
    }

    fn memory_bytes(&self, top: &TopK<T, S>) -> usize {
        let entries = top.entries.iter();
        let entries = entries
            .map(|(item, score)| self.item.memory_bytes(item) + self.score.memory_bytes(score));
        size_of::<TopK<T, S>>() + entries.sum::<usize>()
    }
}

fn write<T: 'static>(
    serde: &dyn Serde<T>,
    value: &T,
    bytes: &mut Vec<u8>,
) -> Result<(), SerdeError> {
    let mut own = Vec::new();
    serde.serialize(value, &mut own)?;
    bytes.extend_from_slice(&u32::try_from(own.len())?.to_be_bytes());
    bytes.append(&mut own);
    Ok(())
}

fn take<'b>(rest: &mut &'b [u8], count: usize) -> Result<&'b [u8], SerdeError> {
    let Some((taken, left)) = rest.split_at_checked(count) else {
        return Err("not a top-k list: it ends too early".into());
    };
    *rest = left;
    Ok(taken)
}

fn take_number(rest: &mut &[u8]) -> Result<usize, SerdeError> {
    let bytes: [u8; 4] = take(rest, 4)?.try_into()?;
    Ok(usize::try_from(u32::from_be_bytes(bytes))?)
}

impl<T: DefaultSerde + 'static, S: DefaultSerde + 'static> DefaultSerde for TopK<T, S> {
    fn default_serde() -> ArcSerde<Self> {
        Arc::new(TopKSerde::new(T::default_serde(), S::default_serde()))
    }
}
