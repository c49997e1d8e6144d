//! Validation where others come in between at a chosen moment: when the sequencer is reached.

use std::ops::Bound;
use std::sync::Arc;

use crate::common::{Base, Columns, Db, TABLE, Txn, begin, commit};
use crate::hooked::{Hook, Hooked};
use vellum_base::Timestamp;
use vellum_sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use vellum_sync::thread::JoinHandle;
use vellum_sync::{Mutex, thread};
use vellum_txn::{CommitError, Isolation, Store, StoreOptions, Transaction};

/// Before a commit whose payload says "long" is sequenced, another one is made, if it can be: as long
/// as there are some left.
struct Contended {
    db: Mutex<Option<Db>>,
    prepares: AtomicUsize,
    appends: AtomicUsize,
    left: AtomicUsize,
    others: Mutex<Vec<JoinHandle<()>>>,
}

impl Contended {
    fn let_another_pass(&self) {
        let Some(db) = self.db.lock().clone() else {
            return;
        };
        let passed = Arc::new(AtomicBool::new(false));
        let tell = Arc::clone(&passed);
        let other = thread::spawn(move || {
            let mut txn = begin(&db);
            txn.put(TABLE, b"z", b"other", &[]).unwrap();
            commit(txn).unwrap();
            tell.store(true, Ordering::Release);
        });
        self.others.lock().push(other);
        // Who is alone is not passed, however long it waits.
        for _ in 0..200 {
            if passed.load(Ordering::Acquire) {
                break;
            }
            thread::sleep(std::time::Duration::from_millis(1));
        }
    }
}

impl Hook for Contended {
    fn prepared(&self) {
        self.prepares.fetch_add(1, Ordering::Relaxed);
    }

    fn is_refused(&self, payload: &[u8]) -> bool {
        if payload.windows(4).any(|bytes| bytes == b"long") {
            self.appends.fetch_add(1, Ordering::Relaxed);
            if self.left.load(Ordering::Relaxed) > 0 {
                self.left.fetch_sub(1, Ordering::Relaxed);
                self.let_another_pass();
            }
        }
        false
    }
}

/// A store whose "long" commit is passed so often.
fn contended(others: usize) -> (Arc<Hooked<Contended>>, Db) {
    let log = Arc::new(Hooked::new(Contended {
        db: Mutex::new(None),
        prepares: AtomicUsize::new(0),
        appends: AtomicUsize::new(0),
        left: AtomicUsize::new(others),
        others: Mutex::new(Vec::new()),
    }));
    let (columns, base) = (Columns::default(), Base::default());
    let options = StoreOptions::default();
    let store = Store::new(log.clone(), columns, base, Timestamp::ZERO, options).unwrap();
    let db = Arc::new(store);
    *log.hook.db.lock() = Some(Arc::clone(&db));
    (log, db)
}

/// Commits; how often it came to the sequencer.
fn appends(log: &Hooked<Contended>, mut txn: Txn) -> usize {
    txn.put(TABLE, b"long", b"", &[]).unwrap();
    commit(txn).unwrap();
    let log = &log.hook;
    *log.db.lock() = None;
    let others = std::mem::take(&mut *log.others.lock());
    others.into_iter().for_each(|other| other.join().unwrap());
    log.appends.load(Ordering::Relaxed)
}

fn write(db: &Db, key: &[u8]) {
    let mut other = begin(db);
    other.put(TABLE, key, b"other", &[]).unwrap();
    commit(other).unwrap();
}

/// A transaction that has read a range of so many keys.
fn reader_of(db: &Db, keys: u32) -> Txn {
    let mut txn = begin(db);
    for number in 0..keys {
        txn.put(TABLE, &number.to_be_bytes(), b"", &[]).unwrap();
    }
    commit(txn).unwrap();
    let txn = Transaction::begin_with(Arc::clone(db), Isolation::Serializable);
    let end = u32::MAX.to_be_bytes();
    let bounds = (Bound::Unbounded, Bound::Excluded(&end[..]));
    let mut read = txn.reads().unwrap().range(TABLE, bounds.0, bounds.1);
    read.passed_front(&keys.to_be_bytes());
    drop(read);
    txn
}

#[test]
fn a_long_validation_that_is_overtaken_ends_alone() {
    for has_something_to_look_at_before in [true, false] {
        let (log, db) = contended(8);
        let txn = reader_of(&db, 20_000);
        if has_something_to_look_at_before {
            write(&db, b"z");
        }
        assert_eq!(appends(&log, txn), 4);
    }
}

/// Also where the ranges have no keys.
#[test]
fn a_validation_of_many_ranges_is_a_long_one() {
    let (log, db) = contended(8);
    write(&db, b"y");
    let txn = Transaction::begin_with(Arc::clone(&db), Isolation::Serializable);
    for number in 0..20_000u32 {
        let (first, end) = (
            number.to_be_bytes(),
            [&number.to_be_bytes()[..], b"-"].concat(),
        );
        let bounds = (Bound::Included(&first[..]), Bound::Excluded(&end[..]));
        let mut read = txn.reads().unwrap().range(TABLE, bounds.0, bounds.1);
        read.passed_all();
    }
    write(&db, b"z");
    assert_eq!(appends(&log, txn), 4);
}

#[test]
fn a_short_one_stays_inside_and_looks_again() {
    for (others, expected) in [(3, 4), (0, 1)] {
        let (log, db) = contended(others);
        let txn = reader_of(&db, 10);
        write(&db, b"z");
        assert_eq!(appends(&log, txn), expected);
    }
}

/// What was installed in vain stays in the generation.
#[test]
fn who_writes_much_is_alone_after_the_first_time() {
    let installed = [(0, 1), (8, 2)].map(|(others, expected)| {
        let (log, db) = contended(others);
        let mut txn = reader_of(&db, 20_000);
        write(&db, b"z");
        txn.put(TABLE, b"large", &vec![7; 1 << 20], &[]).unwrap();
        for number in 0..2_000u32 {
            let key = [&number.to_be_bytes()[..], b"w"].concat();
            txn.put(TABLE, &key, &[1; 500], &[]).unwrap();
        }
        let before = db.stats().version_bytes;
        assert_eq!(appends(&log, txn), expected);
        db.stats().version_bytes - before
    });
    assert!(2 * installed[1] < 5 * installed[0], "{installed:?}");
}

/// A large payload would be written, and synced, for nothing.
#[test]
fn a_doomed_commit_writes_nothing_ahead() {
    let (log, db) = contended(0);
    let mut txn = reader_of(&db, 10);
    write(&db, &5u32.to_be_bytes());
    let before = log.hook.prepares.load(Ordering::Relaxed);
    txn.put(TABLE, b"large", &vec![7; 1 << 20], &[]).unwrap();
    assert!(matches!(commit(txn), Err(CommitError::Read { .. })));
    assert_eq!(log.hook.prepares.load(Ordering::Relaxed), before);
    assert_eq!(db.stats().conflicts, 1);
}
