//! Typed tables: the same from either kind of transaction, refused under other types, and named errors for
//! bytes of none.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod common;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use common::Place;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use vellum::{
    Database, Error, InvalidArgument, Isolation, Options, Plain, Postcard, Readable, Remedy,
    TableOptions, TypedTable,
};
use zerocopy::byteorder::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

type Key = (String, i32);
type Orders = TypedTable<Key, Option<u64>>;
type Model = BTreeMap<(String, i32), Option<u64>>;

fn all(read: &impl Readable, orders: &Orders) -> Vec<(String, i32, Option<u64>)> {
    let entries = orders.iter(read).unwrap().map(|entry| {
        let entry = entry.unwrap();
        let ((name, number), value) = entry.get().unwrap();
        (name.into_owned(), number, value)
    });
    entries.collect()
}

#[test]
fn reads_are_the_same_from_both_kinds_of_transaction() {
    let db = Database::in_memory().unwrap();
    let orders = db.typed_table::<Key, Option<u64>>("orders").unwrap();
    let mut txn = db.begin().unwrap();
    for (name, number) in [("b", -1), ("a", 7), ("a", -7), ("ab", 0)] {
        orders.insert(&mut txn, (name, number), Some(5)).unwrap();
    }
    orders.insert(&mut txn, &("b", 1), &None).unwrap();
    fn check(read: &impl Readable, orders: &Orders) {
        let keys: Vec<_> = all(read, orders)
            .into_iter()
            .map(|(name, number, _)| (name, number))
            .collect();
        let right = [("a", -7), ("a", 7), ("ab", 0), ("b", -1), ("b", 1)];
        assert!(
            keys.iter()
                .map(|(name, number)| (&name[..], *number))
                .eq(right)
        );
        let first = orders.first(read).unwrap().unwrap();
        assert_eq!(first.key().unwrap(), ("a".into(), -7));
        assert_eq!(orders.last(read).unwrap().unwrap().value().unwrap(), None);
        let of = orders.prefix::<(String,)>(read, ("a",)).unwrap();
        assert_eq!(of.count(), 2);
        let range = orders.range(read, ("a", 0)..("b", 0)).unwrap();
        assert_eq!(range.count(), 3);
        let range = orders.range(read, ..=("a", 7)).unwrap();
        assert_eq!(range.rev().count(), 2);
        let range = orders.range(read, ("b", 0)..("a", 0)).unwrap();
        assert_eq!(range.count(), 0);
        assert!(orders.contains_key(read, ("ab", 0)).unwrap());
        assert!(!orders.contains_key(read, ("ab", 1)).unwrap());
        assert!(orders.get(read, ("c", 0)).unwrap().is_none());
        let many = [("b", 1), ("c", 0), ("a", 7)];
        let found = orders.get_many(read, &many).unwrap();
        let values = found.iter().map(|value| value.as_ref()?.get().ok());
        assert!(values.eq([Some(None), None, Some(Some(5))]));
        let alone = orders.get(read, ("a", 7)).unwrap().unwrap();
        let among = found[2].as_ref().unwrap();
        assert_eq!(among.version(), alone.version());
        let mut lent = orders.iter(read).unwrap();
        let ((name, number), value) = lent.next_back_lent().unwrap().unwrap();
        assert_eq!((&*name, number, value), ("b", 1, None));
    }
    check(&txn, &orders);
    let own = orders.get(&txn, ("a", 7)).unwrap().unwrap();
    assert_eq!((own.get().unwrap(), own.version()), (Some(5), None));
    drop(own);
    let at = txn.commit().unwrap();
    let read = db.begin_read().unwrap();
    check(&read, &orders);
    let found = orders.get(&read, ("a", 7)).unwrap().unwrap();
    assert_eq!((found.get().unwrap(), found.version()), (Some(5), Some(at)));
    db.checkpoint().unwrap();
    check(&db.begin_read().unwrap(), &orders);

    let mut txn = db.begin().unwrap();
    orders.remove(&mut txn, ("a", 7)).unwrap();
    orders
        .compare_and_swap(&mut txn, ("b", 1), Some(at), Some(3))
        .unwrap();
    let lost = orders.compare_and_swap(&mut txn, ("a", -7), None, Some(3));
    assert!(matches!(lost, Err(Error::VersionMismatch { .. })));
    assert_eq!(all(&txn, &orders).len(), 4);
}

