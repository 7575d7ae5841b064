//! Stores against naive models: whatever is put, committed, lost and restored, they read the same.

mod key_value;
mod session;
mod window;

use std::cell::RefCell;
use std::rc::Rc;

use super::*;
use crate::serdes::DefaultSerde;
use crate::state::MemoryRows;
use crate::state::handle::RecordClock;
use crate::state::key_layout::KeyLayout;
use crate::state::rows::{RowBudget, RowHeaders, Rows, RowsOptions};

fn rows_with(layout: KeyLayout, headers: RowHeaders, log_every_update: bool) -> Rows<String> {
    // Little memory: rows come and go.
    let options =
        RowsOptions { layout, budget: RowBudget { cached_bytes: 300 }, headers, log_every_update };
    Rows::new(Box::new(MemoryRows::new()), String::default_serde(), options).unwrap()
}

type SharedRows = Rc<RefCell<Rows<String>>>;

fn shared(layout: KeyLayout) -> SharedRows {
    Rc::new(RefCell::new(rows_with(layout, RowHeaders::Dropped, false)))
}

fn core(clock: &RecordClock) -> StoreCore<String> {
    StoreCore::new("s".into(), String::default_serde(), clock.clone())
}
