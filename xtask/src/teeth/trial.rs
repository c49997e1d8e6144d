//! Mutants tried: first their tests without them, then each with its own.
//!
//! 1. All tests that a batch names run before its first mutant is applied, each once however many
//!    name it: a batch costs one build of the tree as it is.
//! 2. Nothing is built between one mutant and the next: the build with the next takes the one
//!    before back as well.

use std::collections::BTreeMap;

use super::mutant::Mutant;
use super::scratch::Scratch;
use super::select::Choice;
use crate::binaries::{self, Targets};
use crate::child::{self, Job, Verdict};
use crate::error::Result;
use crate::mode::{Effort, Mode};

/// What became of a mutant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub(super) enum Outcome {
    /// A test failed.
    Caught { test: String },
    /// A test did not end.
    CaughtHanging { test: String },
    /// Every test passed.
    Survived { test: String },
    /// The mutant, or its test, is not in order.
    Unfit(Unfit),
}

/// Why a mutant could not be tried, and what was printed when that showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unfit {
    pub(super) why: String,
    pub(super) output: String,
}

impl Outcome {
    /// Whether the mutant was caught.
    pub(super) fn is_caught(&self) -> bool {
        matches!(self, Self::Caught { .. } | Self::CaughtHanging { .. })
    }

    /// What was printed when the mutant showed to be unfit.
    pub(super) fn output(&self) -> &str {
        match self {
            Self::Unfit(Unfit { output, .. }) => output,
            _ => "",
        }
    }

    /// One line on it.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Caught { test } => format!("caught by {test}"),
            Self::CaughtHanging { test } => format!("caught by {test}, which hung"),
            Self::Survived { test } => format!("SURVIVED {test}"),
            Self::Unfit(Unfit { why, .. }) => format!("UNFIT: {why}"),
        }
    }
}

impl Unfit {
    fn new(why: String, output: &str) -> Self {
        let output = output.to_owned();
        Self { why, output }
    }
}

/// What one test without a mutant did: nothing to say, or why it cannot judge.
type Baseline = std::result::Result<(), Unfit>;

/// Trials in one copy; a test runs without mutants once, whoever names it.
pub(super) struct Trials<'a> {
    scratch: &'a Scratch,
    baselines: BTreeMap<(Mode, String, Targets, String), Baseline>,
}

impl<'a> Trials<'a> {
    /// No trial yet.
    pub(super) fn new(scratch: &'a Scratch) -> Self {
        Self {
            scratch,
            baselines: BTreeMap::new(),
        }
    }

    /// Runs the tests of a batch without its mutants.
    pub(super) fn prepare(&mut self, batch: &[Choice]) -> Result<()> {
        for Choice { mutant, .. } in batch {
            // What is found out here is told with each mutant it concerns.
            let _ = self.baseline(mutant)?;
        }
        Ok(())
    }

    /// Tries one mutant.
    pub(super) fn run(&mut self, mutant: &Mutant) -> Result<Outcome> {
        if let Err(unfit) = self.baseline(mutant)? {
            return Ok(Outcome::Unfit(unfit));
        }
        let mutation = match self.scratch.mutate(mutant) {
            Ok(mutation) => mutation,
            Err(error) => return Ok(Outcome::Unfit(Unfit::new(error.to_string(), ""))),
        };
        let outcome = match self.jobs(mutant, "with the mutant")? {
            Ok(jobs) => self.judge(jobs)?,
            Err(unfit) => Outcome::Unfit(unfit),
        };
        mutation.revert()?;
        Ok(outcome)
    }

    fn baseline(&mut self, mutant: &Mutant) -> Result<Baseline> {
        let Mutant {
            mode,
            package,
            targets,
            test,
            ..
        } = mutant;
        let key = (*mode, package.clone(), targets.clone(), test.clone());
        if let Some(known) = self.baselines.get(&key) {
            return Ok(known.clone());
        }
        let found = self.run_baseline(mutant)?;
        self.baselines.insert(key, found.clone());
        Ok(found)
    }

    fn run_baseline(&self, mutant: &Mutant) -> Result<Baseline> {
        let jobs = match self.jobs(mutant, "without the mutant")? {
            Ok(jobs) => jobs,
            Err(unfit) => return Ok(Err(unfit)),
        };
        for job in jobs {
            let ended = child::run_one(job, &self.scratch.layout().target.join("xtask"))?;
            let what = match ended.verdict {
                Verdict::Passed => continue,
                Verdict::Failed => "fails",
                Verdict::Hung => "hangs",
            };
            let why = format!("{} {what} without the mutant", ended.name);
            return Ok(Err(Unfit::new(why, &ended.output)));
        }
        Ok(Ok(()))
    }

    /// The tests that a mutant names, built from the copy as it stands; `when` is for the reader.
    fn jobs(&self, mutant: &Mutant, when: &str) -> Result<std::result::Result<Vec<Job>, Unfit>> {
        let Mutant {
            mode,
            package,
            targets,
            test,
            ..
        } = mutant;
        let built = match binaries::try_build(self.scratch.layout(), *mode, package, targets)? {
            Ok(built) => built,
            Err(printed) => {
                let why = format!("{package} does not build {when}");
                return Ok(Err(Unfit::new(why, &printed)));
            }
        };
        let mut jobs = Vec::new();
        for binary in &built {
            let tests = binaries::list(binary)?;
            let named = tests.iter().filter(|name| name.contains(test.as_str()));
            jobs.extend(named.map(|name| binaries::job(binary, name, *mode, Effort::Brief)));
        }
        if jobs.is_empty() {
            let why = format!("{package} has no test {test} {when}");
            return Ok(Err(Unfit::new(why, "")));
        }
        Ok(Ok(jobs))
    }

    fn judge(&self, jobs: Vec<Job>) -> Result<Outcome> {
        let mut names = Vec::new();
        for job in jobs {
            let ended = child::run_one(job, &self.scratch.layout().target.join("xtask"))?;
            match ended.verdict {
                Verdict::Failed => return Ok(Outcome::Caught { test: ended.name }),
                Verdict::Hung => return Ok(Outcome::CaughtHanging { test: ended.name }),
                Verdict::Passed => names.push(ended.name),
            }
        }
        Ok(Outcome::Survived {
            test: names.join(", "),
        })
    }
}
