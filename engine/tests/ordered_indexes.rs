//! Ordered indexes: what they find, what they refuse, and that nothing is left of one that is not there.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod common;
mod words;

use std::sync::Arc;
use std::time::Duration;

use common::{Place, put};
use vellum::plugin::{ExtractError, ExtractorFn};
use vellum::{
    Database, Error, InvalidArgument, Isolation, Options, Ordered, Record, Remedy, Table,
    Transaction,
};
use vellum_sync::atomic::{AtomicBool, Ordering};
use vellum_sync::thread::{self, JoinHandle};
use words::{check, keys_of, options};

fn open(place: &Place) -> Database {
    options().open(place.path()).unwrap()
}

fn filled(db: &Database) -> Table {
    let items = db.table("items").unwrap();
    for (key, value) in [("1", "red,blue"), ("2", "blue"), ("3", ""), ("4", "green")] {
        put(db, &items, key, value);
    }
    items
}

fn pairs<'t>(
    range: impl Iterator<Item = vellum::Result<vellum::IndexEntry<'t>>>,
) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let pair = |entry: vellum::Result<vellum::IndexEntry<'t>>| {
        let entry = entry.unwrap();
        (text(&entry.index_key()), text(entry.key()))
    };
    range.map(pair).collect()
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = pairs.iter();
    owned
        .map(|(one, two)| ((*one).to_owned(), (*two).to_owned()))
        .collect()
}

#[test]
fn records_are_found_by_index_keys_in_both_directions_with_own_writes() {
    let db = options().in_memory().unwrap();
    let items = filled(&db);
    db.create_ordered_index(&items, "by_word", Ordered::new("words"))
        .unwrap();
    let read = db.begin_read().unwrap();
    let all = [("blue", "1"), ("blue", "2"), ("green", "4"), ("red", "1")];
    assert_eq!(
        pairs(read.range_by_index::<&str>(&items, "by_word", ..).unwrap()),
        owned(&all)
    );
    let reversed: Vec<_> = all.into_iter().rev().collect();
    let range = read.range_by_index::<&str>(&items, "by_word", ..).unwrap();
    assert_eq!(pairs(range.rev()), owned(&reversed));
    let of = read.by_index(&items, "by_word", "blue").unwrap();
    assert_eq!(pairs(of), owned(&all[..2]));
    let of = read
        .range_by_index(&items, "by_word", "blue".."green")
        .unwrap();
    assert_eq!(pairs(of), owned(&all[..2]));
    let of = read
        .range_by_index(&items, "by_word", "c"..="green")
        .unwrap();
    assert_eq!(pairs(of), owned(&all[2..3]));
    let of = read.prefix_by_index(&items, "by_word", "r").unwrap();
    assert_eq!(pairs(of), owned(&all[3..]));
    let mut ends = read.range_by_index::<&str>(&items, "by_word", ..).unwrap();
    assert_eq!(*ends.next().unwrap().unwrap().key(), "1");
    let last = ends.next_back().unwrap().unwrap();
    assert_eq!(
        (&*last.index_key(), &*last.value()),
        (&b"red"[..], &b"red,blue"[..])
    );
    assert_eq!(ends.count(), 2);

    let mut txn = db.begin().unwrap();
    txn.insert(&items, "1", "blue,black").unwrap();
    txn.remove(&items, "4").unwrap();
    txn.compare_and_swap(&items, "5", None, "azure").unwrap();
    let record = Record::new("teal").vector("v", &[1.0]);
    txn.insert_record(&items, "6", record).unwrap();
    let own = [
        ("azure", "5"),
        ("black", "1"),
        ("blue", "1"),
        ("blue", "2"),
        ("teal", "6"),
    ];
    let range = txn.range_by_index::<&str>(&items, "by_word", ..).unwrap();
    assert_eq!(pairs(range), owned(&own));
    let teal = txn
        .by_index(&items, "by_word", "teal")
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(teal.record().vector("v").unwrap().to_vec(), [1.0]);
    assert_eq!(teal.version(), None);
    drop(teal);
    let at = txn.commit().unwrap();
    let read = db.begin_read().unwrap();
    let range = read.range_by_index::<&str>(&items, "by_word", ..).unwrap();
    assert_eq!(pairs(range), owned(&own));
    let found = read
        .by_index(&items, "by_word", "azure")
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(found.version(), Some(at));
}

