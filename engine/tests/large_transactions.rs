//! Transactions of very many writes, and the memory that the writes of open transactions may take.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod common;

use common::Place;
use vellum::{Database, Durability, Error, Options, Remedy, Table, Transaction, Union};

const MILLION: u64 = 1_000_000;

/// Every number below a million once, in no order.
fn scattered(n: u64) -> [u8; 8] {
    (n * 514_229 % MILLION).to_be_bytes()
}

fn count(txn: &Transaction, items: &Table) -> u64 {
    let (mut range, mut count) = (txn.iter(items).unwrap(), 0);
    while let Some((key, value)) = range.next_lent().unwrap() {
        assert_eq!(key, &u64::to_be_bytes(count));
        assert_eq!(value.len(), 8);
        count += 1;
    }
    count
}

#[test]
fn a_million_records_are_written_read_and_removed_in_one_transaction() {
    let place = Place::new();
    let db = Options::new().open(place.path()).unwrap();
    let items = db.table("items").unwrap();
    let mut txn = db.begin().unwrap();
    for n in 0..MILLION {
        txn.insert(&items, scattered(n), n.to_be_bytes()).unwrap();
    }
    let stats = db.stats().unwrap();
    assert!((96 * MILLION..120 * MILLION).contains(&(stats.write_set_bytes as u64)));
    assert!(stats.write_set_bytes <= stats.write_set_budget_bytes);
    assert_eq!(count(&txn, &items), MILLION);
    let mut back = txn.range(&items, 999_990u64.to_be_bytes()..).unwrap();
    assert_eq!(
        back.next_back().unwrap().unwrap().0,
        &999_999u64.to_be_bytes()
    );
    assert_eq!(back.count(), 9);
    txn.commit_with(Durability::Buffered)
        .unwrap()
        .wait()
        .unwrap();
    assert_eq!(db.stats().unwrap().write_set_bytes, 0);

    let mut txn = db.begin().unwrap();
    assert_eq!(count(&txn, &items), MILLION);
    assert_eq!(txn.delete_range::<&[u8]>(&items, ..).unwrap(), MILLION);
    assert!(txn.first(&items).unwrap().is_none());
    txn.rollback();
    assert_eq!(db.stats().unwrap().write_set_bytes, 0);
    assert_eq!(count(&db.begin().unwrap(), &items), MILLION);
}

/// One whose transactions' writes may take 1 MiB.
fn small() -> (Database, Table) {
    let db = Options::new().memory_budget(8 << 20).in_memory().unwrap();
    let items = db.table("items").unwrap();
    (db, items)
}

/// Writes until it is refused; how many were written.
fn fill(txn: &mut Transaction, items: &Table) -> (u32, Error) {
    for n in 0u32.. {
        let value = [7; 900];
        if let Err(error) = txn.insert(items, n.to_be_bytes(), value) {
            return (n, error);
        }
    }
    unreachable!("never refused")
}

#[test]
fn a_write_beyond_the_budget_is_refused_and_the_transaction_goes_on() {
    let (db, items) = small();
    let mut txn = db.begin().unwrap();
    let (written, error) = fill(&mut txn, &items);
    assert_eq!(error.remedy(), Remedy::FreeMemory);
    let text = error.to_string();
    assert!(text.contains("commit in smaller parts"), "{text}");
    // Beside the limit, the first 64 KiB are free.
    assert_eq!(written, ((1 << 20) + (64 << 10)) / 1000);
    assert!(matches!(error, Error::WriteMemory { others: 0, limit, .. } if limit == 1 << 20));
    // What it says is enough.
    let budget: usize = text.rsplit(' ').nth(2).unwrap().parse().unwrap();
    let larger = Options::new().memory_budget(budget).in_memory().unwrap();
    let table = larger.table("items").unwrap();
    let mut again = larger.begin().unwrap();
    assert!(fill(&mut again, &table).0 > written);

    assert!(txn.get(&items, written.to_be_bytes()).unwrap().is_none());
    assert!(
        txn.get(&items, (written - 1).to_be_bytes())
            .unwrap()
            .is_some()
    );
    txn.commit().unwrap();
    assert_eq!(db.stats().unwrap().write_set_bytes, 0);
    let read = db.begin_read().unwrap();
    assert_eq!(read.iter(&items).unwrap().count(), written as usize);
}

#[test]
fn open_transactions_share_and_small_ones_are_free() {
    let (db, items) = small();
    let mut large = db.begin().unwrap();
    let start = large.savepoint();
    fill(&mut large, &items);
    let held = db.stats().unwrap().write_set_bytes;
    assert!(held > 1_000_000);
    let mut other = db.begin().unwrap();
    let (written, error) = fill(&mut other, &items);
    assert_eq!(written, (64 << 10) / 1000);
    assert!(
        matches!(error, Error::WriteMemory { others, .. } if others == held),
        "{error}"
    );
    for n in 0u32..3 {
        db.transact(|txn| txn.insert(&items, n.to_be_bytes(), [1; 60_000]))
            .unwrap();
    }
    // Rolling back gives back; dropping too.
    large.rollback_to(&start).unwrap();
    assert_eq!(db.stats().unwrap().write_set_bytes, 0);
    let (more, _) = fill(&mut other, &items);
    assert!(more > written);
    let (none, _) = fill(&mut large, &items);
    assert!(none < more);
    drop(other);
    assert!(fill(&mut large, &items).0 > none);
}

