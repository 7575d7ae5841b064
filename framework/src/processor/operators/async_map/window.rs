//! The records in flight of one operator, and in which order they may begin and leave.
//!
//! INVARIANT: a slot is in `ready` from the moment its result may leave, and in no other queue then. A record
//! that may not leave yet is reached from the one that it waits for: the next of its key, or the next to
//! have arrived.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use foldhash::fast::RandomState;

use super::call::Call;
use crate::dsl::options::CallOrder;

/// Records in flight, by slot; slots are used again.
pub(super) struct Window<K, V, R> {
    order: CallOrder,
    slots: Vec<Option<Slot<K, V, R>>>,
    free: Vec<usize>,
    /// The newest record of each key, where the order is by key.
    newest: HashMap<K, usize, RandomState>,
    /// All records in the order of their arrival, where that counts.
    arrivals: VecDeque<usize>,
    /// Records whose calls may begin.
    waiting: VecDeque<usize>,
    /// Records that may leave.
    ready: VecDeque<usize>,
    in_flight: usize,
}

struct Slot<K, V, R> {
    call: Call<K, V, R>,
    /// No record of the same key is before it; always true where the order is not by key.
    is_first: bool,
    /// The next record of the same key.
    next: Option<usize>,
}

impl<K: Hash + Eq + Clone, V, R> Window<K, V, R> {
    pub(super) fn new(order: CallOrder) -> Self {
        Self {
            order,
            slots: Vec::new(),
            free: Vec::new(),
            newest: HashMap::default(),
            arrivals: VecDeque::new(),
            waiting: VecDeque::new(),
            ready: VecDeque::new(),
            in_flight: 0,
        }
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Takes a record in; its call may begin when [`Window::next_to_begin`] says so.
    pub(super) fn push(&mut self, call: Call<K, V, R>) {
        let key = self.is_by_key().then(|| call.record.key.clone());
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        let before = key.and_then(|key| self.newest.insert(key, slot));
        if let Some(before) = before.and_then(|before| self.slot_mut(before)) {
            before.next = Some(slot);
        }
        let is_first = before.is_none();
        if let Some(place) = self.slots.get_mut(slot) {
            *place = Some(Slot { call, is_first, next: None });
        }
        if self.order == CallOrder::Input {
            self.arrivals.push_back(slot);
        }
        if is_first || self.order != CallOrder::OneAtATimePerKey {
            self.waiting.push_back(slot);
        }
        self.in_flight += 1;
    }

    /// The next record whose call may begin, in the order of arrival.
    pub(super) fn next_to_begin(&mut self) -> Option<usize> {
        self.waiting.pop_front()
    }

    pub(super) fn get_mut(&mut self, slot: usize) -> Option<&mut Call<K, V, R>> {
        Some(&mut self.slot_mut(slot)?.call)
    }

    /// Every slot is below this.
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// The records in flight.
    pub(super) fn calls(&self) -> impl Iterator<Item = &Call<K, V, R>> {
        self.slots.iter().flatten().map(|slot| &slot.call)
    }

    /// Notes that a call has ended: its record, and in the order of arrival those behind it, may leave if
    /// none is before them.
    pub(super) fn ended(&mut self, slot: usize) {
        if self.order != CallOrder::Input {
            if self.slot_mut(slot).is_some_and(|slot| slot.is_first) {
                self.ready.push_back(slot);
            }
            return;
        }
        while let Some(first) = self.arrivals.front().copied() {
            if !self.slot_mut(first).is_some_and(|slot| slot.call.has_ended()) {
                break;
            }
            self.arrivals.pop_front();
            self.ready.push_back(first);
        }
    }

    /// Takes out the next record that may leave. The next of its key is the first then.
    pub(super) fn pop_ready(&mut self) -> Option<Call<K, V, R>> {
        let index = self.ready.pop_front()?;
        let Slot { call, next, .. } = self.slots.get_mut(index)?.take()?;
        self.free.push(index);
        self.in_flight -= 1;
        match next {
            Some(next) => self.is_first_now(next),
            None if self.is_by_key() => _ = self.newest.remove(&call.record.key),
            None => {}
        }
        Some(call)
    }

    fn is_first_now(&mut self, index: usize) {
        let Some(slot) = self.slot_mut(index) else { return };
        slot.is_first = true;
        if slot.call.has_ended() {
            self.ready.push_back(index);
        } else if self.order == CallOrder::OneAtATimePerKey {
            self.waiting.push_back(index);
        }
    }

    /// Forgets all records; dropping them ends their calls.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.order);
    }

    fn is_by_key(&self) -> bool {
        matches!(self.order, CallOrder::PerKey | CallOrder::OneAtATimePerKey)
    }

    fn slot_mut(&mut self, slot: usize) -> Option<&mut Slot<K, V, R>> {
        self.slots.get_mut(slot)?.as_mut()
    }
}
