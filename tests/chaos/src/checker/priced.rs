//! The join by foreign key: versions that existed and belong together, no pair twice, never an older
//! one than before, and in the end the last order with the last version of its product.

use std::collections::{BTreeMap, BTreeSet};

use super::row_history::{RowHistory, parse_version};
use super::{Keys, Verdict};
use crate::model::{Input, Versions};
use crate::records::Entry;

/// A result: version of the order, its product, and the product's version.
type Price<'a> = (usize, &'a str, Option<usize>);

pub(super) fn check(input: &Input, keys: &Keys<'_>, verdict: &mut Verdict) {
    for (order, entries) in keys {
        match input.orders.get(*order) {
            Some(versions) => check_order(input, order, versions, entries, verdict),
            None => verdict.wrong.add(format!("priced: {order} never existed")),
        }
    }
    for (order, versions) in &input.orders {
        let entries = keys.get(order.as_str()).map_or(&[][..], Vec::as_slice);
        check_last(input, order, versions, entries, verdict);
    }
}

fn check_order(
    input: &Input,
    order: &str,
    versions: &Versions,
    entries: &[&Entry],
    verdict: &mut Verdict,
) {
    let mut order_row = RowHistory::new(Some(versions));
    let mut product_rows = BTreeMap::new();
    let mut pairs = BTreeSet::new();
    for entry in entries {
        let Some(value) = entry.value.as_deref() else {
            if let Err(why) = order_row.see(None) {
                verdict.wrong.add(format!("priced: {order}: null at {}: {why}", entry.place()));
            }
            continue;
        };
        let price = parse(value).filter(|(version, product, _)| {
            let named = version.checked_sub(1).and_then(|index| versions.get(index)?.as_deref());
            named == Some(product)
        });
        let Some((version, product, product_version)) = price else {
            verdict.wrong.add(format!("priced: {order}: `{value}` at {}", entry.place()));
            continue;
        };
        // Without its product an order may be shown anew for each deletion.
        if product_version.is_some() && !pairs.insert((version, product_version)) {
            verdict.duplicated.add(format!("priced: {order}: `{value}` at {}", entry.place()));
            continue;
        }
        let product_row = product_rows
            .entry(product)
            .or_insert_with(|| RowHistory::new(input.products.get(product)));
        let seen = [order_row.see(Some(version)), product_row.see(product_version)];
        for why in seen.into_iter().filter_map(Result::err) {
            let place = entry.place();
            verdict.wrong.add(format!("priced: {order}: `{value}` at {place}: {why}"));
        }
    }
}

fn check_last(
    input: &Input,
    order: &str,
    versions: &Versions,
    entries: &[&Entry],
    verdict: &mut Verdict,
) {
    let last = entries.last().map(|entry| entry.value.as_deref());
    let Some(Some(product)) = versions.last() else {
        // Deleted. If nobody has seen it before, nobody needs to be told.
        if let Some(Some(value)) = last {
            verdict.lost.add(format!("priced: {order}: the deletion after `{value}`"));
        }
        return;
    };
    let product_version = RowHistory::new(input.products.get(product)).last();
    let expected: Price<'_> = (versions.len(), product, product_version);
    let is_expected = |value: Option<&str>| value.and_then(parse) == Some(expected);
    if !entries.iter().any(|entry| is_expected(entry.value.as_deref())) {
        verdict.lost.add(format!("priced: {order}: {expected:?}, the last is {last:?}"));
    } else if !last.is_some_and(is_expected) {
        verdict.wrong.add(format!("priced: {order}: {last:?} after {expected:?}"));
    }
}

fn parse(value: &str) -> Option<Price<'_>> {
    let mut words = value.split(' ');
    let version = words.next()?.parse().ok()?;
    let product = words.next()?;
    let product_version = parse_version(words.next()?)?;
    words.next().is_none().then_some((version, product, product_version))
}