#[test]
fn an_index_survives_whatever_a_table_does() {
    let place = Place::new();
    let db = open(&place);
    let items = filled(&db);
    db.create_ordered_index(&items, "by_word", Ordered::new("words"))
        .unwrap();
    db.create_ordered_index(&items, "by_value", Ordered::unique("value"))
        .unwrap();
    // A table may have an index's name.
    let namesake = db.table("by_word").unwrap();
    put(&db, &namesake, "k", "v");
    let kept = |db: &Database, step: &str| {
        let items = db.open_table("items").unwrap();
        check(&db.begin_read().unwrap(), &items, "by_word", step);
        let read = db.begin_read().unwrap();
        let blue = read.by_index(&items, "by_value", "blue").unwrap();
        assert_eq!(pairs(blue), owned(&[("blue", "2")]), "{step}");
        assert_eq!(db.list_tables().unwrap(), ["by_word", "items"]);
        let listed = db.list_ordered_indexes(&items).unwrap();
        let listed: Vec<_> = listed
            .iter()
            .map(|one| (&*one.name, &*one.extractor, one.version, one.is_unique))
            .collect();
        assert_eq!(
            listed,
            [
                ("by_word", "words", 1, false),
                ("by_value", "value", 1, true)
            ]
        );
        put(db, &items, "9", step);
        check(&db.begin_read().unwrap(), &items, "by_word", step);
    };
    kept(&db, "made");
    drop(db);
    let db = open(&place);
    kept(&db, "replayed");
    db.checkpoint().unwrap();
    kept(&db, "merged");
    let report = db.verify().unwrap();
    assert!(report.is_clean(), "{report:?}");
    let tables = report.tables.iter();
    let tables: Vec<_> = tables
        .map(|one| (&*one.name, one.index_of.as_deref(), one.records))
        .collect();
    let items_of = Some("items");
    let right = [
        ("items", None, 5),
        ("by_word", items_of, 5),
        ("by_value", items_of, 5),
        ("by_word", None, 1),
    ];
    assert_eq!(tables, right);
    db.vacuum().unwrap();
    kept(&db, "vacuumed");
    let copy = Place::new();
    db.backup(copy.path()).unwrap();
    kept(&open(&copy), "copied");
    db.close().unwrap();
    let db = open(&place);
    kept(&db, "reopened");
    // The options of a table are its index's when that is made, and no more.
    let items = db.open_table("items").unwrap();
    db.drop_ordered_index(&items, "by_word").unwrap();
    assert!(matches!(
        db.begin_read().unwrap().by_index(&items, "by_word", "blue"),
        Err(Error::UnknownIndex { .. })
    ));
    db.checkpoint().unwrap();
    let listed = db.verify().unwrap().tables;
    assert!(
        listed
            .iter()
            .all(|one| one.name != "by_word" || one.index_of.is_none())
    );
    assert!(open_without(&place, db, "words").is_ok());
}

/// Opens it without an extractor, and writes.
fn open_without(place: &Place, db: Database, name: &str) -> vellum::Result<()> {
    db.close()?;
    let extractors = ["words", "value"].into_iter().filter(|one| *one != name);
    let options = extractors.fold(common::small(), |options, name| {
        words::with(options, name, 1)
    });
    let db = options.open(place.path())?;
    let items = db.open_table("items")?;
    db.transact(|txn| txn.insert(&items, "open", "without"))
}

