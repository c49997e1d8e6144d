//! Sealed generations leave for the base: readers keep what they saw, writers what they must check.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use vellum_base::Timestamp;
use vellum_sync::atomic::{AtomicUsize, Ordering};
use vellum_sync::{Mutex, thread};
use vellum_txn::{BaseError, CommitError, LogError, Lookup, Schema, Store, StoreOptions, Wake};

use crate::common::{
    Base, Columns, Db, TABLE, Txn, begin, commit, merge, read, read_all, snapshot, store,
};
use crate::hooked::{Hook, Hooked};

fn put(db: &Db, key: &[u8], value: &[u8]) -> Timestamp {
    let mut txn = begin(db);
    txn.put(TABLE, key, value, &[]).unwrap();
    commit(txn).unwrap()
}

#[test]
fn what_was_merged_is_read_from_the_base_and_its_memory_is_given_back() {
    let db = store(1 << 20);
    put(&db, b"a", b"1");
    let last = put(&db, b"b", b"1");
    let before = snapshot(&db);
    db.seal_active().unwrap();
    let sealed = db.newest_sealed().unwrap();
    assert_eq!((sealed.last(), sealed.position()), (last, last.0));
    let generation = Arc::downgrade(sealed.generation());
    drop(sealed);
    assert_eq!((merge(&db), merge(&db)), (1, 0));
    let after = snapshot(&db);
    assert!(matches!(after.reader().get(TABLE, b"a"), Lookup::Below));
    assert!(matches!(
        before.reader().get(TABLE, b"a"),
        Lookup::Version(_)
    ));
    for snapshot in [&before, &after] {
        assert_eq!(read(snapshot.reader(), b"a"), Some(b"1".to_vec()));
    }
    assert!(generation.upgrade().is_some(), "a reader holds it");
    drop(before);
    put(&db, b"c", b"1");
    db.seal_active().unwrap();
    merge(&db);
    assert!(generation.upgrade().is_none());
    assert_eq!(db.stats().generations, 1);
}

/// Hazard 5: the base shows no trace of what came and went.
#[test]
fn a_writer_checks_generations_that_were_merged_since_it_began() {
    let db = store(1 << 20);
    let mut old = begin(&db);
    old.put(TABLE, b"k", b"mine", &[]).unwrap();
    let mut free: Txn = begin(&db);
    free.put(TABLE, b"other", b"mine", &[]).unwrap();
    put(&db, b"k", b"theirs");
    let mut txn = begin(&db);
    txn.delete(TABLE, b"k").unwrap();
    let gone = commit(txn).unwrap();
    for _ in 0..3 {
        db.seal_active().unwrap();
        merge(&db);
    }
    assert_eq!(read(snapshot(&db).reader(), b"k"), None);
    assert!(
        matches!(commit(old), Err(CommitError::Conflict { winner, .. }) if winner == Some(gone))
    );
    commit(free).unwrap();
}

#[test]
fn only_what_is_settled_is_merged_oldest_first() {
    let db = store(1 << 20);
    for round in 0u8..3 {
        put(&db, b"k", &[round]);
        db.seal_active().unwrap();
    }
    assert_eq!(db.backlog().sealed(), 3);
    let sealed = db.merging().sealed();
    let numbers: Vec<_> = sealed.iter().map(|one| one.generation().number()).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert_eq!(merge(&db), 3);
    assert_eq!(db.backlog().sealed(), 0);
    assert_eq!(read(snapshot(&db).reader(), b"k"), Some(vec![2]));
}

/// They fill no more than the part of the merge that is done, and what they may be ahead.
#[test]
fn committers_keep_pace_with_a_merge() {
    const CAPACITY: u64 = 128 << 10;
    const COMMIT: u64 = 4096;
    let db = store(64 << 10);
    put(&db, b"first", b"");
    db.seal_active().unwrap();
    db.backlog().limit_to(4, CAPACITY);
    db.backlog().begin(db.active_bytes());
    let filled = |db: &Db| db.stats().version_bytes as u64;
    let before = filled(&db);
    let writer = {
        let db = Arc::clone(&db);
        thread::spawn(move || {
            for round in 0..100u32 {
                put(&db, &round.to_be_bytes(), &[7; 1000]);
            }
        })
    };
    for part in 0..6 {
        db.backlog().progress(part, 8);
        let done = CAPACITY * part / 8;
        // It comes as far, and in two thousand looks no further.
        let mut looks = 0;
        while looks < 2000 {
            let now = filled(&db) - before;
            assert!(now <= done + CAPACITY / 32 + COMMIT, "{part}: {now}");
            looks += u32::from(now >= done);
            thread::yield_now();
        }
    }
    merge(&db);
    writer.join().unwrap();
}

