//! Around a node, when there is a processing handler: what fails in it is decided there and then.
//!
//! Siblings of the node go on, because to its parent it has not failed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use crate::error::Error;
use crate::processor::context::TaskContext;
use crate::processor::failed_node::take_failed_node;
use crate::processor::handler::{FailedRecord, Failure, panic_of};
use crate::processor::{Data, Node, Port};
use crate::record::Record;

/// Keeps a copy of each record for the handler.
pub(crate) struct Guard<K, V> {
    pub(crate) name: Rc<str>,
    pub(crate) node: Port<K, V>,
}

impl<K: Data, V: Data> Node<K, V> for Guard<K, V> {
    fn process(&mut self, task: &mut TaskContext, record: Record<K, V>) -> Result<(), Error> {
        let copy = record.clone();
        // What a node leaves half done when it unwinds is its own record: borrows are released, and stores
        // are changed only after the user's code has returned.
        let result =
            catch_unwind(AssertUnwindSafe(|| self.node.borrow_mut().process(task, record)));
        let failure = match result {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) if !error.is_open() => return Err(error),
            Ok(Err(error)) => Failure::Error(error),
            Err(panic) => {
                take_failed_node();
                Failure::Panic(panic_of(&*panic))
            }
        };
        let record = FailedRecord::new(&copy.key, &copy.value, copy.timestamp, &copy.headers);
        task.processing_failed(&self.name, &record, failure)
    }
}
