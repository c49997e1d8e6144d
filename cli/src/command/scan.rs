//! `vellum scan`: records in the order of their keys.

use std::ffi::OsString;
use std::io::Write;
use std::ops::Bound;

use clap::Args;
use vellum::{Range, ReadTransaction, Table};

use super::Place;
use crate::failure::Result;
use crate::open;
use crate::output::{Form, results};

/// Prints records, a line each: key, tab, value
///
/// In the order of the keys, bytewise, from one snapshot. What is printed can be imported.
#[derive(Args)]
pub(crate) struct Scan {
    #[command(flatten)]
    place: Place,
    /// Only keys that begin with this
    #[arg(long, value_name = "KEY", conflicts_with_all = ["from", "to"])]
    prefix: Option<OsString>,
    /// Only this key and those behind it
    #[arg(long, value_name = "KEY")]
    from: Option<OsString>,
    /// Only keys before this one
    #[arg(long, value_name = "KEY")]
    to: Option<OsString>,
    /// At most so many records
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// From the last key to the first
    #[arg(long)]
    reverse: bool,
    #[command(flatten)]
    form: Form,
}

impl Scan {
    pub(crate) fn run(self) -> Result<()> {
        let prefix = self.form.take_optional(self.prefix.as_ref())?;
        let from = self.form.take_optional(self.from.as_ref())?;
        let to = self.form.take_optional(self.to.as_ref())?;
        let db = open::for_reading(&self.place.database)?;
        let table = db.open_table(&self.place.table)?;
        let read = db.begin_read()?;
        let range = match prefix {
            Some(prefix) => read.prefix(&table, prefix)?,
            None => between(&read, &table, from, to)?,
        };
        let limit = self.limit.unwrap_or(usize::MAX);
        match self.reverse {
            true => self.form.print_records(range.rev().take(limit)),
            false => self.form.print_records(range.take(limit)),
        }
    }
}

fn between<'r>(
    read: &'r ReadTransaction,
    table: &Table,
    from: Option<Vec<u8>>,
    to: Option<Vec<u8>>,
) -> Result<Range<'r>> {
    let lower = from.map_or(Bound::Unbounded, Bound::Included);
    let upper = to.map_or(Bound::Unbounded, Bound::Excluded);
    Ok(read.range(table, (lower, upper))?)
}

type Entry<'r> = vellum::Result<(vellum::Key<'r>, vellum::Value<'r>)>;

impl Form {
    fn print_records<'r>(self, records: impl Iterator<Item = Entry<'r>>) -> Result<()> {
        let mut out = results();
        for record in records {
            let (key, value) = record?;
            self.print_line(&mut out, &[&key, &value])?;
        }
        Ok(out.flush()?)
    }
}
