//! Validation: that nothing a transaction read was committed anew since its snapshot, so that it
//! could have read it at its own commit timestamp. Then the order of commits is a serial order.
//!
//! # Rules
//! 1. A read is valid up to m if none of its keys, and no key within its ranges, has a version that
//!    was committed after the snapshot and no later than m. That is looked up in the generations since
//!    the view's active one (`view`, rule 5), and never in the base: it does not tell what came and
//!    went [5]. Of those, what ended no later than an earlier m is not looked at again.
//! 2. m is the visible timestamp, noted before anything is looked up. So a version up to m was stamped
//!    before, its key was listed before that, and both are found [12]. Pending versions are passed over:
//!    their timestamps come after m.
//! 3. **Validate up to m outside the log's mutex; inside, ask whether anything was stamped after m
//!    that may concern the reads (`recent`).** If so, leave it and validate the increment; nobody
//!    waits for anybody else's pending version, so of two partners one commits [3].
//! 4. The first validation is made before the gate is entered, so that a long one holds up nobody, and
//!    a conflict is found before anything is installed. Increments are made inside while they are few
//!    ([`ROUNDS_INSIDE`]) and short: one that comes to more looks than [`LOOKS_INSIDE`] ends there, and
//!    none is begun behind a look that was longer. Then the committer takes back and leaves. A look is a
//!    key in a generation, or a range in one of its runs, as well as each key found there.
//! 5. Whoever was overtaken so for [`LOSSES_MAX`] times closes the gate and commits alone: a long
//!    transaction ends, be the others as many as they may [3]. Who writes much does so after the first
//!    time, since what was installed in vain stays in its generation ([`REPEATED_BYTES_MAX`]).
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

/// Looks of one increment inside the gate.
pub(crate) const LOOKS_INSIDE: usize = 16 * 1024;

/// Passages that are given up before the gate is closed.
pub(crate) const LOSSES_MAX: u32 = scaled(3, 1);

/// Write sets up to this are installed as often as that: 64 KiB.
pub(crate) const REPEATED_BYTES_MAX: usize = 64 << 10;

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
    /// What the last increment came to.
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

    /// Validates up to `m` (rules 1 and 2), which was noted before `view` was loaded. `false`: that
    /// would take more than `looks_max` (rule 4), and is not done.
    pub(crate) fn extend<S: Schema>(
        &mut self,
        m: Timestamp,
        view: &View<S>,
        set: &ReadSet,
        looks_max: usize,
    ) -> Result<bool, CommitError> {
        if m == self.checked {
            return Ok(true);
        }
        if self.looks > looks_max {
            return Ok(false);
        }
        let mut look = Look {
            set,
            after: self.checked,
            looks: 0,
            looks_max,
        };
        let ended = view.find_since(self.checked, |one| look.at(one).err());
        let ended = ended.unwrap_or_else(|forgotten| Some(Ended::Changed(forgotten.into())));
        self.looks = look.looks;
        match ended {
            Some(Ended::Changed(error)) => Err(error),
            Some(Ended::TooLong) => Ok(false),
            None => {
                self.checked = m;
                Ok(true)
            }
        }
    }
}

/// Why a look goes no further.
enum Ended {
    /// Something was committed anew, or may have been.
    Changed(CommitError),
    /// Rule 4.
    TooLong,
}

/// A look for what was committed of a set after a timestamp.
struct Look<'a> {
    set: &'a ReadSet,
    after: Timestamp,
    looks: usize,
    looks_max: usize,
}

impl Look<'_> {
    fn at(&mut self, generation: &Generation) -> Result<(), Ended> {
        self.at_keys(generation)?;
        self.at_ranges(generation)
    }

    fn count(&mut self) -> Result<(), Ended> {
        self.looks += 1;
        match self.looks > self.looks_max {
            true => Err(Ended::TooLong),
            false => Ok(()),
        }
    }

    fn at_keys(&mut self, generation: &Generation) -> Result<(), Ended> {
        let set = self.set;
        let mut ahead = set.keys();
        let mut prefetch = move || {
            if let Some(key) = ahead.next() {
                generation.prefetch_bucket(key.hash);
            }
        };
        (0..AHEAD).for_each(|_| prefetch());
        for key in set.keys() {
            prefetch();
            self.count()?;
            if let Some(winner) = generation.newest(key).filter(|at| *at > self.after) {
                return Err(changed(key.table, key.key, winner, ReadKind::Key));
            }
        }
        Ok(())
    }

    fn at_ranges(&mut self, generation: &Generation) -> Result<(), Ended> {
        let (set, arena) = (self.set, generation.arena());
        let mut sorted = None;
        for (table, first, end) in set.ranges() {
            self.count()?;
            let sorted = sorted.get_or_insert_with(|| generation.order().sorted(arena));
            for run in sorted.runs(table) {
                self.count()?;
                let upper = end.map_or(Bound::Unbounded, Bound::Excluded);
                let (from, to) = run.slice(arena, Bound::Included(first), upper);
                for place in from..to {
                    if place + AHEAD < to
                        && let Some(entry) = run.item(place + AHEAD).entry()
                    {
                        arena.prefetch(entry, 1);
                    }
                    self.count()?;
                    let entry = run.item(place).entry();
                    let newest = entry.and_then(|at| generation.version_at(at, Timestamp::MAX));
                    if let Some((_, winner)) = newest.filter(|(_, at)| *at > self.after) {
                        let key = run.item(place).key(arena);
                        return Err(changed(table, key, winner, ReadKind::Range));
                    }
                }
            }
        }
        Ok(())
    }
}

