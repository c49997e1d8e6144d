//! Transactions take all or nothing, see their own writes, and nobody else's unfinished ones.

mod common;

use common::{Place, get, now, put, small};
use vellum::{Database, Durability, Error};

#[test]
fn a_commit_is_seen_by_every_later_transaction() {
    let db = Database::in_memory().unwrap();
    let items = db.table("items").unwrap();
    let at = put(&db, &items, "pen", "blue");
    let read = db.begin_read().unwrap();
    assert_eq!(get(&read, &items, "pen").as_deref(), Some("blue"));
    assert!(read.timestamp() >= at);
    let versioned = read.get_versioned(&items, "pen").unwrap().unwrap();
    assert_eq!(versioned.version(), Some(at));
    assert_eq!(versioned.value(), "blue");
}

#[test]
fn dropping_rolls_back_and_so_does_a_panic() {
    let db = Database::in_memory().unwrap();
    let items = db.table("items").unwrap();
    let mut txn = db.begin().unwrap();
    txn.insert(&items, "a", "1").unwrap();
    drop(txn);
    let mut txn = db.begin().unwrap();
    txn.insert(&items, "a", "1").unwrap();
    txn.rollback();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut txn = db.begin().unwrap();
        txn.insert(&items, "a", "1").unwrap();
        panic!("in the middle");
    }));
    assert!(panicked.is_err());
    assert_eq!(now(&db, &items, "a"), None);
    assert_eq!(db.stats().unwrap().commits, 0);
}

#[test]
fn own_writes_are_seen_by_nobody_else_before_the_commit() {
    let db = Database::in_memory().unwrap();
    let items = db.table("items").unwrap();
    put(&db, &items, "a", "old");
    put(&db, &items, "b", "old");
    let mut txn = db.begin().unwrap();
    txn.insert(&items, "a", "new").unwrap();
    txn.remove(&items, "b").unwrap();
    txn.insert(&items, "c", "new").unwrap();
    assert_eq!(txn.get(&items, "a").unwrap().unwrap(), "new");
    assert!(!txn.contains_key(&items, "b").unwrap());
    assert_eq!(
        txn.get_versioned(&items, "c").unwrap().unwrap().version(),
        None
    );
    let found = txn.get_many(&items, &["c", "b", "a", "x"]).unwrap();
    let many: Vec<_> = found.iter().map(|value| value.as_deref()).collect();
    assert_eq!(many, [Some(&b"new"[..]), None, Some(&b"new"[..]), None]);
    let read = db.begin_read().unwrap();
    assert_eq!(get(&read, &items, "a").as_deref(), Some("old"));
    drop(found);
    txn.commit().unwrap();
    // The snapshot does not change; a new one shows all of the commit.
    assert_eq!(get(&read, &items, "a").as_deref(), Some("old"));
    assert_eq!(get(&read, &items, "b").as_deref(), Some("old"));
    assert_eq!(get(&read, &items, "c"), None);
    let many = db.begin_read().unwrap();
    let many = many.get_many(&items, &["a", "b", "c"]).unwrap();
    let many: Vec<_> = many.iter().map(|value| value.as_deref()).collect();
    assert_eq!(many, [Some(&b"new"[..]), None, Some(&b"new"[..])]);
}

#[test]
fn of_two_writers_of_one_key_the_first_to_commit_wins() {
    let db = Database::in_memory().unwrap();
    let items = db.table("items").unwrap();
    put(&db, &items, "k", "0");
    let mut first = db.begin().unwrap();
    let mut second = db.begin().unwrap();
    second.insert(&items, "other", "2").unwrap();
    second.insert(&items, "k", "2").unwrap();
    first.insert(&items, "k", "1").unwrap();
    let won = first.commit().unwrap();
    let error = second.commit().unwrap_err();
    assert!(error.is_retryable());
    match &error {
        Error::Conflict { table, key, winner } => {
            assert_eq!(
                (table.as_str(), &**key, *winner),
                ("items", &b"k"[..], Some(won))
            );
        }
        other => panic!("{other}"),
    }
    let text = error.to_string();
    assert!(
        text.contains("\"k\"") && text.contains("`items`") && text.contains("retry"),
        "{text}"
    );
    assert_eq!(now(&db, &items, "k").as_deref(), Some("1"));
    assert_eq!(
        now(&db, &items, "other"),
        None,
        "half of the loser was committed"
    );
    assert_eq!(db.stats().unwrap().conflicts, 1);
}

#[test]
fn a_deletion_conflicts_like_any_write() {
    let db = Database::in_memory().unwrap();
    let items = db.table("items").unwrap();
    put(&db, &items, "k", "0");
    let mut writer = db.begin().unwrap();
    writer.insert(&items, "k", "1").unwrap();
    let mut remover = db.begin().unwrap();
    remover.remove(&items, "k").unwrap();
    remover.commit().unwrap();
    assert!(matches!(writer.commit(), Err(Error::Conflict { .. })));
    assert_eq!(now(&db, &items, "k"), None);
}

#[test]
fn an_empty_commit_returns_its_snapshot_and_changes_nothing() {
    let place = Place::new();
    let db = place.open();
    let items = db.table("items").unwrap();
    let at = put(&db, &items, "k", "0");
    let txn = db.begin().unwrap();
    assert_eq!(txn.commit().unwrap(), at);
    assert_eq!(db.stats().unwrap().commits, 1);
}

