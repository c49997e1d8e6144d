//! Ranges, prefixes and ends, over a snapshot and over own writes with it, in both directions.

mod common;

use std::collections::BTreeMap;
use std::ops::Bound;

use common::{put, texts};
use vellum::{Database, Error, Range};
use vellum_testkit::{CallKind, Fault, Lasting, Random, SimDisk, Trouble};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

fn keys(pairs: Vec<(String, String)>) -> Vec<String> {
    pairs.into_iter().map(|(key, _)| key).collect()
}

#[test]
fn a_range_yields_its_keys_in_order_from_both_ends() {
    let db = Database::in_memory().unwrap();
    let items = db.table("items").unwrap();
    let others = db.table("others").unwrap();
    for key in ["m", "c", "a", "z", "q", "cc"] {
        put(&db, &items, key, key);
        put(&db, &others, &format!("{key}{key}"), "");
    }
    let read = db.begin_read().unwrap();
    assert_eq!(
        keys(texts(read.iter(&items).unwrap())),
        ["a", "c", "cc", "m", "q", "z"]
    );
    assert_eq!(
        keys(texts(read.iter(&items).unwrap().rev())),
        ["z", "q", "m", "cc", "c", "a"]
    );
    assert_eq!(
        keys(texts(read.range(&items, "c".."q").unwrap())),
        ["c", "cc", "m"]
    );
    assert_eq!(
        keys(texts(read.range(&items, "c"..="q").unwrap())),
        ["c", "cc", "m", "q"]
    );
    assert_eq!(keys(texts(read.range(&items, "n"..).unwrap())), ["q", "z"]);
    assert_eq!(
        keys(texts(read.range(&items, ..="c").unwrap().rev())),
        ["c", "a"]
    );
    let open = (Bound::Excluded("c"), Bound::Excluded("q"));
    assert_eq!(
        keys(texts(read.range::<&str>(&items, open).unwrap())),
        ["cc", "m"]
    );
    let mut both = read.iter(&items).unwrap();
    let mut next = |back: bool| {
        let entry = if back { both.next_back() } else { both.next() };
        entry.map(|entry| String::from_utf8(entry.unwrap().0.to_vec()).unwrap())
    };
    let met: Vec<_> = [false, true, true, false, false, true, false, true]
        .map(&mut next)
        .into();
    let met: Vec<_> = met.iter().map(Option::as_deref).collect();
    let expected = [
        Some("a"),
        Some("z"),
        Some("q"),
        Some("c"),
        Some("cc"),
        Some("m"),
        None,
        None,
    ];
    assert_eq!(met, expected);
}

#[test]
fn ranges_that_cross_or_reach_beyond_all_keys_are_no_errors() {
    let db = Database::in_memory().unwrap();
    let items = db.table("items").unwrap();
    put(&db, &items, "k", "");
    let read = db.begin_read().unwrap();
    let txn = db.begin().unwrap();
    assert_eq!(read.range(&items, "z".."a").unwrap().count(), 0);
    assert_eq!(txn.range(&items, "z".."a").unwrap().count(), 0);
    assert_eq!(read.range(&items, "k".."k").unwrap().count(), 0);
    let point = (Bound::Excluded("k"), Bound::Excluded("k"));
    assert_eq!(txn.range::<&str>(&items, point).unwrap().count(), 0);
    let long = "z".repeat(10_000);
    assert_eq!(read.range(&items, ""..long.as_str()).unwrap().count(), 1);
    assert_eq!(read.range(&items, long.as_str()..).unwrap().count(), 0);
}

