//! How much of a stream thread restoring may take, and how much of the network and the disk.
//!
//! # Why restoring has no thread of its own
//! A thread restores its tasks in its turns, between the slices of those that run. Kafka Streams moved this to
//! a thread beside each stream thread (`DefaultStateUpdater`, KIP-869), because its stream threads restored at
//! the cost of processing. That cost has two parts, and both are dealt with here. *Waiting*: offsets are looked
//! up elsewhere (`lookup`), and records are fetched ahead by the client and taken without waiting. *Work*: it
//! has a budget of time, which grows with the time that everything else takes. So running tasks keep four
//! fifths of their thread however much there is to restore, and restoring keeps one fifth however busy they
//! are; when nobody has records to process it takes all. A thread of its own would give the first promise only
//! on a machine with a core to spare, and could not give the second. It would also need every kind of store
//! twice: once typed, within its task, and once as bytes that travel between threads.
//!
//! More restoring in parallel is more stream threads (`num_stream_threads`), as with processing.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// While running tasks have records, restoring gets one part of the time for so many parts of theirs.
const OTHERS_PARTS: u32 = 4;
/// What one turn may take when tasks run but have nothing to process: a record that comes waits that long.
const IDLE_SLICE: Duration = Duration::from_millis(5);
/// What one turn may take when no task runs: a command waits that long.
const FREE_SLICE: Duration = Duration::from_millis(50);
/// What may be saved up over long turns.
const MOST_CREDIT: Duration = Duration::from_millis(20);
/// What may be owed: a write that stalled for long must not keep restoring off for many times as long.
const MOST_DEBT: Duration = Duration::from_secs(1);

/// Records that are taken at once while others wait for the thread.
const SMALL_BATCH: usize = 500;
/// Records that are taken at once when nobody does.
const LARGE_BATCH: usize = 5000;

/// What the other tasks of the thread do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Others {
    /// There are none that run.
    Absent,
    /// They run, and had nothing to process in the last turn.
    Idle,
    /// They had.
    Busy,
}

/// The budget of time of one thread's restoring.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Time that may be used, in nanoseconds; below zero it is owed.
    credit: i64,
    /// When the last slice ended.
    ended: Duration,
    others: Option<Others>,
}

fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

impl Pace {
    /// Begins a turn's restoring.
    pub(crate) fn begin(&mut self, now: Duration, others: Others) {
        self.others = Some(others);
        match others {
            Others::Busy => {
                let earned = nanos(now.saturating_sub(self.ended) / OTHERS_PARTS);
                self.credit = self.credit.saturating_add(earned).min(nanos(MOST_CREDIT));
            }
            Others::Idle => self.credit = nanos(IDLE_SLICE),
            Others::Absent => self.credit = nanos(FREE_SLICE),
        }
        self.ended = now;
    }

    /// Whether there is time for a batch.
    pub(crate) fn has_credit(&self) -> bool {
        self.credit > 0
    }

    /// How many records a batch may have.
    pub(crate) fn batch_records(&self) -> usize {
        if self.others == Some(Others::Absent) { LARGE_BATCH } else { SMALL_BATCH }
    }

    /// A batch has been worked on until now.
    pub(crate) fn spend(&mut self, now: Duration) {
        let took = nanos(now.saturating_sub(self.ended));
        self.credit = self.credit.saturating_sub(took).max(-nanos(MOST_DEBT));
        self.ended = now;
    }
}

const NANOS: u64 = 1_000_000_000;
/// What may be read at once is this part of a second's worth.
const BURST_PART: u64 = 4;

/// The bytes per second that all threads of a process together restore: a token bucket.
#[derive(Debug, Default)]
pub(crate) struct RateLimit {
    bytes_per_second: Option<u64>,
    /// Guards a few numbers; taken once per batch, and only where there is a limit.
    bucket: Mutex<Bucket>,
}

#[derive(Debug, Default)]
struct Bucket {
    /// Bytes that may be read at once; below zero they have been read ahead of time.
    bytes: i64,
    filled: Duration,
}

impl RateLimit {
    /// The limit in bytes of keys and values; `None` is no limit.
    pub(crate) fn new(bytes_per_second: Option<u64>) -> Self {
        Self { bytes_per_second, bucket: Mutex::default() }
    }