#[test]
fn an_index_key_that_stands_refuses_the_write_and_changes_nothing() {
    for isolation in [Isolation::Snapshot, Isolation::Serializable] {
        let db = options().in_memory().unwrap();
        let items = db.table("items").unwrap();
        db.create_ordered_index(&items, "by_word", Ordered::unique("words"))
            .unwrap();
        put(&db, &items, "1", "a,b");
        let mut txn = db.begin_with(isolation).unwrap();
        let refused = |outcome: vellum::Result<()>| {
            let error = outcome.unwrap_err();
            assert_eq!(
                error.to_string(),
                r#"index `by_word` of table `items` is unique and has "b" for key "1", so it cannot be had for key "2""#
            );
            assert_eq!(error.remedy(), Remedy::FixTheCall);
        };
        refused(txn.insert(&items, "2", "0,b,c"));
        refused(txn.compare_and_swap(&items, "2", None, "b"));
        refused(txn.insert_record(&items, "2", Record::new("b")));
        assert!(txn.get(&items, "2").unwrap().is_none());
        assert_eq!(txn.by_index(&items, "by_word", "0").unwrap().count(), 0);
        // Its own key again, or one that this transaction has given up, is no other's.
        txn.insert(&items, "1", "b,d").unwrap();
        txn.insert(&items, "2", "a").unwrap();
        txn.remove(&items, "1").unwrap();
        txn.insert(&items, "2", "a,b").unwrap();
        assert!(matches!(
            txn.insert(&items, "1", "a"),
            Err(Error::NotUnique { .. })
        ));
        txn.commit().unwrap();
        let read = db.begin_read().unwrap();
        let range = read.range_by_index::<&str>(&items, "by_word", ..).unwrap();
        assert_eq!(pairs(range), owned(&[("a", "2"), ("b", "2")]));
    }
}

#[test]
fn of_two_who_race_for_an_index_key_the_first_committer_wins() {
    for isolation in [Isolation::Snapshot, Isolation::Serializable] {
        let db = options().in_memory().unwrap();
        let items = db.table("items").unwrap();
        db.create_ordered_index(&items, "by_word", Ordered::unique("words"))
            .unwrap();
        let mut one = db.begin_with(isolation).unwrap();
        let mut two = db.begin_with(isolation).unwrap();
        one.insert(&items, "1", "same").unwrap();
        two.insert(&items, "2", "same").unwrap();
        let at = one.commit().unwrap();
        let lost = two.commit().unwrap_err();
        assert!(
            matches!(&lost, Error::Conflict { table, key, winner }
                if table == "items[by_word]" && **key == b"same"[..] && *winner == Some(at)),
            "{lost}"
        );
        assert!(lost.is_retryable());
        check(&db.begin_read().unwrap(), &items, "by_word", "raced");
    }
}

#[test]
fn what_an_unchanged_index_key_needs_is_no_conflict() {
    let db = options().in_memory().unwrap();
    let items = filled(&db);
    db.create_ordered_index(&items, "by_word", Ordered::new("words"))
        .unwrap();
    let mut one = db.begin().unwrap();
    let mut two = db.begin().unwrap();
    one.insert(&items, "1", "blue,red").unwrap();
    two.insert(&items, "2", "blue,red").unwrap();
    one.commit().unwrap();
    two.commit().unwrap();
    check(&db.begin_read().unwrap(), &items, "by_word", "side by side");
}

#[test]
fn who_writes_no_entry_of_an_index_that_is_dropped_goes_on() {
    let db = options().in_memory().unwrap();
    let items = filled(&db);
    db.create_ordered_index(&items, "by_word", Ordered::new("words"))
        .unwrap();
    let mut same = db.begin().unwrap();
    same.insert(&items, "1", "blue,red,blue").unwrap();
    db.drop_ordered_index(&items, "by_word").unwrap();
    same.commit().unwrap();
}

