//! Many writers at once lose nothing, and readers see whole commits only.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod common;

use common::{Place, now};
use vellum::{Database, Durability, Error};

fn number(value: Option<vellum::Value<'_>>) -> u64 {
    value.map_or(0, |value| {
        u64::from_le_bytes(value.as_ref().try_into().unwrap())
    })
}

#[test]
fn transact_loses_no_increment() {
    let place = Place::new();
    for db in [Database::in_memory().unwrap(), place.open()] {
        let items = db.table("counters").unwrap();
        let (threads, rounds) = (4, 100);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                let (db, items) = (db.clone(), items.clone());
                scope.spawn(move || {
                    for _ in 0..rounds {
                        db.transact_with(Durability::Buffered, |txn| {
                            let count = number(txn.get(&items, "hot")?);
                            txn.insert(&items, "hot", (count + 1).to_le_bytes())
                        })
                        .unwrap();
                    }
                });
            }
        });
        let read = db.begin_read().unwrap();
        assert_eq!(number(read.get(&items, "hot").unwrap()), threads * rounds);
        assert_eq!(db.stats().unwrap().commits, threads * rounds);
    }
}

#[test]
fn snapshots_see_whole_commits_while_money_moves() {
    let db = Database::in_memory().unwrap();
    let accounts = db.table("accounts").unwrap();
    let mut txn = db.begin().unwrap();
    for account in 0..16u8 {
        txn.insert(&accounts, [account], 100u64.to_le_bytes())
            .unwrap();
    }
    txn.commit().unwrap();
    std::thread::scope(|scope| {
        for writer in 0..3u8 {
            let (db, accounts) = (db.clone(), accounts.clone());
            scope.spawn(move || {
                for round in 0..300u16 {
                    let from = [(round.wrapping_mul(7) as u8 ^ writer) % 16];
                    let to = [(round.wrapping_mul(13) as u8 ^ writer).wrapping_add(3) % 16];
                    db.transact(|txn| {
                        let (a, b) = (
                            number(txn.get(&accounts, from)?),
                            number(txn.get(&accounts, to)?),
                        );
                        if from != to && a > 0 {
                            txn.insert(&accounts, from, (a - 1).to_le_bytes())?;
                            txn.insert(&accounts, to, (b + 1).to_le_bytes())?;
                        }
                        Ok(())
                    })
                    .unwrap();
                }
            });
        }
        let (db, accounts) = (db.clone(), accounts.clone());
        scope.spawn(move || {
            let mut before = vellum::Timestamp::ZERO;
            for _ in 0..300 {
                let read = db.begin_read().unwrap();
                assert!(read.timestamp() >= before, "time ran backwards");
                before = read.timestamp();
                let sum = |read: &vellum::ReadTransaction| -> u64 {
                    read.iter(&accounts)
                        .unwrap()
                        .map(|entry| number(Some(entry.unwrap().1)))
                        .sum()
                };
                assert_eq!((sum(&read), sum(&read)), (1600, 1600));
            }
        });
    });
}

#[test]
fn an_error_of_the_work_ends_it_and_is_not_retried() {
    let db = Database::in_memory().unwrap();
    let items = db.table("items").unwrap();
    let mut attempts = 0;
    let outcome: vellum::Result<()> = db.transact(|txn| {
        attempts += 1;
        txn.insert(&items, "k", "v")?;
        Err(Error::application("enough"))
    });
    assert!(matches!(&outcome, Err(Error::Application(error)) if error.to_string() == "enough"));
    assert_eq!((attempts, now(&db, &items, "k")), (1, None));
}

#[test]
fn an_error_that_was_decided_by_what_was_read_waits_for_it() {
    let place = Place::new();
    let db = common::small()
        .background(false)
        .open(place.path())
        .unwrap();
    let items = db.table("items").unwrap();
    let mut txn = db.begin().unwrap();
    txn.insert(&items, "k", "v").unwrap();
    let handle = txn.commit_with(Durability::Sync).unwrap();
    let outcome: vellum::Result<()> = db.transact(|txn| {
        assert!(txn.contains_key(&items, "k")?);
        Err(Error::application("it is there"))
    });
    assert!(outcome.is_err());
    assert!(
        handle.try_wait().unwrap(),
        "told of what a crash can take back"
    );
}

#[test]
fn work_that_conflicts_with_itself_ends_with_the_conflict() {
    let db = Database::in_memory().unwrap();
    let items = db.table("items").unwrap();
    let mut attempts = 0;
    let outcome = db.transact(|txn| {
        attempts += 1;
        // Each time another key: what earlier attempts locked is of no use.
        let key = format!("k{attempts}");
        txn.insert(&items, &key, "outer")?;
        // Another one gets there first, every time; without waiting, to keep the test short.
        if attempts > 20 {
            return Err(Error::application("given up"));
        }
        common::put(&db, &items, &key, "inner");
        Ok(())
    });
    assert!(outcome.is_err() && attempts == 21);
    assert_eq!(now(&db, &items, "k20").as_deref(), Some("inner"));
}
