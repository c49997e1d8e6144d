//! Models of merges: a sealed generation leaves the view for the base.

#![cfg(any(vellum_loom, vellum_shuttle))]

mod txn_store;

use txn_store::{Db, NoColumns, TABLE, store};
use vellum_base::Timestamp;
use vellum_loom_tests::Model;
use vellum_sync::thread;
use vellum_txn::{
    BaseError, CommitError, Durability, Lookup, Reader, Snapshot, Transaction, newest_of,
};

fn put(db: &Db) -> Result<Timestamp, CommitError> {
    let mut txn = Transaction::begin(Db::clone(db));
    txn.put(TABLE, b"k", b"v", &[])?;
    txn.commit(Durability::Buffered)
}

fn delete(db: &Db) -> Timestamp {
    let mut txn = Transaction::begin(Db::clone(db));
    txn.delete(TABLE, b"k").unwrap();
    txn.commit(Durability::Buffered).unwrap()
}

/// Merges what is sealed.
fn merge(db: &Db) {
    let merging = db.merging();
    let sealed = merging.sealed();
    let Some(newest) = sealed.last() else {
        return;
    };
    let newest = newest.generation().number();
    let mut base = db.base();
    for (_, version) in newest_of(&sealed, TABLE) {
        base = version.map_or(0, |version| version.at().0);
    }
    // The store keeps what is needed, not the one who merges.
    drop(sealed);
    merging.rebase(base, newest);
}

/// When the key was written last, as of a snapshot.
fn read(reader: Reader<'_, NoColumns>) -> u64 {
    match reader.get(TABLE, b"k") {
        Lookup::Version(version) => version.at().0,
        Lookup::Deleted(_) => 0,
        Lookup::Below => *reader.base(),
    }
}

/// Each commit writes the one key, so a snapshot at S reads S, above the base or in it [1] [2].
#[test]
fn a_snapshot_reads_one_state_across_a_merge() {
    let model = Model::new("txn_merging::a_snapshot_reads_one_state_across_a_merge");
    model.preemptions(2).executions(200_000).check(|| {
        let db = store();
        put(&db).unwrap();
        db.seal_active().unwrap();
        let other = Db::clone(&db);
        let merger = thread::spawn(move || {
            merge(&other);
            other.seal_active().unwrap();
            put(&other).unwrap();
        });
        let other = Db::clone(&db);
        let reader = thread::spawn(move || {
            let snapshot = Snapshot::begin(other);
            assert_eq!(read(snapshot.reader()), snapshot.at().0);
            snapshot
        });
        let snapshot = reader.join().unwrap();
        merger.join().unwrap();
        assert_eq!(read(snapshot.reader()), snapshot.at().0);
        drop(snapshot);
        let after = Snapshot::begin(Db::clone(&db));
        assert_eq!(
            (read(after.reader()), after.at().0),
            (2, 2),
            "acknowledged before"
        );
    });
}

/// A commit beside a merge is seen by whoever begins after it was acknowledged.
#[test]
fn a_commit_beside_a_merge_is_seen_by_later_snapshots() {
    let model = Model::new("txn_merging::a_commit_beside_a_merge_is_seen_by_later_snapshots");
    model.preemptions(2).executions(200_000).check(|| {
        let db = store();
        put(&db).unwrap();
        db.seal_active().unwrap();
        let other = Db::clone(&db);
        let merger = thread::spawn(move || merge(&other));
        let at = put(&db).unwrap();
        let snapshot = Snapshot::begin(Db::clone(&db));
        assert!(snapshot.at() >= at);
        assert_eq!(read(snapshot.reader()), 2);
        drop(snapshot);
        merger.join().unwrap();
    });
}

/// What came and went since a writer's snapshot is a conflict, though the base shows no trace [5].
#[test]
fn a_merge_hides_no_conflict() {
    let model = Model::new("txn_merging::a_merge_hides_no_conflict");
    model.preemptions(2).executions(200_000).check(|| {
        let db = store();
        let mut old = Transaction::begin(Db::clone(&db));
        old.put(TABLE, b"k", b"old", &[]).unwrap();
        put(&db).unwrap();
        delete(&db);
        db.seal_active().unwrap();
        let other = Db::clone(&db);
        let merger = thread::spawn(move || {
            merge(&other);
            other.seal_active().unwrap();
            merge(&other);
        });
        let refused = old.commit(Durability::Buffered);
        let winner = Some(Timestamp(2));
        assert!(
            matches!(refused, Err(CommitError::Conflict { winner: found, .. }) if found == winner)
        );
        merger.join().unwrap();
    });
}