#[test]
fn prefixes_end_where_the_prefix_does() {
    let db = Database::in_memory().unwrap();
    let items = db.table("items").unwrap();
    let mut txn = db.begin().unwrap();
    let all: [&[u8]; 7] = [
        b"a",
        b"ab",
        b"ab\x00",
        b"ab\xFF\xFF",
        b"ac",
        b"\xFF",
        b"\xFF\xFF\x01",
    ];
    for key in all {
        txn.insert(&items, key, key).unwrap();
    }
    let count = |prefix: &[u8]| {
        let (forth, back) = (
            txn.prefix(&items, prefix).unwrap(),
            txn.prefix(&items, prefix).unwrap(),
        );
        let forth: Vec<_> = forth.map(|entry| entry.unwrap().0.to_vec()).collect();
        let mut back: Vec<_> = back.rev().map(|entry| entry.unwrap().0.to_vec()).collect();
        back.reverse();
        assert_eq!(forth, back);
        forth.len()
    };
    assert_eq!(count(b""), 7);
    assert_eq!(count(b"a"), 5);
    assert_eq!(count(b"ab"), 3);
    assert_eq!(count(b"ab\xFF"), 1);
    assert_eq!(count(b"\xFF"), 2);
    assert_eq!(count(b"\xFF\xFF"), 1);
    assert_eq!(count(b"b"), 0);
    txn.commit().unwrap();
    let read = db.begin_read().unwrap();
    assert_eq!(read.prefix(&items, b"ab").unwrap().count(), 3);
    assert_eq!(read.prefix(&items, b"\xFF").unwrap().rev().count(), 2);
}

#[test]
fn first_and_last_are_the_ends() {
    let db = Database::in_memory().unwrap();
    let items = db.table("items").unwrap();
    assert!(db.begin_read().unwrap().first(&items).unwrap().is_none());
    assert!(db.begin_read().unwrap().last(&items).unwrap().is_none());
    for key in ["b", "a", "d"] {
        put(&db, &items, key, key);
    }
    let mut txn = db.begin().unwrap();
    txn.remove(&items, "a").unwrap();
    txn.insert(&items, "e", "own").unwrap();
    assert_eq!(txn.first(&items).unwrap().unwrap().0, "b");
    assert_eq!(txn.last(&items).unwrap().unwrap().1, "own");
    let read = db.begin_read().unwrap();
    assert_eq!(read.first(&items).unwrap().unwrap().0, "a");
    assert_eq!(read.last(&items).unwrap().unwrap().0, "d");
}

#[test]
fn own_writes_hide_the_snapshots_in_both_directions() {
    let db = Database::in_memory().unwrap();
    let items = db.table("items").unwrap();
    for key in ["a", "c", "e", "g"] {
        put(&db, &items, key, "old");
    }
    let mut txn = db.begin().unwrap();
    txn.insert(&items, "b", "own").unwrap();
    txn.insert(&items, "c", "own").unwrap();
    txn.remove(&items, "e").unwrap();
    txn.remove(&items, "f").unwrap();
    let expected = [("a", "old"), ("b", "own"), ("c", "own"), ("g", "old")];
    let expected: Vec<_> = expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    assert_eq!(texts(txn.iter(&items).unwrap()), expected);
    let mut back = texts(txn.iter(&items).unwrap().rev());
    back.reverse();
    assert_eq!(back, expected);
}

#[test]
fn a_range_is_not_disturbed_by_commits_under_way() {
    let db = Database::in_memory().unwrap();
    let items = db.table("items").unwrap();
    for key in 0..100 {
        put(&db, &items, &format!("{key:03}"), "old");
    }
    let read = db.begin_read().unwrap();
    let mut met = 0;
    for (at, entry) in read.iter(&items).unwrap().enumerate() {
        let (key, value) = entry.unwrap();
        assert_eq!(
            (key.as_ref(), value.as_ref()),
            (format!("{at:03}").as_bytes(), &b"old"[..])
        );
        put(&db, &items, &format!("{:03}", 99 - at), "new");
        put(&db, &items, &format!("{at:03}x"), "new");
        met += 1;
    }
    assert_eq!(met, 100);
}

#[test]
fn what_is_lent_may_stand_in_pages_of_its_own() {
    let db = vellum::Database::in_memory().unwrap();
    let table = db.table("t").unwrap();
    let value = |byte: u8, len: usize| vec![byte; len];
    let mut txn = db.begin().unwrap();
    for (key, len) in [("a", 10), ("b", 100_000), ("c", 0), ("d", 200_000)] {
        txn.insert(&table, key, value(key.as_bytes()[0], len))
            .unwrap();
    }
    txn.commit().unwrap();
    db.checkpoint().unwrap();
    let mut txn = db.begin().unwrap();
    txn.insert(&table, "ab", "fresh").unwrap();
    txn.remove(&table, "c").unwrap();
    let mut entries = txn.iter(&table).unwrap();
    for (key, expected) in [
        ("a", value(b'a', 10)),
        ("ab", b"fresh".to_vec()),
        ("b", value(b'b', 100_000)),
    ] {
        let (lent, value) = entries.next_lent().unwrap().unwrap();
        assert_eq!((lent, value), (key.as_bytes(), &expected[..]));
    }
    let (key, last) = entries.next_back_lent().unwrap().unwrap();
    assert_eq!((key, last.len()), (&b"d"[..], 200_000));
    assert_eq!(entries.next_lent().unwrap(), None);
}

