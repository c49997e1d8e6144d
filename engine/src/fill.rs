//! Giving a new index the rows that stand.
//!
//! Rules:
//!
//! 1. Before the gate is closed, the rows of a snapshot are copied; writers go on. Inside the
//!    schema change, when nobody commits, only versions newer than that snapshot follow. Rows whose
//!    versions were replaced meanwhile stay behind as hints without a version.
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

/// Appends a row for each record of `table` in the reader's snapshot that has a vector of the
/// index's column and is newer than `after`.
pub(crate) fn fill(
    index: &IndexEntry,
    table: TableId,
    reader: Reader<'_, Catalog>,
    after: Timestamp,
) -> Result<()> {
    let rows = index.column.rows();
    for (key, version) in reader.range(table, Bound::Unbounded, Bound::Unbounded) {
        if version.at() <= after {
            continue;
        }
        let Some(components) = version.vectors().get(index.column_name()) else {
            continue;
        };
        let found = components.len() / size_of::<f32>();
        if found != rows.dimension() {
            return Err(mismatch(index, key, found).into());
        }
        rows.append(key, components, version.at())
            .map_err(|error| Error::OutOfMemory(format!("rows of an index: {error}")))?;
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
