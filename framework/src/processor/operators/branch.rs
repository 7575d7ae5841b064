//! Sends each record down the first branch that accepts it.

use crate::error::Error;
use crate::processor::context::TaskContext;
use crate::processor::operators::filter::Predicate;
use crate::processor::{Data, Node, Outlet};
use crate::record::Record;

/// `split`: child `i` gets what predicate `i` accepts first; the child behind the last predicate, if
/// there is one, gets the rest.
pub(crate) struct Branch<K, V> {
    pub(crate) predicates: Vec<Predicate<K, V>>,
    pub(crate) next: Outlet<K, V>,
}

impl<K: Data, V: Data> Node<K, V> for Branch<K, V> {
    fn process(&mut self, task: &mut TaskContext, record: Record<K, V>) -> Result<(), Error> {
        let accepted = self
            .predicates
            .iter()
            .position(|predicate| predicate(&record.key, &record.value))
            .unwrap_or(self.predicates.len());
        self.next.forward_to(accepted, task, record)
    }
}
