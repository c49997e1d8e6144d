//! Models of the store's watermarks, views and gate.

#![cfg(any(vellum_loom, vellum_shuttle))]

mod txn_store;

use txn_store::{Db, NoColumns, TABLE, store};
use vellum_base::Timestamp;
use vellum_loom_tests::Model;
use vellum_sync::atomic::{AtomicU64, Ordering};
use vellum_sync::cell::Witness;
use vellum_sync::{Arc, thread};
use vellum_txn::{
    CommitError, CommitLog, Durability, NoLog, Purpose, Registry, Sequenced, Snapshot, Transaction,
};

type Txn = Transaction<NoColumns, Db>;

/// Has written these keys.
fn begun(db: &Db, keys: &[&[u8]]) -> Result<Txn, CommitError> {
    let mut txn = Transaction::begin(Db::clone(db));
    for key in keys {
        txn.put(TABLE, key, b"v", &[])?;
    }
    Ok(txn)
}

fn commit(db: &Db, keys: &[&[u8]]) -> Result<Timestamp, CommitError> {
    begun(db, keys)?.commit(Durability::Buffered)
}

fn has(snapshot: &Snapshot<NoColumns, Db>, key: &[u8]) -> bool {
    snapshot.reader().get(TABLE, key).version().is_some()
}

/// A snapshot sees all of a commit or nothing of it.
#[test]
fn a_commit_is_seen_whole_or_not_at_all() {
    let model = Model::new("txn_snapshots::a_commit_is_seen_whole_or_not_at_all");
    model.preemptions(2).executions(300_000).check(|| {
        let db = store();
        let other = Db::clone(&db);
        let writer = thread::spawn(move || commit(&other, &[b"a", b"b"]).unwrap());
        let other = Db::clone(&db);
        let reader = thread::spawn(move || {
            let snapshot = Snapshot::begin(other);
            let seen = snapshot.at() > Timestamp::ZERO;
            assert_eq!((has(&snapshot, b"a"), has(&snapshot, b"b")), (seen, seen));
            (snapshot, seen)
        });
        let (snapshot, seen) = reader.join().unwrap();
        let at = writer.join().unwrap();
        let again = (has(&snapshot, b"a"), has(&snapshot, b"b"));
        assert_eq!(again, (seen, seen), "it never changes");
        drop(snapshot);
        let after = Snapshot::begin(Db::clone(&db));
        assert!(after.at() == at && has(&after, b"a") && has(&after, b"b"));
    });
}

/// So does a read-write transaction, which begins at the visible watermark.
#[test]
fn a_transaction_sees_a_commit_whole_or_not_at_all() {
    let model = Model::new("txn_snapshots::a_transaction_sees_a_commit_whole_or_not_at_all");
    model.preemptions(2).executions(300_000).check(|| {
        let db = store();
        let other = Db::clone(&db);
        let writer = thread::spawn(move || commit(&other, &[b"a", b"b"]).unwrap());
        let reader = thread::spawn(move || {
            let txn = Transaction::begin(db);
            let seen = txn.at() > Timestamp::ZERO;
            for key in [b"a", b"b"] {
                assert_eq!(txn.reader().get(TABLE, key).version().is_some(), seen);
            }
        });
        reader.join().unwrap();
        writer.join().unwrap();
    });
}

/// The visible watermark leaves no gap: who sees the second commit sees the first.
#[test]
fn the_visible_watermark_has_no_gap() {
    let model = Model::new("txn_snapshots::the_visible_watermark_has_no_gap");
    model.preemptions(1).executions(100_000).check(|| {
        let db = store();
        let writers: Vec<_> = [b"a", b"b"]
            .into_iter()
            .map(|key| {
                let db = Db::clone(&db);
                thread::spawn(move || commit(&db, &[key]).unwrap())
            })
            .collect();
        let reader = thread::spawn(move || {
            let snapshot = Snapshot::begin(db);
            let seen = u64::from(has(&snapshot, b"a")) + u64::from(has(&snapshot, b"b"));
            assert_eq!(
                seen,
                snapshot.at().0,
                "exactly the commits up to the timestamp"
            );
        });
        reader.join().unwrap();
        let mut at: Vec<u64> = writers.into_iter().map(|w| w.join().unwrap().0).collect();
        at.sort_unstable();
        assert_eq!(at, [1, 2]);
    });
}

