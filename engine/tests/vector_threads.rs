//! Many threads that insert vectors and search them at once: no failed call, no phantom, no gap.
//!
//! Each search is compared with all records of its own snapshot, so no allowance is made for what
//! others do meanwhile.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

use std::collections::BTreeMap;

use vellum::{Database, Durability, Exact, Metric, ReadTransaction, Record, Table};

const DIMENSION: usize = 8;
/// Vectors that each inserter brings.
const EACH: u32 = 120;

/// Decided by its number, so that a searcher knows what belongs to a key.
fn vector(number: u32, dimension: usize) -> Vec<f32> {
    let component = |place: usize| {
        let mixed = (number + 1).wrapping_mul(2_654_435_761) ^ (place as u32).wrapping_mul(0x9E37);
        (mixed % 2001) as f32 / 1000.0 - 1.0
    };
    (0..dimension).map(component).collect()
}

fn number_of(key: &[u8]) -> u32 {
    u32::from_be_bytes(key.try_into().unwrap())
}

/// The search finds every record of its snapshot, once, with its own vector's distance.
fn check(read: &ReadTransaction, table: &Table, query: &[f32]) -> usize {
    let search = read.search(table, "v", query).unwrap();
    let hits = search.k(usize::MAX).run().unwrap();
    assert!(hits.is_complete());
    assert!(hits.is_sorted_by(|a, b| a.distance() <= b.distance()));
    let mut found = BTreeMap::new();
    for hit in &*hits {
        let key = hit.key().to_vec();
        let expected: f32 = vector(number_of(&key), DIMENSION)
            .iter()
            .zip(query)
            .map(|(a, b)| (a - b) * (a - b))
            .sum();
        assert!((hit.distance() - expected).abs() <= 1e-4, "{key:?}");
        assert!(found.insert(key, ()).is_none(), "found twice");
    }
    let standing = read
        .iter(table)
        .unwrap()
        .map(|entry| entry.unwrap().0.to_vec());
    assert!(
        standing.eq(found.into_keys()),
        "not what the snapshot holds"
    );
    hits.len()
}

/// `inserters` that put `batch` vectors into a commit each, beside `searchers`.
fn run(inserters: u32, batch: u32, searchers: u32) {
    let db = Database::in_memory().unwrap();
    let items = db.table("items").unwrap();
    let index = Exact::new(DIMENSION, Metric::L2);
    db.create_index(&items, "v", index).unwrap();
    std::thread::scope(|scope| {
        for inserter in 0..inserters {
            let (db, items) = (db.clone(), items.clone());
            scope.spawn(move || {
                for first in (0..EACH).step_by(batch as usize) {
                    let mut txn = db.begin().unwrap();
                    for at in first..first + batch {
                        let number = inserter * EACH + at;
                        let vector = vector(number, DIMENSION);
                        let record = Record::new("").vector("v", &vector);
                        txn.insert_record(&items, number.to_be_bytes(), record)
                            .unwrap();
                    }
                    txn.commit().unwrap();
                }
            });
        }
        for searcher in 0..searchers {
            let (db, items) = (db.clone(), items.clone());
            scope.spawn(move || {
                let mut before = 0;
                for round in 0..20 {
                    let read = db.begin_read().unwrap();
                    let query = vector(searcher * 1000 + round, DIMENSION);
                    let found = check(&read, &items, &query);
                    assert!(found >= before && found.is_multiple_of(batch as usize));
                    before = found;
                }
            });
        }
    });
    let read = db.begin_read().unwrap();
    let found = check(&read, &items, &vector(0, DIMENSION));
    assert_eq!(found, (inserters * EACH) as usize);
}

#[test]
fn two_inserters_beside_two_searchers() {
    run(2, 1, 2);
}

#[test]
fn four_inserters_of_batches() {
    run(4, 30, 0);
}

#[test]
fn eight_inserters_beside_eight_searchers() {
    run(8, 4, 8);
}

#[test]
fn eight_inserters_into_one_index() {
    run(8, 1, 0);
}

#[test]
fn writers_of_the_same_keys_beside_searchers() {
    let db = Database::in_memory().unwrap();
    let items = db.table("items").unwrap();
    let index = Exact::new(DIMENSION, Metric::L2);
    db.create_index(&items, "v", index).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..4u32 {
            let (db, items) = (db.clone(), items.clone());
            scope.spawn(move || {
                for round in 0..150u32 {
                    let number = round.wrapping_mul(7) % 23;
                    let vector = vector(number, DIMENSION);
                    let write = |txn: &mut vellum::Transaction| match (round + writer) % 3 {
                        0 => txn.remove(&items, number.to_be_bytes()),
                        _ => {
                            let record = Record::new("").vector("v", &vector);
                            txn.insert_record(&items, number.to_be_bytes(), record)
                        }
                    };
                    db.transact_with(Durability::Buffered, write).unwrap();
                }
            });
        }
        for searcher in 0..2 {
            let (db, items) = (db.clone(), items.clone());
            scope.spawn(move || {
                for round in 0..60 {
                    let query = vector(searcher * 1000 + round, DIMENSION);
                    check(&db.begin_read().unwrap(), &items, &query);
                }
            });
        }
    });
    check(&db.begin_read().unwrap(), &items, &vector(1, DIMENSION));
}

#[test]
fn spaces_of_one_store_do_not_mix() {
    let db = Database::in_memory().unwrap();
    let spaces = [
        ("image", 512, Metric::Cosine),
        ("text", 128, Metric::L2),
        ("sound", 768, Metric::Cosine),
    ];
    let tables = ["one", "two"].map(|name| db.table(name).unwrap());
    for table in &tables {
        for (column, dimension, metric) in spaces {
            let index = Exact::new(dimension, metric);
            db.create_index(table, column, index).unwrap();
        }
    }
    // Each record is in two of the three spaces, the tables in different ones.
    for (place, table) in tables.iter().enumerate() {
        let mut txn = db.begin().unwrap();
        for number in 0..30u32 {
            let vectors: Vec<_> = spaces
                .iter()
                .enumerate()
                .filter(|(space, _)| !(number as usize + place + space).is_multiple_of(3))
                .map(|(_, (column, dimension, _))| (*column, vector(number, *dimension)))
                .collect();
            let record = Record::new("");
            let record = vectors.iter().fold(record, |record, (column, vector)| {
                record.vector(column, vector)
            });
            txn.insert_record(table, number.to_be_bytes(), record)
                .unwrap();
        }
        txn.commit().unwrap();
    }
    let read = db.begin_read().unwrap();
    for (place, table) in tables.iter().enumerate() {
        for (space, (column, dimension, _)) in spaces.iter().enumerate() {
            let query = vector(4, *dimension);
            let hits = read.search(table, column, &query).unwrap().k(100);
            let hits = hits.run().unwrap();
            let mut found: Vec<_> = hits.iter().map(|hit| number_of(&hit.key())).collect();
            let nearest = found.first().copied();
            found.sort_unstable();
            let is_in = |number: &u32| !(*number as usize + place + space).is_multiple_of(3);
            let expected: Vec<_> = (0..30).filter(is_in).collect();
            assert_eq!(found, expected, "{column}");
            assert_eq!(nearest == Some(4), is_in(&4), "{column}");
        }
    }
}
