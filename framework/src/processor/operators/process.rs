//! A processor of the user's as a node: `process` and `process_values`.

use std::marker::PhantomData;

use crate::error::{Error, ErrorKind};
use crate::processor::api::{FixedKeyProcessor, Processor, ProcessorError};
use crate::processor::context::TaskContext;
use crate::processor::processor_context::{
    FixedKeyProcessorContext, Occasion, ProcessorContext, ProcessorNode,
};
use crate::processor::punctuation::ScheduleId;
use crate::processor::{Data, Lifecycle, Node, Outlet};
use crate::record::{FixedKeyRecord, Headers, Record, Timestamp};

/// Gives records to a [`Processor`].
pub(crate) struct Process<P, KIn, VIn, K, V> {
    pub(crate) processor: P,
    pub(crate) node: ProcessorNode,
    pub(crate) next: Outlet<K, V>,
    pub(crate) input: PhantomData<fn(KIn, VIn)>,
}

impl<P, KIn: Data, VIn: Data, K: Data, V: Data> Node<KIn, VIn> for Process<P, KIn, VIn, K, V>
where
    P: Processor<KIn, VIn, K, V>,
{
    fn process(&mut self, task: &mut TaskContext, record: Record<KIn, VIn>) -> Result<(), Error> {
        let occasion = Occasion::At(record.timestamp, record.headers.clone());
        let mut context = ProcessorContext::new(task, &self.node, &self.next, occasion);
        let processed = self.processor.process(&mut context, record);
        processed.map_err(|error| failed(&self.node.name, error))
    }
}

impl<P, KIn: Data, VIn: Data, K: Data, V: Data> Lifecycle for Process<P, KIn, VIn, K, V>
where
    P: Processor<KIn, VIn, K, V>,
{
    fn init(&mut self, task: &mut TaskContext) -> Result<(), Error> {
        let mut context = ProcessorContext::new(task, &self.node, &self.next, Occasion::Init);
        let started = self.processor.init(&mut context);
        started.map_err(|error| failed(&self.node.name, error))
    }

    fn punctuate(
        &mut self,
        task: &mut TaskContext,
        schedule: ScheduleId,
        timestamp: Timestamp,
    ) -> Result<(), Error> {
        let occasion = Occasion::At(timestamp, Headers::new());
        let mut context = ProcessorContext::new(task, &self.node, &self.next, occasion);
        let punctuated = self.processor.punctuate(&mut context, schedule, timestamp);
        punctuated.map_err(|error| failed(&self.node.name, error))
    }

    fn close(&mut self) {
        self.processor.close();
    }

    fn name(&self) -> &str {
        &self.node.name
    }
}

/// Gives records to a [`FixedKeyProcessor`].
pub(crate) struct ProcessValues<P, K, VIn, V> {
    pub(crate) processor: P,
    pub(crate) node: ProcessorNode,
    pub(crate) next: Outlet<K, V>,
    pub(crate) input: PhantomData<fn(VIn)>,
}

impl<P, K: Data, VIn: Data, V: Data> ProcessValues<P, K, VIn, V>
where
    P: FixedKeyProcessor<K, VIn, V>,
{
    /// Calls the processor with a context.
    fn call(
        &mut self,
        task: &mut TaskContext,
        occasion: Occasion,
        work: impl FnOnce(&mut P, &mut FixedKeyProcessorContext<'_, K, V>) -> Result<(), ProcessorError>,
    ) -> Result<(), Error> {
        let context = ProcessorContext::new(task, &self.node, &self.next, occasion);
        let worked = work(&mut self.processor, &mut FixedKeyProcessorContext(context));
        worked.map_err(|error| failed(&self.node.name, error))
    }
}

impl<P, K: Data, VIn: Data, V: Data> Node<K, VIn> for ProcessValues<P, K, VIn, V>
where
    P: FixedKeyProcessor<K, VIn, V>,
{
    fn process(&mut self, task: &mut TaskContext, record: Record<K, VIn>) -> Result<(), Error> {
        let occasion = Occasion::At(record.timestamp, record.headers.clone());
        self.call(task, occasion, |processor, context| {
            processor.process(context, FixedKeyRecord::new(record))
        })
    }
}

impl<P, K: Data, VIn: Data, V: Data> Lifecycle for ProcessValues<P, K, VIn, V>
where
    P: FixedKeyProcessor<K, VIn, V>,
{
    fn init(&mut self, task: &mut TaskContext) -> Result<(), Error> {
        self.call(task, Occasion::Init, P::init)
    }

    fn punctuate(
        &mut self,
        task: &mut TaskContext,
        schedule: ScheduleId,
        timestamp: Timestamp,
    ) -> Result<(), Error> {
        self.call(task, Occasion::At(timestamp, Headers::new()), |processor, context| {
            processor.punctuate(context, schedule, timestamp)
        })
    }

    fn close(&mut self) {
        self.processor.close();
    }

    fn name(&self) -> &str {
        &self.node.name
    }
}

/// An error of a processor as one of ours; one that comes from a node further down keeps that node's
/// name.
#[cold]
pub(crate) fn failed(node: &str, error: ProcessorError) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error.at_node(node),
        Err(error) => Error::new(ErrorKind::BadRecord, "the processor failed")
            .with_source(error)
            .at_node(node),
    }
}
