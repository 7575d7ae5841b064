//! The end of a foreign-key join, at the primary table: a response becomes a result, if it is still about
//! the row's present value.

use std::sync::Arc;

use super::murmur3::murmur3_128;
use super::wire::Response;
use crate::error::Error;
use crate::processor::context::{DropReason, TaskContext};
use crate::processor::operators::row_errors::unwritable_value;
use crate::processor::value_getter::BoxedGetter;
use crate::processor::{Data, Node, Outlet};
use crate::record::Record;
use crate::serdes::ArcSerde;

/// The result of a primary and a foreign value; `None` is no row.
pub(crate) type ForeignJoiner<V, VO, VR> = Arc<dyn Fn(&V, Option<&VO>) -> Option<VR> + Send + Sync>;

/// Makes results.
pub(crate) struct ResponseJoin<K, V, VO, VR> {
    pub(crate) name: String,
    pub(crate) primary_rows: BoxedGetter<K, V>,
    pub(crate) value_serde: ArcSerde<V>,
    pub(crate) joiner: ForeignJoiner<V, VO, VR>,
    /// Whether every primary row has a result.
    pub(crate) left: bool,
    pub(crate) next: Outlet<K, Option<VR>>,
    pub(crate) bytes: Vec<u8>,
}

impl<K: Data, V: Data, VO: Data, VR: Data> Node<K, Response<VO>> for ResponseJoin<K, V, VO, VR> {
    fn process(
        &mut self,
        task: &mut TaskContext,
        record: Record<K, Response<VO>>,
    ) -> Result<(), Error> {
        let row = self.primary_rows.get(task, &record.key)?;
        let hash = match &row {
            None => None,
            Some(row) => {
                self.bytes.clear();
                self.value_serde
                    .serialize(&row.value, &mut self.bytes)
                    .map_err(|error| unwritable_value(&self.name, error))?;
                Some(murmur3_128(&self.bytes))
            }
        };
        if hash != record.value.hash {
            task.drop_record(DropReason::StaleResponse);
            return Ok(());
        }
        let Record { key, value: response, timestamp, headers } = record;
        let value = match (&row, &response.value) {
            (Some(row), Some(foreign)) => (self.joiner)(&row.value, Some(foreign)),
            (Some(row), None) if self.left => (self.joiner)(&row.value, None),
            _ => None,
        };
        self.next.forward(task, Record { key, value, timestamp, headers })
    }
}