#[test]
fn an_empty_commit_waits_for_what_it_read() {
    // The disk writes nothing by itself: without threads, only a wait makes a commit durable.
    let place = Place::new();
    let db = common::small()
        .background(false)
        .open(place.path())
        .unwrap();
    let items = db.table("items").unwrap();
    let mut txn = db.begin().unwrap();
    txn.insert(&items, "k", "1").unwrap();
    let handle = txn.commit_with(Durability::Sync).unwrap();
    assert!(!handle.try_wait().unwrap());
    assert_eq!(
        now(&db, &items, "k"),
        None,
        "a snapshot shows what is not settled"
    );
    let reader = db.begin().unwrap();
    assert_eq!(reader.get(&items, "k").unwrap().unwrap(), "1");
    reader.commit().unwrap();
    assert!(
        handle.try_wait().unwrap(),
        "returned before what it read was settled"
    );
    assert_eq!(now(&db, &items, "k").as_deref(), Some("1"));
}

#[test]
fn compare_and_swap_takes_exactly_the_expected_version() {
    let db = Database::in_memory().unwrap();
    let items = db.table("items").unwrap();
    let mut txn = db.begin().unwrap();
    let version = db.begin_read().unwrap().timestamp();
    let absent = txn
        .compare_and_swap(&items, "k", Some(version), "x")
        .unwrap_err();
    assert!(matches!(absent, Error::VersionMismatch { found: None, .. }));
    txn.compare_and_swap(&items, "k", None, "1").unwrap();
    // The own write has no version yet: nothing that could be expected equals it.
    assert!(txn.compare_and_swap(&items, "k", None, "2").is_err());
    let first = txn.commit().unwrap();

    let mut txn = db.begin().unwrap();
    assert!(txn.compare_and_swap(&items, "k", None, "2").is_err());
    txn.compare_and_swap(&items, "k", Some(first), "2").unwrap();
    let second = txn.commit().unwrap();

    let mut txn = db.begin().unwrap();
    let lost = txn
        .compare_and_swap(&items, "k", Some(first), "3")
        .unwrap_err();
    assert!(!lost.is_retryable());
    txn.remove(&items, "k").unwrap();
    txn.compare_and_swap(&items, "k", None, "3").unwrap();
    txn.commit().unwrap();
    assert!(matches!(lost, Error::VersionMismatch { found, .. } if found == Some(second)));
    assert_eq!(now(&db, &items, "k").as_deref(), Some("3"));
}

#[test]
fn snapshots_and_transactions_may_change_threads() {
    let db = Database::in_memory().unwrap();
    let items = db.table("items").unwrap();
    put(&db, &items, "k", "1");
    let read = db.begin_read().unwrap();
    let mut txn = db.begin().unwrap();
    txn.insert(&items, "k", "2").unwrap();
    let (table, shared) = (items.clone(), &read);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| assert_eq!(get(shared, &table, "k").as_deref(), Some("1")));
        }
        scope.spawn(move || txn.commit().unwrap());
    });
    assert_eq!(get(&read, &items, "k").as_deref(), Some("1"));
    assert_eq!(now(&db, &items, "k").as_deref(), Some("2"));
}

/// Hazard 5: what is kept for checking writers is bounded, and who needs more is told so by name.
#[test]
fn a_writer_that_is_open_for_too_long_is_told_so() {
    const BUDGET: usize = 8 << 20;
    let place = Place::new();
    let options = small().memory_budget(BUDGET).background(false);
    let options = options.durability(Durability::Buffered);
    let db = options.open(place.path()).unwrap();
    let items = db.table("items").unwrap();
    put(&db, &items, "k", "before");
    let mut old = db.begin().unwrap();
    old.insert(&items, "own", "1").unwrap();
    let mut counts = db.begin().unwrap();
    counts
        .merge(&items, "n", "add_i64", 1i64.to_le_bytes())
        .unwrap();
    let reader = db.begin_read().unwrap();
    let limit = BUDGET / 32 * 3 * 4;
    let mut committed = 0;
    while committed < 3 * limit {
        db.transact(|txn| (0..64).try_for_each(|key| txn.insert(&items, [key], [7; 4096])))
            .unwrap();
        db.checkpoint().unwrap();
        committed += 64 << 12;
        assert!(db.stats().unwrap().trail_bytes <= limit);
    }
    assert!(db.stats().unwrap().trail_bytes > limit / 2, "some is kept");
    assert_eq!(
        old.get(&items, "k").unwrap().unwrap(),
        "before",
        "it reads on"
    );
    let error = old.commit().unwrap_err();
    assert!(
        matches!(error, Error::SnapshotTooOld { limit: told } if told == limit),
        "{error}"
    );
    assert!(error.is_retryable());
    assert_eq!(now(&db, &items, "own"), None);
    counts.commit().unwrap();
    assert_eq!(get(&reader, &items, "k").as_deref(), Some("before"));
    // The same work in a new transaction.
    put(&db, &items, "own", "1");
    db.checkpoint().unwrap();
    assert_eq!(db.stats().unwrap().trail_bytes, 0, "nobody needs any");
}
