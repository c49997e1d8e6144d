//! Random operations beside a plain ordered map: one thread, several open snapshots, reopening.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod common;

use std::collections::BTreeMap;
use std::ops::Bound;

use common::Place;
use proptest::prelude::*;
use vellum::{Database, Durability, ReadTransaction, Table, Transaction};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Clone, Debug)]
enum Write {
    Put(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
}

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Write>, bool),
    RollBack(Vec<Write>),
    Hold,
    Release,
    Range(Bound<Vec<u8>>, Bound<Vec<u8>>, Vec<bool>),
    Prefix(Vec<u8>),
    Checkpoint,
    Close,
    Drop,
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(b'a'), Just(255)], 1..4),
        1 => prop::collection::vec(any::<u8>(), 1..40),
    ]
}

fn writes() -> impl Strategy<Value = Vec<Write>> {
    let value = prop_oneof![
        6 => prop::collection::vec(any::<u8>(), 0..20),
        1 => (1_000usize..5_000).prop_map(|len| vec![5; len]),
        1 => (20_000usize..150_000).prop_map(|len| vec![7; len]),
    ];
    let put = (key(), value).prop_map(|(key, value)| Write::Put(key, value));
    prop::collection::vec(
        prop_oneof![3 => put, 1 => key().prop_map(Write::Remove)],
        0..8,
    )
}

fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![
        Just(Bound::Unbounded),
        key().prop_map(Bound::Included),
        key().prop_map(Bound::Excluded),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (writes(), any::<bool>()).prop_map(|(writes, sync)| Step::Commit(writes, sync)),
        1 => writes().prop_map(Step::RollBack),
        1 => Just(Step::Hold),
        1 => Just(Step::Release),
        4 => (bound(), bound(), prop::collection::vec(any::<bool>(), 0..20))
            .prop_map(|(lower, upper, ends)| Step::Range(lower, upper, ends)),
        1 => prop::collection::vec(prop_oneof![Just(b'a'), Just(255u8)], 0..3).prop_map(Step::Prefix),
        2 => Just(Step::Checkpoint),
        1 => Just(Step::Close),
        1 => Just(Step::Drop),
    ]
}

fn write(txn: &mut Transaction, table: &Table, map: &mut Map, writes: &[Write]) {
    for one in writes {
        match one {
            Write::Put(key, value) => {
                txn.insert(table, key, value).unwrap();
                map.insert(key.clone(), value.clone());
            }
            Write::Remove(key) => {
                txn.remove(table, key).unwrap();
                map.remove(key);
            }
        }
        // Gets see the own writes at once.
        let (Write::Put(key, _) | Write::Remove(key)) = one;
        let got = txn.get(table, key).unwrap().map(|value| value.to_vec());
        assert_eq!(got.as_ref(), map.get(key));
    }
}

fn draw<'a>(
    mut range: impl DoubleEndedIterator<Item = vellum::Result<(vellum::Key<'a>, vellum::Value<'a>)>>,
    model: &[(Vec<u8>, Vec<u8>)],
    ends: &[bool],
) {
    let mut model = model.iter();
    let ends = ends.iter().copied().chain(std::iter::repeat(false));
    for back in ends {
        let (got, expected) = match back {
            true => (range.next_back(), model.next_back()),
            false => (range.next(), model.next()),
        };
        let got = got.map(|entry| {
            entry
                .map(|(key, value)| (key.to_vec(), value.to_vec()))
                .unwrap()
        });
        assert_eq!(got.as_ref(), expected);
        if expected.is_none() {
            break;
        }
    }
}

/// The same by what the range lends.
fn draw_lent(mut range: vellum::Range<'_>, model: &[(Vec<u8>, Vec<u8>)], ends: &[bool]) {
    let mut model = model.iter();
    for back in ends.iter().copied().chain(std::iter::repeat(false)) {
        let (got, expected) = match back {
            true => (range.next_back_lent(), model.next_back()),
            false => (range.next_lent(), model.next()),
        };
        let expected = expected.map(|(key, value)| (&key[..], &value[..]));
        assert_eq!(got.unwrap(), expected);
        if expected.is_none() {
            break;
        }
    }
}

