//! `cargo xtask models`: every model under loom and shuttle, each in a process of its own.
//!
//! 1. A hang is a failure, and so is a package without models.
//! 2. Output is shown of failures only; of the others, the figures that the model prints: whether it
//!    was exhausted or stopped at its cap is part of the result.
//! 3. A package that does not build in a mode counts as one failure and hides no other's results.

use std::thread;

use crate::binaries::{self, Targets};
use crate::child::{self, Ended, Job, Verdict};
use crate::cli::ModelOptions;
use crate::error::{Error, Result};
use crate::figures::{Tally, model_figures};
use crate::layout::Layout;
use crate::mode::{Effort, Mode};

const SHOWN_LINES: usize = 120;

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
    let mut tally = Tally::default();
    for mode in [Mode::Loom, Mode::Shuttle] {
        if !is_mode_wanted(mode, filter) {
            continue;
        }
        let (mut jobs, faults) = jobs(layout, mode, effort);
        for fault in faults {
            println!("models: {fault}");
            tally.count(false);
        }
        jobs.retain(|job| is_wanted(&job.name, filter));
        tally.add(run_jobs(layout, jobs)?);
    }
    if tally == Tally::default() {
        return Err(Error::new("no model has such a name"));
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

fn run_jobs(layout: &Layout, jobs: Vec<Job>) -> Result<Tally> {
    let width = thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let mut tally = Tally::default();
    child::run_all(jobs, width, &layout.target.join("xtask"), |ended| {
        tally.count(ended.verdict == Verdict::Passed);
        print!("{}", describe(ended));
    })?;
    Ok(tally)
}

fn describe(ended: &Ended) -> String {
    let verdict = match ended.verdict {
        Verdict::Passed => "ok",
        Verdict::Failed => "FAILED",
        Verdict::Hung => "HUNG",
    };
    let mut text = format!(
        "{:>7.1} s  {} … {verdict}",
        ended.elapsed.as_secs_f64(),
        ended.name
    );
    if ended.verdict == Verdict::Passed {
        let figures = ended.output.lines().filter_map(model_figures);
        text.extend(figures.map(|figures| format!("; {figures}")));
        return text + "\n";
    }
    text + "\n" + &child::tail(&ended.output, SHOWN_LINES)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn describe(verdict: Verdict, output: &str) -> String {
        let (name, output) = ("loom::seal".to_owned(), output.to_owned());
        super::describe(&Ended {
            name,
            verdict,
            elapsed: Duration::from_secs(1),
            output,
        })
    }

    #[test]
    fn only_failures_show_their_output() {
        for verdict in [Verdict::Failed, Verdict::Hung] {
            assert!(describe(verdict, "the schedule\n").contains("the schedule"));
        }
        assert!(describe(Verdict::Passed, "the schedule\n").ends_with("… ok\n"));
    }

    #[test]
    fn figures_of_models_that_pass_are_shown() {
        let output = "test a ... model seal: 10 executions, exhausted\nmodel b: 7 schedules\nok\n";
        let line = describe(Verdict::Passed, output);
        assert!(
            line.ends_with("… ok; 10 executions, exhausted; 7 schedules\n"),
            "{line}"
        );
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
