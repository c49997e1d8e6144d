//! Record locks, one rule at a time. Threads meet by what the statistics say, never by time.

use std::sync::Arc;
use std::time::Duration;

use vellum_base::Timestamp;
use vellum_sync::thread::{self, JoinHandle};
use vellum_txn::{
    CommitError, Durability, Isolation, LockError, LockMode, NoLog, StoreOptions, Transaction,
};

use super::common::{Base, Columns, Db, TABLE, Txn, begin, commit, store};

const LARGE: usize = 1 << 20;

fn write(db: &Db, key: &[u8]) -> Result<Timestamp, CommitError> {
    let mut txn = begin(db);
    txn.put(TABLE, key, b"v", &[]).unwrap();
    commit(txn)
}

fn lock(txn: &mut Txn, key: &[u8], mode: LockMode) -> Result<(), LockError> {
    txn.lock(TABLE, key, mode)
}

fn is_refused(outcome: &Result<Timestamp, CommitError>, key: &[u8]) -> bool {
    matches!(outcome, Err(CommitError::Locked { table, key: found }) if *table == TABLE && found == key)
}

/// Locks in a thread of its own; returns when it waits.
fn locking(
    db: &Db,
    mut txn: Txn,
    key: &'static [u8],
    mode: LockMode,
) -> JoinHandle<(Txn, Result<(), LockError>)> {
    let before = db.locks().stats().waits;
    let thread = thread::spawn(move || {
        let outcome = lock(&mut txn, key, mode);
        (txn, outcome)
    });
    while db.locks().stats().waits == before {
        thread::yield_now();
    }
    thread
}

#[test]
fn nobody_else_commits_what_is_locked_and_its_holder_does() {
    for mode in [LockMode::Exclusive, LockMode::Shared] {
        let db = store(LARGE);
        let mut holder = begin(&db);
        lock(&mut holder, b"k", mode).unwrap();
        assert!(is_refused(&write(&db, b"k"), b"k"));
        // Another key, also of one who began before, is nobody's business.
        write(&db, b"other").unwrap();
        let mut both = begin(&db);
        both.put(TABLE, b"a", b"v", &[]).unwrap();
        both.put(TABLE, b"k", b"v", &[]).unwrap();
        assert!(is_refused(&commit(both), b"k"));
        let stats = db.locks().stats();
        assert_eq!((stats.open, stats.refusals, stats.acquired), (1, 2, 1));
        assert_eq!(db.stats().conflicts, 2);
        holder.put(TABLE, b"k", b"mine", &[]).unwrap();
        let at = commit(holder).unwrap();
        assert_eq!(at, Timestamp(2), "what was refused took nothing");
        assert_eq!(db.locks().stats().open, 0);
        write(&db, b"k").unwrap();
        write(&db, b"a").unwrap();
    }
}

#[test]
fn a_transaction_that_is_given_up_releases_its_locks() {
    let db = store(LARGE);
    let mut holder = begin(&db);
    lock(&mut holder, b"k", LockMode::Exclusive).unwrap();
    assert!(is_refused(&write(&db, b"k"), b"k"));
    drop(holder);
    write(&db, b"k").unwrap();
    let mut holder = begin(&db);
    lock(&mut holder, b"k", LockMode::Exclusive).unwrap();
    holder.put(TABLE, b"k", b"v", &[]).unwrap();
    holder.put(TABLE, b"x", b"v", &[]).unwrap();
    write(&db, b"x").unwrap();
    assert!(matches!(commit(holder), Err(CommitError::Conflict { .. })));
    write(&db, b"k").unwrap();
}

#[test]
fn a_snapshot_older_than_the_newest_version_is_told_at_once() {
    let db = store(LARGE);
    write(&db, b"k").unwrap();
    let (mut early, mut late) = (begin(&db), begin(&db));
    lock(&mut early, b"k", LockMode::Exclusive).unwrap();
    early.put(TABLE, b"k", b"v", &[]).unwrap();
    let winner = commit(early).unwrap();
    // From the active generation, then from a sealed one; the second time as well as the first.
    for key in [b"k", b"k"] {
        let expected = LockError::Refused(CommitError::Conflict {
            table: TABLE,
            key: key.to_vec(),
            winner: Some(winner),
        });
        assert_eq!(lock(&mut late, key, LockMode::Shared), Err(expected));
        db.seal_active().unwrap();
    }
    // It has the lock all the same.
    assert!(is_refused(&write(&db, b"k"), b"k"));
    drop(late);
    lock(&mut begin(&db), b"k", LockMode::Exclusive).unwrap();
}

#[test]
fn shared_locks_go_together_and_an_exclusive_one_waits_for_them() {
    let db = store(LARGE);
    let [mut one, mut two, three] = [(); 3].map(|()| begin(&db));
    lock(&mut one, b"k", LockMode::Shared).unwrap();
    lock(&mut two, b"k", LockMode::Shared).unwrap();
    let waiting = locking(&db, three, b"k", LockMode::Exclusive);
    // A shared lock is raised when nobody shares it any more; raising goes before those that wait.
    drop(two);
    lock(&mut one, b"k", LockMode::Exclusive).unwrap();
    one.put(TABLE, b"k", b"v", &[]).unwrap();
    let winner = commit(one).unwrap();
    let (three, outcome) = waiting.join().unwrap();
    assert!(
        matches!(outcome, Err(LockError::Refused(CommitError::Conflict { winner: found, .. })) if found == Some(winner))
    );
    drop(three);
}

