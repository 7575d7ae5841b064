//! Every event once and in order, with a version of the table that existed, and never with an older
//! one than the event before.

use super::repartitioned::Seen;
use super::row_history::{RowHistory, parse_version};
use super::{Keys, Verdict};
use crate::model::Input;

pub(super) fn check(input: &Input, keys: &Keys<'_>, verdict: &mut Verdict) {
    let mut seen = Seen::default();
    for (key, entries) in keys {
        let mut profile = RowHistory::new(input.profiles.get(*key));
        let mut last_seq = 0;
        for entry in entries {
            let value = entry.value.as_deref().unwrap_or("null");
            let known = parse(value).and_then(|(number, seq, version)| {
                let event = input.events.get(&number)?;
                (event.key == *key && event.seq == seq).then_some((number, event, version))
            });
            let Some((number, event, version)) = known else {
                verdict.wrong.add(format!("joined: {key}: `{value}` at {}", entry.place()));
                continue;
            };
            if !seen.add(number, event, verdict, "joined") {
                continue;
            }
            if event.seq < last_seq {
                let seq = event.seq;
                verdict.wrong.add(format!("joined: {key}: event {seq} after {last_seq}"));
            }
            last_seq = event.seq;
            let is_possible = profile.see(version).and_then(|()| {
                let is_last = !event.is_last || version == profile.last();
                is_last.then_some(()).ok_or_else(|| "not the last version".to_owned())
            });
            if let Err(why) = is_possible {
                verdict.wrong.add(format!("joined: {key}: `{value}` at {}: {why}", entry.place()));
            }
        }
    }
    seen.finish(input, verdict, "joined");
}

fn parse(value: &str) -> Option<(u64, u64, Option<usize>)> {
    let mut words = value.split(' ');
    let number = words.next()?.parse().ok()?;
    let seq = words.next()?.parse().ok()?;
    let version = parse_version(words.next()?)?;
    words.next().is_none().then_some((number, seq, version))
}
