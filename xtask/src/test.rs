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
use crate::child::{Ended, Job, Verdict};
use crate::cli::{ModelOptions, TestOptions};
use crate::counted::{self, Outcome};
use crate::error::Result;
use crate::figures::{Tally, test_result};
use crate::layout::Layout;
use crate::mode::{Effort, Mode};
use crate::models;
use crate::tail::Tail;

/// Of a build that fails, said again.
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
    match binaries::build_all(layout)? {
        Ok(binaries) => jobs.extend(binaries.iter().map(|one| binaries::whole(one, effort))),
        Err(fault) => {
            println!("{fault}\ntest: the workspace does not build");
            let fault = Tail::of(&fault, SHOWN_AGAIN);
            again.push_str(&format!("the workspace does not build\n{fault}"));
            tally.count(false);
        }
    }
    let (tests, failed) = counted::run(layout, Mode::Std, jobs, judge)?;
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

/// The figures of all summaries in an output (rule 3).
fn judge(ended: &Ended) -> Outcome {
    let mut tally = Tally::default();
    for summary in ended.output.lines().filter_map(test_result) {
        tally.add(summary);
    }
    if ended.verdict != Verdict::Passed && tally.failed == 0 {
        tally.count(false);
    }
    let hung = match ended.verdict {
        Verdict::Hung => "; HUNG",
        Verdict::Passed | Verdict::Failed => "",
    };
    let said = format!("{tally}{hung}");
    let why = failures(&ended.output);
    Outcome { tally, said, why }
}

/// What tests say about their failures; all of an output that has no such part.
fn failures(output: &str) -> String {
    let mut is_in = false;
    let part = output.lines().filter(|line| {
        is_in = (is_in || *line == "failures:") && !line.starts_with("test result: ");
        is_in && !line.is_empty()
    });
    let part: String = part.flat_map(|line| [line, "\n"]).collect();
    match part.is_empty() {
        true => output.to_owned(),
        false => part,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(verdict: Verdict, output: &str) -> Outcome {
        super::judge(&Ended {
            name: "txn::store".into(),
            verdict,
            elapsed: Duration::from_secs(1),
            output: output.into(),
        })
    }

    const TWO: &str = "test result: ok. 2 passed; 0 failed; 0 ignored\n";
    const ONE_OF_FOUR: &str = "test a ... FAILED\n\nfailures:\n\n---- a stdout ----\n\nthe reason\n\n\
        test result: FAILED. 3 passed; 1 failed; 0 ignored\n";

    #[test]
    fn summaries_are_added_up() {
        let judged = judge(Verdict::Failed, &format!("{TWO}{ONE_OF_FOUR}{TWO}"));
        let (passed, failed) = (7, 1);
        assert_eq!(judged.tally, Tally { passed, failed });
        assert_eq!(judged.said, "7 passed, 1 failed");
    }

    #[test]
    fn what_ends_badly_without_a_failed_test_is_a_failure() {
        for verdict in [Verdict::Failed, Verdict::Hung] {
            let judged = judge(verdict, TWO);
            let (passed, failed) = (2, 1);
            assert_eq!(judged.tally, Tally { passed, failed });
            assert_eq!(judged.said.ends_with("HUNG"), verdict == Verdict::Hung);
        }
    }

    /// Documentation tests of many crates come behind the one that failed.
    #[test]
    fn the_reason_is_what_tests_say_about_failures() {
        let judged = judge(
            Verdict::Failed,
            &format!("{TWO}{ONE_OF_FOUR}{TWO}error: of cargo\n"),
        );
        assert_eq!(judged.why, "failures:\n---- a stdout ----\nthe reason\n");
        assert_eq!(judge(Verdict::Failed, "signal: 9\n").why, "signal: 9\n");
    }
}
