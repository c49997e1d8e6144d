//! `vellum search`: the records whose vectors are nearest.

use std::ffi::OsString;
use std::io::Write;

use clap::Args;
use vellum::{ReadTransaction, Table};

use super::Place;
use crate::escape::escape;
use crate::failure::{Failure, Result};
use crate::open;
use crate::output::{Form, results};

/// Prints the records whose vectors are nearest, a line each: distance, tab, key, tab, value
///
/// Asks the index on the column; nearest first, what is near is told by the index's metric.
#[derive(Args)]
pub(crate) struct Search {
    #[command(flatten)]
    place: Place,
    /// The vector column
    column: String,
    #[command(flatten)]
    query: Query,
    /// At most so many records
    #[arg(short, value_name = "N", default_value_t = 10)]
    k: usize,
    #[command(flatten)]
    form: Form,
}

/// What the records should be near to.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct Query {
    /// Near to the vector of this record, which itself is not printed
    #[arg(long, value_name = "KEY")]
    like: Option<OsString>,
    /// Near to this vector
    #[arg(
        long,
        value_name = "X,Y,…",
        value_delimiter = ',',
        allow_hyphen_values = true
    )]
    vector: Vec<f32>,
}

impl Search {
    pub(crate) fn run(self) -> Result<()> {
        let like = self.form.take_optional(self.query.like.as_ref())?;
        let db = open::for_reading(&self.place.database)?;
        let table = db.open_table(&self.place.table)?;
        let read = db.begin_read()?;
        let query = match &like {
            Some(key) => self.vector_of(&read, &table, key)?,
            None => self.query.vector.clone(),
        };
        let search = read.search(&table, &self.column, &query)?;
        let search = search
            .k(self.k)
            .filter(|row| like.as_deref().is_none_or(|key| row.key() != key));
        let mut out = results();
        for hit in search.run()? {
            let distance = format!("{:.6}", hit.distance());
            self.form
                .print_line(&mut out, &[distance.as_bytes(), &hit.key(), &hit.value()])?;
        }
        Ok(out.flush()?)
    }

    fn vector_of(&self, read: &ReadTransaction, table: &Table, key: &[u8]) -> Result<Vec<f32>> {
        let (name, column, shown) = (&self.place.table, &self.column, escape(key));
        let Some(record) = read.get_record(table, key)? else {
            return Err(Failure::Refused(format!(
                "table `{name}` has no key `{shown}`"
            )));
        };
        let vector = record.vector(column).map(|vector| vector.to_vec());
        vector.ok_or_else(|| {
            Failure::Refused(format!(
                "`{shown}` of table `{name}` has no vector `{column}`"
            ))
        })
    }
}
