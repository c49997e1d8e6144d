//! What Vellum promises, as an ordered map with all its versions: plain data that engines are
//! compared with. Owned by one thread; plain numbers and bytes, nothing of the engine's.
//!
//! 1. Commits have timestamps that only grow. A snapshot at S shows the newest version at or before
//!    S of each key, and nothing else, for ever.
//! 2. A transaction reads its own writes over its snapshot.
//! 3. First committer wins: a commit fails if a key that it writes has a version newer than its
//!    snapshot. One that fails leaves nothing.
//! 4. Tables are created and dropped by commits of their own. A table that is created again is
//!    another table; whoever writes to one that was dropped since its snapshot conflicts.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Bound, RangeBounds};

/// A value and its named vectors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// The value.
    pub value: Vec<u8>,
    /// The vectors, by column.
    pub vectors: BTreeMap<String, Vec<f32>>,
}

impl Record {
    /// A record without vectors.
    #[must_use]
    pub fn new(value: impl Into<Vec<u8>>) -> Self {
        Self {
            value: value.into(),
            vectors: BTreeMap::new(),
        }
    }

    /// The record with one more vector.
    #[must_use]
    pub fn vector(mut self, column: impl Into<String>, vector: impl Into<Vec<f32>>) -> Self {
        self.vectors.insert(column.into(), vector.into());
        self
    }
}

type Place = (String, Vec<u8>);

/// A key that somebody else committed first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The table.
    pub table: String,
    /// The key; none if the table itself was dropped or created.
    pub key: Option<Vec<u8>>,
    /// The timestamp of the commit that won.
    pub winner: u64,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} of {} was committed at {}",
            self.key, self.table, self.winner
        )
    }
}

impl std::error::Error for Conflict {}

/// The model database.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// Of each key its versions, oldest first; `None` is removed.
    versions: BTreeMap<Place, Vec<(u64, Option<Record>)>>,
    /// Of each table when it was created and dropped, oldest first.
    tables: BTreeMap<String, Vec<(u64, bool)>>,
    commits: Vec<u64>,
}

/// What one transaction has written, over its snapshot.
#[derive(Clone, Debug)]
pub struct ModelTransaction {
    snapshot: u64,
    writes: BTreeMap<Place, Option<Record>>,
}

impl ModelTransaction {
    /// The timestamp that it reads at.
    #[must_use]
    pub fn snapshot(&self) -> u64 {
        self.snapshot
    }

    /// Writes a record.
    pub fn insert(&mut self, table: &str, key: &[u8], record: Record) {
        self.writes.insert((table.into(), key.into()), Some(record));
    }

    /// Removes a record.
    pub fn remove(&mut self, table: &str, key: &[u8]) {
        self.writes.insert((table.into(), key.into()), None);
    }

    /// Whether it has written nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// The record, own writes included.
    #[must_use]
    pub fn get<'a>(&'a self, model: &'a Model, table: &str, key: &[u8]) -> Option<&'a Record> {
        match self.writes.get(&(table.to_owned(), key.to_owned())) {
            Some(own) => own.as_ref(),
            None => model
                .get_at(self.snapshot, table, key)
                .map(|(_, record)| record),
        }
    }

    /// The records of a range in the order of their keys, own writes included.
    #[must_use]
    pub fn range(
        &self,
        model: &Model,
        table: &str,
        keys: impl RangeBounds<Vec<u8>>,
    ) -> Vec<(Vec<u8>, Record)> {
        let bounds = (keys.start_bound().cloned(), keys.end_bound().cloned());
        let mut found: BTreeMap<Vec<u8>, Record> = model
            .range_at(self.snapshot, table, bounds.clone())
            .map(|(key, _, record)| (key.to_owned(), record.clone()))
            .collect();
        for ((own_table, key), own) in &self.writes {
            if own_table == table && bounds.contains(key) {
                found.remove(key);
                found.extend(own.clone().map(|record| (key.clone(), record)));
            }
        }
        found.into_iter().collect()
    }
}

impl Model {
    /// An empty database.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The timestamp of the last commit; zero if there was none.
    #[must_use]
    pub fn last_commit(&self) -> u64 {
        self.commits.last().copied().unwrap_or(0)
    }

    /// All commits' timestamps, in order.
    #[must_use]
    pub fn commits(&self) -> &[u64] {
        &self.commits
    }

    /// A transaction on the newest snapshot.
    #[must_use]
    pub fn begin(&self) -> ModelTransaction {
        self.begin_at(self.last_commit())
    }

    /// A transaction on the snapshot at `snapshot`.
    #[must_use]
    pub fn begin_at(&self, snapshot: u64) -> ModelTransaction {
        ModelTransaction {
            snapshot,
            writes: BTreeMap::new(),
        }
    }

    /// Creates a table by a commit at `at`; false, and nothing done, if it exists.
    pub fn create_table(&mut self, table: &str, at: u64) -> bool {
        !self.has_table_at(self.last_commit(), table) && self.change_table(table, at, true)
    }

