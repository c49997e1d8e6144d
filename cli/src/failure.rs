//! Why a command failed, and the exit code that says so.

use std::fmt;
use std::io;
use std::process::ExitCode;

/// See the rules of the command, 3 and 5.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The database, the system or a file's content refused.
    Refused(String),
    /// The command line cannot be right.
    Usage(String),
    /// Nobody reads the output any more.
    PipeClosed,
}

/// The result of a command and its parts.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// A refusal for this reason.
    pub(crate) fn refused(reason: impl fmt::Display) -> Self {
        Self::Refused(reason.to_string())
    }

    /// What the system said while `what` was being done.
    pub(crate) fn io(what: impl fmt::Display, error: &io::Error) -> Self {
        Self::Refused(format!("{what}: {error}"))
    }

    /// What to print, if anything.
    pub(crate) fn message(&self) -> Option<&str> {
        match self {
            Self::Refused(message) | Self::Usage(message) => Some(message),
            Self::PipeClosed => None,
        }
    }

    /// The exit code.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Refused(_) => ExitCode::from(1),
            Self::Usage(_) => ExitCode::from(2),
            Self::PipeClosed => ExitCode::SUCCESS,
        }
    }
}

impl From<vellum::Error> for Failure {
    fn from(error: vellum::Error) -> Self {
        Self::refused(error)
    }
}

/// Of writing to standard output; files have [`Failure::io`].
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::PipeClosed,
            _ => Self::io("standard output", &error),
        }
    }
}
