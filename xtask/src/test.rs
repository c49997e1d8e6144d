//! `cargo xtask test`: every test of the workspace, documentation tests included, then the bounded
//! models.
//!
//! 1. It needs nothing but the toolchain.
//! 2. All tests run even if one fails; the figures are those of cargo's own summaries, and a cargo
//!    run that fails without a failed test (it did not build, say) counts as one failure.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::cli::{ModelOptions, TestOptions};
use crate::error::{Context, Error, Result};
use crate::figures::{Tally, test_result};
use crate::layout::Layout;
use crate::mode::{Effort, Mode};
use crate::models;

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
    tally.add(counted(command)?);
    let models = models::check(
        layout,
        &ModelOptions {
            filter: None,
            long: options.long,
        },
    )?;
    println!("models: {models}");
    tally.add(models);
    println!("{tally}");
    Ok(tally.is_success())
}

/// Runs `cargo test` with its output passed through, and counts its summaries.
///
/// # Errors
///
/// When cargo cannot be started.
pub fn counted(mut command: Command) -> Result<Tally> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .during(|| "cannot run cargo".into())?;
    let output = child
        .stdout
        .take()
        .ok_or_else(|| Error::new("cargo has no output"))?;
    let mut tally = Tally::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = line.during(|| "cannot read cargo's output".into())?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        tally.add(test_result(&line).unwrap_or_default());
    }
    let status = child.wait().during(|| "cannot wait for cargo".into())?;
    Ok(with_status(tally, status.success()))
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
            counted(shell(script)).unwrap(),
            Tally {
                passed: 5,
                failed: 1
            }
        );
    }

    #[test]
    fn a_build_that_fails_is_a_failure() {
        assert_eq!(
            counted(shell("exit 101")).unwrap(),
            Tally {
                passed: 0,
                failed: 1
            }
        );
    }
}
