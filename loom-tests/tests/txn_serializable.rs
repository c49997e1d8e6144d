//! Models of validation: serializable transactions beside others, in the real store.

#![cfg(any(vellum_loom, vellum_shuttle))]
#![expect(
    clippy::disallowed_types,
    reason = "refusals are counted where no checker sees it"
)]

#[path = "../../txn/tests/store/hooked.rs"]
mod hooked;
mod txn_store;

use std::ops::Bound;
use std::sync::Arc as StdArc;
use std::sync::atomic::{AtomicUsize as Tally, Ordering::Relaxed};

use hooked::{Hook, Hooked};
use txn_store::{Db, NoColumns, TABLE, store, store_with};
use vellum_base::Timestamp;
use vellum_loom_tests::Model;
use vellum_sync::{scaled, thread};
use vellum_txn::{CommitError, CommitLog, Durability, Isolation, Transaction, newest_of};

type Txn = Transaction<NoColumns, Db>;

fn begin(db: &Db) -> Txn {
    Transaction::begin_with(Db::clone(db), Isolation::Serializable)
}

/// Reads a key as the engine does; whether it has a record.
fn read(txn: &Txn, key: &[u8]) -> bool {
    let sought = txn.reader().seek(TABLE, key);
    txn.reads().unwrap().key(sought);
    txn.reader().lookup(sought).version().is_some()
}

/// Reads all keys; how many have a record.
fn read_all(txn: &Txn) -> usize {
    let all = (Bound::Unbounded, Bound::Unbounded);
    let mut reading = txn.reads().unwrap().range(TABLE, all.0, all.1);
    let snapshot = txn.reader().range(TABLE, all.0, all.1);
    let records = txn.range_over(snapshot, TABLE, all.0, all.1);
    let count = records.filter(|(_, found)| found.is_some()).count();
    reading.passed_all();
    count
}

fn write(mut txn: Txn, key: &[u8]) -> Result<Timestamp, CommitError> {
    txn.put(TABLE, key, b"v", &[])?;
    txn.commit(Durability::Buffered)
}

/// A commit that reads nothing.
fn commit(db: &Db, key: &[u8]) -> Result<Timestamp, CommitError> {
    write(Transaction::begin(Db::clone(db)), key)
}

fn won(outcomes: [thread::JoinHandle<Result<Timestamp, CommitError>>; 2]) -> usize {
    let outcomes = outcomes.map(|outcome| outcome.join().unwrap());
    outcomes.iter().filter(|outcome| outcome.is_ok()).count()
}

/// Each reads what the other one writes: one commits, never both [3].
#[test]
fn write_skew_is_impossible() {
    let model = Model::new("txn_serializable::write_skew_is_impossible");
    model.preemptions(2).executions(200_000).check(|| {
        let db = store();
        let begun = [begin(&db), begin(&db)].into_iter();
        let mut begun = begun.zip([[b"a", b"b"], [b"b", b"a"]]);
        let writers = [(); 2].map(|()| {
            let (txn, [reads, writes]) = begun.next().unwrap();
            thread::spawn(move || {
                assert!(!read(&txn, reads));
                write(txn, writes)
            })
        });
        assert_eq!(won(writers), 1);
    });
}

/// The same in snapshot isolation, by marks.
#[test]
fn marks_prevent_write_skew() {
    let model = Model::new("txn_serializable::marks_prevent_write_skew");
    model.preemptions(2).executions(100_000).check(|| {
        let db = store();
        let begun = [(); 2].map(|()| Transaction::begin(Db::clone(&db)));
        let mut begun = begun.into_iter().zip([[b"a", b"b"], [b"b", b"a"]]);
        let writers = [(); 2].map(|()| {
            let (mut txn, [marks, writes]) = begun.next().unwrap();
            thread::spawn(move || {
                txn.mark_read(TABLE, marks);
                write(txn, writes)
            })
        });
        assert_eq!(won(writers), 1);
    });
}

/// Two that find a range empty and insert into it, each another key: one commits, never both [12].
#[test]
fn of_two_inserters_into_a_range_one_commits() {
    let model = Model::new("txn_serializable::of_two_inserters_into_a_range_one_commits");
    model.preemptions(2).executions(100_000).check(|| {
        let db = store();
        let mut begun = [begin(&db), begin(&db)].into_iter().zip([b"a", b"b"]);
        let writers = [(); 2].map(|()| {
            let (txn, key) = begun.next().unwrap();
            thread::spawn(move || {
                assert_eq!(read_all(&txn), 0);
                write(txn, key)
            })
        });
        assert_eq!(won(writers), 1);
    });
}

