//! Many threads at once, with generations small enough that seals happen all the time.

use std::ops::Bound;
use std::sync::Arc;

use crate::common::{TABLE, Txn, begin, commit, live, read, snapshot, store};
use vellum_sync::atomic::{AtomicBool, Ordering};
use vellum_sync::thread;
use vellum_txn::CommitError;

const ACCOUNTS: u32 = 20;

fn balance(value: &[u8]) -> i64 {
    i64::from_le_bytes(value.try_into().unwrap())
}

/// Writers move money between accounts and create new keys; readers sum everything up in
/// snapshots, by gets and by ranges.
#[test]
fn money_moves_and_never_appears_or_vanishes() {
    let db = store(32 << 10);
    let mut txn = begin(&db);
    for account in 0..ACCOUNTS {
        txn.put(TABLE, &account.to_be_bytes(), &100i64.to_le_bytes(), &[])
            .unwrap();
    }
    commit(txn).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4u32)
        .map(|writer| {
            let db = Arc::clone(&db);
            thread::spawn(move || {
                let mut state = writer + 1;
                let mut commits = 0;
                while commits < 1500 {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let from = (state >> 8) % ACCOUNTS;
                    let to = (state >> 16) % ACCOUNTS;
                    let mut txn = begin(&db);
                    let read = |txn: &Txn, account: u32| {
                        balance(&read(txn.reader(), &account.to_be_bytes()).unwrap())
                    };
                    if from != to {
                        let (a, b) = (read(&txn, from) - 1, read(&txn, to) + 1);
                        txn.put(TABLE, &from.to_be_bytes(), &a.to_le_bytes(), &[])
                            .unwrap();
                        txn.put(TABLE, &to.to_be_bytes(), &b.to_le_bytes(), &[])
                            .unwrap();
                    }
                    let fresh = (writer * 1_000_000 + commits + 1000).to_be_bytes();
                    txn.put(TABLE, &fresh, &0i64.to_le_bytes(), &[]).unwrap();
                    match commit(txn) {
                        Ok(_) => commits += 1,
                        Err(CommitError::Conflict { .. }) => thread::yield_now(),
                        Err(other) => panic!("{other}"),
                    }
                }
            })
        })
        .collect();
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (db, done) = (Arc::clone(&db), Arc::clone(&done));
            thread::spawn(move || {
                let mut last_count = 0;
                while !done.load(Ordering::Acquire) {
                    let snapshot = snapshot(&db);
                    let reader = snapshot.reader();
                    let gets: i64 = (0..ACCOUNTS)
                        .map(|a| balance(&read(reader, &a.to_be_bytes()).unwrap()))
                        .sum();
                    assert_eq!(gets, 100 * i64::from(ACCOUNTS));
                    let all = live(reader.range(TABLE, Bound::Unbounded, Bound::Unbounded));
                    let (count, sum) = all.fold((0u64, 0), |(n, sum), (_, v)| {
                        (n + 1, sum + balance(v.value()))
                    });
                    assert_eq!(sum, 100 * i64::from(ACCOUNTS));
                    // One key for each commit after the first: a prefix of the commits, whole.
                    assert_eq!(count, u64::from(ACCOUNTS) + snapshot.at().0 - 1);
                    assert!(count >= last_count);
                    last_count = count;
                }
            })
        })
        .collect();
    writers
        .into_iter()
        .for_each(|writer| writer.join().unwrap());
    done.store(true, Ordering::Release);
    readers
        .into_iter()
        .for_each(|reader| reader.join().unwrap());
    assert_eq!(db.stats().commits, 6001);
    assert!(db.stats().generations > 5);
    assert_eq!(db.stats().snapshots_open, 0);
}
