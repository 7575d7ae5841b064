//! How two tables are joined by a foreign key.

use std::sync::Arc;

/// How two tables are joined by a foreign key: a name for the nodes, topics and the store of the join, and
/// how both tables are partitioned, where that is not by Java's default partitioner.
///
/// # Source
/// `org.apache.kafka.streams.kstream.TableJoined`; there a partitioner that chooses several partitions is an
/// error when the first record comes, here it cannot be written.
#[derive(Clone)]
pub struct TableJoined<K, KO> {
    pub(crate) name: Option<String>,
    pub(crate) partitioner: Option<PartitionOfKey<K>>,
    pub(crate) other_partitioner: Option<PartitionOfKey<KO>>,
}

/// The partition of a key from topic, key and number of partitions; `None` is the default partitioner's.
pub(crate) type PartitionOfKey<K> = Arc<dyn Fn(&str, &K, i32) -> Option<i32> + Send + Sync>;

impl<K, KO> std::fmt::Debug for TableJoined<K, KO> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableJoined").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<K, KO> Default for TableJoined<K, KO> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, KO> TableJoined<K, KO> {
    /// Generated names, and the default partitioner.
    pub fn new() -> Self {
        Self { name: None, partitioner: None, other_partitioner: None }
    }

    /// Names that begin with this one; the topics are
    /// `<application id>-<name>-subscription-registration-topic` and
    /// `<application id>-<name>-subscription-response-topic`.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..Self::new() }
    }

    /// How this table is partitioned: the partition of a key, from the name of the topic that is written, the
    /// key, and the number of partitions; `None` is the default partitioner's. Without this an answer goes
    /// to the partition that its row came from.
    #[must_use]
    pub fn with_partitioner(
        mut self,
        partitioner: impl Fn(&str, &K, i32) -> Option<i32> + Send + Sync + 'static,
    ) -> Self {
        self.partitioner = Some(Arc::new(partitioner));
        self
    }

    /// How the other table is partitioned, as [`TableJoined::with_partitioner`].
    #[must_use]
    pub fn with_other_partitioner(
        mut self,
        partitioner: impl Fn(&str, &KO, i32) -> Option<i32> + Send + Sync + 'static,
    ) -> Self {
        self.other_partitioner = Some(Arc::new(partitioner));
        self
    }
}