#[test]
fn what_savepoints_keep_counts() {
    let (db, items) = small();
    let mut txn = db.begin().unwrap();
    let mut kept = Vec::new();
    let refused = (0u32..10_000).find_map(|n| {
        kept.push(txn.savepoint());
        txn.insert(&items, "k", [n as u8; 900]).err()
    });
    assert!(matches!(refused, Some(Error::WriteMemory { .. })));
    assert!((1_000..1_200).contains(&kept.len()), "{}", kept.len());
    kept.clear();
    for n in 0u32..10_000 {
        kept.push(txn.savepoint());
        kept.clear();
        txn.insert(&items, "k", [n as u8; 900]).unwrap();
    }
}

/// What a commit makes of operands is larger than they are.
#[test]
fn what_is_merged_counts_as_it_is_written() {
    let (db, items) = small();
    let large = Union::set((0..2_000u64).map(u64::to_be_bytes));
    for n in 0u32..100 {
        db.transact(|txn| txn.insert(&items, n.to_be_bytes(), &large))
            .unwrap();
    }
    let merge = |count: u32| {
        let mut txn = db.begin().unwrap();
        for n in 0..count {
            let more = Union::set([5_000u64.to_be_bytes()]);
            txn.merge(&items, n.to_be_bytes(), "union", more).unwrap();
        }
        txn.commit().map(drop)
    };
    let refused = merge(100);
    assert!(
        matches!(refused, Err(Error::WriteMemory { .. })),
        "{refused:?}"
    );
    assert_eq!(db.stats().unwrap().write_set_bytes, 0);
    let read = db.begin_read().unwrap();
    let found = read.get(&items, 0u32.to_be_bytes()).unwrap().unwrap();
    assert_eq!(found, large[..]);
    drop(found);
    drop(read);
    merge(30).unwrap();
    assert_eq!(db.stats().unwrap().write_set_bytes, 0);
    let read = db.begin_read().unwrap();
    let merged = read.get(&items, 0u32.to_be_bytes()).unwrap().unwrap();
    assert!(merged.len() > large.len());
}

#[test]
fn a_range_that_is_too_large_is_not_removed_in_part() {
    let (db, items) = small();
    for part in 0..4 {
        let mut txn = db.begin().unwrap();
        for n in 0..3_000u32 {
            txn.insert(&items, (part * 3_000 + n).to_be_bytes(), "v")
                .unwrap();
        }
        txn.commit().unwrap();
    }
    let mut txn = db.begin().unwrap();
    txn.remove(&items, 5u32.to_be_bytes()).unwrap();
    let refused = txn.delete_range::<&[u8]>(&items, ..).unwrap_err();
    assert!(matches!(refused, Error::WriteMemory { .. }), "{refused}");
    assert_eq!(txn.iter(&items).unwrap().count(), 11_999);
    let removed = txn.delete_range(&items, ..8_000u32.to_be_bytes()).unwrap();
    assert_eq!(removed, 7_999);
    txn.commit().unwrap();
    let read = db.begin_read().unwrap();
    assert_eq!(read.iter(&items).unwrap().count(), 4_000);
}

/// What was written over belongs to nobody once nobody can roll back to it.
#[test]
fn what_a_removed_range_had_taken_is_given_back_when_it_is_needed() {
    let (db, items) = small();
    let mut txn = db.begin().unwrap();
    let write = |txn: &mut Transaction, from: u32, count: u32| {
        (from..from + count).try_for_each(|n| txn.insert(&items, n.to_be_bytes(), [7; 10_000]))
    };
    write(&mut txn, 0, 70).unwrap();
    let held = txn.savepoint();
    assert_eq!(txn.delete_range::<&[u8]>(&items, ..).unwrap(), 70);
    let refused = write(&mut txn, 100, 70);
    assert!(
        matches!(refused, Err(Error::WriteMemory { .. })),
        "{refused:?}"
    );
    drop(held);
    write(&mut txn, 100, 70).unwrap();
    txn.commit().unwrap();
    assert_eq!(db.begin_read().unwrap().iter(&items).unwrap().count(), 70);
}

/// More than a generation has room for, and than a record of the log: while it waits for another generation, what
/// was written ahead stays.
#[test]
fn what_was_written_ahead_stays_while_there_is_no_room() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options::new()
        .background(false)
        .memory_budget(64 << 20)
        .log_segment_bytes(64 << 10);
    let place = directory.path().join("db");
    let write = |db: &Database, items: &Table, round: u8| {
        let mut txn = db.begin().unwrap();
        for n in 0u32..60_000 {
            txn.insert(items, n.to_be_bytes(), [round; 8]).unwrap();
        }
        txn.commit().unwrap();
    };
    let db = options.open(&place).unwrap();
    let items = db.table("items").unwrap();
    write(&db, &items, 1);
    write(&db, &items, 2);
    drop((items, db));
    let db = options.open(&place).unwrap();
    let items = db.open_table("items").unwrap();
    let read = db.begin_read().unwrap();
    let all = read.iter(&items).unwrap().map(Result::unwrap);
    assert_eq!(all.filter(|(_, value)| **value == [2; 8]).count(), 60_000);
    assert!(db.verify().unwrap().is_clean());
}