    /// Drops a table and all that it holds by a commit at `at`; false if there is none.
    pub fn drop_table(&mut self, table: &str, at: u64) -> bool {
        if !self.has_table_at(self.last_commit(), table) {
            return false;
        }
        let of_table = self
            .versions
            .iter_mut()
            .filter(|((name, _), _)| name == table);
        for (_, versions) in of_table {
            if versions.last().is_some_and(|(_, record)| record.is_some()) {
                versions.push((at, None));
            }
        }
        self.change_table(table, at, false)
    }

    fn change_table(&mut self, table: &str, at: u64, exists: bool) -> bool {
        self.note_commit(at);
        self.tables
            .entry(table.to_owned())
            .or_default()
            .push((at, exists));
        true
    }

    fn note_commit(&mut self, at: u64) {
        assert!(at > self.last_commit(), "timestamps only grow (rule 1)");
        self.commits.push(at);
    }

    /// Whether the table exists in the snapshot.
    #[must_use]
    pub fn has_table_at(&self, snapshot: u64, table: &str) -> bool {
        let changes = self.tables.get(table).map_or(&[][..], Vec::as_slice);
        changes
            .iter()
            .rfind(|(at, _)| *at <= snapshot)
            .is_some_and(|(_, exists)| *exists)
    }

    /// The tables of the snapshot, in order.
    #[must_use]
    pub fn tables_at(&self, snapshot: u64) -> Vec<&str> {
        let names = self.tables.keys().map(String::as_str);
        names
            .filter(|table| self.has_table_at(snapshot, table))
            .collect()
    }

    /// The record and its version.
    #[must_use]
    pub fn get_at(&self, snapshot: u64, table: &str, key: &[u8]) -> Option<(u64, &Record)> {
        let versions = self.versions.get(&(table.to_owned(), key.to_owned()))?;
        visible(versions, snapshot)
    }

    /// The records of a range in the order of their keys: key, version, record.
    pub fn range_at<'a>(
        &'a self,
        snapshot: u64,
        table: &str,
        keys: impl RangeBounds<Vec<u8>> + 'a,
    ) -> impl DoubleEndedIterator<Item = (&'a [u8], u64, &'a Record)> {
        let owned = table.to_owned();
        let first = match keys.start_bound() {
            Bound::Included(key) | Bound::Excluded(key) => key.clone(),
            Bound::Unbounded => Vec::new(),
        };
        let of_table = self
            .versions
            .range((owned.clone(), first)..(owned + "\0", Vec::new()));
        of_table
            .filter(move |((_, key), _)| keys.contains(key))
            .filter_map(move |((_, key), versions)| {
                let (version, record) = visible(versions, snapshot)?;
                Some((key.as_slice(), version, record))
            })
    }

    /// Everything in the snapshot.
    #[must_use]
    pub fn state_at(&self, snapshot: u64) -> BTreeMap<(String, Vec<u8>), Record> {
        let visible = |(place, versions): (&Place, &Vec<_>)| {
            visible(versions, snapshot).map(|(_, record)| (place.clone(), record.clone()))
        };
        self.versions.iter().filter_map(visible).collect()
    }

    /// The newest commit after which the database held exactly `state` and these tables: of which
    /// prefix of the commits this is the outcome, if of any.
    #[must_use]
    pub fn prefix_of(
        &self,
        state: &BTreeMap<(String, Vec<u8>), Record>,
        tables: &[&str],
    ) -> Option<u64> {
        let candidates = self.commits.iter().rev().copied().chain([0]);
        candidates
            .into_iter()
            .find(|at| self.tables_at(*at) == tables && self.state_at(*at) == *state)
    }

    /// Commits what `transaction` has written at the timestamp `at`.
    ///
    /// # Errors
    /// The first key, in order, that somebody else committed since the snapshot (rule 3).
    pub fn commit(&mut self, transaction: ModelTransaction, at: u64) -> Result<(), Conflict> {
        self.check(&transaction)?;
        self.note_commit(at);
        for (place, record) in transaction.writes {
            self.versions.entry(place).or_default().push((at, record));
        }
        Ok(())
    }

    /// Whether `transaction` could commit now.
    ///
    /// # Errors
    /// As [`Model::commit`].
    pub fn check(&self, transaction: &ModelTransaction) -> Result<(), Conflict> {
        for (table, key) in transaction.writes.keys() {
            let changed = self.tables.get(table).and_then(|changes| changes.last());
            if let Some((winner, _)) = changed.filter(|(at, _)| *at > transaction.snapshot) {
                return Err(Conflict {
                    table: table.clone(),
                    key: None,
                    winner: *winner,
                });
            }
            let newest = self
                .versions
                .get(&(table.clone(), key.clone()))
                .and_then(|v| v.last());
            if let Some((winner, _)) = newest.filter(|(at, _)| *at > transaction.snapshot) {
                let key = Some(key.clone());
                return Err(Conflict {
                    table: table.clone(),
                    key,
                    winner: *winner,
                });
            }
        }
        Ok(())
    }
}

/// The version that a snapshot shows.
fn visible(versions: &[(u64, Option<Record>)], snapshot: u64) -> Option<(u64, &Record)> {
    let count = versions.partition_point(|(at, _)| *at <= snapshot);
    let (at, record) = versions.get(count.checked_sub(1)?)?;
    Some((*at, record.as_ref()?))
}
