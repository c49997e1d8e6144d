//! Random writes beside a map: an index has, in every snapshot and with own writes, what its extractor says of
//! the records.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod words;

use std::collections::BTreeMap;

use proptest::prelude::*;
use vellum::{Database, Durability, Error, Options, Ordered, ReadTransaction};
use vellum_testkit::{SimDisk, SimOptions};
use words::{keys_of, own_keys_of, words_of};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Clone, Debug)]
enum Step {
    Put(u8, Vec<u8>),
    Remove(u8),
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
    words::with(options, "words", 1)
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

fn check_held(held: &[(ReadTransaction, Map, Vec<&'static str>)], items: &vellum::Table) {
    for (read, map, indexes) in held {
        for index in indexes {
            assert_eq!(keys_of(read, items, index), words_in(map));
        }
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
        let mut ended = None;
        for step in steps.by_ref() {
            match step {
                Step::Put(key, value) => {
                    let key = vec![key + 1];
                    let taken = indexes.contains(&"once") && is_taken(&next, &key, &value);
                    match txn.insert(&items, &key, &value) {
                        Ok(()) => {
                            assert!(!taken);
                            next.insert(key, value);
                        }
                        Err(error) => assert!(taken && matches!(error, Error::NotUnique { .. })),
                    }
                }
                Step::Remove(key) => {
                    txn.remove(&items, [key + 1]).unwrap();
                    next.remove(&vec![key + 1]);
                }
                end => {
                    ended = Some(end);
                    break;
                }
            }
            for index in &indexes {
                assert_eq!(own_keys_of(&txn, &items, index), words_in(&next));
            }
        }
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
