//! Merge operators: writes that say how a value is changed, not what it becomes, so that two of them
//! commute and neither conflicts.
//!
//! # Rules
//! 1. The write set holds an operand for a key, and so does the log: the operator by name. What the
//!    generations and the base hold is a whole record, always: no version is ever an operand [21].
//! 2. A commit folds its operands, before each passage through the gate, into what the keys have at one
//!    timestamp m, which is no earlier than its snapshot and no later than what is visible. No page is
//!    read inside.
//! 3. Inside, such a key is checked and installed as by a transaction whose snapshot is m (`commit`, rule
//!    2). Whoever finds it newer than m, or another's pending one, takes all back, leaves, folds again
//!    and comes again: that is no conflict, since an operand depends on no snapshot. Nobody waits inside.
//!    After [`LOSSES_MAX`] such passages it closes the gate: then nothing is pending, what became newer since m
//!    is folded over what the generations have, and the commit is not passed. A large commit does so after one
//!    (`validation`, rule 5).
//! 4. So between m and the commit's timestamp nothing was committed to the key, and a replay that folds
//!    in the order of commits makes the same values.
//! 5. Of several operands of one operator to one key a transaction holds their combination. With another
//!    operator, or over an own write, it writes the whole value, as any write.
//! 6. The vectors of a record stay.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use vellum_base::{TableId, Timestamp, VALUE_BYTES_MAX};
use vellum_sync::{hint, scaled, thread};

use crate::error::CommitError;
use crate::generation::HashedKey;
use crate::schema::Schema;
use crate::snapshot::{Lookup, Reader};
use crate::write_set::Operand;

/// Why an operator refused.
pub type MergeError = Box<dyn std::error::Error + Send + Sync>;

/// How values are changed by operands.
///
/// The same operator must stand under the same name for as long as the database is used, and give the
/// same results everywhere: the log names it, and what it held is folded again at an opening. A new
/// behaviour is a new name. It is called by any thread, and more than once for a commit, where many merge into
/// one key also while other commits wait for this one: it must not use the database, nor wait for who does. Where
/// it panics, so does the call, and nothing was committed.
pub trait MergeOperator: Send + Sync {
    /// The value that comes of a value, or of none, and an operand.
    ///
    /// # Errors
    /// What is wrong with the value, the operand, or the result; the commit fails with it, or the call
    /// that needs the value now.
    fn fold(&self, existing: Option<&[u8]>, operand: &[u8]) -> Result<Vec<u8>, MergeError>;

    /// One operand that does what these two do, one after the other:
    /// `fold(fold(value, first), second) = fold(value, combine(first, second))`.
    ///
    /// # Errors
    /// As [`MergeOperator::fold`].
    fn combine(&self, first: &[u8], second: &[u8]) -> Result<Vec<u8>, MergeError>;
}

/// An operator's number in this store; the log has its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OperatorId(pub(crate) u32);

/// The operators of a store, by name.
#[derive(Clone, Default)]
pub struct Operators {
    by_name: BTreeMap<String, OperatorId>,
    all: Vec<(String, Arc<dyn MergeOperator>)>,
}

impl Operators {
    /// Adds one, or puts it in the place of another of its name.
    pub fn add(&mut self, name: &str, operator: Arc<dyn MergeOperator>) {
        match self.find(name) {
            Some(id) => self.all[id.0 as usize].1 = operator,
            None => {
                let id = OperatorId(self.all.len() as u32);
                self.by_name.insert(name.to_owned(), id);
                self.all.push((name.to_owned(), operator));
            }
        }
    }

