//! `vellum get`: the value of one key.

use std::ffi::OsString;
use std::io::Write;

use clap::Args;

use super::Place;
use crate::escape::escape;
use crate::failure::{Failure, Result};
use crate::open;
use crate::output::{Form, results};

/// Prints the value of a key
///
/// With --raw exactly the value's bytes are printed. A key that is not there is exit code 1.
#[derive(Args)]
pub(crate) struct Get {
    #[command(flatten)]
    place: Place,
    /// The key
    key: OsString,
    #[command(flatten)]
    form: Form,
}

impl Get {
    pub(crate) fn run(self) -> Result<()> {
        let key = self.form.take(&self.key)?;
        let db = open::for_reading(&self.place.database)?;
        let table = db.open_table(&self.place.table)?;
        let read = db.begin_read()?;
        let Some(value) = read.get(&table, &key)? else {
            let (table, key) = (&self.place.table, escape(&key));
            return Err(Failure::Refused(format!(
                "table `{table}` has no key `{key}`"
            )));
        };
        let mut out = results();
        self.form.print_value(&mut out, &value)?;
        Ok(out.flush()?)
    }
}
