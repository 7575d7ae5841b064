//! Whether what a reader saw of a table's row is possible.

use crate::model::Versions;

/// One reader of a row that changes: it may never go back.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowHistory<'a> {
    versions: &'a [Option<String>],
    /// The earliest version that the reader can have seen last; 0 is the time before the first.
    at: usize,
}

impl<'a> RowHistory<'a> {
    /// A row that has had these versions, or none at all.
    pub(super) fn new(versions: Option<&'a Versions>) -> Self {
        Self { versions: versions.map_or(&[], Vec::as_slice), at: 0 }
    }

    /// The reader sees this version, or no row; says what is impossible about it.
    ///
    /// Where several deletions could be meant it is the earliest one: nothing possible is refused.
    pub(super) fn see(&mut self, version: Option<usize>) -> Result<(), String> {
        let shown = version.map_or_else(|| "no row".to_owned(), |v| format!("version {v}"));
        let at = match version {
            Some(version) if self.exists(version) => Some(version).filter(|it| *it >= self.at),
            Some(_) => return Err(format!("{shown} never existed")),
            None => (self.at..=self.versions.len()).find(|version| !self.exists(*version)),
        };
        self.at = at.ok_or_else(|| format!("{shown} after version {}", self.at))?;
        Ok(())
    }

    fn exists(&self, version: usize) -> bool {
        version
            .checked_sub(1)
            .and_then(|index| self.versions.get(index))
            .is_some_and(Option::is_some)
    }

    /// What everybody must see in the end.
    pub(super) fn last(&self) -> Option<usize> {
        let last = self.versions.len();
        self.exists(last).then_some(last)
    }
}

/// A version as the application writes it.
#[expect(clippy::option_option, reason = "unreadable, absent, or a version")]
pub(super) fn parse_version(text: &str) -> Option<Option<usize>> {
    if text == crate::wire::ABSENT { Some(None) } else { text.parse().ok().map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sees(versions: &[Option<&str>], seen: &[Option<usize>]) -> bool {
        let versions = versions.iter().map(|version| version.map(str::to_owned)).collect();
        let mut history = RowHistory::new(Some(&versions));
        seen.iter().all(|version| history.see(*version).is_ok())
    }

    const HERE: Option<&str> = Some("");

    #[test]
    fn versions_may_be_skipped_and_repeated_but_never_go_back() {
        let row = [HERE, HERE, HERE];
        assert!(sees(&row, &[None, Some(1), Some(1), Some(3)]));
        assert!(!sees(&row, &[Some(2), Some(1)]));
        assert!(!sees(&row, &[Some(1), None]));
        assert!(!sees(&row, &[Some(4)]));
        assert!(!sees(&row, &[Some(0)]));
    }

    #[test]
    fn a_deletion_explains_that_there_is_no_row() {
        let row = [HERE, None, HERE, None, HERE];
        assert!(sees(&row, &[Some(1), None, Some(3), None, Some(5)]));
        assert!(sees(&row, &[None, None, Some(1)]));
        assert!(!sees(&row, &[Some(2)]));
        assert!(!sees(&row, &[Some(1), None, Some(1)]));
        assert!(!sees(&row, &[Some(5), None]));
    }

    #[test]
    fn the_earliest_deletion_is_meant() {
        assert!(sees(&[HERE, None, HERE, None, HERE], &[Some(1), None, Some(3)]));
    }

    #[test]
    fn last_version_is_none_after_a_deletion() {
        let last = |versions: Versions| RowHistory::new(Some(&versions)).last();
        assert_eq!(last(vec![Some(String::new()), None]), None);
        assert_eq!(last(vec![None, Some(String::new())]), Some(2));
        assert_eq!(RowHistory::new(None).last(), None);
    }
}
