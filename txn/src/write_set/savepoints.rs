//! Savepoints of a write set: what was written since each of them, so that it can be taken back.
//!
//! # Rules
//! 1. A savepoint is a mark in the write set: how many writes there were. The writes from there on are
//!    to new keys. Of a key that was written before, what stood is remembered when it is written over
//!    first after the last mark, and no more: so nothing is remembered twice for a mark, and nothing at
//!    all where there are no marks.
//! 2. Rolling back puts back what is remembered, the last first, and takes the new keys off. The mark
//!    itself stays, those after it are gone.
//! 3. What is remembered keeps its bytes in the buffer, and counts as memory, not as part of the commit.
//! 4. Numbers of marks only grow in a transaction, and each transaction has a name of its own: an
//!    allocation that its savepoints keep. So a savepoint that was rolled back over, and one of another
//!    transaction, are told from those that stand.
//! 5. A last mark whose savepoint was dropped goes before more is remembered for it, and before another is
//!    made. Of what it remembers, the mark before it needs what is older than that mark. So who makes a
//!    savepoint for each of many steps needs no more memory than for one.

use std::sync::Arc;

use crate::write_set::order::{ARRAY_MAX, Ordered};
use crate::write_set::{Write, WriteSet};

/// A place in a transaction's writes to which it can be rolled back. One that is dropped frees what was
/// kept for it.
#[derive(Debug)]
pub struct Savepoint {
    name: Arc<Name>,
}

#[derive(Debug)]
struct Name {
    transaction: Arc<()>,
    number: u64,
}

/// Why a transaction could not be rolled back to a savepoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SavepointError {
    /// It was rolled back to an earlier one.
    RolledBack,
    /// The savepoint is of another transaction.
    OtherTransaction,
}

/// The marks, and what is remembered. See the module's rules.
#[derive(Default)]
pub(super) struct Marks {
    transaction: Option<Arc<()>>,
    marks: Vec<Mark>,
    undo: Vec<(u32, Write)>,
    /// How many were made.
    made: u64,
    /// Bytes of what is remembered, as a commit counts them.
    pub(super) bytes: usize,
}

struct Mark {
    name: Arc<Name>,
    writes: usize,
    total: usize,
    undo: usize,
}

impl Marks {
    pub(super) fn clear(&mut self) {
        // Most transactions have none.
        if self.made > 0 {
            *self = Self::default();
        }
    }

    /// The number of the last mark; zero if there is none.
    pub(super) fn last(&self) -> u64 {
        self.marks.last().map_or(0, |mark| mark.name.number)
    }

    /// What is remembered, for who moves it.
    pub(super) fn remembered(&mut self) -> impl Iterator<Item = &mut Write> {
        self.undo.iter_mut().map(|(_, write)| write)
    }

    /// Rule 1: whether what is written over must be remembered.
    pub(super) fn needs(&self, before: &Write) -> bool {
        before.since < self.last()
    }

    pub(super) fn remember(&mut self, place: usize, before: Write) {
        self.bytes += before.counted();
        self.undo.push((place as u32, before));
    }
}

impl WriteSet {
    /// Makes a savepoint.
    pub(crate) fn savepoint(&mut self) -> Savepoint {
        self.release();
        let marks = &mut self.marks;
        marks.made += 1;
        let name = Arc::new(Name {
            transaction: Arc::clone(marks.transaction.get_or_insert_default()),
            number: marks.made,
        });
        marks.marks.push(Mark {
            name: Arc::clone(&name),
            writes: self.writes.len(),
            total: self.total,
            undo: marks.undo.len(),
        });
        Savepoint { name }
    }

    /// Gives back what savepoints that are gone had kept.
    pub(crate) fn release(&mut self) {
        self.forget_dropped();
        self.compact_if_worth();
    }

    /// Rule 5.
    pub(super) fn forget_dropped(&mut self) {
        while let Some(dropped) = self
            .marks
            .marks
            .pop_if(|mark| Arc::strong_count(&mark.name) == 1)
        {
            let from = dropped.undo;
            let last = self.marks.last();
            let needed = |write: &Write| write.since < last;
            for (_, write) in self
                .marks
                .undo
                .extract_if(from.., |(_, write)| !needed(write))
            {
                self.marks.bytes -= write.counted();
                self.dead += write.buffered();
            }
        }
    }

    /// Rolls back to a savepoint (rule 2).
    pub(crate) fn roll_back_to(&mut self, savepoint: &Savepoint) -> Result<(), SavepointError> {
        let of_this = self.marks.transaction.as_ref();
        if !of_this.is_some_and(|this| Arc::ptr_eq(this, &savepoint.name.transaction)) {
            return Err(SavepointError::OtherTransaction);
        }
        let number = |mark: &Mark| mark.name.number;
        let found = self
            .marks
            .marks
            .binary_search_by_key(&savepoint.name.number, number);
        let at = found.map_err(|_| SavepointError::RolledBack)?;
        let mark = &self.marks.marks[at];
        let (writes, total, undo) = (mark.writes, mark.total, mark.undo);
        self.marks.marks.truncate(at + 1);
        for (place, before) in self.marks.undo.drain(undo..).rev() {
            self.marks.bytes -= before.counted();
            let after = std::mem::replace(&mut self.writes[place as usize], before);
            self.dead += after.buffered();
        }
        self.take_off(writes);
        self.total = total;
        self.compact_if_worth();
        Ok(())
    }

    /// Takes the writes from `len` on off.
    fn take_off(&mut self, len: usize) {
        for write in &self.writes[len..] {
            self.dead += write.buffered();
            if let Ordered::Trees(trees) = &mut self.ordered
                && let Some(tree) = trees.get_mut(&write.table)
            {
                tree.remove(&self.bytes[write.key()]);
            }
        }
        if let Ordered::Array(array) = &mut self.ordered {
            array.retain(|at| (*at as usize) < len);
        }
        self.writes.truncate(len);
        if len < self.writes.capacity() / 4 {
            self.writes.shrink_to(2 * len.max(ARRAY_MAX));
        }
    }
}
