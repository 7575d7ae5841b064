//! A topology under test of which each look at the output shows what is new.

use std::cell::Cell;
use std::ops::Deref;

use kstream::StreamsBuilder;

use crate::harness::Harness;

/// A harness that remembers how much of the topic `out` has been seen.
pub(crate) struct Fresh {
    test: Harness,
    seen: Cell<usize>,
}

impl Fresh {
    #[track_caller]
    pub(crate) fn new(build: impl FnOnce(&StreamsBuilder)) -> Self {
        Self { test: Harness::new(build), seen: Cell::new(0) }
    }

    /// The new records with text values.
    #[track_caller]
    pub(crate) fn out(&self) -> Vec<String> {
        self.behind(self.test.out())
    }

    /// The new records with numbers.
    #[track_caller]
    pub(crate) fn out_numbers(&self) -> Vec<String> {
        self.behind(self.test.out_numbers())
    }

    fn behind(&self, mut all: Vec<String>) -> Vec<String> {
        let new = all.split_off(self.seen.get());
        self.seen.set(self.seen.get() + new.len());
        new
    }
}

impl Deref for Fresh {
    type Target = Harness;

    fn deref(&self) -> &Harness {
        &self.test
    }
}
