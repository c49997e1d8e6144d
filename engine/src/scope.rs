//! What a search looks at: the column's rows as the snapshot has them, own writes, chosen keys.
//!
//! The host's side of the plugin contract, made for one search. The numbered rules are those of
//! [`crate::search`]; here rules 1, 2 and 4 are kept.

use std::fmt;

use vellum_base::TableId;
use vellum_index::{RowId, Rows, Run};
use vellum_sync::OnceLock;
use vellum_txn::RowArray;

use crate::argument::check_key;
use crate::bytes::{Key, Value};
use crate::error::{Error, Result};
use crate::hit::Hit;
use crate::index::IndexEntry;
use crate::reading::Reading;
use crate::record::StoredRecord;

/// What a caller's filter is.
pub(crate) type Filter<'q> = dyn Fn(&Row<'_>) -> bool + 'q;

/// What is searched: a column of a table in a snapshot, perhaps with own writes over it.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'t> {
    pub(crate) reading: Reading<'t>,
    pub(crate) table: TableId,
    pub(crate) entry: &'t IndexEntry,
}

impl<'t> Scope<'t> {
    pub(crate) fn rows(&self) -> &'t RowArray {
        self.entry.column.rows()
    }

    pub(crate) fn hit(&self, distance: f32, key: Box<[u8]>) -> Result<Option<Hit<'t>>> {
        let record = self.reading.find(self.table, &key)?;
        Ok(record.map(|record| Hit {
            key,
            distance,
            record,
        }))
    }

    /// Rule 2: the own writes that have the vector.
    pub(crate) fn gather_own(&self, filter: Option<&Filter<'_>>) -> Result<Gathered<'t>> {
        let mut gathered = Gathered::new(self.rows().dimension());
        let own = self.reading.own().into_iter();
        for (key, found) in own.flat_map(|own| own.own_writes(self.table)) {
            if let Some(found) = found {
                let record = self.reading.own_record(self.table, key, found)?;
                gathered.take(key, record, self.entry, filter);
            }
        }
        Ok(gathered)
    }

    /// Rule 4.
    pub(crate) fn gather_keys<'k>(
        &self,
        keys: &[&'k [u8]],
        filter: Option<&Filter<'_>>,
    ) -> Result<Gathered<'k>> {
        let mut keys = keys.to_vec();
        keys.iter().try_for_each(|key| check_key(key))?;
        keys.sort_unstable();
        keys.dedup();
        let mut gathered = Gathered::new(self.rows().dimension());
        for key in keys {
            if let Some(record) = self.reading.find(self.table, key)? {
                gathered.take(key, record, self.entry, filter);
            }
        }
        Ok(gathered)
    }
}

/// A record under consideration, for filters.
pub struct Row<'r> {
    key: &'r [u8],
    source: RowSource<'r>,
}

enum RowSource<'r> {
    /// Looked up when it is asked for: most filters look at keys alone.
    Snapshot(Reading<'r>, TableId, &'r OnceLock<Error>),
    Record(&'r StoredRecord<'r>),
}

impl<'r> Row<'r> {
    /// The record's key.
    #[must_use]
    pub fn key(&self) -> Key<'r> {
        Key::new(self.key)
    }

    /// The record's value.
    #[must_use]
    pub fn value(&self) -> Value<'r> {
        match &self.source {
            RowSource::Record(record) => record.value(),
            RowSource::Snapshot(reading, table, trouble) => {
                match reading.committed(*table, self.key) {
                    Ok(record) => record.map_or(Value::new(&[]), StoredRecord::into_value),
                    Err(error) => {
                        let _ = trouble.set(error);
                        Value::new(&[])
                    }
                }
            }
        }
    }
}

impl fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row")
            .field("key", &self.key())
            .finish_non_exhaustive()
    }
}

