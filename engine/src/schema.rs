//! Changes of the catalog, each in a commit of its own.
//!
//! Rules:
//!
//! 1. A change is written for the catalog that its maker saw. The log holds it as it was written, so
//!    one that another change has overtaken is refused inside the gate and written anew.
//! 2. Whoever gets a handle of a table can use it: its making is settled first.
//! 3. An index is filled before its change is committed ([`crate::building`]). Where that is
//!    overtaken, the rows stay good, and only the change is written anew.
//! 4. Making an index that stands, of the same definition, succeeds and changes nothing. Of several
//!    who make it at once all succeed, and one commits; the others' filling ends like one that
//!    failed. Like rule 2, each returns when the index is settled.
//! 5. The present catalog may have a change that a crash can still undo. An error that tells what
//!    the catalog has or lacks is returned when all of that is settled, and where it never will be,
//!    that is the error [16].

use std::sync::Arc;

use vellum_base::{IndexId, TableId, Timestamp};
use vellum_txn::{CommitError, Durability, Reader, SchemaError, Snapshot};

use crate::argument::check_name;
use crate::building::Building;
use crate::catalog::{Catalog, ChangeError};
use crate::change::{Change, Definition};
use crate::error::{Error, Result};
use crate::index::{IndexEntry, NewIndex};
use crate::shared::Handle;
use crate::table::Table;
use crate::table_options::TableOptions;
use crate::typed::types::Types;

/// Why a change was not made.
enum Refusal {
    /// Rule 1.
    Overtaken,
    Error(Error),
}

impl From<ChangeError> for Refusal {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Broken(_) => Self::Overtaken,
            ChangeError::Fill(error) => Self::Error(error),
        }
    }
}

/// Looks at the present catalog.
pub(crate) fn look<T>(handle: &Arc<Handle>, look: impl FnOnce(&Catalog) -> T) -> T {
    look(Snapshot::begin(handle.clone()).reader().schema())
}

/// Rule 5: `error`, which the present catalog or an earlier one decided.
pub(crate) fn once_settled(handle: &Arc<Handle>, error: Error) -> Error {
    let changed_at = look(handle, Catalog::changed_at);
    match handle.shared().wait_settled(changed_at) {
        Ok(()) => error,
        Err(failed) => failed,
    }
}

/// What the present catalog answers; what it refuses comes by rule 5.
pub(crate) fn ask<T>(handle: &Arc<Handle>, ask: impl FnOnce(&Catalog) -> Result<T>) -> Result<T> {
    look(handle, ask).map_err(|error| once_settled(handle, error))
}

