//! Merging: changing values without reading them, and the operators that are supplied.
//!
//! Rules:
//!
//! 1. What is written is an operand, of which the commit makes a value (`vellum_txn`, `merge`). Over an
//!    own write, and over an operand of another operator, it is the value itself that is written, as
//!    by an insert; so it is in a table with ordered indexes, whose entries follow from the value.
//! 2. The operators that are supplied are registered in every database, under the names that their
//!    documentation says.
//! 3. Integers are little-endian, of 8 bytes; no record is zero. What does not fit is an error.
//! 4. A set is its members in ascending order, none twice, each after its length as four bytes,
//!    little-endian. An operand is a set as well.

use std::sync::Arc;

use vellum_base::TableId;
use vellum_txn::{MergeError, MergeOperator, OperatorId, Operators, Stored};

use crate::argument::{InvalidArgument, check_name, check_value};
use crate::error::{Error, Result};
use crate::quoted::QuotedKey;
use crate::record::StoredRecord;
use crate::table::Table;
use crate::transaction::{Inner, Transaction};

/// Adds to signed integers of 64 bits; `"add_i64"`. Operands and values are 8 bytes, little-endian; no
/// record counts as zero. A sum that does not fit is an error.
#[derive(Clone, Copy, Debug, Default)]
pub struct AddI64;

/// Adds to unsigned integers of 64 bits; `"add_u64"`. As [`AddI64`].
#[derive(Clone, Copy, Debug, Default)]
pub struct AddU64;

/// Adds members to sets of byte strings; `"union"`. [`Union::set`] makes sets, [`Union::members`] reads
/// them; operands are sets too.
///
/// ```
/// use vellum::{Database, Union};
///
/// let db = Database::in_memory()?;
/// let tags = db.table("tags")?;
/// for tag in ["blue", "new", "blue"] {
///     db.transact(|txn| txn.merge(&tags, "pen", "union", Union::set([tag])))?;
/// }
/// let read = db.begin_read()?;
/// let set = read.get(&tags, "pen")?.unwrap();
/// assert!(Union::members(&set).unwrap().eq([&b"blue"[..], b"new"]));
/// # Ok::<(), vellum::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Union;

fn eight(bytes: &[u8], what: &str) -> Result<[u8; 8], MergeError> {
    let bad = || format!("{what} of {} bytes, an integer has 8", bytes.len());
    bytes.try_into().map_err(|_| bad().into())
}

macro_rules! adds {
    ($name:ident, $integer:ty) => {
        impl MergeOperator for $name {
            fn fold(&self, existing: Option<&[u8]>, operand: &[u8]) -> Result<Vec<u8>, MergeError> {
                let value = existing.map_or(Ok([0; 8]), |value| eight(value, "a value"))?;
                self.combine(&value, operand)
            }

            fn combine(&self, first: &[u8], second: &[u8]) -> Result<Vec<u8>, MergeError> {
                let first = <$integer>::from_le_bytes(eight(first, "an operand")?);
                let second = <$integer>::from_le_bytes(eight(second, "an operand")?);
                let sum = first.checked_add(second);
                let sum = sum.ok_or_else(|| format!("{first} + {second} does not fit"))?;
                Ok(sum.to_le_bytes().to_vec())
            }
        }
    };
}

adds!(AddI64, i64);
adds!(AddU64, u64);

impl Union {
    /// The set of these members.
    #[must_use]
    pub fn set<M: AsRef<[u8]>>(members: impl IntoIterator<Item = M>) -> Vec<u8> {
        let members: Vec<M> = members.into_iter().collect();
        let mut members: Vec<&[u8]> = members.iter().map(AsRef::as_ref).collect();
        members.sort_unstable();
        members.dedup();
        let mut set = Vec::new();
        members.iter().for_each(|member| push(&mut set, member));
        set
    }

    /// The members of a set, in order; `None` if the bytes are no set (rule 4).
    #[must_use]
    pub fn members(set: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
        let (mut rest, mut before) = (set, None);
        while !rest.is_empty() {
            let (member, behind) = split(rest)?;
            if before.is_some_and(|before| before >= member) {
                return None;
            }
            (before, rest) = (Some(member), behind);
        }
        let mut rest = set;
        Some(std::iter::from_fn(move || {
            let (member, behind) = split(rest)?;
            rest = behind;
            Some(member)
        }))
    }
}

fn push(set: &mut Vec<u8>, member: &[u8]) {
    set.extend_from_slice(&(member.len() as u32).to_le_bytes());
    set.extend_from_slice(member);
}

/// The first member, and what is behind it.
fn split(set: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = set.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*len) as usize)
}

impl MergeOperator for Union {
    fn fold(&self, existing: Option<&[u8]>, operand: &[u8]) -> Result<Vec<u8>, MergeError> {
        self.combine(existing.unwrap_or_default(), operand)
    }

    fn combine(&self, first: &[u8], second: &[u8]) -> Result<Vec<u8>, MergeError> {
        let members = |set| Self::members(set).ok_or("bytes that are no set");
        let (first, mut second) = (members(first)?, members(second)?.peekable());
        let mut union = Vec::new();
        for member in first {
            while let Some(other) = second.next_if(|other| *other < member) {
                push(&mut union, other);
            }
            second.next_if_eq(&member);
            push(&mut union, member);
        }
        second.for_each(|other| push(&mut union, other));
        Ok(union)
    }
}

