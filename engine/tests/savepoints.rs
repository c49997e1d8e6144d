//! Savepoints: after rolling back, everything that a transaction can be asked is as it was.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

use std::collections::BTreeMap;
use std::ops::Bound;

use proptest::prelude::*;
use vellum::{
    Database, Error, Exact, InvalidArgument, Isolation, Metric, Record, Savepoint, Table,
    Transaction,
};

/// Value and vector of each key.
type Map = BTreeMap<Vec<u8>, (Vec<u8>, Option<[f32; 2]>)>;

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u16),
    PutVector(u8, [u8; 2]),
    PutMany(u8),
    Remove(u8),
    DeleteRange(Bound<u8>, Bound<u8>),
    Save,
    RollBack(usize),
    Drop(usize),
    Get(u8),
    Range(Bound<u8>, Bound<u8>, Vec<bool>),
    Search([u8; 2]),
}

fn bound() -> impl Strategy<Value = Bound<u8>> {
    prop_oneof![
        1 => Just(Bound::Unbounded),
        2 => any::<u8>().prop_map(Bound::Included),
        2 => any::<u8>().prop_map(Bound::Excluded),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<u8>(), prop_oneof![9 => 0u16..300, 1 => Just(40_000)])
            .prop_map(|(key, len)| Step::Put(key, len)),
        4 => (any::<u8>(), any::<[u8; 2]>()).prop_map(|(key, at)| Step::PutVector(key, at)),
        1 => any::<u8>().prop_map(Step::PutMany),
        4 => any::<u8>().prop_map(Step::Remove),
        1 => (bound(), bound()).prop_map(|(lower, upper)| Step::DeleteRange(lower, upper)),
        5 => Just(Step::Save),
        4 => any::<usize>().prop_map(Step::RollBack),
        1 => any::<usize>().prop_map(Step::Drop),
        2 => any::<u8>().prop_map(Step::Get),
        2 => (bound(), bound(), prop::collection::vec(any::<bool>(), 0..20))
            .prop_map(|(lower, upper, ends)| Step::Range(lower, upper, ends)),
        2 => any::<[u8; 2]>().prop_map(Step::Search),
    ]
}

fn key(n: u8) -> Vec<u8> {
    vec![b'k', n]
}

fn bounds(lower: Bound<u8>, upper: Bound<u8>) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    (lower.map(key), upper.map(key))
}

fn within(map: &Map, bounds: &(Bound<Vec<u8>>, Bound<Vec<u8>>)) -> Vec<(Vec<u8>, Vec<u8>)> {
    use std::ops::RangeBounds;
    let inside = map.iter().filter(|(key, _)| bounds.contains(*key));
    inside
        .map(|(key, (value, _))| (key.clone(), value.clone()))
        .collect()
}

struct Run<'a> {
    txn: Transaction,
    table: &'a Table,
    map: Map,
    stack: Vec<(Savepoint, Map)>,
    gone: Vec<Savepoint>,
    count: u8,
}

impl Run<'_> {
    fn put(&mut self, n: u8, len: usize, at: Option<[f32; 2]>) {
        self.count = self.count.wrapping_add(1);
        let (key, value) = (key(n), vec![self.count; len]);
        let mut record = Record::new(&value);
        if let Some(at) = &at {
            record = record.vector("v", at);
        }
        self.txn.insert_record(self.table, &key, record).unwrap();
        self.map.insert(key, (value, at));
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Put(n, len) => self.put(*n, usize::from(*len), None),
            Step::PutVector(n, at) => self.put(*n, 3, Some(at.map(f32::from))),
            Step::PutMany(n) => (0..90).for_each(|more| self.put(n.wrapping_add(more), 2, None)),
            Step::Remove(n) => {
                self.txn.remove(self.table, key(*n)).unwrap();
                self.map.remove(&key(*n));
            }
            Step::DeleteRange(lower, upper) => {
                let bounds = bounds(*lower, *upper);
                let expected = within(&self.map, &bounds);
                let removed = self
                    .txn
                    .delete_range::<Vec<u8>>(self.table, bounds)
                    .unwrap();
                assert_eq!(removed, expected.len() as u64);
                expected
                    .iter()
                    .for_each(|(key, _)| drop(self.map.remove(key)));
            }
            Step::Save => self.stack.push((self.txn.savepoint(), self.map.clone())),
            Step::RollBack(n) if !self.stack.is_empty() => {
                let at = n % self.stack.len();
                let gone = self.stack.drain(at + 1..);
                self.gone.extend(gone.map(|(savepoint, _)| savepoint));
                let (savepoint, map) = &self.stack[at];
                self.txn.rollback_to(savepoint).unwrap();
                self.map.clone_from(map);
                self.check_all();
            }
            Step::Drop(n) if !self.stack.is_empty() => {
                drop(self.stack.remove(n % self.stack.len()));
            }
            Step::RollBack(_) | Step::Drop(_) => {}
            Step::Get(n) => {
                let got = self.txn.get(self.table, key(*n)).unwrap();
                let expected = self.map.get(&key(*n)).map(|(value, _)| &value[..]);
                assert_eq!(got.as_deref(), expected);
            }
            Step::Range(lower, upper, ends) => self.check_range(*lower, *upper, ends),
            Step::Search(at) => self.check_search(at.map(f32::from)),
        }
    }

    fn check_range(&self, lower: Bound<u8>, upper: Bound<u8>, ends: &[bool]) {
        let bounds = bounds(lower, upper);
        let expected = within(&self.map, &bounds);
        let mut expected = expected.into_iter();
        let mut range = self.txn.range::<Vec<u8>>(self.table, bounds).unwrap();
        for back in ends.iter().copied().chain(std::iter::repeat(false)) {
            let (got, expected) = match back {
                true => (range.next_back(), expected.next_back()),
                false => (range.next(), expected.next()),
            };
            let got = got.transpose().unwrap();
            assert_eq!(
                got.map(|(key, value)| (key.to_vec(), value.to_vec())),
                expected
            );
            if expected.is_none() {
                break;
            }
        }
    }

    fn check_search(&self, query: [f32; 2]) {
        let vectors = self.map.iter().filter_map(|(key, (_, at))| {
            let [x, y] = (*at)?;
            let distance = (x - query[0]).powi(2) + (y - query[1]).powi(2);
            Some((distance, key.clone()))
        });
        let mut expected: Vec<_> = vectors.collect();
        expected.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
        expected.truncate(5);
        let hits = self
            .txn
            .search(self.table, "v", &query)
            .unwrap()
            .k(5)
            .run()
            .unwrap();
        let hits: Vec<_> = hits.iter().map(|hit| hit.key().to_vec()).collect();
        let expected: Vec<_> = expected.into_iter().map(|(_, key)| key).collect();
        assert_eq!(hits, expected);
    }

    fn check_all(&self) {
        self.check_range(Bound::Unbounded, Bound::Unbounded, &[true, false, true]);
        self.check_search([100.0, 100.0]);
    }
}

