//! Records that come too late for their window: counted, and shown to whoever asked for them.

use std::sync::Arc;

use crate::error::Error;
use crate::processor::context::{DropReason, TaskContext};
use crate::processor::{Data, Outlet};
use crate::record::Record;
use crate::time::windows::{Window, Windowed};

/// What the user does with a late record and the window that it is too late for.
pub(crate) type LateHandler<K, V> = Arc<dyn Fn(&Record<K, V>, Window) + Send + Sync>;

/// Where the late records of a windowed aggregation go.
pub(crate) struct Late<K, V> {
    pub(crate) handler: Option<LateHandler<K, V>>,
    pub(crate) stream: Outlet<Windowed<K>, V>,
}

impl<K: Data, V: Data> Late<K, V> {
    /// Refuses a record for a window that is closed.
    #[cold]
    pub(crate) fn refuse(
        &self,
        task: &mut TaskContext,
        record: &Record<K, V>,
        window: Window,
    ) -> Result<(), Error> {
        task.drop_record(DropReason::Late);
        if let Some(handler) = &self.handler {
            handler(record, window);
        }
        if self.stream.is_empty() {
            return Ok(());
        }
        let Record { key, value, timestamp, headers } = record.clone();
        let key = Windowed { key, window };
        self.stream.forward(task, Record { key, value, timestamp, headers })
    }
}
