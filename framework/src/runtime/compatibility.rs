//! Whether a topology fits what the application has run before: checked when an instance starts, and again
//! when it takes over a partition.
//!
//! The fingerprint of a topology stands in two places. In the cluster it goes with every committed offset,
//! so that it is there exactly when something has been processed. In the state folder it says how the rows
//! of this folder lie on disk, and which topics were read before; it decides only where the cluster says
//! nothing, which is so if an older version committed the offsets.
//!
//! A crash between the two leaves a folder that is behind, or ahead of, the cluster: the cluster is right,
//! and rows that lie differently are restored from their changelogs.

use std::collections::BTreeSet;

use crate::broker::{Admin, CommittedOffset};
use crate::config::StreamsConfig;
use crate::error::{Error, ErrorKind};
use crate::ids::TopicPartition;
use crate::processor::progress::fingerprint_of;
use crate::state::StateDirectory;
use crate::topology::Topology;
use crate::topology::fingerprint::{Change, ChangeKind, Fingerprint, Unreadable, source_topics};

/// Checks a topology before anything is created or joined, and notes it in the state folder.
///
/// # Errors
/// `Config`, with a list of what has changed and what to do.
pub(crate) fn check_start(
    topology: &Topology,
    config: &StreamsConfig,
    admin: &dyn Admin,
    directory: &StateDirectory,
) -> Result<Fingerprint, Error> {
    let new = Fingerprint::of(topology);
    let saved = directory.topology()?.and_then(|text| read(&text, "the state folder"));
    let mut topics = source_topics(topology, &config.application_id);
    topics.extend(saved.iter().flat_map(|saved| saved.topics(&config.application_id)));
    let committed = committed(admin, &config.application_id, &topics)?;
    let mut before: Vec<Fingerprint> = Vec::new();
    for offset in &committed {
        let found = read(&offset.metadata, "a committed offset");
        before.extend(found.filter(|found| !before.contains(found)));
    }
    if before.is_empty() && !committed.is_empty() {
        before.extend(saved.clone());
    }
    let changes: BTreeSet<Change> =
        before.iter().flat_map(|before| new.changes_since(before)).collect();
    let (harmless, serious): (Vec<_>, Vec<_>) =
        changes.into_iter().partition(|change| change.kind == ChangeKind::Added);
    for change in harmless {
        tracing::info!(%change, "the topology has grown");
    }
    if !serious.is_empty() && !config.accept_topology_changes {
        return Err(refusal(&config.application_id, &serious));
    }
    for change in serious {
        tracing::warn!(%change, "the topology has changed, which is accepted");
    }
    if let Some(saved) = &saved {
        forget_moved(&new, saved, directory)?;
    }
    if saved.as_ref() != Some(&new) {
        directory.save_topology(&new.text())?;
    }
    Ok(new)
}

/// Checks what another member has noted with a partition's offset. That it knows more, or less, is no
/// reason to stop: instances are being replaced one after the other.
///
/// # Errors
/// `Config`, if both take something for different things.
pub(crate) fn check_takeover(
    own: &Fingerprint,
    config: &StreamsConfig,
    committed: &CommittedOffset,
) -> Result<(), Error> {
    if config.accept_topology_changes {
        return Ok(());
    }
    let Some(other) = read(&committed.metadata, "a committed offset") else { return Ok(()) };
    let mut changes = own.changes_since(&other);
    changes.retain(|change| change.kind == ChangeKind::Conflict);
    if changes.is_empty() { Ok(()) } else { Err(refusal(&config.application_id, &changes)) }
}

fn read(text: &str, place: &str) -> Option<Fingerprint> {
    match Fingerprint::read(fingerprint_of(text)) {
        Ok(fingerprint) => Some(fingerprint),
        // Nothing, or what Kafka Streams notes there.
        Err(Unreadable::Foreign) => None,
        Err(Unreadable::Later(version)) => {
            tracing::warn!(
                version,
                "{place} has the topology as a later version of this program describes it; it is not compared"
            );
            None
        }
    }
}

/// The offsets that the group has committed for all partitions of these topics.
fn committed(
    admin: &dyn Admin,
    group: &str,
    topics: &BTreeSet<String>,
) -> Result<Vec<CommittedOffset>, Error> {
    let names: Vec<&str> = topics.iter().map(String::as_str).collect();
    let counts = admin.partition_counts(&names)?;
    let partitions: Vec<TopicPartition> = names
        .iter()
        .zip(counts)
        .flat_map(|(name, count)| {
            (0..count.unwrap_or(0)).map(|partition| TopicPartition::new(*name, partition))
        })
        .collect();
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    Ok(admin.group_offsets(group, &partitions)?.into_iter().flatten().collect())
}

/// Deletes local rows that lie differently on disk than this topology would read them; they are restored.
fn forget_moved(
    new: &Fingerprint,
    saved: &Fingerprint,
    directory: &StateDirectory,
) -> Result<(), Error> {
    let moved = new.moved_on_disk(saved);
    if moved.is_empty() {
        return Ok(());
    }
    for task in directory.tasks()? {
        if moved.iter().any(|(subtopology, _)| *subtopology == task.subtopology) {
            tracing::warn!(%task, "local state is of another topology; it is deleted and restored");
            directory.delete_task(task)?;
        }
    }
    Ok(())
}

fn refusal(application_id: &str, changes: &[Change]) -> Error {
    let list: Vec<String> = changes.iter().map(ToString::to_string).collect();
    let message = format!(
        "the topology does not fit the state that application {application_id} has:\n  {}\n\
         Give an application that is another one another application id. To begin anew with this id, stop all \
         instances, then delete the group's offsets, the internal topics {application_id}-… and the state \
         folders. To go on with what still fits and leave the rest behind, start once with \
         StreamsConfig::accept_topology_changes(true)",
        list.join("\n  ")
    );
    Error::new(ErrorKind::Config, message)
}
