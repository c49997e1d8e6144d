//! Ranges over keys that begin alike, or do not, against an ordered map.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use proptest::collection::vec;
use proptest::prelude::*;
use vellum_base::TableId;
use vellum_txn::Range;

use crate::common::{begin, commit, live, snapshot, store};

/// Keys such that runs get long, short and empty prefixes, and heads that are equal though the keys
/// are not.
fn key() -> impl Strategy<Value = Vec<u8>> {
    let begin = prop_oneof![
        4 => Just(&b"user0000"[..]),
        2 => Just(&b"user0000000000000000000"[..]),
        1 => Just(&b"user"[..]),
        1 => Just(&b"us"[..]),
        1 => Just(&b""[..]),
        1 => Just(&b"\xFF\xFF"[..]),
    ];
    let rest = vec(
        prop_oneof![Just(0), Just(b'0'), Just(b'1'), Just(0xFF)],
        1..4,
    );
    (begin, rest).prop_map(|(begin, rest)| [begin, &rest].concat())
}

/// The keys of each table.
type Model = BTreeMap<u32, BTreeSet<Vec<u8>>>;

#[derive(Clone, Debug)]
enum Step {
    /// A commit that puts, or removes, a key in each of some tables.
    Commit(Vec<(u32, Vec<u8>, bool)>),
    /// A range in a table between two keys, each of them in or out, or no bound.
    Range(u32, Bound<Vec<u8>>, Bound<Vec<u8>>),
}

fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![
        1 => Just(Bound::Unbounded),
        2 => key().prop_map(Bound::Included),
        2 => key().prop_map(Bound::Excluded),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let writes = vec((1..4u32, key(), prop::bool::weighted(0.8)), 1..12);
    prop_oneof![
        2 => writes.prop_map(Step::Commit),
        1 => (1..4u32, bound(), bound()).prop_map(|(table, a, b)| Step::Range(table, a, b)),
    ]
}

fn inside(key: &[u8], lower: &Bound<Vec<u8>>, upper: &Bound<Vec<u8>>) -> bool {
    let after = match lower {
        Bound::Unbounded => true,
        Bound::Included(lower) => key >= &lower[..],
        Bound::Excluded(lower) => key > &lower[..],
    };
    let before = match upper {
        Bound::Unbounded => true,
        Bound::Included(upper) => key <= &upper[..],
        Bound::Excluded(upper) => key < &upper[..],
    };
    after && before
}

/// Whatever heads alone say of what is left, all of it is so: of the keys that any table has.
fn heads_are_right(mut forth: Range<'_>, mut back: Range<'_>, model: &Model) {
    let keys: Vec<_> = model.values().flatten().collect();
    let said =
        |says: &dyn Fn(&[u8]) -> bool| -> Vec<_> { keys.iter().filter(|key| says(key)).collect() };
    loop {
        let less = said(&|key| forth.is_after(key));
        let Some((next, _)) = forth.next() else {
            assert!(less.is_empty());
            break;
        };
        assert!(less.iter().all(|key| key[..] < *next));
    }
    loop {
        let greater = said(&|key| back.is_before(key));
        let Some((next, _)) = back.next_back() else {
            assert!(greater.is_empty());
            break;
        };
        assert!(greater.iter().all(|key| key[..] > *next));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ranges_are_those_of_an_ordered_map(steps in vec(step(), 1..60)) {
        // Small enough that some cases seal generations.
        let db = store(16 << 10);
        let mut model = Model::new();
        for step in steps {
            match step {
                Step::Commit(writes) => {
                    let mut txn = begin(&db);
                    for (table, key, put) in &writes {
                        let keys = model.entry(*table).or_default();
                        if *put {
                            txn.put(TableId(*table), key, b"value", &[]).unwrap();
                            keys.insert(key.clone());
                        } else {
                            txn.delete(TableId(*table), key).unwrap();
                            keys.remove(key);
                        }
                    }
                    commit(txn).unwrap();
                }
                Step::Range(table, lower, upper) => {
                    let snapshot = snapshot(&db);
                    let range = || {
                        let (lower, upper) = (lower.as_ref(), upper.as_ref());
                        let reader = snapshot.reader();
                        reader.range(
                            TableId(table),
                            lower.map(Vec::as_slice),
                            upper.map(Vec::as_slice),
                        )
                    };
                    let keys = model.entry(table).or_default();
                    let expected: Vec<_> =
                        keys.iter().filter(|key| inside(key, &lower, &upper)).cloned().collect();
                    let forth: Vec<_> = live(range()).map(|(key, _)| key.to_vec()).collect();
                    prop_assert_eq!(&forth, &expected);
                    let mut back: Vec<_> = live(range()).rev().map(|(key, _)| key.to_vec()).collect();
                    back.reverse();
                    prop_assert_eq!(&back, &expected);
                    heads_are_right(range(), range(), &model);
                }
            }
        }
    }
}
