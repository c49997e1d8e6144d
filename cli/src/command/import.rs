//! `vellum import`: writes the records of a file.
//!
//! Rules:
//!
//! 1. The file has one record a line: key, tab, value; the last line may lack its end. Escapes are
//!    those of [`crate::escape`], so a tab inside is written `\t`; a second tab, like a line without
//!    one, is refused.
//! 2. Vectors come from a second file, one for each line, in its order.
//! 3. Everything is read and checked once before anything is written; so a mistake in a file leaves
//!    the database as it was.
//! 4. A table that is not there yet is loaded as a whole, or not at all. Into one that is there, records
//!    are written in commits of some thousand, each wholly or not at all. If one fails, the message
//!    tells how many lines stand.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use vellum::{Database, Error, Exact, Metric, Record, Table, TableOptions, Transaction};

use super::Place;
use crate::escape::unescape;
use crate::failure::{Failure, Result};
use crate::open;
use crate::output::results;
use crate::vectors::VectorReader;

/// Writes the records of a file: a line each, key, tab, value
///
/// Tabs, line feeds and backslashes inside keys and values are written \t, \n and \\, other bytes as
/// they are or as \xNN. Makes the database and the table where there is none; a new table is there with all
/// records or not at all. Of several lines with one key the last one is kept. With --vectors, line
/// by line a vector is read beside; if the column has no index, an exact one is made.
#[derive(Args)]
pub(crate) struct Import {
    #[command(flatten)]
    place: Place,
    /// The file of records
    file: PathBuf,
    /// A file of vectors, as many as FILE has lines: u32 rows, u32 dimension, then the numbers,
    /// little-endian; the name ends in .f16bin or .f32bin
    #[arg(long, value_name = "FILE", requires = "column")]
    vectors: Option<PathBuf>,
    /// The vectors' column
    #[arg(long, value_name = "NAME", requires = "vectors")]
    column: Option<String>,
    /// The dimension that the vectors must have [default: as the file says]
    #[arg(long, value_name = "N", requires = "vectors")]
    dimension: Option<usize>,
    /// What is near, if an index is made
    #[arg(long, value_enum, default_value_t = Near::Cosine, requires = "vectors")]
    metric: Near,
    /// Compress the table, if it is made
    #[arg(long)]
    compress: bool,
    /// Records in one commit, if the table is there already
    #[arg(long, value_name = "N", default_value_t = 1000,
        value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
}

/// The metrics by their names on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Near {
    L2,
    Cosine,
    InnerProduct,
}

impl From<Near> for Metric {
    fn from(near: Near) -> Self {
        match near {
            Near::L2 => Self::L2,
            Near::Cosine => Self::Cosine,
            Near::InnerProduct => Self::InnerProduct,
        }
    }
}

impl Import {
    pub(crate) fn run(self) -> Result<()> {
        let lines = self.check()?;
        let db = open::for_writing(&self.place.database)?;
        let written = match db.open_table(&self.place.table) {
            Ok(table) => self.write_all(&db, &table, lines)?,
            Err(Error::UnknownTable { .. }) => self.load(&db)?,
            Err(error) => return Err(error.into()),
        };
        db.close()?;
        writeln!(
            results(),
            "{written} records imported into `{}`",
            self.place.table
        )?;
        Ok(())
    }

    /// Rule 4, for a table that is not there; returns how many records were given.
    fn load(&self, db: &Database) -> Result<usize> {
        let options = TableOptions::new().compressed(self.compress);
        let mut load = db.bulk_load_with(&self.place.table, options)?;
        let mut source = self.source()?;
        let mut given = 0;
        while let Some(line) = source.next()? {
            let record = self.record(&line);
            load.insert_record(&line.key, record).map_err(|error| {
                let number = line.number;
                Failure::Refused(format!("line {number}: {error} (nothing is written)"))
            })?;
            given += 1;
        }
        let (table, _) = load.finish()?;
        self.make_index(db, &table)?;
        Ok(given)
    }

    /// The same for one that is.
    fn write_all(&self, db: &Database, table: &Table, lines: usize) -> Result<usize> {
        self.make_index(db, table)?;
        let mut source = self.source()?;
        let mut written = 0;
        while let batch @ 1.. = self
            .write_batch(db, table, &mut source)
            .map_err(|failure| {
                let why = failure.message().unwrap_or_default();
                Failure::Refused(format!(
                    "{why} (the first {written} of {lines} records are written)"
                ))
            })?
        {
            written += batch;
        }
        Ok(written)
    }

