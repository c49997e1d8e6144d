//! What was committed last, as hashes: a small ring that a committer looks into when it holds the
//! sequencer, to see whether somebody overtook its validation.
//!
//! # Rules
//! 1. Everything here but `wanted` is touched inside the log's mutex alone, which orders it.
//! 2. A commit is recorded only while that is wanted: whoever validates asks for it, until some
//!    hundred commits later. So who never validates pays for one load of a word that hardly changes.
//! 3. A place says of which timestamp it is. A commit that was not recorded, or was overwritten, is
//!    found missing, and what is missing counts as a hit: a hit is no conflict but makes the validator
//!    look again at the versions themselves. So hashes, bits shared by tables, and a request that comes
//!    too late cost time, never a wrong answer [3].

use vellum_base::Timestamp;
use vellum_sync::atomic::{AtomicU64, Ordering};
use vellum_sync::scaled;

use crate::read_set::{ReadSet, table_bit};
use crate::write_set::WriteSet;

/// Commits that are kept.
const PLACES: usize = 64;

/// Hashes kept of one commit; of one that wrote more, the tables are kept alone.
const HASHES: usize = 5;

/// For how many commits recording goes on after it was asked for.
const WANTED: u64 = 512;

/// One commit. A cache line.
#[derive(Default)]
#[repr(align(64))]
struct Place {
    at: AtomicU64,
    tables: AtomicU64,
    len: AtomicU64,
    hashes: [AtomicU64; HASHES],
}

/// See the module's rules.
pub(crate) struct Recent {
    places: Vec<Place>,
    wanted: Wanted,
}

/// The last timestamp that is recorded.
#[derive(Default)]
#[repr(align(128))]
struct Wanted(AtomicU64);

impl Recent {
    pub(crate) fn new() -> Self {
        Self {
            places: (0..scaled(PLACES, 1)).map(|_| Place::default()).collect(),
            wanted: Wanted::default(),
        }
    }

    fn place(&self, at: Timestamp) -> &Place {
        &self.places[at.0 as usize % self.places.len()]
    }

    /// Asks for recording from now on (rule 2). Relaxed: a hint.
    pub(crate) fn want(&self, now: Timestamp) {
        if self.wanted.0.load(Ordering::Relaxed) < now.0 + WANTED / 2 {
            self.wanted.0.store(now.0 + WANTED, Ordering::Relaxed);
        }
    }

    /// Rule 2; in the sequencer.
    #[inline]
    pub(crate) fn record(&self, at: Timestamp, writes: &WriteSet) {
        if at.0 <= self.wanted.0.load(Ordering::Relaxed) {
            self.record_wanted(at, writes);
        }
    }

    fn record_wanted(&self, at: Timestamp, writes: &WriteSet) {
        let place = self.place(at);
        let mut tables = 0;
        if writes.len() <= HASHES {
            for ((key, _), hash) in writes.all_written().zip(&place.hashes) {
                tables |= table_bit(key.table);
                hash.store(key.hash, Ordering::Relaxed);
            }
        } else {
            // Which tables, would have to be gathered here; that they may be any costs a look.
            tables = u64::MAX;
        }
        place.tables.store(tables, Ordering::Relaxed);
        place.len.store(writes.len() as u64, Ordering::Relaxed);
        place.at.store(at.0, Ordering::Relaxed);
    }

