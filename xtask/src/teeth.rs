//! `cargo xtask teeth`: each mutant breaks one rule of the code, and the test its header names must
//! fail.
//!
//! 1. The tree itself is never touched: mutants are applied to a copy of it, and taken back there.
//! 2. A mutant that does not apply, or does not compile, is not caught: it is a failure of the
//!    mutant. So is one whose test does not exist.
//! 3. A test counts only after it has passed without the mutant, in the same copy.
//! 4. A failure, a crash and a hang of the test all catch: the test did not pass.
//! 5. In the bounded run every patch is applied; those that touch changed files run, and some others
//!    in rotation. What the time limit leaves out is said.

pub mod mutant;
mod scratch;
mod select;
mod trial;

use std::fs;
use std::time::{Duration, Instant};

use crate::cli::TeethOptions;
use crate::error::{Context, Error, Result};
use crate::layout::Layout;
use mutant::Mutant;
use scratch::Scratch;
use select::{Choice, Selection};
use trial::{Outcome, Trials};

/// Where the mutants are.
pub const FOLDER: &str = "loom-tests/mutants";

/// What a run has shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Mutants caught.
    pub caught: usize,
    /// Mutants tried.
    pub ran: usize,
    /// Mutants that do not apply, or whose headers cannot be read.
    pub faults: usize,
}

impl Report {
    /// Whether some were tried, all of those were caught, and all others apply.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.ran > 0 && self.caught == self.ran && self.faults == 0
    }
}

/// Runs the command; true when every mutant applies and every one that ran was caught.
///
/// # Errors
///
/// As [`check`].
pub fn run(layout: &Layout, options: &TeethOptions) -> Result<bool> {
    let report = check(layout, options)?;
    println!("teeth: {} of {} mutants caught", report.caught, report.ran);
    Ok(report.is_success())
}

/// Applies all mutants and tries those that `options` choose.
///
/// # Errors
///
/// When the tree cannot be copied, or no mutant has the name asked for.
pub fn check(layout: &Layout, options: &TeethOptions) -> Result<Report> {
    let (mutants, mut faults) = read_mutants(layout)?;
    let scratch = Scratch::refresh(layout)?;
    for mutant in &mutants {
        if let Err(error) = scratch.mutate(mutant).and_then(scratch::Mutation::revert) {
            faults.push(format!("{}: {error}", mutant.name));
        }
    }
    for fault in &faults {
        println!("teeth: {fault}");
    }
    let known = mutants.len();
    let selection = choose(layout, options, mutants)?;
    let seconds = if selection.is_whole {
        u64::MAX
    } else {
        options.seconds
    };
    let (caught, ran) = run_all(&scratch, &selection, Duration::from_secs(seconds))?;
    if known > ran {
        println!(
            "teeth: {} more were applied, but not run (`--all` runs them)",
            known - ran
        );
    }
    Ok(Report {
        caught,
        ran,
        faults: faults.len(),
    })
}

/// Reads all mutants; the second list says what is wrong with the others.
fn read_mutants(layout: &Layout) -> Result<(Vec<Mutant>, Vec<String>)> {
    let folder = layout.root.join(FOLDER);
    let entries = fs::read_dir(&folder).during(|| format!("cannot list {}", folder.display()))?;
    let (mut mutants, mut faults) = (Vec::new(), Vec::new());
    for entry in entries {
        let path = entry
            .during(|| format!("cannot list {}", folder.display()))?
            .path();
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path
            .extension()
            .is_none_or(|extension| extension != "patch")
        {
            continue;
        }
        let text =
            fs::read_to_string(&path).during(|| format!("cannot read {}", path.display()))?;
        match Mutant::parse(&name, &text) {
            Ok(mutant) => mutants.push(mutant),
            Err(error) => faults.push(format!("{name}: {error}")),
        }
    }
    mutants.sort_by(|a, b| a.name.cmp(&b.name));
    Ok((mutants, faults))
}

fn choose(layout: &Layout, options: &TeethOptions, mutants: Vec<Mutant>) -> Result<Selection> {
    if let Some(filter) = &options.filter {
        let wanted: Vec<Mutant> = mutants
            .into_iter()
            .filter(|mutant| mutant.name.contains(filter))
            .collect();
        if wanted.is_empty() {
            return Err(Error::new(format!("no mutant's name contains {filter}")));
        }
        return Ok(Selection::whole(wanted));
    }
    if options.all {
        return Ok(Selection::whole(mutants));
    }
    let change = select::Change::find(layout, options.changed.as_deref())?;
    Ok(Selection::bounded(mutants, &change, options.rotation))
}

fn run_all(scratch: &Scratch, selection: &Selection, limit: Duration) -> Result<(usize, usize)> {
    let since = Instant::now();
    let mut trials = Trials::new(scratch);
    let (mut caught, mut ran) = (0, 0);
    for Choice { mutant, reason } in &selection.choices {
        if since.elapsed() >= limit {
            break;
        }
        let trial = Instant::now();
        let outcome = trials.run(mutant)?;
        ran += 1;
        caught += usize::from(outcome.is_caught());
        let seconds = trial.elapsed().as_secs_f64();
        println!(
            "{seconds:>7.1} s  {} ({reason}) … {}",
            mutant.name,
            outcome.describe()
        );
        if let Outcome::Survived { test } = &outcome {
            println!("    rule: {}\n    test: {test}", mutant.rule);
        }
    }
    Ok((caught, ran))
}
