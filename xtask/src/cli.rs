//! The command line. README and CONTRIBUTING name these commands; `tidy` checks that they exist.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Development commands of the Vellum workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run all tests of the workspace, documentation tests and bounded models included.
    Test(TestOptions),
    /// Run the models under loom and shuttle, each in a process of its own.
    Models(ModelOptions),
    /// Break the code with each mutant and see its test fail.
    Teeth(TeethOptions),
    /// Reopen the states that a crash may leave, and kill real processes.
    Crash(CrashOptions),
    /// Check what random transactions saw, on real threads and across crashes.
    Histories(HistoryOptions),
    /// Check style, layering, links and the mutants' headers.
    Tidy(TidyOptions),
    /// Check the dependencies' licences, sources and required Rust versions.
    Licences,
    /// Everything that continuous integration runs.
    Ci(CiOptions),
}

/// Options of `test`.
#[derive(Debug, Clone, Default, Args)]
pub struct TestOptions {
    /// More property cases, more schedules, higher bounds.
    #[arg(long)]
    pub long: bool,
}

/// Options of `models`.
#[derive(Debug, Clone, Default, Args)]
pub struct ModelOptions {
    /// Run only models whose `mode::binary::test` name contains this.
    pub filter: Option<String>,
    /// Higher bounds: an hour or two instead of minutes.
    #[arg(long)]
    pub long: bool,
}

/// Options of `teeth`.
#[derive(Debug, Clone, Default, Args)]
pub struct TeethOptions {
    /// Run only mutants whose file name contains this; all of them, whatever they touch.
    pub filter: Option<String>,
    /// Run every mutant.
    #[arg(long, alias = "long")]
    pub all: bool,
    /// The revision against which files count as changed.
    #[arg(long, value_name = "REV")]
    pub changed: Option<String>,
    /// How many mutants that touch no changed file run in rotation.
    #[arg(long, default_value_t = 4)]
    pub rotation: usize,
    /// Start no further mutant after this many seconds, unless all were asked for.
    #[arg(long, default_value_t = 150)]
    pub seconds: u64,
}

/// Options of `crash`.
#[derive(Debug, Clone, Default, Args)]
pub struct CrashOptions {
    /// Run only crash tests whose `package::binary` name contains this.
    pub filter: Option<String>,
    /// Many more states.
    #[arg(long)]
    pub long: bool,
}

/// Options of `histories`.
#[derive(Debug, Clone, Default, Args)]
pub struct HistoryOptions {
    /// Run only tests whose `package::binary` name contains this.
    pub filter: Option<String>,
    /// Many more transactions.
    #[arg(long)]
    pub long: bool,
    /// Write a history of lists to this file, in the format of Elle, and run no more than that takes.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["filter", "long"])]
    pub elle: Option<PathBuf>,
}

/// Options of `tidy`.
#[derive(Debug, Clone, Default, Args)]
pub struct TidyOptions {
    /// The same as without: the tree is always checked whole.
    #[arg(long)]
    pub long: bool,
}

/// Options of `ci`.
#[derive(Debug, Clone, Default, Args)]
pub struct CiOptions {
    /// Run only steps whose name contains this.
    pub filter: Option<String>,
    /// Print the steps and what each would run.
    #[arg(long)]
    pub list: bool,
}
