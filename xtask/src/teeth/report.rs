//! What a run of `teeth` has shown, and its last lines.
//!
//! 1. The mutants that were not caught come last, those that cannot be applied among them, and then
//!    the line of figures: whoever sees only the end of a run sees what to mend.

use std::fmt;

use crate::error::Error;
use crate::tail::Tail;

/// Of a failed build or test, in the list.
const SHOWN_LINES: usize = 15;

/// What a run has shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Mutants caught.
    pub caught: usize,
    /// Mutants tried, but not caught.
    pub missed: Vec<Missed>,
    /// Mutants that do not apply, or whose headers cannot be read.
    pub faults: Vec<Missed>,
}

/// A mutant that was not caught.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// Its name.
    pub mutant: String,
    /// What became of it, in a line.
    pub outcome: String,
    /// What its build or its test printed, if that is the reason.
    pub output: String,
}

impl Report {
    /// Mutants tried.
    #[must_use]
    pub fn ran(&self) -> usize {
        self.caught + self.missed.len()
    }

    /// Whether some were tried, all of those were caught, and all others apply.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.caught > 0 && self.missed.is_empty() && self.faults.is_empty()
    }
}

impl Missed {
    /// One that was tried.
    pub(super) fn new(mutant: &str, outcome: String, output: &str) -> Self {
        Self {
            mutant: mutant.to_owned(),
            outcome,
            output: output.to_owned(),
        }
    }

    /// One that could not be tried.
    pub(super) fn fault(mutant: &str, error: &Error) -> Self {
        Self::new(mutant, error.to_string(), "")
    }
}

/// A line, and the end of the output below it.
impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.mutant, self.outcome)?;
        write!(f, "{}", Tail::of(&self.output, SHOWN_LINES))
    }
}

/// The list, if there is something in it, and the line of figures, without its end.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !(self.missed.is_empty() && self.faults.is_empty()) {
            writeln!(f, "\nteeth: not caught:")?;
        }
        for one in self.faults.iter().chain(&self.missed) {
            write!(f, "{one}")?;
        }
        write!(f, "teeth: {} of {} mutants caught", self.caught, self.ran())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_caught_is_listed_before_the_figures() {
        let output: String = (1..=20).map(|line| format!("line {line}\n")).collect();
        let report = Report {
            caught: 2,
            missed: vec![
                Missed::new("a", "SURVIVED std::t".into(), ""),
                Missed::new("b", "UNFIT: t fails without the mutant".into(), &output),
            ],
            faults: vec![Missed::fault("c", &Error::new("does not apply"))],
        };
        let text = report.to_string();
        let (list, figures) = text.rsplit_once('\n').unwrap();
        assert_eq!(figures, "teeth: 2 of 4 mutants caught");
        let lines: Vec<&str> = list.lines().collect();
        assert_eq!(
            lines[..5],
            [
                "",
                "teeth: not caught:",
                "c: does not apply",
                "a: SURVIVED std::t",
                "b: UNFIT: t fails without the mutant"
            ]
        );
        assert_eq!(lines[5], "    … 5 lines before");
        assert_eq!(lines[6..].len(), SHOWN_LINES);
        assert_eq!(lines.last(), Some(&"    line 20"));
    }

    #[test]
    fn when_all_were_caught_the_figures_stand_alone() {
        let report = Report {
            caught: 3,
            ..Report::default()
        };
        assert_eq!(report.to_string(), "teeth: 3 of 3 mutants caught");
        assert!(report.is_success());
        assert!(!Report::default().is_success(), "none was tried");
    }
}
