//! `vellum verify`: looks at all files of a database.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use vellum::{Options, VerifyReport};

use crate::failure::{Failure, Result};
use crate::output::results;

/// Checks all files of a database, changing nothing
///
/// Prints what each table consists of. Damage is exit code 1, with file, offset, what was found there
/// and what is lost, of each damaged place. Nobody may have the database open for writing.
#[derive(Args)]
pub(crate) struct Verify {
    /// The database's directory
    #[arg(value_name = "DB")]
    database: PathBuf,
}

impl Verify {
    pub(crate) fn run(self) -> Result<()> {
        let report = Options::new().verify(&self.database)?;
        let mut out = results();
        print(&mut out, &report)?;
        out.flush()?;
        refuse_damage(&report)
    }
}

/// Damage as a failure, place by place.
pub(crate) fn refuse_damage(report: &VerifyReport) -> Result<()> {
    if report.is_clean() {
        return Ok(());
    }
    let places: Vec<String> = report.damage.iter().map(ToString::to_string).collect();
    let (count, places) = (places.len(), places.join("\n  "));
    Err(Failure::Refused(format!(
        "the database is damaged, in {count} places:\n  {places}"
    )))
}

fn print(out: &mut impl Write, report: &VerifyReport) -> Result<()> {
    for table in &report.tables {
        let what = match &table.index_of {
            None => "table".to_owned(),
            Some(of) => format!("index of `{of}`,"),
        };
        writeln!(
            out,
            "{what} `{}`: {} records ({} large) in {} pages, {} bytes",
            table.name, table.records, table.large_records, table.pages, table.page_bytes
        )?;
    }
    writeln!(
        out,
        "checkpoint {}: {} records up to commit {}, in {} pages, {} bytes",
        report.checkpoint,
        report.records(),
        report.merged,
        report.pages,
        report.page_bytes
    )?;
    if let Some(log) = &report.log {
        writeln!(
            out,
            "log: {} commits in {} files, {} bytes, last commit {}",
            log.commits, log.files, log.bytes, log.last
        )?;
    }
    if report.is_clean() {
        writeln!(out, "no damage")?;
    }
    Ok(())
}