/// Rule 2.
pub(crate) fn supplied() -> Operators {
    let mut operators = Operators::default();
    operators.add("add_i64", Arc::new(AddI64));
    operators.add("add_u64", Arc::new(AddU64));
    operators.add("union", Arc::new(Union));
    operators
}

/// Names of operators are as those of tables; the log has them.
pub(crate) fn check_names(names: &[String]) -> Result<(), InvalidArgument> {
    names.iter().try_for_each(|name| check_name(name))
}

/// The value after an own operand.
pub(crate) fn fold(
    own: &Inner,
    (table, key): (TableId, &[u8]),
    operator: OperatorId,
    existing: Option<&[u8]>,
    operand: &[u8],
) -> Result<Vec<u8>> {
    let operators = own.owner().shared().store.operators();
    let folded = operators.fold(operator, existing, operand);
    folded.map_err(|why| refused(own, (table, key), operator, &why))
}

fn refused(
    own: &Inner,
    (table, key): (TableId, &[u8]),
    operator: OperatorId,
    why: &MergeError,
) -> Error {
    let operator = own.owner().shared().store.operators().name(operator);
    let error = vellum_txn::CommitError::Merge {
        table,
        key: key.into(),
        operator: operator.to_owned(),
        why: why.to_string(),
    };
    Error::from_commit(error, own.owner())
}

impl Transaction {
    /// Has the commit change the value of `key` by an operand, as the operator of this name does it
    /// ([`crate::Options::merge_operator`]; supplied are [`AddI64`], [`AddU64`] and [`Union`]). The
    /// value is read at the commit, however late: so this is no conflict with other commits that merge or
    /// write the key meanwhile, and none of them is lost. Where there is no record, the operator begins
    /// with none. The record's vectors stay.
    ///
    /// What this transaction reads of the key afterwards is its snapshot's value with the operand, and
    /// counts as read, which merging does not. Over its own insert or removal, and after merging by
    /// another operator, the value itself is written, as by [`Transaction::insert`]; so it is in a table that has
    /// ordered indexes.
    ///
    /// ```
    /// # use vellum::{Database, Error};
    /// # let db = Database::in_memory()?;
    /// # let visits = db.table("visits")?;
    /// let (mut one, mut other) = (db.begin()?, db.begin()?);
    /// one.merge(&visits, "page", "add_i64", 2i64.to_le_bytes())?;
    /// other.merge(&visits, "page", "add_i64", 3i64.to_le_bytes())?;
    /// one.commit()?;
    /// other.commit()?;
    /// let read = db.begin_read()?;
    /// assert_eq!(read.get(&visits, "page")?.unwrap(), &5i64.to_le_bytes());
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Transaction::insert`]; [`InvalidArgument::UnknownOperator`]; [`Error::Merge`]: what the
    /// operator says, here or from the commit; from the commit [`Error::Locked`], if another has locked the key,
    /// and [`Error::WriteMemory`], if the values that it makes take too much.
    pub fn merge(
        &mut self,
        table: &Table,
        key: impl AsRef<[u8]>,
        operator: &str,
        operand: impl AsRef<[u8]>,
    ) -> Result<()> {
        let (key, operand) = (key.as_ref(), operand.as_ref());
        let id = self.reading().check_with_key(table, key)?;
        check_value(key, operand)?;
        let operators = self.inner().owner().shared().store.operators();
        let Some(by) = operators.find(operator) else {
            let name = operator.to_owned();
            return Err(InvalidArgument::UnknownOperator { name }.into());
        };
        let before = self.inner().own_write(id, key);
        let is_indexed = !self.inner().reader().schema().keepers(id).is_empty();
        let written = match before.map(|own| own.and_then(|own| own.operand())) {
            None if !is_indexed => self.inner_mut().merge(id, key, by, operand),
            Some(Some((before, first))) if before == by => {
                let combined = operators.combine(by, first, operand);
                let combined =
                    combined.map_err(|why| refused(self.inner(), (id, key), by, &why))?;
                self.inner_mut().merge(id, key, by, &combined)
            }
            // Rule 1.
            _ => {
                let (value, vectors) = self.folded(id, key, by, operand)?;
                self.keep_indexes(id, key, Some((&value, vectors.len())))?;
                let vectors = vellum_txn::VectorList::new(&vectors);
                self.inner_mut().put_encoded(id, key, &value, vectors)
            }
        };
        written.map_err(|error| Error::from_commit(error, self.inner().owner()))
    }

    /// What comes of the operand and of what this transaction sees.
    fn folded(
        &self,
        table: TableId,
        key: &[u8],
        operator: OperatorId,
        operand: &[u8],
    ) -> Result<Stored> {
        let record = self.reading().find(table, key)?;
        let existing = record.as_ref().map(StoredRecord::value);
        let place = (table, key);
        let value = fold(self.inner(), place, operator, existing.as_deref(), operand)?;
        let vectors = record.as_ref().map(StoredRecord::vector_list);
        let vectors = vectors.map_or_else(Vec::new, |vectors| vectors.bytes().to_vec());
        Ok((value, vectors))
    }
}

impl Error {
    pub(crate) fn of_merge(table: String, key: &[u8], operator: String, why: String) -> Self {
        Self::Merge {
            table,
            key: QuotedKey::new(key),
            operator,
            why,
        }
    }
}
