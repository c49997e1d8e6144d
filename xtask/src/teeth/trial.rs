//! One mutant tried: first its test without it, then with it.

use std::collections::BTreeMap;

use super::mutant::Mutant;
use super::scratch::Scratch;
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
    Unfit { why: String },
}

impl Outcome {
    /// Whether the mutant was caught.
    pub(super) fn is_caught(&self) -> bool {
        matches!(self, Self::Caught { .. } | Self::CaughtHanging { .. })
    }

    /// One line on it, with details below.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Caught { test } => format!("caught by {test}"),
            Self::CaughtHanging { test } => format!("caught by {test}, which hung"),
            Self::Survived { .. } => "SURVIVED".into(),
            Self::Unfit { why } => format!("UNFIT: {why}"),
        }
    }
}

/// What one test without a mutant did: nothing to say, or why it cannot judge.
type Baseline = std::result::Result<(), String>;

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

    /// Tries one mutant.
    pub(super) fn run(&mut self, mutant: &Mutant) -> Result<Outcome> {
        if let Err(why) = self.baseline(mutant)? {
            return Ok(Outcome::Unfit { why });
        }
        let mutation = match self.scratch.mutate(mutant) {
            Ok(mutation) => mutation,
            Err(error) => {
                return Ok(Outcome::Unfit {
                    why: error.to_string(),
                });
            }
        };
        let outcome = match self.jobs(mutant)? {
            Ok(jobs) => self.judge(jobs)?,
            Err(why) => Outcome::Unfit {
                why: format!("with the mutant: {why}"),
            },
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
        let jobs = match self.jobs(mutant)? {
            Ok(jobs) => jobs,
            Err(why) => return Ok(Err(format!("without the mutant: {why}"))),
        };
        for job in jobs {
            let ended = child::run_one(job, &self.scratch.layout().target.join("xtask"))?;
            if ended.verdict != Verdict::Passed {
                let tail = child::tail(&ended.output, 40);
                return Ok(Err(format!(
                    "{} fails without the mutant\n{tail}",
                    ended.name
                )));
            }
        }
        Ok(Ok(()))
    }

    fn jobs(&self, mutant: &Mutant) -> Result<std::result::Result<Vec<Job>, String>> {
        let Mutant {
            mode,
            package,
            targets,
            test,
            ..
        } = mutant;
        let built = binaries::try_build(self.scratch.layout(), *mode, package, targets)?;
        let built = match built {
            Ok(built) => built,
            Err(printed) => {
                let tail = child::tail(&printed, 40);
                return Ok(Err(format!("{package} does not build\n{tail}")));
            }
        };
        let mut jobs = Vec::new();
        for binary in &built {
            let tests = binaries::list(binary)?;
            let named = tests.iter().filter(|name| name.contains(test.as_str()));
            jobs.extend(named.map(|name| binaries::job(binary, name, *mode, Effort::Brief)));
        }
        if jobs.is_empty() {
            return Ok(Err(format!("{package} has no test {test}")));
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
