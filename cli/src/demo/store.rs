//! The demonstration's store: its tables, and how the sample is cut into transactions.
//!
//! Rules:
//!
//! 1. A *batch* is one transaction: [`BATCH_PACKAGES`] packages, and a line in the ledger that names
//!    them. So a transaction of which a half were missing would show.
//! 2. Batches are numbered, and the number alone tells the packages: the checker knows what must be
//!    in a batch without asking the loader.

use std::ops::Range;
use std::path::Path;

use vellum::{CommitHandle, Database, Durability, Exact, Record, Result, Table, Transaction};

use super::sample::{METRIC, Sample};

/// Packages in one transaction.
pub(super) const BATCH_PACKAGES: usize = 4;
/// The vectors' column.
pub(super) const COLUMN: &str = "meaning";

/// The open store.
#[derive(Clone)]
pub(super) struct DemoStore {
    pub(super) db: Database,
    /// Name → section and synopsis, with the embedding.
    pub(super) packages: Table,
    /// Batch → names of its packages.
    pub(super) ledger: Table,
}

impl DemoStore {
    /// Opens the store; makes what is not there.
    pub(super) fn open(directory: &Path, dimension: usize) -> Result<Self> {
        let db = Database::open(directory)?;
        let (packages, ledger) = (db.table("packages")?, db.table("ledger")?);
        db.create_index(&packages, COLUMN, Exact::new(dimension, METRIC))?;
        Ok(Self {
            db,
            packages,
            ledger,
        })
    }

    /// Closes the store, and lets go of the directory.
    pub(super) fn close(self) -> Result<()> {
        self.db.close()
    }

    /// The batches that are not in the ledger.
    pub(super) fn missing(&self, sample: &Sample) -> Result<Vec<usize>> {
        let read = self.db.begin_read()?;
        let mut missing = Vec::new();
        for batch in 0..batches(sample) {
            if !read.contains_key(&self.ledger, ledger_key(batch))? {
                missing.push(batch);
            }
        }
        Ok(missing)
    }

    /// Commits a batch; the handle tells when that is safe.
    pub(super) fn write_batch(
        &self,
        sample: &Sample,
        batch: usize,
        durability: Durability,
    ) -> Result<CommitHandle> {
        let mut txn = self.db.begin()?;
        for row in rows(sample, batch) {
            let (key, value) = (sample.packages[row].name, sample.packages[row].description);
            self.write(&mut txn, key, value, sample.vectors.get(row))?;
        }
        txn.insert(&self.ledger, ledger_key(batch), ledger_line(sample, batch))?;
        txn.commit_with(durability)
    }

    /// Writes one package.
    pub(super) fn write(
        &self,
        txn: &mut Transaction,
        name: &str,
        description: &str,
        vector: &[f32],
    ) -> Result<()> {
        txn.insert_record(
            &self.packages,
            name,
            Record::new(description).vector(COLUMN, vector),
        )
    }
}

/// Number of batches.
pub(super) fn batches(sample: &Sample) -> usize {
    sample.packages.len().div_ceil(BATCH_PACKAGES)
}

/// The packages of a batch.
pub(super) fn rows(sample: &Sample, batch: usize) -> Range<usize> {
    let first = batch * BATCH_PACKAGES;
    first..(first + BATCH_PACKAGES).min(sample.packages.len())
}

/// A batch's key in the ledger.
pub(super) fn ledger_key(batch: usize) -> String {
    format!("{batch:06}")
}

/// A batch's value in the ledger.
pub(super) fn ledger_line(sample: &Sample, batch: usize) -> String {
    let names: Vec<_> = rows(sample, batch)
        .map(|row| sample.packages[row].name)
        .collect();
    names.join(" ")
}
