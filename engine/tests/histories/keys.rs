//! One transaction over keys and ranges, step by step: reads, ranges from both ends, an ordered index, writes,
//! merges, savepoints, removals of ranges, locks, marks, compare-and-swap; recorded for the checkers by timestamps.
//!
//! 1. What is recorded as read is what the engine said. Only of [`Transaction::delete_range`], which says no more
//!    than how many there were, it is what another transaction of the same snapshot finds: a range read by the
//!    transaction itself would be validated on its own account.
//! 2. What was locked, or is marked when the work ends, is recorded as standing.
//! 3. Any error that can be retried ends a transaction as an abort, and no other error may come.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

use std::collections::BTreeMap;

use vellum::plugin::ExtractorFn;
use vellum::{
    Database, Error, IndexEntry, Isolation, Options, Ordered, Range, ReadTransaction, Result,
    Savepoint, Table, Timestamp, Transaction,
};
use vellum_testkit::Random;
use vellum_testkit::history::{
    self, Extract, Indexed, Lookup, Recording, Step, check, check_serial,
};

use super::append::with_append;

pub(crate) type Entry = (Vec<u8>, Vec<u8>);
pub(crate) type Entries = Vec<Entry>;

/// The ordered index of the one table, and its extractor.
const INDEX: &str = "kinds";

/// Every fourth value is in no index, those after it in one of three places of it.
fn kind(_: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    let kind = value.get(8)? % 4;
    (kind > 0).then(|| vec![kind])
}

/// With what [`table`] needs.
pub(crate) fn options(options: Options) -> Options {
    with_append(options).key_extractor(ExtractorFn::new(INDEX, 1, |key, value, keys| {
        if let Some(kind) = kind(key, value) {
            keys.add(kind);
        }
        Ok(())
    }))
}

/// The table and its index, opened or made.
pub(crate) fn table(db: &Database) -> Table {
    let table = db.table("keys").unwrap();
    db.create_ordered_index(&table, INDEX, Ordered::new(INDEX))
        .unwrap();
    table
}

/// What one caller last committed of a key: its value and version.
pub(crate) type Remembered = Option<(Vec<u8>, Vec<u8>, Timestamp)>;

/// Records what a read-only transaction finds in all.
pub(crate) fn record_all(recording: &mut Recording, db: &Database, table: &Table) {
    let read = db.begin_read().unwrap();
    recording.snapshot(read.timestamp().0);
    let found = read.iter(table).unwrap().map(|entry| {
        let (key, value) = entry.unwrap();
        (key.to_vec(), value.to_vec())
    });
    recording.range(b"", None, found.collect());
}

/// How many of a history committed, those that needed no commit among them, or what is wrong.
pub(crate) fn judge(all: &[history::Transaction]) -> std::result::Result<usize, String> {
    let checked = check(all).and_then(|_| check_serial(all));
    let summary = checked.map_err(|found| found[0].to_string())?;
    let reads_only =
        |one: &&history::Transaction| one.commit.is_none() && !one.steps.iter().any(Step::is_write);
    Ok(summary.committed + all.iter().filter(reads_only).count())
}

/// The work of a transaction that is under way.
pub(crate) struct Work {
    pub(crate) recording: Recording,
    isolation: Isolation,
    /// Tells its values from all others.
    id: u64,
    keys: u64,
    /// Of the same snapshot (rule 1).
    beside: Option<ReadTransaction>,
    saves: Vec<(Savepoint, usize)>,
    marked: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    locked: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    written: u64,
}

fn key(random: &mut Random, keys: u64) -> Vec<u8> {
    format!("k{:02}", random.below(keys)).into_bytes()
}

