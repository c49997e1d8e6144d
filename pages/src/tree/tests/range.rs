//! Ranges against an ordered map: bounds at random, both ends by turns, little memory.

use std::collections::VecDeque;

use super::*;
use crate::tree::TreeRange;

/// What is asked of an end.
#[derive(Clone, Copy, Debug)]
enum Ask {
    Peek,
    Next,
    /// Peek and pass.
    Pass,
    Take,
    Seek,
}

/// A record as the model has it.
type Expected<'m> = (&'m Vec<u8>, &'m (u64, Vec<u8>));

fn value_of(body: Body<'_>) -> &[u8] {
    match body {
        Body::Inline { value, .. } => value,
        Body::Large(_) => panic!("nothing is large here"),
    }
}

/// The next record at an end is the one that is expected.
fn ask(range: &mut TreeRange<'_>, end: End, ask: Ask, expected: Option<Expected<'_>>) {
    let expected = expected.map(|(key, (at, value))| (&key[..], *at, &value[..]));
    match ask {
        Ask::Seek => range.seek(end),
        Ask::Peek | Ask::Pass => {
            let shown = range.peek(end).unwrap();
            assert_eq!(shown, expected.map(|(key, ..)| key));
        }
        Ask::Next => {
            let passed = range.next(end).unwrap();
            let passed = passed.map(|(key, record)| (key, record.at.0, value_of(record.body)));
            assert_eq!(passed, expected);
        }
        Ask::Take => {
            let taken = range.take(end).unwrap();
            let taken = taken.as_ref();
            let taken = taken.map(|(key, found)| (*key, found.at().0, found.body()));
            let expected = expected.map(|(key, at, value)| (key, at, Ok((value, &[][..]))));
            assert_eq!(taken, expected);
        }
    }
    if let Ask::Pass = ask {
        range.pass(end);
        // Nothing was peeked at since.
        range.pass(end);
    }
}

/// Goes through what is left of a range as `asks` say, and then to where the ends meet.
fn go_through(range: &mut TreeRange<'_>, mut left: VecDeque<Expected<'_>>, asks: &[(bool, Ask)]) {
    let rest = [(true, Ask::Next), (false, Ask::Peek), (true, Ask::Pass)];
    let mut asks = asks.iter().chain(rest.iter().cycle());
    let mut ended = 0;
    while ended < 8 {
        let Some((is_front, what)) = asks.next() else {
            return;
        };
        let (end, expected) = match is_front {
            true => (End::Front, left.front().copied()),
            false => (End::Back, left.back().copied()),
        };
        ask(range, end, *what, expected);
        ended += usize::from(expected.is_none());
        if let Ask::Next | Ask::Pass | Ask::Take = what {
            match end {
                End::Front => left.pop_front(),
                End::Back => left.pop_back(),
            };
        }
    }
}

/// What an ordered map has between two bounds; it panics where no key can lie between them.
fn between<'m>(
    model: &'m Model,
    lower: Bound<&[u8]>,
    upper: Bound<&[u8]>,
) -> VecDeque<Expected<'m>> {
    let above = |key: &[u8]| match lower {
        Bound::Included(bound) => key >= bound,
        Bound::Excluded(bound) => key > bound,
        Bound::Unbounded => true,
    };
    let below = |key: &[u8]| match upper {
        Bound::Included(bound) => key <= bound,
        Bound::Excluded(bound) => key < bound,
        Bound::Unbounded => true,
    };
    let is_within = |key: &[u8]| above(key) && below(key);
    model.iter().filter(|(key, _)| is_within(key)).collect()
}

/// Keys with long common beginnings, so that trees of a few hundred have several levels.
fn deep_key() -> impl Strategy<Value = Vec<u8>> {
    let long = |n: u32| [vec![b'k'; 300], n.to_be_bytes().to_vec(), vec![b'x'; 200]].concat();
    prop_oneof![
        3 => (0..900u32).prop_map(move |n| long(n.wrapping_mul(2_654_435_761))),
        4 => key(),
    ]
}

/// A bound: at a key of the tree, at another key, or none.
#[derive(Clone, Debug)]
enum Edge {
    None,
    Near {
        number: usize,
        after: bool,
        included: bool,
    },
    At {
        key: Vec<u8>,
        included: bool,
    },
}

fn edge() -> impl Strategy<Value = Edge> {
    prop_oneof![
        1 => Just(Edge::None),
        4 => any::<(usize, bool, bool)>()
            .prop_map(|(number, after, included)| Edge::Near { number, after, included }),
        2 => (deep_key(), any::<bool>()).prop_map(|(key, included)| Edge::At { key, included }),
    ]
}

impl Edge {
    fn bound(&self, model: &Model) -> Bound<Vec<u8>> {
        let (key, included) = match self {
            Self::None => return Bound::Unbounded,
            Self::At { key, included } => (key.clone(), *included),
            Self::Near {
                number,
                after,
                included,
            } => {
                let key = model.keys().nth(number % model.len().max(1));
                let mut key = key.cloned().unwrap_or_default();
                key.extend(after.then_some(0));
                (key, *included)
            }
        };
        match included {
            true => Bound::Included(key),
            false => Bound::Excluded(key),
        }
    }
}

