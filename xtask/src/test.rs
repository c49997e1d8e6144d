//! `cargo xtask test`: every test of the workspace, documentation tests included, then the bounded
//! models.
//!
//! 1. It needs nothing but the toolchain.
//! 2. As many test binaries run at a time as there are processors: many of them wait for the disk, or are one
//!    long test.
//! 3. All tests run even if one fails; the figures are those of the binaries' own summaries, and what fails
//!    without a failed test (it did not build, or was killed) counts as one failure.
//! 4. What failed is said again behind the models, just before the figures: between the two are hundreds of
//!    lines.

use std::time::Duration;

use crate::binaries;
use crate::child::{self, Ended, Job, Verdict};
use crate::cli::{ModelOptions, TestOptions};
use crate::error::Result;
use crate::figures::{Tally, test_result};
use crate::layout::Layout;
use crate::mode::{Effort, Mode};
use crate::models;
use crate::tail::Tail;

/// Of what failed.
const SHOWN_LINES: usize = 200;
/// The same, said again.
const SHOWN_AGAIN: usize = 30;

/// Runs the command; true when all passed.
///
/// # Errors
///
/// When a process cannot be started.
pub fn run(layout: &Layout, options: &TestOptions) -> Result<bool> {
    let effort = Effort::from_long(options.long);
    let mut tally = Tally::default();
    let (mut jobs, mut again) = (vec![documentation(layout, effort)], String::new());
    println!("test: building");
    match binaries::build_all(layout) {
        Ok(binaries) => jobs.extend(binaries.iter().map(|one| binaries::whole(one, effort))),
        Err(fault) => {
            println!("test: {fault}");
            again.push_str(&format!("{fault}\n"));
            tally.count(false);
        }
    }
    let (tests, failed) = run_jobs(layout, jobs)?;
    tally.add(tests);
    again.push_str(&failed);
    let models = models::check(
        layout,
        &ModelOptions {
            filter: None,
            long: options.long,
        },
    )?;
    println!("models: {models}");
    tally.add(models);
    if !again.is_empty() {
        print!("\ntests that failed:\n{again}");
    }
    println!("{tally}");
    Ok(tally.is_success())
}

/// The documentation tests, which only cargo can run.
fn documentation(layout: &Layout, effort: Effort) -> Job {
    let mut command = layout.cargo(&layout.target);
    command.args(["test", "--workspace", "--doc", "--no-fail-fast"]);
    Mode::Std.bound(&mut command, effort);
    Job {
        name: "documentation".to_owned(),
        command,
        limit: Duration::from_secs(60 * 60),
    }
}

/// How many passed and failed, and what is to be said again.
fn run_jobs(layout: &Layout, jobs: Vec<Job>) -> Result<(Tally, String)> {
    let (mut tally, mut again) = (Tally::default(), String::new());
    child::run_all(
        jobs,
        Mode::Std.width(),
        &layout.target.join("xtask"),
        |ended| {
            let counted = counted(ended);
            tally.add(counted);
            print!("{}", describe(ended, counted, SHOWN_LINES));
            if counted.failed > 0 {
                again.push_str(&describe(ended, counted, SHOWN_AGAIN));
            }
        },
    )?;
    Ok((tally, again))
}

/// The figures of all summaries in an output (rule 3).
fn counted(ended: &Ended) -> Tally {
    let mut tally = Tally::default();
    for summary in ended.output.lines().filter_map(test_result) {
        tally.add(summary);
    }
    if ended.verdict != Verdict::Passed && tally.failed == 0 {
        tally.count(false);
    }
    tally
}

fn describe(ended: &Ended, counted: Tally, lines: usize) -> String {
    let (seconds, name) = (ended.elapsed.as_secs_f64(), &ended.name);
    let hung = match ended.verdict {
        Verdict::Hung => "; HUNG",
        _ => "",
    };
    let line = format!("{seconds:>7.1} s  {name} … {counted}{hung}\n");
    match counted.failed {
        0 => line,
        _ => line + &Tail::of(&ended.output, lines).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(verdict: Verdict, output: &str) -> Ended {
        Ended {
            name: "txn::store".into(),
            verdict,
            elapsed: Duration::from_secs(1),
            output: output.into(),
        }
    }

    const TWO: &str = "test result: ok. 2 passed; 0 failed; 0 ignored\n";
    const ONE_OF_FOUR: &str = "the reason\ntest result: FAILED. 3 passed; 1 failed; 0 ignored\n";

    #[test]
    fn summaries_are_added_up() {
        let tally = counted(&ended(Verdict::Failed, &format!("{TWO}{ONE_OF_FOUR}")));
        let (passed, failed) = (5, 1);
        assert_eq!(tally, Tally { passed, failed });
    }

    #[test]
    fn what_ends_badly_without_a_failed_test_is_a_failure() {
        for verdict in [Verdict::Failed, Verdict::Hung] {
            let tally = counted(&ended(verdict, TWO));
            let (passed, failed) = (2, 1);
            assert_eq!(tally, Tally { passed, failed });
        }
    }

    #[test]
    fn only_of_failures_the_output_is_shown() {
        let describe = |verdict, output| {
            let ended = ended(verdict, output);
            describe(&ended, counted(&ended), 2)
        };
        let passed = describe(Verdict::Passed, TWO);
        assert!(
            passed.ends_with("txn::store … 2 passed, 0 failed\n"),
            "{passed}"
        );
        assert!(describe(Verdict::Failed, ONE_OF_FOUR).contains("the reason"));
        assert!(describe(Verdict::Hung, "stuck\n").contains("HUNG\n"));
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
        let target = std::env::temp_dir().join(format!("xtask-test-{}", std::process::id()));
        let root = target.clone();
        let layout = Layout { root, target };
        let jobs = vec![
            job(
                "good",
                "echo 'test result: ok. 2 passed; 0 failed; 0 ignored'",
            ),
            job("bad", "echo why >&2; exit 101"),
        ];
        let (tally, again) = run_jobs(&layout, jobs).unwrap();
        std::fs::remove_dir_all(&layout.root).unwrap();
        let (passed, failed) = (2, 1);
        assert_eq!(tally, Tally { passed, failed });
        assert!(again.contains(" bad … ") && again.contains("why") && !again.contains("good"));
    }
}
