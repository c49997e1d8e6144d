//! `cargo xtask test`: every test of the workspace, documentation tests included, then the bounded
//! models.
//!
//! 1. It needs nothing but the toolchain.
//! 2. All tests run even if one fails; the figures are those of cargo's own summaries, and a cargo
//!    run that fails without a failed test (it did not build, say) counts as one failure.
//! 3. What cargo and the tests say about failures is said again behind the models, just before the
//!    figures: between the two are hundreds of lines.

use std::io::{self, BufRead, BufReader, IsTerminal};
use std::process::{Command, Stdio};

use crate::cli::{ModelOptions, TestOptions};
use crate::error::{Context, Result};
use crate::figures::{Tally, test_result};
use crate::layout::Layout;
use crate::mode::{Effort, Mode};
use crate::models;
use crate::tail::Tail;

/// Of what is said about failures, said again.
const SHOWN_LINES: usize = 30;

/// Runs the command; true when all passed.
///
/// # Errors
///
/// When cargo cannot be started.
pub fn run(layout: &Layout, options: &TestOptions) -> Result<bool> {
    let effort = Effort::from_long(options.long);
    let mut tally = Tally::default();
    let mut command = layout.cargo(&layout.target);
    command.args(["test", "--workspace", "--no-fail-fast"]);
    Mode::Std.bound(&mut command, effort);
    let (tests, failures) = counted(command)?;
    tally.add(tests);
    let models = models::check(
        layout,
        &ModelOptions {
            filter: None,
            long: options.long,
        },
    )?;
    println!("models: {models}");
    tally.add(models);
    print!("{}", failures.describe());
    println!("{tally}");
    Ok(tally.is_success())
}

/// Runs `cargo test` with its output passed through, counts its summaries, and keeps what it says
/// about failures.
///
/// # Errors
///
/// When cargo cannot be started.
fn counted(mut command: Command) -> Result<(Tally, Failures)> {
    let (output, input) = io::pipe().during(|| "cannot make a pipe".into())?;
    if !io::stderr().is_terminal() {
        let copy = input.try_clone().during(|| "cannot share a pipe".into())?;
        command.stderr(copy);
    }
    let mut child = command
        .stdout(input)
        .stdin(Stdio::null())
        .spawn()
        .during(|| "cannot run cargo".into())?;
    // It holds the pipe's other end, which would never be closed.
    drop(command);
    let (mut tally, mut failures) = (Tally::default(), Failures::default());
    for line in BufReader::new(output).split(b'\n') {
        let line = line.during(|| "cannot read cargo's output".into())?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        tally.add(test_result(&line).unwrap_or_default());
        failures.take(&line);
    }
    let status = child.wait().during(|| "cannot wait for cargo".into())?;
    Ok((with_status(tally, status.success()), failures))
}

/// The parts of cargo's output that are about failures, as far as their end is kept.
#[derive(Debug)]
struct Failures {
    tail: Tail,
    until: Option<End>,
}

/// The line that ends such a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Of the tests' reports: the summary.
    Summary,
    /// Of an error of cargo's or the compiler's: an empty line.
    Empty,
}

impl Default for Failures {
    fn default() -> Self {
        Self {
            tail: Tail::new(SHOWN_LINES),
            until: None,
        }
    }
}

impl Failures {
    fn take(&mut self, line: &str) {
        let begins_error = ["error", "Caused by:"]
            .iter()
            .any(|one| line.starts_with(one));
        self.until = match self.until {
            Some(End::Summary) if line.starts_with("test result: ") => None,
            Some(End::Empty) if line.is_empty() => None,
            None if line == "failures:" => Some(End::Summary),
            None if begins_error => Some(End::Empty),
            same => same,
        };
        if self.until.is_some() && !line.is_empty() {
            self.tail.write(format!("{line}\n").as_bytes());
        }
    }

    fn describe(&self) -> String {
        let text = self.tail.to_string();
        if text.is_empty() {
            text
        } else {
            format!("\ntests that failed:\n{text}")
        }
    }
}

fn with_status(mut tally: Tally, success: bool) -> Tally {
    if !success && tally.failed == 0 {
        tally.count(false);
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn summaries_are_added_up() {
        let script = "echo 'test result: ok. 2 passed; 0 failed; 0 ignored';
                      echo 'test result: ok. 3 passed; 1 failed; 0 ignored'; exit 101";
        assert_eq!(
            counted(shell(script)).unwrap().0,
            Tally {
                passed: 5,
                failed: 1
            }
        );
    }

    #[test]
    fn a_build_that_fails_is_a_failure() {
        assert_eq!(
            counted(shell("exit 101")).unwrap().0,
            Tally {
                passed: 0,
                failed: 1
            }
        );
    }

    #[test]
    fn what_is_said_about_failures_is_kept_and_nothing_else() {
        let output = "running 2 tests\ntest a ... FAILED\n\nfailures:\n\n---- a stdout ----\n\n\
            the reason\n\nfailures:\n    a\n\ntest result: FAILED. 1 passed; 1 failed\n\
            running 1 test\ntest b ... ok\n\ntest result: ok. 1 passed; 0 failed\n\
            error: test failed, to rerun pass `-p x`\n\nCaused by:\n  (signal: 6)\n\n   Doc-tests x\n";
        let mut failures = Failures::default();
        assert_eq!(failures.describe(), "");
        output.lines().for_each(|line| failures.take(line));
        let kept = "\ntests that failed:\n    failures:\n    ---- a stdout ----\n    the reason\n    \
            failures:\n        a\n    error: test failed, to rerun pass `-p x`\n    \
            Caused by:\n      (signal: 6)\n";
        assert_eq!(failures.describe(), kept);
    }

    #[test]
    fn failures_are_found_in_output_and_errors() {
        let script = "echo error: of cargo >&2; echo; echo failures:; echo ---- t ----; exit 101";
        let (_, failures) = counted(shell(script)).unwrap();
        let text = failures.describe();
        assert!(text.contains("---- t ----"), "{text}");
        assert!(
            io::stderr().is_terminal() || text.contains("of cargo"),
            "{text}"
        );
    }
}
