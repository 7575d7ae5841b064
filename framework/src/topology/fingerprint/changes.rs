//! What has changed between two fingerprints, in words, by how much it matters.

use std::collections::BTreeSet;
use std::fmt;

use super::{ChangelogPrint, Fingerprint, Part, StorePrint};

/// How much a change matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ChangeKind {
    /// There is more than before; nothing is lost.
    Added,
    /// Something is no longer there: what it held would be left behind.
    Removed,
    /// Both have it, and take it for something else.
    Conflict,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Change {
    pub(crate) kind: ChangeKind,
    text: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Changes in the making.
#[derive(Default)]
struct Changes(Vec<Change>);

impl Changes {
    fn add(&mut self, kind: ChangeKind, text: impl Into<String>) {
        self.0.push(Change { kind, text: text.into() });
    }
}

impl Fingerprint {
    /// What has changed since `old`. A part of a fingerprint will do for `old`: only what it names is
    /// compared.
    pub(crate) fn changes_since(&self, old: &Self) -> Vec<Change> {
        let mut changes = Changes::default();
        for (number, part) in &old.subtopologies {
            let Some((now, successor)) = self.successor_of(*number, part) else {
                let text = format!("sub-topology {number} ({}) is gone", part.content());
                changes.add(ChangeKind::Removed, text);
                continue;
            };
            if now != *number {
                let text = format!(
                    "sub-topology {number} ({}) is sub-topology {now} now: sources in front of it were added or \
                     removed",
                    part.content()
                );
                changes.add(ChangeKind::Conflict, text);
            }
            self.compare(part, successor, now, &mut changes);
        }
        self.note_additions(old, &mut changes);
        changes.0
    }

    /// The stores that both have, but whose rows lie differently on disk.
    pub(crate) fn moved_on_disk<'a>(&'a self, old: &'a Self) -> BTreeSet<(u32, &'a str)> {
        let mut moved = BTreeSet::new();
        for (old_number, name, print) in old.stores() {
            let Some((number, _, now)) = self.stores().find(|(_, other, _)| *other == name) else {
                continue;
            };
            if now.kind != print.kind
                || now.retention_ms != print.retention_ms
                || differ(now.value.as_ref(), print.value.as_ref())
            {
                moved.extend([(old_number, name), (number, name)]);
            }
        }
        moved
    }

    pub(super) fn stores(&self) -> impl Iterator<Item = (u32, &str, &StorePrint)> {
        let parts = self.subtopologies.iter();
        parts.flat_map(|(number, part)| {
            part.stores.iter().map(|(name, store)| (*number, name.as_str(), store))
        })
    }

    /// The part that has most of what another part had; of the same number, if that has as much.
    fn successor_of(&self, number: u32, part: &Part) -> Option<(u32, &Part)> {
        let common = |other: &Part| {
            let stores = part.stores.keys().filter(|name| other.stores.contains_key(*name));
            let topics = part.repartitions.keys();
            stores.count() + topics.filter(|topic| other.repartitions.contains_key(*topic)).count()
        };
        let parts = self.subtopologies.iter().map(|(now, other)| (common(other), *now, other));
        let best = parts.max_by_key(|(common, now, _)| (*common, *now == number))?;
        (best.0 > 0).then_some((best.1, best.2))
    }

    fn compare(&self, old: &Part, new: &Part, number: u32, changes: &mut Changes) {
        for topic in old.sources.difference(&new.sources) {
            let text = format!("sub-topology {number} no longer reads topic {topic}");
            changes.add(ChangeKind::Conflict, text);
        }
        for (topic, partitions) in &old.repartitions {
            match new.repartitions.get(topic) {
                None => {
                    let text = format!("repartition topic {topic} is no longer read");
                    changes.add(ChangeKind::Removed, text);
                }
                Some(now) if now != partitions => {
                    let text = format!(
                        "repartition topic {topic}: {} asked for before, {} now",
                        asked(*partitions),
                        asked(*now)
                    );
                    changes.add(ChangeKind::Conflict, text);
                }
                Some(_) => {}
            }
        }
        for (name, store) in &old.stores {
            match new.stores.get(name) {
                Some(now) => store.compare(name, now, changes),
                None => match self.stores().find(|(_, other, _)| other == name) {
                    Some((elsewhere, ..)) => {
                        let text = format!(
                            "store {name} has moved from sub-topology {number} to sub-topology {elsewhere}"
                        );
                        changes.add(ChangeKind::Conflict, text);
                    }
                    None => {
                        changes.add(ChangeKind::Removed, format!("store {name} is gone"));
                    }
                },
            }
        }
    }

    fn note_additions(&self, old: &Self, changes: &mut Changes) {
        let before: BTreeSet<&str> = old.stores().map(|(_, name, _)| name).collect();
        for (_, name, _) in self.stores().filter(|(_, name, _)| !before.contains(name)) {
            changes.add(ChangeKind::Added, format!("store {name} is new"));
        }
    }
}

impl Part {
    /// What identifies it to a reader.
    fn content(&self) -> String {
        let stores: Vec<&str> = self.stores.keys().map(String::as_str).collect();
        let topics = self.sources.iter().chain(self.repartitions.keys());
        let topics: Vec<&str> = topics.map(String::as_str).collect();
        if stores.is_empty() {
            return format!("it reads {}", topics.join(", "));
        }
        format!("it reads {} and keeps {}", topics.join(", "), stores.join(", "))
    }
}

impl StorePrint {
    fn compare(&self, name: &str, now: &Self, changes: &mut Changes) {
        if self.kind != now.kind {
            let text = format!("store {name}: {} store before, {} store now", self.kind, now.kind);
            changes.add(ChangeKind::Conflict, text);
        }
        if self.changelog != now.changelog {
            let text = format!(
                "store {name}: restored from {} before, from {} now",
                self.changelog.shown(name),
                now.changelog.shown(name)
            );
            changes.add(ChangeKind::Conflict, text);
        }
        let formats = [("keys", &self.key, &now.key), ("values", &self.value, &now.value)];
        for (what, before, now) in formats {
            if let (Some(before), Some(now)) = (before, now)
                && before != now
            {
                let text = format!("store {name}: {what} written as {before} before, as {now} now");
                changes.add(ChangeKind::Conflict, text);
            }
        }
    }
}

impl ChangelogPrint {
    fn shown(&self, store: &str) -> String {
        match self {
            Self::Own => format!("its changelog {store}-changelog"),
            Self::Source(topic) => format!("the source topic {topic}"),
            Self::None => "nothing".to_owned(),
        }
    }
}

/// Whether both are known and differ.
fn differ(a: Option<&String>, b: Option<&String>) -> bool {
    matches!((a, b), (Some(a), Some(b)) if a != b)
}

fn asked(partitions: Option<i32>) -> String {
    partitions.map_or_else(
        || "no number of partitions".to_owned(),
        |partitions| format!("{partitions} partitions"),
    )
}
