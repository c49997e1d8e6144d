//! The `vellum` command: everything is in the library beside it, where unit tests reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    vellum_cli::main()
}
