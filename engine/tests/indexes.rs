//! Indexes: made over standing rows, dropped, listed, and there again after reopening.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod common;

use common::{Place, put};
use vellum::{
    Database, Durability, Error, Exact, IndexInfo, InvalidArgument, Metric, NewIndex, Record, Table,
};

fn vector(db: &Database, table: &Table, key: &str, vector: &[f32]) {
    let insert = |txn: &mut vellum::Transaction| {
        txn.insert_record(table, key, Record::new(key).vector("v", vector))
    };
    db.transact_with(Durability::Buffered, insert).unwrap();
}

fn found(db: &Database, table: &Table, query: &[f32]) -> Vec<String> {
    let read = db.begin_read().unwrap();
    let hits = read
        .search(table, "v", query)
        .unwrap()
        .k(100)
        .run()
        .unwrap();
    assert!(hits.is_complete());
    let key = |hit: &vellum::Hit<'_>| String::from_utf8(hit.key().to_vec()).unwrap();
    hits.iter().map(key).collect()
}

#[test]
fn an_index_made_late_holds_the_rows_that_stand_as_they_are_now() {
    let place = Place::new();
    let db = place.open();
    let items = db.table("items").unwrap();
    for at in 0..20 {
        vector(&db, &items, &format!("{at:02}"), &[at as f32]);
    }
    put(&db, &items, "05", "no vector any more");
    vector(&db, &items, "06", &[100.0]);
    let mut txn = db.begin().unwrap();
    txn.remove(&items, "07").unwrap();
    txn.commit().unwrap();
    db.create_index(&items, "v", Exact::new(1, Metric::L2))
        .unwrap();
    let expected = |found: Vec<String>| {
        assert_eq!(found.len(), 18);
        assert_eq!(&found[..4], ["04", "08", "03", "09"]);
        assert_eq!(found[17], "06");
    };
    expected(found(&db, &items, &[5.9]));
    vector(&db, &items, "05", &[5.0]);
    assert_eq!(found(&db, &items, &[5.9])[0], "05");
    put(&db, &items, "05", "gone again");
    expected(found(&db, &items, &[5.9]));
    // The same after a replay, and after another one of what that wrote.
    drop(db);
    for _ in 0..2 {
        let db = place.open();
        expected(found(&db, &db.open_table("items").unwrap(), &[5.9]));
    }
}

#[test]
fn an_index_misses_nothing_that_is_committed_while_it_is_made() {
    let place = Place::new();
    let db = place.open();
    let items = db.table("items").unwrap();
    for at in 0..500 {
        vector(&db, &items, &format!("{at:04}"), &[at as f32]);
    }
    std::thread::scope(|scope| {
        for writer in 0..2 {
            let (db, items) = (db.clone(), items.clone());
            scope.spawn(move || {
                for at in 0..500 {
                    vector(&db, &items, &format!("{writer}+{at:04}"), &[at as f32]);
                    vector(&db, &items, &format!("{at:04}"), &[at as f32 + 0.5]);
                }
            });
        }
        db.create_index(&items, "v", Exact::new(1, Metric::L2))
            .unwrap();
    });
    let check = |db: &Database| {
        let items = db.open_table("items").unwrap();
        let read = db.begin_read().unwrap();
        let hits = read
            .search(&items, "v", &[0.0])
            .unwrap()
            .k(10_000)
            .run()
            .unwrap();
        assert_eq!(hits.len(), 1500);
        let mut keys: Vec<_> = hits.iter().map(|hit| hit.key().to_vec()).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), 1500, "a record was found twice");
        assert!(
            hits.iter()
                .all(|hit| hit.key().contains(&b'+') || hit.distance().sqrt() % 1.0 == 0.5)
        );
    };
    check(&db);
    drop(db);
    check(&place.open());
}

#[test]
fn an_index_includes_commits_that_are_not_settled_when_it_is_made() {
    let place = Place::new();
    // Without threads nothing settles by itself, so no snapshot has the second commit.
    let db = common::small()
        .background(false)
        .open(place.path())
        .unwrap();
    let items = db.table("items").unwrap();
    vector(&db, &items, "settled", &[1.0]);
    let mut txn = db.begin().unwrap();
    txn.insert_record(&items, "unsettled", Record::new("").vector("v", &[2.0]))
        .unwrap();
    let handle = txn.commit_with(Durability::Sync).unwrap();
    assert!(!handle.try_wait().unwrap());
    db.create_index(&items, "v", Exact::new(1, Metric::L2))
        .unwrap();
    assert_eq!(found(&db, &items, &[0.0]), ["settled", "unsettled"]);
}