#[test]
fn without_its_extractor_an_index_is_read_and_nothing_is_written() {
    let place = Place::new();
    let db = open(&place);
    let items = filled(&db);
    db.create_ordered_index(&items, "by_word", Ordered::new("words"))
        .unwrap();
    let other = db.table("other").unwrap();
    drop((db, items, other));
    for options in [common::small(), words::with(common::small(), "words", 2)] {
        let db = options.open(place.path()).unwrap();
        let (items, other) = (
            db.open_table("items").unwrap(),
            db.open_table("other").unwrap(),
        );
        put(&db, &other, "k", "v");
        let read = db.begin_read().unwrap();
        let of = read.by_index(&items, "by_word", "blue").unwrap();
        assert_eq!(of.count(), 2);
        let mut txn = db.begin().unwrap();
        let refused = |outcome: vellum::Result<()>| {
            let error = outcome.unwrap_err();
            assert_eq!(
                error.to_string(),
                "index `by_word` of table `items` needs the extractor `words` in version 1: open the \
                 database with it, or drop the index"
            );
        };
        refused(txn.insert(&items, "1", "x"));
        refused(txn.remove(&items, "1"));
        refused(txn.compare_and_swap(&items, "7", None, "x"));
        refused(txn.insert_record(&items, "1", Record::new("x")));
        let made = db.create_ordered_index(&items, "by_value", Ordered::new("value"));
        assert!(matches!(made, Err(Error::NoExtractor { .. })), "{made:?}");
    }
    let db = words::with(common::small(), "words", 2)
        .open(place.path())
        .unwrap();
    let items = db.open_table("items").unwrap();
    let other = db.create_ordered_index(&items, "by_word", Ordered::new("words"));
    assert!(matches!(other, Err(Error::IndexExists { .. })), "{other:?}");
    db.drop_ordered_index(&items, "by_word").unwrap();
    put(&db, &items, "1", "x");
    db.create_ordered_index(&items, "by_word", Ordered::new("words"))
        .unwrap();
    check(&db.begin_read().unwrap(), &items, "by_word", "made anew");
}

