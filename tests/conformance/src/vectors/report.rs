//! The outcome of a whole folder of vector files, as a person reads it.

use std::fmt;
use std::path::Path;

use super::{DriverFactory, Outcome, VectorError, VectorFile, check};

/// Outcomes by topology, in the order of names.
#[derive(Debug)]
pub struct Report {
    outcomes: Vec<(String, Outcome)>,
}

impl Report {
    /// Checks every file of the folder whose name is among `only`, or every file if that is empty.
    ///
    /// # Errors
    /// When the folder or a file cannot be read, or a name of `only` has no file.
    pub fn of_folder(
        folder: &Path,
        only: &[String],
        topology: impl Fn(&str) -> Option<DriverFactory>,
    ) -> Result<Self, VectorError> {
        let entries = std::fs::read_dir(folder)
            .map_err(|error| VectorError::new(folder, error.to_string()))?;
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort();
        let mut outcomes = Vec::new();
        for path in paths {
            let file = VectorFile::read(&path)?;
            if only.is_empty() || only.contains(&file.topology) {
                let outcome = check(&file, topology(&file.topology).as_ref());
                outcomes.push((file.topology, outcome));
            }
        }
        match only.iter().find(|name| outcomes.iter().all(|(known, _)| known != *name)) {
            Some(unknown) => Err(VectorError::new(folder, format!("no topology named {unknown}"))),
            None => Ok(Self { outcomes }),
        }
    }

    /// The outcome of each topology.
    pub fn outcomes(&self) -> &[(String, Outcome)] {
        &self.outcomes
    }

    /// How many topologies differ from the recordings.
    pub fn failed(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::Failed(_)))
    }

    fn count(&self, which: impl Fn(&Outcome) -> bool) -> usize {
        self.outcomes.iter().filter(|(_, outcome)| which(outcome)).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, outcome) in &self.outcomes {
            match outcome {
                Outcome::Passed { runs, steps } => {
                    writeln!(f, "passed   {name}: {runs} runs, {steps} steps")?;
                }
                Outcome::Failed(differences) => {
                    writeln!(f, "failed   {name}: {} differences, the first:", differences.len())?;
                    differences.iter().take(1).try_for_each(|first| writeln!(f, "  {first}"))?;
                }
                Outcome::Missing => {}
            }
        }
        let missing = self.outcomes.iter().filter(|(_, outcome)| *outcome == Outcome::Missing);
        for (name, _) in missing {
            writeln!(f, "missing  {name}")?;
        }
        let passed = self.count(|outcome| matches!(outcome, Outcome::Passed { .. }));
        let missing = self.count(|outcome| *outcome == Outcome::Missing);
        let total = self.outcomes.len();
        write!(f, "{passed} passed, {} failed, {missing} missing of {total}", self.failed())
    }
}
