//! Merge operators: operands are never lost, whoever commits beside them, and what a transaction reads
//! of a key that it merged is what its commit would make of its snapshot.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod append;
mod common;

use std::collections::BTreeMap;

use common::{Place, small};
use proptest::prelude::*;
use vellum::{
    Database, Durability, Error, Exact, InvalidArgument, Isolation, Metric, Options, Record,
    Savepoint, Table, Transaction, Union,
};

fn options() -> Options {
    append::with_append(small())
}

fn opened() -> (Database, Table) {
    let db = options().in_memory().unwrap();
    let items = db.table("items").unwrap();
    (db, items)
}

fn append(txn: &mut Transaction, items: &Table, key: &str, more: &str) {
    txn.merge(items, key, "append", more).unwrap();
}

fn seen(txn: &Transaction, items: &Table, key: &str) -> Option<String> {
    let value = txn.get(items, key).unwrap();
    value.map(|value| String::from_utf8(value.to_vec()).unwrap())
}

fn now(db: &Database, items: &Table, key: &str) -> Option<String> {
    common::now(db, items, key)
}

#[test]
fn merges_of_transactions_that_overlap_are_all_there_in_the_order_of_commits() {
    let (db, items) = opened();
    let mut open: Vec<_> = (0..5).map(|_| db.begin().unwrap()).collect();
    for (n, txn) in open.iter_mut().enumerate() {
        append(txn, &items, "k", &n.to_string());
        append(txn, &items, "k", ",");
    }
    db.checkpoint().unwrap();
    for txn in open.into_iter().rev() {
        txn.commit().unwrap();
        db.checkpoint().unwrap();
    }
    assert_eq!(now(&db, &items, "k").unwrap(), "4,3,2,1,0,");
    assert_eq!(db.stats().unwrap().conflicts, 0);
}

#[test]
fn merges_go_over_what_others_wrote_and_writes_do_not_go_over_merges() {
    let (db, items) = opened();
    let (mut merges, mut writes) = (db.begin().unwrap(), db.begin().unwrap());
    append(&mut merges, &items, "k", "+");
    db.transact(|txn| txn.insert(&items, "k", "theirs"))
        .unwrap();
    merges.commit().unwrap();
    assert_eq!(now(&db, &items, "k").unwrap(), "theirs+");
    writes.insert(&items, "k", "mine").unwrap();
    assert!(matches!(writes.commit(), Err(Error::Conflict { .. })));
    // What was removed, and merged into pages since, is not there.
    let mut merges = db.begin().unwrap();
    append(&mut merges, &items, "k", "anew");
    db.transact(|txn| txn.remove(&items, "k")).unwrap();
    db.checkpoint().unwrap();
    merges.commit().unwrap();
    assert_eq!(now(&db, &items, "k").unwrap(), "anew");
}

#[test]
fn own_merges_are_read_everywhere() {
    let (db, items) = opened();
    let mut txn = db.begin().unwrap();
    for key in ["b", "d", "f"] {
        txn.insert(&items, key, key).unwrap();
    }
    txn.commit().unwrap();
    db.checkpoint().unwrap();
    db.transact(|txn| txn.insert(&items, "f", "F")).unwrap();
    let mut txn = db.begin().unwrap();
    for key in ["a", "b", "f", "g"] {
        append(&mut txn, &items, key, "1");
        append(&mut txn, &items, key, "2");
    }
    let expected = [
        ("a", "12"),
        ("b", "b12"),
        ("d", "d"),
        ("f", "F12"),
        ("g", "12"),
    ];
    let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(common::texts(txn.iter(&items).unwrap()), expected);
    let mut back = common::texts(txn.iter(&items).unwrap().rev());
    back.reverse();
    assert_eq!(back, expected);
    let mut lent = txn.iter(&items).unwrap();
    for (key, value) in &expected {
        let entry = lent.next_lent().unwrap().unwrap();
        assert_eq!(entry, (key.as_bytes(), value.as_bytes()));
        assert_eq!(seen(&txn, &items, key).unwrap(), *value);
        assert!(txn.contains_key(&items, key).unwrap());
    }
    let keys: Vec<_> = expected.iter().map(|(key, _)| key).collect();
    let many = txn.get_many(&items, &keys).unwrap();
    assert!(
        many.iter()
            .zip(&expected)
            .all(|(got, (_, value))| got.as_ref().unwrap() == value.as_str())
    );
    assert_eq!(
        txn.get_versioned(&items, "f").unwrap().unwrap().version(),
        None
    );
    drop((lent, many));
    assert!(txn.compare_and_swap(&items, "f", None, "x").is_err());
    txn.commit().unwrap();
    assert_eq!(
        common::texts(db.begin_read().unwrap().iter(&items).unwrap()),
        expected
    );
}