#[test]
fn committers_wait_for_a_merge_and_hear_why_there_is_none() {
    let db = store(16 << 10);
    db.backlog().limit_to(2, u64::MAX);
    let fill = |db: &Db, rounds: u32| -> Result<(), CommitError> {
        for round in 0..rounds {
            let mut txn = begin(db);
            txn.put(TABLE, &round.to_be_bytes(), &[7; 1000], &[])?;
            commit(txn)?;
        }
        Ok(())
    };
    let cause = BaseError::new(std::fmt::Error);
    db.backlog().fail(cause.clone());
    assert_eq!(fill(&db, 200), Err(CommitError::Base(cause)));
    assert_eq!(db.backlog().sealed(), 2, "it waits with the third");
    merge(&db);
    let running = Arc::new(AtomicUsize::new(1));
    let writer = {
        let (db, running) = (Arc::clone(&db), Arc::clone(&running));
        thread::spawn(move || {
            let filled = fill(&db, 200);
            running.fetch_sub(1, Ordering::Release);
            filled
        })
    };
    while running.load(Ordering::Acquire) > 0 {
        if db
            .backlog()
            .wait_for_work(std::time::Duration::from_millis(20))
            == Wake::Work
        {
            merge(&db);
        }
    }
    writer.join().unwrap().unwrap();
    db.backlog().end();
    assert_eq!(
        db.backlog().wait_for_work(std::time::Duration::MAX),
        Wake::End
    );
    assert!(matches!(
        fill(&db, 200),
        Err(CommitError::Log(LogError::Closed))
    ));
}

/// Merges as soon as a commit gives its space in the log back.
#[derive(Default)]
struct Merger {
    db: Mutex<Option<Db>>,
    prepared: AtomicUsize,
}

impl Hook for Merger {
    fn prepared(&self) {
        self.prepared.fetch_add(1, Ordering::Relaxed);
    }

    fn parked(&self) {
        if let Some(db) = &*self.db.lock() {
            merge(db);
        }
    }
}

fn with_merger(generation_bytes: usize) -> (Arc<Hooked<Merger>>, Db) {
    let log = Arc::new(Hooked::new(Merger::default()));
    let options = StoreOptions {
        generation_bytes,
        ..StoreOptions::default()
    };
    let (columns, base) = (Columns::default(), Base::default());
    let store = Store::new(log.clone(), columns, base, Timestamp::ZERO, options);
    (log, Arc::new(store.unwrap()))
}

/// A merge may need room in the log itself: who waits for it keeps none. [4]
#[test]
fn who_waits_for_a_merge_holds_nothing_of_the_log() {
    let (log, db) = with_merger(16 << 10);
    put(&db, b"first", b"");
    db.seal_active().unwrap();
    db.backlog().limit_to(1, u64::MAX);
    // Who waits hears of it, instead of waiting for ever.
    db.backlog().fail(BaseError::new(std::fmt::Error));
    *log.hook.db.lock() = Some(Arc::clone(&db));
    for round in 0..30u32 {
        put(&db, &round.to_be_bytes(), &[7; 1000]);
    }
    *log.hook.db.lock() = None;
    assert!(db.newest_sealed().is_some(), "a generation was full");
    assert_eq!(read_all(snapshot(&db).reader()).len(), 31);
}

#[test]
fn nobody_prepares_twice() {
    let (log, db) = with_merger(256 << 10);
    for round in 0u8..8 {
        let mut txn = begin(&db);
        for key in 0u8..100 {
            txn.put(TABLE, &[round, key], &[7; 1000], &[]).unwrap();
        }
        commit(txn).unwrap();
    }
    assert!(db.stats().generations > 2, "generations were full");
    assert_eq!(log.hook.prepared.load(Ordering::Relaxed), 8);
}

#[test]
fn large_records_fill_a_generation_too() {
    let db = store(1 << 20);
    for round in 0u8..8 {
        put(&db, &[round], &vec![round; 700 << 10]);
    }
    assert!(db.backlog().sealed() >= 2, "{}", db.backlog().sealed());
    let sealed = db.merging().sealed();
    assert!(sealed.iter().all(|one| one.schema().is_open(TABLE)));
    merge(&db);
    assert_eq!(read_all(snapshot(&db).reader()).len(), 8);
}

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<(u8, Option<u8>)>),
    Seal,
    Merge,
    Hold,
    Begin(u8),
    Finish,
}