/// What a commit read is so at its timestamp, whatever others commit before and after: also where
/// more was committed meanwhile than is remembered [3].
#[test]
fn what_was_read_is_so_at_the_commit() {
    let model = Model::new("txn_serializable::what_was_read_is_so_at_the_commit");
    model.preemptions(2).executions(200_000).check(|| {
        let db = store();
        let other = Db::clone(&db);
        let writer = thread::spawn(move || {
            let changed = commit(&other, b"a").unwrap();
            commit(&other, b"x").unwrap();
            changed
        });
        let reader = thread::spawn(move || {
            let txn = begin(&db);
            let (at, seen) = (txn.at(), read(&txn, b"a"));
            (at, seen, write(txn, b"b"))
        });
        let (at, seen, committed) = reader.join().unwrap();
        let changed = writer.join().unwrap();
        assert_eq!(seen, changed <= at);
        match committed {
            Ok(committed) => assert_eq!(seen, changed < committed, "{changed} {committed}"),
            Err(CommitError::Read { winner, .. }) => assert!(!seen && winner == changed),
            Err(error) => panic!("{error}"),
        }
    });
}

/// What concerns nothing that was read hinders nobody, be it in the same bucket, ring and table.
#[test]
fn others_do_not_hinder() {
    let model = Model::new("txn_serializable::others_do_not_hinder");
    model.preemptions(2).executions(100_000).check(|| {
        let db = store();
        let writers = [[b"a", b"b"], [b"c", b"d"]].map(|[reads, writes]| {
            let db = Db::clone(&db);
            thread::spawn(move || {
                let txn = begin(&db);
                assert!(!read(&txn, reads));
                write(txn, writes)
            })
        });
        assert_eq!(won(writers), 2);
    });
}

/// A seal at any point hides nothing from validation [4] [5].
#[test]
fn a_seal_hides_nothing_from_validation() {
    let model = Model::new("txn_serializable::a_seal_hides_nothing_from_validation");
    model.preemptions(2).executions(100_000).check(|| {
        let db = store();
        let other = Db::clone(&db);
        let writer = thread::spawn(move || {
            let changed = commit(&other, b"a").unwrap();
            other.seal(1, 0).unwrap();
            changed
        });
        let reader = thread::spawn(move || {
            let txn = begin(&db);
            let seen = read_all(&txn);
            (seen, write(txn, b"b"))
        });
        let (seen, committed) = reader.join().unwrap();
        let changed = writer.join().unwrap();
        if let Ok(committed) = committed {
            assert_eq!(seen == 1, changed < committed, "{changed} {committed}");
        }
    });
}

/// Refusals after which a commit of a few reads is alone.
const REFUSALS: usize = scaled(15, 2);

/// Refuses the commit of "alone" until it is: as the ring of what was committed last may do without need.
struct Doubting {
    refusals: Tally,
}

impl Hook for Doubting {
    fn is_refused(&self, payload: &[u8]) -> bool {
        let is_alone = payload.windows(5).any(|bytes| bytes == b"alone");
        let is_refused = is_alone && self.refusals.load(Relaxed) < REFUSALS;
        self.refusals.fetch_add(is_refused.into(), Relaxed);
        is_refused
    }
}

/// Who commits alone behind a closed gate is validated as any other, meets a seal as any other, and is
/// in the generation of its timestamp [4] [5].
#[test]
fn a_commit_alone_is_as_any_other() {
    let model = Model::new("txn_serializable::a_commit_alone_is_as_any_other");
    model.preemptions(2).executions(100_000).check(|| {
        let log = StdArc::new(Hooked::new(Doubting {
            refusals: Tally::new(0),
        }));
        let db = store_with(StdArc::clone(&log) as StdArc<dyn CommitLog>);
        let other = Db::clone(&db);
        let writer = thread::spawn(move || {
            let changed = commit(&other, b"a").unwrap();
            other.seal(1, 0).unwrap();
            changed
        });
        let own = Db::clone(&db);
        let reader = thread::spawn(move || {
            let txn = begin(&own);
            let seen = read(&txn, b"a");
            (seen, write(txn, b"alone"))
        });
        let (seen, committed) = reader.join().unwrap();
        let changed = writer.join().unwrap();
        match committed {
            Ok(committed) => {
                assert_eq!(seen, changed < committed, "{changed} {committed}");
                assert_eq!(log.hook.refusals.load(Relaxed), REFUSALS, "it was alone");
            }
            Err(CommitError::Read { winner, .. }) => assert!(!seen && winner == changed),
            Err(error) => panic!("{error}"),
        }
        for sealed in db.merging().sealed() {
            for (_, version) in newest_of(std::slice::from_ref(&sealed), TABLE) {
                assert!(version.unwrap().at() <= sealed.last());
            }
        }
    });
}