#[test]
fn a_transaction_that_does_not_know_the_index_is_done_again() {
    let db = options().in_memory().unwrap();
    let items = filled(&db);
    let mut old = db.begin().unwrap();
    let reading = db.begin_read().unwrap();
    old.insert(&items, "7", "old").unwrap();
    db.create_ordered_index(&items, "by_word", Ordered::new("words"))
        .unwrap();
    let error = old.commit().unwrap_err();
    assert!(
        matches!(&error, Error::IndexesChanged { table } if table == "items"),
        "{error}"
    );
    assert!(error.is_retryable());
    assert!(matches!(
        reading.by_index(&items, "by_word", "blue"),
        Err(Error::UnknownIndex { .. })
    ));
    let mut attempts = 0;
    db.transact(|txn| {
        attempts += 1;
        txn.insert(&items, "7", "new")?;
        if attempts == 1 {
            db.create_ordered_index(&items, "by_value", Ordered::new("value"))?;
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(attempts, 2);
    check(&db.begin_read().unwrap(), &items, "by_word", "again");
    db.drop_ordered_index(&items, "by_value").unwrap();
    // One that has written entries of an index that is dropped; one that has not goes on.
    let mut wrote = db.begin().unwrap();
    wrote.insert(&items, "8", "word").unwrap();
    let mut serial = db.begin_with(Isolation::Serializable).unwrap();
    assert_eq!(
        serial.by_index(&items, "by_word", "none").unwrap().count(),
        0
    );
    serial.insert(&items, "1", "red,blue").unwrap();
    let mut same = db.begin().unwrap();
    same.insert(&items, "1", "blue,red,blue").unwrap();
    db.drop_ordered_index(&items, "by_word").unwrap();
    let old = db.begin_read().unwrap();
    for refused in [wrote, serial] {
        let error = refused.commit().unwrap_err();
        assert!(matches!(error, Error::IndexesChanged { .. }), "{error}");
    }
    same.commit().unwrap();
    drop(old);
    // Dropped with its table, it is that which is told.
    db.create_ordered_index(&items, "by_word", Ordered::new("words"))
        .unwrap();
    let mut wrote = db.begin().unwrap();
    wrote.insert(&items, "8", "word").unwrap();
    db.drop_table(&items).unwrap();
    let error = wrote.commit().unwrap_err();
    assert!(
        matches!(&error, Error::TableDropped { table } if table == "items"),
        "{error}"
    );
    assert_eq!(db.stats().unwrap().indexes, 0);
}

#[test]
fn an_index_that_cannot_be_made_leaves_nothing() {
    let place = Place::new();
    let db = open(&place);
    let items = filled(&db);
    let refused = db.create_ordered_index(&items, "by_word", Ordered::unique("words"));
    let error = refused.unwrap_err();
    assert!(
        matches!(&error, Error::NotUnique { index_key, key, stands, .. }
            if **index_key == b"blue"[..] && **key == b"2"[..] && **stands == b"1"[..]),
        "{error}"
    );
    put(&db, &items, "5", "refused");
    let error = db
        .create_ordered_index(&items, "by_value", Ordered::new("value"))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"index `by_value` of table `items` refuses the record of key "5": it says so"#
    );
    let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        db.create_ordered_index(&items, "panics", Ordered::new("panics"))
    }));
    assert!(panics.is_err());
    assert!(db.list_ordered_indexes(&items).unwrap().is_empty());
    // Nobody is held to them.
    put(&db, &items, "6", "refused");
    put(&db, &items, "7", "blue");
    db.checkpoint().unwrap();
    assert_eq!(db.verify().unwrap().tables.len(), 1);
    drop(db);
    let db = open(&place);
    let items = db.open_table("items").unwrap();
    assert!(db.list_ordered_indexes(&items).unwrap().is_empty());
    db.create_ordered_index(&items, "by_word", Ordered::new("words"))
        .unwrap();
    check(&db.begin_read().unwrap(), &items, "by_word", "at last");
}

#[test]
fn what_the_extractor_or_the_limit_refuses_is_refused_at_the_write() {
    let db = options().in_memory().unwrap();
    let items = db.table("items").unwrap();
    db.create_ordered_index(&items, "by_value", Ordered::new("value"))
        .unwrap();
    let mut txn = db.begin().unwrap();
    let error = txn.insert(&items, "1", "refused").unwrap_err();
    assert!(
        matches!(
            error,
            Error::InvalidArgument(InvalidArgument::Extract { .. })
        ),
        "{error}"
    );
    let error = txn.insert(&items, "1", "v".repeat(2046)).unwrap_err();
    assert!(
        matches!(
            error,
            Error::InvalidArgument(InvalidArgument::IndexKeyTooLong {
                bytes: 2049,
                limit: 2048,
                ..
            })
        ),
        "{error}"
    );
    txn.insert(&items, "1", "v".repeat(2045)).unwrap();
    txn.commit().unwrap();
    let read = db.begin_read().unwrap();
    assert_eq!(
        read.prefix_by_index(&items, "by_value", "vv")
            .unwrap()
            .count(),
        1
    );
}

