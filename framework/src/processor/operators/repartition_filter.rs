//! In front of a repartition topic: records without a key have no partition to go to, and nothing behind
//! it would take them; except left and outer joins.

use crate::error::Error;
use crate::processor::context::TaskContext;
use crate::processor::{Data, Node, Outlet};
use crate::record::Record;
use crate::serdes::ArcSerde;

/// Drops records with a null key, silently, as Kafka Streams does, unless something behind takes them.
/// Values become what the topic holds.
pub(crate) struct RepartitionFilter<K, V> {
    pub(crate) key_serde: ArcSerde<K>,
    pub(crate) null_keys_pass: bool,
    pub(crate) next: Outlet<K, V>,
}

impl<K: Data, I: Data + Into<V>, V: Data> Node<K, I> for RepartitionFilter<K, V> {
    fn process(&mut self, task: &mut TaskContext, record: Record<K, I>) -> Result<(), Error> {
        if !self.null_keys_pass && self.key_serde.is_null(&record.key) {
            return Ok(());
        }
        let Record { key, value, timestamp, headers } = record;
        self.next.forward(task, Record { key, value: value.into(), timestamp, headers })
    }
}
