//! The checker against outputs that are right and outputs that are broken: a checker that finds
//! nothing would please everybody.

use super::*;
use crate::wire::{EVENTS, INPUTS, ORDERS, OUTPUTS, PRODUCTS, PROFILES, link};

const EXACTLY_ONCE: Guarantee = Guarantee::ExactlyOnceV2;

/// A topic as keys and values, in order; `null` is null.
type Records = Vec<(&'static str, &'static str)>;

fn entries(records: &[(&str, &str)]) -> Vec<Entry> {
    let entry = |(offset, (key, value)): (i64, &(&str, &str))| Entry {
        partition: i32::try_from(key.len()).unwrap() % 3,
        offset,
        // Two events in the first window, the others in the second.
        timestamp: 9_998 + offset,
        key: (*key).to_owned(),
        value: (*value != "null").then(|| (*value).to_owned()),
    };
    (0..).zip(records).map(entry).collect()
}

fn input_records(topic: &str) -> Records {
    match topic {
        EVENTS => vec![
            ("ann", "1 1 red"),
            ("bob", "2 1 red"),
            ("ann", "3 2 blue"),
            ("ann", "4 3 red"),
            ("bob", "5 2 red last"),
            ("ann", "6 4 red last"),
        ],
        PROFILES => vec![("ann", "1"), ("ann", "null"), ("ann", "3"), ("ann", "4")],
        ORDERS => vec![
            ("o1", "1 tea"),
            ("o2", "1 tea"),
            ("o1", "2 milk"),
            ("o2", "null"),
            ("o3", "1 gone"),
            ("o1", "3 tea"),
        ],
        PRODUCTS => vec![("tea", "1"), ("tea", "2"), ("gone", "1"), ("gone", "null")],
        _ => unreachable!("{topic}"),
    }
}

fn input() -> Input {
    let [events, profiles, orders, products] = INPUTS.map(|topic| entries(&input_records(topic)));
    Input::new(&events, &profiles, &orders, &products).unwrap()
}

/// An output of that input, worked out by hand. `ann`'s chain is left to [`with_chains`].
fn output_records(topic: &str) -> Records {
    match topic {
        REPARTITIONED => vec![
            ("red", "1 1 ann"),
            ("red", "2 1 bob"),
            ("blue", "3 2 ann"),
            ("red", "5 2 bob"),
            ("red", "4 3 ann"),
            ("red", "6 4 ann"),
        ],
        COUNTS => vec![
            ("red@0", "1"),
            ("red@0", "2"),
            ("blue@10000", "1"),
            ("red@10000", "1"),
            ("red@10000", "2"),
            ("red@10000", "3"),
        ],
        TOTALS => vec![("red", "2"), ("blue", "1"), ("red", "5")],
        JOINED => vec![
            ("ann", "1 1 -"),
            ("bob", "2 1 -"),
            ("ann", "3 2 1"),
            ("ann", "4 3 3"),
            ("bob", "5 2 -"),
            ("ann", "6 4 4"),
        ],
        PRICED => vec![
            ("o1", "1 tea -"),
            ("o1", "1 tea 1"),
            ("o2", "1 tea 1"),
            ("o2", "1 tea 2"),
            ("o2", "null"),
            ("o3", "1 gone 1"),
            ("o3", "1 gone -"),
            ("o1", "2 milk -"),
            ("o1", "3 tea 2"),
        ],
        _ => unreachable!("{topic}"),
    }
}

fn output(topic: &str) -> Vec<Entry> {
    if ![CHAINS, COPIES].contains(&topic) {
        return entries(&output_records(topic));
    }
    let chain = |numbers: &[u64]| {
        let digests = numbers.iter().scan(0, |digest, number| {
            *digest = link(*digest, *number);
            Some(*digest)
        });
        (1..)
            .zip(digests)
            .map(|(count, digest)| format!("{count} {digest:016x}"))
            .collect::<Vec<_>>()
    };
    let (ann, bob) = (chain(&[1, 3, 4, 6]), chain(&[2, 5]));
    let both: Vec<_> = ann
        .iter()
        .map(|value| ("ann", value.as_str()))
        .chain(bob.iter().map(|value| ("bob", value.as_str())))
        .collect();
    entries(&both)
}

fn chains() -> Vec<Entry> {
    output(CHAINS)
}

/// How many are lost, duplicated and wrong.
fn judge(guarantee: Guarantee, topic: &str, output: &[Entry]) -> (usize, usize, usize) {
    let verdict = check(guarantee, &input(), &chains(), topic, output);
    let (lost, duplicated) = (verdict.lost.count, verdict.duplicated.count);
    let found = (lost, duplicated, verdict.wrong.count);
    let keeps = if guarantee == EXACTLY_ONCE { found == (0, 0, 0) } else { lost == 0 };
    assert_eq!(verdict.keeps(guarantee), keeps, "{verdict}");
    found
}

