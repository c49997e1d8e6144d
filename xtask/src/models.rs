//! `cargo xtask models`: every model under loom and shuttle, each in a process of its own.
//!
//! 1. A hang is a failure, and so is a package without models.
//! 2. Output is shown of failures only; of the others, the figures that the model prints: whether it
//!    was exhausted or stopped at its cap is part of the result.
//! 3. A package that does not build in a mode counts as one failure and hides no other's results.
//! 4. What failed is said again, more briefly, when all have run.

use crate::binaries::{self, Targets};
use crate::child::{self, Ended, Job, Verdict};
use crate::cli::ModelOptions;
use crate::error::{Error, Result};
use crate::figures::{Tally, model_figures};
use crate::layout::Layout;
use crate::mode::{Effort, Mode};
use crate::tail::Tail;

const SHOWN_LINES: usize = 120;
/// The same, said again.
const SHOWN_AGAIN: usize = 15;

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
        let (counted, failed) = run_jobs(layout, jobs)?;
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

/// How many passed and failed, and what is to be said again.
fn run_jobs(layout: &Layout, jobs: Vec<Job>) -> Result<(Tally, String)> {
    let (mut tally, mut again) = (Tally::default(), String::new());
    child::run_all(
        jobs,
        Mode::Loom.width(),
        &layout.target.join("xtask"),
        |ended| {
            tally.count(ended.verdict == Verdict::Passed);
            print!("{}", describe(ended, SHOWN_LINES));
            if ended.verdict != Verdict::Passed {
                again.push_str(&describe(ended, SHOWN_AGAIN));
            }
        },
    )?;
    Ok((tally, again))
}

fn describe(ended: &Ended, lines: usize) -> String {
    let verdict = match ended.verdict {
        Verdict::Passed => "ok",
        Verdict::Failed => "FAILED",
        Verdict::Hung => "HUNG",
    };
    let (seconds, name) = (ended.elapsed.as_secs_f64(), &ended.name);
    let mut text = format!("{seconds:>7.1} s  {name} … {verdict}");
    if ended.verdict == Verdict::Passed {
        let figures = ended.output.lines().filter_map(model_figures);
        text.extend(figures.map(|figures| format!("; {figures}")));
        return text + "\n";
    }
    format!("{text}\n{}", Tail::of(&ended.output, lines))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn describe(verdict: Verdict, output: &str) -> String {
        let (name, output) = ("loom::seal".to_owned(), output.to_owned());
        let elapsed = Duration::from_secs(1);
        let ended = Ended {
            name,
            verdict,
            elapsed,
            output,
        };
        super::describe(&ended, 2)
    }

    #[test]
    fn only_failures_show_their_output() {
        for verdict in [Verdict::Failed, Verdict::Hung] {
            assert!(describe(verdict, "the schedule\n").contains("the schedule"));
        }
        assert!(describe(Verdict::Passed, "the schedule\n").ends_with("… ok\n"));
    }

    #[test]
    fn jobs_that_fail_are_said_again() {
        let job = |name: &str, script: &str| {
            let mut command = std::process::Command::new("sh");
            command.args(["-c", script]);
            Job {
                name: name.into(),
                command,
                limit: Duration::from_secs(600),
            }
        };
        let target = std::env::temp_dir().join(format!("xtask-again-{}", std::process::id()));
        let root = target.clone();
        let layout = Layout { root, target };
        let jobs = vec![
            job("loom::good", "echo fine"),
            job("loom::bad", "echo why; exit 1"),
        ];
        let (tally, again) = run_jobs(&layout, jobs).unwrap();
        std::fs::remove_dir_all(&layout.root).unwrap();
        let (passed, failed) = (1, 1);
        assert_eq!(tally, Tally { passed, failed });
        assert!(again.ends_with(" loom::bad … FAILED\n    why\n") && !again.contains("good"));
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
