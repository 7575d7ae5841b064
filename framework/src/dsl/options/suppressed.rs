//! How long a table's updates are held back, and how much of them.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::time::Duration;

use crate::record::Timestamp;
use crate::time::windows::Windowed;

/// A buffer that never gives out an update early: what does not fit stops the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strict;

/// A buffer that gives out its oldest updates early when it is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Eager;

/// What a suppression's buffer may hold, what happens when it is full, and whether it has a changelog.
///
/// The mode is part of the type: [`Suppressed::until_window_closes`] takes only a [`Strict`] buffer,
/// because a result that is given out early is not final.
///
/// # Source
/// `Suppressed.BufferConfig`, `StrictBufferConfig` and `EagerBufferConfig`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BufferConfig<M> {
    pub(crate) settings: BufferSettings,
    mode: PhantomData<M>,
}

/// A buffer that never gives out an update early.
pub type StrictBufferConfig = BufferConfig<Strict>;

/// A buffer that gives out its oldest updates early when it is full.
pub type EagerBufferConfig = BufferConfig<Eager>;

/// A buffer's bounds and changelog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BufferSettings {
    pub(crate) max_records: u64,
    pub(crate) max_bytes: u64,
    pub(crate) emit_early: bool,
    pub(crate) logging: bool,
    pub(crate) topic_configs: BTreeMap<String, String>,
}

impl BufferSettings {
    fn bounded_by(max_records: u64, max_bytes: u64, emit_early: bool) -> Self {
        Self { max_records, max_bytes, emit_early, logging: true, topic_configs: BTreeMap::new() }
    }
}

impl BufferConfig<Strict> {
    /// No bounds: the buffer takes the memory that it needs.
    pub fn unbounded() -> Self {
        Self::of(BufferSettings::bounded_by(u64::MAX, u64::MAX, false))
    }
}

impl BufferConfig<Eager> {
    /// At most so many rows; the oldest go early.
    pub fn max_records(records: u64) -> Self {
        Self::of(BufferSettings::bounded_by(records, u64::MAX, true))
    }

    /// At most so many bytes of keys, values and headers as they are on topics, and a few more per row;
    /// the oldest go early.
    pub fn max_bytes(bytes: u64) -> Self {
        Self::of(BufferSettings::bounded_by(u64::MAX, bytes, true))
    }
}

impl<M> BufferConfig<M> {
    fn of(settings: BufferSettings) -> Self {
        Self { settings, mode: PhantomData }
    }

    /// The same with at most so many rows.
    #[must_use]
    pub fn with_max_records(mut self, records: u64) -> Self {
        self.settings.max_records = records;
        self
    }

    /// The same with at most so many bytes.
    #[must_use]
    pub fn with_max_bytes(mut self, bytes: u64) -> Self {
        self.settings.max_bytes = bytes;
        self
    }

    /// The same without bounds.
    #[must_use]
    pub fn with_no_bound(self) -> BufferConfig<Strict> {
        let (max_records, max_bytes, emit_early) = (u64::MAX, u64::MAX, false);
        BufferConfig::of(BufferSettings { max_records, max_bytes, emit_early, ..self.settings })
    }

    /// The application stops with an error when the buffer is full.
    #[must_use]
    pub fn shut_down_when_full(self) -> BufferConfig<Strict> {
        BufferConfig::of(BufferSettings { emit_early: false, ..self.settings })
    }

    /// The oldest updates go early when the buffer is full.
    #[must_use]
    pub fn emit_early_when_full(self) -> BufferConfig<Eager> {
        BufferConfig::of(BufferSettings { emit_early: true, ..self.settings })
    }

    /// Has a changelog topic with these configs beside the usual ones; this is the default, without
    /// further configs.
    #[must_use]
    pub fn with_logging_enabled<N: Into<String>, T: Into<String>>(
        mut self,
        topic_configs: impl IntoIterator<Item = (N, T)>,
    ) -> Self {
        self.settings.logging = true;
        self.settings.topic_configs =
            topic_configs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        self
    }

    /// Has no changelog: what waits is lost when its task moves or stops.
    #[must_use]
    pub fn with_logging_disabled(mut self) -> Self {
        self.settings.logging = false;
        self.settings.topic_configs.clear();
        self
    }
}

/// How long updates wait.
#[derive(Debug)]
pub(crate) enum Wait<K> {
    /// So long behind the time of the first update that waits.
    TimeLimit(Duration),
    /// Until the key's window, which ends there, takes no more records.
    WindowClose(fn(&K) -> Timestamp),
}

/// How a table's updates are held back: [`KTable::suppress`](crate::KTable::suppress).
///
/// Time is the highest timestamp that the operator has seen; no clock gives anything out.
///
/// # Source
/// `org.apache.kafka.streams.kstream.Suppressed`.
#[derive(Debug)]
pub struct Suppressed<K> {
    pub(crate) wait: Wait<K>,
    pub(crate) buffer: BufferSettings,
    pub(crate) name: Option<String>,
}

impl<K> Suppressed<K> {
    /// A row's update waits for so long behind the first one that is held back; those that come in the
    /// meantime take its place.
    pub fn until_time_limit<M>(limit: Duration, buffer: BufferConfig<M>) -> Self {
        Self { wait: Wait::TimeLimit(limit), buffer: buffer.settings, name: None }
    }

    /// Names the operator; its store is `<name>-store`.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

impl<K> Suppressed<Windowed<K>> {
    /// A window's result comes out once, when the window takes no more records. Windows that have no row
    /// by then give nothing.
    ///
    /// Only windowed tables have such results:
    /// ```compile_fail
    /// use kstream::{BufferConfig, KTable, StreamsBuilder, Suppressed};
    ///
    /// let builder = StreamsBuilder::new();
    /// let table: KTable<String, i64> = builder.table("numbers");
    /// table.suppress(Suppressed::until_window_closes(BufferConfig::unbounded()));
    /// ```
    /// and only a buffer that never gives out early keeps them final:
    /// ```compile_fail
    /// use kstream::{BufferConfig, Suppressed, Windowed};
    ///
    /// let buffer = BufferConfig::max_records(1000);
    /// let _: Suppressed<Windowed<String>> = Suppressed::until_window_closes(buffer);
    /// ```
    pub fn until_window_closes(buffer: BufferConfig<Strict>) -> Self {
        Self { wait: Wait::WindowClose(|key| key.window.end), buffer: buffer.settings, name: None }
    }
}
