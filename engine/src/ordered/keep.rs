//! The derived writes of one write: rules 2, 4 and 6 of [`super`].
//!
//! 1. What is written is the difference between the index keys of what stands at the key, own writes
//!    included, and those of what is to stand there. An entry that stays is not written, so that
//!    who changes nothing of an index meets nobody in it.
//! 2. **While the index is filled**, all entries of what is to stand are written: the filling leaves
//!    records that were written since it began to their writers. And what stands may have no entry yet, or, in a
//!    unique index, one of another record that has taken the index key. That one stays; and the commit
//!    fails if it does not stay until then, since the filling may have put this record's in its place.
//! 3. What stands need not be in the read set: the commit fails if anybody else commits that key. Nor
//!    need an entry that is not there, since it is written; one that is there for another record is, since its
//!    caller is told of it.
//! 4. All that can be refused is, before anything is written: an operation that returned an error changed
//!    nothing.

use vellum_base::TableId;

use crate::bytes::Value;
use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::ordered::entries::entry;
use crate::ordered::info::Keeper;
use crate::quoted::QuotedKey;
use crate::reading::Reading;
use crate::record::StoredRecord;
use crate::transaction::Inner;
use crate::typed::EncodeBuffer;

/// What an entry has to do with the write.
#[derive(Clone, Copy)]
enum Fate {
    Put,
    Delete,
    /// It must stay as the snapshot shows it (rule 2).
    Stays,
}

struct Planned {
    table: TableId,
    entry: EncodeBuffer,
    fate: Fate,
}

/// Writes the entries that belong to the writing of `new` at `key`, which comes next: a value, and bytes of
/// vectors; `None`: a removal.
pub(crate) fn keep(
    inner: &mut Inner,
    table: TableId,
    key: &[u8],
    new: Option<(&[u8], usize)>,
) -> Result<()> {
    let planned = plan(Reading::of_transaction(inner), table, key, new)?;
    // Of an entry that has a value, that is the key.
    let entries = planned.iter().map(|one| one.entry.len() + key.len());
    let record = new.map_or(0, |(value, vectors)| value.len() + vectors);
    let bytes = entries.sum::<usize>() + key.len() + record;
    let room = inner.check_room(planned.len() + 1, bytes);
    room.map_err(|error| Error::from_commit(error, inner.owner()))?;
    for Planned { table, entry, fate } in &planned {
        let written = match (fate, is_unique(inner, *table)) {
            (Fate::Put, true) => inner.put(*table, entry, key, &[]),
            (Fate::Put, false) => inner.put(*table, entry, &[], &[]),
            (Fate::Delete, _) => inner.delete(*table, entry),
            (Fate::Stays, _) => {
                inner.mark_read(*table, entry);
                Ok(())
            }
        };
        written.map_err(|error| Error::from_commit(error, inner.owner()))?;
    }
    Ok(())
}

fn is_unique(inner: &Inner, table: TableId) -> bool {
    inner.reader().schema().is_unique(table)
}

/// Rules 1, 2 and 4.
fn plan(
    reading: Reading<'_>,
    table: TableId,
    key: &[u8],
    new: Option<(&[u8], usize)>,
) -> Result<Vec<Planned>> {
    let catalog: &Catalog = reading.reader().schema();
    let of = catalog.name(table);
    // Rule 3.
    let old = reading.untracked().find(table, key)?;
    let old = old.map(StoredRecord::into_value);
    let mut planned = Vec::new();
    for keeper in catalog.keepers(table) {
        let is_unique = keeper.is_unique();
        let keys_of = |value: Option<&[u8]>| {
            let keys = value.map(|value| keeper.keys(of, key, value)).transpose();
            keys.map(Option::unwrap_or_default)
        };
        let before = keys_of(old.as_deref())?;
        let after = keys_of(new.map(|(value, _)| value))?;
        let mut plan = |index_key: &[u8], fate| {
            let entry = entry(is_unique, index_key, key)?;
            let table = keeper.table;
            planned.push(Planned { table, entry, fate });
            Ok::<_, Error>(())
        };
        for index_key in before.iter().filter(|one| !after.contains(one)) {
            let others = is_unique && holder(reading, keeper, index_key, key)?.is_some();
            plan(index_key, if others { Fate::Stays } else { Fate::Delete })?;
        }
        let is_filling = catalog.is_filling_table(keeper.table);
        for index_key in after.iter() {
            if before.contains(index_key) && !is_filling {
                continue;
            }
            if is_unique {
                check_unique(reading, (of, keeper), index_key, key)?;
            }
            plan(index_key, Fate::Put)?;
        }
    }
    Ok(planned)
}

/// The key of another record that has this index key.
fn holder<'t>(
    reading: Reading<'t>,
    keeper: &Keeper,
    index_key: &[u8],
    key: &[u8],
) -> Result<Option<Value<'t>>> {
    let entry = entry(true, index_key, key)?;
    let stands = reading.untracked().find(keeper.table, &entry)?;
    let stands = stands.map(StoredRecord::into_value);
    Ok(stands.filter(|stands| **stands != *key))
}

/// No other record has this index key.
pub(super) fn check_unique(
    reading: Reading<'_>,
    (of, keeper): (&str, &Keeper),
    index_key: &[u8],
    key: &[u8],
) -> Result<()> {
    let Some(stands) = holder(reading, keeper, index_key, key)? else {
        return Ok(());
    };
    // Rule 3: what the caller is told, it has read.
    drop(reading.find(keeper.table, &entry(true, index_key, key)?)?);
    Err(Error::NotUnique {
        table: of.to_owned(),
        index: keeper.name.to_string(),
        index_key: QuotedKey::new(index_key),
        key: QuotedKey::new(key),
        stands: QuotedKey::new(&stands),
    })
}