/// Each as the raw table's of the encoded key.
#[test]
fn locks_marks_and_ranges_are_of_the_encoded_keys() {
    // Who would wait for a lock is told at once.
    let options = Options::new().lock_timeout(Duration::ZERO);
    let db = options.in_memory().unwrap();
    let orders = db.typed_table::<Key, Option<u64>>("orders").unwrap();
    let write = |name: &str, number| {
        let mut txn = db.begin().unwrap();
        orders.insert(&mut txn, (name, number), Some(1)).unwrap();
        txn.commit()
    };
    for number in -2..3 {
        write("a", number).unwrap();
    }
    let mut txn = db.begin().unwrap();
    let locked = orders.get_for_update(&mut txn, ("a", -1)).unwrap().unwrap();
    assert_eq!(locked.get().unwrap(), Some(1));
    drop(locked);
    let mut other = db.begin().unwrap();
    let asked = orders.get_for_share(&mut other, ("a", -1)).map(drop);
    assert!(
        matches!(asked, Err(Error::LockTimeout { .. })),
        "it is exclusive"
    );
    drop(other);
    let none = orders.get_for_share(&mut txn, ("none", 0));
    assert!(none.unwrap().is_none());
    assert!(matches!(write("a", -1), Err(Error::Locked { .. })));
    assert!(matches!(write("none", 0), Err(Error::Locked { .. })));
    let mut other = db.begin().unwrap();
    let shared = orders.get_for_share(&mut other, ("none", 0));
    assert!(shared.unwrap().is_none(), "as may others");
    drop((txn, other));
    write("a", -1).unwrap();

    // Marked in snapshot isolation, read in a serializable one; and taken out again.
    let levels = [Isolation::Snapshot, Isolation::Serializable];
    for (isolation, is_checked, number) in levels
        .into_iter()
        .flat_map(|isolation| [(isolation, true, 0), (isolation, false, 1)])
    {
        let mut txn = db.begin_with(isolation).unwrap();
        match isolation {
            Isolation::Snapshot => orders.mark_read(&mut txn, ("a", number)).unwrap(),
            Isolation::Serializable => drop(orders.get(&txn, ("a", number)).unwrap()),
        }
        if !is_checked {
            orders.unmark(&mut txn, ("a", number)).unwrap();
        }
        orders.insert(&mut txn, ("b", 0), None).unwrap();
        write("a", number).unwrap();
        let committed = txn.commit();
        assert_eq!(
            matches!(committed, Err(Error::ReadConflict { .. })),
            is_checked
        );
        assert_eq!(committed.is_ok(), !is_checked);
    }

    let mut txn = db.begin().unwrap();
    let removed = orders.delete_range(&mut txn, ("a", -1)..=("a", 1));
    assert_eq!(removed.unwrap(), 3);
    assert_eq!(orders.delete_range(&mut txn, ("b", 0)..).unwrap(), 1);
    assert_eq!(
        orders.delete_range(&mut txn, ("c", 0)..("a", 0)).unwrap(),
        0
    );
    txn.commit().unwrap();
    let left = all(&db.begin_read().unwrap(), &orders);
    let left: Vec<_> = left
        .iter()
        .map(|(name, number, _)| (&name[..], *number))
        .collect();
    assert_eq!(left, [("a", -2), ("a", 2)]);
}

#[test]
fn a_table_is_refused_under_other_types_for_ever() {
    let place = Place::new();
    let refused = |db: &Database| {
        let other = db.open_typed_table::<u64, String>("items").unwrap_err();
        assert!(
            matches!(&other, Error::TypeMismatch { stored, asked, .. }
                if stored == "str to u64" && asked == "u64 to str"),
            "{other}"
        );
        assert_eq!(other.remedy(), Remedy::FixTheCall);
        db.typed_table::<String, u64>("items").unwrap();
    };
    let db = place.open();
    db.typed_table::<String, u64>("items").unwrap();
    refused(&db);
    // From the log.
    drop(db);
    refused(&place.open());
    // From a checkpoint, and from a backup of it.
    let db = place.open();
    db.checkpoint().unwrap();
    let copy = Place::new();
    db.backup(copy.path()).unwrap();
    drop(db);
    refused(&place.open());
    refused(&copy.open());
    // Raw access is never refused, nor are other options.
    let db = place.open();
    let raw = db.open_table("items").unwrap();
    db.set_table_options(&raw, TableOptions::new().compressed(true))
        .unwrap();
    refused(&db);
    // Another table of the name has types of its own.
    db.drop_table(&raw).unwrap();
    db.typed_table::<u64, String>("items").unwrap();
    assert!(db.typed::<u64, String>(&raw).is_err());
}

