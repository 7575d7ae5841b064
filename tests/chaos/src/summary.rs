//! How a run ended.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::Guarantee;
use crate::checker::Verdict;
use crate::script::Fault;

/// A finished run.
#[derive(Debug)]
pub struct Summary {
    /// The seed that gives the same script and records again.
    pub seed: u64,
    /// What the application promised.
    pub guarantee: Guarantee,
    /// How long the run took.
    pub took: Duration,
    /// Records of all input topics.
    pub input_records: usize,
    /// Events that the input has more than once, and that count as often.
    pub repeated_events: usize,
    /// How often each fault happened.
    pub faults: BTreeMap<Fault, usize>,
    /// From each fault that was alone until every partition had gone on.
    pub recoveries: BTreeMap<Fault, Vec<Duration>>,
    /// What was found in each output topic.
    pub verdicts: BTreeMap<&'static str, Verdict>,
    /// What else went wrong: instances that ended by themselves, or did not go on.
    pub problems: Vec<String>,
    /// What happened and when.
    pub history: String,
    /// The file with the history; the logs of the instances are beside it.
    pub history_file: PathBuf,
}

impl Summary {
    /// Everything that was found.
    pub fn verdict(&self) -> Verdict {
        let mut all = Verdict::default();
        self.verdicts.values().cloned().for_each(|verdict| all.merge(verdict));
        all
    }

    /// Whether the guarantee was kept, and no instance ended by itself.
    pub fn is_good(&self) -> bool {
        self.verdict().keeps(self.guarantee) && self.problems.is_empty()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let result = if self.is_good() { "kept" } else { "NOT KEPT" };
        writeln!(
            f,
            "{} {result}, seed {}, {:.0} s",
            self.guarantee,
            self.seed,
            self.took.as_secs_f64()
        )?;
        let faults: usize = self.faults.values().sum();
        writeln!(f, "{} records in, {faults} faults", self.input_records)?;
        if self.repeated_events > 0 {
            writeln!(f, "  {} events are in the input more than once", self.repeated_events)?;
        }
        for (fault, count) in &self.faults {
            let mut times = self.recoveries.get(fault).cloned().unwrap_or_default();
            times.sort();
            write!(f, "  {count:3} × {fault}")?;
            if let (Some(median), Some(most)) = (times.get(times.len() / 2), times.last()) {
                let (median, most) = (median.as_secs_f64(), most.as_secs_f64());
                write!(f, "; {median:.1} s until all goes on again, {most:.1} s at most")?;
            }
            writeln!(f)?;
        }
        for (topic, verdict) in &self.verdicts {
            writeln!(f, "  {topic}: {verdict}")?;
        }
        let all = self.verdict();
        let [lost, duplicated, wrong] = all.kinds().map(|(_, findings)| findings.count);
        writeln!(f, "  in all: lost {lost}, duplicated {duplicated}, wrong {wrong}")?;
        for problem in &self.problems {
            writeln!(f, "  problem: {problem}")?;
        }
        write!(f, "  history: {}", self.history_file.display())
    }
}