/// Two commits of these keys beside a snapshot, which has those that succeeded up to its timestamp, whole, and
/// nothing of the other; how many succeeded. The timestamps are theirs alone, and all keys are free
/// again.
fn beside_a_snapshot(db: &Db, commits: [(Txn, [&'static [u8]; 2]); 2]) -> u64 {
    let running = commits.map(|(txn, keys)| {
        let committing = thread::spawn(move || txn.commit(Durability::Buffered).ok());
        (committing, keys)
    });
    let (other, keys) = (Db::clone(db), running.each_ref().map(|(_, keys)| *keys));
    let reader = thread::spawn(move || {
        let snapshot = Snapshot::begin(other);
        let seen = keys.map(|keys| keys.map(|key| has(&snapshot, key)));
        (snapshot, seen)
    });
    let (snapshot, seen) = reader.join().unwrap();
    let ended = running.map(|(committing, keys)| (committing.join().unwrap(), keys));
    let counts = |at: Option<Timestamp>| at.is_some_and(|at| at <= snapshot.at());
    let is_there = |key: &[u8]| {
        let mut writers = ended.iter().filter(|(_, keys)| keys.contains(&key));
        writers.any(|(at, _)| counts(*at))
    };
    let right = ended.map(|(_, keys)| keys.map(is_there));
    assert_eq!(seen, right, "of {ended:?} at {}", snapshot.at());
    drop(snapshot);
    let succeeded = ended.iter().filter(|(at, _)| at.is_some()).count() as u64;
    assert_eq!(db.visible(), Timestamp(succeeded), "one for each success");
    for (number, (_, keys)) in (1..).zip(&ended) {
        assert_eq!(commit(db, keys), Ok(Timestamp(succeeded + number)));
    }
    succeeded
}

/// Of two that write one key one commits; the watermark passes over the other.
#[test]
fn the_watermark_passes_over_commits_that_fail() {
    let model = Model::new("txn_snapshots::the_watermark_passes_over_commits_that_fail");
    model.preemptions(1).executions(30_000).check(|| {
        let db = store();
        let both: [[&'static [u8]; 2]; 2] = [[b"a", b"k"], [b"b", b"k"]];
        let both = both.map(|keys| (begun(&db, &keys).unwrap(), keys));
        assert_eq!(beside_a_snapshot(&db, both), 1);
    });
}

/// So it does over one that the log refuses, since what it relies on was overtaken.
#[test]
fn the_watermark_passes_over_commits_that_are_refused() {
    let model = Model::new("txn_snapshots::the_watermark_passes_over_commits_that_are_refused");
    model.preemptions(1).executions(30_000).check(|| {
        let db = store();
        let both: [[&'static [u8]; 2]; 2] = [[b"a", b"k"], [b"b", b"c"]];
        let mut both = both.map(|keys| (begun(&db, &keys).unwrap(), keys));
        both[1].0.mark_read(TABLE, b"k");
        assert!(beside_a_snapshot(&db, both) > 0);
    });
}

/// A seal beside a commit and a new snapshot: the snapshot has exactly the commits up to its
/// timestamp, whichever generation they are in.
#[test]
fn a_snapshot_beside_a_seal_misses_nothing() {
    let model = Model::new("txn_snapshots::a_snapshot_beside_a_seal_misses_nothing");
    model.preemptions(2).executions(300_000).check(|| {
        let db = store();
        let other = Db::clone(&db);
        let writer = thread::spawn(move || {
            other.seal(1, 0).unwrap();
            commit(&other, &[b"a"]).unwrap()
        });
        let other = Db::clone(&db);
        let reader = thread::spawn(move || {
            let snapshot = Snapshot::begin(other);
            assert_eq!(u64::from(has(&snapshot, b"a")), snapshot.at().0);
            snapshot
        });
        let snapshot = reader.join().unwrap();
        writer.join().unwrap();
        assert_eq!(u64::from(has(&snapshot, b"a")), snapshot.at().0);
        drop(snapshot);
        assert!(
            has(&Snapshot::begin(Db::clone(&db)), b"a"),
            "acknowledged before"
        );
    });
}

/// As above, with the commit on a thread of its own: it may come at any point of the seal.
#[test]
fn a_commit_at_any_point_of_a_seal_is_not_missed() {
    let model = Model::new("txn_snapshots::a_commit_at_any_point_of_a_seal_is_not_missed");
    model.preemptions(2).executions(150_000).check(|| {
        let db = store();
        let other = Db::clone(&db);
        let txn = begun(&db, &[b"a"]).unwrap();
        let sealer = thread::spawn(move || other.seal(1, 0).unwrap());
        let writer = thread::spawn(move || txn.commit(Durability::Buffered).unwrap());
        let reader = thread::spawn(move || {
            let snapshot = Snapshot::begin(db);
            assert_eq!(u64::from(has(&snapshot, b"a")), snapshot.at().0);
        });
        reader.join().unwrap();
        sealer.join().unwrap();
        writer.join().unwrap();
    });
}

/// A seal between two committers of the same key: one of them wins, in whichever generation.
#[test]
fn a_seal_hides_no_conflict() {
    let model = Model::new("txn_snapshots::a_seal_hides_no_conflict");
    model.preemptions(1).executions(300_000).check(|| {
        let db = store();
        let mut transactions = [b"1", b"2"].map(|value| {
            let mut txn = Transaction::begin(Db::clone(&db));
            txn.put(TABLE, b"k", value, &[]).unwrap();
            Some(txn)
        });
        let second = transactions[1].take().unwrap();
        let committer =
            thread::spawn(move || u64::from(second.commit(Durability::Buffered).is_ok()));
        let other = Db::clone(&db);
        let sealer = thread::spawn(move || other.seal(1, 0).unwrap());
        let first = transactions[0].take().unwrap();
        let other = thread::spawn(move || u64::from(first.commit(Durability::Buffered).is_ok()));
        let won = other.join().unwrap();
        assert_eq!(won + committer.join().unwrap(), 1, "exactly one");
        sealer.join().unwrap();
        assert_eq!(db.visible(), Timestamp(1));
    });
}

/// What a transaction that began before a seal commits is checked in the generations since.
#[test]
fn a_writer_pins_every_generation_since_its_view() {
    let model = Model::new("txn_snapshots::a_writer_pins_every_generation_since_its_view");
    model.preemptions(2).executions(300_000).check(|| {
        let db = store();
        let mut old = Transaction::begin(Db::clone(&db));
        old.put(TABLE, b"k", b"old", &[]).unwrap();
        let mut other = Transaction::begin(Db::clone(&db));
        other.put(TABLE, b"k", b"other", &[]).unwrap();
        let store = Db::clone(&db);
        let winner = thread::spawn(move || {
            let won = other.commit(Durability::Buffered).is_ok();
            store.seal(1, 0).unwrap();
            won
        });
        let own = thread::spawn(move || old.commit(Durability::Buffered).is_ok());
        assert!(own.join().unwrap() != winner.join().unwrap(), "exactly one");
    });
}

/// A view whose memory is touched on drop, so that loom sees a use after it.
struct Watched {
    witness: Witness,
    number: u64,
}

impl Watched {
    fn new(number: u64) -> Self {
        Self {
            witness: Witness::new(),
            number,
        }
    }

    fn read(&self) -> u64 {
        self.witness.read();
        self.number
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.witness.write();
    }
}

type Watchers = Arc<Registry<Watched, ()>>;

fn watchers() -> Watchers {
    Arc::new(Registry::new(Watched::new(1)))
}

fn publish(registry: &Watchers) {
    registry.publish(|view| Watched::new(view.read() + 1));
}

/// Publishes so many views, and collects after each.
fn publisher(registry: &Watchers, views: usize) -> thread::JoinHandle<()> {
    let registry = Arc::clone(registry);
    thread::spawn(move || {
        for _ in 0..views {
            publish(&registry);
            registry.collect();
        }
    })
}

/// Reads what is current when it begins, twice.
fn reader(registry: &Watchers) -> thread::JoinHandle<()> {
    let registry = Arc::clone(registry);
    thread::spawn(move || {
        let pin = registry.pin(Purpose::Read);
        let first = registry.view(&pin).read();
        assert_eq!(registry.view(&pin).read(), first);
        registry.unpin(pin);
    })
}

/// No reader's view is freed under it, however many views are published meanwhile; the reader
/// retries nothing; and what nobody uses is freed.
#[test]
fn a_registered_view_is_not_freed() {
    Model::new("txn_snapshots::a_registered_view_is_not_freed")
        .preemptions(3)
        .check(|| {
            let registry = watchers();
            let publisher = publisher(&registry, 2);
            let reader = reader(&registry);
            reader.join().unwrap();
            publisher.join().unwrap();
            assert_eq!(registry.collect(), 0, "nobody holds anything");
        });
}

/// Nor where the readers' home slot is taken, so that this one takes another.
#[test]
fn a_view_that_is_registered_elsewhere_is_not_freed() {
    Model::new("txn_snapshots::a_view_that_is_registered_elsewhere_is_not_freed")
        .preemptions(3)
        .check(|| {
            let registry = watchers();
            let home = registry.pin(Purpose::Read);
            publish(&registry);
            let publisher = publisher(&registry, 1);
            let reader = reader(&registry);
            reader.join().unwrap();
            publisher.join().unwrap();
            assert_eq!(registry.collect(), 1, "the first one");
            registry.unpin(home);
            assert_eq!(registry.collect(), 0, "nobody holds anything");
        });
}

/// What one reader did comes before the freeing by a collector that finds only its slot's next owner.
#[test]
fn the_next_owner_hides_nobody() {
    for is_home_taken in [false, true] {
        Model::new("txn_snapshots::the_next_owner_hides_nobody")
            .preemptions(2)
            .check(move || {
                let registry = watchers();
                let home = is_home_taken.then(|| registry.pin(Purpose::Read));
                publish(&registry);
                let first = registry.pin(Purpose::Write);
                publish(&registry);
                let other = Arc::clone(&registry);
                let one = thread::spawn(move || {
                    assert_eq!(other.view(&first).read(), 2);
                    other.unpin(first);
                });
                let other = Arc::clone(&registry);
                let next = thread::spawn(move || {
                    let pin = other.pin(Purpose::Write);
                    assert_eq!(other.view(&pin).read(), 3);
                    other.unpin(pin);
                });
                registry.collect();
                one.join().unwrap();
                next.join().unwrap();
                if let Some(home) = home {
                    registry.unpin(home);
                }
                assert_eq!(registry.collect(), 0, "nobody holds anything");
            });
    }
}

/// Nor by a collector that retired nothing itself.
#[test]
fn another_thread_may_collect() {
    Model::new("txn_snapshots::another_thread_may_collect")
        .preemptions(3)
        .check(|| {
            let registry = watchers();
            let other = Arc::clone(&registry);
            let publisher = thread::spawn(move || {
                publish(&other);
            });
            let other = Arc::clone(&registry);
            let collector = thread::spawn(move || {
                other.collect();
            });
            let reader = reader(&registry);
            for thread in [publisher, collector, reader] {
                thread.join().unwrap();
            }
            assert_eq!(registry.collect(), 0, "nobody holds anything");
        });
}

/// A pin that is widened protects what is current by then as well, each time anew.
#[test]
fn a_widened_pin_keeps_a_later_view() {
    Model::new("txn_snapshots::a_widened_pin_keeps_a_later_view")
        .preemptions(3)
        .check(|| {
            let registry = watchers();
            let publisher = publisher(&registry, 2);
            let other = Arc::clone(&registry);
            let writer = thread::spawn(move || {
                let mut pin = other.pin(Purpose::Write);
                let first = other.view(&pin).read();
                let mut seen = first;
                for _ in 0..2 {
                    let later = other.widen(&mut pin);
                    assert!(later.read() >= seen);
                    seen = later.read();
                }
                assert_eq!(other.view(&pin).read(), first);
                other.unpin(pin);
            });
            writer.join().unwrap();
            publisher.join().unwrap();
            assert_eq!(registry.collect(), 0, "nobody holds anything");
        });
}

/// One that is narrow again keeps its own view alone.
#[test]
fn a_narrowed_pin_keeps_its_own_view() {
    Model::new("txn_snapshots::a_narrowed_pin_keeps_its_own_view").check(|| {
        let registry = watchers();
        let mut pin = registry.pin(Purpose::Write);
        publish(&registry);
        publish(&registry);
        let later = registry.widen(&mut pin);
        assert_eq!((later.read(), registry.collect()), (3, 2), "onward");
        drop(later);
        publish(&registry);
        assert_eq!(registry.collect(), 1, "its own");
        assert_eq!(registry.view(&pin).read(), 1);
        registry.unpin(pin);
        assert_eq!(registry.collect(), 0, "nobody holds anything");
    });
}

/// No writer has an older view than the oldest of writers, however the two come about beside each other.
#[test]
fn no_writer_has_an_older_view_than_the_oldest() {
    Model::new("txn_snapshots::no_writer_has_an_older_view_than_the_oldest")
        .preemptions(3)
        .check(|| {
            let registry = watchers();
            let other = Arc::clone(&registry);
            let publisher = thread::spawn(move || {
                publish(&other);
                publish(&other);
                other.oldest_of_writers(Watched::read)
            });
            let pin = registry.pin(Purpose::Write);
            let own = registry.view(&pin).read();
            let beside = registry.oldest_of_writers(Watched::read);
            for oldest in [beside, publisher.join().unwrap()] {
                assert!(oldest <= own, "{oldest}, where a writer has {own}");
            }
            assert_eq!(registry.oldest_of_writers(Watched::read), own);
            registry.unpin(pin);
            let reader = registry.pin(Purpose::Read);
            publish(&registry);
            assert_eq!(registry.oldest_of_writers(Watched::read), 4, "no reader's");
            registry.unpin(reader);
        });
}

/// In memory too: who saw a commit, and waited until it is settled, is followed by snapshots that have
/// it [16].
#[test]
fn what_was_seen_is_settled_after_waiting() {
    struct Visible(Arc<AtomicU64>);
    impl Sequenced for Visible {
        fn validate(&mut self) -> bool {
            true
        }
        fn stamp(&mut self, at: Timestamp) {
            self.0.store(at.0, Ordering::Release);
        }
    }
    let model = Model::new("txn_snapshots::what_was_seen_is_settled_after_waiting");
    model.preemptions(3).check(|| {
        let log = Arc::new(NoLog::new(Timestamp::ZERO));
        let visible = Arc::new(AtomicU64::new(0));
        let (appending, mut steps) = (Arc::clone(&log), Visible(Arc::clone(&visible)));
        let writer = thread::spawn(move || {
            let prepared = appending.prepare(&[]).unwrap();
            let appended = appending.append(prepared, &[], Durability::Buffered, &mut steps);
            drop(appended.unwrap());
        });
        let reader = thread::spawn(move || {
            let seen = Timestamp(visible.load(Ordering::Acquire));
            log.wait_settled(seen).unwrap();
            assert!(log.settled() >= seen, "time runs backwards");
        });
        writer.join().unwrap();
        reader.join().unwrap();
    });
}