#[test]
fn a_table_without_types_gets_those_of_its_first_user() {
    let place = Place::new();
    let db = place.open();
    let mut load = db.bulk_load("loaded").unwrap();
    load.insert(7u32.to_be_bytes(), "seven").unwrap();
    let (raw, _) = load.finish().unwrap();
    db.close().unwrap();
    // Where nothing can be written, it is taken as any.
    let reading = common::small().read_only(true).open(place.path()).unwrap();
    reading
        .open_typed_table::<String, String>("loaded")
        .unwrap();
    reading.open_typed_table::<u32, String>("loaded").unwrap();
    drop((reading, raw));
    let db = place.open();
    let loaded = db.open_typed_table::<u32, String>("loaded").unwrap();
    let read = db.begin_read().unwrap();
    assert_eq!(
        loaded.get(&read, 7).unwrap().unwrap().get().unwrap(),
        "seven"
    );
    assert!(db.open_typed_table::<String, String>("loaded").is_err());
    assert!(matches!(
        db.open_typed_table::<u32, String>("missing"),
        Err(Error::UnknownTable { .. })
    ));
}

#[test]
fn of_many_who_set_the_types_at_once_all_have_the_same() {
    let db = Database::in_memory().unwrap();
    for round in 0..20 {
        let name = format!("t{round}");
        let raw = db.table(&name).unwrap();
        let outcomes = std::thread::scope(|scope| {
            let number = scope.spawn(|| db.typed::<u64, u64>(&raw).is_ok());
            let text = scope.spawn(|| db.typed::<u64, String>(&raw).is_ok());
            (number.join().unwrap(), text.join().unwrap())
        });
        assert!(outcomes.0 != outcomes.1, "{outcomes:?}");
        assert_eq!(db.typed::<u64, u64>(&raw).is_ok(), outcomes.0);
    }
}

#[test]
fn bytes_of_no_type_are_a_named_error_and_end_nothing() {
    let db = Database::in_memory().unwrap();
    let counts = db.typed_table::<u16, u32>("counts").unwrap();
    db.transact(|txn| {
        txn.insert(counts.raw(), [0, 1], "three")?;
        txn.insert(counts.raw(), "odd", [0, 0, 0, 3])?;
        counts.insert(txn, 300, 5)
    })
    .unwrap();
    let read = db.begin_read().unwrap();
    let wrong = counts.get(&read, 1).unwrap().unwrap();
    assert_eq!(wrong.raw(), "three");
    let error = wrong.get().unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"the record of key "\x00\x01" of table `counts` is not of its types: 1 bytes more than the value has"#
    );
    assert_eq!(error.remedy(), Remedy::FixTheCall);
    let decoded: Vec<_> = counts
        .iter(&read)
        .unwrap()
        .map(|entry| entry.unwrap().get().is_ok())
        .collect();
    assert_eq!(decoded, [false, true, false]);
    let mut lent = counts.iter(&read).unwrap();
    assert!(matches!(lent.next_lent(), Err(Error::Decode { .. })));
    assert_eq!(lent.next_lent().unwrap(), Some((300, 5)));
    assert!(matches!(lent.next_lent(), Err(Error::Decode { .. })));
    assert_eq!(lent.next_lent().unwrap(), None);
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct User {
    name: String,
    mails: Vec<String>,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Place3 {
    east: U32,
    north: U32,
    height: u8,
}

#[test]
fn structs_by_serde_and_where_they_stand() {
    let db = Options::new().memory_budget(8 << 20).in_memory().unwrap();
    let users = db.typed_table::<u64, Postcard<User>>("users").unwrap();
    let places = db.typed_table::<[u8; 4], Plain<Place3>>("places").unwrap();
    let marks = db.typed_table::<(bool, f64), ()>("marks").unwrap();
    let ann = User {
        name: "ann".into(),
        mails: vec!["a".repeat(100); 3],
    };
    let peak = Place3 {
        east: U32::new(7),
        north: U32::new(1 << 30),
        height: 9,
    };
    db.transact(|txn| {
        users.insert(txn, 1, &ann)?;
        places.insert(txn, *b"peak", &peak)?;
        marks.insert(txn, (true, -0.5), ())?;
        marks.insert(txn, (true, 2.0), ())
    })
    .unwrap();
    db.checkpoint().unwrap();
    let read = db.begin_read().unwrap();
    assert_eq!(users.get(&read, 1).unwrap().unwrap().get().unwrap(), ann);
    let found = places.get(&read, b"peak").unwrap().unwrap();
    let place = found.get().unwrap();
    assert_eq!((place.north.get(), place.height), (1 << 30, 9));
    let bytes = std::ptr::from_ref(place).cast::<u8>();
    assert_eq!(bytes, found.raw().as_ptr(), "it was copied");
    let least = marks.first(&read).unwrap().unwrap();
    assert_eq!(least.get().unwrap(), ((true, -0.5), ()));

    let short = Error::from(InvalidArgument::KeyEmpty).to_string();
    let names = db.typed_table::<String, u8>("names").unwrap();
    let mut txn = db.begin().unwrap();
    let empty = names.insert(&mut txn, "", 1).unwrap_err();
    assert_eq!(empty.to_string(), short);
    let long = names.insert(&mut txn, &*"k".repeat(2049), 1).unwrap_err();
    assert!(matches!(
        long,
        Error::InvalidArgument(InvalidArgument::KeyTooLong { .. })
    ));
}

#[derive(Debug, Clone)]
enum Step {
    Put(String, i32, Option<u64>),
    Remove(String, i32),
    Commit,
    Range(Bound<(String, i32)>, Bound<(String, i32)>),
    Prefix(String),
}

fn name() -> impl Strategy<Value = String> {
    let mark = prop_oneof![Just('\0'), Just('a'), Just('b'), Just('\u{FF}')];
    prop::collection::vec(mark, 0..3).prop_map(|marks| marks.into_iter().collect())
}

fn step() -> impl Strategy<Value = Step> {
    let bound = || {
        let key = (name(), -2..3);
        (0..3, key).prop_map(|(kind, key)| match kind {
            0 => Bound::Unbounded,
            1 => Bound::Included(key),
            _ => Bound::Excluded(key),
        })
    };
    prop_oneof![
        4 => (name(), -2..3, any::<Option<u64>>()).prop_map(|(name, n, v)| Step::Put(name, n, v)),
        1 => (name(), -2..3).prop_map(|(name, n)| Step::Remove(name, n)),
        1 => Just(Step::Commit),
        2 => (bound(), bound()).prop_map(|(lower, upper)| Step::Range(lower, upper)),
        2 => name().prop_map(Step::Prefix),
    ]
}

fn borrowed(bound: &Bound<(String, i32)>) -> Bound<(&str, i32)> {
    bound.as_ref().map(|(name, number)| (&name[..], *number))
}

fn found<'t>(
    range: impl Iterator<Item = vellum::Result<vellum::TypedEntry<'t, Key, Option<u64>>>>,
) -> Vec<(String, i32, Option<u64>)> {
    let found = range.map(|entry| {
        let entry = entry.unwrap();
        let ((name, number), value) = entry.get().unwrap();
        (name.into_owned(), number, value)
    });
    found.collect()
}

