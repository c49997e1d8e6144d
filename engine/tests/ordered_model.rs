//! Random writes of all kinds, savepoints among them, beside a map: an index has, in every snapshot and with own
//! writes, what its extractor says of the records.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod append;
mod words;

use std::collections::BTreeMap;

use proptest::prelude::*;
use vellum::{Database, Durability, Error, Options, Ordered, ReadTransaction, Table, Transaction};
use vellum_testkit::{SimDisk, SimOptions};
use words::{keys_of, own_keys_of, words_of};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Clone, Debug)]
enum Step {
    Put(u8, Vec<u8>),
    Remove(u8),
    RemoveFrom(u8, u8),
    Append(u8, Vec<u8>),
    Save,
    RollBackTo(usize),
    Commit,
    RollBack,
    Hold,
    Checkpoint,
    Reopen,
    Drop,
    Make,
}

fn step() -> impl Strategy<Value = Step> {
    let value = prop::collection::vec(prop_oneof![Just(b','), Just(0u8), b'a'..b'd'], 0..7);
    prop_oneof![
        2 => (0u8..6, value.clone()).prop_map(|(key, value)| Step::Append(key, value)),
        1 => (0u8..6, 0u8..7).prop_map(|(from, to)| Step::RemoveFrom(from.min(to), to)),
        2 => Just(Step::Save),
        2 => any::<usize>().prop_map(Step::RollBackTo),
        8 => (0u8..6, value).prop_map(|(key, value)| Step::Put(key, value)),
        2 => (0u8..6).prop_map(Step::Remove),
        4 => Just(Step::Commit),
        1 => Just(Step::RollBack),
        1 => Just(Step::Hold),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Reopen),
        1 => Just(Step::Drop),
        2 => Just(Step::Make),
    ]
}

fn open(sim: &SimDisk) -> Database {
    let options = Options::new()
        .background(false)
        .log_segment_bytes(64 << 10)
        .memory_budget(8 << 20)
        .durability(Durability::Buffered);
    words::with(append::with_append(options), "words", 1)
        .open_on(sim.disk())
        .unwrap()
}

fn words_in(map: &Map) -> words::Keys {
    words_of(map.iter().map(|(key, value)| (&key[..], &value[..])))
}

/// Whether anybody but `key` has one of the words.
fn is_taken(map: &Map, key: &[u8], value: &[u8]) -> bool {
    let own = words_of([(key, value)].into_iter());
    let others = words_in(map).into_iter().filter(|(_, of)| of != key);
    let others: Vec<_> = others.map(|(word, _)| word).collect();
    own.iter().any(|(word, _)| others.contains(word))
}

