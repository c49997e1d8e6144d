//! What is kept of merged generations for writers that are open, and what those are told that need more.

use std::sync::Arc;

use vellum_base::Timestamp;
use vellum_txn::{CommitError, Isolation, LockError, LockMode, NoLog, Transaction};

use crate::append::Append;
use crate::common::{Db, TABLE, Txn, begin, commit, merge, read, snapshot, store_merging};

const VALUE: usize = 1000;

fn store(trail_bytes: usize) -> Db {
    store_of(1 << 20, trail_bytes)
}

fn store_of(generation_bytes: usize, trail_bytes: usize) -> Db {
    let log = Arc::new(NoLog::new(Timestamp::ZERO));
    store_merging(log, Arc::new(Append), (generation_bytes, trail_bytes))
}

/// A transaction that has written the key.
fn writing(db: &Db, key: &[u8]) -> Txn {
    let mut txn = begin(db);
    txn.put(TABLE, key, b"own", &[]).unwrap();
    txn
}

/// What one of [`put_merged`] takes.
fn unit() -> usize {
    let db = store(usize::MAX);
    let writer = begin(&db);
    put_merged(&db, b"k");
    let unit = db.stats().trail_bytes;
    assert!(unit > VALUE);
    drop(writer);
    unit
}

/// Commits the key, and merges that.
fn put_merged(db: &Db, key: &[u8]) -> Timestamp {
    let mut txn = begin(db);
    txn.put(TABLE, key, &[7; VALUE], &[]).unwrap();
    let at = commit(txn).unwrap();
    db.seal_active().unwrap();
    assert!(merge(db) > 0);
    at
}

#[test]
fn it_is_kept_while_a_writer_needs_it() {
    let db = store(usize::MAX);
    // Of what was sealed before a writer began it needs nothing, merged or not.
    let before = begin(&db);
    put_merged(&db, b"before");
    assert!(db.stats().trail_bytes > 0);
    drop(before);
    let (old, reader) = (writing(&db, b"k"), snapshot(&db));
    db.let_go_of_views();
    assert_eq!(
        db.stats().trail_bytes,
        0,
        "the last that needed it has ended"
    );
    let winner = put_merged(&db, b"k");
    let later_reader = snapshot(&db);
    for _ in 0..3 {
        put_merged(&db, b"other");
    }
    let later = writing(&db, b"k");
    let kept = db.stats().trail_bytes;
    assert_eq!(kept, 4 * unit());
    let refused = commit(old).unwrap_err();
    assert!(
        matches!(refused, CommitError::Conflict { winner: found, .. } if found == Some(winner))
    );
    db.let_go_of_views();
    assert_eq!(
        db.stats().trail_bytes,
        0,
        "no reader needs it, nor a later writer"
    );
    commit(later).unwrap();
    assert_eq!(read(reader.reader(), b"k"), None);
    assert_eq!(read(later_reader.reader(), b"k"), Some(vec![7; VALUE]));
}

#[test]
fn it_has_a_limit_beyond_which_a_writer_is_too_old() {
    let limit = 8 * unit();
    let db = store(limit);
    put_merged(&db, b"read");
    let [writes, locks, both] = [b"k", b"l", b"m"].map(|key| writing(&db, key));
    let mut reads = Transaction::begin_with(Arc::clone(&db), Isolation::Serializable);
    reads.mark_read(TABLE, b"read");
    let append = db.operators().find("append").unwrap();
    // Nothing that is checked but what it read.
    reads.merge(TABLE, b"n", append, b"+").unwrap();
    let mut merges = begin(&db);
    merges.merge(TABLE, b"merged", append, b"+").unwrap();
    // Up to the limit nobody is too old.
    for round in 0u8..8 {
        put_merged(&db, &[round]);
    }
    assert_eq!(db.stats().trail_bytes, limit);
    commit(locks_of(both, b"m").unwrap()).unwrap();
    for round in 0u8..20 {
        put_merged(&db, &[round]);
        assert_eq!(db.stats().trail_bytes, limit);
    }
    put_merged(&db, b"merged");
    // Of what has gone nothing is left in the view but that it has.
    db.merging().rebase(db.base(), 0);
    assert_eq!(
        read(writes.reader(), b"read"),
        Some(vec![7; VALUE]),
        "it reads on"
    );
    assert_eq!(read(writes.reader(), b"merged"), None);
    for too_old in [writes, reads] {
        assert_eq!(commit(too_old), Err(CommitError::SnapshotTooOld));
    }
    let refused = locks_of(locks, b"l").err();
    let too_old = LockError::Refused(CommitError::SnapshotTooOld);
    assert_eq!(refused, Some(too_old));
    // Operands depend on no snapshot.
    commit(merges).unwrap();
    let merged = read(snapshot(&db).reader(), b"merged").unwrap();
    assert_eq!(merged, [&[7; VALUE][..], b"+"].concat());
    commit(writing(&db, b"k")).unwrap();
    db.let_go_of_views();
    assert_eq!(db.stats().trail_bytes, 0);
}

fn locks_of(mut txn: Txn, key: &[u8]) -> Result<Txn, LockError> {
    txn.lock(TABLE, key, LockMode::Exclusive)?;
    Ok(txn)
}

/// What is newest is kept longest, and what is known of it is still told.
#[test]
fn what_is_kept_beyond_the_limit_still_tells_of_conflicts() {
    let db = store(3 * unit());
    let [old, other] = [b"k", b"l"].map(|key| writing(&db, key));
    for _ in 0..10 {
        put_merged(&db, b"x");
    }
    let winner = put_merged(&db, b"k");
    let refused = commit(old).unwrap_err();
    assert!(
        matches!(refused, CommitError::Conflict { winner: found, .. } if found == Some(winner))
    );
    assert_eq!(commit(other), Err(CommitError::SnapshotTooOld));
}

/// Also where it went after the last view was made.
#[test]
fn it_is_told_at_once_that_it_is_forgotten() {
    let db = store(0);
    let own = writing(&db, b"k");
    // Its own view keeps the first generation.
    db.seal_active().unwrap();
    put_merged(&db, b"x");
    assert_eq!(db.stats().trail_bytes, 0);
    assert_eq!(commit(own), Err(CommitError::SnapshotTooOld));
}

/// Large generations take memory that they have nothing in.
#[test]
fn those_that_are_nearly_empty_count_as_what_they_take() {
    const HUGE_PAGE: usize = 2 << 20;
    let db = store_of(4 * HUGE_PAGE, 4 * HUGE_PAGE);
    let old = writing(&db, b"k");
    for _ in 0..3 {
        put_merged(&db, b"x");
        assert!(db.stats().trail_bytes > HUGE_PAGE);
    }
    for _ in 0..10 {
        put_merged(&db, b"x");
        assert!(db.stats().trail_bytes <= 4 * HUGE_PAGE);
    }
    assert_eq!(commit(old), Err(CommitError::SnapshotTooOld));
}