#[test]
fn merges_over_own_writes_and_writes_over_own_merges() {
    let (db, items) = opened();
    db.transact(|txn| txn.insert(&items, "k", "old")).unwrap();
    db.transact(|txn| txn.insert(&items, "q", 5u64.to_le_bytes()))
        .unwrap();
    let mut txn = db.begin().unwrap();
    txn.insert(&items, "k", "new").unwrap();
    append(&mut txn, &items, "k", "+");
    assert_eq!(seen(&txn, &items, "k").unwrap(), "new+");
    let first = txn.savepoint();
    txn.remove(&items, "k").unwrap();
    append(&mut txn, &items, "k", "alone");
    assert_eq!(seen(&txn, &items, "k").unwrap(), "alone");
    txn.rollback_to(&first).unwrap();
    assert_eq!(seen(&txn, &items, "k").unwrap(), "new+");
    append(&mut txn, &items, "m", "1");
    let second = txn.savepoint();
    append(&mut txn, &items, "m", "2");
    txn.rollback_to(&second).unwrap();
    append(&mut txn, &items, "m", "3");
    append(&mut txn, &items, "n", "gone");
    txn.insert(&items, "n", "put").unwrap();
    append(&mut txn, &items, "o", "gone");
    txn.remove(&items, "o").unwrap();
    // Another operator: the value itself is written.
    txn.merge(&items, "p", "union", Union::set(["a"])).unwrap();
    append(&mut txn, &items, "p", "");
    txn.merge(&items, "p", "union", Union::set(["b"])).unwrap();
    txn.merge(&items, "q", "add_u64", 2u64.to_le_bytes())
        .unwrap();
    append(&mut txn, &items, "q", "!");
    txn.commit().unwrap();
    assert_eq!(now(&db, &items, "k").unwrap(), "new+");
    assert_eq!(now(&db, &items, "m").unwrap(), "13");
    assert_eq!(now(&db, &items, "n").unwrap(), "put");
    assert_eq!(now(&db, &items, "o"), None);
    let read = db.begin_read().unwrap();
    assert_eq!(
        read.get(&items, "p").unwrap().unwrap(),
        &Union::set(["b", "a"])[..]
    );
    let sum = [&7u64.to_le_bytes()[..], b"!"].concat();
    assert_eq!(read.get(&items, "q").unwrap().unwrap(), &sum[..]);
}

#[test]
fn merging_is_no_read_and_reading_what_was_merged_is_one() {
    let (db, items) = opened();
    for reads in [false, true] {
        let mut txn = db.begin_with(Isolation::Serializable).unwrap();
        append(&mut txn, &items, "k", "+");
        if reads {
            assert!(seen(&txn, &items, "k").is_some());
        }
        db.transact(|txn| txn.insert(&items, "k", "theirs"))
            .unwrap();
        let committed = txn.commit();
        assert_eq!(committed.is_ok(), !reads);
        assert_eq!(matches!(committed, Err(Error::ReadConflict { .. })), reads);
    }
}

