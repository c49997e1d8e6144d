//! Searches belong to their snapshot: what they find is what a comparison of all its records finds.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod common;

use common::put;
use proptest::prelude::*;
use vellum::{Database, Durability, Error, Exact, Hit, InvalidArgument, Metric, Record};

fn keys(hits: &[Hit<'_>]) -> Vec<String> {
    hits.iter()
        .map(|hit| String::from_utf8(hit.key().to_vec()).unwrap())
        .collect()
}

fn database(metric: Metric) -> (Database, vellum::Table) {
    let db = Database::in_memory().unwrap();
    let items = db.table("items").unwrap();
    db.create_index(&items, "v", Exact::new(2, metric)).unwrap();
    (db, items)
}

fn insert(db: &Database, table: &vellum::Table, records: &[(&str, [f32; 2])]) {
    let mut txn = db.begin().unwrap();
    for (key, vector) in records {
        let value = format!("value of {key}");
        txn.insert_record(table, key, Record::new(&value).vector("v", vector))
            .unwrap();
    }
    txn.commit().unwrap();
}

#[test]
fn each_metric_orders_by_its_own_nearness() {
    let records = [
        ("far", [9.0, 9.0]),
        ("near", [1.0, 0.9]),
        ("turned", [-1.0, 1.0]),
    ];
    for (metric, expected) in [
        (Metric::L2, ["near", "turned", "far"]),
        (Metric::Cosine, ["far", "near", "turned"]),
        (Metric::InnerProduct, ["far", "near", "turned"]),
    ] {
        let (db, items) = database(metric);
        insert(&db, &items, &records);
        let read = db.begin_read().unwrap();
        let hits = read
            .search(&items, "v", &[1.0, 1.0])
            .unwrap()
            .run()
            .unwrap();
        assert_eq!(keys(&hits), expected, "{metric}");
        assert!(
            hits.windows(2)
                .all(|pair| pair[0].distance() <= pair[1].distance())
        );
        assert_eq!(
            hits[0].value().as_ref(),
            format!("value of {}", expected[0]).as_bytes()
        );
        assert_eq!(hits[0].record().vector("v").unwrap().dimension(), 2);
    }
}

#[test]
fn a_snapshots_answers_do_not_change() {
    let (db, items) = database(Metric::L2);
    insert(
        &db,
        &items,
        &[("a", [1.0, 0.0]), ("b", [2.0, 0.0]), ("c", [3.0, 0.0])],
    );
    let read = db.begin_read().unwrap();
    let before = keys(
        &read
            .search(&items, "v", &[0.0, 0.0])
            .unwrap()
            .run()
            .unwrap(),
    );
    insert(&db, &items, &[("a", [9.0, 0.0]), ("new", [0.0, 0.0])]);
    let mut txn = db.begin().unwrap();
    txn.remove(&items, "b").unwrap();
    txn.commit().unwrap();
    put(&db, &items, "c", "no vector");
    let again = keys(
        &read
            .search(&items, "v", &[0.0, 0.0])
            .unwrap()
            .run()
            .unwrap(),
    );
    assert_eq!(before, ["a", "b", "c"]);
    assert_eq!(again, before);
    let read = db.begin_read().unwrap();
    assert_eq!(
        keys(
            &read
                .search(&items, "v", &[0.0, 0.0])
                .unwrap()
                .run()
                .unwrap()
        ),
        ["new", "a"]
    );
}

#[test]
fn own_writes_are_found_and_mask_what_they_replace() {
    let (db, items) = database(Metric::L2);
    insert(
        &db,
        &items,
        &[
            ("a", [1.0, 0.0]),
            ("b", [2.0, 0.0]),
            ("c", [3.0, 0.0]),
            ("d", [4.0, 0.0]),
        ],
    );
    let mut txn = db.begin().unwrap();
    txn.insert_record(&items, "a", Record::new("moved").vector("v", &[2.5, 0.0]))
        .unwrap();
    txn.remove(&items, "b").unwrap();
    txn.insert(&items, "c", "no vector").unwrap();
    txn.insert_record(&items, "e", Record::new("new").vector("v", &[0.5, 0.0]))
        .unwrap();
    let search = || txn.search(&items, "v", &[0.0, 0.0]).unwrap();
    let hits = search().run().unwrap();
    assert_eq!(keys(&hits), ["e", "a", "d"]);
    assert_eq!(
        (hits[1].value().as_ref(), hits[1].record().version()),
        (&b"moved"[..], None)
    );
    assert_eq!(keys(&search().k(2).run().unwrap()), ["e", "a"]);
    assert_eq!(
        keys(&search().filter(|row| row.value() != "new").run().unwrap()),
        ["a", "d"]
    );
    assert_eq!(
        keys(&search().keys(&["b", "d", "e"]).run().unwrap()),
        ["e", "d"]
    );
    // Nobody else sees it.
    let read = db.begin_read().unwrap();
    let theirs = read
        .search(&items, "v", &[0.0, 0.0])
        .unwrap()
        .run()
        .unwrap();
    assert_eq!(keys(&theirs), ["a", "b", "c", "d"]);
}

#[test]
fn filters_and_key_sets_choose_before_the_k_nearest_are_taken() {
    let (db, items) = database(Metric::L2);
    let names: Vec<String> = (0..100).map(|at| format!("{at:03}")).collect();
    let records: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(at, key)| (key.as_str(), [at as f32, 0.0]))
        .collect();
    insert(&db, &items, &records);
    let read = db.begin_read().unwrap();
    let search = || read.search(&items, "v", &[0.0, 0.0]).unwrap().k(3);
    let even = search()
        .filter(|row| row.key().ends_with(b"0"))
        .run()
        .unwrap();
    assert_eq!(keys(&even), ["000", "010", "020"]);
    let twice = search()
        .filter(|row| row.key().ends_with(b"0"))
        .filter(|row| row.key().as_ref() > &b"050"[..]);
    assert_eq!(keys(&twice.run().unwrap()), ["060", "070", "080"]);
    let value = search().filter(|row| row.value() == "value of 042");
    assert_eq!(keys(&value.run().unwrap()), ["042"]);
    let chosen = ["077", "no such key", "055", "077", "099", "066"];
    assert_eq!(
        keys(&search().keys(&chosen).run().unwrap()),
        ["055", "066", "077"]
    );
    let both = search().keys(&chosen).filter(|row| row.key() != "055");
    assert_eq!(keys(&both.run().unwrap()), ["066", "077", "099"]);
    assert!(search().keys::<&str>(&[]).run().unwrap().is_empty());
    assert!(search().k(0).run().unwrap().is_empty());
    assert_eq!(search().k(usize::MAX).run().unwrap().len(), 100);
    assert!(matches!(
        search().keys(&[""]).run(),
        Err(Error::InvalidArgument(InvalidArgument::KeyEmpty))
    ));
}

