//! Running the real `vellum` binary in a directory of the test's own.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

/// A directory for one test; databases in it are called by name.
pub(crate) struct Place(TempDir);

impl Place {
    /// A new, empty directory.
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file in it.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The command, in this directory, with these arguments.
    pub(crate) fn command(&self, arguments: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vellum"));
        command.args(arguments).current_dir(self.0.path());
        command
    }

    /// Runs the command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that must succeed and say nothing on standard error; returns what it printed.
    pub(crate) fn done(&self, arguments: &[&str]) -> String {
        let Output {
            status,
            stdout,
            stderr,
        } = self.run(arguments);
        let said = String::from_utf8_lossy(&stderr);
        assert!(
            status.success() && said.is_empty(),
            "{arguments:?}: {status}: {said}"
        );
        String::from_utf8(stdout).unwrap()
    }

    /// Runs a command that must end with this code; returns what it says, having printed nothing.
    pub(crate) fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let Output {
            status,
            stdout,
            stderr,
        } = self.run(arguments);
        let (printed, said) = (
            String::from_utf8_lossy(&stdout),
            String::from_utf8_lossy(&stderr),
        );
        assert_eq!(status.code(), Some(code), "{arguments:?}: {printed}{said}");
        assert_eq!(printed, "", "{arguments:?}");
        said.into_owned()
    }
}
