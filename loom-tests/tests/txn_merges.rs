//! Models of merge operators: no operand is ever lost, in the real store.

#![cfg(any(vellum_loom, vellum_shuttle))]

#[path = "../../txn/tests/store/append.rs"]
mod append;
#[expect(dead_code, reason = "its other stores have no operators")]
mod txn_store;

use std::sync::Arc as StdArc;

use append::Append;
use txn_store::{Db, NoColumns, TABLE, store_of};
use vellum_base::Timestamp;
use vellum_loom_tests::Model;
use vellum_sync::{Arc, thread};
use vellum_txn::{CommitError, Durability, NoLog, OperatorId, Operators, Snapshot, Transaction};

type Txn = Transaction<NoColumns, Db>;

fn store() -> (Db, OperatorId) {
    let mut operators = Operators::default();
    operators.add("append", StdArc::new(Append));
    let append = operators.find("append").unwrap();
    let store = store_of(StdArc::new(NoLog::new(Timestamp::ZERO)));
    (Arc::new(store.with_operators(operators)), append)
}

fn merge(mut txn: Txn, append: OperatorId, more: &[u8]) -> Result<Timestamp, CommitError> {
    txn.merge(TABLE, b"k", append, more)?;
    txn.commit(Durability::Buffered)
}

/// What a snapshot has under the key.
fn value(db: &Db) -> Vec<u8> {
    let snapshot = Snapshot::begin(Db::clone(db));
    let found = snapshot.reader().get(TABLE, b"k").version();
    found.map_or_else(Vec::new, |version| version.value().to_vec())
}

/// Two that began before either committed: both commit, and the value has both operands in the order of
/// the commits.
#[test]
fn of_two_that_merge_neither_is_lost() {
    let model = Model::new("txn_merges::of_two_that_merge_neither_is_lost");
    model.preemptions(2).executions(50_000).check(|| {
        let (db, append) = store();
        let mut begun = [b"a", b"b"]
            .map(|more| (Transaction::begin(Db::clone(&db)), more))
            .into_iter();
        let merged = [(); 2].map(|()| {
            let (txn, more) = begun.next().unwrap();
            thread::spawn(move || merge(txn, append, more))
        });
        let [a, b] = merged.map(|merged| merged.join().unwrap().unwrap());
        assert_eq!(value(&db), if a < b { b"ab" } else { b"ba" });
    });
}

/// A write beside a merge: the merge always commits; the write does unless the merge came first, and
/// then the operand is on top of it.
#[test]
fn a_merge_goes_over_a_write_and_not_a_write_over_a_merge() {
    let model = Model::new("txn_merges::a_merge_goes_over_a_write_and_not_a_write_over_a_merge");
    model.preemptions(2).executions(50_000).check(|| {
        let (db, append) = store();
        let mut begun = [(); 2]
            .map(|()| Transaction::begin(Db::clone(&db)))
            .into_iter();
        let (merges, mut writes) = (begun.next().unwrap(), begun.next().unwrap());
        let merges = thread::spawn(move || merge(merges, append, b"+"));
        let writes = thread::spawn(move || {
            writes.put(TABLE, b"k", b"put", &[])?;
            writes.commit(Durability::Buffered)
        });
        merges.join().unwrap().unwrap();
        match writes.join().unwrap() {
            Ok(_) => assert_eq!(value(&db), b"put+"),
            Err(CommitError::Conflict { .. }) => assert_eq!(value(&db), b"+"),
            Err(error) => panic!("{error}"),
        }
    });
}
