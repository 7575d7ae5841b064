//! How two tables are joined by a foreign key.

use std::marker::PhantomData;

/// How two tables are joined by a foreign key: a name for the nodes, topics and the store of the join.
///
/// # Source
/// `org.apache.kafka.streams.kstream.TableJoined`.
pub struct TableJoined<K, KO> {
    pub(crate) name: Option<String>,
    types: PhantomData<fn() -> (K, KO)>,
}

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
    /// Generated names.
    pub fn new() -> Self {
        Self { name: None, types: PhantomData }
    }

    /// Names that begin with this one; the topics are
    /// `<application id>-<name>-subscription-registration-topic` and
    /// `<application id>-<name>-subscription-response-topic`.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), types: PhantomData }
    }
}
