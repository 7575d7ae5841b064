//! The versions of one key: what it was worth from when on.
//!
//! INVARIANT: versions are in ascending order of the time they are valid from, no two have the same. One is
//! valid until the next begins; a version without a value is a deletion.

use crate::record::Timestamp;

/// What a key is worth from a time on; `None`: nothing, it was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version<V> {
    pub(super) from: Timestamp,
    pub(super) value: Option<V>,
}

/// All versions of a key that its store still remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Versions<V> {
    pub(super) list: Vec<Version<V>>,
    /// Whether something is remembered to end where the latest version begins, so that its removal is
    /// remembered as a deletion.
    pub(super) latest_has_past: bool,
}

/// A version as it is read: its value, and from when until before when it is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found<'a, V> {
    pub(crate) value: &'a V,
    pub(crate) from: Timestamp,
    /// `None` for the latest.
    pub(crate) to: Option<Timestamp>,
}

impl<V> Default for Versions<V> {
    fn default() -> Self {
        Self { list: Vec::new(), latest_has_past: false }
    }
}

impl<V> Versions<V> {
    /// Sets what the key is worth from a time on. The answer is when the next version begins, `None` if this
    /// is now the latest.
    pub(crate) fn put(&mut self, value: Option<V>, from: Timestamp) -> Option<Timestamp> {
        let place = self.list.partition_point(|version| version.from < from);
        match self.list.get(place).map(|version| version.from) {
            None => {
                self.latest_has_past =
                    value.is_none() || self.list.last().is_some_and(|last| last.value.is_some());
                self.list.push(Version { from, value });
                None
            }
            Some(at) if at == from && place + 1 == self.list.len() => {
                self.replace_latest(value);
                None
            }
            Some(at) => {
                if at == from {
                    if let Some(version) = self.list.get_mut(place) {
                        version.value = value;
                    }
                } else {
                    self.list.insert(place, Version { from, value });
                }
                // This version ends where the next begins.
                self.latest_has_past |= place + 2 == self.list.len();
                self.list.get(place + 1).map(|next| next.from)
            }
        }
    }

    /// KAFKA: a latest value that is deleted at the very time that it is valid from leaves a trace only if
    /// something is remembered to end there.
    fn replace_latest(&mut self, value: Option<V>) {
        if value.is_none() && !self.latest_has_past {
            self.list.pop();
            self.latest_has_past = !self.list.is_empty();
        } else if let Some(latest) = self.list.last_mut() {
            latest.value = value;
        }
    }

    /// The latest version, if it has a value.
    pub(crate) fn latest(&self) -> Option<Found<'_, V>> {
        let version = self.list.last()?;
        Some(Found { value: version.value.as_ref()?, from: version.from, to: None })
    }

    /// The version that is valid at a time, if it has a value.
    pub(crate) fn as_of(&self, at: Timestamp) -> Option<Found<'_, V>> {
        let place = self.list.partition_point(|version| version.from <= at);
        let version = self.list.get(place.checked_sub(1)?)?;
        let to = self.list.get(place).map(|next| next.from);
        Some(Found { value: version.value.as_ref()?, from: version.from, to })
    }

    /// Forgets versions that nobody can ask for any more: those that end at or before `horizon`, and a
    /// latest one that is a deletion before it.
    pub(crate) fn forget(&mut self, horizon: Timestamp) {
        let ended = self.list.partition_point(|version| version.from <= horizon).saturating_sub(1);
        self.list.drain(..ended);
        if let [only] = self.list.as_slice()
            && only.value.is_none()
            && only.from < horizon
        {
            self.list.clear();
            self.latest_has_past = false;
        }
    }

    /// What the horizon has to reach for [`Versions::forget`] to change something; the end of time if it
    /// never will.
    pub(crate) fn next_to_forget(&self) -> Timestamp {
        match self.list.as_slice() {
            [] => Timestamp::MIN,
            [only] if only.value.is_none() => only.from.saturating_add(1),
            [_] => Timestamp::MAX,
            [_, second, ..] => second.from,
        }
    }

    /// Whether nothing is remembered.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}