/// Some records in pages, some in memory.
fn filled(db: &Database) -> (Table, Map) {
    let table = db.table("t").unwrap();
    db.create_index(&table, "v", Exact::new(2, Metric::L2))
        .unwrap();
    let mut map = Map::new();
    for half in 0..2 {
        let mut txn = db.begin().unwrap();
        for n in (half..250u8).step_by(7) {
            let (key, at) = (key(n), [f32::from(n), 3.0]);
            let record = Record::new(b"old").vector("v", &at);
            txn.insert_record(&table, &key, record).unwrap();
            map.insert(key, (b"old".to_vec(), Some(at)));
        }
        txn.commit().unwrap();
        if half == 0 {
            db.checkpoint().unwrap();
        }
    }
    (table, map)
}

fn argument(error: Error) -> InvalidArgument {
    match error {
        Error::InvalidArgument(argument) => argument,
        other => unreachable!("{other}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_transaction_is_after_rolling_back_what_it_was(
        steps in prop::collection::vec(step(), 1..80),
        serializable in any::<bool>(),
    ) {
        let db = Database::in_memory().unwrap();
        let (table, map) = filled(&db);
        let isolation = match serializable {
            true => Isolation::Serializable,
            false => Isolation::Snapshot,
        };
        let txn = db.begin_with(isolation).unwrap();
        let (stack, gone) = (Vec::new(), Vec::new());
        let mut run = Run { txn, table: &table, map, stack, gone, count: 0 };
        for step in &steps {
            run.step(step);
        }
        for savepoint in &run.gone {
            let refused = run.txn.rollback_to(savepoint).unwrap_err();
            assert_eq!(argument(refused), InvalidArgument::SavepointRolledBack);
        }
        run.check_all();
        let Run { txn, map, .. } = run;
        txn.commit().unwrap();
        let txn = db.begin().unwrap();
        let (stack, gone) = (Vec::new(), Vec::new());
        Run { txn, table: &table, map, stack, gone, count: 0 }.check_all();
    }
}

#[test]
fn a_savepoint_is_of_its_transaction_alone() {
    let db = Database::in_memory().unwrap();
    let items = db.table("items").unwrap();
    let (mut one, mut other) = (db.begin().unwrap(), db.begin().unwrap());
    let (first, second) = (one.savepoint(), other.savepoint());
    one.insert(&items, "k", "v").unwrap();
    let refused = one.rollback_to(&second).unwrap_err();
    assert_eq!(argument(refused), InvalidArgument::SavepointElsewhere);
    assert_eq!(one.get(&items, "k").unwrap().unwrap(), "v");
    drop(one);
    // The memory of a transaction goes to the next one; its savepoints do not.
    let mut next = db.begin().unwrap();
    let own = next.savepoint();
    let refused = next.rollback_to(&first).unwrap_err();
    assert_eq!(argument(refused), InvalidArgument::SavepointElsewhere);
    next.rollback_to(&own).unwrap();
}

#[test]
fn what_was_rolled_back_conflicts_with_nobody_and_what_was_read_is_checked() {
    let db = Database::in_memory().unwrap();
    let items = db.table("items").unwrap();
    let change = |key: &str| {
        db.transact(|txn| txn.insert(&items, key, "theirs"))
            .unwrap()
    };
    for reads in [false, true] {
        let mut txn = db.begin_with(Isolation::Serializable).unwrap();
        txn.insert(&items, "mine", "1").unwrap();
        let before = txn.savepoint();
        txn.insert(&items, "theirs", "2").unwrap();
        if reads {
            assert!(txn.get(&items, "read").unwrap().is_none());
        }
        txn.rollback_to(&before).unwrap();
        change("theirs");
        if reads {
            change("read");
        }
        let committed = txn.commit();
        assert_eq!(matches!(committed, Err(Error::ReadConflict { .. })), reads);
        assert_eq!(committed.is_ok(), !reads);
    }
}

#[test]
fn a_transaction_that_took_everything_back_has_written_nothing() {
    let db = Database::in_memory().unwrap();
    let items = db.table("items").unwrap();
    let commits = db.stats().unwrap().commits;
    let mut txn = db.begin().unwrap();
    let begin = txn.savepoint();
    txn.insert(&items, "k", "v").unwrap();
    txn.rollback_to(&begin).unwrap();
    let at = txn.timestamp();
    assert_eq!(txn.commit().unwrap(), at);
    assert_eq!(db.stats().unwrap().commits, commits);
}