#[test]
fn a_cycle_names_its_keys_and_the_youngest_gives_way() {
    let db = store(LARGE);
    let [mut older, mut younger] = [(); 2].map(|()| begin(&db));
    lock(&mut older, b"a", LockMode::Exclusive).unwrap();
    lock(&mut younger, b"b", LockMode::Shared).unwrap();
    let older = locking(&db, older, b"b", LockMode::Exclusive);
    let Err(LockError::Deadlock { waits }) = lock(&mut younger, b"a", LockMode::Shared) else {
        panic!("a cycle of two");
    };
    let keys: Vec<_> = waits.iter().map(|wait| wait.key.as_deref()).collect();
    assert_eq!(keys, [Some(&b"a"[..]), Some(b"b")]);
    let modes: Vec<_> = waits.iter().map(|wait| wait.mode).collect();
    assert_eq!(modes, [LockMode::Shared, LockMode::Exclusive]);
    let next: Vec<_> = waits.iter().map(|wait| wait.next).collect();
    assert_eq!(next, [waits[1].transaction, waits[0].transaction]);
    assert!(waits.iter().all(|wait| wait.table == TABLE));
    // The victim keeps what it has, until it ends.
    assert!(is_refused(&write(&db, b"b"), b"b"));
    drop(younger);
    let (older, outcome) = older.join().unwrap();
    outcome.unwrap();
    drop(older);
    let stats = db.locks().stats();
    assert_eq!((stats.waits, stats.deadlocks, stats.open), (2, 1, 0));
}

#[test]
fn a_wait_ends_with_the_time_that_was_given() {
    let options = StoreOptions {
        generation_bytes: LARGE,
        lock_timeout: Some(Duration::ZERO),
        ..StoreOptions::default()
    };
    let log = Arc::new(NoLog::new(Timestamp::ZERO));
    let (columns, base) = (Columns::default(), Base::default());
    let store = vellum_txn::Store::new(log, columns, base, Timestamp::ZERO, options);
    let db = Arc::new(store.unwrap());
    let mut holder = begin(&db);
    lock(&mut holder, b"k", LockMode::Exclusive).unwrap();
    let mut other = begin(&db);
    let expected = LockError::Timeout {
        table: TABLE,
        key: b"k"[..].into(),
        waited: Duration::ZERO,
    };
    assert_eq!(lock(&mut other, b"k", LockMode::Shared), Err(expected));
    assert_eq!(db.locks().stats().timeouts, 1);
    drop(holder);
    lock(&mut other, b"k", LockMode::Shared).unwrap();
}

#[test]
fn what_an_attempt_wrote_and_read_is_locked_before_the_next() {
    let db = store(LARGE);
    let mut txn = Transaction::begin_with(Arc::clone(&db), Isolation::Serializable);
    let sought = txn.reader().seek(TABLE, b"read");
    txn.reads().unwrap().key(sought);
    txn.put(TABLE, b"written", b"v", &[]).unwrap();
    write(&db, b"read").unwrap();
    let mut learnt = None;
    let refused = txn.commit_else(Durability::Buffered, |txn, error| {
        learnt = Some(txn.learn_locks(Some(error)));
    });
    assert!(matches!(refused, Err(CommitError::Read { .. })));
    let mut locks = learnt.unwrap();
    // To want is not to have.
    write(&db, b"read").unwrap();
    locks.lock_wanted(&db).unwrap();
    assert!(is_refused(&write(&db, b"read"), b"read"));
    assert!(is_refused(&write(&db, b"written"), b"written"));
    let mut shared = begin(&db);
    lock(&mut shared, b"read", LockMode::Shared).unwrap();
    drop(shared);
    let mut txn = Transaction::begin_locked(Arc::clone(&db), Isolation::Serializable, locks);
    let sought = txn.reader().seek(TABLE, b"read");
    txn.reads().unwrap().key(sought);
    txn.put(TABLE, b"written", b"v", &[]).unwrap();
    commit(txn).unwrap();
    assert_eq!(db.locks().stats().escalations, 1);
    write(&db, b"written").unwrap();
}

#[test]
fn sets_that_are_locked_before_they_begin_make_no_cycle() {
    let db = store(LARGE);
    let rounds = 200;
    std::thread::scope(|scope| {
        for worker in 0..4usize {
            let db = Arc::clone(&db);
            scope.spawn(move || {
                for round in 0..rounds {
                    let mut txn = begin(&db);
                    // Of six keys some three, in whatever order.
                    for step in 0..3 {
                        let key = [((round * 5 + step * (worker + 1)) % 6) as u8];
                        txn.put(TABLE, &key, b"v", &[]).unwrap();
                    }
                    let mut locks = txn.learn_locks(None);
                    drop(txn);
                    locks.lock_wanted(&db).unwrap();
                    let db = Arc::clone(&db);
                    let mut txn = Transaction::begin_locked(db, Isolation::Snapshot, locks);
                    for step in 0..3 {
                        let key = [((round * 5 + step * (worker + 1)) % 6) as u8];
                        txn.put(TABLE, &key, b"v", &[]).unwrap();
                    }
                    commit(txn).unwrap();
                }
            });
        }
    });
    let stats = db.locks().stats();
    assert_eq!((stats.deadlocks, stats.open), (0, 0));
    assert_eq!(db.stats().commits, 4 * rounds as u64);
}