#[test]
fn a_standing_vector_of_another_dimension_refuses_the_index_and_is_named() {
    let db = Database::in_memory().unwrap();
    let items = db.table("items").unwrap();
    vector(&db, &items, "good", &[1.0, 2.0]);
    vector(&db, &items, "odd", &[1.0, 2.0, 3.0]);
    let error = db
        .create_index(&items, "v", Exact::new(2, Metric::L2))
        .unwrap_err();
    let text = error.to_string();
    assert!(matches!(
        error,
        Error::InvalidArgument(InvalidArgument::Dimension {
            expected: 2,
            found: 3,
            ..
        })
    ));
    assert!(text.contains("odd"), "{text}");
    assert!(db.list_indexes(&items).unwrap().is_empty());
    put(&db, &items, "odd", "mended");
    db.create_index(&items, "v", Exact::new(2, Metric::L2))
        .unwrap();
    assert_eq!(found(&db, &items, &[0.0, 0.0]), ["good"]);
}

#[test]
fn indexes_are_listed_dropped_and_made_again() {
    let place = Place::new();
    let db = place.open();
    let items = db.table("items").unwrap();
    db.create_index(&items, "v", Exact::new(1, Metric::L2))
        .unwrap();
    db.create_index(&items, "w", Exact::new(2, Metric::InnerProduct))
        .unwrap();
    let described = |db: &Database, table: &Table| -> Vec<(String, String, usize, Metric)> {
        let info = |one: IndexInfo| (one.column, one.plugin, one.dimension, one.metric);
        db.list_indexes(table)
            .unwrap()
            .into_iter()
            .map(info)
            .collect()
    };
    let both = [
        ("v".to_owned(), "exact".to_owned(), 1, Metric::L2),
        ("w".to_owned(), "exact".to_owned(), 2, Metric::InnerProduct),
    ];
    assert_eq!(described(&db, &items), both);
    vector(&db, &items, "k", &[1.0]);
    let before = db.begin_read().unwrap();
    db.drop_index(&items, "v").unwrap();
    assert!(matches!(
        db.drop_index(&items, "v"),
        Err(Error::UnknownIndex { .. })
    ));
    let read = db.begin_read().unwrap();
    assert!(matches!(
        read.search(&items, "v", &[1.0]),
        Err(Error::UnknownIndex { .. })
    ));
    assert!(matches!(
        read.search(&items, "none", &[1.0]),
        Err(Error::UnknownIndex { .. })
    ));
    // The snapshot from before still has it, and its vectors stay in the records.
    assert_eq!(
        before
            .search(&items, "v", &[1.0])
            .unwrap()
            .run()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(before.list_indexes(&items).unwrap().len(), 2);
    // Without the index any dimension goes again; a new index may have another.
    vector(&db, &items, "k", &[1.0, 2.0]);
    db.create_index(&items, "v", Exact::new(2, Metric::Cosine))
        .unwrap();
    assert!(matches!(
        read.search(&items, "v", &[1.0, 0.0]),
        Err(Error::UnknownIndex { .. })
    ));
    assert_eq!(found(&db, &items, &[1.0, 0.0]), ["k"]);
    assert_eq!(
        before
            .search(&items, "v", &[1.0])
            .unwrap()
            .run()
            .unwrap()
            .len(),
        1
    );
    drop((before, read));
    db.close().unwrap();
    let db = place.open();
    let items = db.open_table("items").unwrap();
    let described = described(&db, &items);
    assert_eq!(
        (described[0].0.as_str(), described[1].0.as_str()),
        ("w", "v")
    );
    assert_eq!(described[1].3, Metric::Cosine);
    assert_eq!(found(&db, &items, &[1.0, 0.0]), ["k"]);
    let later = db.begin_read().unwrap();
    db.create_index(&items, "x", Exact::new(2, Metric::Cosine))
        .unwrap();
    assert!(matches!(
        later.search(&items, "x", &[1.0, 0.0]),
        Err(Error::UnknownIndex { .. })
    ));
    db.drop_table(&items).unwrap();
    assert!(matches!(
        db.list_indexes(&items),
        Err(Error::TableDropped { .. })
    ));
}

#[test]
fn the_same_index_made_again_changes_nothing_and_another_is_refused() {
    let place = Place::new();
    let db = place.open();
    let items = db.table("items").unwrap();
    let index = || Exact::new(1, Metric::L2);
    db.create_index(&items, "v", index()).unwrap();
    vector(&db, &items, "k", &[1.0]);
    let unchanged = |db: &Database, items: &Table| {
        let last = db.begin().unwrap().timestamp();
        db.create_index(items, "v", index()).unwrap();
        db.create_index(items, "v", NewIndex::new("exact", 1, Metric::L2))
            .unwrap();
        let others = [
            NewIndex::new("exact", 2, Metric::L2),
            NewIndex::new("exact", 1, Metric::Cosine),
            NewIndex::new("acme-ivf", 1, Metric::L2),
        ];
        for other in others {
            let error = db.create_index(items, "v", other.clone()).unwrap_err();
            let named = matches!(
                &error,
                Error::IndexExists { table, column } if table == "items" && column == "v"
            );
            assert!(named, "{other:?}: {error}");
        }
        assert_eq!(
            db.begin().unwrap().timestamp(),
            last,
            "something was committed"
        );
        assert_eq!(db.list_indexes(items).unwrap().len(), 1);
        assert_eq!(found(db, items, &[0.0]), ["k"]);
    };
    unchanged(&db, &items);
    db.close().unwrap();
    let db = place.open();
    let items = db.open_table("items").unwrap();
    unchanged(&db, &items);
    // A dropped one no longer stands: the next is made, over what stands then.
    db.drop_index(&items, "v").unwrap();
    vector(&db, &items, "l", &[2.0]);
    db.create_index(&items, "v", index()).unwrap();
    assert_eq!(found(&db, &items, &[0.0]), ["k", "l"]);
    db.close().unwrap();
    // Reading only, what stands can be had, and nothing made.
    let db = common::small().read_only(true).open(place.path()).unwrap();
    let items = db.open_table("items").unwrap();
    db.create_index(&items, "v", index()).unwrap();
    let made = db.create_index(&items, "w", index());
    assert!(matches!(made, Err(Error::ReadOnly)));
}

#[test]
fn threads_that_make_the_same_index_all_have_it() {
    let place = Place::new();
    let db = place.open();
    let items = db.table("items").unwrap();
    for at in 0..300 {
        vector(&db, &items, &format!("{at:03}"), &[at as f32]);
    }
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let (db, items) = (db.clone(), items.clone());
            scope.spawn(move || {
                db.create_index(&items, "v", Exact::new(1, Metric::L2))
                    .unwrap();
                assert_eq!(found(&db, &items, &[0.0]).len(), 100);
            });
        }
    });
    assert_eq!(db.list_indexes(&items).unwrap().len(), 1);
    vector(&db, &items, "000", &[1000.0]);
    assert_eq!(found(&db, &items, &[0.0])[0], "001");
    // Nobody's filling goes on: without the index any dimension goes.
    db.drop_index(&items, "v").unwrap();
    vector(&db, &items, "000", &[1.0, 2.0]);
}

