//! Which windows have not been given out yet, for aggregations that forward each window once, when it
//! closes.
//!
//! Their changelog keys are kept in the order in which results come: by time. The index is made anew from
//! the store when a task starts, and leaves out what the task has given out before.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use super::window_keys::{WindowKeys, first_time};
use crate::error::Error;
use crate::record::Timestamp;
use crate::state::rows::Rows;

/// Up to when a window that stream time has jumped over is still given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visibility {
    /// Always.
    Ever,
    /// While it is within the store's retention, its last millisecond included.
    WithinRetention { retention_ms: i64 },
    /// While it is within the store's retention, its last millisecond excluded.
    BeforeRetention { retention_ms: i64 },
    /// While the segment of time that it is in reaches into the store's retention.
    WithSegment { retention_ms: i64, segment_ms: i64 },
}

impl Visibility {
    /// The oldest time to be given out, by the store's clock.
    fn oldest(self, observed: Timestamp) -> Timestamp {
        match self {
            Self::Ever => Timestamp::MIN,
            Self::WithinRetention { retention_ms } => observed.saturating_sub(retention_ms),
            Self::BeforeRetention { retention_ms } => {
                observed.saturating_sub(retention_ms).saturating_add(1)
            }
            Self::WithSegment { retention_ms, segment_ms } => {
                let oldest = observed.saturating_sub(retention_ms).max(0);
                oldest - oldest % segment_ms.max(1)
            }
        }
    }
}

/// The windows not given out yet.
pub(crate) struct FinalResults {
    keys: WindowKeys,
    visibility: Visibility,
    /// Time-first keys.
    open: BTreeSet<Box<[u8]>>,
    /// Whether `open` has been made from what the store held at the start.
    loaded: bool,
    /// Windows of this time and before have been given out; committed with the task's offsets.
    given_out: Rc<Cell<Timestamp>>,
    scratch: Vec<u8>,
}

impl FinalResults {
    pub(crate) fn new(
        keys: WindowKeys,
        visibility: Visibility,
        given_out: Rc<Cell<Timestamp>>,
    ) -> Self {
        Self {
            keys,
            visibility,
            open: BTreeSet::new(),
            loaded: false,
            given_out,
            scratch: Vec::new(),
        }
    }

    /// Notes that a window has a result.
    pub(crate) fn note(&mut self, changelog_key: &[u8]) {
        self.keys.write_time_first(changelog_key, &mut self.scratch);
        if !self.open.contains(self.scratch.as_slice()) {
            self.open.insert(self.scratch.as_slice().into());
        }
    }

    /// Notes that a window has none any more.
    pub(crate) fn forget(&mut self, changelog_key: &[u8]) {
        self.keys.write_time_first(changelog_key, &mut self.scratch);
        self.open.remove(self.scratch.as_slice());
    }

    /// Learns what the store holds, before the first record.
    pub(crate) fn load<A: Clone + 'static>(
        &mut self,
        rows: &RefCell<Rows<A>>,
    ) -> Result<(), Error> {
        if self.loaded {
            return Ok(());
        }
        self.loaded = true;
        let given_out = self.given_out.get();
        let all = Timestamp::MIN..=Timestamp::MAX;
        rows.borrow_mut().scan_times(all, &[], None, false, &mut |key, _| {
            self.keys.write_time_first(key, &mut self.scratch);
            if first_time(&self.scratch) > given_out {
                self.open.insert(self.scratch.as_slice().into());
            }
            true
        })
    }

    /// Takes out the next window of `last` or before that is to be given out, `observed` being the store's
    /// clock, and writes its changelog key.
    pub(crate) fn take_closed(
        &mut self,
        last: Timestamp,
        observed: Timestamp,
        changelog_key: &mut Vec<u8>,
    ) -> bool {
        let oldest = self.visibility.oldest(observed);
        while let Some(first) = self.open.first()
            && first_time(first) <= last
        {
            let Some(first) = self.open.pop_first() else { break };
            // KAFKA: what the store no longer shows when stream time jumps is never given out.
            if first_time(&first) >= oldest {
                self.keys.write_changelog_key(&first, changelog_key);
                return true;
            }
        }
        self.given_out.set(self.given_out.get().max(last));
        false
    }
}
