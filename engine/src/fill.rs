//! Giving a new index the rows that stand.
//!
//! Rules:
//!
//! 1. A row for each record that has the vector, of the version that the reader's snapshot shows,
//!    unless that is later than a given timestamp: those rows come from the committers.
//! 2. A standing vector of another dimension refuses the index and is named; nothing was made.
//! 3. At recovery the index is filled where its making stands in the log, from what was replayed
//!    before; later commits append their rows as they did when they were made.

use std::ops::Bound;

use vellum_base::{TableId, Timestamp};
use vellum_txn::Reader;

use crate::argument::InvalidArgument;
use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::index::IndexEntry;
use crate::quoted::QuotedKey;

/// Rule 1, for versions that were committed no later than `until`.
pub(crate) fn fill(
    index: &IndexEntry,
    table: TableId,
    reader: Reader<'_, Catalog>,
    until: Timestamp,
) -> Result<()> {
    let rows = index.column.rows();
    for row in standing(index, table, reader) {
        let row = row?;
        if row.at <= until {
            rows.append(row.key, row.components, row.at)
                .map_err(|error| Error::OutOfMemory(format!("rows of an index: {error}")))?;
        }
    }
    Ok(())
}

/// Rule 2 alone.
pub(crate) fn check(index: &IndexEntry, table: TableId, reader: Reader<'_, Catalog>) -> Result<()> {
    standing(index, table, reader).try_for_each(|row| row.map(drop))
}

/// A record's vector in the index's column.
struct Standing<'v> {
    key: &'v [u8],
    components: &'v [u8],
    at: Timestamp,
}

fn standing<'v>(
    index: &IndexEntry,
    table: TableId,
    reader: Reader<'v, Catalog>,
) -> impl Iterator<Item = Result<Standing<'v>>> {
    let records = reader.range(table, Bound::Unbounded, Bound::Unbounded);
    records.filter_map(move |(key, version)| {
        let components = version.vectors().get(index.column_name())?;
        let found = components.len() / size_of::<f32>();
        if found != index.column.rows().dimension() {
            return Some(Err(mismatch(index, key, found).into()));
        }
        Some(Ok(Standing {
            key,
            components,
            at: version.at(),
        }))
    })
}

fn mismatch(index: &IndexEntry, key: &[u8], found: usize) -> InvalidArgument {
    InvalidArgument::Dimension {
        column: index.column_name().to_owned(),
        expected: index.column.rows().dimension(),
        found,
        key: Some(QuotedKey::new(key)),
    }
}
