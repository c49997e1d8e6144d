//! The `vellum` command: everyday work on a database from a shell, and the demonstration.
//!
//! Rules:
//!
//! 1. One file per subcommand, in `command`; each is a `clap` argument structure with a `run`.
//! 2. Results go to standard output, everything else to standard error.
//! 3. Exit code 0: done. 1: refused, not found, or damaged, with the reason on standard error.
//!    2: the command line itself is wrong.
//! 4. What only reads opens the database read-only, and so changes nothing.
//! 5. A reader that closes the pipe (`vellum scan … | head`) is no error.

mod command;
mod demo;
mod escape;
mod failure;
mod open;
mod output;
mod vectors;

use std::process::ExitCode;

use clap::Parser;

use crate::command::Command;

/// Works on databases of Vellum, an embeddable transactional store for records and vectors.
///
/// A database is a directory. Begin with `vellum demo`.
#[derive(Parser)]
#[command(name = "vellum", version, after_help = command::AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Does what the command line says.
#[must_use]
pub fn main() -> ExitCode {
    let Err(failure) = Cli::parse().command.run() else {
        return ExitCode::SUCCESS;
    };
    if let Some(message) = failure.message() {
        eprintln!("vellum: {message}");
    }
    failure.exit_code()
}