fn step() -> impl Strategy<Value = Step> {
    let writes = prop::collection::vec((0u8..12, prop::option::of(any::<u8>())), 1..4);
    prop_oneof![
        5 => writes.prop_map(Step::Commit),
        2 => Just(Step::Seal),
        2 => Just(Step::Merge),
        1 => Just(Step::Hold),
        1 => (0u8..12).prop_map(Step::Begin),
        1 => Just(Step::Finish),
    ]
}

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

proptest! {
    /// Snapshots read what they saw when they began, whatever is merged; a writer commits exactly
    /// if nobody has committed its key since.
    #[test]
    fn snapshots_and_conflicts_do_not_depend_on_merges(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let db = store(1 << 20);
        let mut model = Model::new();
        let mut changed: BTreeMap<u8, Timestamp> = BTreeMap::new();
        let mut held = Vec::new();
        let mut open: Vec<(Txn, u8)> = Vec::new();
        for step in steps {
            match step {
                Step::Commit(writes) => {
                    let mut txn = begin(&db);
                    for (key, value) in &writes {
                        match value {
                            Some(value) => txn.put(TABLE, &[*key], &[*value], &[]).unwrap(),
                            None => txn.delete(TABLE, &[*key]).unwrap(),
                        }
                    }
                    let at = commit(txn).unwrap();
                    for (key, value) in writes {
                        changed.insert(key, at);
                        match value {
                            Some(value) => model.insert(vec![key], vec![value]),
                            None => model.remove(&vec![key]),
                        };
                    }
                }
                Step::Seal => db.seal_active().unwrap(),
                Step::Merge => {
                    merge(&db);
                }
                Step::Hold => held.push((snapshot(&db), model.clone())),
                Step::Begin(key) => {
                    let mut txn = begin(&db);
                    txn.put(TABLE, &[key], &[0], &[]).unwrap();
                    open.push((txn, key));
                }
                Step::Finish => {
                    if let Some((txn, key)) = open.pop() {
                        let newer = changed.get(&key).is_some_and(|at| *at > txn.at());
                        match commit(txn) {
                            Ok(at) => {
                                prop_assert!(!newer);
                                changed.insert(key, at);
                                model.insert(vec![key], vec![0]);
                            }
                            Err(error) => prop_assert!(newer, "{error}"),
                        }
                    }
                }
            }
        }
        held.push((snapshot(&db), model));
        for (snapshot, model) in &held {
            prop_assert_eq!(&read_all(snapshot.reader()), model);
            for key in 0u8..12 {
                prop_assert_eq!(read(snapshot.reader(), &[key]), model.get(&vec![key]).cloned());
            }
        }
    }
}

/// Many writers and readers beside one who seals and merges all the time.
#[test]
fn no_update_is_lost_beside_merges() {
    const ROUNDS: u64 = 400;
    let db = store(64 << 10);
    db.backlog().limit_to(3, u64::MAX);
    put(&db, b"sum", &0u64.to_le_bytes());
    let merger = {
        let db = Arc::clone(&db);
        thread::spawn(move || {
            while db
                .backlog()
                .wait_for_work(std::time::Duration::from_millis(1))
                != Wake::End
            {
                merge(&db);
                db.seal_active().unwrap();
            }
        })
    };
    let count = |value: &[u8]| u64::from_le_bytes(value[..8].try_into().unwrap());
    let running = Arc::new(AtomicUsize::new(3));
    let writers: Vec<_> = (0..3)
        .map(|_| {
            let (db, running) = (Arc::clone(&db), Arc::clone(&running));
            thread::spawn(move || {
                let mut done = 0;
                while done < ROUNDS {
                    let mut txn = begin(&db);
                    let sum = count(&read(txn.reader(), b"sum").unwrap());
                    let value = [&(sum + 1).to_le_bytes()[..], &[0; 300]].concat();
                    txn.put(TABLE, b"sum", &value, &[]).unwrap();
                    match commit(txn) {
                        Ok(_) => done += 1,
                        Err(CommitError::Conflict { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                running.fetch_sub(1, Ordering::Release);
            })
        })
        .collect();
    let mut before = 0;
    while running.load(Ordering::Acquire) > 0 {
        let snapshot = snapshot(&db);
        let now = count(&read(snapshot.reader(), b"sum").unwrap());
        assert!(now >= before);
        let again = count(&read_all(snapshot.reader())[&b"sum"[..]]);
        assert_eq!(now, again);
        before = now;
    }
    for writer in writers {
        writer.join().unwrap();
    }
    db.backlog().end();
    merger.join().unwrap();
    let sum = read(snapshot(&db).reader(), b"sum").unwrap();
    assert_eq!(count(&sum), 3 * ROUNDS);
    let _: &Columns = snapshot(&db).reader().schema();
}
