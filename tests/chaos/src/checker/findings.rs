//! What a check has found.

use crate::Guarantee;

/// How many findings of a kind are kept as text.
const SAMPLES: usize = 20;

/// Findings of one kind: how many, and the first ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// How many.
    pub count: usize,
    /// The first ones, for people.
    pub samples: Vec<String>,
}

impl Findings {
    pub(super) fn add(&mut self, what: String) {
        self.add_several(1, what);
    }

    pub(super) fn add_several(&mut self, count: usize, what: String) {
        self.count += count;
        if count > 0 && self.samples.len() < SAMPLES {
            self.samples.push(what);
        }
    }

    fn merge(&mut self, other: Self) {
        self.count += other.count;
        let room = SAMPLES.saturating_sub(self.samples.len());
        self.samples.extend(other.samples.into_iter().take(room));
    }
}

/// What was found in one topic or in all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Records looked at.
    pub records: usize,
    /// What should be there and is not.
    pub lost: Findings,
    /// What is there more often than it should.
    pub duplicated: Findings,
    /// What should not be there at all.
    pub wrong: Findings,
}

impl Verdict {
    /// Whether this is what the guarantee promises.
    pub fn keeps(&self, guarantee: Guarantee) -> bool {
        match guarantee {
            Guarantee::AtLeastOnce => self.lost.count == 0,
            Guarantee::ExactlyOnceV2 => {
                self.lost.count == 0 && self.duplicated.count == 0 && self.wrong.count == 0
            }
        }
    }

    /// Adds what was found elsewhere.
    pub fn merge(&mut self, other: Self) {
        self.records += other.records;
        self.lost.merge(other.lost);
        self.duplicated.merge(other.duplicated);
        self.wrong.merge(other.wrong);
    }

    /// All kinds, with their names.
    pub fn kinds(&self) -> [(&'static str, &Findings); 3] {
        [("lost", &self.lost), ("duplicated", &self.duplicated), ("wrong", &self.wrong)]
    }
}

/// One line, then the first findings of each kind.
impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} records", self.records)?;
        for (name, findings) in self.kinds() {
            write!(f, ", {} {name}", findings.count)?;
        }
        for (name, findings) in self.kinds() {
            for sample in &findings.samples {
                write!(f, "\n    {name}: {sample}")?;
            }
            if findings.count > findings.samples.len() {
                write!(f, "\n    {name}: … {} in all", findings.count)?;
            }
        }
        Ok(())
    }
}