fn within(map: &Map, lower: &Bound<Vec<u8>>, upper: &Bound<Vec<u8>>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let above = |key: &Vec<u8>| match lower {
        Bound::Unbounded => true,
        Bound::Included(lower) => key >= lower,
        Bound::Excluded(lower) => key > lower,
    };
    let below = |key: &Vec<u8>| match upper {
        Bound::Unbounded => true,
        Bound::Included(upper) => key <= upper,
        Bound::Excluded(upper) => key < upper,
    };
    let inside = map.iter().filter(|(key, _)| above(key) && below(key));
    inside
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn check_all(read: &ReadTransaction, table: &Table, map: &Map) {
    let all: Vec<_> = map
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    draw(read.iter(table).unwrap(), &all, &[]);
    draw_lent(read.iter(table).unwrap(), &all, &[]);
    draw_lent(read.iter(table).unwrap(), &all, &[true, true, false, true]);
    draw(read.iter(table).unwrap(), &all, &vec![true; all.len() + 1]);
    let keys: Vec<_> = map.keys().collect();
    let many = read.get_many(table, &keys).unwrap();
    for (value, (key, expected)) in many.iter().zip(map) {
        assert_eq!(value.as_deref(), Some(&expected[..]));
        assert_eq!(
            read.get(table, key).unwrap().as_deref(),
            Some(&expected[..])
        );
    }
    let end =
        |entry: Option<(vellum::Key<'_>, vellum::Value<'_>)>| entry.map(|(key, _)| key.to_vec());
    assert_eq!(end(read.first(table).unwrap()).as_ref(), map.keys().next());
    assert_eq!(
        end(read.last(table).unwrap()).as_ref(),
        map.keys().next_back()
    );
}

struct Run {
    place: Place,
    db: Option<(Database, Table)>,
    map: Map,
    held: Vec<(ReadTransaction, Table, Map)>,
}

impl Run {
    fn reopen(&mut self) -> (Database, Table) {
        let db = self.place.open();
        let table = db.table("t").unwrap();
        self.db = Some((db.clone(), table.clone()));
        (db, table)
    }

    fn end(&mut self, close: bool) {
        for (read, table, map) in self.held.drain(..) {
            check_all(&read, &table, &map);
        }
        let (db, _) = self.db.take().unwrap();
        if close {
            db.close().unwrap();
        }
    }

    fn step(&mut self, step: &Step) {
        let (db, table) = match &self.db {
            Some(open) => open.clone(),
            None => self.reopen(),
        };
        match step {
            Step::Commit(writes, sync) => {
                let mut txn = db.begin().unwrap();
                write(&mut txn, &table, &mut self.map, writes);
                draw(
                    txn.iter(&table).unwrap(),
                    &within(&self.map, &Bound::Unbounded, &Bound::Unbounded),
                    &[true, false],
                );
                let durability = if *sync {
                    Durability::Sync
                } else {
                    Durability::Buffered
                };
                txn.commit_with(durability).unwrap().wait().unwrap();
            }
            Step::RollBack(writes) => {
                let mut txn = db.begin().unwrap();
                write(&mut txn, &table, &mut self.map.clone(), writes);
            }
            Step::Hold => self
                .held
                .push((db.begin_read().unwrap(), table, self.map.clone())),
            Step::Release => {
                if let Some((read, table, map)) = self.held.pop() {
                    check_all(&read, &table, &map);
                }
            }
            Step::Range(lower, upper, ends) => {
                let expected = within(&self.map, lower, upper);
                let bounds = (lower.clone(), upper.clone());
                let read = db.begin_read().unwrap();
                draw(
                    read.range::<Vec<u8>>(&table, bounds.clone()).unwrap(),
                    &expected,
                    ends,
                );
                let txn = db.begin().unwrap();
                draw(
                    txn.range::<Vec<u8>>(&table, bounds).unwrap(),
                    &expected,
                    ends,
                );
            }
            Step::Prefix(prefix) => {
                let mut expected = within(&self.map, &Bound::Unbounded, &Bound::Unbounded);
                expected.retain(|(key, _)| key.starts_with(prefix));
                draw(
                    db.begin_read().unwrap().prefix(&table, prefix).unwrap(),
                    &expected,
                    &[],
                );
            }
            Step::Checkpoint => db.checkpoint().unwrap(),
            Step::Close | Step::Drop => {
                drop((db, table));
                self.end(matches!(step, Step::Close));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn the_database_is_an_ordered_map_with_snapshots(steps in prop::collection::vec(step(), 1..40)) {
        let (place, map) = (Place::new(), Map::new());
        let mut run = Run { place, db: None, map, held: Vec::new() };
        for step in &steps {
            run.step(step);
        }
        run.step(&Step::Close);
        let (db, table) = run.reopen();
        check_all(&db.begin_read().unwrap(), &table, &run.map);
    }
}
