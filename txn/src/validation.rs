//! Validation: that nothing a transaction read was committed anew since its snapshot, so that it
//! could have read it at its own commit timestamp. Then the order of commits is a serial order.
//!
//! # Rules
//! 1. A read is valid up to m if none of its keys, and no key within its ranges, has a version that
//!    was committed after the snapshot and no later than m. That is looked up in the generations since
//!    the view's active one, which the transaction pins, and never in the base: it does not tell what
//!    came and went [5].
//! 2. m is the visible timestamp, noted before anything is looked up. So a version up to m was stamped
//!    before, its key was listed before that, and both are found [12]. Pending versions are passed over:
//!    their timestamps come after m.
//! 3. **Validate up to m outside the log's mutex; inside, ask whether anything was stamped after m
//!    that may concern the reads (`recent`).** If so, leave it and validate the increment; nobody
//!    waits for anybody else's pending version, so of two partners one commits [3].
//! 4. The first validation is made before the gate is entered, so that a long one holds up nobody, and
//!    a conflict is found before anything is installed. Increments are made inside while they are short
//!    and few ([`ROUNDS_INSIDE`], [`LOOKS_INSIDE`]); else the committer takes back and leaves.
//! 5. Whoever was overtaken so for [`LOSSES_MAX`] times closes the gate and commits alone: a long
//!    transaction ends, be the others as many as they may [3].
//! 6. What a transaction wrote is checked by installing it, and needs no validation.
//! 7. A transaction that wrote nothing is at its snapshot in the order of commits: valid as it is.

use std::ops::Bound;

use vellum_base::{TableId, Timestamp};
use vellum_sync::scaled;

use crate::error::CommitError;
use crate::generation::Generation;
use crate::read_set::ReadSet;
use crate::schema::Schema;
use crate::view::View;

/// Increments that are validated inside the gate in one passage.
pub(crate) const ROUNDS_INSIDE: u32 = scaled(4, 1);

/// Keys that an increment looks at inside the gate, about.
const LOOKS_INSIDE: usize = 16 * 1024;

/// Passages that are given up before the gate is closed.
pub(crate) const LOSSES_MAX: u32 = scaled(3, 1);

/// How far ahead of their use entries are prefetched.
const AHEAD: usize = 8;

/// How a transaction came to depend on a key that another one committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadKind {
    /// It read the key, or found that it has no record, or marked it as read.
    Key,
    /// It read a range that the key lies in, or the whole table.
    Range,
}

/// How far the reads of a commit are validated.
pub(crate) struct Validation {
    /// Rule 1: valid up to here.
    checked: Timestamp,
    /// Keys that the last look cost.
    looks: usize,
}

impl Validation {
    /// Of a transaction with this snapshot.
    pub(crate) fn new(snapshot: Timestamp) -> Self {
        Self {
            checked: snapshot,
            looks: 0,
        }
    }

    pub(crate) fn checked(&self) -> Timestamp {
        self.checked
    }

    /// Rule 4.
    pub(crate) fn is_short(&self) -> bool {
        self.looks <= LOOKS_INSIDE
    }

    /// Validates up to `m` (rules 1 and 2), which was noted before `view` was loaded. `own` is the
    /// number of the generation that was active in the transaction's view.
    pub(crate) fn extend<S: Schema>(
        &mut self,
        m: Timestamp,
        (view, own): (&View<S>, u64),
        set: &ReadSet,
    ) -> Result<(), CommitError> {
        if m == self.checked {
            return Ok(());
        }
        let after = self.checked;
        self.looks = 0;
        let mut look = |generation: &Generation| {
            let (looks, changed) = changed(generation, set, after);
            self.looks += looks;
            changed
        };
        let changed = look(view.active()).or_else(|| view.find_since(own, look));
        if let Some((key, table, winner, read)) = changed {
            return Err(CommitError::Read {
                table,
                key,
                winner,
                read,
            });
        }
        self.checked = m;
        Ok(())
    }
}

type Changed = (Vec<u8>, TableId, Timestamp, ReadKind);

/// How many keys were looked at, and one that was committed after `after`.
fn changed(generation: &Generation, set: &ReadSet, after: Timestamp) -> (usize, Option<Changed>) {
    let mut looks = 0;
    let mut ahead = set.keys();
    let mut prefetch = move || {
        if let Some(key) = ahead.next() {
            generation.prefetch_bucket(key.hash);
        }
    };
    (0..AHEAD).for_each(|_| prefetch());
    for key in set.keys() {
        prefetch();
        looks += 1;
        if let Some(at) = generation.newest(key).filter(|at| *at > after) {
            return (
                looks,
                Some((key.key.to_vec(), key.table, at, ReadKind::Key)),
            );
        }
    }
    let mut sorted = None;
    for (table, first, end) in set.ranges() {
        let order = generation.order();
        let sorted = sorted.get_or_insert_with(|| order.sorted(generation.arena()));
        for run in sorted.runs(table) {
            let upper = end.map_or(Bound::Unbounded, Bound::Excluded);
            let (from, to) = run.slice(generation.arena(), Bound::Included(first), upper);
            for place in from..to {
                if place + AHEAD < to
                    && let Some(entry) = run.item(place + AHEAD).entry()
                {
                    generation.arena().prefetch(entry, 1);
                }
                looks += 1;
                let entry = run.item(place).entry();
                let newest = entry.and_then(|entry| generation.version_at(entry, Timestamp::MAX));
                if let Some((_, at)) = newest.filter(|(_, at)| *at > after) {
                    let key = run.item(place).key(generation.arena()).to_vec();
                    return (looks, Some((key, table, at, ReadKind::Range)));
                }
            }
        }
    }
    (looks, None)
}

/// Whether every table that was read stands; inside the gate, where that cannot change.
pub(crate) fn check_tables<S: Schema>(schema: &S, set: &ReadSet) -> Result<(), CommitError> {
    let dropped = set.tables().iter().find(|table| !schema.is_open(**table));
    dropped.map_or(Ok(()), |table| Err(CommitError::TableDropped(*table)))
}
