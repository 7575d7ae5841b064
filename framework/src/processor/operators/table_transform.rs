//! A value transformer of the user's between two tables: `transform_values`.

use std::convert::Infallible;
use std::sync::Arc;

use super::kept_rows::{Kept, KeptRows};
use super::process::failed;
use crate::error::Error;
use crate::processor::api::ProcessorError;
use crate::processor::context::TaskContext;
use crate::processor::processor_context::{Occasion, ProcessorContext, ProcessorNode};
use crate::processor::punctuation::ScheduleId;
use crate::processor::value_getter::{BoxedGetter, ValueGetter};
use crate::processor::value_transformer::{TransformContext, ValueTransformerWithKey};
use crate::processor::{Change, Data, Flush, Lifecycle, Node, Outlet};
use crate::record::{Headers, Record, Timestamp};
use crate::state::rows::Stamped;

/// The time of a row that is not there.
const UNKNOWN: Timestamp = -1;

/// A transformer and its view of the task, which leads nowhere.
pub(crate) struct Transformer<K, P, V> {
    user: Box<dyn ValueTransformerWithKey<K, P, V>>,
    node: ProcessorNode,
    nowhere: Outlet<Infallible, Infallible>,
}

impl<K: Data, P: Data, V: Data> Transformer<K, P, V> {
    pub(crate) fn new(
        user: Box<dyn ValueTransformerWithKey<K, P, V>>,
        node: ProcessorNode,
    ) -> Self {
        Self { user, node, nowhere: Outlet::new(Vec::new()) }
    }

    fn call<T>(
        &mut self,
        task: &mut TaskContext,
        occasion: Occasion,
        work: impl FnOnce(
            &mut dyn ValueTransformerWithKey<K, P, V>,
            &mut TransformContext<'_>,
        ) -> Result<T, ProcessorError>,
    ) -> Result<T, Error> {
        let mut context = ProcessorContext::new(task, &self.node, &self.nowhere, occasion);
        let worked = work(&mut *self.user, &mut context);
        worked.map_err(|error| failed(&self.node.name, error))
    }

    fn init(&mut self, task: &mut TaskContext) -> Result<(), Error> {
        self.call(task, Occasion::Init, ValueTransformerWithKey::init)
    }

    fn transform(
        &mut self,
        task: &mut TaskContext,
        occasion: Occasion,
        key: &K,
        value: Option<P>,
    ) -> Result<Option<V>, Error> {
        self.call(task, occasion, |transformer, context| transformer.transform(context, key, value))
    }
}

/// Transforms new and old value of each update, and keeps the rows if it has a store. The old value is
/// taken from there if it has.
pub(crate) struct TableTransform<K, P, V> {
    pub(crate) transformer: Transformer<K, P, V>,
    pub(crate) kept: Option<KeptRows<K, V>>,
    /// Whether updates carry the value that they replace.
    pub(crate) send_old: bool,
    pub(crate) next: Outlet<K, Change<V>>,
}

impl<K: Data, P: Data, V: Data> Node<K, Change<P>> for TableTransform<K, P, V> {
    fn process(
        &mut self,
        task: &mut TaskContext,
        record: Record<K, Change<P>>,
    ) -> Result<(), Error> {
        let Record { key, value: change, timestamp, headers } = record;
        let mut is_latest = change.is_latest;
        let occasion = Occasion::At(timestamp, headers.clone());
        let mut new = self.transformer.transform(task, occasion.clone(), &key, change.new)?;
        let old = match (&mut self.kept, self.send_old) {
            (_, false) => None,
            (Some(kept), true) => kept.value(&key)?,
            (None, true) => self.transformer.transform(task, occasion, &key, change.old)?,
        };
        if let Some(kept) = &mut self.kept {
            new = new.filter(|value| !kept.is_null(value));
            match kept.put(task, &key, new.as_ref(), timestamp, &headers)? {
                Kept::Forward { is_latest: latest } => is_latest = latest,
                Kept::Quiet => return Ok(()),
            }
        }
        let value = Change { new, old, is_latest };
        self.next.forward(task, Record { key, value, timestamp, headers })
    }
}

impl<K: Data, P: Data, V: Data> Flush for TableTransform<K, P, V> {
    fn flush(&mut self, task: &mut TaskContext) -> Result<(), Error> {
        self.kept.as_ref().map_or(Ok(()), |kept| kept.flush(&self.next, task))
    }
}

impl<K: Data, P: Data, V: Data> Lifecycle for TableTransform<K, P, V> {
    fn name(&self) -> &str {
        &self.transformer.node.name
    }

    fn init(&mut self, task: &mut TaskContext) -> Result<(), Error> {
        self.transformer.init(task)
    }

    fn punctuate(
        &mut self,
        task: &mut TaskContext,
        schedule: ScheduleId,
        timestamp: Timestamp,
    ) -> Result<(), Error> {
        self.transformer.call(
            task,
            Occasion::At(timestamp, Headers::new()),
            |transformer, context| transformer.punctuate(context, schedule, timestamp),
        )
    }

    fn close(&mut self) {
        self.transformer.user.close();
    }
}

/// Works a transformed table out from its parent with a transformer of its own, which starts at the first
/// read. The transformer sees no record behind the row.
pub(crate) struct TransformedGetter<K, P, V> {
    pub(crate) parent: BoxedGetter<K, P>,
    pub(crate) transformer: Transformer<K, P, V>,
    pub(crate) started: bool,
    pub(crate) no_topic: Arc<str>,
}

impl<K: Data, P: Data, V: Data> TransformedGetter<K, P, V> {
    fn transform(
        &mut self,
        task: &mut TaskContext,
        key: &K,
        row: Option<Stamped<P>>,
    ) -> Result<Option<Stamped<V>>, Error> {
        let timestamp = row.as_ref().map_or(UNKNOWN, |row| row.timestamp);
        let topic = std::mem::replace(&mut task.topic, Arc::clone(&self.no_topic));
        let place = (task.partition, task.offset);
        (task.partition, task.offset) = (-1, -1);
        let value = self.started(task).and_then(|transformer| {
            let occasion = Occasion::At(timestamp, Headers::new());
            transformer.transform(task, occasion, key, row.map(|row| row.value))
        });
        task.topic = topic;
        (task.partition, task.offset) = place;
        Ok(value?.map(|value| Stamped { value, timestamp }))
    }

    fn started(&mut self, task: &mut TaskContext) -> Result<&mut Transformer<K, P, V>, Error> {
        if !self.started {
            self.transformer.init(task)?;
            self.started = true;
        }
        Ok(&mut self.transformer)
    }
}

impl<K: Data, P: Data, V: Data> ValueGetter<K, V> for TransformedGetter<K, P, V> {
    fn get(&mut self, task: &mut TaskContext, key: &K) -> Result<Option<Stamped<V>>, Error> {
        let row = self.parent.get(task, key)?;
        self.transform(task, key, row)
    }

    fn get_as_of(
        &mut self,
        task: &mut TaskContext,
        key: &K,
        at: Timestamp,
    ) -> Result<Option<Stamped<V>>, Error> {
        let row = self.parent.get_as_of(task, key, at)?;
        self.transform(task, key, row)
    }

    fn is_versioned(&self) -> bool {
        self.parent.is_versioned()
    }
}
