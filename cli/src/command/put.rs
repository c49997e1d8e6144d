//! `vellum put`: writes one record.

use std::ffi::OsString;

use clap::Args;

use super::Place;
use crate::failure::Result;
use crate::open;
use crate::output::Form;

/// Writes a value at a key, in place of what stands there
///
/// Makes the database and the table where there is none. Durable when it returns. Vectors that the
/// record had are gone: a record is written as a whole.
#[derive(Args)]
pub(crate) struct Put {
    #[command(flatten)]
    place: Place,
    /// The key
    key: OsString,
    /// The value
    value: OsString,
    #[command(flatten)]
    form: Form,
}

impl Put {
    pub(crate) fn run(self) -> Result<()> {
        let (key, value) = (self.form.take(&self.key)?, self.form.take(&self.value)?);
        let db = open::for_writing(&self.place.database)?;
        let table = db.table(&self.place.table)?;
        db.transact(|txn| txn.insert(&table, &key, &value))?;
        Ok(db.close()?)
    }
}