fn asks() -> impl Strategy<Value = Vec<(bool, Ask)>> {
    let ask = prop_oneof![
        2 => Just(Ask::Peek),
        6 => Just(Ask::Next),
        3 => Just(Ask::Pass),
        1 => Just(Ask::Take),
        1 => Just(Ask::Seek),
    ];
    // Mostly one end or mostly the other, so that they meet anywhere.
    (0..=10u8).prop_flat_map(move |front| {
        vec(
            ((0..10u8).prop_map(move |n| n < front), ask.clone()),
            0..400,
        )
    })
}

/// The same pages, with memory for so many of them.
fn with_little_memory(maker: &Maker, frames: usize) -> Tree {
    let reader = Arc::clone(&maker.shelf) as Arc<dyn PageReader>;
    // The page table takes a part.
    let pool = Pool::new((frames + 2) * 4096, reader).unwrap();
    Tree::new(pool, ID, PageSize::K4, Search::detect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_range_is_that_of_an_ordered_map_from_both_ends(
        keys in prop::collection::btree_set(deep_key(), 0..700),
        ranges in vec((edge(), edge(), asks(), any::<bool>()), 1..8),
    ) {
        let (large, maker) = tree(64 << 20, PageSize::K4);
        let batch: Batch = keys
            .into_iter()
            .enumerate()
            .map(|(n, key)| (key, Some(vec![n as u8; n % 160])))
            .collect();
        let root = merge(&large, &Root::EMPTY, 9, &batch, &maker).unwrap();
        let mut model = Model::new();
        apply(&mut model, 9, batch);
        let little = with_little_memory(&maker, 10);
        for (lower, upper, asks, scan) in &ranges {
            let (lower, upper) = (lower.bound(&model), upper.bound(&model));
            let (lower, upper) = (lower.as_ref().map(|key| &key[..]), upper.as_ref().map(|key| &key[..]));
            let hint = if *scan { Hint::Scan } else { Hint::Normal };
            for tree in [&large, &little] {
                let mut range = tree.range(&root, lower, upper, hint);
                go_through(&mut range, between(&model, lower, upper), asks);
            }
        }
    }
}

/// Each record is passed once wherever the ends meet: in a leaf, and between any two leaves.
#[test]
fn ends_meet_anywhere() {
    let (tree, maker) = tree(64 << 20, PageSize::K4);
    let batch = numbered(0..150, 150);
    let root = merge(&tree, &Root::EMPTY, 1, &batch, &maker).unwrap();
    let mut model = Model::new();
    apply(&mut model, 1, batch);
    assert!(tree.check(&root).unwrap().leaves > 4);
    for passed in 0..=150 {
        for first in [true, false] {
            let none = || Bound::Unbounded;
            let mut range = tree.range(&root, none(), none(), Hint::Normal);
            // One end first; the rest from the other, with a look from the first before each.
            let mut asks = vec![(first, Ask::Next); passed];
            asks.push((!first, Ask::Next));
            asks.extend([(first, Ask::Peek), (!first, Ask::Next)].repeat(160));
            go_through(&mut range, between(&model, none(), none()), &asks);
        }
    }
}

/// What is taken from a range stays, though its page is evicted from the pool.
#[test]
fn what_is_taken_outlives_the_range_and_its_page() {
    let (large, maker) = tree(64 << 20, PageSize::K4);
    let batch = numbered(0..2000, 100);
    let root = merge(&large, &Root::EMPTY, 1, &batch, &maker).unwrap();
    let little = with_little_memory(&maker, 12);
    let mut range = little.range(&root, Bound::Unbounded, Bound::Unbounded, Hint::Scan);
    let (_, first) = range.take(End::Front).unwrap().unwrap();
    let (_, last) = range.take(End::Back).unwrap().unwrap();
    let mut passed = 0;
    while range.next(End::Front).unwrap().is_some() {
        passed += 1;
    }
    assert_eq!(passed, 1998);
    drop(range);
    let evicted = little.pool().stats().evictions;
    assert!(evicted > 30, "{evicted}");
    for (found, number) in [(&first, 0_u64), (&last, 1999)] {
        assert_eq!(found.body().unwrap().0, [number as u8; 100]);
        assert_eq!(found.clone().body(), found.body());
    }
}

/// A page that cannot be read is asked for again, and nothing is lost or shown twice.
#[test]
fn an_error_changes_nothing() {
    let (large, maker) = tree(64 << 20, PageSize::K4);
    let batch = numbered(0..300, 100);
    let root = merge(&large, &Root::EMPTY, 1, &batch, &maker).unwrap();
    let keys: Vec<_> = batch.into_keys().collect();
    for ends in [[End::Front, End::Front], [End::Front, End::Back]] {
        let little = with_little_memory(&maker, 12);
        let mut range = little.range(&root, Bound::Unbounded, Bound::Unbounded, Hint::Normal);
        let (mut passed, mut failed) = (Vec::new(), 0);
        for turn in 0.. {
            // Each time all frames are taken, whatever is not in memory cannot be read.
            let taken: Vec<_> = match turn % 2 {
                0 => std::iter::from_fn(|| little.pool().create(PageSize::K4).ok()).collect(),
                _ => Vec::new(),
            };
            let end = ends[turn / 2 % 2];
            match range.next(end) {
                Ok(Some((key, _))) => passed.push(key.to_vec()),
                Ok(None) => break,
                Err(error) => {
                    assert!(matches!(error, PageError::NoFrame { .. }), "{error}");
                    failed += 1;
                }
            }
            drop(taken);
        }
        passed.sort();
        assert_eq!(passed, keys);
        assert!(failed > 3, "{failed}");
    }
}
