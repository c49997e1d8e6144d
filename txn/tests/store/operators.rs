//! Merge operators where others merge into the same key at a chosen moment: when an operand is folded.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::append::Append;
use crate::common::{Columns, Db, TABLE, begin, commit, merge, read, snapshot, store_merging};
use crate::hooked::{Hook, Hooked};
use vellum_base::Timestamp;
use vellum_sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use vellum_sync::thread::JoinHandle;
use vellum_sync::{Mutex, thread};
use vellum_txn::{CommitLog, MergeError, MergeOperator, NoLog, OperatorId};

/// Appends. As often as it is told, another is quicker than the one that folds [`MINE`]; the next time
/// another one tries.
#[derive(Default)]
struct Contended {
    db: Mutex<Option<Db>>,
    folds: AtomicUsize,
    quicker: usize,
    late: Mutex<Option<JoinHandle<Timestamp>>>,
}

const MINE: &[u8] = b"mine";

impl MergeOperator for Contended {
    fn fold(&self, existing: Option<&[u8]>, operand: &[u8]) -> Result<Vec<u8>, MergeError> {
        let db = self.db.lock().clone();
        if let Some(db) = db
            && operand == MINE
        {
            match self.folds.fetch_add(1, Ordering::Relaxed) {
                fold if fold < self.quicker => drop(merge_other(&db)),
                fold if fold == self.quicker => self.try_to_pass(db),
                _ => {}
            }
        }
        Append.fold(existing, operand)
    }

    fn combine(&self, first: &[u8], second: &[u8]) -> Result<Vec<u8>, MergeError> {
        Append.combine(first, second)
    }
}