fn right(
    model: &Model,
    wanted: impl Fn(&(String, i32)) -> bool,
) -> Vec<(String, i32, Option<u64>)> {
    let kept = model.iter().filter(|(key, _)| wanted(key));
    kept.map(|((name, number), value)| (name.clone(), *number, *value))
        .collect()
}

proptest! {
    #[test]
    fn tuples_are_in_the_order_of_their_values(steps in prop::collection::vec(step(), 0..60)) {
        let db = Options::new().memory_budget(8 << 20).background(false).in_memory().unwrap();
        let orders = db.typed_table::<Key, Option<u64>>("orders").unwrap();
        let (mut model, mut txn) = (Model::new(), db.begin().unwrap());
        for step in steps {
            match step {
                Step::Put(name, number, value) => {
                    orders.insert(&mut txn, (&name[..], number), value).unwrap();
                    model.insert((name, number), value);
                }
                Step::Remove(name, number) => {
                    orders.remove(&mut txn, (&name[..], number)).unwrap();
                    model.remove(&(name, number));
                }
                Step::Commit => {
                    txn.commit().unwrap();
                    txn = db.begin().unwrap();
                }
                Step::Range(lower, upper) => {
                    let bounds = (borrowed(&lower), borrowed(&upper));
                    let range = orders.range(&txn, bounds).unwrap();
                    let is_in = |key: &(String, i32)| {
                        use std::ops::RangeBounds;
                        (lower.as_ref(), upper.as_ref()).contains(&key)
                    };
                    assert_eq!(found(range), right(&model, is_in));
                }
                Step::Prefix(name) => {
                    let range = orders.prefix::<(String,)>(&txn, (&name[..],)).unwrap();
                    let mut all = found(range.rev());
                    all.reverse();
                    assert_eq!(all, right(&model, |key| key.0 == name));
                }
            }
        }
    }
}
