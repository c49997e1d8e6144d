//! Record locks: what they keep others from, who waits, who gives way; and that nobody who retries
//! in `transact` starves. Threads meet by what the figures say, never by time.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of tests fails its test"
)]

mod append;

use std::sync::Arc;
use std::time::Duration;

use vellum::plugin::ExtractorFn;
use vellum::{
    Database, Deadlock, Durability, Error, Isolation, Options, Ordered, Record, Table, Transaction,
};
use vellum_sync::atomic::{AtomicU64, Ordering};
use vellum_sync::thread::{self, JoinHandle};

/// One whose locks are waited for as long as need be: a machine may be slow.
fn patient() -> Database {
    let options = Options::new().lock_timeout(Duration::MAX);
    let options = append::with_append(options);
    options.in_memory().unwrap()
}

fn fresh() -> (Database, Table) {
    let db = patient();
    let table = db.table("t").unwrap();
    let mut txn = db.begin().unwrap();
    for key in ["a", "b", "c"] {
        txn.insert(&table, key, "old").unwrap();
    }
    txn.commit().unwrap();
    (db, table)
}

fn write(db: &Database, table: &Table, key: &str) -> Result<vellum::Timestamp, Error> {
    let mut txn = db.begin()?;
    txn.insert(table, key, "new")?;
    txn.commit()
}

fn is_locked(outcome: Result<vellum::Timestamp, Error>, key: &str) -> bool {
    match outcome {
        Err(error @ Error::Locked { .. }) => {
            assert!(error.is_retryable());
            let expected = format!("key \"{key}\" of table `t` is locked");
            error.to_string().contains(&expected)
        }
        _ => false,
    }
}

/// What a thread that asked for a lock came to.
type Asked = JoinHandle<(Transaction, Result<(), Error>)>;

/// Asks in a thread of its own; returns when it waits.
fn ask(db: &Database, table: &Table, mut txn: Transaction, key: &'static str) -> Asked {
    let waits = || db.stats().unwrap().locks.waits;
    let before = waits();
    let table = table.clone();
    let thread = thread::spawn(move || {
        let outcome = txn.get_for_update(&table, key).map(drop);
        (txn, outcome)
    });
    while waits() == before {
        thread::yield_now();
    }
    thread
}

#[test]
fn what_is_locked_for_update_is_committed_by_nobody_else() {
    for isolation in [Isolation::Snapshot, Isolation::Serializable] {
        let (db, table) = fresh();
        let mut txn = db.begin_with(isolation).unwrap();
        assert_eq!(txn.get_for_update(&table, "a").unwrap().unwrap(), "old");
        // A key without a record is locked as well, and an own write is read.
        assert!(txn.get_for_update(&table, "none").unwrap().is_none());
        txn.insert(&table, "none", "own").unwrap();
        assert_eq!(txn.get_for_update(&table, "none").unwrap().unwrap(), "own");
        assert!(is_locked(write(&db, &table, "a"), "a"));
        assert!(is_locked(write(&db, &table, "none"), "none"));
        write(&db, &table, "b").unwrap();
        // Nobody who reads waits.
        let read = db.begin_read().unwrap();
        assert_eq!(read.get(&table, "a").unwrap().unwrap(), "old");
        let other = db.begin().unwrap();
        assert_eq!(other.get(&table, "a").unwrap().unwrap(), "old");
        txn.insert(&table, "a", "own").unwrap();
        txn.commit().unwrap();
        write(&db, &table, "a").unwrap();
    }
}

/// Whatever writes a key that somebody else has locked is refused when it commits, and nothing else of its
/// transaction is committed.
#[test]
fn no_kind_of_write_passes_a_lock() {
    type Write = fn(&mut Transaction, &Table) -> vellum::Result<()>;
    let writes: [Write; 6] = [
        |txn, table| txn.insert(table, "b", "new"),
        |txn, table| txn.remove(table, "b"),
        |txn, table| txn.insert_record(table, "b", Record::new("new")),
        |txn, table| txn.merge(table, "b", "append", "new"),
        |txn, table| assert_removes(txn.delete_range(table, "a".."c")?),
        |txn, table| {
            let stands = txn.get_record(table, "b")?.unwrap().version();
            txn.compare_and_swap(table, "b", stands, "new")
        },
    ];
    for isolation in [Isolation::Snapshot, Isolation::Serializable] {
        for (number, write) in writes.into_iter().enumerate() {
            for share in [false, true] {
                let (db, table) = fresh();
                let mut holder = db.begin_with(isolation).unwrap();
                let locked = match share {
                    true => holder.get_for_share(&table, "b"),
                    false => holder.get_for_update(&table, "b"),
                };
                assert_eq!(locked.unwrap().unwrap(), "old");
                let mut other = db.begin_with(isolation).unwrap();
                other.insert(&table, "d", "new").unwrap();
                write(&mut other, &table).unwrap();
                assert!(is_locked(other.commit(), "b"), "{number}, {isolation:?}");
                let read = db.begin_read().unwrap();
                assert!(read.get(&table, "d").unwrap().is_none());
                assert_eq!(read.get(&table, "b").unwrap().unwrap(), "old");
                // Nor does it keep its holder from anything.
                holder.insert(&table, "b", "own").unwrap();
                holder.commit().unwrap();
                db.transact(|txn| write(txn, &table)).unwrap();
            }
        }
    }
}

