//! The foreign side of a foreign-key join: keeps who wants to know of which row, and answers.

use std::cell::RefCell;
use std::rc::Rc;

use super::wire::{Instruction, Response, Subscription, behind_prefix, write_combined_key};
use crate::error::Error;
use crate::processor::context::{DropReason, TaskContext};
use crate::processor::operators::row_errors::unwritable_key;
use crate::processor::value_getter::BoxedGetter;
use crate::processor::{Change, Data, Node, Outlet};
use crate::record::Record;
use crate::serdes::ArcSerde;
use crate::state::rows::{Rows, Stamped};

/// The subscriptions that a task keeps, found by foreign key and primary key.
pub(crate) struct SubscriptionStore<K, KO> {
    pub(crate) rows: Rc<RefCell<Rows<Subscription<K>>>>,
    pub(crate) foreign_key_serde: ArcSerde<KO>,
    pub(crate) primary_key_serde: ArcSerde<K>,
    pub(crate) bytes: Vec<u8>,
}

/// Keeps subscriptions and forwards them.
pub(crate) struct SubscriptionReceive<K, KO> {
    pub(crate) name: String,
    pub(crate) store: SubscriptionStore<K, KO>,
    pub(crate) next: Outlet<Option<KO>, Subscription<K>>,
}

impl<K: Data, KO: Data> Node<Option<KO>, Subscription<K>> for SubscriptionReceive<K, KO> {
    fn process(
        &mut self,
        task: &mut TaskContext,
        record: Record<Option<KO>, Subscription<K>>,
    ) -> Result<(), Error> {
        let subscription = &record.value;
        let Some(foreign_key) = &record.key else {
            // A row of a left join without a foreign key only wants its answer.
            if subscription.instruction == Instruction::Subscribe {
                return self.next.forward(task, record);
            }
            task.drop_record(DropReason::NullKey);
            return Ok(());
        };
        let SubscriptionStore { rows, foreign_key_serde, primary_key_serde, bytes } =
            &mut self.store;
        let foreign = (&**foreign_key_serde, foreign_key);
        write_combined_key(foreign, Some((&**primary_key_serde, &subscription.primary_key)), bytes)
            .map_err(|error| unwritable_key(&self.name, error))?;
        let stays = matches!(
            subscription.instruction,
            Instruction::Subscribe | Instruction::SubscribeAndAnswerIfFound
        );
        let row =
            stays.then(|| Stamped { value: subscription.clone(), timestamp: record.timestamp });
        let headers = record.headers.clone();
        rows.borrow_mut().set_with_headers(bytes, row, headers, record.timestamp)?;
        self.next.forward(task, record)
    }
}

/// Answers a subscription with the foreign row as it is now.
pub(crate) struct SubscriptionJoin<K, KO, VO> {
    pub(crate) foreign_rows: BoxedGetter<KO, VO>,
    pub(crate) next: Outlet<K, Response<VO>>,
    pub(crate) types: std::marker::PhantomData<fn(K)>,
}

impl<K: Data, KO: Data, VO: Data> Node<Option<KO>, Subscription<K>>
    for SubscriptionJoin<K, KO, VO>
{
    fn process(
        &mut self,
        task: &mut TaskContext,
        record: Record<Option<KO>, Subscription<K>>,
    ) -> Result<(), Error> {
        let Record { key, value: subscription, timestamp, headers } = record;
        let row = match &key {
            Some(key) => self.foreign_rows.get(task, key)?,
            None => None,
        };
        let timestamp = row.as_ref().map_or(timestamp, |row| row.timestamp.max(timestamp));
        let value = match (subscription.instruction, row) {
            (Instruction::Unsubscribe, _) | (Instruction::SubscribeAndAnswerIfFound, None) => {
                return Ok(());
            }
            (Instruction::UnsubscribeAndAnswer, _) => None,
            (_, row) => row.map(|row| row.value),
        };
        let Subscription { hash, primary_key: key, primary_partition, .. } = subscription;
        let value = Response { hash, value, primary_partition };
        self.next.forward(task, Record { key, value, timestamp, headers })
    }
}

/// Tells all who want to know that a foreign row has changed.
pub(crate) struct ForeignTableJoin<K, KO, VO> {
    pub(crate) name: String,
    /// Whether the foreign table keeps its history: then only a row's latest is joined.
    pub(crate) versioned: bool,
    pub(crate) store: SubscriptionStore<K, KO>,
    pub(crate) next: Outlet<K, Response<VO>>,
}

impl<K: Data, KO: Data, VO: Data> Node<KO, Change<VO>> for ForeignTableJoin<K, KO, VO> {
    fn process(
        &mut self,
        task: &mut TaskContext,
        record: Record<KO, Change<VO>>,
    ) -> Result<(), Error> {
        let Record { key, value, timestamp, headers } = record;
        if self.versioned && !value.is_latest {
            // What the primary side knows of this row is newer.
            task.drop_record(DropReason::Late);
            return Ok(());
        }
        let SubscriptionStore { rows, foreign_key_serde, bytes, .. } = &mut self.store;
        write_combined_key::<KO, K>((&**foreign_key_serde, &key), None, bytes)
            .map_err(|error| unwritable_key(&self.name, error))?;
        let mut interested = Vec::new();
        let end = behind_prefix(bytes);
        rows.borrow_mut().scan(bytes, end.as_deref(), false, &mut |_, row| {
            let Subscription { hash, primary_key, primary_partition, .. } = &row.value;
            interested.push((*hash, primary_key.clone(), *primary_partition));
            true
        })?;
        for (hash, key, primary_partition) in interested {
            let value = Response { hash, value: value.new.clone(), primary_partition };
            self.next.forward(task, Record { key, value, timestamp, headers: headers.clone() })?;
        }
        Ok(())
    }
}