impl Contended {
    fn try_to_pass(&self, db: Db) {
        let passed = Arc::new(AtomicBool::new(false));
        let tell = Arc::clone(&passed);
        let late = thread::spawn(move || {
            let at = merge_other(&db);
            tell.store(true, Ordering::Release);
            at
        });
        // Who is alone is not passed, however long it waits.
        for _ in 0..200 {
            if passed.load(Ordering::Acquire) {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        *self.late.lock() = Some(late);
    }
}

fn merge_other(db: &Db) -> Timestamp {
    let mut txn = begin(db);
    let operator = db.operators().find("append").unwrap();
    txn.merge(TABLE, b"k", operator, b"+").unwrap();
    commit(txn).unwrap()
}

fn store_with(log: Arc<dyn CommitLog>, operator: Arc<dyn MergeOperator>) -> (Db, OperatorId) {
    store_of(log, operator, usize::MAX)
}

fn store_of(
    log: Arc<dyn CommitLog>,
    operator: Arc<dyn MergeOperator>,
    trail_bytes: usize,
) -> (Db, OperatorId) {
    let db = store_merging(log, operator, (1 << 20, trail_bytes));
    let append = db.operators().find("append").unwrap();
    (db, append)
}

/// `folds`: passages in vain before it is alone, and one more: it folds before it closes the gate.
fn is_alone_after(folds: usize, quicker: usize, other_bytes: usize) {
    let contended = Arc::new(Contended {
        quicker,
        ..Contended::default()
    });
    let log = Arc::new(NoLog::new(Timestamp::ZERO));
    let (db, append) = store_with(log, Arc::clone(&contended) as _);
    *contended.db.lock() = Some(Arc::clone(&db));

    let mut txn = begin(&db);
    txn.merge(TABLE, b"k", append, MINE).unwrap();
    txn.merge(TABLE, b"quiet", append, b"what nobody else merges")
        .unwrap();
    txn.put(TABLE, b"other", &vec![0; other_bytes], &[])
        .unwrap();
    let mine = commit(txn).unwrap();
    *contended.db.lock() = None;
    let late = contended.late.lock().take().unwrap().join().unwrap();
    let snapshot = snapshot(&db);
    let value = read(snapshot.reader(), b"k").unwrap();
    let value = String::from_utf8(value).unwrap();
    let before = "+".repeat(quicker);
    match quicker == folds {
        // All were quicker as long as the gate was open, and then none.
        true => {
            assert!(late > mine);
            assert_eq!(value, format!("{before}mine+"));
        }
        false => assert_eq!(value, format!("{before}+mine")),
    }
    let quiet = read(snapshot.reader(), b"quiet").unwrap();
    assert_eq!(quiet, b"what nobody else merges");
}

#[test]
fn who_is_always_overtaken_commits_alone() {
    for quicker in [0, 1, 16, 17] {
        is_alone_after(17, quicker, 10);
    }
}

/// What was installed in vain stays in the generation.
#[test]
fn who_merges_and_writes_much_is_alone_after_the_first_time() {
    for quicker in [0, 1, 2] {
        is_alone_after(2, quicker, 70_000);
    }
}

/// Appends. Between the fold of [`MINE`] that is told and the passage after it another's operand is in pages, and
/// the generation that it was in is gone; at those before, others are merely quicker.
struct Vanishing {
    db: Mutex<Option<Db>>,
    folds: AtomicUsize,
    at: usize,
    closing: Mutex<Option<JoinHandle<()>>>,
}

impl MergeOperator for Vanishing {
    fn fold(&self, existing: Option<&[u8]>, operand: &[u8]) -> Result<Vec<u8>, MergeError> {
        let db = self.db.lock().clone();
        if let Some(db) = db
            && operand == MINE
        {
            let fold = self.folds.fetch_add(1, Ordering::Relaxed);
            if fold <= self.at {
                merge_other(&db);
            }
            if fold == self.at {
                self.let_vanish(db);
            }
        }
        Append.fold(existing, operand)
    }

    fn combine(&self, first: &[u8], second: &[u8]) -> Result<Vec<u8>, MergeError> {
        Append.combine(first, second)
    }
}

impl Vanishing {
    fn let_vanish(&self, db: Db) {
        db.seal_active().unwrap();
        let sealed = db.newest_sealed().unwrap();
        let generation = Arc::downgrade(sealed.generation());
        drop(sealed);
        assert!(merge(&db) > 0);
        let closed = Arc::new(AtomicBool::new(false));
        let tell = Arc::clone(&closed);
        *self.closing.lock() = Some(thread::spawn(move || {
            let amended = db.amend_schema(|columns| {
                tell.store(true, Ordering::Release);
                // Who folds has its view until it comes to the gate.
                while generation.strong_count() > 0 {
                    thread::yield_now();
                    db.let_go_of_views();
                }
                Ok::<_, ()>(Columns(columns.0.clone()))
            });
            amended.unwrap();
        }));
        while !closed.load(Ordering::Acquire) {
            thread::yield_now();
        }
    }
}

/// Nothing tells whether the key became newer: it is folded again, outside also by who is alone.
#[test]
fn what_is_merged_is_never_too_old() {
    for at in [0, 1, 16] {
        let vanishing = Arc::new(Vanishing {
            db: Mutex::default(),
            folds: AtomicUsize::new(0),
            at,
            closing: Mutex::default(),
        });
        let log = Arc::new(NoLog::new(Timestamp::ZERO));
        let (db, append) = store_of(log, Arc::clone(&vanishing) as _, 0);
        let mut txn = begin(&db);
        txn.merge(TABLE, b"k", append, MINE).unwrap();
        // Its own view keeps the first generation.
        db.seal_active().unwrap();
        *vanishing.db.lock() = Some(Arc::clone(&db));
        commit(txn).unwrap();
        *vanishing.db.lock() = None;
        vanishing.closing.lock().take().unwrap().join().unwrap();
        assert_eq!(vanishing.folds.load(Ordering::Relaxed), at + 2);
        let value = read(snapshot(&db).reader(), b"k").unwrap();
        let value = String::from_utf8(value).unwrap();
        assert_eq!(value, format!("{}mine", "+".repeat(at + 1)));
    }
}

/// Fails, or panics.
struct Broken;

impl MergeOperator for Broken {
    fn fold(&self, _: Option<&[u8]>, operand: &[u8]) -> Result<Vec<u8>, MergeError> {
        match operand {
            b"panic" => panic!("the operator's own fault"),
            b"fail" => Err("as asked".into()),
            operand => Ok(operand.to_vec()),
        }
    }

    fn combine(&self, _: &[u8], second: &[u8]) -> Result<Vec<u8>, MergeError> {
        Ok(second.to_vec())
    }
}

#[derive(Default)]
struct Counted {
    prepared: AtomicUsize,
    cancelled: AtomicUsize,
}

impl Hook for Counted {
    fn prepared(&self) {
        self.prepared.fetch_add(1, Ordering::Relaxed);
    }

    fn cancelled(&self) {
        self.cancelled.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn an_operator_that_breaks_gives_back_what_the_log_held() {
    let log = Arc::new(Hooked::new(Counted::default()));
    let (db, append) = store_with(Arc::clone(&log) as _, Arc::new(Broken));
    let count = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    for operand in [&b"panic"[..], b"fail", b"panic"] {
        let mut txn = begin(&db);
        txn.put(TABLE, b"a", b"v", &[]).unwrap();
        txn.merge(TABLE, b"k", append, operand).unwrap();
        let committed = catch_unwind(AssertUnwindSafe(|| commit(txn)));
        assert_eq!(committed.is_err(), operand == b"panic");
        assert!(committed.is_err() || committed.is_ok_and(|done| done.is_err()));
        assert_eq!(count(&log.hook.prepared), count(&log.hook.cancelled));
    }
    let mut txn = begin(&db);
    txn.put(TABLE, b"a", b"v", &[]).unwrap();
    txn.merge(TABLE, b"k", append, b"whole").unwrap();
    commit(txn).unwrap();
    assert_eq!(count(&log.hook.prepared), count(&log.hook.cancelled) + 1);
    assert_eq!(read(snapshot(&db).reader(), b"k").unwrap(), b"whole");
}
