//! `cargo xtask models`: every model under loom and shuttle, each in a process of its own.
//!
//! 1. A hang is a failure, and so is a package without models.
//! 2. Output is shown of failures only; of the others, the figures that the model prints: whether it
//!    was exhausted or stopped at its cap is part of the result.
//! 3. A package that does not build in a mode counts as one failure and hides no other's results.
//! 4. What failed is said again, more briefly, when all have run.

use crate::binaries::{self, Targets};
use crate::child::{Ended, Job, Verdict};
use crate::cli::ModelOptions;
use crate::counted::{self, Outcome};
use crate::error::{Error, Result};
use crate::figures::{Tally, model_figures};
use crate::layout::Layout;
use crate::mode::{Effort, Mode};

/// Runs the command; true when all passed.
///
/// # Errors
///
/// When a process cannot be started, or no model matches the filter.
pub fn run(layout: &Layout, options: &ModelOptions) -> Result<bool> {
    let tally = check(layout, options)?;
    println!("models: {tally}");
    Ok(tally.is_success())
}

/// Runs the models and counts.
///
/// # Errors
///
/// As [`run`].
pub fn check(layout: &Layout, options: &ModelOptions) -> Result<Tally> {
    let effort = Effort::from_long(options.long);
    let filter = options.filter.as_deref();
    let (mut tally, mut again) = (Tally::default(), String::new());
    for mode in [Mode::Loom, Mode::Shuttle] {
        if !is_mode_wanted(mode, filter) {
            continue;
        }
        let (mut jobs, faults) = jobs(layout, mode, effort);
        for fault in faults {
            println!("models: {fault}");
            again.push_str(&format!("{fault}\n"));
            tally.count(false);
        }
        jobs.retain(|job| is_wanted(&job.name, filter));
        let (counted, failed) = counted::run(layout, mode, jobs, judge)?;
        tally.add(counted);
        again.push_str(&failed);
    }
    if tally == Tally::default() {
        return Err(Error::new("no model has such a name"));
    }
    if !again.is_empty() {
        print!("\nmodels that failed:\n{again}");
    }
    Ok(tally)
}

/// The models of all packages, and what is wrong with packages that have none.
fn jobs(layout: &Layout, mode: Mode, effort: Effort) -> (Vec<Job>, Vec<Error>) {
    let packages = [
        ("vellum-loom-tests", Targets::All),
        // The shim's own contract: the same file passes in every mode.
        ("vellum-sync", Targets::Named("contract".into())),
    ];
    let (mut jobs, mut faults) = (Vec::new(), Vec::new());
    for (package, targets) in &packages {
        println!("models: building {package} in {} mode", mode.name());
        match package_jobs(layout, mode, effort, package, targets) {
            Ok(found) => jobs.extend(found),
            Err(fault) => faults.push(fault),
        }
    }
    (jobs, faults)
}

fn package_jobs(
    layout: &Layout,
    mode: Mode,
    effort: Effort,
    package: &str,
    targets: &Targets,
) -> Result<Vec<Job>> {
    let mut jobs = Vec::new();
    for binary in binaries::build(layout, mode, package, targets)? {
        let tests = binaries::list(&binary)?;
        jobs.extend(
            tests
                .iter()
                .map(|test| binaries::job(&binary, test, mode, effort)),
        );
    }
    if jobs.is_empty() {
        let what = format!("{package} has no models in {} mode", mode.name());
        return Err(Error::new(what));
    }
    Ok(jobs)
}

/// A filter that begins with a mode's name needs no build in the other.
fn is_mode_wanted(mode: Mode, filter: Option<&str>) -> bool {
    let named = filter.and_then(|filter| Mode::parse(filter.split_once("::")?.0));
    named.is_none_or(|named| named == mode)
}

fn is_wanted(name: &str, filter: Option<&str>) -> bool {
    filter.is_none_or(|filter| name.contains(filter))
}

/// Rules 1, 2 and 4.
fn judge(ended: &Ended) -> Outcome {
    let mut tally = Tally::default();
    tally.count(ended.verdict == Verdict::Passed);
    let said = match ended.verdict {
        Verdict::Passed => {
            let figures = ended.output.lines().filter_map(model_figures);
            let figures = figures.map(|figures| format!("; {figures}"));
            format!("ok{}", figures.collect::<String>())
        }
        Verdict::Failed => "FAILED".to_owned(),
        Verdict::Hung => "HUNG".to_owned(),
    };
    let why = ended.output.clone();
    Outcome { tally, said, why }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn judge(verdict: Verdict, output: &str) -> Outcome {
        let (name, output) = ("loom::seal".to_owned(), output.to_owned());
        let elapsed = Duration::from_secs(1);
        super::judge(&Ended {
            name,
            verdict,
            elapsed,
            output,
        })
    }

    #[test]
    fn a_hang_is_a_failure() {
        let judged = [Verdict::Failed, Verdict::Hung].map(|verdict| judge(verdict, "schedule"));
        assert!(
            judged
                .iter()
                .all(|one| one.tally.failed == 1 && one.why == "schedule")
        );
        assert_eq!(judged.map(|one| one.said), ["FAILED", "HUNG"]);
    }

    #[test]
    fn figures_of_models_that_pass_are_shown() {
        let output = "test a ... model seal: 10 executions, exhausted\nmodel b: 7 schedules\nok\n";
        let judged = judge(Verdict::Passed, output);
        assert_eq!(judged.said, "ok; 10 executions, exhausted; 7 schedules");
        assert_eq!((judged.tally.passed, judged.tally.failed), (1, 0));
    }

    #[test]
    fn the_filter_is_a_part_of_the_name() {
        assert!(is_wanted("loom::commit::seal", Some("commit::s")));
        assert!(!is_wanted("loom::commit::seal", Some("shuttle")));
        assert!(is_wanted("anything", None));
        assert!(is_mode_wanted(Mode::Loom, Some("loom::commit")));
        assert!(!is_mode_wanted(Mode::Shuttle, Some("loom::commit")));
        assert!(is_mode_wanted(Mode::Shuttle, Some("commit::seal")));
    }
}