/// Commits `change`, whose catalog `make` makes; returns when that was. `None`: overtaken.
fn commit(
    handle: &Arc<Handle>,
    change: &Change,
    durability: Durability,
    make: impl FnOnce(Reader<'_, Catalog>, Timestamp) -> Result<Catalog, Refusal>,
) -> Result<Option<Timestamp>> {
    let store = &handle.shared().store;
    match store.change_schema(&change.encode(), durability, make) {
        Ok(at) => Ok(Some(at)),
        Err(SchemaError::Refused(Refusal::Overtaken)) => Ok(None),
        Err(SchemaError::Refused(Refusal::Error(error))) => Err(error),
        Err(SchemaError::Commit(error)) => Err(Error::from_commit(error, handle)),
    }
}

/// Commits a change that needs nothing but the catalog.
pub(crate) fn commit_plain(handle: &Arc<Handle>, change: &Change) -> Result<Option<Timestamp>> {
    commit_as(handle, change, handle.shared().durability)
}

fn commit_as(
    handle: &Arc<Handle>,
    change: &Change,
    durability: Durability,
) -> Result<Option<Timestamp>> {
    let settled = handle.shared().store.settled();
    commit(handle, change, durability, |reader, at| {
        Ok(reader
            .schema()
            .apply(change.clone(), at, settled, |_, _| Ok(()))?)
    })
}

fn find(handle: &Arc<Handle>, name: &str) -> Result<Found> {
    check_name(name)?;
    handle.shared().check_open()?;
    match look(handle, |catalog| {
        let found = catalog.find(name);
        found.ok_or((catalog.next_table(), catalog.is_loading(name)))
    }) {
        Ok((table, made_at)) => {
            // Rule 2.
            handle.shared().wait_settled(made_at)?;
            Ok(Found::Table(table))
        }
        Err((_, true)) => Ok(Found::Loading),
        Err((next, false)) => Ok(Found::Nothing(next)),
    }
}

/// What has a name.
enum Found {
    Table(Table),
    /// A table that is not there yet.
    Loading,
    /// None; the number that the next table will have.
    Nothing(TableId),
}

pub(crate) fn open_table(handle: &Arc<Handle>, name: &str) -> Result<Table> {
    match find(handle, name)? {
        Found::Table(table) => Ok(table),
        Found::Loading | Found::Nothing(_) => {
            let name = name.to_owned();
            Err(once_settled(handle, Error::UnknownTable { name }))
        }
    }
}

pub(crate) fn table(handle: &Arc<Handle>, name: &str, options: TableOptions) -> Result<Table> {
    loop {
        let table = match find(handle, name)? {
            Found::Table(table) => return Ok(table),
            Found::Loading => return Err(loading(name)),
            Found::Nothing(next) => next,
        };
        handle.shared().check_writable()?;
        commit_plain(
            handle,
            &Change::CreateTable {
                table,
                name: name.to_owned(),
                options,
            },
        )?;
    }
}

fn loading(name: &str) -> Error {
    let table = name.to_owned();
    Error::TableLoading { table }
}

/// Begins a load; returns the table's number, and when that was.
pub(crate) fn begin_load(
    handle: &Arc<Handle>,
    name: &str,
    options: TableOptions,
) -> Result<(TableId, Timestamp)> {
    loop {
        let table = match find(handle, name)? {
            Found::Table(_) => {
                let table = name.to_owned();
                return Err(once_settled(handle, Error::TableExists { table }));
            }
            Found::Loading => return Err(loading(name)),
            Found::Nothing(next) => next,
        };
        handle.shared().check_writable()?;
        let change = Change::BeginLoad {
            table,
            name: name.to_owned(),
            options,
        };
        if let Some(at) = commit_plain(handle, &change)? {
            return Ok((table, at));
        }
    }
}

/// Commits the end of a load: durably, whatever others wait for, since no log could bring its records back.
pub(crate) fn finish_load(handle: &Arc<Handle>, table: TableId) -> Result<Option<Timestamp>> {
    commit_as(handle, &Change::FinishLoad { table }, Durability::Sync)
}

pub(crate) fn set_options(
    handle: &Arc<Handle>,
    table: &Table,
    options: TableOptions,
) -> Result<()> {
    loop {
        handle.shared().check_writable()?;
        let table = ask(handle, |catalog| catalog.check_live(table))?;
        if commit_plain(handle, &Change::SetOptions { table, options })?.is_some() {
            return Ok(());
        }
    }
}

pub(crate) fn options(handle: &Arc<Handle>, table: &Table) -> Result<TableOptions> {
    handle.shared().check_open()?;
    ask(handle, |catalog| {
        let table = catalog.check_live(table)?;
        Ok(catalog.options(table))
    })
}

/// The table has these types, or gets them ([`crate::typed::types`]).
pub(crate) fn set_types(handle: &Arc<Handle>, table: &Table, types: &Arc<Types>) -> Result<()> {
    loop {
        handle.shared().check_open()?;
        let (id, stored) = ask(handle, |catalog| {
            let id = catalog.check_live(table)?;
            Ok((id, catalog.types(id).cloned()))
        })?;
        match stored {
            Some(stored) if stored == *types => return Ok(()),
            Some(stored) => {
                let mismatch = Error::TypeMismatch {
                    table: table.name().to_owned(),
                    stored: stored.to_string(),
                    asked: types.to_string(),
                };
                return Err(once_settled(handle, mismatch));
            }
            None if handle.shared().log.is_read_only() => return Ok(()),
            None => {}
        }
        let change = Change::SetTypes {
            table: id,
            types: types.clone(),
        };
        if commit_plain(handle, &change)?.is_some() {
            return Ok(());
        }
    }
}

pub(crate) fn drop_table(handle: &Arc<Handle>, table: &Table) -> Result<()> {
    loop {
        handle.shared().check_writable()?;
        let id = ask(handle, |catalog| catalog.check_live(table))?;
        if commit_plain(handle, &Change::DropTable { table: id })?.is_some() {
            return Ok(());
        }
    }
}

pub(crate) fn drop_index(handle: &Arc<Handle>, table: &Table, column: &str) -> Result<()> {
    loop {
        handle.shared().check_writable()?;
        let index = ask(handle, |catalog| {
            let index = catalog.live_index(table, column)?;
            index.map(|index| index.id).ok_or_else(|| {
                let (table, column) = (table.name().to_owned(), column.to_owned());
                Error::UnknownIndex { table, column }
            })
        })?;
        if commit_plain(
            handle,
            &Change::DropIndex {
                index,
                table: table.id(),
            },
        )?
        .is_some()
        {
            return Ok(());
        }
    }
}

pub(crate) fn create_index(
    handle: &Arc<Handle>,
    table: &Table,
    column: &str,
    index: NewIndex,
) -> Result<()> {
    let definition = index.define(column)?;
    handle.shared().check_open()?;
    let Some(id) = next_index(handle, table, &definition)? else {
        return Ok(());
    };
    handle.shared().check_writable()?;
    let entry = look(handle, |catalog| {
        IndexEntry::new(id, definition, catalog.plugins())
    })?;
    let building = Building::begin(handle, table, &entry)?;
    building.copy()?;
    // Rules 3 and 4.
    while let Some(id) = next_index(handle, table, &entry.definition)? {
        handle.shared().check_writable()?;
        if commit_index(handle, table.id(), entry.clone().numbered(id))? {
            break;
        }
    }
    Ok(())
}

/// The number that an index of this definition will have; `None` where it stands (rule 4).
fn next_index(
    handle: &Arc<Handle>,
    table: &Table,
    definition: &Definition,
) -> Result<Option<IndexId>> {
    let column = &definition.spec.column;
    let found = ask(handle, |catalog| {
        match catalog.live_index(table, column)? {
            None => Ok(Err(catalog.next_index())),
            Some(index) if *index.definition == *definition => Ok(Ok(index.created_at)),
            Some(_) => Err(Error::IndexExists {
                table: table.name().to_owned(),
                column: column.clone(),
            }),
        }
    })?;
    match found {
        Ok(made_at) => handle.shared().wait_settled(made_at).map(|()| None),
        Err(next) => Ok(Some(next)),
    }
}

/// Commits the making of a filled index. `false`: overtaken.
pub(crate) fn commit_index(
    handle: &Arc<Handle>,
    table: TableId,
    entry: IndexEntry,
) -> Result<bool> {
    let change = Change::CreateIndex {
        index: entry.id,
        table,
        definition: (*entry.definition).clone(),
    };
    let (settled, durability) = (handle.shared().store.settled(), handle.shared().durability);
    let committed = commit(handle, &change, durability, |reader, at| {
        let mut next = reader.schema().begin_change(at, settled);
        next.create_index(table, entry.made_at(at))
            .map_err(|_| Refusal::Overtaken)?;
        Ok(next)
    })?;
    Ok(committed.is_some())
}

impl Error {
    /// A refusal of the store, with names in place of numbers.
    pub(crate) fn from_commit(error: CommitError, handle: &Arc<Handle>) -> Self {
        let name = |table| look(handle, |catalog| catalog.name_of(table));
        let quoted = |table, key: &[u8]| {
            let is_hidden = look(handle, |catalog| catalog.derived(table).is_some());
            match is_hidden {
                true => crate::ordered::shown(key),
                false => crate::quoted::QuotedKey::new(key),
            }
        };
        match error {
            CommitError::Conflict { table, key, winner } => Self::Conflict {
                key: quoted(table, &key),
                table: name(table),
                winner,
            },
            CommitError::Read {
                table,
                key,
                winner,
                read,
            } => Self::ReadConflict {
                key: quoted(table, &key),
                table: name(table),
                read,
                winner,
            },
            CommitError::TableDropped(table) => {
                let of = look(handle, |catalog| {
                    let of = catalog.derived(table).map(|derived| derived.of);
                    of.filter(|of| !catalog.is_dropped(*of))
                });
                match of {
                    Some(of) => Self::IndexesChanged { table: name(of) },
                    None => once_settled(handle, Self::TableDropped { table: name(table) }),
                }
            }
            CommitError::Outdated(table) => Self::IndexesChanged { table: name(table) },
            CommitError::SnapshotTooOld => Self::SnapshotTooOld {
                limit: handle.shared().store.trail_limit(),
            },
            CommitError::Dimension {
                column,
                expected,
                found,
            } => {
                let key = None;
                let refused = crate::InvalidArgument::Dimension {
                    column,
                    expected,
                    found,
                    key,
                };
                once_settled(handle, refused.into())
            }
            CommitError::TooLarge { bytes, limit } => {
                crate::InvalidArgument::CommitTooLarge { bytes, limit }.into()
            }
            CommitError::Merge {
                table,
                key,
                operator,
                why,
            } => {
                // The record may be newer than the snapshot [16].
                let (visible, shared) = (handle.shared().store.visible(), handle.shared());
                let refused = Self::of_merge(name(table), &key, operator, why);
                shared.wait_settled(visible).err().unwrap_or(refused)
            }
            CommitError::Base(error) => Self::from_base(&error),
            CommitError::WriteMemory {
                bytes,
                others,
                limit,
            } => Self::WriteMemory {
                bytes,
                others,
                limit,
            },
            CommitError::Locked { table, key } => Self::Locked {
                table: name(table),
                key: crate::quoted::QuotedKey::new(&key),
            },
            CommitError::Log(error) => Self::from_log(error),
            CommitError::Memory(what) => Self::OutOfMemory(what),
        }
    }
}
