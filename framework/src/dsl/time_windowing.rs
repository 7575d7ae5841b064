//! The windows of a grouped stream, and what it becomes in them.

use super::cogrouped_kstream::CogroupedKStream;
use super::count_windowed_kstream::CountWindowedKStream;
use super::kgrouped_stream::KGroupedStream;
use super::session_windowed_cogrouped_kstream::SessionWindowedCogroupedKStream;
use super::session_windowed_kstream::SessionWindowedKStream;
use super::time_windowed_cogrouped_kstream::TimeWindowedCogroupedKStream;
use super::time_windowed_kstream::TimeWindowedKStream;
use crate::processor::Data;
use crate::time::windows::{
    CountWindows, SessionWindows, SlidingWindows, TimeWindows, UnlimitedWindows,
};

/// Windows whose rows are kept by their start.
#[derive(Debug, Clone, Copy)]
pub(crate) enum TimeWindowing {
    Fixed(TimeWindows),
    Unlimited(UnlimitedWindows),
    Sliding(SlidingWindows),
}

impl TimeWindowing {
    /// The least time that a row has to be kept behind its store's clock, in milliseconds.
    pub(super) fn least_retention_ms(&self) -> i64 {
        match self {
            Self::Fixed(windows) => windows.size_ms().saturating_add(windows.grace_ms()),
            Self::Unlimited(_) => i64::MAX,
            // A window that begins twice the difference before a record may tell of its neighbor.
            Self::Sliding(windows) => {
                windows.time_difference_ms().saturating_mul(2).saturating_add(windows.grace_ms())
            }
        }
    }

    /// The length of a window in milliseconds.
    pub(super) fn size_ms(&self) -> i64 {
        match self {
            Self::Fixed(windows) => windows.size_ms(),
            Self::Unlimited(_) => i64::MAX,
            Self::Sliding(windows) => windows.time_difference_ms(),
        }
    }

    /// How long a window takes late records in, in milliseconds behind its end.
    pub(super) fn grace_ms(&self) -> i64 {
        match self {
            Self::Fixed(windows) => windows.grace_ms(),
            Self::Unlimited(_) => 0,
            Self::Sliding(windows) => windows.grace_ms(),
        }
    }

    /// What is wrong with the windows, if anything.
    pub(super) fn problem(&self) -> Option<String> {
        match self {
            Self::Fixed(windows) => windows.problem(),
            Self::Unlimited(windows) => windows.problem(),
            Self::Sliding(_) => None,
        }
    }
}

/// Windows that a grouped stream can be divided into: [`TimeWindows`], [`SlidingWindows`], [`UnlimitedWindows`],
/// [`SessionWindows`] and [`CountWindows`].
///
/// It says what [`KGroupedStream::windowed_by`] gives.
#[diagnostic::on_unimplemented(
    message = "`{Self}` are no windows that a stream is grouped by",
    label = "no windows for `windowed_by`",
    note = "use `TimeWindows`, `SlidingWindows`, `UnlimitedWindows`, `SessionWindows` or `CountWindows`; `JoinWindows` \
            belong to joins"
)]
pub trait Windowing: sealed::Sealed {
    /// What a grouped stream becomes.
    type Stream<K, V>;

    #[doc(hidden)]
    fn divide<K: Data, V: Data>(self, group: KGroupedStream<K, V>) -> Self::Stream<K, V>;
}

/// Windows that cogrouped streams can be divided into: all but [`CountWindows`].
///
/// It says what [`CogroupedKStream::windowed_by`] gives.
#[diagnostic::on_unimplemented(
    message = "`{Self}` are no windows for cogrouped streams",
    note = "use `TimeWindows`, `SlidingWindows`, `UnlimitedWindows` or `SessionWindows`"
)]
pub trait CogroupWindowing: sealed::Sealed {
    /// What cogrouped streams become.
    type Stream<K, A>;

    #[doc(hidden)]
    fn divide<K: Data, A: Data>(self, streams: CogroupedKStream<K, A>) -> Self::Stream<K, A>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! time_windowing {
    ($($windows:ty => $variant:ident),*) => {
        $(
            impl sealed::Sealed for $windows {}

            impl Windowing for $windows {
                type Stream<K, V> = TimeWindowedKStream<K, V>;

                fn divide<K: Data, V: Data>(self, group: KGroupedStream<K, V>) -> Self::Stream<K, V> {
                    TimeWindowedKStream::new(group, TimeWindowing::$variant(self))
                }
            }

            impl CogroupWindowing for $windows {
                type Stream<K, A> = TimeWindowedCogroupedKStream<K, A>;

                fn divide<K: Data, A: Data>(
                    self,
                    streams: CogroupedKStream<K, A>,
                ) -> Self::Stream<K, A> {
                    TimeWindowedCogroupedKStream::new(streams, TimeWindowing::$variant(self))
                }
            }
        )*
    };
}

time_windowing!(TimeWindows => Fixed, UnlimitedWindows => Unlimited, SlidingWindows => Sliding);

impl sealed::Sealed for SessionWindows {}

impl Windowing for SessionWindows {
    type Stream<K, V> = SessionWindowedKStream<K, V>;

    fn divide<K: Data, V: Data>(self, group: KGroupedStream<K, V>) -> Self::Stream<K, V> {
        SessionWindowedKStream::new(group, self)
    }
}

impl CogroupWindowing for SessionWindows {
    type Stream<K, A> = SessionWindowedCogroupedKStream<K, A>;

    fn divide<K: Data, A: Data>(self, streams: CogroupedKStream<K, A>) -> Self::Stream<K, A> {
        SessionWindowedCogroupedKStream::new(streams, self)
    }
}

impl sealed::Sealed for CountWindows {}

impl Windowing for CountWindows {
    type Stream<K, V> = CountWindowedKStream<K, V>;

    fn divide<K: Data, V: Data>(self, group: KGroupedStream<K, V>) -> Self::Stream<K, V> {
        CountWindowedKStream::new(group, self)
    }
}
