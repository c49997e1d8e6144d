//! Serializable transactions: what a commit checks of what was read, and what it does not.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of tests fails its test"
)]

mod common;

use common::Place;
use vellum::{Database, Error, Exact, Isolation, Metric, ReadKind, Record, Table, Transaction};
use vellum_sync::atomic::{AtomicBool, Ordering};

fn fresh() -> (Database, Table) {
    let db = Database::in_memory().unwrap();
    let table = db.table("t").unwrap();
    let mut txn = db.begin().unwrap();
    for key in ["b", "d", "f", "h", "j"] {
        txn.insert(&table, key, "old").unwrap();
    }
    txn.commit().unwrap();
    (db, table)
}

fn write(db: &Database, table: &Table, key: &str) {
    db.transact(|txn| txn.insert(table, key, "new")).unwrap();
}

/// Whether a serializable transaction that reads so commits beside a write of `key`.
fn commits_beside(key: &str, read: impl Fn(&Transaction, &Table)) -> bool {
    let (db, table) = fresh();
    let mut txn = db.begin_with(Isolation::Serializable).unwrap();
    read(&txn, &table);
    write(&db, &table, key);
    txn.insert(&table, "own", "x").unwrap();
    match txn.commit() {
        Ok(_) => true,
        Err(error @ Error::ReadConflict { .. }) => {
            assert!(error.is_retryable());
            false
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn keys_that_were_read_are_checked_with_and_without_a_record() {
    let get = |key: &'static str| {
        move |txn: &Transaction, table: &Table| drop(txn.get(table, key).unwrap())
    };
    assert!(!commits_beside("b", get("b")));
    assert!(!commits_beside("c", get("c")), "it had no record");
    assert!(commits_beside("d", get("b")));
    assert!(!commits_beside("c", |txn, table| {
        assert!(!txn.contains_key(table, "c").unwrap());
    }));
    assert!(!commits_beside("f", |txn, table| {
        txn.get_many(table, &["b", "f"]).unwrap();
    }));
    assert!(commits_beside("d", |txn, table| {
        txn.get_many(table, &["b", "f"]).unwrap();
    }));
    assert!(!commits_beside("b", |txn, table| {
        txn.get_record(table, "b").unwrap().unwrap();
    }));
}

#[test]
fn ranges_are_checked_as_far_as_they_were_gone_through() {
    let front = |txn: &Transaction, table: &Table| {
        let mut range = txn.range(table, "b".."z").unwrap();
        assert_eq!(range.next().unwrap().unwrap().0, "b");
        assert_eq!(range.next().unwrap().unwrap().0, "d");
    };
    for (key, commits) in [
        ("a", true),
        ("c", false),
        ("d", false),
        ("d0", true),
        ("f", true),
    ] {
        assert_eq!(commits_beside(key, front), commits, "{key}");
    }
    let back = |txn: &Transaction, table: &Table| {
        let mut range = txn.range(table, "b".."z").unwrap();
        assert_eq!(range.next_back_lent().unwrap().unwrap().0, b"j");
        assert_eq!(range.next_back_lent().unwrap().unwrap().0, b"h");
    };
    for (key, commits) in [
        ("f", true),
        ("g", true),
        ("h", false),
        ("y", false),
        ("z", true),
    ] {
        assert_eq!(commits_beside(key, back), commits, "{key}");
    }
    let whole = |txn: &Transaction, table: &Table| {
        let range = txn.range(table, "c"..="h").unwrap();
        assert_eq!(range.count(), 3);
    };
    for (key, commits) in [
        ("b", true),
        ("c", false),
        ("g", false),
        ("h", false),
        ("h0", true),
    ] {
        assert_eq!(commits_beside(key, whole), commits, "{key}");
    }
    let both = |txn: &Transaction, table: &Table| {
        let mut range = txn.iter(table).unwrap();
        assert_eq!(range.next_lent().unwrap().unwrap().0, b"b");
        assert_eq!(range.next_back().unwrap().unwrap().0, "j");
    };
    for (key, commits) in [("a", false), ("c", true), ("i", true), ("k", false)] {
        assert_eq!(commits_beside(key, both), commits, "{key}");
    }
    let empty = |txn: &Transaction, table: &Table| {
        assert!(txn.prefix(table, "c").unwrap().next().is_none());
    };
    for (key, commits) in [("b", true), ("c", false), ("cc", false), ("d", true)] {
        assert_eq!(commits_beside(key, empty), commits, "{key}");
    }
    let first = |txn: &Transaction, table: &Table| {
        assert_eq!(txn.first(table).unwrap().unwrap().0, "b");
    };
    for (key, commits) in [("a", false), ("b", false), ("c", true)] {
        assert_eq!(commits_beside(key, first), commits, "{key}");
    }
    assert!(
        commits_beside("d", |txn, table| drop(txn.iter(table).unwrap())),
        "nothing was asked"
    );
    assert!(!commits_beside("d", |txn, table| std::mem::forget(
        txn.iter(table).unwrap()
    )));
}

#[test]
fn the_error_names_what_was_read_the_key_and_the_winner() {
    let (db, table) = fresh();
    for (kind, key) in [(ReadKind::Key, "b"), (ReadKind::Range, "g")] {
        let mut txn = db.begin_with(Isolation::Serializable).unwrap();
        txn.get(&table, "b").unwrap();
        txn.range(&table, "f"..).unwrap().for_each(drop);
        write(&db, &table, key);
        let last = db.begin().unwrap().timestamp();
        txn.insert(&table, "own", "x").unwrap();
        let error = txn.commit().unwrap_err();
        let Error::ReadConflict {
            table,
            key: found,
            read,
            winner,
        } = &error
        else {
            panic!("{error}")
        };
        assert_eq!(
            (table.as_str(), found.to_string(), *winner),
            ("t", format!("\"{key}\""), last)
        );
        assert_eq!(*read, kind);
        assert!(error.to_string().contains("retry"), "{error}");
    }
}

#[test]
fn own_writes_need_no_check_and_get_none() {
    let (db, table) = fresh();
    let mut txn = db.begin_with(Isolation::Serializable).unwrap();
    txn.insert(&table, "b", "own").unwrap();
    assert_eq!(txn.get(&table, "b").unwrap().unwrap(), "own");
    write(&db, &table, "d");
    txn.commit().unwrap();
    let mut txn = db.begin_with(Isolation::Serializable).unwrap();
    assert_eq!(txn.iter(&table).unwrap().count(), 5);
    txn.remove(&table, "b").unwrap();
    txn.insert(&table, "z", "own").unwrap();
    txn.commit().unwrap();
}

#[test]
fn who_writes_nothing_never_fails() {
    let (db, table) = fresh();
    let txn = db.begin_with(Isolation::Serializable).unwrap();
    let read = db.begin_read().unwrap();
    assert_eq!(txn.iter(&table).unwrap().count(), 5);
    write(&db, &table, "c");
    assert_eq!(txn.iter(&table).unwrap().count(), 5);
    assert_eq!(read.iter(&table).unwrap().count(), 5);
    txn.commit().unwrap();
}

#[test]
fn a_deletion_and_its_undoing_are_commits_of_the_key() {
    let (db, table) = fresh();
    for writes in [[None, None], [None, Some("old")], [Some("old"), None]] {
        let mut txn = db.begin_with(Isolation::Serializable).unwrap();
        txn.get(&table, "b").unwrap();
        for value in writes {
            db.transact(|other| match value {
                Some(value) => other.insert(&table, "b", value),
                None => other.remove(&table, "b"),
            })
            .unwrap();
        }
        txn.insert(&table, "own", "x").unwrap();
        assert!(matches!(txn.commit(), Err(Error::ReadConflict { .. })));
    }
}

#[test]
fn marks_are_checked_in_snapshot_isolation_and_what_is_unmarked_is_not() {
    let (db, table) = fresh();
    let attempt = |isolation, prepare: &dyn Fn(&mut Transaction), key| {
        let mut txn = db.begin_with(isolation).unwrap();
        prepare(&mut txn);
        write(&db, &table, key);
        txn.insert(&table, "own", "x").unwrap();
        txn.commit().is_ok()
    };
    let mark = |txn: &mut Transaction| txn.mark_read(&table, "b").unwrap();
    let read = |txn: &mut Transaction| drop(txn.get(&table, "d").unwrap());
    let unmark = |txn: &mut Transaction| txn.unmark(&table, "b").unwrap();
    let scan = |txn: &mut Transaction| txn.iter(&table).unwrap().for_each(drop);
    use Isolation::{Serializable, Snapshot};
    assert!(!attempt(Snapshot, &mark, "b"));
    assert!(attempt(Snapshot, &mark, "d"));
    assert!(attempt(Snapshot, &read, "d"), "reading does not mark");
    assert!(
        attempt(Snapshot, &|txn| (mark(txn), read(txn)).1, "d"),
        "nor behind a mark"
    );
    assert!(attempt(Snapshot, &|txn| (mark(txn), unmark(txn)).1, "b"));
    assert!(attempt(Snapshot, &unmark, "b"));
    assert!(!attempt(Serializable, &mark, "b"));
    assert!(attempt(
        Serializable,
        &|txn| (scan(txn), unmark(txn)).1,
        "b"
    ));
    assert!(!attempt(
        Serializable,
        &|txn| (scan(txn), unmark(txn)).1,
        "d"
    ));
    assert!(!attempt(
        Serializable,
        &|txn| (scan(txn), unmark(txn), mark(txn)).2,
        "b"
    ));
}

#[test]
fn a_search_reads_its_table_or_the_keys_that_it_was_told() {
    let search = |keys: Option<&'static [&'static str]>, key: &str| {
        let (db, table) = fresh();
        db.create_index(&table, "v", Exact::new(1, Metric::L2))
            .unwrap();
        db.transact(|txn| txn.insert_record(&table, "b", Record::new("").vector("v", &[1.0])))
            .unwrap();
        let mut txn = db.begin_with(Isolation::Serializable).unwrap();
        let mut search = txn.search(&table, "v", &[1.0]).unwrap();
        if let Some(keys) = keys {
            search = search.keys(keys);
        }
        assert_eq!(search.run().unwrap().len(), 1);
        write(&db, &table, key);
        txn.insert(&table, "own", "x").unwrap();
        txn.commit().is_ok()
    };
    assert!(!search(None, "b"));
    assert!(!search(None, "anything"));
    assert!(!search(Some(&["b", "c"]), "c"));
    assert!(search(Some(&["b", "c"]), "d"));
}

#[test]
fn a_table_that_was_read_must_stand() {
    let (db, table) = fresh();
    let other = db.table("other").unwrap();
    let get = |txn: &mut Transaction, table: &Table| drop(txn.get(table, "k").unwrap());
    let scan =
        |txn: &mut Transaction, table: &Table| assert_eq!(txn.iter(table).unwrap().count(), 0);
    let unmark = |txn: &mut Transaction, table: &Table| {
        txn.get(table, "k").unwrap();
        txn.unmark(table, "k").unwrap();
    };
    let ask_nothing = |txn: &mut Transaction, table: &Table| drop(txn.iter(table).unwrap());
    type Read<'a> = &'a dyn Fn(&mut Transaction, &Table);
    let reads: [(Read<'_>, bool); 4] = [
        (&get, true),
        (&scan, true),
        (&unmark, false),
        (&ask_nothing, false),
    ];
    for (read, counts) in reads {
        for write_too in [false, true] {
            let table = db.table("read").unwrap();
            let mut txn = db.begin_with(Isolation::Serializable).unwrap();
            read(&mut txn, &table);
            db.drop_table(&table).unwrap();
            if write_too {
                txn.insert(&other, "k", "v").unwrap();
            }
            match txn.commit() {
                Ok(_) => assert!(!(counts && write_too)),
                Err(Error::TableDropped { .. }) => assert!(counts && write_too),
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert!(db.begin_read().unwrap().get(&table, "b").unwrap().is_some());
}

/// [5]: what came and went while merges moved the generations into pages.
#[test]
fn what_came_and_went_in_merged_generations_is_found() {
    let place = Place::new();
    let db = place.open();
    let table = db.table("t").unwrap();
    let begin = || {
        let txn = db.begin_with(Isolation::Serializable).unwrap();
        txn.get(&table, "k").unwrap();
        txn
    };
    let mut by_key = begin();
    let mut by_range = db.begin_with(Isolation::Serializable).unwrap();
    assert!(by_range.first(&table).unwrap().is_none());
    let mut beside = db.begin_with(Isolation::Serializable).unwrap();
    beside.get(&table, "other").unwrap();
    let mut own_alone = begin();
    own_alone.insert(&table, "own alone", "x").unwrap();
    write(&db, &table, "k");
    db.checkpoint().unwrap();
    assert!(matches!(
        own_alone.commit(),
        Err(Error::ReadConflict { .. })
    ));
    db.transact(|txn| txn.remove(&table, "k")).unwrap();
    db.checkpoint().unwrap();
    for txn in [&mut by_key, &mut by_range, &mut beside] {
        txn.insert(&table, "own", "x").unwrap();
    }
    assert!(matches!(by_key.commit(), Err(Error::ReadConflict { .. })));
    assert!(matches!(by_range.commit(), Err(Error::ReadConflict { .. })));
    beside.commit().unwrap();
}

/// Reads beyond what is remembered of them count for the whole table, but for what was unmarked, and for
/// no other.
#[test]
fn a_transaction_that_read_very_much_read_the_whole_table() {
    let commits_beside = |table: &str, key: &str| {
        let (db, read) = fresh();
        let precise = db.table("precise").unwrap();
        let mut txn = db.begin_with(Isolation::Serializable).unwrap();
        txn.get(&precise, "read").unwrap();
        txn.get(&read, "unmarked").unwrap();
        txn.unmark(&read, "unmarked").unwrap();
        let mut long = [7; 2_000];
        for number in 0..10_000u32 {
            long[..4].copy_from_slice(&number.to_be_bytes());
            txn.get(&read, long).unwrap();
        }
        write(&db, &db.table(table).unwrap(), key);
        txn.insert(&precise, "own", "x").unwrap();
        match txn.commit() {
            Ok(_) => true,
            Err(Error::ReadConflict { .. }) => false,
            Err(error) => panic!("{error}"),
        }
    };
    assert!(!commits_beside("t", "never read"));
    assert!(commits_beside("t", "unmarked"));
    assert!(commits_beside("precise", "never read"));
    assert!(!commits_beside("precise", "read"));
}

/// The write skew of the textbook, among threads: the sum stays, or somebody broke the rule.
#[test]
fn rules_over_two_keys_hold_among_threads() {
    let place = Place::new();
    for db in [Database::in_memory().unwrap(), place.open()] {
        let table = db.table("accounts").unwrap();
        let number = |value: Option<vellum::Value<'_>>| {
            value.map_or(0, |value| {
                i64::from_le_bytes(value.as_ref().try_into().unwrap())
            })
        };
        std::thread::scope(|scope| {
            for worker in 0..4u8 {
                let (db, table) = (db.clone(), table.clone());
                scope.spawn(move || {
                    for _ in 0..200 {
                        let own: [u8; 1] = [worker % 2];
                        db.transact_isolated(
                            Isolation::Serializable,
                            vellum::Durability::Buffered,
                            |txn| {
                                let (a, b) =
                                    (number(txn.get(&table, [0])?), number(txn.get(&table, [1])?));
                                // Either may go below zero, the sum may not.
                                let change = if a + b >= 1 { -1 } else { 1 };
                                let before = if own == [0] { a } else { b };
                                let value = before + change;
                                txn.insert(&table, own, value.to_le_bytes())
                            },
                        )
                        .unwrap();
                        let read = db.begin_read().unwrap();
                        let sum = number(read.get(&table, [0]).unwrap())
                            + number(read.get(&table, [1]).unwrap());
                        assert!((0..=1).contains(&sum), "{sum}");
                    }
                });
            }
        });
    }
}

/// Who validates for long is overtaken again and again by those who write to the same table, and
/// commits all the same.
#[test]
fn a_long_transaction_ends_beside_writers_who_never_pause() {
    let db = Database::in_memory().unwrap();
    let table = db.table("t").unwrap();
    let mut txn = db.begin().unwrap();
    for number in 0..40_000u32 {
        txn.insert(&table, number.to_be_bytes(), "").unwrap();
    }
    txn.commit().unwrap();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..2u8 {
            let (db, table, ended) = (db.clone(), table.clone(), &ended);
            scope.spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    write(&db, &table, ["y", "z"][usize::from(writer)]);
                }
            });
        }
        for _ in 0..3 {
            let mut txn = db.begin_with(Isolation::Serializable).unwrap();
            let read = txn.range(&table, ..[1]).unwrap();
            assert_eq!(read.count(), 40_000);
            txn.insert(&table, "long", "x").unwrap();
            txn.commit().unwrap();
        }
        ended.store(true, Ordering::Relaxed);
    });
}
