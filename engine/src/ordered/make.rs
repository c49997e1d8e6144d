//! Making an ordered index: rule 7 of [`super`], and dropping and listing them.
//!
//! 1. **It begins** with a commit that gives the hidden table its number. From then on whoever writes to
//!    the table writes the index's entries with it (rule 3 of [`super`]); no snapshot has the index yet.
//! 2. **It is filled** in transactions of a few records each, for those that were committed no later than the
//!    beginning: later ones have their entries from their writers. Each has the keys of its records marked as
//!    read, so a record that is changed beside it makes it begin anew, and is later than the
//!    beginning then. So it ends, whatever others commit; an entry that somebody has locked is waited for.
//! 3. **It ends** with a commit from which on snapshots have the index.
//! 4. **Whatever ends it before**, a record that the extractor refuses, two with one index key, a panic: the
//!    index is none from then on, in no log; after a crash from the end of the replay on. Where the log tells of
//!    another beginning under its name, the earlier one came to nothing.
//! 5. While it is filled, writers are held to it: what its extractor refuses is refused, and an index key
//!    that it already has for another record.
//! 6. Of one name there is one at a time: who makes it beside another maker is told so.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use vellum_base::{TableId, Timestamp};
use vellum_sync::thread;
use vellum_txn::{CommitError, Durability, Isolation};

use crate::argument::check_name;
use crate::change::Change;
use crate::database::Database;
use crate::error::{Error, Result};
use crate::ordered::entries::entry;
use crate::ordered::info::{Definition, Keeper, Ordered, OrderedIndexInfo};
use crate::ordered::keep::check_unique;
use crate::range::Bounds;
use crate::read::ReadTransaction;
use crate::reading::Reading;
use crate::schema::{ask, commit_plain, look, once_settled};
use crate::shared::Handle;
use crate::table::Table;
use crate::transaction::Inner;

/// Records that are filled in at once, at most; one at least.
const FILLED_RECORDS: usize = 256;
/// And bytes of them, and of their entries.
const FILLED_BYTES: usize = 1 << 20;
/// Until an entry is asked for again that somebody has locked.
const LOCKED_PAUSE: Duration = Duration::from_millis(1);

