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
//! 6. Just before its figures a run lists the mutants that were not caught, each with its outcome
//!    and, if its test or its build failed when it should not have, the end of what that printed.

pub mod mutant;
mod report;
mod scratch;
mod select;
mod trial;

use std::fs;
use std::time::{Duration, Instant};

use crate::cli::TeethOptions;
use crate::error::{Context, Error, Result};
use crate::layout::Layout;
use crate::tail::Tail;
use mutant::Mutant;
use scratch::Scratch;
use select::{Choice, Selection};
use trial::{Outcome, Trials};

pub use report::{Missed, Report};

/// Where the mutants are.
pub const FOLDER: &str = "loom-tests/mutants";

/// Of a failed build or test, shown when it happens.
const SHOWN_LINES: usize = 40;

/// Runs the command; true when every mutant applies and every one that ran was caught.
///
/// # Errors
///
/// As [`check`].
pub fn run(layout: &Layout, options: &TeethOptions) -> Result<bool> {
    let report = check(layout, options)?;
    println!("{report}");
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
        if let Err(error) = scratch.try_on(mutant) {
            faults.push(Missed::fault(&mutant.name, &error));
        }
    }
    for fault in &faults {
        print!("teeth: {fault}");
    }
    let known = mutants.len();
    let selection = choose(layout, options, mutants)?;
    let seconds = if selection.is_whole {
        u64::MAX
    } else {
        options.seconds
    };
    let mut report = Report {
        faults,
        ..Report::default()
    };
    run_all(
        &scratch,
        selection,
        Duration::from_secs(seconds),
        &mut report,
    )?;
    if known > report.ran() {
        println!(
            "teeth: {} more were applied, but not run (`--all` runs them)",
            known - report.ran()
        );
    }
    Ok(report)
}

/// Reads all mutants; the second list says what is wrong with the others.
fn read_mutants(layout: &Layout) -> Result<(Vec<Mutant>, Vec<Missed>)> {
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
            Err(error) => faults.push(Missed::fault(&name, &error)),
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

fn run_all(
    scratch: &Scratch,
    selection: Selection,
    limit: Duration,
    report: &mut Report,
) -> Result<()> {
    let since = Instant::now();
    let mut trials = Trials::new(scratch);
    for batch in selection.into_batches() {
        if since.elapsed() >= limit {
            break;
        }
        prepare(&mut trials, &batch)?;
        for choice in &batch {
            run_one(&trials, choice, report)?;
            // After each, not before: what was prepared is used once at least.
            if since.elapsed() >= limit {
                break;
            }
        }
    }
    Ok(())
}

fn prepare(trials: &mut Trials<'_>, batch: &[Choice]) -> Result<()> {
    let begun = Instant::now();
    trials.prepare(batch.iter().map(|choice| &choice.mutant))?;
    if let Some(Choice { mutant, .. }) = batch.first() {
        println!(
            "{:>7.1} s  {} in {} mode, without mutants",
            begun.elapsed().as_secs_f64(),
            mutant.package,
            mutant.mode.name()
        );
    }
    Ok(())
}

fn run_one(trials: &Trials<'_>, choice: &Choice, report: &mut Report) -> Result<()> {
    let Choice { mutant, reason } = choice;
    let begun = Instant::now();
    let outcome = trials.run(mutant)?;
    let seconds = begun.elapsed().as_secs_f64();
    let (name, what) = (&mutant.name, outcome.describe());
    println!("{seconds:>7.1} s  {name} ({reason}) … {what}");
    print!("{}", Tail::of(outcome.output(), SHOWN_LINES));
    if let Outcome::Survived { .. } = outcome {
        println!("    rule: {}", mutant.rule);
    }
    if outcome.is_caught() {
        report.caught += 1;
    } else {
        report
            .missed
            .push(Missed::new(name, what, outcome.output()));
    }
    Ok(())
}