#[test]
fn a_plugin_that_is_missing_is_named_at_making_and_at_opening() {
    let place = Place::new();
    let db = place.open();
    let items = db.table("items").unwrap();
    let unknown = db.create_index(&items, "v", NewIndex::new("acme-ivf", 2, Metric::L2));
    let text = unknown.unwrap_err().to_string();
    assert!(text.contains("acme-ivf"), "{text}");
    drop(db);

    let with = || common::small().index_plugin(std::sync::Arc::new(Acme(Default::default())));
    let db = with().open(place.path()).unwrap();
    let items = db.open_table("items").unwrap();
    db.create_index(&items, "v", NewIndex::new("acme-ivf", 1, Metric::L2))
        .unwrap();
    vector(&db, &items, "k", &[1.0]);
    assert_eq!(found(&db, &items, &[1.0]), ["k"]);
    drop(db);
    let text = common::small().open(place.path()).unwrap_err().to_string();
    assert!(text.contains("acme-ivf"), "{text}");
    let db = with().open(place.path()).unwrap();
    let items = db.open_table("items").unwrap();
    assert_eq!(found(&db, &items, &[1.0]), ["k"]);
    // Dropped, it is no longer needed.
    db.drop_index(&items, "v").unwrap();
    drop(db);
    drop(place.open());
}

/// Somebody's plugin: the exact index under another name.
struct Acme(vellum_exact::Exact);

impl vellum::plugin::IndexPlugin for Acme {
    fn name(&self) -> &str {
        "acme-ivf"
    }
    fn version(&self) -> u32 {
        1
    }
    fn open(
        &self,
        spec: &vellum::plugin::IndexSpec,
    ) -> Result<Box<dyn vellum::plugin::VectorIndex>, vellum::plugin::IndexError> {
        self.0.open(spec)
    }
}