fn assert_removes(removed: u64) -> vellum::Result<()> {
    assert_eq!(removed, 2);
    Ok(())
}

/// Who has lost often locks the entries of unique indexes as well: nobody else takes what they stand for.
#[test]
fn an_entry_of_a_unique_index_is_locked_as_a_key_is() {
    let values = ExtractorFn::new("values", 1, |_, value, keys| {
        keys.add(value);
        Ok(())
    });
    let db = Options::new().key_extractor(values).in_memory().unwrap();
    let table = db.table("t").unwrap();
    db.create_ordered_index(&table, "i", Ordered::unique("values"))
        .unwrap();
    let mut others = Vec::new();
    db.transact(|txn| {
        txn.insert(&table, "1", "wanted")?;
        txn.insert(&table, "hot", "lost")?;
        let mut other = db.begin()?;
        match db.stats()?.locks.open {
            // Until it locks, others are quicker.
            0 => other.insert(&table, "hot", "won")?,
            _ => other.insert(&table, "2", "wanted")?,
        }
        others.push(other.commit());
        Ok(())
    })
    .unwrap();
    let refused = others.pop().unwrap().unwrap_err();
    assert!(matches!(refused, Error::Locked { .. }), "{refused}");
    assert!(refused.is_retryable());
    assert!(others.iter().all(Result::is_ok), "{others:?}");
    let mut found = db.begin().unwrap();
    let found = found.insert(&table, "2", "wanted");
    assert!(matches!(found, Err(Error::NotUnique { .. })), "{found:?}");
    assert_eq!(db.stats().unwrap().locks.open, 0);
}

#[test]
fn a_key_that_was_committed_since_the_snapshot_is_a_conflict_at_once() {
    let (db, table) = fresh();
    let mut txn = db.begin().unwrap();
    let winner = write(&db, &table, "a").unwrap();
    let lost = txn.get_for_update(&table, "a").map(drop).unwrap_err();
    assert!(
        matches!(&lost, Error::Conflict { winner: found, .. } if *found == Some(winner)),
        "{lost}"
    );
    // Also when it has been merged, and for a share; others are not concerned.
    db.checkpoint().unwrap();
    let lost = txn.get_for_share(&table, "a").map(drop).unwrap_err();
    assert!(matches!(lost, Error::Conflict { .. }), "{lost}");
    assert_eq!(txn.get_for_share(&table, "b").unwrap().unwrap(), "old");
}

/// In snapshot isolation: each reads what the other one writes. With marks one would be refused at
/// its commit; with locks it is refused, or a victim, before.
#[test]
fn a_shared_lock_prevents_write_skew() {
    let (db, table) = fresh();
    let [mut one, mut two] = [(); 2].map(|()| db.begin().unwrap());
    assert_eq!(one.get_for_share(&table, "a").unwrap().unwrap(), "old");
    assert_eq!(two.get_for_share(&table, "a").unwrap().unwrap(), "old");
    assert_eq!(two.get_for_share(&table, "b").unwrap().unwrap(), "old");
    one.insert(&table, "b", "one").unwrap();
    two.insert(&table, "a", "two").unwrap();
    assert!(is_locked(one.commit(), "b"));
    two.commit().unwrap();
    let (isolation, durability) = (Isolation::Snapshot, Durability::Sync);
    let seen = db.transact_isolated(isolation, durability, |txn| {
        let seen = txn.get_for_share(&table, "a")?.unwrap().to_vec();
        txn.insert(&table, "b", &seen)?;
        Ok(seen)
    });
    assert_eq!(seen.unwrap(), b"two");
}

fn cycle(outcome: Result<(), Error>) -> Arc<Deadlock> {
    match outcome {
        Err(Error::Deadlock(cycle)) => cycle,
        other => panic!("{other:?}"),
    }
}