impl Database {
    /// Makes an ordered index of this name with the records that stand: for each of them, the index keys
    /// that the extractor says ([`crate::Options::key_extractor`]). Commits go on meanwhile; some may have
    /// to be done again ([`Error::IndexesChanged`], [`Error::Conflict`]), and they are held to the index from the
    /// beginning on, also if it comes to nothing. From then on it is kept by every write of the table,
    /// in the same commit; without the extractor nobody can write to the table.
    ///
    /// Where the table has an index of the same name, extractor, version and kind, this returns when that one is
    /// settled, and changes nothing.
    ///
    /// ```
    /// # use vellum::plugin::ExtractorFn;
    /// # use vellum::{Error, Options, Ordered};
    /// // The whole value.
    /// let mail = ExtractorFn::new("mail", 1, |_, value, keys| {
    ///     keys.add(value);
    ///     Ok(())
    /// });
    /// let db = Options::new().key_extractor(mail).in_memory()?;
    /// let users = db.table("users")?;
    /// db.create_ordered_index(&users, "by_mail", Ordered::unique("mail"))?;
    /// db.transact(|txn| txn.insert(&users, "1", "ann@example.org"))?;
    ///
    /// let mut txn = db.begin()?;
    /// let second = txn.insert(&users, "2", "ann@example.org");
    /// assert!(matches!(second, Err(Error::NotUnique { .. })));
    /// let mut found = txn.by_index(&users, "by_mail", "ann@example.org")?;
    /// assert_eq!(*found.next().unwrap()?.key(), "1");
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::IndexExists`]: of another extractor, version or kind; [`Error::IndexBuilding`];
    /// [`Error::NoExtractor`]; what a standing record is refused for ([`Error::NotUnique`],
    /// [`crate::InvalidArgument::Extract`], [`crate::InvalidArgument::IndexKeyTooLong`]; nothing is made
    /// then); [`Error::TableDropped`], [`Error::ReadOnly`], [`Error::Closed`]; what
    /// [`crate::Transaction::commit`] returns.
    pub fn create_ordered_index(&self, table: &Table, name: &str, index: Ordered) -> Result<()> {
        check_name(name)?;
        let handle = self.handle();
        let definition = define(handle, table, name, index)?;
        let Some(making) = begin(handle, table, name, &definition)? else {
            return Ok(());
        };
        making.fill()?;
        making.finish(table)
    }

    /// Drops the ordered index of this name with its entries, in a commit of its own. Snapshots that began
    /// before go on seeing it; transactions that wrote entries of it have to be done again
    /// ([`Error::IndexesChanged`]).
    ///
    /// # Errors
    /// [`Error::UnknownIndex`], [`Error::TableDropped`], [`Error::ReadOnly`], [`Error::Closed`];
    /// what [`crate::Transaction::commit`] returns.
    pub fn drop_ordered_index(&self, table: &Table, name: &str) -> Result<()> {
        loop {
            self.shared().check_writable()?;
            let found = ask(self.handle(), |catalog| catalog.live_ordered(table, name))?;
            let Some((index, _)) = found else {
                let (table, column) = (table.name().to_owned(), name.to_owned());
                let unknown = Error::UnknownIndex { table, column };
                return Err(once_settled(self.handle(), unknown));
            };
            if commit_plain(self.handle(), &Change::DropTable { table: index })?.is_some() {
                return Ok(());
            }
        }
    }

    /// The ordered indexes of a table, in the order of their making.
    ///
    /// # Errors
    /// [`Error::TableDropped`], [`Error::Closed`].
    pub fn list_ordered_indexes(&self, table: &Table) -> Result<Vec<OrderedIndexInfo>> {
        self.begin_read()?.list_ordered_indexes(table)
    }
}

impl ReadTransaction {
    /// The ordered indexes of a table of this snapshot, in the order of their making.
    ///
    /// # Errors
    /// The table is not in this snapshot, or of another database.
    pub fn list_ordered_indexes(&self, table: &Table) -> Result<Vec<OrderedIndexInfo>> {
        let reader = self.reading().reader();
        reader.schema().list_ordered(table, reader.at())
    }
}

/// What is to be made, by the extractor that is there.
fn define(handle: &Arc<Handle>, table: &Table, name: &str, index: Ordered) -> Result<Definition> {
    let Ordered {
        extractor,
        is_unique,
    } = index;
    let version = look(handle, |catalog| {
        let found = catalog.plugins().extractor(&extractor);
        found.map(|found| found.version())
    });
    match version {
        Some(version) => Ok(Definition {
            extractor,
            version,
            is_unique,
        }),
        None => Err(Error::NoExtractor {
            table: table.name().to_owned(),
            index: name.to_owned(),
            extractor,
            version: 0,
        }),
    }
}

/// Rule 1. `None`: it stands.
fn begin<'a>(
    handle: &'a Arc<Handle>,
    table: &Table,
    name: &str,
    definition: &Definition,
) -> Result<Option<Making<'a>>> {
    loop {
        handle.shared().check_open()?;
        let (found, next) = ask(handle, |catalog| {
            let found = catalog.live_ordered(table, name)?;
            let found = found.map(|(index, made_at)| (made_at, catalog.definition(index).cloned()));
            Ok((found, catalog.next_table()))
        })?;
        let (named, index) = (table.name().to_owned(), name.to_owned());
        match found {
            None if look(handle, |catalog| catalog.is_filling(table.id(), name)) => {
                return Err(Error::IndexBuilding {
                    table: named,
                    index,
                });
            }
            None => {}
            Some((made_at, stands)) if stands.as_ref() == Some(definition) => {
                handle.shared().wait_settled(made_at)?;
                return Ok(None);
            }
            Some(_) => {
                let exists = Error::IndexExists {
                    table: named,
                    column: index,
                };
                return Err(once_settled(handle, exists));
            }
        }
        handle.shared().check_writable()?;
        let change = Change::BeginIndex {
            table: next,
            of: table.id(),
            name: index,
            definition: definition.clone(),
        };
        if let Some(begun) = commit_plain(handle, &change)? {
            return Ok(Some(Making {
                handle,
                index: next,
                of: table.id(),
                begun,
            }));
        }
    }
}

/// An index that is being filled. Ends by rule 4 when it is dropped.
struct Making<'a> {
    handle: &'a Arc<Handle>,
    index: TableId,
    of: TableId,
    begun: Timestamp,
}

impl Making<'_> {
    /// Rule 2.
    fn fill(&self) -> Result<()> {
        let mut from = Bound::Unbounded;
        loop {
            self.handle.shared().check_open()?;
            let mut inner = Inner::begin_with(self.handle.clone(), Isolation::Snapshot);
            let last = self.fill_some(&mut inner, from.as_ref().map(|key: &Vec<u8>| &key[..]))?;
            match inner.commit(Durability::Buffered) {
                Ok(_) => {}
                Err(
                    CommitError::Conflict { .. }
                    | CommitError::Read { .. }
                    | CommitError::SnapshotTooOld,
                ) => {
                    // Mostly with somebody who is just committing.
                    thread::yield_now();
                    continue;
                }
                Err(CommitError::Locked { .. }) => {
                    thread::sleep(LOCKED_PAUSE);
                    continue;
                }
                Err(error) => return Err(Error::from_commit(error, self.handle)),
            }
            match last {
                Some(last) => from = Bound::Excluded(last),
                None => return Ok(()),
            }
        }
    }

    /// Writes the entries of some records behind `from`; returns the last one's key, `None` if there are
    /// no more.
    fn fill_some(&self, inner: &mut Inner, from: Bound<&[u8]>) -> Result<Option<Vec<u8>>> {
        let (mut standing, mut bytes, mut last) = (Vec::new(), 0, None);
        let mut filled = None;
        {
            let reading = Reading::of_transaction(inner);
            let bounds = Bounds {
                lower: from,
                upper: Bound::Unbounded,
            };
            let mut records = reading.range_of(self.of, &bounds);
            while let Some(record) = records.step(vellum_pages::tree::End::Front) {
                let (key, record) = record?;
                if record.version().is_some_and(|at| at <= self.begun) {
                    bytes += key.len() + record.value().len();
                    standing.push((key.to_vec(), record.into_value().to_vec()));
                }
                if standing.len() == FILLED_RECORDS || bytes > FILLED_BYTES {
                    last = Some(key.to_vec());
                    break;
                }
            }
        }
        for (key, value) in standing {
            if inner.write_bytes() > FILLED_BYTES {
                return Ok(filled);
            }
            inner.mark_read(self.of, &key);
            self.fill_one(inner, &key, &value)?;
            filled = Some(key);
        }
        Ok(last)
    }

    fn fill_one(&self, inner: &mut Inner, key: &[u8], value: &[u8]) -> Result<()> {
        let keeper = self.keeper(inner)?;
        let of = inner.reader().schema().name(self.of).to_owned();
        for index_key in keeper.keys(&of, key, value)?.iter() {
            if keeper.is_unique() {
                let reading = Reading::of_transaction(inner);
                check_unique(reading, (&of, &keeper), index_key, key)?;
            }
            let entry = entry(keeper.is_unique(), index_key, key)?;
            let value = if keeper.is_unique() { key } else { &[] };
            let written = inner.put(self.index, &entry, value, &[]);
            written.map_err(|error| Error::from_commit(error, self.handle))?;
        }
        Ok(())
    }

    /// The index, if its table was not dropped.
    fn keeper(&self, inner: &Inner) -> Result<Keeper> {
        let catalog = inner.reader().schema();
        let mut keepers = catalog.keepers(self.of).iter();
        let keeper = keepers.find(|keeper| keeper.table == self.index);
        keeper
            .cloned()
            .ok_or_else(|| Error::from_commit(CommitError::TableDropped(self.of), self.handle))
    }

    /// Rule 3.
    fn finish(self, table: &Table) -> Result<()> {
        loop {
            self.handle.shared().check_writable()?;
            ask(self.handle, |catalog| catalog.check_live(table))?;
            let change = Change::FinishIndex { table: self.index };
            if commit_plain(self.handle, &change)?.is_some() {
                return Ok(());
            }
        }
    }
}

impl Drop for Making<'_> {
    /// Rule 4; of one that was finished there is nothing to end.
    fn drop(&mut self) {
        let index = self.index;
        if look(self.handle, |catalog| catalog.is_filling_table(index)) {
            let store = &self.handle.shared().store;
            let _ =
                store.amend_schema(|catalog| Ok::<_, Error>(catalog.without_filling(Some(index))));
        }
    }
}