#[test]
fn a_phantom_in_a_range_of_an_index_is_a_conflict_and_nothing_else_is() {
    let db = options().in_memory().unwrap();
    let items = filled(&db);
    db.create_ordered_index(&items, "by_word", Ordered::new("words"))
        .unwrap();
    let attempt = |isolation, other: &dyn Fn(&mut Transaction) -> vellum::Result<()>| {
        let mut txn = db.begin_with(isolation).unwrap();
        let range = txn
            .range_by_index(&items, "by_word", "blue".."green")
            .unwrap();
        let count = range.count().to_string();
        txn.insert(&items, "count", count).unwrap();
        db.transact(other).unwrap();
        txn.commit()
    };
    let serializable = Isolation::Serializable;
    let phantom = attempt(serializable, &|txn| txn.insert(&items, "9", "cyan"));
    assert!(
        matches!(&phantom, Err(Error::ReadConflict { table, key, .. })
            if table == "items[by_word]" && **key == b"cyan"[..]),
        "{phantom:?}"
    );
    let gone = attempt(serializable, &|txn| txn.remove(&items, "9"));
    assert!(matches!(gone, Err(Error::ReadConflict { .. })), "{gone:?}");
    attempt(serializable, &|txn| txn.insert(&items, "9", "red,violet")).unwrap();
    // Of what was found, the record is read, too.
    let changed = attempt(serializable, &|txn| txn.insert(&items, "2", "blue,zinc"));
    assert!(
        matches!(changed, Err(Error::ReadConflict { .. })),
        "{changed:?}"
    );
    attempt(Isolation::Snapshot, &|txn| txn.insert(&items, "8", "cyan")).unwrap();
    // Who was told that an index key is another's has read so.
    db.create_ordered_index(&items, "by_value", Ordered::unique("value"))
        .unwrap();
    let mut txn = db.begin_with(serializable).unwrap();
    assert!(matches!(
        txn.insert(&items, "7", "green"),
        Err(Error::NotUnique { .. })
    ));
    txn.insert(&items, "7", "not green").unwrap();
    db.transact(|txn| txn.insert(&items, "4", "gray")).unwrap();
    assert!(matches!(txn.commit(), Err(Error::ReadConflict { .. })));
}

#[test]
fn makers_of_the_same_index_have_it_and_makers_beside_each_other_are_told() {
    let db = options().in_memory().unwrap();
    let items = filled(&db);
    db.create_ordered_index(&items, "by_word", Ordered::new("words"))
        .unwrap();
    db.create_ordered_index(&items, "by_word", Ordered::new("words"))
        .unwrap();
    let exists = db.create_ordered_index(&items, "by_word", Ordered::unique("words"));
    assert!(matches!(exists, Err(Error::IndexExists { .. })));

    let slot: Arc<vellum_sync::OnceLock<(Database, Table)>> = Arc::default();
    let taken = slot.clone();
    let nested = ExtractorFn::new("nested", 1, move |_, _, _| {
        let (db, table) = taken.get().ok_or_else(|| ExtractError::new("not yet"))?;
        let made = db.create_ordered_index(table, "n", Ordered::new("nested"));
        assert!(matches!(made, Err(Error::IndexBuilding { .. })), "{made:?}");
        let seen = db.begin_read().unwrap();
        let seen = seen.by_index(table, "n", "").map(drop);
        assert!(matches!(seen, Err(Error::UnknownIndex { .. })), "{seen:?}");
        assert!(db.list_ordered_indexes(table).unwrap().is_empty());
        Ok(())
    });
    let db = Options::new().key_extractor(nested).in_memory().unwrap();
    let items = filled(&db);
    slot.set((db.clone(), items.clone())).unwrap();
    db.create_ordered_index(&items, "n", Ordered::new("nested"))
        .unwrap();
    assert_eq!(db.list_ordered_indexes(&items).unwrap().len(), 1);
}

#[test]
fn a_loaded_table_is_indexed_and_a_large_one_in_several_steps() {
    let db = options().memory_budget(64 << 20).in_memory().unwrap();
    let mut load = db.bulk_load("items").unwrap();
    for number in 0..3000u32 {
        load.insert(number.to_be_bytes(), format!("w{},all", number % 7))
            .unwrap();
    }
    let (items, _) = load.finish().unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 0..400u32 {
                let key = (number * 7 % 3000).to_be_bytes();
                db.transact(|txn| match number % 3 {
                    0 => txn.remove(&items, key),
                    _ => txn.insert(&items, key, format!("new{number}")),
                })
                .unwrap();
            }
        });
        db.create_ordered_index(&items, "by_word", Ordered::new("words"))
            .unwrap();
        check(
            &db.begin_read().unwrap(),
            &items,
            "by_word",
            "beside a writer",
        );
        writer.join().unwrap();
    });
    let read = db.begin_read().unwrap();
    check(&read, &items, "by_word", "in the end");
    assert!(keys_of(&read, &items, "by_word").len() > 5000);
}