/// Ranges of a snapshot and of a transaction with own writes, held open from both ends over everything that others
/// do meanwhile: commits, merges, checkpoints, vacuums.
#[test]
fn ranges_that_stay_open_are_disturbed_by_nothing() {
    const RECORDS: u32 = 600;
    let place = common::Place::new();
    let options = common::small().background(false).memory_budget(8 << 20);
    let db = options.open(place.path()).unwrap();
    let items = db.table("items").unwrap();
    let fill = |from: u32, step: usize, byte: u8| {
        let mut txn = db.begin().unwrap();
        for number in (from..RECORDS).step_by(step) {
            txn.insert(&items, number.to_be_bytes(), [byte; 300])
                .unwrap();
        }
        txn.commit().unwrap();
    };
    fill(0, 1, 1);
    db.checkpoint().unwrap();
    fill(1, 3, 2);
    let old: Map = (0..RECORDS)
        .map(|number| {
            (
                number.to_be_bytes().to_vec(),
                [1 + u8::from(number % 3 == 1); 300].to_vec(),
            )
        })
        .collect();
    let read = db.begin_read().unwrap();
    let mut txn = db.begin().unwrap();
    let (mut all, mut some) = (read.iter(&items).unwrap(), old.iter());
    let mut lent = read.iter(&items).unwrap();
    let mut lent_of = old.clone().into_iter();
    let own = {
        let mut own = old.clone();
        for number in (0..RECORDS).step_by(7) {
            txn.insert(&items, number.to_be_bytes(), "own").unwrap();
            own.insert(number.to_be_bytes().to_vec(), b"own".to_vec());
            txn.remove(&items, (number + 1).to_be_bytes()).unwrap();
            own.remove(&(number + 1).to_be_bytes()[..]);
        }
        own
    };
    let (mut written, mut own) = (txn.iter(&items).unwrap(), own.into_iter());
    for draw in 0..=RECORDS {
        let shown = |entry: Option<vellum::Result<(vellum::Key<'_>, vellum::Value<'_>)>>| {
            entry.map(|entry| {
                let (key, value) = entry.unwrap();
                (key.to_vec(), value.to_vec())
            })
        };
        let of = |entry: Option<(&Vec<u8>, &Vec<u8>)>| {
            entry.map(|(key, value)| (key.clone(), value.clone()))
        };
        match draw % 3 {
            0 => {
                assert_eq!(shown(all.next_back()), of(some.next_back()));
                assert_eq!(shown(written.next()), own.next());
            }
            _ => {
                assert_eq!(shown(all.next()), of(some.next()));
                assert_eq!(shown(written.next_back()), own.next_back());
            }
        }
        let next = lent.next_lent().unwrap();
        let next = next.map(|(key, value)| (key.to_vec(), value.to_vec()));
        assert_eq!(next, lent_of.next());
        match draw % 100 {
            20 => fill(draw % 11, 5, draw as u8),
            40 => db.checkpoint().unwrap(),
            60 => {
                let mut other = db.begin().unwrap();
                other
                    .delete_range(&items, draw.to_be_bytes()..(draw + 50).to_be_bytes())
                    .unwrap();
                other.commit().unwrap();
            }
            80 => drop(db.vacuum().unwrap()),
            _ => {}
        }
    }
    assert!(all.next().is_none() && own.next().is_none() && lent.next_lent().unwrap().is_none());
}

