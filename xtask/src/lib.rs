//! Development commands of the workspace: `cargo xtask test`, `models`, `teeth`, `crash`, `histories`,
//! `tidy`, `licences`, `ci`.
//!
//! For developers and continuous integration only; nothing in the product depends on it. It needs
//! the Rust toolchain, a C compiler and git, and nothing else.
//!
//! 1. A command ends with one line of figures, and its exit code is zero exactly when nothing
//!    failed.
//! 2. Nothing found is never success: a run without a test, a model, a mutant, a crash state or a
//!    transaction is a
//!    failure.
//! 3. What decides (parsing, selecting, counting, judging) is a pure function with tests; what
//!    starts processes is thin.

pub mod binaries;
pub mod child;
pub mod ci;
pub mod cli;
pub mod counted;
pub mod crash;
pub mod error;
pub mod figures;
pub mod histories;
pub mod layout;
pub mod licences;
pub mod mode;
pub mod models;
pub mod sweep;
pub mod tail;
pub mod teeth;
pub mod test;
pub mod tidy;