#[test]
fn h23_each_cycle_of_locks_has_one_victim_and_is_spelled_out() {
    for size in [2, 3] {
        let (db, table) = fresh();
        let keys = &["a", "b", "c"][..size];
        let begun: Vec<Transaction> = keys
            .iter()
            .map(|key| {
                let mut txn = db.begin().unwrap();
                txn.get_for_update(&table, key).unwrap();
                txn
            })
            .collect();
        let mut begun = begun.into_iter().enumerate();
        let mut youngest = begun.next_back().unwrap().1;
        let asked: Vec<Asked> = begun
            .map(|(number, txn)| ask(&db, &table, txn, keys[number + 1]))
            .collect();
        let cycle = cycle(youngest.get_for_update(&table, "a").map(drop));
        assert_eq!(cycle.waits().len(), size);
        for (number, wait) in cycle.waits().iter().enumerate() {
            // It begins with the one that closed it, who waits for "a".
            assert_eq!(wait.key.as_deref(), Some(keys[number].as_bytes()));
            assert_eq!((&*wait.table, wait.exclusive), ("t", true));
            let next = &cycle.waits()[(number + 1) % size];
            assert_eq!(wait.next, next.transaction);
        }
        let text = Error::Deadlock(cycle).to_string();
        assert!(text.starts_with("deadlock: transaction "), "{text}");
        assert!(text.contains("waits for key \"a\" of table `t` (exclusive) behind transaction"));
        // The others finish, from the last to the first.
        drop(youngest);
        for thread in asked.into_iter().rev() {
            let (txn, outcome) = thread.join().unwrap();
            outcome.unwrap();
            txn.commit().unwrap();
        }
        let stats = db.stats().unwrap().locks;
        assert_eq!((stats.deadlocks, stats.open), (1, 0));
    }
}

#[test]
fn locks_in_whatever_order_end_and_lose_nothing() {
    let db = patient();
    let table = db.table("t").unwrap();
    let (threads, rounds) = (4u64, 300);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (db, table) = (db.clone(), table.clone());
            scope.spawn(move || {
                for round in 0..rounds {
                    let first = (round * 7 + thread) % 5;
                    let keys = [first, (first + 1 + round % 4) % 5].map(|key| [key as u8]);
                    db.transact(|txn| {
                        for key in &keys {
                            let count = txn.get_for_update(&table, key)?;
                            let count = count.map_or(0, |count| number(&count));
                            thread::yield_now();
                            txn.insert(&table, key, (count + 1).to_le_bytes())?;
                        }
                        Ok(())
                    })
                    .unwrap();
                }
            });
        }
    });
    let read = db.begin_read().unwrap();
    let sum: u64 = read
        .iter(&table)
        .unwrap()
        .map(|entry| number(&entry.unwrap().1))
        .sum();
    assert_eq!(sum, 2 * threads * rounds);
    let stats = db.stats().unwrap().locks;
    assert_eq!(stats.open, 0);
    assert!(stats.acquired > 0 && stats.waits >= stats.deadlocks);
}

fn number(value: &[u8]) -> u64 {
    u64::from_le_bytes(value.try_into().unwrap())
}

#[test]
fn a_lock_is_waited_for_as_long_as_the_options_say() {
    let options = Options::new().lock_timeout(Duration::ZERO);
    let db = options.in_memory().unwrap();
    let table = db.table("t").unwrap();
    let mut holder = db.begin().unwrap();
    assert!(holder.get_for_share(&table, "k").unwrap().is_none());
    let mut other = db.begin().unwrap();
    assert!(other.get_for_share(&table, "k").unwrap().is_none());
    let error = other.get_for_update(&table, "k").map(drop).unwrap_err();
    assert!(
        matches!(&error, Error::LockTimeout { waited, .. } if waited.is_zero()),
        "{error}"
    );
    assert!(error.is_retryable());
    // What it had, it has.
    drop(holder);
    assert!(is_locked(write(&db, &table, "k"), "k"));
    drop(other);
    write(&db, &table, "k").unwrap();
    let stats = db.stats().unwrap().locks;
    assert_eq!((stats.timeouts, stats.waits, stats.refusals), (1, 1, 1));
    assert!(stats.wait_median.is_some() && stats.wait_p99 >= stats.wait_median);
}

#[test]
fn locks_are_of_keys_in_tables_and_end_with_the_table() {
    let (db, table) = fresh();
    let other = db.table("other").unwrap();
    let mut txn = db.begin().unwrap();
    txn.get_for_update(&table, "a").unwrap();
    write(&db, &other, "a").unwrap();
    assert!(txn.get_for_update(&table, "").is_err());
    let newer = db.table("newer").unwrap();
    let error = txn.get_for_update(&newer, "a").map(drop).unwrap_err();
    assert!(matches!(error, Error::NotInSnapshot { .. }), "{error}");
    db.drop_table(&table).unwrap();
    assert_eq!(txn.get_for_update(&table, "b").unwrap().unwrap(), "old");
    txn.insert(&table, "a", "new").unwrap();
    assert!(matches!(txn.commit(), Err(Error::TableDropped { .. })));
    assert_eq!(db.stats().unwrap().locks.open, 0);
}