fn changed(table: TableId, key: &[u8], winner: Timestamp, read: ReadKind) -> Ended {
    Ended::Changed(CommitError::Read {
        table,
        key: key.to_vec(),
        winner,
        read,
    })
}

/// Whether every table that was read stands; inside the gate, where that cannot change.
pub(crate) fn check_tables<S: Schema>(schema: &S, read: &[TableId]) -> Result<(), CommitError> {
    let dropped = read.iter().find(|table| !schema.is_open(**table));
    dropped.map_or(Ok(()), |table| Err(CommitError::TableDropped(*table)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::HashedKey;
    use crate::log::{Durability, NoLog};
    use crate::rows::Column;
    use crate::store::{Store, StoreOptions};
    use crate::transaction::Transaction;

    const TABLE: TableId = TableId(1);

    struct Open;

    impl Schema for Open {
        type Base = ();

        fn is_open(&self, _: TableId) -> bool {
            true
        }

        fn columns(&self, _: TableId) -> &[std::sync::Arc<Column>] {
            &[]
        }
    }

    type Db = vellum_sync::Arc<Store<Open>>;

    fn store() -> Db {
        let options = StoreOptions {
            generation_bytes: 1 << 20,
            ..StoreOptions::default()
        };
        let log = std::sync::Arc::new(NoLog::new(Timestamp::ZERO));
        let store = Store::new(log, Open, (), Timestamp::ZERO, options).unwrap();
        vellum_sync::Arc::new(store)
    }

    fn write(db: &Db, key: &[u8]) -> Timestamp {
        let mut txn = Transaction::begin(Db::clone(db));
        txn.put(TABLE, key, b"v", &[]).unwrap();
        txn.commit(Durability::Buffered).unwrap()
    }

    fn keys(db: &Db, count: u32) -> ReadSet {
        let mut set = ReadSet::default();
        for number in 0..count {
            set.add_key(HashedKey::new(db.seed(), TABLE, &number.to_be_bytes()));
        }
        set
    }

    /// How many looks it takes to validate up to the last commit; `None`: too many.
    fn looks(db: &Db, validation: &mut Validation, set: &ReadSet, max: usize) -> Option<usize> {
        let extend = |view: &View<Open>| validation.extend(db.visible(), view, set, max);
        let is_done = db.registry().with_current(extend).unwrap();
        is_done.then_some(validation.looks)
    }

    #[test]
    fn an_increment_looks_at_what_came_since() {
        let db = store();
        let set = keys(&db, 100);
        // Keeps the generations that are merged.
        let open = Transaction::begin(Db::clone(&db));
        let mut validation = Validation::new(Timestamp::ZERO);
        for merged in [false, true] {
            for _ in 0..10 {
                write(&db, b"x");
                db.seal_active().unwrap();
            }
            let mut last = write(&db, b"x");
            if merged {
                db.merging().rebase((), db.active_number() - 1);
            }
            let since = if merged { 11 } else { 0 } + 11;
            let mut anew = Validation::new(Timestamp::ZERO);
            let all = looks(&db, &mut anew, &set, usize::MAX);
            assert_eq!(all, Some(100 * since), "merged: {merged}");
            assert_eq!(anew.checked(), last);
            looks(&db, &mut validation, &set, usize::MAX).unwrap();
            last = write(&db, b"x");
            let more = looks(&db, &mut validation, &set, usize::MAX);
            assert_eq!(more, Some(100), "merged: {merged}");
            assert_eq!(validation.checked(), last);
            db.seal_active().unwrap();
        }
        drop(open);
    }

    #[test]
    fn a_look_that_is_too_long_ends_and_is_not_begun_again() {
        let db = store();
        let mut many = ReadSet::default();
        for number in 0..100u8 {
            many.add_range(TABLE, &[number, 1], Some(&[number, 2]));
        }
        for (what, set) in [("keys", keys(&db, 100)), ("ranges without keys", many)] {
            let mut validation = Validation::new(db.visible());
            assert_eq!(looks(&db, &mut validation, &set, 50), Some(0), "{what}");
            let before = validation.checked();
            write(&db, b"x");
            for looked in [51, 51] {
                assert_eq!(looks(&db, &mut validation, &set, 50), None, "{what}");
                assert_eq!((validation.looks, validation.checked()), (looked, before));
            }
            let taken = looks(&db, &mut validation, &set, usize::MAX).unwrap();
            assert!(taken >= 100, "{what}: {taken}");
            write(&db, b"x");
            assert_eq!(looks(&db, &mut validation, &set, 50), None, "{what}");
            assert_eq!(validation.looks, taken, "{what}: not begun");
        }
    }
}
