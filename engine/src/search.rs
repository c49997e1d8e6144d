//! Searching an index at a snapshot.
//!
//! Rules:
//!
//! 1. The plugin proposes rows, versions decide: a row counts if its stamp is in the snapshot and
//!    the version of its key in the snapshot is the one that it came from [10].
//! 2. A transaction's own writes mask the snapshot's rows of the same keys, and are searched
//!    themselves, always exactly.
//! 3. Hits are ordered by distance, then by key. Row numbers are no order (they differ after a
//!    replay), so where the nearest k end among equals, more is asked for until all equals are there.
//! 4. With a set of keys, only these are looked up; the index's structure is not asked.
//! 5. Where reads are tracked, a search reads the whole table: any write to it may change the answer.
//!    With a set of keys, it reads these.

use std::fmt;

use vellum_index::{Answer, RowId, Rows, SearchRequest, VectorIndex};
use vellum_sync::OnceLock;

use crate::argument::{InvalidArgument, check_vector};
use crate::error::Result;
use crate::hit::Hits;
use crate::index::Searchers;
use crate::reading::Reading;
use crate::scope::{Filter, Gathered, Row, Scope, SnapshotRows};
use crate::table::Table;

/// Hits that a search returns unless [`Search::k`] says otherwise.
const K_DEFAULT: usize = 10;
/// By how much more is asked for where equals were cut off.
const WIDEN: usize = 4;

/// A search for the vectors nearest to a query, as the transaction sees them; from
/// [`crate::ReadTransaction::search`] and [`crate::Transaction::search`]. Nothing is done before
/// [`Search::run`].
///
/// ```
/// use vellum::{Database, Exact, Metric, Record};
///
/// let db = Database::in_memory()?;
/// let items = db.table("items")?;
/// db.create_index(&items, "meaning", Exact::new(2, Metric::Cosine))?;
/// let mut txn = db.begin()?;
/// txn.insert_record(&items, "ink", Record::new("black").vector("meaning", &[1.0, 0.0]))?;
/// txn.insert_record(&items, "pen", Record::new("blue").vector("meaning", &[0.0, 1.0]))?;
/// txn.commit()?;
///
/// let read = db.begin_read()?;
/// let hits = read.search(&items, "meaning", &[0.9, 0.1])?.k(1).run()?;
/// assert_eq!(hits[0].key(), "ink");
/// assert_eq!(hits[0].value(), "black");
/// # Ok::<(), vellum::Error>(())
/// ```
#[must_use = "a search does nothing before `run`"]
pub struct Search<'t, 'q> {
    scope: Scope<'t>,
    searchers: &'t Searchers,
    query: &'q [f32],
    k: usize,
    filter: Option<Box<Filter<'q>>>,
    keys: Option<Vec<&'q [u8]>>,
}

impl<'t, 'q> Search<'t, 'q> {
    pub(crate) fn new(
        reading: Reading<'t>,
        table: &Table,
        column: &str,
        query: &'q [f32],
    ) -> Result<Self> {
        let reader = reading.reader();
        let entry = reader.schema().index(table, column, reader.at())?;
        let searchers = entry.searchers.as_ref().map_err(Clone::clone)?;
        check_vector(column, query, None)?;
        let expected = entry.column.rows().dimension();
        if query.len() != expected {
            let (column, found) = (column.to_owned(), query.len());
            return Err(InvalidArgument::Dimension {
                column,
                expected,
                found,
                key: None,
            }
            .into());
        }
        let scope = Scope {
            reading,
            table: table.id(),
            entry,
        };
        Ok(Self {
            scope,
            searchers,
            query,
            k: K_DEFAULT,
            filter: None,
            keys: None,
        })
    }

    /// How many hits are wanted at most. Default: 10.
    pub fn k(mut self, k: usize) -> Self {
        self.k = k;
        self
    }

