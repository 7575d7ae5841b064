//! The primary table's side of a foreign-key join: tells the foreign side which rows want to know of
//! which.

use std::sync::Arc;

use super::murmur3::murmur3_128;
use super::wire::{Instruction, Subscription, ValueHash};
use crate::error::Error;
use crate::processor::context::{DropReason, TaskContext};
use crate::processor::operators::row_errors::unwritable_key;
use crate::processor::operators::row_errors::unwritable_value;
use crate::processor::{Change, Data, Node, Outlet};
use crate::record::Record;
use crate::serdes::ArcSerde;

/// A foreign key from a primary row's key and value; `None` joins with nothing.
pub(crate) type ForeignKeyExtractor<K, V, KO> = Arc<dyn Fn(&K, &V) -> Option<KO> + Send + Sync>;

/// Sends subscriptions.
pub(crate) struct SubscriptionSend<K, V, KO> {
    pub(crate) name: String,
    pub(crate) extractor: ForeignKeyExtractor<K, V, KO>,
    pub(crate) foreign_key_serde: ArcSerde<KO>,
    pub(crate) value_serde: ArcSerde<V>,
    /// Whether every primary row has a result.
    pub(crate) left: bool,
    /// Whether the primary table keeps its history: then only a row's latest is joined.
    pub(crate) versioned: bool,
    pub(crate) next: Outlet<Option<KO>, Subscription<K>>,
    pub(crate) bytes: [Vec<u8>; 2],
}

impl<K: Data, V: Data, KO: Data> Node<K, Change<V>> for SubscriptionSend<K, V, KO> {
    fn process(
        &mut self,
        task: &mut TaskContext,
        record: Record<K, Change<V>>,
    ) -> Result<(), Error> {
        let Change { new, old, is_latest } = &record.value;
        if self.versioned && !is_latest {
            // What the foreign side knows of this row is newer.
            task.drop_record(DropReason::Late);
            return Ok(());
        }
        if new.is_none() && old.is_none() {
            return Ok(());
        }
        let old_key = old.as_ref().and_then(|old| self.foreign_key(&record.key, old));
        let new_key = new.as_ref().and_then(|new| self.foreign_key(&record.key, new));
        let hash = self.hash(new.as_ref())?;
        let change = match (&old_key, &new_key) {
            (None, None) => KeyChange::Never,
            (None, Some(_)) => KeyChange::Gained,
            (Some(_), None) => KeyChange::Lost,
            (Some(old), Some(new)) if self.differ(old, new)? => KeyChange::Changed,
            (Some(_), Some(_)) => KeyChange::Kept,
        };
        if !self.left && new.is_some() && new_key.is_none() {
            task.drop_record(DropReason::NullKey);
        }
        let (first, second) = if self.left { change.left_join() } else { change.inner_join() };
        let mut send = |key: Option<KO>, instruction| {
            let primary_key = record.key.clone();
            let primary_partition = Some(task.task.partition);
            let value = Subscription { hash, instruction, primary_key, primary_partition };
            let (timestamp, headers) = (record.timestamp, record.headers.clone());
            self.next.forward(task, Record { key, value, timestamp, headers })
        };
        if let Some(instruction) = first {
            send(old_key, instruction)?;
        }
        match second {
            Some(instruction) => send(new_key, instruction),
            None => Ok(()),
        }
    }
}

/// What an update does to a row's foreign key.
#[derive(Debug, Clone, Copy)]
enum KeyChange {
    /// There was none and is none.
    Never,
    Gained,
    Lost,
    Kept,
    Changed,
}

/// What goes to the old foreign key, and what to the new one.
type Instructions = (Option<Instruction>, Option<Instruction>);

impl KeyChange {
    /// The new key, or null, is always asked: every row has a result.
    fn left_join(self) -> Instructions {
        let leaves = matches!(self, Self::Lost | Self::Changed);
        (leaves.then_some(Instruction::Unsubscribe), Some(Instruction::Subscribe))
    }

    fn inner_join(self) -> Instructions {
        match self {
            Self::Never => (None, None),
            // The result goes, if there is one.
            Self::Lost => (Some(Instruction::UnsubscribeAndAnswer), None),
            // The new foreign row may not be there: the old result has to go in any case.
            Self::Changed => (Some(Instruction::Unsubscribe), Some(Instruction::Subscribe)),
            Self::Gained | Self::Kept => (None, Some(Instruction::SubscribeAndAnswerIfFound)),
        }
    }
}

impl<K: Data, V: Data, KO: Data> SubscriptionSend<K, V, KO> {
    fn foreign_key(&self, key: &K, value: &V) -> Option<KO> {
        (self.extractor)(key, value).filter(|key| !self.foreign_key_serde.is_null(key))
    }

    /// Whether two keys are two on the topic.
    fn differ(&mut self, old: &KO, new: &KO) -> Result<bool, Error> {
        let [old_bytes, new_bytes] = &mut self.bytes;
        for (key, bytes) in [(old, &mut *old_bytes), (new, &mut *new_bytes)] {
            bytes.clear();
            self.foreign_key_serde
                .serialize(key, bytes)
                .map_err(|error| unwritable_key(&self.name, error))?;
        }
        Ok(old_bytes != new_bytes)
    }

    fn hash(&mut self, value: Option<&V>) -> Result<ValueHash, Error> {
        let Some(value) = value else { return Ok(None) };
        let [bytes, _] = &mut self.bytes;
        bytes.clear();
        self.value_serde
            .serialize(value, bytes)
            .map_err(|error| unwritable_value(&self.name, error))?;
        Ok(Some(murmur3_128(bytes)))
    }
}
