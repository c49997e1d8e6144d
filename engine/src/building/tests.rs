//! The moments of a filling, one by one: what a commit between two of them comes to.

use super::*;
use crate::schema::commit_index;
use crate::{Database, Exact, InvalidArgument, Metric, NewIndex, Record};

fn one_dimension() -> Exact {
    Exact::new(1, Metric::L2)
}

fn new_entry(db: &Database) -> IndexEntry {
    let definition = NewIndex::from(one_dimension()).define("v").unwrap();
    let snapshot = Snapshot::begin(db.handle().clone());
    let catalog = snapshot.reader().schema();
    IndexEntry::new(catalog.next_index(), definition, catalog.plugins()).unwrap()
}

fn put(db: &Database, table: &Table, key: &str, vector: &[f32]) -> Result<()> {
    let mut txn = db.begin()?;
    txn.insert_record(table, key, Record::new(key).vector("v", vector))?;
    txn.commit().map(drop)
}

fn remove(db: &Database, table: &Table, key: &str) {
    let mut txn = db.begin().unwrap();
    txn.remove(table, key).unwrap();
    txn.commit().unwrap();
}

/// Key and distance of everything that the index finds, nearest first.
fn found(db: &Database, table: &Table) -> Vec<(String, f32)> {
    let read = db.begin_read().unwrap();
    let hits = read.search(table, "v", &[0.0]).unwrap().k(100);
    let hits = hits.run().unwrap();
    let text = |key: &[u8]| String::from_utf8(key.to_vec()).unwrap();
    hits.iter()
        .map(|hit| (text(&hit.key()), hit.distance().sqrt()))
        .collect()
}

fn expect(found: &[(String, f32)], expected: &[(&str, f32)]) {
    let found = found
        .iter()
        .map(|(key, distance)| (key.as_str(), *distance));
    assert_eq!(found.collect::<Vec<_>>(), expected);
}

#[test]
fn what_is_committed_at_any_moment_of_the_filling_is_found_once() {
    let db = Database::in_memory().unwrap();
    let items = db.table("items").unwrap();
    for (key, at) in [("a", 1.0), ("b", 2.0), ("c", 3.0), ("d", 4.0), ("e", 5.0)] {
        put(&db, &items, key, &[at]).unwrap();
    }
    let before = db.begin().unwrap();
    let entry = new_entry(&db);
    let building = Building::begin(db.handle(), &items, &entry).unwrap();
    // A transaction that was open before feeds the column like any other.
    let mut open = before;
    let record = Record::new("").vector("v", &[6.0]);
    open.insert_record(&items, "f", record).unwrap();
    open.commit().unwrap();
    put(&db, &items, "b", &[20.0]).unwrap();
    remove(&db, &items, "c");
    building.copy().unwrap();
    put(&db, &items, "d", &[40.0]).unwrap();
    put(&db, &items, "g", &[7.0]).unwrap();
    put(&db, &items, "b", &[21.0]).unwrap();
    remove(&db, &items, "e");
    put(&db, &items, "c", &[30.0]).unwrap();
    assert!(db.list_indexes(&items).unwrap().is_empty());
    assert!(matches!(
        db.begin_read().unwrap().search(&items, "v", &[0.0]),
        Err(Error::UnknownIndex { .. })
    ));
    assert!(commit_index(db.handle(), items.id(), entry.clone()).unwrap());
    let mut expected = vec![("a", 1.0), ("f", 6.0), ("g", 7.0)];
    expected.extend([("b", 21.0), ("c", 30.0), ("d", 40.0)]);
    expect(&found(&db, &items), &expected);
    // It is fed on, once, as the index that it is now.
    put(&db, &items, "h", &[8.0]).unwrap();
    drop(building);
    expected.insert(3, ("h", 8.0));
    expect(&found(&db, &items), &expected);
}

#[test]
fn a_filling_that_ends_without_its_commit_leaves_nothing() {
    let db = Database::in_memory().unwrap();
    let items = db.table("items").unwrap();
    let entry = new_entry(&db);
    let building = Building::begin(db.handle(), &items, &entry).unwrap();
    let refused = put(&db, &items, "a", &[1.0, 2.0]).unwrap_err();
    assert!(matches!(
        refused,
        Error::InvalidArgument(InvalidArgument::Dimension { expected: 1, .. })
    ));
    drop(building);
    put(&db, &items, "a", &[1.0, 2.0]).unwrap();
    assert!(db.list_indexes(&items).unwrap().is_empty());
    assert_eq!(entry.column.rows().len(), 0);
}

#[test]
fn a_vector_that_contradicts_ends_the_making_before_it_begins() {
    let db = Database::in_memory().unwrap();
    let items = db.table("items").unwrap();
    put(&db, &items, "a", &[1.0, 2.0]).unwrap();
    let views = || Snapshot::begin(db.handle().clone()).reader().schema() as *const _;
    let (entry, before) = (new_entry(&db), views());
    let refused = Building::begin(db.handle(), &items, &entry).map(drop);
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("\"a\""), "{text}");
    // No committer was told of it: the catalog is the same one.
    assert!(std::ptr::eq::<crate::catalog::Catalog>(before, views()));
}

#[test]
fn a_filled_index_that_was_overtaken_keeps_its_rows() {
    let db = Database::in_memory().unwrap();
    let items = db.table("items").unwrap();
    put(&db, &items, "a", &[1.0]).unwrap();
    let entry = new_entry(&db);
    let building = Building::begin(db.handle(), &items, &entry).unwrap();
    building.copy().unwrap();
    db.create_index(&items, "w", one_dimension()).unwrap();
    put(&db, &items, "b", &[2.0]).unwrap();
    assert!(!commit_index(db.handle(), items.id(), entry.clone()).unwrap());
    put(&db, &items, "c", &[3.0]).unwrap();
    let entry = entry.clone().numbered(new_entry(&db).id);
    assert!(commit_index(db.handle(), items.id(), entry).unwrap());
    drop(building);
    expect(&found(&db, &items), &[("a", 1.0), ("b", 2.0), ("c", 3.0)]);
}

#[test]
fn the_first_of_two_on_a_column_wins_and_the_other_leaves_nothing() {
    let db = Database::in_memory().unwrap();
    let items = db.table("items").unwrap();
    put(&db, &items, "a", &[1.0]).unwrap();
    let entry = new_entry(&db);
    let building = Building::begin(db.handle(), &items, &entry).unwrap();
    building.copy().unwrap();
    db.create_index(&items, "v", one_dimension()).unwrap();
    put(&db, &items, "b", &[2.0]).unwrap();
    let entry = entry.clone().numbered(new_entry(&db).id);
    assert!(!commit_index(db.handle(), items.id(), entry).unwrap());
    drop(building);
    expect(&found(&db, &items), &[("a", 1.0), ("b", 2.0)]);
    db.drop_index(&items, "v").unwrap();
    put(&db, &items, "a", &[1.0, 2.0]).unwrap();
}

#[test]
fn dropping_the_table_ends_the_making() {
    let db = Database::in_memory().unwrap();
    let items = db.table("items").unwrap();
    let entry = new_entry(&db);
    let building = Building::begin(db.handle(), &items, &entry).unwrap();
    db.drop_table(&items).unwrap();
    building.copy().unwrap();
    assert!(!commit_index(db.handle(), items.id(), entry.clone()).unwrap());
    drop(building);
    let again = Building::begin(db.handle(), &items, &entry).map(drop);
    assert!(matches!(again, Err(Error::TableDropped { .. })));
}
