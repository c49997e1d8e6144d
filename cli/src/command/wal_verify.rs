//! `vellum wal verify`: reads and checks all of the log.
//!
//! The log's own files are judged, without opening the database: that would refuse at the first
//! damage, and this is to say what was found before it. The shared lock is held, so no writer
//! changes them meanwhile.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use vellum::disk::{DirDisk, Disk, Lock, LockMode};
use vellum_wal::Report;

use crate::failure::{Failure, Result};
use crate::output::results;

/// Reads all of the log and checks it, changing nothing
///
/// Prints what each file holds. Damage is exit code 1, with file, offset and what was found there.
/// What a crash left unfinished at the end is no damage: opening passes over it.
#[derive(Args)]
pub(crate) struct Verify {
    /// The database's directory
    #[arg(value_name = "DB")]
    database: PathBuf,
}

impl Verify {
    pub(crate) fn run(self) -> Result<()> {
        let (disk, _lock) = self.lock()?;
        let report = vellum_wal::verify(&disk, None, None, None).map_err(Failure::refused)?;
        let mut out = results();
        print(&mut out, &report)?;
        out.flush()?;
        match report.damage {
            Some(damage) => Err(Failure::Refused(format!("the log is damaged: {damage}"))),
            None => Ok(()),
        }
    }

    fn lock(&self) -> Result<(DirDisk, Box<dyn Lock>)> {
        let path = self.database.display();
        let failed = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                Failure::Refused(format!("there is no database at `{path}`"))
            }
            std::io::ErrorKind::WouldBlock => {
                Failure::Refused(format!("`{path}` is open elsewhere already"))
            }
            _ => Failure::io(format_args!("`{path}`"), &error),
        };
        let disk = DirDisk::open_read_only(&self.database).map_err(failed)?;
        let names = disk.list().map_err(failed)?;
        if !names.iter().any(|name| vellum_wal::is_log_file(name)) {
            return Err(Failure::Refused(format!(
                "there is no log of Vellum's in `{path}`"
            )));
        }
        let lock = disk.lock(LockMode::Shared).map_err(failed)?;
        Ok((disk, lock))
    }
}

fn print(out: &mut impl Write, report: &Report) -> Result<()> {
    for segment in &report.segments {
        let (groups, records) = (segment.groups, segment.records);
        let (file, bytes, opening) = (&segment.file, segment.payload_bytes, segment.incarnation);
        writeln!(
            out,
            "{file}: opening {opening}, {groups} groups, {records} records, {bytes} bytes"
        )?;
    }
    let (commits, large, openings) = (report.commits, report.large, report.incarnations);
    writeln!(
        out,
        "{commits} commits, {large} of them large, in {openings} openings for writing"
    )?;
    if let Some(contents) = &report.contents {
        let end = if contents.closed {
            "closed properly"
        } else {
            "not closed: a crash, or a kill"
        };
        writeln!(
            out,
            "last commit {}, end {}, {end}",
            contents.last, contents.end
        )?;
        writeln!(out, "no damage")?;
    }
    Ok(())
}