#[test]
fn vectors_stay_and_are_found() {
    let place = Place::new();
    let search = |db: &Database, items: &Table| -> Vec<(String, String)> {
        let read = db.begin_read().unwrap();
        let hits = read.search(items, "v", &[1.0, 0.0]).unwrap().run().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        hits.iter()
            .map(|hit| (text(&hit.key()), text(&hit.value())))
            .collect()
    };
    let expected = [("k".to_owned(), "old++".to_owned())];
    {
        let db = options().open(place.path()).unwrap();
        let items = db.table("items").unwrap();
        db.create_index(&items, "v", Exact::new(2, Metric::L2))
            .unwrap();
        let mut txn = db.begin().unwrap();
        let record = Record::new("old").vector("v", &[1.0, 0.0]);
        txn.insert_record(&items, "k", record).unwrap();
        txn.commit().unwrap();
        db.checkpoint().unwrap();
        for _ in 0..2 {
            let mut txn = db.begin().unwrap();
            append(&mut txn, &items, "k", "+");
            let hits = txn.search(&items, "v", &[1.0, 0.0]).unwrap().run().unwrap();
            assert_eq!(hits.len(), 1);
            let record = txn.get_record(&items, "k").unwrap().unwrap();
            assert_eq!(record.vector("v").unwrap().to_vec(), [1.0, 0.0]);
            drop((hits, record));
            txn.commit().unwrap();
        }
        assert_eq!(search(&db, &items), expected);
    }
    let db = options().open(place.path()).unwrap();
    let items = db.table("items").unwrap();
    assert_eq!(search(&db, &items), expected);
}

#[test]
fn what_an_operator_refuses_is_not_committed() {
    let (db, items) = opened();
    let most = u64::MAX.to_le_bytes();
    let (mut first, mut second) = (db.begin().unwrap(), db.begin().unwrap());
    for txn in [&mut first, &mut second] {
        txn.merge(&items, "k", "add_u64", most).unwrap();
        txn.insert(&items, "beside", "v").unwrap();
    }
    let twice = first.merge(&items, "k", "add_u64", most).unwrap_err();
    assert!(
        matches!(&twice, Error::Merge { operator, .. } if operator == "add_u64"),
        "{twice}"
    );
    first.commit().unwrap();
    db.transact(|txn| txn.remove(&items, "beside")).unwrap();
    let mut third = db.begin().unwrap();
    third
        .merge(&items, "k", "add_u64", 1u64.to_le_bytes())
        .unwrap();
    third.insert(&items, "beside", "v").unwrap();
    let error = third.commit().unwrap_err();
    assert!(!error.is_retryable());
    assert!(error.to_string().contains("does not fit"), "{error}");
    assert!(now(&db, &items, "beside").is_none());
    drop(second);
    let mut txn = db.begin().unwrap();
    txn.insert(&items, "k", "no integer").unwrap();
    let refused = txn
        .merge(&items, "k", "add_i64", 1i64.to_le_bytes())
        .unwrap_err();
    assert!(refused.to_string().contains("10 bytes"), "{refused}");
    let unknown = txn.merge(&items, "k", "max", "1").unwrap_err();
    let name = "max".to_owned();
    assert!(matches!(unknown,
        Error::InvalidArgument(argument) if argument == InvalidArgument::UnknownOperator { name }));
}

#[test]
fn an_opening_needs_the_operators_that_the_log_names() {
    let place = Place::new();
    {
        let db = options().open(place.path()).unwrap();
        let items = db.table("items").unwrap();
        db.transact(|txn| txn.insert(&items, "k", "1")).unwrap();
        db.checkpoint().unwrap();
        for more in ["2", "3"] {
            db.transact(|txn| txn.merge(&items, "k", "append", more))
                .unwrap();
        }
    }
    for read_only in [false, true] {
        let refused = small().read_only(read_only).open(place.path()).unwrap_err();
        assert!(refused.to_string().contains("`append`"), "{refused}");
        assert!(matches!(
            refused,
            Error::InvalidArgument(InvalidArgument::UnknownOperator { .. })
        ));
    }
    for read_only in [true, false] {
        let db = options().read_only(read_only).open(place.path()).unwrap();
        let items = db.open_table("items").unwrap();
        assert_eq!(now(&db, &items, "k").unwrap(), "123");
        if !read_only {
            db.checkpoint().unwrap();
        }
    }
    // After a checkpoint the log names it no more.
    let db = small().open(place.path()).unwrap();
    let items = db.open_table("items").unwrap();
    assert_eq!(now(&db, &items, "k").unwrap(), "123");
}

