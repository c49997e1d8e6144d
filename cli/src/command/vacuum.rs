//! `vellum vacuum`: gives disk space back.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::failure::Result;
use crate::open;
use crate::output::results;

/// Makes the database's file of pages as short as it can be
///
/// Removed records leave room that the database uses again by itself; this gives it back to the disk.
/// Nobody else may have the database open. (A program calls `Database::vacuum` while it uses it.)
#[derive(Args)]
pub(crate) struct Vacuum {
    /// The database's directory
    #[arg(value_name = "DB")]
    database: PathBuf,
}

impl Vacuum {
    pub(crate) fn run(self) -> Result<()> {
        // Opening for writing would make what is not there.
        open::for_reading(&self.database)?.close()?;
        let db = open::for_writing(&self.database)?;
        let report = db.vacuum()?;
        db.close()?;
        let mut out = results();
        writeln!(
            out,
            "pages: {} bytes, were {}; {} in use; {} bytes of pages moved in {} steps",
            report.bytes, report.bytes_before, report.used_bytes, report.moved_bytes, report.steps
        )?;
        Ok(out.flush()?)
    }
}