/// What is done once, in the midst of the filling of an index: behind the snapshot of its first transaction and
/// before that one's commit.
type Meanwhile = Box<dyn FnOnce(&Database, &Table) + Send>;

/// Makes a unique index of the values of "0", "1" and what `meanwhile` writes.
fn make_and_meanwhile(meanwhile: Meanwhile) -> (Database, Table) {
    let slot: Arc<vellum_sync::Mutex<Option<(Database, Table, Meanwhile)>>> = Arc::default();
    let taken = slot.clone();
    let values = ExtractorFn::new("values", 1, move |_, value, keys| {
        words::words(value, keys);
        if value == b"hook"
            && let Some((db, items, meanwhile)) = taken.lock().take()
        {
            meanwhile(&db, &items);
        }
        Ok(())
    });
    let db = Options::new()
        .memory_budget(8 << 20)
        .key_extractor(values)
        .in_memory()
        .unwrap();
    let items = db.table("items").unwrap();
    put(&db, &items, "0", "hook");
    put(&db, &items, "1", "x");
    *slot.lock() = Some((db.clone(), items.clone(), meanwhile));
    db.create_ordered_index(&items, "i", Ordered::unique("values"))
        .unwrap();
    assert!(slot.lock().is_none());
    check(&db.begin_read().unwrap(), &items, "i", "made");
    (db, items)
}

#[test]
fn a_record_that_is_written_again_beside_the_filling_has_its_entry() {
    make_and_meanwhile(Box::new(|db, items| {
        put(db, items, "1", "x");
    }));
}

#[test]
fn an_index_key_that_another_record_has_taken_beside_the_filling_stays_its_own() {
    make_and_meanwhile(Box::new(|db, items| {
        put(db, items, "2", "x");
        put(db, items, "1", "y");
    }));
}

#[test]
fn an_entry_that_the_filling_makes_behind_a_writers_snapshot_is_no_leftover() {
    for value in [Some("y"), None] {
        let open: Arc<vellum_sync::Mutex<Option<Transaction>>> = Arc::default();
        let kept = open.clone();
        let (db, items) = make_and_meanwhile(Box::new(move |db, items| {
            put(db, items, "2", "x");
            let mut txn = db.begin().unwrap();
            match value {
                Some(value) => txn.insert(items, "1", value).unwrap(),
                None => txn.remove(items, "1").unwrap(),
            }
            *kept.lock() = Some(txn);
            db.transact(|txn| txn.remove(items, "2")).unwrap();
        }));
        let txn = open.lock().take().unwrap();
        assert!(txn.commit().unwrap_err().is_retryable());
        check(&db.begin_read().unwrap(), &items, "i", "afterwards");
    }
}

#[test]
fn an_entry_that_the_filling_makes_beside_a_removal_is_no_leftover() {
    let open: Arc<vellum_sync::Mutex<Option<Transaction>>> = Arc::default();
    let kept = open.clone();
    let (db, items) = make_and_meanwhile(Box::new(move |db, items| {
        let mut txn = db.begin().unwrap();
        txn.remove(items, "1").unwrap();
        *kept.lock() = Some(txn);
    }));
    let txn = open.lock().take().unwrap();
    assert!(txn.commit().unwrap_err().is_retryable());
    check(&db.begin_read().unwrap(), &items, "i", "afterwards");
}

