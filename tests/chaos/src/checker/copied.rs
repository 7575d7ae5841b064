//! Every record of the topic that was copied, once and in order for each key.

use std::collections::{BTreeMap, BTreeSet};

use super::{Keys, Verdict};

pub(super) fn check(originals: &Keys<'_>, copies: &Keys<'_>, verdict: &mut Verdict) {
    for (key, entries) in copies {
        let values = originals.get(key).into_iter().flatten().map(|entry| &entry.value);
        let places: BTreeMap<_, usize> = values.zip(0..).collect();
        let mut seen = BTreeSet::new();
        for entry in entries {
            let value = entry.value.as_deref().unwrap_or("null");
            let what = || format!("copies: {key}: `{value}` at {}", entry.place());
            let Some(place) = places.get(&entry.value) else {
                verdict.wrong.add(what());
                continue;
            };
            let is_late = seen.last().is_some_and(|last| place < *last);
            if !seen.insert(place) {
                verdict.duplicated.add(what() + " again");
            } else if is_late {
                verdict.wrong.add(what() + " comes too late");
            }
        }
    }
    for (key, entries) in originals {
        let copied: BTreeSet<_> =
            copies.get(key).into_iter().flatten().map(|entry| &entry.value).collect();
        let lost = entries.iter().filter(|entry| !copied.contains(&entry.value));
        for entry in lost {
            let value = entry.value.as_deref().unwrap_or("null");
            verdict.lost.add(format!("copies: {key}: `{value}` of {}", entry.place()));
        }
    }
}