    /// Whether none of the commits after `after`, up to `last`, wrote what the set has; in the
    /// sequencer. May say no without need (rule 3).
    pub(crate) fn is_clear(&self, after: Timestamp, last: Timestamp, set: &ReadSet) -> bool {
        if last == after {
            return true;
        }
        if last.0 - after.0 > self.places.len() as u64 {
            return false;
        }
        let (keys, ranges) = set.table_bits();
        (after.0 + 1..=last.0).all(|at| {
            let place = self.place(Timestamp(at));
            let tables = place.tables.load(Ordering::Relaxed);
            let len = place.len.load(Ordering::Relaxed) as usize;
            if place.at.load(Ordering::Relaxed) != at || tables & ranges != 0 {
                return false;
            }
            if tables & keys == 0 {
                return true;
            }
            let hashes = place.hashes.get(..len);
            hashes.is_some_and(|hashes| {
                let mut hashes = hashes.iter().map(|hash| hash.load(Ordering::Relaxed));
                hashes.all(|hash| !set.may_have(hash))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::HashedKey;
    use vellum_base::TableId;

    const A: TableId = TableId(1);
    const B: TableId = TableId(2);

    fn hashed(table: TableId, key: &[u8]) -> HashedKey<'_> {
        HashedKey::new(7, table, key)
    }

    fn writes(keys: &[(TableId, &[u8])]) -> WriteSet {
        let mut writes = WriteSet::default();
        for (table, key) in keys {
            writes.delete(hashed(*table, key));
        }
        writes
    }

    /// Records commits 1, 2, … of these keys of table A.
    fn recorded(keys: &[&[u8]]) -> Recent {
        let recent = Recent::new();
        recent.want(Timestamp(0));
        for (at, key) in (1..).zip(keys) {
            recent.record(Timestamp(at), &writes(&[(A, key)]));
        }
        recent
    }

    #[test]
    fn a_commit_of_what_was_read_is_a_hit_from_its_timestamp_on() {
        let recent = recorded(&[b"x", b"k", b"y"]);
        let mut set = ReadSet::default();
        set.add_key(hashed(A, b"k"));
        let clear = |after, last| recent.is_clear(Timestamp(after), Timestamp(last), &set);
        assert!(clear(0, 1) && clear(2, 3) && clear(2, 2));
        assert!(!clear(0, 2) && !clear(1, 2) && !clear(0, 3));
    }

    #[test]
    fn a_range_is_hit_by_any_write_to_its_table_and_by_no_other() {
        let recent = recorded(&[b"x"]);
        let mut set = ReadSet::default();
        set.add_range(B, b"a", None);
        assert!(recent.is_clear(Timestamp(0), Timestamp(1), &set));
        set.add_range(A, b"a", Some(b"b"));
        assert!(!recent.is_clear(Timestamp(0), Timestamp(1), &set));
    }

    #[test]
    fn what_is_missing_is_a_hit() {
        let mut set = ReadSet::default();
        set.add_key(hashed(A, b"k"));
        let recent = Recent::new();
        recent.record(Timestamp(1), &writes(&[(A, b"x")]));
        assert!(
            !recent.is_clear(Timestamp(0), Timestamp(1), &set),
            "not wanted, not recorded"
        );
        let many: Vec<&[u8]> = vec![b"x"; PLACES + 1];
        let recent = recorded(&many);
        let last = Timestamp(many.len() as u64);
        assert!(!recent.is_clear(Timestamp(0), last, &set), "overrun");
        assert!(recent.is_clear(Timestamp(1), last, &set));
    }

    #[test]
    fn of_large_commits_nothing_is_known() {
        let recent = Recent::new();
        recent.want(Timestamp(0));
        let keys: Vec<[u8; 1]> = (0..=HASHES as u8).map(|n| [n]).collect();
        let keys: Vec<_> = keys.iter().map(|key| (B, &key[..])).collect();
        recent.record(Timestamp(1), &writes(&keys));
        let mut set = ReadSet::default();
        set.add_key(hashed(A, b"k"));
        assert!(!recent.is_clear(Timestamp(0), Timestamp(1), &set));
    }

    #[test]
    fn recording_ends_some_hundred_commits_after_it_was_asked_for() {
        let recent = Recent::new();
        recent.want(Timestamp(0));
        let mut set = ReadSet::default();
        set.add_key(hashed(A, b"k"));
        for at in [WANTED, WANTED + 1] {
            recent.record(Timestamp(at), &writes(&[(A, b"x")]));
            let clear = recent.is_clear(Timestamp(at - 1), Timestamp(at), &set);
            assert_eq!(clear, at == WANTED);
        }
    }
}
