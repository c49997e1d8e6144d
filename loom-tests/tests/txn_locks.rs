//! Record locks beside optimistic commits, in the real store: who has locked does not lose.

#![cfg(any(vellum_loom, vellum_shuttle))]

mod txn_store;

use txn_store::{Db, NoColumns, TABLE, store};
use vellum_base::Timestamp;
use vellum_loom_tests::Model;
use vellum_sync::thread;
use vellum_txn::{CommitError, Durability, Isolation, LockError, LockMode, LockSet, Transaction};

type Txn = Transaction<NoColumns, Db>;

fn begin(db: &Db) -> Txn {
    Transaction::begin(Db::clone(db))
}

fn write(mut txn: Txn, key: &[u8]) -> Result<Timestamp, CommitError> {
    txn.put(TABLE, key, b"v", &[])?;
    txn.commit(Durability::Buffered)
}

/// What an attempt at a write of `key` has learnt.
fn learnt(db: &Db, key: &[u8]) -> Box<LockSet> {
    let mut txn = begin(db);
    txn.put(TABLE, key, b"v", &[]).unwrap();
    txn.learn_locks(None)
}

/// Locks first, then takes its snapshot: where it began, and when it committed, which it always does.
fn write_locked(db: &Db, mut locks: Box<LockSet>, key: &[u8]) -> (Timestamp, Timestamp) {
    locks.lock_wanted(db).unwrap();
    let txn = Transaction::begin_locked(Db::clone(db), Isolation::Snapshot, locks);
    let at = txn.at();
    (at, write(txn, key).unwrap())
}

/// Whoever locks before his snapshot loses to nobody, however an optimistic commit of the same key
/// falls beside it [18].
#[test]
fn who_locks_first_does_not_lose() {
    let model = Model::new("txn_locks::who_locks_first_does_not_lose");
    model.preemptions(3).executions(200_000).check(|| {
        let db = store();
        let (txn, locks) = (begin(&db), learnt(&db, b"k"));
        let optimist = thread::spawn(move || write(txn, b"k"));
        let locker = thread::spawn(move || write_locked(&db, locks, b"k"));
        let (at, own) = locker.join().unwrap();
        match optimist.join().unwrap() {
            Ok(other) => assert!(other <= at || other > own, "{other} in {at}..{own}"),
            Err(CommitError::Locked { .. } | CommitError::Conflict { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    });
}

/// Whoever is given a lock in an open transaction has the newest version in his snapshot, and does
/// not lose from then on.
#[test]
fn a_lock_in_an_open_transaction_holds_or_is_refused() {
    let model = Model::new("txn_locks::a_lock_in_an_open_transaction_holds_or_is_refused");
    model.preemptions(2).executions(300_000).check(|| {
        let db = store();
        let (txn, mut holder) = (begin(&db), begin(&db));
        let optimist = thread::spawn(move || write(txn, b"k"));
        let locker = thread::spawn(move || {
            let locked = holder.lock(TABLE, b"k", LockMode::Exclusive);
            locked.map(|()| write(holder, b"k").unwrap())
        });
        let (optimist, locker) = (optimist.join().unwrap(), locker.join().unwrap());
        match locker {
            Ok(_) => assert!(optimist.is_err()),
            Err(LockError::Refused(CommitError::Conflict { winner, .. })) => {
                assert_eq!(winner, Some(optimist.unwrap()));
            }
            Err(error) => panic!("{error:?}"),
        }
    });
}

/// A shared lock keeps what was read as it was, up to the commit: no write skew.
#[test]
fn a_shared_lock_keeps_what_was_read() {
    let model = Model::new("txn_locks::a_shared_lock_keeps_what_was_read");
    model.preemptions(3).executions(300_000).check(|| {
        let db = store();
        let (txn, mut holder) = (begin(&db), begin(&db));
        let optimist = thread::spawn(move || write(txn, b"a"));
        let locker = thread::spawn(move || {
            let locked = holder.lock(TABLE, b"a", LockMode::Shared);
            locked.map(|()| write(holder, b"b").unwrap())
        });
        let (optimist, locker) = (optimist.join().unwrap(), locker.join().unwrap());
        match (optimist, locker) {
            (Ok(other), Ok(own)) => assert!(other > own, "{other} before {own}"),
            (Err(CommitError::Locked { .. }), Ok(_)) | (Ok(_), Err(LockError::Refused(_))) => {}
            others => panic!("{others:?}"),
        }
    });
}

/// Of two that lock first, each has its turn, and sees what the other one did.
#[test]
fn two_that_lock_first_take_turns() {
    let model = Model::new("txn_locks::two_that_lock_first_take_turns");
    model.preemptions(3).executions(300_000).check(|| {
        let db = store();
        let lockers = [(); 2].map(|()| {
            let (db, locks) = (Db::clone(&db), learnt(&db, b"k"));
            thread::spawn(move || write_locked(&db, locks, b"k"))
        });
        let mut turns = lockers.map(|locker| locker.join().unwrap());
        turns.sort();
        assert!(turns[0].1 <= turns[1].0, "{turns:?}");
    });
}

/// A seal between the lock and the snapshot, or before either, hides nothing [4]. Somebody has locked another
/// key, so the optimist looks for locks however early he comes; and the lock is held until he has ended, so if he
/// has committed, the snapshot has that.
#[test]
fn a_seal_hides_nothing_from_who_locks() {
    let model = Model::new("txn_locks::a_seal_hides_nothing_from_who_locks");
    model.preemptions(3).executions(100_000).check(|| {
        let db = store();
        let mut holder = begin(&db);
        holder.lock(TABLE, b"other", LockMode::Shared).unwrap();
        let (txn, mut locks) = (begin(&db), learnt(&db, b"k"));
        let other = Db::clone(&db);
        let locker = thread::spawn(move || {
            locks.lock_wanted(&other).unwrap();
            Transaction::begin_locked(other, Isolation::Snapshot, locks)
        });
        let optimist = thread::spawn(move || {
            db.seal(1, 0).unwrap();
            write(txn, b"k")
        });
        let (locker, optimist) = (locker.join().unwrap(), optimist.join().unwrap());
        let at = locker.at();
        if let Ok(other) = optimist {
            assert!(other <= at, "{other} behind {at}");
        }
        write(locker, b"k").unwrap();
    });
}
