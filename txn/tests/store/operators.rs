//! Merge operators where others merge into the same key at a chosen moment: when an operand is folded.

use std::sync::Arc;
use std::time::Duration;

use crate::common::{Base, Columns, Db, TABLE, begin, commit, read, snapshot};
use vellum_base::Timestamp;
use vellum_sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use vellum_sync::thread::JoinHandle;
use vellum_sync::{Mutex, thread};
use vellum_txn::{MergeError, MergeOperator, NoLog, Operators, Store, StoreOptions};

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
        self.combine(existing.unwrap_or_default(), operand)
    }

    fn combine(&self, first: &[u8], second: &[u8]) -> Result<Vec<u8>, MergeError> {
        Ok([first, second].concat())
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

/// After how many passages in vain it is alone; and it has folded once more before it closes the gate.
const FOLDS: usize = 17;

#[test]
fn who_is_always_overtaken_commits_alone() {
    for quicker in [0, 1, FOLDS - 1, FOLDS] {
        let contended = Arc::new(Contended {
            quicker,
            ..Contended::default()
        });
        let mut operators = Operators::default();
        let operator: Arc<dyn MergeOperator> = Arc::clone(&contended) as _;
        operators.add("append", operator);
        let append = operators.find("append").unwrap();
        let log = Arc::new(NoLog::new(Timestamp::ZERO));
        let (columns, base) = (Columns::default(), Base::default());
        let options = StoreOptions {
            generation_bytes: 1 << 20,
            ..StoreOptions::default()
        };
        let db = Store::new(log, columns, base, Timestamp::ZERO, options).unwrap();
        let db: Db = Arc::new(db.with_operators(operators));
        *contended.db.lock() = Some(Arc::clone(&db));

        let mut txn = begin(&db);
        txn.merge(TABLE, b"k", append, MINE).unwrap();
        txn.merge(TABLE, b"quiet", append, b"what nobody else merges")
            .unwrap();
        let mine = commit(txn).unwrap();
        *contended.db.lock() = None;
        let late = contended.late.lock().take().unwrap().join().unwrap();
        let snapshot = snapshot(&db);
        let value = read(snapshot.reader(), b"k").unwrap();
        let value = String::from_utf8(value).unwrap();
        let before = "+".repeat(quicker);
        match quicker == FOLDS {
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
}