/// Adds one to the key, as often as all threads together have not yet begun `commits` times; how often that
/// was. Each attempt lets the others run between its read and its write, until one of them has committed or
/// has had the occasion.
fn add_beside(
    (db, table): (&Database, &Table),
    isolation: Isolation,
    [begun, done]: &[AtomicU64; 2],
    commits: u64,
) -> u64 {
    const ATTEMPTS_MAX: u32 = 9;
    const LOOKS: u32 = 32;
    let mut own = 0;
    while begun.fetch_add(1, Ordering::Relaxed) < commits {
        let mut attempts = 0;
        db.transact_isolated(isolation, Durability::Buffered, |txn| {
            attempts += 1;
            let count = txn.get(table, "hot")?;
            let count = count.map_or(0, |count| number(&count));
            let before = done.load(Ordering::Relaxed);
            let mut looks = 0..LOOKS;
            while looks.next().is_some() && done.load(Ordering::Relaxed) == before {
                thread::yield_now();
            }
            txn.insert(table, "hot", (count + 1).to_le_bytes())
        })
        .unwrap();
        assert!(attempts <= ATTEMPTS_MAX, "{attempts}");
        done.fetch_add(1, Ordering::Relaxed);
        own += 1;
    }
    own
}

/// Sixteen threads that read and write one key, and let each other run in between: whatever the
/// system lets run when, each transaction commits at its ninth attempt at the latest, and of a number of
/// commits the slowest thread has made a quarter of its share at least.
#[test]
fn nobody_starves_at_one_hot_key() {
    const THREADS: u64 = 16;
    const COMMITS: u64 = 1_600;
    for isolation in [Isolation::Snapshot, Isolation::Serializable] {
        let db = patient();
        let table = db.table("t").unwrap();
        let (counters, there) = ([(); 2].map(|()| AtomicU64::new(0)), AtomicU64::new(0));
        let counts: Vec<u64> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..THREADS)
                .map(|_| {
                    let (own, table, counters) = (db.clone(), table.clone(), &counters);
                    let there = &there;
                    scope.spawn(move || {
                        // Nobody begins before the last is there.
                        there.fetch_add(1, Ordering::Relaxed);
                        while there.load(Ordering::Relaxed) < THREADS {
                            thread::yield_now();
                        }
                        add_beside((&own, &table), isolation, counters, COMMITS)
                    })
                })
                .collect();
            workers.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let read = db.begin_read().unwrap();
        assert_eq!(number(&read.get(&table, "hot").unwrap().unwrap()), COMMITS);
        let locks = db.stats().unwrap().locks;
        assert_eq!((locks.open, locks.deadlocks), (0, 0));
        println!("fairness: {isolation:?}: commits of each thread {counts:?}; {locks:?}");
        let slowest = counts.iter().min().copied().unwrap();
        assert!(
            slowest >= COMMITS / THREADS / 4,
            "{isolation:?}: {counts:?}"
        );
    }
}

/// Sixteen that come one after the other to a key that is locked commit in the order in which they
/// came, each at its second attempt at the latest.
#[test]
fn who_waits_for_a_hot_key_is_served_in_turn() {
    let (db, table) = fresh();
    let mut holder = db.begin().unwrap();
    holder.get_for_update(&table, "a").unwrap();
    holder.insert(&table, "a", 0u64.to_le_bytes()).unwrap();
    let waits = || db.stats().unwrap().locks.waits;
    let threads: Vec<JoinHandle<u64>> = (0..16)
        .map(|_| {
            let before = waits();
            let (own, table) = (db.clone(), table.clone());
            let thread = thread::spawn(move || {
                let mut attempts = 0;
                own.transact(|txn| {
                    attempts += 1;
                    assert!(attempts <= 2);
                    let count = number(&txn.get_for_update(&table, "a")?.unwrap());
                    txn.insert(&table, "a", (count + 1).to_le_bytes())?;
                    Ok(count)
                })
                .unwrap()
            });
            while waits() == before {
                thread::yield_now();
            }
            thread
        })
        .collect();
    holder.commit().unwrap();
    let served = threads.into_iter().map(|thread| thread.join().unwrap());
    assert!(served.eq(0..16));
}
