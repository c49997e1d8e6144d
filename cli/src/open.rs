//! Opening the database that a command names.

use std::path::Path;

use vellum::{Database, Options};

use crate::failure::Result;

/// For commands that only read: nothing is created or changed, other readers may be beside.
pub(crate) fn for_reading(path: &Path) -> Result<Database> {
    Ok(Options::new().read_only(true).open(path)?)
}

/// For commands that write; makes the database where there is none.
pub(crate) fn for_writing(path: &Path) -> Result<Database> {
    Ok(Options::new().open(path)?)
}
