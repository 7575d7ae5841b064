//! Records as the checker sees them.

use std::collections::BTreeMap;

/// A record of a topic, its bytes as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its partition.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// Its timestamp in milliseconds.
    pub timestamp: i64,
    /// Its key.
    pub key: String,
    /// Its value; `None` is null.
    pub value: Option<String>,
}

impl Entry {
    /// Where it is, for messages.
    pub fn place(&self) -> String {
        format!("partition {} offset {}", self.partition, self.offset)
    }
}

/// The records of each key, in the order of their offsets: a key is always in one partition.
///
/// # Errors
/// The keys that are in several partitions.
pub fn by_key(entries: &[Entry]) -> Result<BTreeMap<&str, Vec<&Entry>>, Vec<String>> {
    let mut keys: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
    for entry in entries {
        keys.entry(&entry.key).or_default().push(entry);
    }
    let mut scattered = Vec::new();
    for (key, entries) in &mut keys {
        entries.sort_by_key(|entry| entry.offset);
        let partition = entries.first().map(|entry| entry.partition);
        if entries.iter().any(|entry| Some(entry.partition) != partition) {
            scattered.push(format!("{key} is in several partitions"));
        }
    }
    if scattered.is_empty() { Ok(keys) } else { Err(scattered) }
}