/// Small records whose entries are more than open transactions may write at once.
#[test]
fn records_with_many_index_keys_are_filled_in_in_parts() {
    let many = ExtractorFn::new("many", 1, |_, value, keys| {
        for number in 0u32..600 {
            keys.add([value, &number.to_be_bytes()[..]].concat());
        }
        Ok(())
    });
    let options = Options::new().memory_budget(8 << 20).key_extractor(many);
    let db = options.in_memory().unwrap();
    let items = db.table("items").unwrap();
    for number in 0..100 {
        put(
            &db,
            &items,
            &format!("{number:03}"),
            &format!("{number:03}"),
        );
    }
    db.create_ordered_index(&items, "many", Ordered::new("many"))
        .unwrap();
    let read = db.begin_read().unwrap();
    let entries = read.range_by_index::<&str>(&items, "many", ..).unwrap();
    assert_eq!(entries.count(), 60_000);
}

/// Who has lost often locks its entries too, and holds them while it works.
#[test]
fn an_entry_that_is_locked_beside_the_filling_is_waited_for() {
    let writer: Arc<vellum_sync::Mutex<Option<JoinHandle<()>>>> = Arc::default();
    let kept = writer.clone();
    let (db, items) = make_and_meanwhile(Box::new(move |db, items| {
        let locked = Arc::new(AtomicBool::new(false));
        let (tell, db, items) = (locked.clone(), db.clone(), items.clone());
        let writing = thread::spawn(move || {
            let mut attempts = 0;
            let written = db.transact(|txn| {
                attempts += 1;
                txn.insert(&items, "1", "x")?;
                txn.insert(&items, "hot", "lost")?;
                if attempts <= 8 {
                    let mut quicker = db.begin()?;
                    quicker.insert(&items, "hot", attempts.to_string())?;
                    return quicker.commit().map(drop);
                }
                tell.store(true, Ordering::Release);
                thread::sleep(Duration::from_millis(50));
                Ok(())
            });
            written.unwrap();
        });
        while !locked.load(Ordering::Acquire) {
            thread::sleep(Duration::from_millis(1));
        }
        *kept.lock() = Some(writing);
    }));
    writer.lock().take().unwrap().join().unwrap();
    assert!(db.stats().unwrap().locks.refusals > 0);
    check(&db.begin_read().unwrap(), &items, "i", "afterwards");
}

/// Ranges that are removed, values that are merged, and what is taken back.
#[test]
fn an_index_follows_whatever_writes_its_table() {
    let db = options().in_memory().unwrap();
    let items = filled(&db);
    db.create_ordered_index(&items, "by_word", Ordered::new("words"))
        .unwrap();
    let found =
        |txn: &Transaction| pairs(txn.range_by_index::<&str>(&items, "by_word", ..).unwrap());
    let mut txn = db.begin().unwrap();
    let before = txn.savepoint();
    assert_eq!(txn.delete_range(&items, "1"..="2").unwrap(), 2);
    assert_eq!(found(&txn), owned(&[("green", "4")]));
    txn.rollback_to(&before).unwrap();
    assert_eq!(found(&txn).len(), 4);
    assert_eq!(txn.delete_range(&items, "2"..).unwrap(), 3);
    assert_eq!(found(&txn), owned(&[("blue", "1"), ("red", "1")]));
    txn.commit().unwrap();
    check(&db.begin_read().unwrap(), &items, "by_word", "words");
    // A set of one member, as a value: the extractor takes it for one word.
    let mut txn = db.begin().unwrap();
    txn.merge(&items, "5", "union", vellum::Union::set(["pink"]))
        .unwrap();
    txn.merge(&items, "5", "union", vellum::Union::set(["grey"]))
        .unwrap();
    let own = found(&txn);
    assert!(own.iter().any(|(_, key)| key == "5"), "{own:?}");
    txn.commit().unwrap();
    check(&db.begin_read().unwrap(), &items, "by_word", "words");
}