    /// The one of a name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<OperatorId> {
        self.by_name.get(name).copied()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self, id: OperatorId) -> &str {
        self.all.get(id.0 as usize).map_or("", |(name, _)| name)
    }

    /// The value after an operand.
    ///
    /// # Errors
    /// What the operator says, or that the value is too long for one.
    pub fn fold(
        &self,
        id: OperatorId,
        existing: Option<&[u8]>,
        operand: &[u8],
    ) -> Result<Vec<u8>, MergeError> {
        check_len(self.get(id)?.fold(existing, operand)?)
    }

    /// The two operands as one.
    ///
    /// # Errors
    /// As [`Operators::fold`].
    pub fn combine(
        &self,
        id: OperatorId,
        first: &[u8],
        second: &[u8],
    ) -> Result<Vec<u8>, MergeError> {
        check_len(self.get(id)?.combine(first, second)?)
    }

    fn get(&self, id: OperatorId) -> Result<&dyn MergeOperator, MergeError> {
        let found = self.all.get(id.0 as usize);
        let (_, operator) = found.ok_or("there is no such operator")?;
        Ok(&**operator)
    }
}

fn check_len(bytes: Vec<u8>) -> Result<Vec<u8>, MergeError> {
    match bytes.len() <= VALUE_BYTES_MAX {
        true => Ok(bytes),
        false => Err(format!("{} bytes are more than a value may have", bytes.len()).into()),
    }
}

impl fmt::Debug for Operators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}

/// A record as bytes of its own: value and encoded vectors.
pub type Stored = (Vec<u8>, Vec<u8>);

/// Rule 2: the record that comes of an operand, at the reader's timestamp.
pub(crate) fn fold<S: Schema>(
    operators: &Operators,
    reader: Reader<'_, S>,
    key: HashedKey<'_>,
    operand: Operand<'_>,
) -> Result<Stored, CommitError> {
    let fold = |existing: Option<&[u8]>| {
        let folded = operators.fold(operand.operator, existing, operand.bytes);
        folded.map_err(|why| refused(operators, key.table, key.key, operand, &why))
    };
    match reader.lookup(key) {
        Lookup::Version(version) => {
            let vectors = version.vectors().bytes().to_vec();
            Ok((fold(Some(version.value()))?, vectors))
        }
        Lookup::Deleted(_) => Ok((fold(None)?, Vec::new())),
        Lookup::Below => {
            let stored = S::stored(reader.base(), key.table, key.key);
            match stored.map_err(CommitError::Base)? {
                Some((value, vectors)) => Ok((fold(Some(&value))?, vectors)),
                None => Ok((fold(None)?, Vec::new())),
            }
        }
    }
}

fn refused(
    operators: &Operators,
    table: TableId,
    key: &[u8],
    operand: Operand<'_>,
    why: &MergeError,
) -> CommitError {
    CommitError::Merge {
        table,
        key: key.into(),
        operator: operators.name(operand.operator).to_owned(),
        why: why.to_string(),
    }
}

/// Passages that are given up before the gate is closed (rule 3).
const LOSSES_MAX: u32 = scaled(16, 1);

/// For how long another's pending version is given before its committer gets the processor.
const SPINS: u32 = scaled(64, 1);

/// By what a merged key was found newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Newer {
    Committed,
    Pending,
}

/// As of when a commit's operands are folded.
#[derive(Debug)]
pub(crate) struct Merging {
    /// Rule 2's m; the snapshot, where nothing is merged.
    pub(crate) at: Timestamp,
    /// Rule 3: what was met in the passage under way.
    pub(crate) met: Option<Newer>,
    losses: u32,
}

impl Merging {
    pub(crate) fn new(at: Timestamp) -> Self {
        Self {
            at,
            met: None,
            losses: 0,
        }
    }

    /// Passages that were given up.
    pub(crate) fn losses(&self) -> u32 {
        self.losses
    }

    /// Whether it was passed so often that it closes the gate.
    pub(crate) fn is_losing(&self) -> bool {
        self.losses >= LOSSES_MAX
    }

    /// A passage was given up: a committer whose version is pending has to come on.
    pub(crate) fn give_way(&mut self, to: Newer) {
        self.losses += 1;
        match (to, self.losses % 2) {
            (Newer::Committed, _) => {}
            (Newer::Pending, 1) => (0..SPINS).for_each(|_| hint::spin_loop()),
            (Newer::Pending, _) => thread::yield_now(),
        }
    }
}
