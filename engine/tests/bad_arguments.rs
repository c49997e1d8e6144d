//! Arguments that cannot be right get an error of their own, and nothing written is lost by them.

#![expect(clippy::panic, reason = "a helper of tests fails its test")]

mod common;

use common::{now, put};
use vellum::{
    COMMIT_BYTES_MAX, Database, Error, Exact, InvalidArgument, KEY_BYTES_MAX, Metric, Options,
    Record, VALUE_BYTES_MAX,
};

fn argument(error: Error) -> InvalidArgument {
    assert!(!error.is_retryable());
    match error {
        Error::InvalidArgument(argument) => argument,
        other => panic!("{other}"),
    }
}

#[test]
fn keys_have_1_to_2048_bytes() {
    let db = Database::in_memory().unwrap();
    let items = db.table("items").unwrap();
    let mut txn = db.begin().unwrap();
    let longest = vec![b'k'; KEY_BYTES_MAX];
    txn.insert(&items, &longest, "kept").unwrap();
    let long = [&longest[..], b"k"].concat();
    let too_long = InvalidArgument::KeyTooLong {
        bytes: 2049,
        limit: 2048,
    };
    assert_eq!(
        argument(txn.insert(&items, "", "v").unwrap_err()),
        InvalidArgument::KeyEmpty
    );
    assert_eq!(
        argument(txn.insert(&items, &long, "v").unwrap_err()),
        too_long
    );
    assert_eq!(
        argument(txn.remove(&items, "").unwrap_err()),
        InvalidArgument::KeyEmpty
    );
    assert_eq!(argument(txn.get(&items, &long).unwrap_err()), too_long);
    assert_eq!(
        argument(txn.get_many(&items, &["a", ""]).unwrap_err()),
        InvalidArgument::KeyEmpty
    );
    let swap = txn.compare_and_swap(&items, "", None, "v").unwrap_err();
    assert_eq!(argument(swap), InvalidArgument::KeyEmpty);
    txn.commit().unwrap();
    let read = db.begin_read().unwrap();
    assert_eq!(read.get(&items, &longest).unwrap().unwrap(), "kept");
    assert_eq!(
        argument(read.get(&items, "").unwrap_err()),
        InvalidArgument::KeyEmpty
    );
    assert_eq!(
        argument(read.get_record(&items, "").unwrap_err()),
        InvalidArgument::KeyEmpty
    );
}

#[test]
fn values_beyond_1_gib_are_refused_with_the_limit() {
    let db = Database::in_memory().unwrap();
    let items = db.table("items").unwrap();
    // Zeroed memory that is never touched: the length alone is looked at.
    let value = vec![0; VALUE_BYTES_MAX + 1];
    let mut txn = db.begin().unwrap();
    txn.insert(&items, "other", "kept").unwrap();
    let error = txn.insert(&items, "big", &value).unwrap_err();
    assert!(error.to_string().contains("1073741824"), "{error}");
    assert!(
        matches!(argument(error), InvalidArgument::ValueTooLarge { bytes, .. }
        if bytes == VALUE_BYTES_MAX + 1)
    );
    let record = Record::new(&value);
    assert!(txn.insert_record(&items, "big", record).is_err());
    txn.commit().unwrap();
    assert_eq!(now(&db, &items, "other").as_deref(), Some("kept"));
}

#[test]
fn vectors_beyond_1_gib_are_refused_with_the_limit() {
    let db = Database::in_memory().unwrap();
    let items = db.table("items").unwrap();
    let vector = vec![0.5; 65_536];
    let names: Vec<_> = (0..4096).map(|at| format!("{at:04}")).collect();
    let record = |count: usize| {
        let record = Record::new("");
        let names = names[..count].iter();
        names.fold(record, |record, name| record.vector(name, &vector))
    };
    let mut txn = db.begin().unwrap();
    let error = txn.insert_record(&items, "k", record(4096)).unwrap_err();
    assert!(
        error.to_string().contains(&VALUE_BYTES_MAX.to_string()),
        "{error}"
    );
    assert!(matches!(
        argument(error),
        InvalidArgument::VectorsTooLarge { bytes, .. } if bytes == VALUE_BYTES_MAX + 9 * 4096
    ));
    assert!(txn.get(&items, "k").unwrap().is_none());
}

#[test]
fn a_transaction_larger_than_a_commit_may_be_is_refused_with_the_limit() {
    let db = Options::new().memory_budget(24 << 30).in_memory().unwrap();
    let items = db.table("items").unwrap();
    let half = vec![0; usize::try_from(COMMIT_BYTES_MAX / 2).unwrap() - 1000];
    let mut txn = db.begin().unwrap();
    txn.insert(&items, "1", &half).unwrap();
    txn.insert(&items, "2", "small").unwrap();
    let error = txn
        .insert(&items, "3", &half)
        .map(|()| txn.insert(&items, "4", &half))
        .and_then(|r| r);
    let error = error.unwrap_err();
    assert!(
        error.to_string().contains(&COMMIT_BYTES_MAX.to_string()),
        "{error}"
    );
    assert!(
        matches!(argument(error), InvalidArgument::CommitTooLarge { limit, .. }
        if limit == COMMIT_BYTES_MAX)
    );
    // What was written before the refused write is still there.
    assert_eq!(txn.get(&items, "2").unwrap().unwrap(), "small");
}

