//! The `cargo xtask` program: parses the command line, runs the command, reports by exit code.

use std::process::ExitCode;

use clap::Parser;
use xtask::cli::{Cli, Command};
use xtask::error::Result;
use xtask::layout::Layout;
use xtask::{ci, crash, histories, licences, models, teeth, test, tidy};

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<bool> {
    let layout = Layout::discover()?;
    match command {
        Command::Test(options) => test::run(&layout, &options),
        Command::Models(options) => models::run(&layout, &options),
        Command::Teeth(options) => teeth::run(&layout, &options),
        Command::Crash(options) => crash::run(&layout, &options),
        Command::Histories(options) => histories::run(&layout, &options),
        Command::Tidy(_) => tidy::run(&layout),
        Command::Licences => licences::run(&layout),
        Command::Ci(options) => ci::run(&layout, &options),
    }
}
