//! Mutants tried: first their tests without them, then each with its own.
//!
//! 1. All tests that a batch names run before its first mutant is applied, each once however many
//!    name it, and several at a time: a batch costs one build of the tree as it is.
//! 2. Nothing is built between one mutant and the next: the build with the next takes the one
//!    before back as well.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::mutant::Mutant;
use super::scratch::Scratch;
use crate::binaries::{self, Binary, Targets};
use crate::child::{self, Ended, Job, Verdict};
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

/// What a mutant's header names as its test.
type Named = (Mode, String, Targets, String);

fn named(mutant: &Mutant) -> Named {
    let Mutant {
        mode,
        package,
        targets,
        test,
        ..
    } = mutant.clone();
    (mode, package, targets, test)
}

/// Trials in one copy; a test runs without mutants once, whoever names it.
pub(super) struct Trials<'a> {
    scratch: &'a Scratch,
    baselines: BTreeMap<Named, Baseline>,
}

impl<'a> Trials<'a> {
    /// No trial yet.
    pub(super) fn new(scratch: &'a Scratch) -> Self {
        Self {
            scratch,
            baselines: BTreeMap::new(),
        }
    }

    /// Runs the tests of a batch, which is of one mode and one package, without its mutants. What is
    /// found out is told with each mutant it concerns.
    pub(super) fn prepare<'m>(&mut self, batch: impl Iterator<Item = &'m Mutant>) -> Result<()> {
        let (mut built, mut waiting) = (BTreeMap::new(), BTreeMap::new());
        let (mut jobs, mut width) = (BTreeMap::new(), 1);
        for mutant in batch {
            if self.baselines.contains_key(&named(mutant)) {
                continue;
            }
            width = mutant.mode.width();
            if !built.contains_key(&mutant.targets) {
                let binaries = self.build(mutant, "without the mutant")?;
                built.insert(mutant.targets.clone(), binaries);
            }
            let found = match &built[&mutant.targets] {
                Ok(binaries) => tests(binaries, mutant, "without the mutant")?,
                Err(unfit) => Err(unfit.clone()),
            };
            match found {
                Ok(found) => {
                    let names: Vec<_> = found.iter().map(|job| job.name.clone()).collect();
                    jobs.extend(found.into_iter().map(|job| (job.name.clone(), job)));
                    waiting.insert(named(mutant), names);
                }
                Err(unfit) => {
                    self.baselines.insert(named(mutant), Err(unfit));
                }
            }
        }
        let ended = child::run_all(jobs.into_values().collect(), width, &self.place(), |_| {})?;
        for (named, names) in waiting {
            let mut own = ended.iter().filter(|one| names.contains(&one.name));
            let baseline = own.try_for_each(judge_baseline);
            self.baselines.insert(named, baseline);
        }
        Ok(())
    }

    /// Tries one mutant of a batch that was prepared.
    pub(super) fn run(&self, mutant: &Mutant) -> Result<Outcome> {
        match self.baselines.get(&named(mutant)) {
            Some(Ok(())) => {}
            Some(Err(unfit)) => return Ok(Outcome::Unfit(unfit.clone())),
            None => {
                let why = "its test was never seen to pass".to_owned();
                return Ok(Outcome::Unfit(Unfit::new(why, "")));
            }
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

    /// The tests that a mutant names, built from the copy as it stands; `when` is for the reader.
    fn jobs(&self, mutant: &Mutant, when: &str) -> Result<std::result::Result<Vec<Job>, Unfit>> {
        match self.build(mutant, when)? {
            Ok(binaries) => tests(&binaries, mutant, when),
            Err(unfit) => Ok(Err(unfit)),
        }
    }

    fn build(
        &self,
        mutant: &Mutant,
        when: &str,
    ) -> Result<std::result::Result<Vec<Binary>, Unfit>> {
        let Mutant {
            mode,
            package,
            targets,
            ..
        } = mutant;
        let built = binaries::try_build(self.scratch.layout(), *mode, package, targets)?;
        Ok(built.map_err(|printed| {
            let why = format!("{package} does not build {when}");
            Unfit::new(why, &printed)
        }))
    }

    /// Where what tests print is kept until they end.
    fn place(&self) -> PathBuf {
        self.scratch.layout().target.join("xtask")
    }

    fn judge(&self, jobs: Vec<Job>) -> Result<Outcome> {
        let mut names = Vec::new();
        for job in jobs {
            let ended = child::run_one(job, &self.place())?;
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

/// The tests of `binaries` that a mutant names.
fn tests(
    binaries: &[Binary],
    mutant: &Mutant,
    when: &str,
) -> Result<std::result::Result<Vec<Job>, Unfit>> {
    let Mutant { mode, test, .. } = mutant;
    let mut jobs = Vec::new();
    for binary in binaries {
        let tests = binaries::list(binary)?;
        let named = tests.iter().filter(|name| name.contains(test.as_str()));
        jobs.extend(named.map(|name| binaries::job(binary, name, *mode, Effort::Brief)));
    }
    if jobs.is_empty() {
        let why = format!("{} has no test {test} {when}", mutant.package);
        return Ok(Err(Unfit::new(why, "")));
    }
    Ok(Ok(jobs))
}

fn judge_baseline(ended: &Ended) -> Baseline {
    let what = match ended.verdict {
        Verdict::Passed => return Ok(()),
        Verdict::Failed => "fails",
        Verdict::Hung => "hangs",
    };
    let why = format!("{} {what} without the mutant", ended.name);
    Err(Unfit::new(why, &ended.output))
}