#[test]
fn names_have_1_to_255_bytes_and_no_control_characters() {
    let db = Database::in_memory().unwrap();
    let items = db.table("items").unwrap();
    db.table(&"n".repeat(255)).unwrap();
    for name in ["", "line\nbreak", "nul\0", &"n".repeat(256)] {
        assert!(matches!(
            argument(db.table(name).unwrap_err()),
            InvalidArgument::Name { .. }
        ));
        assert!(matches!(
            argument(db.open_table(name).unwrap_err()),
            InvalidArgument::Name { .. }
        ));
        let index = db.create_index(&items, name, Exact::new(2, Metric::L2));
        assert!(matches!(
            argument(index.unwrap_err()),
            InvalidArgument::Name { .. }
        ));
        let mut txn = db.begin().unwrap();
        let record = Record::new("v").vector(name, &[1.0]);
        let refused = txn.insert_record(&items, "k", record).unwrap_err();
        assert!(matches!(argument(refused), InvalidArgument::Name { .. }));
    }
    assert_eq!(db.list_tables().unwrap().len(), 2);
}

#[test]
fn vectors_must_be_finite_and_of_the_indexs_dimension() {
    let db = Database::in_memory().unwrap();
    let items = db.table("items").unwrap();
    db.create_index(&items, "v", Exact::new(3, Metric::L2))
        .unwrap();
    put(&db, &items, "kept", "kept");
    let mut txn = db.begin().unwrap();
    let mut insert = |column: &'static str, vector: &[f32]| {
        txn.insert_record(&items, "k", Record::new("v").vector(column, vector))
            .unwrap_err()
    };
    let wrong = insert("v", &[1.0, 2.0]);
    assert!(wrong.to_string().contains("\"k\""), "{wrong}");
    assert!(matches!(
        argument(wrong),
        InvalidArgument::Dimension {
            expected: 3,
            found: 2,
            ..
        }
    ));
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let refused = argument(insert("v", &[1.0, bad, 2.0]));
        assert!(matches!(
            refused,
            InvalidArgument::NotFinite { position: 1, .. }
        ));
        // Also where there is no index yet.
        let refused = argument(insert("other", &[bad]));
        assert!(matches!(
            refused,
            InvalidArgument::NotFinite { position: 0, .. }
        ));
    }
    assert!(matches!(
        argument(insert("v", &[])),
        InvalidArgument::DimensionLimit { found: 0, .. }
    ));
    let long = vec![0.0; 65_537];
    assert!(matches!(
        argument(insert("w", &long)),
        InvalidArgument::DimensionLimit { .. }
    ));
    let twice = Record::new("v")
        .vector("a", &[1.0])
        .vector("b", &[1.0])
        .vector("a", &[2.0]);
    let refused = argument(txn.insert_record(&items, "k", twice).unwrap_err());
    assert_eq!(refused, InvalidArgument::ColumnTwice { column: "a".into() });
    txn.commit().unwrap();
    assert_eq!(now(&db, &items, "k"), None);
    assert_eq!(now(&db, &items, "kept").as_deref(), Some("kept"));
}

#[test]
fn a_vector_that_an_index_made_meanwhile_does_not_take_is_refused_at_the_commit() {
    let db = Database::in_memory().unwrap();
    let items = db.table("items").unwrap();
    let mut txn = db.begin().unwrap();
    txn.insert_record(&items, "k", Record::new("v").vector("v", &[1.0, 2.0]))
        .unwrap();
    db.create_index(&items, "v", Exact::new(3, Metric::L2))
        .unwrap();
    let refused = argument(txn.commit().unwrap_err());
    assert!(matches!(
        refused,
        InvalidArgument::Dimension {
            expected: 3,
            found: 2,
            ..
        }
    ));
    assert_eq!(now(&db, &items, "k"), None);
}

#[test]
fn options_that_cannot_work_are_refused_by_name() {
    for options in [
        Options::new().log_segment_bytes(0),
        Options::new().log_segment_bytes(100_000),
        Options::new().log_segment_bytes(u64::MAX),
        Options::new().memory_budget(0),
        Options::new().read_only(true),
    ] {
        let refused = argument(options.in_memory().unwrap_err());
        assert!(
            matches!(refused, InvalidArgument::Option { .. }),
            "{refused}"
        );
    }
}
