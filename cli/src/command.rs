//! The subcommands.

mod backup;
mod get;
mod import;
mod put;
mod scan;
mod search;
mod stats;
mod vacuum;
mod verify;
mod wal_verify;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::demo::{Demo, DemoLoad};
use crate::failure::Result;

/// What all commands have in common, below each help text.
pub(crate) const AFTER_HELP: &str = "\
Keys and values are printed and taken as text on one line: tab, line feed, carriage return and \
backslash are \\t, \\n, \\r and \\\\, other control characters and bytes that are not UTF-8 are \
\\xNN. With --raw they are taken and printed as they are.

Exit code: 0 done; 1 refused, not found or damaged, with the reason on standard error; \
2 the command line is wrong.";

/// What can be done.
#[derive(Subcommand)]
pub(crate) enum Command {
    Demo(Demo),
    Get(get::Get),
    Put(put::Put),
    Scan(scan::Scan),
    Import(import::Import),
    Search(search::Search),
    Stats(stats::Stats),
    Vacuum(vacuum::Vacuum),
    Verify(verify::Verify),
    Backup(backup::Backup),
    Restore(backup::Restore),
    Wal(Wal),
    #[command(hide = true)]
    DemoLoad(DemoLoad),
}

impl Command {
    /// Does it.
    pub(crate) fn run(self) -> Result<()> {
        match self {
            Self::Demo(demo) => demo.run(),
            Self::Get(get) => get.run(),
            Self::Put(put) => put.run(),
            Self::Scan(scan) => scan.run(),
            Self::Import(import) => import.run(),
            Self::Search(search) => search.run(),
            Self::Stats(stats) => stats.run(),
            Self::Vacuum(vacuum) => vacuum.run(),
            Self::Verify(verify) => verify.run(),
            Self::Backup(backup) => backup.run(),
            Self::Restore(restore) => restore.run(),
            Self::Wal(Wal {
                command: WalCommand::Verify(verify),
            }) => verify.run(),
            Self::DemoLoad(load) => load.run(),
        }
    }
}

/// Looks into the log.
#[derive(Args)]
pub(crate) struct Wal {
    #[command(subcommand)]
    command: WalCommand,
}

#[derive(Subcommand)]
enum WalCommand {
    Verify(wal_verify::Verify),
}

/// A table of a database, as most commands name it.
#[derive(Args)]
struct Place {
    /// The database's directory
    #[arg(value_name = "DB")]
    database: PathBuf,
    /// The table's name
    table: String,
}
