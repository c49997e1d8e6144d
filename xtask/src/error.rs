//! The error of every command: a sentence for the developer, with what was being done.

use std::fmt;

/// What a command returns.
pub type Result<T> = std::result::Result<T, Error>;

/// A sentence that says what could not be done, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(String);

impl Error {
    /// An error that says `message`.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// Says what was being done when a foreign error came up.
pub trait Context<T> {
    /// Turns the error into `what: error`.
    ///
    /// # Errors
    ///
    /// The same as before, with `what` in front.
    fn during(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for std::result::Result<T, E> {
    fn during(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error(format!("{}: {error}", what())))
    }
}
