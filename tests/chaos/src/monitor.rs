//! Watches what comes out while a run goes on: whether anything does, and how far it has got.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::ChaosError;
use crate::reader::{Polled, consumer, poll};
use crate::wire::{JOINED, OUTPUTS, PARTITIONS, REPARTITIONED};

/// The last event that has come out of each partition of the topics that show every event.
type Progress = BTreeMap<(String, i32), u64>;

/// The thread that watches.
#[derive(Debug)]
pub(crate) struct Monitor {
    stop: Arc<AtomicBool>,
    records: Arc<AtomicU64>,
    /// Written by the thread for each record, read by the runner while it waits.
    progress: Arc<Mutex<Progress>>,
    thread: Option<JoinHandle<Result<(), ChaosError>>>,
}

impl Monitor {
    pub(crate) fn start(bootstrap: &str) -> Result<Self, ChaosError> {
        let consumer = consumer(bootstrap, &OUTPUTS, "read_committed")?;
        let (stop, records): (Arc<AtomicBool>, Arc<AtomicU64>) = Default::default();
        let partitions =
            (0..PARTITIONS).flat_map(|it| [REPARTITIONED, JOINED].map(|name| (name, it)));
        let progress = partitions.map(|(name, it)| ((name.to_owned(), it), 0)).collect();
        let progress: Arc<Mutex<Progress>> = Arc::new(Mutex::new(progress));
        let (is_stopped, seen, known) =
            (Arc::clone(&stop), Arc::clone(&records), Arc::clone(&progress));
        let thread = thread::spawn(move || {
            while !is_stopped.load(Ordering::SeqCst) {
                let Polled::Record(topic, entry) = poll(&consumer)? else { continue };
                seen.fetch_add(1, Ordering::SeqCst);
                let mut progress = known.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(last) = progress.get_mut(&(topic, entry.partition)) else { continue };
                let number = entry.value.as_deref().and_then(|value| value.split(' ').next());
                let number = number.and_then(|number| number.parse().ok()).unwrap_or(0);
                *last = number.max(*last);
            }
            Ok(())
        });
        Ok(Self { stop, records, progress, thread: Some(thread) })
    }

    /// How many records have come out.
    pub(crate) fn records(&self) -> u64 {
        self.records.load(Ordering::SeqCst)
    }

    /// Whether later events than this one have come out of every partition.
    pub(crate) fn is_beyond(&self, event: u64) -> bool {
        self.progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .all(|last| *last > event)
    }

    /// The partitions that have not got beyond this event, for messages.
    pub(crate) fn behind(&self, event: u64) -> Vec<String> {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = progress.iter().filter(|(_, last)| **last <= event);
        behind.map(|((topic, partition), last)| format!("{topic}-{partition} at {last}")).collect()
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // It only watches: what it failed at shows as a run without progress.
        drop(self.thread.take().map(JoinHandle::join));
    }
}
