//! Ordered reads over all rows of a store, committed or not.
//!
//! Dirty rows are found through an index by row key that is kept from a store's first scan on, so that
//! stores that are never scanned do not pay for it.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeInclusive};

use super::{RowHeaders, Rows, Stamped, decode};
use crate::error::Error;
use crate::record::{Headers, Timestamp};

/// Takes a changelog key and its row; the answer is whether to go on.
pub(crate) type VisitRow<'a, V> = dyn FnMut(&[u8], &Stamped<V>) -> bool + 'a;

/// [`VisitRow`] that also takes the row's headers: of stores that keep them.
pub(crate) type VisitRowWithHeaders<'a, V> = dyn FnMut(&[u8], &Stamped<V>, &Headers) -> bool + 'a;

type Order = BTreeMap<Box<[u8]>, u32>;

impl<V: Clone + 'static> Rows<V> {
    /// Shows the rows with `from <= key < to` in the order of their row keys, or backwards, until `visit`
    /// answers false. `to = None`: to the last row. Expired rows are not shown. For stores without
    /// segments, where row key and changelog key are the same.
    pub(crate) fn scan(
        &mut self,
        from: &[u8],
        to: Option<&[u8]>,
        reverse: bool,
        visit: &mut VisitRow<'_, V>,
    ) -> Result<(), Error> {
        self.scan_with_headers(from, to, reverse, &mut |key, row, _| visit(key, row))
    }

    /// [`Rows::scan`] with the rows' headers.
    pub(crate) fn scan_with_headers(
        &mut self,
        from: &[u8],
        to: Option<&[u8]>,
        reverse: bool,
        visit: &mut VisitRowWithHeaders<'_, V>,
    ) -> Result<(), Error> {
        self.scan_row_keys(from, to, reverse, visit).map(|_| ())
    }

    /// Shows the rows of a segmented store whose time may be in `times` and whose changelog key is in
    /// `from <= key < to`: segment by segment, inside one by changelog key; both backwards if asked. Rows
    /// of other times in the same segments are shown too, expired ones are not.
    #[expect(clippy::too_many_arguments, reason = "a range of times, one of keys, a direction")]
    pub(crate) fn scan_times(
        &mut self,
        times: RangeInclusive<Timestamp>,
        from: &[u8],
        to: Option<&[u8]>,
        reverse: bool,
        visit: &mut VisitRow<'_, V>,
    ) -> Result<(), Error> {
        let visit: &mut VisitRowWithHeaders<'_, V> = &mut |key, row, _| visit(key, row);
        self.scan_times_with_headers(times, from, to, reverse, visit)
    }

    /// [`Rows::scan_times`] with the rows' headers.
    #[expect(clippy::too_many_arguments, reason = "a range of times, one of keys, a direction")]
    pub(crate) fn scan_times_with_headers(
        &mut self,
        times: RangeInclusive<Timestamp>,
        from: &[u8],
        to: Option<&[u8]>,
        reverse: bool,
        visit: &mut VisitRowWithHeaders<'_, V>,
    ) -> Result<(), Error> {
        if self.foreign.is_some() {
            self.refresh()?;
        }
        let Some((first, last)) = self.layout.segments(times) else { return Ok(()) };
        let (mut lower, mut upper) = (Vec::new(), Vec::new());
        let mut next = if reverse { last } else { first };
        while (first..=last).contains(&next) {
            lower.clear();
            lower.extend_from_slice(&next.to_be_bytes());
            lower.extend_from_slice(from);
            upper.clear();
            match to {
                Some(to) => {
                    upper.extend_from_slice(&next.to_be_bytes());
                    upper.extend_from_slice(to);
                }
                None => upper.extend_from_slice(&(next + 1).to_be_bytes()),
            }
            if !self.scan_row_keys(&lower, Some(&upper), reverse, visit)? {
                break;
            }
            next += if reverse { -1 } else { 1 };
        }
        Ok(())
    }

    /// The answer is false if `visit` had enough.
    fn scan_row_keys(
        &mut self,
        from: &[u8],
        to: Option<&[u8]>,
        reverse: bool,
        visit: &mut VisitRowWithHeaders<'_, V>,
    ) -> Result<bool, Error> {
        if to.is_some_and(|to| to <= from) {
            return Ok(true);
        }
        self.index_dirty_rows();
        let empty = Order::new();
        let order = self.order.as_ref().unwrap_or(&empty);
        let upper = to.map_or(Bound::Unbounded, Bound::Excluded);
        let mut range = order.range::<[u8], _>((Bound::Included(from), upper));
        let mut step = || if reverse { range.next_back() } else { range.next() };
        let mut dirty = step();
        let (mut failed, mut go_on) = (None, true);
        let with_headers = self.header_use == RowHeaders::Kept;
        self.backing.scan(from, to, reverse, &mut |row_key, bytes| {
            while let Some((key, id)) = dirty {
                let comes_first = if reverse { **key > *row_key } else { **key < *row_key };
                if !comes_first && **key != *row_key {
                    break;
                }
                let replaces = !comes_first;
                go_on = self.show_slot(*id, visit);
                dirty = step();
                if replaces || !go_on {
                    return go_on;
                }
            }
            let key = self.layout.changelog_key(row_key);
            if !self.layout.is_live(key) {
                return true;
            }
            match decode(&self.value_serde, with_headers, bytes) {
                Ok((row, _)) if self.is_expired(&row) => {}
                Ok((row, headers)) => go_on = visit(key, &row, &headers),
                Err(error) => failed = Some(error),
            }
            go_on && failed.is_none()
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        while let (true, Some((_, id))) = (go_on, dirty) {
            go_on = self.show_slot(*id, visit);
            dirty = step();
        }
        Ok(go_on)
    }

    fn show_slot(&self, id: u32, visit: &mut VisitRowWithHeaders<'_, V>) -> bool {
        let slot = self.slots.get(id as usize).filter(|slot| self.layout.is_live(&slot.key));
        let Some((slot, row)) = slot.and_then(|slot| Some((slot, slot.row.as_ref()?))) else {
            return true;
        };
        self.is_expired(row) || visit(&slot.key, row, &slot.headers)
    }

    fn index_dirty_rows(&mut self) {
        if self.order.is_some() {
            return;
        }
        let mut order = Order::new();
        for &id in &self.dirty {
            let Some(slot) = self.slots.get(id as usize) else { continue };
            self.layout.row_key(&slot.key, &mut self.key_bytes);
            order.insert(self.key_bytes.as_slice().into(), id);
        }
        self.order = Some(order);
    }

    /// Shows every row, committed or not, in the order of row keys.
    #[cfg(any(test, feature = "__test-utils"))]
    pub(crate) fn for_each_row(
        &mut self,
        show: &mut dyn FnMut(&[u8], &Stamped<V>),
    ) -> Result<(), Error> {
        self.scan_row_keys(&[], None, false, &mut |key, row, _| {
            show(key, row);
            true
        })
        .map(|_| ())
    }
}
