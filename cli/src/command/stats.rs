//! `vellum stats`: what a database holds.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use vellum::{Database, LogStats, PageStats};

use crate::failure::{Failure, Result};
use crate::open;
use crate::output::results;

/// Prints what a database holds: tables, indexes, records, sizes
#[derive(Args)]
pub(crate) struct Stats {
    /// The database's directory
    #[arg(value_name = "DB")]
    database: PathBuf,
    /// Open it for writing, which probes the disk, and print how commits reach that
    #[arg(long)]
    probe: bool,
}

impl Stats {
    pub(crate) fn run(self) -> Result<()> {
        let (db, opened) = self.open()?;
        let mut out = results();
        let stats = db.stats()?;
        writeln!(
            out,
            "files              {} bytes",
            bytes_of_files(&self.database)?
        )?;
        writeln!(
            out,
            "opened in          {:.1} ms",
            opened.as_secs_f64() * 1e3
        )?;
        writeln!(out, "last commit        {}", stats.settled)?;
        writeln!(
            out,
            "records in memory  {} bytes, all versions",
            stats.version_bytes
        )?;
        print_pages(&mut out, &stats.pages)?;
        print_tables(&mut out, &db)?;
        if let Some(log) = &stats.log {
            print_log(&mut out, log)?;
        }
        Ok(out.flush()?)
    }

    /// Opens the database; tells how long that took.
    fn open(&self) -> Result<(Database, Duration)> {
        if self.probe {
            // Opening for writing would make what is not there.
            open::for_reading(&self.database)?.close()?;
        }
        let begun = Instant::now();
        let db = match self.probe {
            true => open::for_writing(&self.database)?,
            false => open::for_reading(&self.database)?,
        };
        Ok((db, begun.elapsed()))
    }
}

fn print_pages(out: &mut impl Write, pages: &PageStats) -> Result<()> {
    writeln!(
        out,
        "pages              {} bytes, {} in use, {} pages held by old snapshots; checkpoint {}, with all \
         commits up to {}",
        pages.file_bytes, pages.used_bytes, pages.held_pages, pages.checkpoint, pages.merged
    )?;
    writeln!(
        out,
        "pool               {} of {} bytes, {} read from the file, {:.1} % found in memory",
        pages.pool_bytes,
        pages.pool_budget_bytes,
        pages.pool_misses,
        pages.hit_rate() * 100.0
    )?;
    Ok(())
}

fn print_tables(out: &mut impl Write, db: &Database) -> Result<()> {
    let read = db.begin_read()?;
    for name in read.list_tables() {
        let table = db.open_table(&name)?;
        let mut records = 0u64;
        for record in read.iter(&table)? {
            record?;
            records += 1;
        }
        let compressed = match db.table_options(&table)?.is_compressed() {
            true => ", compressed",
            false => "",
        };
        writeln!(out, "table `{name}`: {records} records{compressed}")?;
        for index in read.list_indexes(&table)? {
            let (column, plugin) = (&index.column, &index.plugin);
            let (dimension, metric) = (index.dimension, index.metric);
            writeln!(
                out,
                "  index `{column}`: {plugin}, {dimension} dimensions, {metric}"
            )?;
        }
    }
    Ok(())
}

fn print_log(out: &mut impl Write, log: &LogStats) -> Result<()> {
    match log.durable_writes {
        Some(how) => writeln!(out, "durable writes     {how:?}")?,
        None => writeln!(out, "durable writes     not known")?,
    }
    match log.mapped_writes {
        Some(how) => writeln!(out, "buffered commits   {how:?}")?,
        None => writeln!(out, "buffered commits   not known")?,
    }
    match log.batched {
        Some(how) => writeln!(out, "batched reads      {how:?}")?,
        None => writeln!(out, "batched reads      not known")?,
    }
    Ok(())
}

fn bytes_of_files(directory: &Path) -> Result<u64> {
    let failed = |error| Failure::io(format_args!("`{}`", directory.display()), &error);
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        bytes += entry
            .and_then(|entry| entry.metadata())
            .map_err(failed)?
            .len();
    }
    Ok(bytes)
}