#[track_caller]
fn expect(topic: &str, change: impl Fn(&mut Records), found: (usize, usize, usize)) {
    let mut records = output_records(topic);
    change(&mut records);
    assert_eq!(judge(EXACTLY_ONCE, topic, &entries(&records)), found, "{records:?}");
}

#[track_caller]
fn replace(topic: &str, old: (&'static str, &'static str), new: (&'static str, &'static str)) {
    let change = |records: &mut Records| {
        let place = records.iter().position(|record| *record == old).unwrap();
        records[place] = new;
    };
    let mut records = output_records(topic);
    change(&mut records);
    let (_, _, wrong) = judge(EXACTLY_ONCE, topic, &entries(&records));
    assert!(wrong > 0, "{topic}: {new:?} instead of {old:?}");
}

#[test]
fn right_outputs_are_right() {
    for topic in OUTPUTS {
        assert_eq!(judge(EXACTLY_ONCE, topic, &output(topic)), (0, 0, 0), "{topic}");
    }
}

#[test]
fn no_output_at_all_is_lost() {
    let lost = OUTPUTS.map(|topic| judge(EXACTLY_ONCE, topic, &[]).0);
    // Six events; a count for each; both totals; a link for each; six joined; two orders with a price; a copy
    // of each link.
    assert_eq!(lost, [6, 6, 6, 6, 6, 2, 6]);
}

#[test]
fn each_lost_record_of_an_event_is_found() {
    for topic in [REPARTITIONED, COUNTS, CHAINS, JOINED, COPIES] {
        for index in 0..6 {
            let mut output = output(topic);
            output.remove(index);
            let (lost, duplicated, _) = judge(EXACTLY_ONCE, topic, &output);
            assert_eq!((lost, duplicated), (1, 0), "{topic} without {index}");
        }
    }
}

#[test]
fn each_record_that_comes_twice_is_found() {
    for topic in OUTPUTS {
        for index in 0..output(topic).len() {
            let mut output = output(topic);
            let value = output[index].value.clone().unwrap_or_default();
            // A deletion may be told again: no row is no row.
            if topic == PRICED && (value.is_empty() || value.ends_with('-')) {
                continue;
            }
            let mut again = output[index].clone();
            for entry in &mut output {
                entry.offset *= 2;
            }
            again.offset = output[index].offset + 1;
            output.push(again);
            let (lost, duplicated, _) = judge(EXACTLY_ONCE, topic, &output);
            assert_eq!((lost, duplicated), (0, 1), "{topic} with {index} again");
        }
    }
}

#[test]
fn records_that_never_were_are_wrong() {
    replace(REPARTITIONED, ("red", "1 1 ann"), ("blue", "1 1 ann"));
    replace(REPARTITIONED, ("red", "1 1 ann"), ("red", "7 1 ann"));
    replace(REPARTITIONED, ("red", "1 1 ann"), ("red", "1 1 bob"));
    replace(COUNTS, ("blue@10000", "1"), ("blue@0", "1"));
    replace(COUNTS, ("blue@10000", "1"), ("blue@10000", "x"));
    replace(TOTALS, ("blue", "1"), ("green", "1"));
    replace(JOINED, ("ann", "1 1 -"), ("bob", "1 1 -"));
    replace(JOINED, ("ann", "3 2 1"), ("ann", "3 2 2"));
    replace(JOINED, ("ann", "3 2 1"), ("ann", "3 2 5"));
    replace(PRICED, ("o1", "1 tea 1"), ("o1", "1 milk -"));
    replace(PRICED, ("o1", "1 tea 1"), ("o1", "1 tea 3"));
    replace(PRICED, ("o1", "1 tea 1"), ("o9", "1 tea 1"));
    let mut copies = output(COPIES);
    copies[1].value = Some("2 0".to_owned());
    assert_eq!(judge(EXACTLY_ONCE, COPIES, &copies), (1, 0, 1));
    let mut chains = output(CHAINS);
    chains[1].value = chains[1].value.take().map(|value| value.replace('a', "b") + "0");
    assert_eq!(judge(EXACTLY_ONCE, CHAINS, &chains), (0, 0, 1));
}

#[test]
fn what_goes_back_is_wrong() {
    let mut copies = output(COPIES);
    copies[0].offset = 9;
    assert_eq!(judge(EXACTLY_ONCE, COPIES, &copies), (0, 0, 1));
    // Events of a key, a version of the profile, a version of the product, an older order.
    expect(REPARTITIONED, |records| records.swap(4, 5), (0, 0, 1));
    expect(JOINED, |records| records[2] = ("ann", "3 2 4"), (0, 0, 1));
    expect(PRICED, |records| records.swap(2, 3), (0, 0, 1));
    expect(PRICED, |records| records.insert(8, ("o1", "1 tea 2")), (0, 0, 1));
    expect(COUNTS, |records| records.swap(0, 1), (0, 0, 1));
    expect(TOTALS, |records| records.swap(0, 2), (0, 0, 1));
}

