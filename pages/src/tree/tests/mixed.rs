//! Batches of all kinds of keys and records, from a seed.

use std::collections::BTreeMap;
use std::ops::Bound;

use vellum_base::Timestamp;

use crate::page::{PageRef, PageSize};
use crate::pool::Hint;
use crate::tree::node::{Body, Large, Update, must_be_large};
use crate::tree::{End, Root, Tree};

/// A record that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) at: u64,
    value: Vec<u8>,
    vectors: Vec<u8>,
    large: Option<Large>,
}

pub(super) type Records = BTreeMap<Vec<u8>, Kept>;
pub(super) type Changes = BTreeMap<Vec<u8>, Option<Kept>>;

impl Kept {
    pub(super) fn body(&self) -> Body<'_> {
        match self.large {
            Some(large) => Body::Large(large),
            None => Body::Inline {
                value: &self.value,
                vectors: &self.vectors,
            },
        }
    }

    fn of(at: u64, body: Body<'_>) -> Self {
        let (value, vectors, large) = match body {
            Body::Inline { value, vectors } => (value.to_vec(), vectors.to_vec(), None),
            Body::Large(large) => (Vec::new(), Vec::new(), Some(large)),
        };
        Self {
            at,
            value,
            vectors,
            large,
        }
    }
}

/// Numbers that look random.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mix = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mix = (mix ^ mix >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mix ^ mix >> 31) % sides
    }
}

/// A key of one of several kinds: short and long prefixes, very short ones, very long ones.
pub(super) fn key(dice: &mut Dice) -> Vec<u8> {
    let number = dice.roll(3_000);
    match dice.roll(24) {
        0..8 => format!("user{number:020}").into_bytes(),
        8..14 => number
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .to_be_bytes()
            .to_vec(),
        14..20 => format!("https://example.org/{}/articles/{number}", number % 7).into_bytes(),
        20..22 => number.to_be_bytes()[8 - dice.roll(4) as usize..].to_vec(),
        22 => [
            b"user".to_vec(),
            vec![b'u'; number as usize % 900],
            vec![number as u8],
        ]
        .concat(),
        _ => vec![number as u8; 1 + number as usize % 5],
    }
}

fn record(dice: &mut Dice, size: PageSize, key: &[u8], now: u64) -> Kept {
    let at = match dice.roll(4) {
        0 => now.saturating_sub(dice.roll(70_000)),
        _ => now,
    };
    let len = [0, 20, 150, 300][dice.roll(4) as usize];
    let large = (dice.roll(20) == 0).then(|| Large {
        value_len: dice.roll(1 << 40),
        vectors_len: dice.roll(99),
        root: PageRef::new(1 + dice.roll(1 << 30), 2).unwrap(),
    });
    let vectors = vec![3; if dice.roll(4) == 0 { 64 } else { 0 }];
    let fits = !must_be_large(size, key.len(), len, vectors.len());
    let keep = large.is_none() && fits;
    Kept {
        at,
        value: vec![at as u8; if keep { len } else { 0 }],
        vectors: if keep { vectors } else { Vec::new() },
        large,
    }
}

/// So many changes, of which so many in a hundred delete.
pub(super) fn changes(
    dice: &mut Dice,
    size: PageSize,
    now: u64,
    count: usize,
    deletes: u64,
) -> Changes {
    let change = |_| {
        let key = key(dice);
        let is_deleted = dice.roll(100) < deletes;
        let change = (!is_deleted).then(|| record(dice, size, &key, now));
        (key, change)
    };
    (0..count).map(change).collect()
}

pub(super) fn apply(records: &mut Records, changes: &Changes) {
    for (key, change) in changes {
        match change {
            Some(record) => records.insert(key.clone(), record.clone()),
            None => records.remove(key),
        };
    }
}

pub(super) fn updates(changes: &Changes) -> Vec<Update<'_>> {
    changes
        .iter()
        .map(|(key, change)| Update {
            key,
            at: Timestamp(change.as_ref().map_or(1, |record| record.at)),
            body: change.as_ref().map(Kept::body),
        })
        .collect()
}

/// All that a state holds, after it was checked.
pub(super) fn content(tree: &Tree, root: &Root) -> Records {
    tree.check(root).unwrap();
    let mut records = Records::new();
    let mut range = tree.range(root, Bound::Unbounded, Bound::Unbounded, Hint::Scan);
    while let Some((key, record)) = range.next(End::Front).unwrap() {
        records.insert(key.to_vec(), Kept::of(record.at.0, record.body));
    }
    assert_eq!(records.len() as u64, root.records);
    records
}

/// Leaves, inner pages, and bytes used: the same for states whose pages are the same.
pub(super) fn shape(tree: &Tree, root: &Root) -> (u64, u64, u64) {
    let counted = tree.check(root).unwrap();
    (counted.leaves, counted.inners, counted.leaf_bytes_used)
}