    /// Rule 3; returns the number of lines.
    fn check(&self) -> Result<usize> {
        let mut source = self.source()?;
        let mut lines = 0;
        while source.next()?.is_some() {
            lines += 1;
        }
        let Some(vectors) = &source.vectors else {
            return Ok(lines);
        };
        let (rows, found) = (vectors.rows(), vectors.dimension());
        if rows != lines {
            let why = format!("there are {rows} vectors for {lines} records");
            return Err(Failure::Refused(why));
        }
        match self.dimension {
            Some(expected) if expected != found => Err(Failure::Refused(format!(
                "the vectors have {found} dimensions, not {expected}"
            ))),
            _ => Ok(lines),
        }
    }

    fn source(&self) -> Result<Source> {
        let name = self.file.display().to_string();
        let file = File::open(&self.file)
            .map_err(|error| Failure::io(format_args!("`{name}`"), &error))?;
        let vectors = self
            .vectors
            .as_deref()
            .map(VectorReader::open)
            .transpose()?;
        Ok(Source {
            lines: BufReader::new(file),
            name,
            line: 0,
            vectors,
        })
    }

    fn make_index(&self, db: &Database, table: &Table) -> Result<()> {
        let (Some(column), Some(path)) = (&self.column, &self.vectors) else {
            return Ok(());
        };
        if db
            .list_indexes(table)?
            .iter()
            .any(|index| index.column == *column)
        {
            return Ok(());
        }
        let dimension = VectorReader::open(path)?.dimension();
        Ok(db.create_index(table, column, Exact::new(dimension, self.metric.into()))?)
    }

    /// Writes the next records in one commit; returns how many.
    fn write_batch(&self, db: &Database, table: &Table, source: &mut Source) -> Result<usize> {
        let mut txn = db.begin()?;
        let mut written = 0;
        while written < self.batch as usize {
            let Some(line) = source.next()? else { break };
            self.write(&mut txn, table, &line)?;
            written += 1;
        }
        txn.commit()?;
        Ok(written)
    }

    fn write(&self, txn: &mut Transaction, table: &Table, line: &Line) -> Result<()> {
        txn.insert_record(table, &line.key, self.record(line))
            .map_err(|error| Failure::Refused(format!("line {}: {error}", line.number)))
    }

    fn record<'l>(&'l self, line: &'l Line) -> Record<'l> {
        let record = Record::new(&line.value);
        match &self.column {
            Some(column) => record.vector(column, &line.vector),
            None => record,
        }
    }
}

/// Both files, read in step.
struct Source {
    lines: BufReader<File>,
    name: String,
    line: usize,
    vectors: Option<VectorReader<BufReader<File>>>,
}

/// One record of the files.
struct Line {
    number: usize,
    key: Vec<u8>,
    value: Vec<u8>,
    vector: Vec<f32>,
}

impl Source {
    fn next(&mut self) -> Result<Option<Line>> {
        let mut text = Vec::new();
        let failed = |error| Failure::io(format_args!("`{}`", self.name), &error);
        if self.lines.read_until(b'\n', &mut text).map_err(failed)? == 0 {
            return Ok(None);
        }
        self.line += 1;
        let number = self.line;
        let (key, value) = parse(text.strip_suffix(b"\n").unwrap_or(&text))
            .map_err(|why| Failure::Refused(format!("`{}`, line {number}: {why}", self.name)))?;
        let mut vector = Vec::new();
        if let Some(vectors) = &mut self.vectors {
            vectors.read_row(&mut vector)?;
        }
        Ok(Some(Line {
            number,
            key,
            value,
            vector,
        }))
    }
}

/// Rule 1.
fn parse(line: &[u8]) -> Result<(Vec<u8>, Vec<u8>), String> {
    let mut fields = line.split(|byte| *byte == b'\t');
    let (Some(key), Some(value), None) = (fields.next(), fields.next(), fields.next()) else {
        return Err("wanted is a key, one tab, and a value (a tab inside is written `\\t`)".into());
    };
    match (unescape(key)?, unescape(value)?) {
        (key, _) if key.is_empty() => Err("the key is empty".into()),
        (key, _) if key.len() > vellum::KEY_BYTES_MAX => Err(format!(
            "the key has more than {} bytes",
            vellum::KEY_BYTES_MAX
        )),
        record => Ok(record),
    }
}