    /// Only records that `accept` says yes to. It is asked only of records that would be among the
    /// nearest, and must answer the same for the same record. A second filter is asked after the
    /// first.
    pub fn filter(mut self, accept: impl Fn(&Row<'_>) -> bool + 'q) -> Self {
        self.filter = Some(match self.filter.take() {
            None => Box::new(accept),
            Some(first) => Box::new(move |row| first(row) && accept(row)),
        });
        self
    }

    /// Only records of these keys; those without a record or without the vector are passed over.
    /// Costs a look-up each, whatever the size of the table.
    pub fn keys<K: AsRef<[u8]>>(mut self, keys: &'q [K]) -> Self {
        self.keys = Some(keys.iter().map(AsRef::as_ref).collect());
        self
    }

    /// Searches. The hits stand nearest first; of two at the same distance, the lesser key first.
    ///
    /// # Errors
    /// [`crate::Error::InvalidArgument`]: what the index refuses (a query of zeros has no direction,
    /// which `Metric::Cosine` needs), or a key that no record can have. A page that cannot be read.
    pub fn run(mut self) -> Result<Hits<'t>> {
        if self.keys.is_none() {
            self.scope.reading = self.scope.reading.of_whole(self.scope.table);
        }
        let filter = self.filter.as_deref();
        let mut complete = true;
        let mut hits = Vec::new();
        if let Some(keys) = &self.keys {
            let rows = self.scope.gather_keys(keys, filter)?;
            hits.extend(self.nearest_gathered(&rows)?);
        } else {
            let own = self.scope.gather_own(filter)?;
            hits.extend(self.nearest_gathered(&own)?);
            let rows = SnapshotRows {
                scope: self.scope,
                filter,
                trouble: OnceLock::new(),
            };
            let answer = self.nearest(&*self.searchers.index, &rows)?;
            if let Some(error) = rows.trouble.get() {
                return Err(error.clone());
            }
            complete = answer.complete;
            let key = |row: RowId| self.scope.rows().key(row.0).map(Box::from);
            hits.extend(
                answer
                    .hits
                    .into_iter()
                    .filter_map(|hit| Some((hit.distance, key(hit.row)?))),
            );
        }
        hits.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
        hits.truncate(self.k);
        let hits = hits
            .into_iter()
            .filter_map(|(distance, key)| self.scope.hit(distance, key).transpose());
        Ok(Hits {
            hits: hits.collect::<Result<_>>()?,
            complete,
        })
    }

    fn nearest_gathered(&self, rows: &Gathered<'_>) -> Result<Vec<(f32, Box<[u8]>)>> {
        let answer = self.nearest(&*self.searchers.exact, rows)?;
        let key = |row: RowId| rows.keys.get(row.0 as usize).map(|key| Box::from(*key));
        Ok(answer
            .hits
            .iter()
            .filter_map(|hit| Some((hit.distance, key(hit.row)?)))
            .collect())
    }

    /// Rule 3.
    fn nearest(&self, index: &dyn VectorIndex, rows: &dyn Rows) -> Result<Answer> {
        let most = self
            .scope
            .rows()
            .len()
            .saturating_add(self.own_len())
            .saturating_add(1);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let mut wanted = self.k.saturating_add(1).min(most);
        loop {
            let request = SearchRequest::new(self.query, if self.k == 0 { 0 } else { wanted });
            let answer = index
                .search(rows, &request)
                .map_err(|error| InvalidArgument::Index {
                    column: self.scope.entry.column_name().to_owned(),
                    why: error.to_string(),
                })?;
            let distance = |place: usize| answer.hits.get(place).map(|hit| hit.distance);
            let cut = match (distance(self.k.saturating_sub(1)), distance(wanted - 1)) {
                (Some(last), Some(beyond)) => last.total_cmp(&beyond).is_eq(),
                _ => false,
            };
            if !cut || wanted >= most || self.k == 0 {
                return Ok(answer);
            }
            wanted = wanted.saturating_mul(WIDEN).min(most);
        }
    }

    fn own_len(&self) -> u64 {
        let own = self.scope.reading.own();
        let own = own.map_or(0, |own| own.own_writes(self.scope.table).count());
        own as u64 + self.keys.as_ref().map_or(0, |keys| keys.len() as u64)
    }
}

impl fmt::Debug for Search<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Search")
            .field("column", &self.scope.entry.column_name())
            .field("k", &self.k)
            .finish_non_exhaustive()
    }
}