fn check_held(held: &[(ReadTransaction, Map, Vec<&'static str>)], items: &Table) {
    for (read, map, indexes) in held {
        for index in indexes {
            assert_eq!(keys_of(read, items, index), words_in(map));
        }
    }
}

/// Makes the steps in `txn` and in the map of what it should see, up to one that ends it.
fn write(
    txn: &mut Transaction,
    next: &mut Map,
    (items, indexes): (&Table, &[&'static str]),
    steps: impl Iterator<Item = Step>,
) -> Option<Step> {
    let mut saved = Vec::new();
    for step in steps {
        match step {
            Step::Put(key, value) => {
                let key = vec![key + 1];
                let done = txn.insert(items, &key, &value);
                put(next, indexes, (key, value), done);
            }
            Step::Append(key, more) => {
                let key = vec![key + 1];
                let done = txn.merge(items, &key, "append", &more);
                let mut value = next.get(&key).cloned().unwrap_or_default();
                value.extend(more);
                put(next, indexes, (key, value), done);
            }
            Step::Remove(key) => {
                txn.remove(items, [key + 1]).unwrap();
                next.remove(&vec![key + 1]);
            }
            Step::RemoveFrom(from, to) => {
                let (from, to) = ([from + 1], [to + 1]);
                let before = next.len();
                next.retain(|key, _| key[..] < from[..] || key[..] >= to[..]);
                let removed = txn.delete_range(items, from..to).unwrap();
                assert_eq!(removed as usize, before - next.len());
            }
            Step::Save => saved.push((txn.savepoint(), next.clone())),
            Step::RollBackTo(which) => {
                saved.truncate(which % saved.len().max(1) + 1);
                if let Some((savepoint, then)) = saved.last() {
                    txn.rollback_to(savepoint).unwrap();
                    next.clone_from(then);
                }
            }
            end => return Some(end),
        }
        for index in indexes {
            assert_eq!(own_keys_of(txn, items, index), words_in(next));
        }
    }
    None
}

/// What was done with a record is right, and stands in the map if it was.
fn put(
    next: &mut Map,
    indexes: &[&str],
    (key, value): (Vec<u8>, Vec<u8>),
    done: Result<(), Error>,
) {
    let taken = indexes.contains(&"once") && is_taken(next, &key, &value);
    match done {
        Ok(()) => {
            assert!(!taken);
            next.insert(key, value);
        }
        Err(error) => assert!(taken && matches!(error, Error::NotUnique { .. })),
    }
}

fn run(steps: Vec<Step>) {
    let quiet = SimOptions {
        capacity: None,
        record: false,
    };
    let sim = SimDisk::with_options(1, quiet);
    let mut db = open(&sim);
    let mut items = db.table("items").unwrap();
    db.create_ordered_index(&items, "all", Ordered::new("words"))
        .unwrap();
    db.create_ordered_index(&items, "once", Ordered::unique("words"))
        .unwrap();
    let (mut map, mut indexes, mut held) = (Map::new(), vec!["all", "once"], Vec::new());
    let mut steps = steps.into_iter().peekable();
    while steps.peek().is_some() {
        let (mut txn, mut next) = (db.begin().unwrap(), map.clone());
        let ended = write(&mut txn, &mut next, (&items, &indexes), steps.by_ref());
        match ended {
            Some(Step::RollBack) => drop(txn),
            _ => {
                txn.commit().unwrap();
                map = next;
            }
        }
        match ended {
            Some(Step::Hold) => held.push((db.begin_read().unwrap(), map.clone(), indexes.clone())),
            Some(Step::Checkpoint) => db.checkpoint().unwrap(),
            Some(Step::Reopen) => {
                held.clear();
                drop(db);
                db = open(&sim);
                items = db.open_table("items").unwrap();
            }
            Some(Step::Drop) => {
                if let Some(index) = indexes.pop() {
                    db.drop_ordered_index(&items, index).unwrap();
                }
            }
            Some(Step::Make) => {
                for index in ["all", "once"] {
                    let (kind, is_unique) = match index {
                        "all" => (Ordered::new("words"), false),
                        _ => (Ordered::unique("words"), true),
                    };
                    let is_double = map.iter().any(|(key, value)| is_taken(&map, key, value));
                    match db.create_ordered_index(&items, index, kind) {
                        Ok(()) if indexes.contains(&index) => {}
                        Ok(()) => indexes.push(index),
                        Err(error) => assert!(
                            is_unique && is_double && matches!(error, Error::NotUnique { .. }),
                            "{error}"
                        ),
                    }
                }
            }
            _ => {}
        }
        check_held(&held, &items);
        let read = db.begin_read().unwrap();
        for index in &indexes {
            assert_eq!(keys_of(&read, &items, index), words_in(&map));
        }
    }
    let report = db.verify().unwrap();
    assert!(report.is_clean(), "{report:?}");
}

proptest! {
    // Each case opens and reads databases many times.
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases / 4,
        ..ProptestConfig::default()
    })]

    #[test]
    fn an_index_is_its_extractor_over_all_records(steps in prop::collection::vec(step(), 0..60)) {
        run(steps);
    }
}