/// A step of a range: from which end, and whether what it gives is lent.
fn step(
    range: &mut Range<'_>,
    back: bool,
    lent: bool,
) -> vellum::Result<Option<(Vec<u8>, Vec<u8>)>> {
    if lent {
        let entry = match back {
            false => range.next_lent()?,
            true => range.next_back_lent()?,
        };
        return Ok(entry.map(|(key, value)| (key.to_vec(), value.to_vec())));
    }
    let entry = match back {
        false => range.next().transpose()?,
        true => range.next_back().transpose()?,
    };
    Ok(entry.map(|(key, value)| (key.to_vec(), value.to_vec())))
}

/// Records in pages, newer versions and deletions above some of them, own writes above those: of a
/// part of the keys only, so that each of the three ends before the others somewhere.
#[test]
fn ranges_are_those_of_an_ordered_map_however_they_are_asked() {
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let db = Database::in_memory().unwrap();
        let items = db.table("items").unwrap();
        let mut model = Map::new();
        let mut txn = db.begin().unwrap();
        for layer in 0..3_u8 {
            let (from, to) = (random.below(150), 50 + random.below(150));
            for number in from..to {
                if random.one_in(2) {
                    continue;
                }
                let key = format!("key{number:03}").into_bytes();
                if layer > 0 && random.one_in(3) {
                    txn.remove(&items, &key).unwrap();
                    model.remove(&key);
                } else {
                    let len = random.one_in(40).then_some(9_000);
                    let value = vec![layer; len.unwrap_or(random.index(90))];
                    txn.insert(&items, &key, &value).unwrap();
                    model.insert(key, value);
                }
            }
            // The last layer stays the transaction's own in every other run.
            if layer < 2 || seed % 2 == 0 {
                txn.commit().unwrap();
                txn = db.begin().unwrap();
            }
            if layer == 0 {
                db.checkpoint().unwrap();
            }
        }
        for _ in 0..8 {
            let bound = |random: &mut Random| format!("key{:03}", random.below(200)).into_bytes();
            let (from, to) = (bound(&mut random), bound(&mut random));
            let mut range = txn.range(&items, &from[..]..&to[..]).unwrap();
            let expected = match from < to {
                true => model.range(from..to),
                false => model.range(Vec::new()..Vec::new()),
            };
            let mut expected = expected.map(|(key, value)| (key.clone(), value.clone()));
            // Mostly from one end, so that what is above ends first there.
            let often = random.one_in(2);
            for _ in 0..expected.clone().count() + 3 {
                let back = often ^ random.one_in(6);
                let found = step(&mut range, back, random.one_in(2)).unwrap();
                let expected = match back {
                    true => expected.next_back(),
                    false => expected.next(),
                };
                assert_eq!(found, expected, "seed {seed}");
            }
        }
    }
}

#[test]
fn after_an_error_a_range_is_empty() {
    let disk = SimDisk::new(1);
    let options = common::small().background(false);
    let db = options.open_on(disk.disk()).unwrap();
    let items = db.table("items").unwrap();
    let mut txn = db.begin().unwrap();
    for number in 0..2_000_u32 {
        txn.insert(&items, number.to_be_bytes(), [7; 100]).unwrap();
    }
    txn.commit().unwrap();
    db.checkpoint().unwrap();
    drop((items, db));
    for (back, lent) in [(false, false), (false, true), (true, false), (true, true)] {
        let db = options.open_on(disk.disk()).unwrap();
        let items = db.open_table("items").unwrap();
        let read = db.begin_read().unwrap();
        let mut range = read.iter(&items).unwrap();
        assert!(step(&mut range, back, lent).unwrap().is_some());
        disk.fail(Fault {
            at: 0,
            only: Some(CallKind::Read),
            trouble: Trouble::Io,
            lasting: Lasting::Once,
        });
        let mut passed = 1;
        let error = loop {
            match step(&mut range, back, lent) {
                Ok(entry) => assert!(entry.is_some()),
                Err(error) => break error,
            }
            passed += 1;
        };
        assert!(
            matches!(error, Error::Io { .. }) && passed < 2_000,
            "{error}"
        );
        // The disk is well again, but what was missed would be missing.
        for back in [false, true] {
            assert_eq!(step(&mut range, back, lent).unwrap(), None);
        }
        assert_eq!(read.iter(&items).unwrap().count(), 2_000);
    }
}
