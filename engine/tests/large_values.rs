//! Values up to the limit, in memory and through the log.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod common;

use common::{Place, small};
use vellum::{Database, Durability, Options, VALUE_BYTES_MAX};

fn pattern(bytes: usize) -> Vec<u8> {
    let mut value = vec![0; bytes];
    for (at, word) in value.chunks_exact_mut(4096).enumerate() {
        word[..8].copy_from_slice(&(at as u64 + 1).to_le_bytes());
    }
    value
}

#[test]
fn a_value_of_1_gib_survives_reopening() {
    let place = Place::new();
    let db = Options::new().open(place.path()).unwrap();
    let items = db.table("items").unwrap();
    let value = pattern(VALUE_BYTES_MAX);
    let mut txn = db.begin().unwrap();
    txn.insert(&items, "big", &value).unwrap();
    txn.insert(&items, "small", "beside it").unwrap();
    txn.commit().unwrap();
    assert!(
        db.begin_read()
            .unwrap()
            .get(&items, "big")
            .unwrap()
            .unwrap()
            == value[..]
    );
    assert_eq!(db.stats().unwrap().log.unwrap().large_commits, 1);
    db.close().unwrap();
    let db = Options::new().open(place.path()).unwrap();
    let items = db.open_table("items").unwrap();
    let read = db.begin_read().unwrap();
    assert!(read.get(&items, "big").unwrap().unwrap() == value[..]);
    assert_eq!(read.get(&items, "small").unwrap().unwrap(), "beside it");
}

#[test]
fn values_around_every_size_that_is_treated_apart() {
    for segment in [1 << 20, 8 << 20] {
        values_around_sizes(small().log_segment_bytes(segment));
    }
}

fn values_around_sizes(options: Options) {
    let place = Place::new();
    let db = options
        .clone()
        .durability(Durability::Buffered)
        .open(place.path())
        .unwrap();
    let items = db.table("items").unwrap();
    // Inline and shared records; records of one and of more pieces; the log's own and large files.
    let around = [
        32 << 10,
        64 << 10,
        128 << 10,
        256 << 10,
        512 << 10,
        1 << 20,
        5 << 20,
    ];
    let sizes: Vec<usize> = around
        .iter()
        .flat_map(|at| [at - 300, at - 1, *at, at + 1])
        .collect();
    for size in &sizes {
        let mut txn = db.begin().unwrap();
        txn.insert(&items, size.to_be_bytes(), pattern(*size))
            .unwrap();
        txn.insert(
            &items,
            [&size.to_be_bytes()[..], b"+"].concat(),
            size.to_string(),
        )
        .unwrap();
        txn.commit().unwrap();
    }
    let check = |db: &Database| {
        let items = db.open_table("items").unwrap();
        let read = db.begin_read().unwrap();
        for size in &sizes {
            let value = read.get(&items, size.to_be_bytes()).unwrap().unwrap();
            assert!(value == pattern(*size)[..], "{size}");
        }
        assert_eq!(read.iter(&items).unwrap().count(), 2 * sizes.len());
    };
    check(&db);
    drop(db);
    check(&options.open(place.path()).unwrap());
}