#[test]
fn counters_that_all_threads_merge_into_lose_nothing() {
    let place = Place::new();
    let (threads, each, keys) = (4u64, 1_500u64, 3u64);
    let check = |db: &Database| {
        let counters = db.open_table("counters").unwrap();
        let read = db.begin_read().unwrap();
        let sum = read.iter(&counters).unwrap().map(|entry| {
            let value: [u8; 8] = entry.unwrap().1.to_vec().try_into().unwrap();
            u64::from_le_bytes(value)
        });
        assert_eq!(sum.sum::<u64>(), threads * each);
    };
    {
        let db = small().memory_budget(8 << 20).open(place.path()).unwrap();
        let counters = db.table("counters").unwrap();
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let (db, counters) = (db.clone(), &counters);
                scope.spawn(move || {
                    for n in 0..each {
                        let mut txn = db.begin().unwrap();
                        let key = ((n + thread) % keys).to_be_bytes();
                        txn.merge(counters, key, "add_u64", 1u64.to_le_bytes())
                            .unwrap();
                        txn.commit_with(Durability::Buffered).unwrap();
                    }
                });
            }
        });
        assert_eq!(db.stats().unwrap().conflicts, 0);
        db.begin().unwrap().commit().unwrap();
        check(&db);
    }
    check(&small().open(place.path()).unwrap());
}

type Map = BTreeMap<u8, Vec<u8>>;

#[derive(Clone, Debug)]
enum Step {
    Begin(bool),
    Put(bool, u8, u8),
    Remove(bool, u8),
    Merge(bool, u8, u8),
    Save(bool),
    RollBack(bool),
    Check(bool),
    Commit(bool),
    Checkpoint,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let which = any::<bool>;
    prop_oneof![
        1 => which().prop_map(Step::Begin),
        2 => (which(), 0..6u8, any::<u8>()).prop_map(|(one, key, value)| Step::Put(one, key, value)),
        1 => (which(), 0..6u8).prop_map(|(one, key)| Step::Remove(one, key)),
        6 => (which(), 0..6u8, any::<u8>()).prop_map(|(one, key, value)| Step::Merge(one, key, value)),
        1 => which().prop_map(Step::Save),
        1 => which().prop_map(Step::RollBack),
        2 => which().prop_map(Step::Check),
        4 => which().prop_map(Step::Commit),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Reopen),
    ]
}

/// What is written to a key: put over what stands, or appended to it.
#[derive(Clone, Debug)]
enum Write {
    Put(Option<Vec<u8>>),
    Append(Vec<u8>),
}

fn after(stands: Option<&Vec<u8>>, write: &Write) -> Option<Vec<u8>> {
    match write {
        Write::Put(value) => value.clone(),
        Write::Append(more) => Some([stands.map_or(&[][..], |value| value), more].concat()),
    }
}

struct Open {
    txn: Transaction,
    snapshot: Map,
    begun: usize,
    writes: BTreeMap<u8, Write>,
    saved: Option<(Savepoint, BTreeMap<u8, Write>)>,
}

#[derive(Default)]
struct Model {
    map: Map,
    /// Which commit wrote each key last.
    last: BTreeMap<u8, usize>,
    commits: usize,
}

impl Model {
    fn begin(&self, db: &Database) -> Open {
        Open {
            txn: db.begin().unwrap(),
            snapshot: self.map.clone(),
            begun: self.commits,
            writes: BTreeMap::new(),
            saved: None,
        }
    }

    fn commit(&mut self, open: Open) {
        let conflicts = open.writes.iter().any(|(key, write)| {
            matches!(write, Write::Put(_)) && self.last.get(key).is_some_and(|at| *at > open.begun)
        });
        let committed = open.txn.commit();
        assert_eq!(committed.is_err(), conflicts, "{committed:?}");
        if conflicts {
            return;
        }
        self.commits += 1;
        for (key, write) in open.writes {
            match after(self.map.get(&key), &write) {
                Some(value) => self.map.insert(key, value),
                None => self.map.remove(&key),
            };
            self.last.insert(key, self.commits);
        }
    }
}

