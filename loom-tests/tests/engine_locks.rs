//! Record locks of the whole engine under shuttle: `transact` in the end loses no more, and locks in
//! opposite orders end.

#![cfg(vellum_shuttle)]

use std::time::Duration;

use vellum::{Database, Durability, Options, Table};
use vellum_loom_tests::Model;
use vellum_sync::thread;

/// Conflicts after which work locks first.
const CONFLICTS_MAX: usize = 8;

fn database() -> (Database, Table) {
    let options = Options::new().background(false).memory_budget(8 << 20);
    // Under a checker any time may be over at once.
    let options = options.lock_timeout(Duration::MAX);
    let db = options.in_memory().unwrap();
    let table = db.table("t").unwrap();
    (db, table)
}

fn number(value: Option<vellum::Value<'_>>) -> u64 {
    value.map_or(0, |value| u64::from_le_bytes((*value).try_into().unwrap()))
}

/// One optimistic attempt to add one; whether it won.
fn add(db: &Database, table: &Table) -> bool {
    let mut txn = db.begin().unwrap();
    let count = number(txn.get(table, "hot").unwrap());
    txn.insert(table, "hot", (count + 1).to_le_bytes()).unwrap();
    txn.commit().is_ok()
}

/// However others commit beside it, an attempt that has locked first commits [18]; and nothing is
/// lost.
#[test]
fn who_lost_once_locks_and_loses_no_more() {
    let model = Model::new("engine_locks::who_lost_once_locks_and_loses_no_more");
    model.schedules(2_000).check(|| {
        let (db, table) = database();
        let workers = [(); 2].map(|()| {
            let (db, table) = (db.clone(), table.clone());
            thread::spawn(move || {
                let (mut attempts, mut won) = (0, 0);
                db.transact_with(Durability::Buffered, |txn| {
                    attempts += 1;
                    let count = number(txn.get(&table, "hot")?);
                    if attempts <= CONFLICTS_MAX {
                        won += u64::from(add(&db, &table));
                    }
                    txn.insert(&table, "hot", (count + 1).to_le_bytes())
                })
                .unwrap();
                assert!(attempts <= CONFLICTS_MAX + 1, "{attempts}");
                won + 1
            })
        });
        let (other, others) = (db.clone(), table.clone());
        let optimist =
            thread::spawn(move || (0..6).map(|_| u64::from(add(&other, &others))).sum::<u64>());
        let won: u64 = workers.map(|worker| worker.join().unwrap()).iter().sum();
        let expected = won + optimist.join().unwrap();
        let read = db.begin_read().unwrap();
        assert_eq!(number(read.get(&table, "hot").unwrap()), expected);
        assert_eq!(db.stats().unwrap().locks.open, 0);
    });
}

/// Two keys, locked in opposite orders, beside one that only writes them: whoever is a victim
/// comes again, and all end.
#[test]
fn opposite_orders_end_and_lose_nothing() {
    let model = Model::new("engine_locks::opposite_orders_end_and_lose_nothing");
    model.schedules(2_000).check(|| {
        let (db, table) = database();
        let orders = [["a", "b"], ["b", "a"], ["a", "b"]];
        let workers = [0, 1, 2].map(|worker: usize| {
            let (db, table) = (db.clone(), table.clone());
            thread::spawn(move || {
                db.transact_with(Durability::Buffered, |txn| {
                    for key in orders[worker] {
                        let count = match worker {
                            2 => number(txn.get(&table, key)?),
                            _ => number(txn.get_for_update(&table, key)?),
                        };
                        txn.insert(&table, key, (count + 1).to_le_bytes())?;
                    }
                    Ok(())
                })
                .unwrap();
            })
        });
        workers
            .into_iter()
            .for_each(|worker| worker.join().unwrap());
        let read = db.begin_read().unwrap();
        for key in ["a", "b"] {
            assert_eq!(number(read.get(&table, key).unwrap()), 3);
        }
        assert_eq!(db.stats().unwrap().locks.open, 0);
    });
}
