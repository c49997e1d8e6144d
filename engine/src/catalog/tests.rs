//! What the catalog answers before and after changes, also of a damaged log.

use super::*;

fn empty() -> Catalog {
    let origin = Arc::new(Origin {
        path: "test".into(),
    });
    Catalog::new(origin, Arc::new(Plugins::new(Vec::new(), Vec::new())))
}

fn apply(catalog: &Catalog, change: Change, at: u64, settled: u64) -> Result<Catalog, ChangeError> {
    catalog.apply(change, Timestamp(at), Timestamp(settled), |_, _| Ok(()))
}

fn create(catalog: &Catalog, name: &str, at: u64) -> Catalog {
    let change = Change::CreateTable {
        table: catalog.next_table(),
        name: name.into(),
        options: TableOptions::new(),
    };
    apply(catalog, change, at, 0).unwrap()
}

#[test]
fn a_dropped_table_stays_for_snapshots_before_its_dropping_is_settled() {
    let made = create(&empty(), "t", 10);
    let (table, _) = made.find("t").unwrap();
    let drop = Change::DropTable { table: table.id() };
    let dropped = apply(&made, drop, 20, 10).unwrap();
    assert!(dropped.find("t").is_none());
    assert!(!dropped.is_open(table.id()));
    assert!(matches!(
        dropped.check(&table, Timestamp(9)),
        Err(Error::NotInSnapshot { .. })
    ));
    assert!(dropped.check(&table, Timestamp(10)).is_ok());
    assert!(dropped.check(&table, Timestamp(19)).is_ok());
    assert!(matches!(
        dropped.check(&table, Timestamp(20)),
        Err(Error::TableDropped { .. })
    ));
}

#[test]
fn numbers_are_not_used_twice_after_pruning() {
    let made = create(&empty(), "t", 10);
    let (old, _) = made.find("t").unwrap();
    let drop = Change::DropTable { table: old.id() };
    let dropped = apply(&made, drop, 20, 10).unwrap();
    let change = Change::CreateTable {
        table: dropped.next_table(),
        name: "t".into(),
        options: TableOptions::new(),
    };
    let again = apply(&dropped, change, 30, 20).unwrap();
    let (new, _) = again.find("t").unwrap();
    assert_ne!(old, new);
    assert!(matches!(
        again.check(&old, Timestamp(30)),
        Err(Error::TableDropped { .. })
    ));
    assert!(again.check(&new, Timestamp(30)).is_ok());
    assert_eq!(again.names_at(Timestamp(30)), ["t"]);
}

#[test]
fn changes_from_a_damaged_log_are_refused() {
    let made = create(&empty(), "t", 10);
    let wrong = [
        Change::CreateTable {
            table: TableId(0),
            name: "u".into(),
            options: TableOptions::new(),
        },
        Change::CreateTable {
            table: TableId(7),
            name: "u".into(),
            options: TableOptions::new(),
        },
        Change::CreateTable {
            table: TableId(1),
            name: "t".into(),
            options: TableOptions::new(),
        },
        Change::DropTable { table: TableId(1) },
        Change::FinishLoad { table: TableId(0) },
        Change::SetOptions {
            table: TableId(1),
            options: TableOptions::new(),
        },
        Change::DropIndex {
            index: IndexId(0),
            table: TableId(0),
        },
    ];
    for change in wrong {
        assert!(apply(&made, change.clone(), 11, 0).is_err(), "{change:?}");
    }
}

#[test]
fn types_are_never_changed() {
    let made = create(&empty(), "t", 10);
    let types = |value: &str| {
        let (key, value) = ("u64".to_owned(), value.to_owned());
        Arc::new(Types { key, value })
    };
    let set = |catalog: &Catalog, types| {
        let table = TableId(0);
        apply(catalog, Change::SetTypes { table, types }, 11, 0)
    };
    let typed = set(&made, types("str")).unwrap();
    assert!(set(&typed, types("str")).is_ok());
    assert!(set(&typed, types("bytes")).is_err());
}
