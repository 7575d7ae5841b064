//! The other side of a join: traits that only say, when keys do not fit, what to do about it.

use super::kstream::KStream;
use super::ktable::KTable;

mod sealed {
    pub trait Sealed {}
}

impl<K, V> sealed::Sealed for KTable<K, V> {}
impl<K, V> sealed::Sealed for KStream<K, V> {}

/// A [`KTable`] with keys of type `K`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be joined by key here: it is no table with keys of type `{K}`",
    label = "no table with keys of type `{K}`",
    note = "the sides of a join have keys of one type: give one of them other keys first, a stream with `select_key` \
            or `map`, a table with `group_by`; or join tables with `join_on_foreign_key`"
)]
pub trait TableByKey<K, V>: sealed::Sealed {
    /// The table.
    fn table(&self) -> &KTable<K, V>;
}

impl<K, V> TableByKey<K, V> for KTable<K, V> {
    fn table(&self) -> &KTable<K, V> {
        self
    }
}

/// A [`KStream`] with keys of type `K`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be joined by key here: it is no stream with keys of type `{K}`",
    label = "no stream with keys of type `{K}`",
    note = "the sides of a join have keys of one type: give one of them other keys first, with `select_key` or `map`; \
            a table is joined with `join_table`"
)]
pub trait StreamByKey<K, V>: sealed::Sealed {
    /// The stream.
    fn stream(&self) -> &KStream<K, V>;
}

impl<K, V> StreamByKey<K, V> for KStream<K, V> {
    fn stream(&self) -> &KStream<K, V> {
        self
    }
}
