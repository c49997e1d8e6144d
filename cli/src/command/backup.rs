//! `vellum backup` and `vellum restore`: copying whole databases.
//!
//! A backup is a database of its own, so both copy; a restore looks at the backup first and at what came
//! of it last. Neither writes over anything.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use vellum::Options;

use super::verify::refuse_damage;
use crate::failure::Result;
use crate::open;
use crate::output::results;

/// Copies a database to a new directory
///
/// The copy is a database of its own, compact, and opens like any other. The original is only read;
/// nobody may have it open for writing. (A program backs its own database up while it uses it.)
#[derive(Args)]
pub(crate) struct Backup {
    /// The database's directory
    #[arg(value_name = "DB")]
    database: PathBuf,
    /// Where the backup is to be; nothing may be there
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
}

/// Makes a database of a backup, having checked it
///
/// A backup that is damaged, or that was not finished, is refused. The backup stays as it is.
#[derive(Args)]
pub(crate) struct Restore {
    /// The backup's directory
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    /// Where the database is to be; nothing may be there
    #[arg(value_name = "DB")]
    database: PathBuf,
}

impl Backup {
    pub(crate) fn run(self) -> Result<()> {
        copy(&self.database, &self.backup, "backed up")
    }
}

impl Restore {
    pub(crate) fn run(self) -> Result<()> {
        refuse_damage(&Options::new().verify(&self.backup)?)?;
        copy(&self.backup, &self.database, "restored")?;
        refuse_damage(&Options::new().verify(&self.database)?)
    }
}

fn copy(from: &Path, to: &Path, done: &str) -> Result<()> {
    let at = open::for_reading(from)?.backup(to)?;
    let mut out = results();
    writeln!(out, "{done} to `{}`: all up to commit {at}", to.display())?;
    Ok(out.flush()?)
}