fn entries(range: vellum::Range<'_>) -> Map {
    let entry = |entry: vellum::Result<(vellum::Key<'_>, vellum::Value<'_>)>| {
        let (key, value) = entry.unwrap();
        (key[0], value.to_vec())
    };
    range.map(entry).collect()
}

impl Open {
    fn merge(&mut self, items: &Table, key: u8, more: u8) {
        self.txn.merge(items, [key], "append", [more]).unwrap();
        let write = match self.writes.get(&key) {
            None => Write::Append(vec![more]),
            Some(Write::Append(before)) => Write::Append([&before[..], &[more]].concat()),
            Some(Write::Put(value)) => {
                Write::Put(after(value.as_ref(), &Write::Append(vec![more])))
            }
        };
        self.writes.insert(key, write);
    }

    fn check(&self, items: &Table) {
        let mut expected = self.snapshot.clone();
        for (key, write) in &self.writes {
            match after(self.snapshot.get(key), write) {
                Some(value) => expected.insert(*key, value),
                None => expected.remove(key),
            };
        }
        assert_eq!(entries(self.txn.iter(items).unwrap()), expected);
        for key in 0..6u8 {
            let got = self.txn.get(items, [key]).unwrap();
            assert_eq!(got.as_deref(), expected.get(&key).map(|value| &value[..]));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Two transactions at a time, whose operands show the order in which they were folded.
    #[test]
    fn operands_are_folded_in_the_order_of_commits(steps in prop::collection::vec(step(), 1..80)) {
        let place = Place::new();
        let open = || {
            let db = options().open(place.path()).unwrap();
            let items = db.table("items").unwrap();
            (db, items)
        };
        let (mut db, mut items) = open();
        let mut model = Model::default();
        let mut two = [None, None];
        for step in &steps {
            if let Step::Begin(one) | Step::Put(one, ..) | Step::Remove(one, _) | Step::Merge(one, ..)
                | Step::Save(one) | Step::RollBack(one) | Step::Check(one) = step
            {
                two[usize::from(*one)].get_or_insert_with(|| model.begin(&db));
            }
            let which = |one: &bool| usize::from(*one);
            match step {
                Step::Begin(one) => two[which(one)] = Some(model.begin(&db)),
                Step::Put(one, key, value) => if let Some(open) = &mut two[which(one)] {
                    open.txn.insert(&items, [*key], [*value]).unwrap();
                    open.writes.insert(*key, Write::Put(Some(vec![*value])));
                },
                Step::Remove(one, key) => if let Some(open) = &mut two[which(one)] {
                    open.txn.remove(&items, [*key]).unwrap();
                    open.writes.insert(*key, Write::Put(None));
                },
                Step::Merge(one, key, more) => if let Some(open) = &mut two[which(one)] {
                    open.merge(&items, *key, *more);
                },
                Step::Save(one) => if let Some(open) = &mut two[which(one)] {
                    open.saved = Some((open.txn.savepoint(), open.writes.clone()));
                },
                Step::RollBack(one) => if let Some(open) = &mut two[which(one)]
                    && let Some((savepoint, writes)) = &open.saved
                {
                    open.txn.rollback_to(savepoint).unwrap();
                    open.writes.clone_from(writes);
                },
                Step::Check(one) => if let Some(open) = &two[which(one)] {
                    open.check(&items);
                },
                Step::Commit(one) => if let Some(open) = two[which(one)].take() {
                    model.commit(open);
                },
                Step::Checkpoint => db.checkpoint().unwrap(),
                Step::Reopen => {
                    two = [None, None];
                    drop((db, items));
                    (db, items) = open();
                    let read = db.begin_read().unwrap();
                    assert_eq!(entries(read.iter(&items).unwrap()), model.map);
                }
            }
        }
        let read = db.begin_read().unwrap();
        assert_eq!(entries(read.iter(&items).unwrap()), model.map);
    }
}