    /// How many bytes may be read now; 0: wait.
    pub(crate) fn allowed(&self, now: Duration) -> u64 {
        let Some(rate) = self.bytes_per_second else { return u64::MAX };
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_sub(bucket.filled);
        let earned = nanos(passed).unsigned_abs().saturating_mul(rate) / NANOS;
        // Whole bytes only, and the time that they stand for: nothing is lost by looking often.
        bucket.filled += Duration::from_nanos(earned.saturating_mul(NANOS) / rate.max(1));
        let most = i64::try_from(rate / BURST_PART).unwrap_or(i64::MAX).max(1);
        let earned = i64::try_from(earned).unwrap_or(i64::MAX);
        bucket.bytes = bucket.bytes.saturating_add(earned).min(most);
        u64::try_from(bucket.bytes).unwrap_or(0)
    }

    /// So many bytes have been read.
    pub(crate) fn spend(&self, bytes: u64) {
        if self.bytes_per_second.is_some() {
            let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
            let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
            bucket.bytes = bucket.bytes.saturating_sub(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Turns in which running tasks work for so long, and a restore that never ends takes batches of so
    /// long; the answer is the time of each.
    fn shares(others: Duration, batch: Duration, turns: u32) -> (Duration, Duration) {
        let (mut pace, mut now) = (Pace::default(), Duration::ZERO);
        let (mut worked, mut restored) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..turns {
            pace.begin(now, Others::Busy);
            while pace.has_credit() {
                now += batch;
                restored += batch;
                pace.spend(now);
            }
            now += others;
            worked += others;
        }
        (worked, restored)
    }

    #[test]
    fn busy_tasks_keep_four_fifths_of_their_thread_and_restoring_keeps_one() {
        for (others, batch) in [(4 * MS, MS), (MS, 5 * MS), (MS / 10, 3 * MS), (40 * MS, MS / 3)] {
            let (worked, restored) = shares(others, batch, 10_000);
            let share = restored.as_secs_f64() / (worked + restored).as_secs_f64();
            assert!((0.19..0.21).contains(&share), "{others:?} {batch:?}: {share}");
        }
    }

    #[test]
    fn a_stall_is_paid_back_within_seconds() {
        let mut pace = Pace::default();
        let mut now = Duration::from_mins(1);
        pace.begin(now, Others::Busy);
        now += Duration::from_mins(10);
        pace.spend(now);
        let mut waited = Duration::ZERO;
        while !pace.has_credit() {
            now += 10 * MS;
            waited += 10 * MS;
            pace.begin(now, Others::Busy);
        }
        assert_eq!(waited, Duration::from_secs(4) + 10 * MS);
    }

    #[test]
    fn idle_tasks_leave_their_time_but_wait_for_a_short_slice_only() {
        let mut pace = Pace::default();
        for (others, slice) in [(Others::Idle, 5 * MS), (Others::Absent, 50 * MS)] {
            pace.begin(Duration::ZERO, others);
            pace.spend(slice.saturating_sub(MS));
            assert!(pace.has_credit());
            pace.spend(slice);
            assert!(!pace.has_credit());
        }
    }

    #[test]
    fn no_limit_allows_everything() {
        let limit = RateLimit::new(None);
        limit.spend(u64::MAX);
        assert_eq!(limit.allowed(Duration::ZERO), u64::MAX);
    }

    #[test]
    fn a_limit_holds_over_time_whatever_the_batches_are() {
        const SECONDS: u64 = 100;
        for (rate, batch) in [(1_000_000, 50_000_u64), (1_000_000, 7), (350, 1000), (3, 2)] {
            let limit = RateLimit::new(Some(rate));
            let mut read = 0;
            for step in 0..SECONDS * 100 {
                while limit.allowed(Duration::from_millis(step * 10)) > 0 {
                    read += batch;
                    limit.spend(batch);
                }
            }
            let due = rate * SECONDS;
            let range = due - due / 100 - batch..due + batch;
            assert!(range.contains(&read), "{rate} {batch}: {read} of {due}");
        }
    }

    #[test]
    fn time_without_restoring_is_not_saved_up() {
        let limit = RateLimit::new(Some(1000));
        let hour = Duration::from_hours(1);
        assert_eq!(limit.allowed(hour), 250);
        limit.spend(250);
        assert_eq!(limit.allowed(hour), 0);
        assert_eq!(limit.allowed(hour + 50 * MS), 50);
    }
}
