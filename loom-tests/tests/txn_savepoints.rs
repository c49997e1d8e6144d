//! Models of savepoints: what was rolled back is in no commit and in nobody's way, in the real store.

#![cfg(any(vellum_loom, vellum_shuttle))]

mod txn_store;

use txn_store::{Db, NoColumns, TABLE, store};
use vellum_loom_tests::Model;
use vellum_sync::thread;
use vellum_txn::{CommitError, Durability, Isolation, Snapshot, Transaction};

type Txn = Transaction<NoColumns, Db>;

fn begin(db: &Db) -> Txn {
    Transaction::begin_with(Db::clone(db), Isolation::Snapshot)
}

/// What a snapshot has under the key.
fn seen(db: &Db, key: &[u8]) -> Option<Vec<u8>> {
    let snapshot = Snapshot::begin(Db::clone(db));
    let found = snapshot.reader().get(TABLE, key).version();
    found.map(|version| version.value().to_vec())
}

/// One writes over a key, writes another, and takes both back before it commits, beside a writer of the
/// other key: neither conflicts, and no snapshot sees what was taken back.
#[test]
fn what_was_rolled_back_is_in_no_commit_and_no_conflict() {
    let model = Model::new("txn_savepoints::what_was_rolled_back_is_in_no_commit_and_no_conflict");
    model.preemptions(2).executions(100_000).check(|| {
        let db = store();
        let (mut txn, mut other) = (begin(&db), begin(&db));
        let (here, there) = (Db::clone(&db), Db::clone(&db));
        let rolls_back = thread::spawn(move || {
            txn.put(TABLE, b"a", b"kept", &[])?;
            let before = txn.savepoint();
            txn.put(TABLE, b"a", b"taken back", &[])?;
            txn.put(TABLE, b"b", b"taken back", &[])?;
            txn.roll_back_to(&before).unwrap();
            txn.commit(Durability::Buffered)?;
            assert_eq!(seen(&here, b"a").as_deref(), Some(&b"kept"[..]));
            Ok::<(), CommitError>(())
        });
        let writes = thread::spawn(move || {
            other.put(TABLE, b"b", b"theirs", &[])?;
            other.commit(Durability::Buffered)?;
            let a = seen(&there, b"a");
            assert!(a.is_none_or(|a| a == b"kept"));
            Ok::<(), CommitError>(())
        });
        rolls_back.join().unwrap().unwrap();
        writes.join().unwrap().unwrap();
        assert_eq!(seen(&db, b"b").as_deref(), Some(&b"theirs"[..]));
    });
}
