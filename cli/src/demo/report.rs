//! What the demonstration prints: steps, remarks, proofs, and the summary of the proofs.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};

use crate::failure::{Failure, Result};

/// Where all else stands.
const INDENT: &str = "   ";

/// Prints as it goes, and remembers what was proved.
pub(super) struct Report {
    out: Box<dyn Write>,
    steps: usize,
    proofs: Vec<Proof>,
}

struct Proof {
    holds: bool,
    what: &'static str,
}

impl Report {
    /// Prints to `out`.
    pub(super) fn new(out: impl Write + 'static) -> Self {
        Self {
            out: Box::new(out),
            steps: 0,
            proofs: Vec::new(),
        }
    }

    /// Begins a step.
    pub(super) fn step(&mut self, title: &str) -> Result<()> {
        self.steps += 1;
        Ok(writeln!(self.out, "\n{}. {title}", self.steps)?)
    }

    /// A line.
    pub(super) fn say(&mut self, text: &str) -> Result<()> {
        Ok(writeln!(
            self.out,
            "{}",
            format!("{INDENT}{text}").trim_end()
        )?)
    }

    /// Notes whether something that was promised holds.
    pub(super) fn prove(&mut self, holds: bool, what: &'static str, how: &str) -> Result<()> {
        self.say(&format!("[{}] {what}: {how}", mark(holds)))?;
        self.proofs.push(Proof { holds, what });
        Ok(())
    }

    /// Each proof once, and whether all of them hold.
    pub(super) fn conclude(&mut self) -> Result<()> {
        let out = &mut self.out;
        writeln!(out, "\nShown")?;
        let mut told: Vec<&str> = Vec::new();
        for Proof { what, .. } in &self.proofs {
            if told.contains(what) {
                continue;
            }
            told.push(what);
            let same = || self.proofs.iter().filter(|proof| proof.what == *what);
            let times = match same().count() {
                1 => String::new(),
                count => format!(" ({count} times)"),
            };
            writeln!(
                out,
                "{INDENT}[{}] {what}{times}",
                mark(same().all(|proof| proof.holds))
            )?;
        }
        match self.proofs.iter().filter(|proof| !proof.holds).count() {
            0 => Ok(()),
            failed => Err(Failure::Refused(format!(
                "{failed} of the demo's proofs failed"
            ))),
        }
    }
}

fn mark(holds: bool) -> &'static str {
    if holds { "ok" } else { "FAILED" }
}

/// How far the load is: a bar on a terminal, else a line now and then.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    total: usize,
    told: usize,
}

/// Without a terminal, a line for each of so many parts.
const PARTS: usize = 10;

impl Progress {
    pub(super) fn new(total: usize) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("   {bar:40} {pos} of {len} packages");
            ProgressBar::new(total as u64).with_style(style.unwrap_or(ProgressStyle::default_bar()))
        });
        Self {
            bar,
            total,
            told: 0,
        }
    }

    /// So many are acknowledged.
    pub(super) fn reached(&mut self, packages: usize) -> Result<()> {
        if let Some(bar) = &self.bar {
            bar.set_position(packages as u64);
            return Ok(());
        }
        let part = packages * PARTS / self.total.max(1);
        if part > self.told {
            self.told = part;
            let (packages, total) = (grouped(packages as u64), grouped(self.total as u64));
            writeln!(io::stdout(), "{INDENT}{packages} of {total} packages")?;
        }
        Ok(())
    }

    /// Takes the bar away, so that lines can be printed.
    pub(super) fn pause(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Shows the bar again.
    pub(super) fn resume(&self) {
        if let Some(bar) = &self.bar {
            bar.reset();
        }
    }
}

/// A number with its thousands apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        let texts = [0, 999, 1000, 12_345, 1_000_000].map(grouped);
        assert_eq!(texts, ["0", "999", "1,000", "12,345", "1,000,000"]);
    }

    #[test]
    fn one_failed_proof_is_a_failure() {
        let mut report = Report::new(io::sink());
        report.prove(true, "a", "seen").unwrap();
        assert!(report.conclude().is_ok());
        report.prove(false, "b", "not seen").unwrap();
        report.prove(true, "b", "seen").unwrap();
        assert!(matches!(report.conclude(), Err(Failure::Refused(_))));
    }
}
