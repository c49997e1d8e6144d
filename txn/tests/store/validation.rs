//! Validation where others come in between at a chosen moment: when the sequencer is reached.

use std::ops::Bound;
use std::sync::Arc;

use crate::common::{Base, Columns, Db, TABLE, begin, commit};
use vellum_base::Timestamp;
use vellum_sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use vellum_sync::thread::JoinHandle;
use vellum_sync::{Mutex, thread};
use vellum_txn::{
    Appended, CommitLog, Durability, Isolation, LogError, NoLog, Prepared, Sequenced, Store,
    StoreOptions, Transaction,
};

/// Before a commit whose payload says "long" is sequenced, another one is made, if it can be: as long
/// as there are some left.
struct Contended {
    inner: NoLog,
    db: Mutex<Option<Db>>,
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

impl CommitLog for Contended {
    fn prepare(&self, payload: &[&[u8]]) -> Result<Prepared, LogError> {
        self.inner.prepare(payload)
    }

    fn cancel(&self, prepared: Prepared) {
        self.inner.cancel(prepared);
    }

    fn append(
        &self,
        prepared: Prepared,
        payload: &[&[u8]],
        durability: Durability,
        steps: &mut dyn Sequenced,
    ) -> Result<Appended, LogError> {
        if payload.concat().windows(4).any(|bytes| bytes == b"long") {
            self.appends.fetch_add(1, Ordering::Relaxed);
            if self.left.load(Ordering::Relaxed) > 0 {
                self.left.fetch_sub(1, Ordering::Relaxed);
                self.let_another_pass();
            }
        }
        self.inner.append(prepared, payload, durability, steps)
    }

    fn position(&self) -> u64 {
        self.inner.position()
    }

    fn settled(&self) -> Timestamp {
        self.inner.settled()
    }

    fn wait_settled(&self, at: Timestamp) -> Result<(), LogError> {
        self.inner.wait_settled(at)
    }
}

/// Reads so many keys, and commits while others do at each attempt; how often it came to the
/// sequencer.
fn appends_of_a_reader_of(keys: u32, others: usize) -> usize {
    let log = Arc::new(Contended {
        inner: NoLog::new(Timestamp::ZERO),
        db: Mutex::new(None),
        appends: AtomicUsize::new(0),
        left: AtomicUsize::new(others),
        others: Mutex::new(Vec::new()),
    });
    let (columns, base) = (Columns::default(), Base::default());
    let options = StoreOptions::default();
    let store = Store::new(log.clone(), columns, base, Timestamp::ZERO, options).unwrap();
    let db = Arc::new(store);
    *log.db.lock() = Some(Arc::clone(&db));
    let mut txn = begin(&db);
    for number in 0..keys {
        txn.put(TABLE, &number.to_be_bytes(), b"", &[]).unwrap();
    }
    commit(txn).unwrap();
    let mut txn = Transaction::begin_with(Arc::clone(&db), Isolation::Serializable);
    let mut read = txn.reads().unwrap().range(
        TABLE,
        Bound::Unbounded,
        Bound::Excluded(&u32::MAX.to_be_bytes()),
    );
    read.passed_front(&keys.to_be_bytes());
    drop(read);
    // Somebody has committed since the snapshot, so that there is something to look at.
    let mut other = begin(&db);
    other.put(TABLE, b"z", b"other", &[]).unwrap();
    commit(other).unwrap();
    txn.put(TABLE, b"long", b"", &[]).unwrap();
    commit(txn).unwrap();
    *log.db.lock() = None;
    let others = std::mem::take(&mut *log.others.lock());
    others.into_iter().for_each(|other| other.join().unwrap());
    log.appends.load(Ordering::Relaxed)
}

#[test]
fn a_long_validation_that_is_overtaken_ends_alone() {
    assert_eq!(appends_of_a_reader_of(20_000, 8), 4);
}

#[test]
fn a_short_one_stays_inside_and_looks_again() {
    assert_eq!(appends_of_a_reader_of(10, 3), 4);
    assert_eq!(appends_of_a_reader_of(10, 0), 1);
}
