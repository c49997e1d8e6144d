//! Giving a new index the rows that stand.
//!
//! Rules:
//!
//! 1. A row for each record that has the vector, of the version that the reader's snapshot shows,
//!    unless that is later than a given timestamp: those rows come from the committers.
//! 2. A standing vector of another dimension refuses the index and is named; nothing was made.
//! 3. At recovery an index that the checkpoint has is filled from the checkpoint's records, another one
//!    where its making stands in the log; later commits append their rows as they did when they were
//!    made.

use std::ops::Bound;

use vellum_base::{TableId, Timestamp};
use vellum_pages::pool::Hint;
use vellum_pages::tree::End;
use vellum_txn::Reader;

use crate::argument::InvalidArgument;
use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::index::IndexEntry;
use crate::paged::Paged;
use crate::quoted::QuotedKey;
use crate::range::Range;

/// Rule 1, for versions that were committed no later than `until`.
pub(crate) fn fill(
    index: &IndexEntry,
    table: TableId,
    reader: Reader<'_, Catalog>,
    until: Timestamp,
) -> Result<()> {
    let (lower, upper) = (Bound::Unbounded, Bound::Unbounded);
    let base = reader.base();
    let below = base.range(table, (lower, upper), Hint::Scan);
    let all = reader.range(table, lower, upper);
    fill_from(
        index,
        Range::of_snapshot(all, below.map(|range| (range, base))),
        until,
    )
}

/// Rule 3, for what the checkpoint holds.
pub(crate) fn fill_from_base(index: &IndexEntry, table: TableId, base: &Paged) -> Result<()> {
    let below = base.range(table, (Bound::Unbounded, Bound::Unbounded), Hint::Scan);
    let all = Range::of_base(below.map(|range| (range, base)));
    fill_from(index, all, Timestamp::MAX)
}

fn fill_from(index: &IndexEntry, records: Range<'_>, until: Timestamp) -> Result<()> {
    let rows = index.column.rows();
    each_standing(index, records, |key, components, at| {
        if at > until {
            return Ok(());
        }
        let appended = rows.append(key, components, at).map(drop);
        appended.map_err(|error| Error::OutOfMemory(format!("rows of an index: {error}")))
    })
}

/// Rule 2 alone.
pub(crate) fn check(index: &IndexEntry, table: TableId, reader: Reader<'_, Catalog>) -> Result<()> {
    let (lower, upper) = (Bound::Unbounded, Bound::Unbounded);
    let base = reader.base();
    let below = base.range(table, (lower, upper), Hint::Scan);
    let all = reader.range(table, lower, upper);
    let all = Range::of_snapshot(all, below.map(|range| (range, base)));
    each_standing(index, all, |_, _, _| Ok(()))
}

/// Goes through the vectors of the index's column.
fn each_standing(
    index: &IndexEntry,
    mut records: Range<'_>,
    mut each: impl FnMut(&[u8], &[u8], Timestamp) -> Result<()>,
) -> Result<()> {
    while let Some(record) = records.step(End::Front) {
        let (key, record) = record?;
        let (Some(vector), Some(at)) = (record.vector(index.column_name()), record.version())
        else {
            continue;
        };
        if vector.dimension() != index.column.rows().dimension() {
            return Err(mismatch(index, &key, vector.dimension()).into());
        }
        each(&key, vector.as_bytes(), at)?;
    }
    Ok(())
}

fn mismatch(index: &IndexEntry, key: &[u8], found: usize) -> InvalidArgument {
    InvalidArgument::Dimension {
        column: index.column_name().to_owned(),
        expected: index.column.rows().dimension(),
        found,
        key: Some(QuotedKey::new(key)),
    }
}