/// The smallest key behind one.
fn behind(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

fn owned((key, value): (&[u8], &[u8])) -> (Vec<u8>, Vec<u8>) {
    (key.to_vec(), value.to_vec())
}

/// The first entries of a range, and where the next one would begin if there were so many.
fn first_of(mut range: Range<'_>, most: usize) -> Result<(Entries, Option<Vec<u8>>)> {
    let mut found = Entries::new();
    while found.len() < most
        && let Some(entry) = range.next_lent()?
    {
        found.push(owned(entry));
    }
    let last = found.last().filter(|_| found.len() == most);
    let end = last.map(|(key, _)| behind(key));
    Ok((found, end))
}

impl Work {
    /// Of a transaction that has just begun, on `keys` keys.
    pub(crate) fn new(
        mut recording: Recording,
        (db, txn): (&Database, &Transaction),
        (id, keys): (u64, u64),
    ) -> Self {
        recording.snapshot(txn.timestamp().0);
        if txn.isolation() == Isolation::Snapshot {
            recording.in_snapshot_isolation();
        }
        let beside = db.begin_read().unwrap();
        Self {
            recording,
            isolation: txn.isolation(),
            id,
            keys,
            beside: Some(beside).filter(|read| read.timestamp() == txn.timestamp()),
            saves: Vec::new(),
            marked: BTreeMap::new(),
            locked: BTreeMap::new(),
            written: 0,
        }
    }

    fn value(&mut self) -> Vec<u8> {
        self.written += 1;
        [self.id, self.written].map(u64::to_le_bytes).concat()
    }

    /// Does something.
    pub(crate) fn step(
        &mut self,
        txn: &mut Transaction,
        table: &Table,
        random: &mut Random,
        remembered: &Remembered,
    ) -> Result<()> {
        let key = key(random, self.keys);
        match random.below(22) {
            0..=2 => {
                let value = txn.get(table, &key)?;
                self.recording.read(&key, value.as_deref());
            }
            3 => self.forwards(txn, table, &key, random)?,
            4 => self.backwards(txn, table, &key)?,
            5 => self.both_ends(txn, table, &key, random)?,
            6 => {
                txn.remove(table, &key)?;
                self.recording.write(&key, None);
            }
            7..=9 => {
                let value = self.value();
                txn.insert(table, &key, &value)?;
                self.recording.write(&key, Some(&value));
            }
            10 | 11 => {
                let operand = self.value();
                txn.merge(table, &key, "append", &operand)?;
                self.recording.merge(&key, &operand);
            }
            12 | 13 => self.save_or_roll_back(txn, random)?,
            14 | 15 => self.delete_range(txn, table, &key, random)?,
            16 | 17 => self.lock(txn, table, &key, random)?,
            18 | 19 => self.by_index(txn, table, random)?,
            20 => self.swap(txn, table, &key, remembered)?,
            _ if self.isolation == Isolation::Snapshot => self.mark(txn, table, &key, random)?,
            _ => self.forwards(txn, table, &key, random)?,
        }
        Ok(())
    }

    /// As far as it is gone through is as far as it was read.
    fn forwards(
        &mut self,
        txn: &Transaction,
        table: &Table,
        from: &[u8],
        random: &mut Random,
    ) -> Result<()> {
        let range = txn.range(table, from..)?;
        let (found, to) = first_of(range, 1 + random.index(4))?;
        self.recording.range(from, to.as_deref(), found);
        Ok(())
    }

    fn backwards(&mut self, txn: &Transaction, table: &Table, end: &[u8]) -> Result<()> {
        let mut range = txn.range(table, ..end)?;
        let found: Entries = range.next_back_lent()?.map(owned).into_iter().collect();
        let from = found.first().map_or_else(Vec::new, |(key, _)| key.clone());
        self.recording.range(&from, Some(end), found);
        Ok(())
    }

    fn both_ends(
        &mut self,
        txn: &Transaction,
        table: &Table,
        one: &[u8],
        random: &mut Random,
    ) -> Result<()> {
        let other = key(random, self.keys);
        let (from, to) = (one.min(&other[..]), one.max(&other[..]));
        let mut range = txn.range(table, from..to)?;
        let (mut front, mut back) = (Entries::new(), Entries::new());
        let mut is_whole = false;
        for _ in 0..1 + random.below(4) {
            let (ends, entry) = match random.one_in(2) {
                true => (&mut front, range.next_lent()?),
                false => (&mut back, range.next_back_lent()?),
            };
            match entry.map(owned) {
                Some(entry) => ends.push(entry),
                None => is_whole = true,
            }
        }
        back.reverse();
        if is_whole {
            front.append(&mut back);
            self.recording.range(from, Some(to), front);
            return Ok(());
        }
        if let Some((last, _)) = front.last() {
            let last = behind(last);
            self.recording.range(from, Some(&last), front);
        }
        if let Some((first, _)) = back.first() {
            let first = first.clone();
            self.recording.range(&first, Some(to), back);
        }
        Ok(())
    }

    /// As far as it is gone through, or from its end on in whole.
    fn by_index(&mut self, txn: &Transaction, table: &Table, random: &mut Random) -> Result<()> {
        let (from, to) = (random.below(4) as u8, random.below(5) as u8);
        let (from, to) = (vec![from], vec![to.max(from)]);
        let mut range = txn.range_by_index::<&[u8]>(table, INDEX, &from[..]..&to[..])?;
        let owned = |entry: IndexEntry<'_>| {
            let (index_key, key) = (entry.index_key().into_owned(), entry.key().to_vec());
            (index_key, key, entry.value().to_vec())
        };
        let (mut found, mut most) = (Vec::<Indexed>::new(), usize::MAX);
        if random.one_in(3) {
            while let Some(entry) = range.next_back() {
                found.push(owned(entry?));
            }
            found.reverse();
        } else {
            most = 1 + random.index(4);
            for entry in range.take(most) {
                found.push(owned(entry?));
            }
        }
        let lookup = Lookup {
            extract: Extract(kind),
            from,
            to,
            most,
        };
        self.recording.index(lookup, found);
        Ok(())
    }

    fn save_or_roll_back(&mut self, txn: &mut Transaction, random: &mut Random) -> Result<()> {
        if self.saves.is_empty() || random.one_in(3) {
            self.saves.push((txn.savepoint(), self.recording.steps()));
            return Ok(());
        }
        let at = random.index(self.saves.len());
        self.saves.truncate(at + 1);
        if let Some((savepoint, steps)) = self.saves.last() {
            txn.rollback_to(savepoint)?;
            self.recording.roll_back(*steps);
        }
        Ok(())
    }

    /// Rule 1.
    fn delete_range(
        &mut self,
        txn: &mut Transaction,
        table: &Table,
        from: &[u8],
        random: &mut Random,
    ) -> Result<()> {
        let Some(beside) = &self.beside else {
            return Ok(());
        };
        let other = key(random, self.keys);
        let (from, to) = (from.min(&other[..]), from.max(&other[..]));
        let range = beside.range(table, from..to)?;
        let (found, end) = first_of(range, 1 + random.index(3))?;
        let to = end.unwrap_or_else(|| to.to_vec());
        let found = self.recording.over(from, Some(&to), found);
        let removed = txn.delete_range(table, from..&to[..])?;
        assert_eq!(removed, found.len() as u64, "{found:?} were to be removed");
        let keys: Vec<_> = found.iter().map(|(key, _)| key.clone()).collect();
        self.recording.range(from, Some(&to), found);
        for key in keys {
            self.recording.write(&key, None);
        }
        Ok(())
    }

    fn lock(
        &mut self,
        txn: &mut Transaction,
        table: &Table,
        key: &[u8],
        random: &mut Random,
    ) -> Result<()> {
        let value = match random.one_in(2) {
            true => txn.get_for_update(table, key)?,
            false => txn.get_for_share(table, key)?,
        };
        let value = value.map(|value| value.to_vec());
        self.recording.read(key, value.as_deref());
        if !self.recording.wrote_key(key) {
            self.locked.insert(key.to_vec(), value);
        }
        Ok(())
    }

    fn mark(
        &mut self,
        txn: &mut Transaction,
        table: &Table,
        key: &[u8],
        random: &mut Random,
    ) -> Result<()> {
        if random.one_in(4)
            && let Some((marked, _)) = self.marked.pop_first()
        {
            return txn.unmark(table, marked);
        }
        if self.recording.wrote_key(key) {
            return Ok(());
        }
        txn.mark_read(table, key)?;
        let value = txn.get(table, key)?.map(|value| value.to_vec());
        self.recording.read(key, value.as_deref());
        self.marked.insert(key.to_vec(), value);
        Ok(())
    }

    /// With the version that this caller made, if it knows one, so that nothing else has read the key.
    fn swap(
        &mut self,
        txn: &mut Transaction,
        table: &Table,
        key: &[u8],
        remembered: &Remembered,
    ) -> Result<()> {
        let value = self.value();
        let (key, version) = match remembered {
            Some((key, was, version)) => {
                let swapped = txn.compare_and_swap(table, key, Some(*version), &value);
                match swapped {
                    Ok(()) => self.recording.read(key, Some(was)),
                    Err(Error::VersionMismatch { .. }) => return Ok(()),
                    Err(error) => return Err(error),
                }
                self.recording.write(key, Some(&value));
                return Ok(());
            }
            None => {
                let found = txn.get_versioned(table, key)?;
                let was = found.as_ref().map(|found| found.value().to_vec());
                self.recording.read(key, was.as_deref());
                (key, found.and_then(|found| found.version()))
            }
        };
        match txn.compare_and_swap(table, key, version, &value) {
            Ok(()) => self.recording.write(key, Some(&value)),
            Err(Error::VersionMismatch { .. }) if self.recording.wrote_key(key) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Writes the id at a key that no other process writes.
    pub(crate) fn sign(&mut self, txn: &mut Transaction, table: &Table, key: &[u8]) -> Result<()> {
        let value = self.value();
        txn.insert(table, key, &value)?;
        self.recording.write(key, Some(&value));
        Ok(())
    }

    /// The record of it, and a value that it leaves if it commits; to be called when all steps were done.
    pub(crate) fn end(mut self) -> (Recording, Option<Entry>) {
        // Rule 2.
        for (key, value) in self.locked.iter().chain(&self.marked) {
            self.recording.standing(key, value.as_deref());
        }
        let left = self.recording.last_value();
        (self.recording, left)
    }
}

/// Rule 3.
pub(crate) fn expect_retryable(error: &Error) {
    assert!(error.is_retryable(), "{error}");
}