#[test]
fn the_last_event_must_meet_the_last_version() {
    expect(JOINED, |records| records[5] = ("ann", "6 4 3"), (0, 0, 1));
}

#[test]
fn the_last_price_must_be_there_and_be_the_last() {
    expect(PRICED, |records| records.truncate(8), (1, 0, 0));
    expect(PRICED, |records| records.retain(|it| *it != ("o3", "1 gone -")), (1, 0, 0));
    expect(PRICED, |records| records.retain(|it| it.1 != "null"), (1, 0, 0));
    expect(PRICED, |records| records.swap(7, 8), (0, 0, 2));
}

#[test]
fn an_event_that_was_counted_twice_shows_in_the_counts() {
    expect(COUNTS, |records| records.push(("red@0", "3")), (0, 1, 0));
    expect(TOTALS, |records| records.push(("red", "6")), (0, 1, 0));
}

#[test]
fn at_least_once_may_count_again_but_must_get_to_the_end() {
    let lost =
        |topic, records: &[(&str, &str)]| judge(Guarantee::AtLeastOnce, topic, &entries(records)).0;
    let red = [("blue@10000", "1"), ("red@10000", "3")];
    assert_eq!(lost(COUNTS, &[("red@0", "2"), red[0], red[1]]), 0);
    assert_eq!(lost(COUNTS, &[("red@0", "5"), red[0], red[1]]), 0);
    assert_eq!(lost(COUNTS, &[("red@0", "1"), red[0], red[1]]), 1);
    assert_eq!(lost(TOTALS, &[("blue", "1"), ("red", "9")]), 0);
    assert_eq!(lost(TOTALS, &[("blue", "1"), ("red", "4")]), 1);
    for topic in OUTPUTS {
        let mut twice = output(topic);
        twice.extend(output(topic).into_iter().map(|it| Entry { offset: it.offset + 100, ..it }));
        assert_eq!(judge(Guarantee::AtLeastOnce, topic, &twice).0, 0, "{topic}");
    }
}

#[test]
fn a_key_in_two_partitions_is_wrong() {
    for topic in OUTPUTS {
        let mut output = output(topic);
        let mut elsewhere = output[0].clone();
        elsewhere.partition += 1;
        output.push(elsewhere);
        assert!(judge(EXACTLY_ONCE, topic, &output).2 > 0, "{topic}");
    }
}

#[test]
fn an_input_with_gaps_is_refused() {
    for (broken, record) in [(EVENTS, 0), (EVENTS, 2), (PROFILES, 0), (ORDERS, 0), (PRODUCTS, 0)] {
        let [events, profiles, orders, products] = INPUTS.map(|topic| {
            let mut entries = entries(&input_records(topic));
            if topic == broken {
                entries.remove(record);
            }
            entries
        });
        let problems = Input::new(&events, &profiles, &orders, &products).unwrap_err();
        assert!(!problems.is_empty(), "{broken} without {record}");
    }
}

#[test]
fn an_event_that_the_input_has_twice_has_to_come_out_twice() {
    let [mut events, profiles, orders, products] =
        INPUTS.map(|topic| entries(&input_records(topic)));
    let mut again = events[1].clone();
    again.offset = 6;
    again.value = Some("5 2 red last".to_owned());
    events.push(again);
    let input = Input::new(&events, &profiles, &orders, &products).unwrap();
    assert_eq!(input.repeated(), 1);
    assert_eq!(input.totals()["red"], 6);
    let judge = |topic, records: &Records| {
        let verdict = check(EXACTLY_ONCE, &input, &chains(), topic, &entries(records));
        (verdict.lost.count, verdict.duplicated.count, verdict.wrong.count)
    };
    for (topic, record) in [(REPARTITIONED, ("red", "5 2 bob")), (JOINED, ("bob", "5 2 -"))] {
        let mut records = output_records(topic);
        assert_eq!(judge(topic, &records), (1, 0, 0), "{topic}");
        records.push(record);
        assert_eq!(judge(topic, &records), (0, 0, 0), "{topic}");
        records.push(record);
        assert_eq!(judge(topic, &records), (0, 1, 0), "{topic}");
    }
}

#[test]
fn an_input_that_lacks_an_event_or_has_them_in_another_order_says_what_is_there() {
    let of = |events: &[(&'static str, &'static str)]| {
        Input::new(&entries(events), &[], &[], &[]).unwrap_err().join("\n")
    };
    let found = of(&[("ann", "1 1 red"), ("ann", "3 3 red")]);
    assert_eq!(found, "behind event 1 of ann is `3 3 red`, at partition 0 offset 1");
    let found = of(&[("ann", "1 1 red"), ("ann", "2 2 red"), ("ann", "1 1 red")]);
    assert_eq!(found, "behind event 2 of ann is `1 1 red`, at partition 0 offset 2");
    let found = of(&[("ann", "1 1 red"), ("ann", "1 2 red")]);
    assert_eq!(found, "number 1 was given twice");
}
