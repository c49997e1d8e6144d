//! Random operations beside a plain ordered map: writes of all kinds and savepoints among them, one thread,
//! several open snapshots, reopening.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod append;
mod common;

use std::collections::BTreeMap;
use std::ops::Bound;

use common::{Place, small};
use proptest::prelude::*;
use vellum::{Database, Durability, ReadTransaction, Table, Transaction};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Clone, Debug)]
enum Write {
    Put(Vec<u8>, Vec<u8>),
    Append(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
    RemoveFrom(Vec<u8>, Vec<u8>),
    Save,
    /// To one of the savepoints that stand.
    Back(usize),
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
    let few = prop::collection::vec(any::<u8>(), 0..20);
    let one = prop_oneof![
        6 => (key(), value).prop_map(|(key, value)| Write::Put(key, value)),
        2 => key().prop_map(Write::Remove),
        2 => (key(), few).prop_map(|(key, more)| Write::Append(key, more)),
        1 => (key(), key()).prop_map(|(one, other)| Write::RemoveFrom(
            one.clone().min(other.clone()),
            one.max(other)
        )),
        1 => Just(Write::Save),
        1 => any::<usize>().prop_map(Write::Back),
    ];
    prop::collection::vec(one, 0..12)
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

/// Makes the writes in `txn` and in the map of what it should see.
fn write(txn: &mut Transaction, table: &Table, map: &mut Map, writes: &[Write]) {
    let mut saved = Vec::new();
    for one in writes {
        match one {
            Write::Put(key, value) => {
                txn.insert(table, key, value).unwrap();
                map.insert(key.clone(), value.clone());
            }
            Write::Append(key, more) => {
                txn.merge(table, key, "append", more).unwrap();
                map.entry(key.clone()).or_default().extend(more);
            }
            Write::Remove(key) => {
                txn.remove(table, key).unwrap();
                map.remove(key);
            }
            Write::RemoveFrom(from, to) => {
                let before = map.len();
                map.retain(|key, _| key < from || key >= to);
                let removed = txn.delete_range::<Vec<u8>>(table, from..to).unwrap();
                assert_eq!(removed as usize, before - map.len());
            }
            Write::Save => saved.push((txn.savepoint(), map.clone())),
            Write::Back(which) => {
                saved.truncate(which % saved.len().max(1) + 1);
                if let Some((savepoint, then)) = saved.last() {
                    txn.rollback_to(savepoint).unwrap();
                    map.clone_from(then);
                }
            }
        }
        // Gets see the own writes at once.
        if let Write::Put(key, _)
        | Write::Append(key, _)
        | Write::Remove(key)
        | Write::RemoveFrom(key, _) = one
        {
            let got = txn.get(table, key).unwrap().map(|value| value.to_vec());
            assert_eq!(got.as_ref(), map.get(key));
        }
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
        let db = append::with_append(small())
            .open(self.place.path())
            .unwrap();
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
                let mut map = self.map.clone();
                write(&mut txn, &table, &mut map, writes);
                let all = within(&map, &Bound::Unbounded, &Bound::Unbounded);
                draw(txn.iter(&table).unwrap(), &all, &[false, true]);
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