/// What a writer needs outlasts the views that it was in, whoever lets go of these [5].
#[test]
fn what_a_writer_needs_outlasts_its_views() {
    let model = Model::new("txn_merging::what_a_writer_needs_outlasts_its_views");
    model.preemptions(2).executions(100_000).check(|| {
        let db = store();
        let mut old = Transaction::begin(Db::clone(&db));
        old.put(TABLE, b"k", b"old", &[]).unwrap();
        // Not in the generation that its own view keeps.
        db.seal_active().unwrap();
        put(&db).unwrap();
        delete(&db);
        db.seal_active().unwrap();
        let other = Db::clone(&db);
        let merger = thread::spawn(move || {
            merge(&other);
            merge(&other);
        });
        db.let_go_of_views();
        let refused = old.commit(Durability::Buffered);
        let winner = Some(Timestamp(2));
        assert!(
            matches!(refused, Err(CommitError::Conflict { winner: found, .. }) if found == winner),
            "{refused:?}"
        );
        merger.join().unwrap();
        db.let_go_of_views();
        assert_eq!(db.stats().trail_bytes, 0, "nobody needs any");
    });
}

/// Who begins beside a merge is never too old.
#[test]
fn who_begins_beside_a_merge_is_not_too_old() {
    let model = Model::new("txn_merging::who_begins_beside_a_merge_is_not_too_old");
    model.preemptions(2).executions(100_000).check(|| {
        let db = store();
        let other = Db::clone(&db);
        let merger = thread::spawn(move || {
            // Not in the generation that the first view keeps.
            other.seal_active().unwrap();
            put(&other).unwrap();
            other.seal_active().unwrap();
            merge(&other);
        });
        let mut txn = Transaction::begin(Db::clone(&db));
        let at = txn.at();
        txn.put(TABLE, b"k", b"own", &[]).unwrap();
        merger.join().unwrap();
        db.let_go_of_views();
        match txn.commit(Durability::Buffered) {
            Ok(_) => assert_eq!(at, Timestamp(1)),
            Err(CommitError::Conflict { .. }) => assert_eq!(at, Timestamp::ZERO),
            Err(error) => panic!("{error}"),
        }
    });
}

/// What a merge counts off was counted: none goes on waiting for a merge that was made.
#[test]
fn a_seal_counts_before_it_can_be_merged() {
    let model = Model::new("txn_merging::a_seal_counts_before_it_can_be_merged");
    model.preemptions(2).executions(100_000).check(|| {
        let db = store();
        put(&db).unwrap();
        let other = Db::clone(&db);
        let sealer = thread::spawn(move || other.seal_active().unwrap());
        merge(&db);
        sealer.join().unwrap();
        merge(&db);
        assert_eq!(db.backlog().sealed(), 0);
    });
}

/// Who waits for a merge is woken by it, by the failure of one, and by the end [4].
#[test]
fn who_waits_for_a_merge_is_woken() {
    for outcome in 0..3 {
        let model = Model::new("txn_merging::who_waits_for_a_merge_is_woken");
        model.preemptions(2).executions(100_000).check(move || {
            let db = store();
            db.backlog().limit_to(1, u64::MAX);
            db.seal_active().unwrap();
            let other = Db::clone(&db);
            let writer = thread::spawn(move || {
                let mut txn = Transaction::begin(other);
                // Larger than what is left in a generation: it seals, and waits before it does.
                txn.put(TABLE, b"k", &[0; 4096], &[]).unwrap();
                txn.commit(Durability::Buffered)
            });
            match outcome {
                0 => merge(&db),
                1 => db.backlog().fail(BaseError::new(std::fmt::Error)),
                _ => db.backlog().end(),
            }
            let committed = writer.join().unwrap();
            assert_eq!(committed.is_ok(), outcome == 0);
        });
    }
}

/// Who is ahead of a merge is woken by its next part, by its end, by its failure, and by the end [4].
#[test]
fn who_waits_for_a_part_of_a_merge_is_woken() {
    for outcome in 0..4 {
        let model = Model::new("txn_merging::who_waits_for_a_part_of_a_merge_is_woken");
        model.preemptions(2).executions(100_000).check(move || {
            let db = store();
            put(&db).unwrap();
            db.seal_active().unwrap();
            put(&db).unwrap();
            // The active generation has more than a part of this already, and less than all of it.
            db.backlog().limit_to(2, db.active_bytes() + 1);
            let other = Db::clone(&db);
            let writer = thread::spawn(move || put(&other));
            match outcome {
                0 => db.backlog().progress(1, 1),
                1 => merge(&db),
                2 => db.backlog().fail(BaseError::new(std::fmt::Error)),
                _ => db.backlog().end(),
            }
            let committed = writer.join().unwrap();
            assert_eq!(committed.is_ok(), outcome < 2);
        });
    }
}
