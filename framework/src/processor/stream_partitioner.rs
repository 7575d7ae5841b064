//! Which partitions a record is written to.

use std::fmt;
use std::sync::Arc;

/// Chooses the partitions of the records that a sink writes.
///
/// # Examples
/// ```
/// use kstream::{KStream, Partitions, Produced, StreamPartitioner, StreamsBuilder};
///
/// let builder = StreamsBuilder::new();
/// let orders: KStream<String, i64> = builder.stream("orders");
/// // Large orders have the first partition to themselves.
/// let partitioner = StreamPartitioner::new(|_topic, _key: &String, amount: &i64, partitions| {
///     if *amount > 1_000_000 { Partitions::One(0) }
///     else if partitions > 1 { Partitions::One(1 + (*amount % i64::from(partitions - 1)) as i32) }
///     else { Partitions::Default }
/// });
/// orders.to_with("sorted-orders", Produced::new().with_stream_partitioner(partitioner));
/// # builder.build()?;
/// # Ok::<(), kstream::TopologyErrors>(())
/// ```
///
/// # Source
/// `org.apache.kafka.streams.processor.StreamPartitioner` (KIP-837).
pub struct StreamPartitioner<K, V>(Arc<ChoosePartitions<K, V>>);

type ChoosePartitions<K, V> = dyn Fn(&str, &K, &V, i32) -> Partitions + Send + Sync;

/// The partitions that a record is written to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Partitions {
    /// The one that Java's default partitioner gives the key.
    #[default]
    Default,
    /// This one.
    One(i32),
    /// Each of these, one copy each; if there are none, the record is dropped and counted.
    Each(Vec<i32>),
}

impl Partitions {
    /// No partition: the record is dropped and counted.
    pub const fn none() -> Self {
        Self::Each(Vec::new())
    }
}

impl<K, V> StreamPartitioner<K, V> {
    /// Asks `choose` about each record with the topic's name, key, value, and the topic's number of
    /// partitions. A partition that the topic does not have is an error.
    pub fn new(choose: impl Fn(&str, &K, &V, i32) -> Partitions + Send + Sync + 'static) -> Self {
        Self(Arc::new(choose))
    }

    pub(crate) fn partitions(&self, topic: &str, key: &K, value: &V, count: i32) -> Partitions {
        (self.0)(topic, key, value, count)
    }
}

impl<K, V> Clone for StreamPartitioner<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, V> fmt::Debug for StreamPartitioner<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamPartitioner")
    }
}