/// The column's rows as the snapshot has them (rules 1 and 2).
pub(crate) struct SnapshotRows<'s, 't> {
    pub(crate) scope: Scope<'t>,
    pub(crate) filter: Option<&'s Filter<'s>>,
    /// The first page that could not be read. The contract has no place for errors: the answer of
    /// the search is then not given.
    pub(crate) trouble: OnceLock<Error>,
}

impl SnapshotRows<'_, '_> {
    fn is_masked(&self, key: &[u8]) -> bool {
        let own = self.scope.reading.own();
        own.is_some_and(|own| own.own_write(self.scope.table, key).is_some())
    }
}

impl Rows for SnapshotRows<'_, '_> {
    fn run_from(&self, from: RowId) -> Option<Run<'_>> {
        let rows = self.scope.rows();
        let (end, chunk_rows) = (rows.len(), rows.chunk_rows() as u64);
        let chunks = from.0 / chunk_rows..end.div_ceil(chunk_rows);
        chunks
            .flat_map(|chunk| rows.filled(chunk, end))
            .find_map(|filled| {
                let skip = from.0.saturating_sub(filled.first) as usize * rows.dimension();
                let vectors = filled
                    .vectors
                    .get(skip..)
                    .filter(|vectors| !vectors.is_empty())?;
                Some(Run {
                    first: RowId(from.0.max(filled.first)),
                    vectors,
                })
            })
    }

    fn vector(&self, row: RowId) -> Option<&[f32]> {
        self.scope.rows().vector(row.0)
    }

    fn accepts(&self, row: RowId) -> bool {
        let Scope {
            reading,
            table,
            entry,
        } = self.scope;
        let Some(row_at) = reading.reader().row_at(&entry.column, row.0) else {
            return false;
        };
        let Some(key) = entry.column.rows().key(row.0) else {
            return false;
        };
        match reading.committed_at(table, key) {
            Ok(at) if at == Some(row_at) => {}
            Ok(_) => return false,
            Err(error) => {
                // The first one is told.
                let _ = self.trouble.set(error);
                return false;
            }
        }
        let accept = |filter: &Filter<'_>| {
            filter(&Row {
                key,
                source: RowSource::Snapshot(reading, table, &self.trouble),
            })
        };
        !self.is_masked(key) && self.filter.is_none_or(accept)
    }
}

/// Vectors of records that were looked up one by one, in the order of their keys.
pub(crate) struct Gathered<'k> {
    dimension: usize,
    pub(crate) keys: Vec<&'k [u8]>,
    vectors: Vec<f32>,
}

impl<'k> Gathered<'k> {
    fn new(dimension: usize) -> Self {
        Self {
            dimension,
            keys: Vec::new(),
            vectors: Vec::new(),
        }
    }

    fn take(
        &mut self,
        key: &'k [u8],
        record: StoredRecord<'_>,
        entry: &IndexEntry,
        filter: Option<&Filter<'_>>,
    ) {
        let Some(vector) = record.vector(entry.column_name()) else {
            return;
        };
        let row = Row {
            key,
            source: RowSource::Record(&record),
        };
        if vector.dimension() == self.dimension && filter.is_none_or(|filter| filter(&row)) {
            self.keys.push(key);
            self.vectors.extend(vector.iter());
        }
    }
}

impl Rows for Gathered<'_> {
    fn run_from(&self, from: RowId) -> Option<Run<'_>> {
        let start = usize::try_from(from.0).ok()?.checked_mul(self.dimension)?;
        let vectors = self
            .vectors
            .get(start..)
            .filter(|vectors| !vectors.is_empty())?;
        Some(Run {
            first: from,
            vectors,
        })
    }

    fn vector(&self, row: RowId) -> Option<&[f32]> {
        let start = usize::try_from(row.0).ok()?.checked_mul(self.dimension)?;
        self.vectors.get(start..start + self.dimension)
    }

    fn accepts(&self, row: RowId) -> bool {
        row.0 < self.keys.len() as u64
    }
}
