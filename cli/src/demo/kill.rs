//! Running the loader as a child process, and killing it in mid-load.
//!
//! Rules:
//!
//! 1. What the child has printed is acknowledged, also what stood in the pipe when it was killed:
//!    the pipe is read to its end.
//! 2. The child must have died of the signal. One that ended by itself proves nothing, and is an
//!    error.
//! 3. The child's input stays open until it is dead: it takes its end for that of its parent.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::load::{Acknowledged, Rate};
use crate::failure::{Failure, Result};

/// The number of SIGKILL on every Linux.
const SIGKILL: i32 = 9;

/// One life of the loader.
pub(super) struct Life<'a> {
    pub(super) directory: &'a Path,
    pub(super) packages: usize,
    pub(super) rate: Rate,
    /// It is killed when so many batches are acknowledged.
    pub(super) killed_after: usize,
    /// It would load so many.
    pub(super) batches: usize,
}

impl Life<'_> {
    /// Runs the loader until it is killed; returns what it acknowledged.
    pub(super) fn run(
        &self,
        mut watch: impl FnMut(&[Acknowledged]) -> Result<()>,
    ) -> Result<Vec<Acknowledged>> {
        let failed = |error| Failure::io("the loader", &error);
        let mut child = self.spawn().map_err(failed)?;
        // Rule 3.
        let input = child.stdin.take();
        let mut acknowledged = Vec::new();
        if let Some(output) = child.stdout.take() {
            for line in BufReader::new(output).lines() {
                let line = line.map_err(failed)?;
                let one = Acknowledged::parse(&line);
                acknowledged.push(one.ok_or_else(|| {
                    Failure::Refused(format!("the loader said `{line}`, which is no line of its"))
                })?);
                if acknowledged.len() == self.killed_after {
                    child.kill().map_err(failed)?;
                }
                watch(&acknowledged)?;
            }
        }
        let status = child.wait().map_err(failed)?;
        drop(input);
        match status.signal() {
            Some(SIGKILL) => Ok(acknowledged),
            _ => Err(Failure::Refused(format!(
                "the loader ended before it was killed: {status}"
            ))),
        }
    }

    fn spawn(&self) -> std::io::Result<Child> {
        Command::new(std::env::current_exe()?)
            .arg("demo-load")
            .arg(self.directory)
            .args(["--packages", &self.packages.to_string()])
            .args(["--batches", &self.batches.to_string()])
            .args(["--rate", &self.rate.0.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
    }
}