#[test]
fn equals_are_ordered_by_key_also_where_k_cuts_them() {
    let (db, items) = database(Metric::L2);
    // Committed in an order that is not that of the keys, so rows are numbered otherwise.
    for at in 0..50 {
        let key = format!("{:02}", at * 37 % 50);
        insert(&db, &items, &[(key.as_str(), [1.0, 0.0])]);
    }
    insert(&db, &items, &[("zz", [0.0, 0.0])]);
    let read = db.begin_read().unwrap();
    for k in [1, 2, 5, 13, 49, 51, 60] {
        let hits = read
            .search(&items, "v", &[0.0, 0.0])
            .unwrap()
            .k(k)
            .run()
            .unwrap();
        let expected = std::iter::once("zz".to_owned()).chain((0..50).map(|at| format!("{at:02}")));
        assert_eq!(keys(&hits), expected.take(k).collect::<Vec<_>>());
    }
}

#[test]
fn queries_that_have_no_answer_are_refused_by_name() {
    let (db, items) = database(Metric::Cosine);
    insert(&db, &items, &[("a", [1.0, 0.0])]);
    let read = db.begin_read().unwrap();
    let argument = |error: Error| match error {
        Error::InvalidArgument(argument) => argument,
        other => panic!("{other}"),
    };
    let wrong = argument(read.search(&items, "v", &[1.0]).unwrap_err());
    assert!(matches!(
        wrong,
        InvalidArgument::Dimension {
            expected: 2,
            found: 1,
            key: None,
            ..
        }
    ));
    let nan = argument(read.search(&items, "v", &[1.0, f32::NAN]).unwrap_err());
    assert!(matches!(
        nan,
        InvalidArgument::NotFinite { position: 1, .. }
    ));
    let zero = argument(
        read.search(&items, "v", &[0.0, 0.0])
            .unwrap()
            .run()
            .unwrap_err(),
    );
    assert!(matches!(zero, InvalidArgument::Index { .. }));
    insert(&db, &items, &[("zero", [0.0, 0.0])]);
    let read = db.begin_read().unwrap();
    assert_eq!(
        read.search(&items, "v", &[1.0, 0.0])
            .unwrap()
            .run()
            .unwrap()
            .len(),
        2
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Against a comparison of all records, over random writes, with own writes open on top.
    #[test]
    fn a_search_finds_what_a_comparison_of_all_records_finds(
        commits in prop::collection::vec(
            prop::collection::vec((0u8..40, prop::option::of((-4i8..4, -4i8..4))), 1..12), 1..12),
        own in prop::collection::vec((0u8..40, prop::option::of((-4i8..4, -4i8..4))), 0..12),
        query in (-4i8..4, -4i8..4),
        k in 0usize..30,
    ) {
        let (db, items) = database(Metric::L2);
        let mut model = std::collections::BTreeMap::new();
        let write = |txn: &mut vellum::Transaction, model: &mut std::collections::BTreeMap<u8, [f32; 2]>, writes: &[(u8, Option<(i8, i8)>)]| {
            for (key, vector) in writes {
                match vector {
                    Some((x, y)) => {
                        let vector = [f32::from(*x), f32::from(*y)];
                        txn.insert_record(&items, [*key], Record::new("v").vector("v", &vector)).unwrap();
                        model.insert(*key, vector);
                    }
                    None if *key % 2 == 0 => {
                        txn.remove(&items, [*key]).unwrap();
                        model.remove(key);
                    }
                    None => {
                        txn.insert(&items, [*key], "no vector").unwrap();
                        model.remove(key);
                    }
                }
            }
        };
        for writes in &commits {
            let mut txn = db.begin().unwrap();
            write(&mut txn, &mut model, writes);
            txn.commit_with(Durability::Buffered).unwrap();
        }
        let query = [f32::from(query.0), f32::from(query.1)];
        let expected = |model: &std::collections::BTreeMap<u8, [f32; 2]>| {
            let distance = |v: &[f32; 2]| (v[0] - query[0]).powi(2) + (v[1] - query[1]).powi(2);
            let mut all: Vec<_> = model.iter().map(|(key, v)| (distance(v) as u32, *key)).collect();
            all.sort();
            all.truncate(k);
            all
        };
        let seen = |hits: &[Hit<'_>]| -> Vec<(u32, u8)> {
            hits.iter().map(|hit| (hit.distance() as u32, hit.key()[0])).collect()
        };
        let read = db.begin_read().unwrap();
        let hits = read.search(&items, "v", &query).unwrap().k(k).run().unwrap();
        prop_assert_eq!(seen(&hits), expected(&model));
        let mut txn = db.begin().unwrap();
        write(&mut txn, &mut model, &own);
        let hits = txn.search(&items, "v", &query).unwrap().k(k).run().unwrap();
        prop_assert_eq!(seen(&hits), expected(&model));
    }
}
