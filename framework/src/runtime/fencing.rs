//! Transactions that dead members have left open. Whoever takes their tasks over would wait for the
//! transaction timeout; beginning anew under a dead member's transactional id ends its transaction at once.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::thread::Builder;
use std::time::Duration;

use super::shared::Shared;
use crate::broker::{BrokerError, ProducerSettings, TransactionSettings};

/// How long one question waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// Ends what producers with these transactional ids have left open, on a thread of its own: tasks that are
/// concerned wait for their offsets meanwhile, and the others are not.
///
/// The members must have been dropped by their group: a live one would be fenced.
pub(super) fn end_transactions(shared: &Shared, transactional_ids: BTreeSet<String>) {
    if transactional_ids.is_empty() {
        return;
    }
    let shared = shared.clone();
    let run = move || {
        for transactional_id in transactional_ids {
            match end_transaction(&shared, &transactional_id) {
                Ok(()) => {
                    tracing::info!(transactional_id, "transactions of a dead member are ended");
                }
                Err(error) => {
                    tracing::warn!(transactional_id, %error, "its timeout ends the transaction of a dead member");
                }
            }
        }
    };
    if let Err(error) = Builder::new().name("kstream-fencing".to_owned()).spawn(run) {
        tracing::warn!(%error, "no thread can be started; timeouts end the transactions of dead members");
    }
}

fn end_transaction(shared: &Shared, transactional_id: &str) -> Result<(), BrokerError> {
    let timeout = shared.config.transaction_timeout;
    let mut producer = shared.broker.producer(&ProducerSettings {
        client_id: format!("{}-fencing", shared.config.application_id),
        track_acks: false,
        transactions: Some(TransactionSettings {
            transactional_id: transactional_id.to_owned(),
            timeout,
        }),
    })?;
    // Longer than that the transaction does not last.
    let deadline = shared.clock.monotonic() + timeout;
    loop {
        match producer.init_transactions(PATIENCE) {
            Err(error)
                if error.is_retriable()
                    && shared.clock.monotonic() < deadline
                    && !shared.stop.load(Ordering::SeqCst) => {}
            result => return result,
        }
    }
}
