//! Leaves and inner pages against a map, damaged ones against themselves.

mod damage;
mod inner;
mod leaf;
mod merge;
mod search;

use proptest::prelude::*;
use vellum_base::{KEY_BYTES_MAX, Timestamp};

use super::{Body, Entry, Fill, LARGE_BYTES, Large, LeafBuilder, LeafView, must_be_large};
use crate::page::{PageRef, PageSize};

/// A record that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owned {
    at: u64,
    value: Vec<u8>,
    vectors: Vec<u8>,
    large: Option<Large>,
}

impl Owned {
    fn body(&self) -> Body<'_> {
        match self.large {
            Some(large) => Body::Large(large),
            None => Body::Inline {
                value: &self.value,
                vectors: &self.vectors,
            },
        }
    }

    fn entry<'a>(&'a self, key: &'a [u8]) -> Entry<'a> {
        Entry {
            key,
            at: Timestamp(self.at),
            body: self.body(),
        }
    }

    /// As it must be in leaves of a size.
    fn fit(mut self, size: PageSize, key: &[u8]) -> Self {
        if self.large.is_none()
            && must_be_large(size, key.len(), self.value.len(), self.vectors.len())
        {
            self.value.truncate(LARGE_BYTES);
            self.vectors.clear();
        }
        self
    }
}

pub(super) fn keys() -> impl Strategy<Value = Vec<u8>> {
    let edge = prop_oneof![Just(0u8), Just(1), Just(b'a'), Just(255)];
    let tail = || prop::collection::vec(prop_oneof![Just(0u8), Just(b'x'), any::<u8>()], 0..6);
    prop_oneof![
        4 => prop::collection::vec(edge, 0..10),
        3 => any::<[u8; 16]>().prop_map(Vec::from),
        3 => (0u64..500).prop_map(|n| n.to_be_bytes().to_vec()),
        3 => (0u64..90_000).prop_map(|n| format!("user{n:020}").into_bytes()),
        2 => (0u64..50, tail()).prop_map(|(n, tail)| {
            [format!("https://example.org/a/long/path/{n}/").into_bytes(), tail].concat()
        }),
        1 => (prop::sample::select(vec![10usize, 1000, KEY_BYTES_MAX - 6]), tail())
            .prop_map(|(n, tail)| [vec![b'k'; n], tail].concat()),
        1 => Just(vec![b'z'; KEY_BYTES_MAX]),
    ]
}

pub(super) fn sizes() -> impl Strategy<Value = PageSize> {
    prop::sample::select(PageSize::ALL.to_vec())
}

pub(super) fn places() -> impl Strategy<Value = PageRef> {
    (1..PageRef::STEPS_MAX, 1..=16u8).prop_map(|(step, steps)| PageRef::new(step, steps).unwrap())
}

pub(super) fn records() -> impl Strategy<Value = Owned> {
    let value = prop_oneof![
        Just(Vec::new()),
        prop::collection::vec(any::<u8>(), 0..40),
        (100..900usize).prop_map(|n| vec![7; n]),
    ];
    let vectors =
        prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(any::<u8>(), 1..99)];
    let at = prop_oneof![5 => 1_000u64..1_300, 2 => 0..1u64 << 40, 1 => any::<u64>()];
    let large = prop_oneof![
        6 => Just(None),
        1 => (any::<u64>(), any::<u64>(), places()).prop_map(|(value_len, vectors_len, root)| {
            Some(Large { value_len, vectors_len, root })
        }),
    ];
    (at, value, vectors, large).prop_map(|(at, value, vectors, large)| Owned {
        at,
        value,
        vectors,
        large,
    })
}

/// The leaves of a map's records.
pub(super) fn build<'a>(
    size: PageSize,
    records: impl IntoIterator<Item = (&'a Vec<u8>, &'a Owned)>,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut leaves = Vec::new();
    let mut page = vec![0xEE; size.bytes()];
    page[..super::COUNT].fill(0);
    let entries = records
        .into_iter()
        .map(|(key, record)| Ok(record.entry(key)));
    super::cut_leaves(size, Fill::FULL, entries, &mut page, |finished, page| {
        leaves.push((finished.separator, page.to_vec()));
        Ok::<_, super::Refused>(())
    })
    .unwrap();
    leaves
}

/// Everything that a leaf holds.
pub(super) fn read(page: &[u8]) -> Vec<(Vec<u8>, Owned)> {
    let leaf = LeafView::checked(page).unwrap();
    let mut key = Vec::new();
    (0..leaf.len())
        .map(|at| {
            leaf.key(at, &mut key).unwrap();
            let record = leaf.record(at).unwrap();
            let (value, vectors, large) = match record.body {
                Body::Inline { value, vectors } => (value.to_vec(), vectors.to_vec(), None),
                Body::Large(large) => (Vec::new(), Vec::new(), Some(large)),
            };
            let owned = Owned {
                at: record.at.0,
                value,
                vectors,
                large,
            };
            (key.clone(), owned)
        })
        .collect()
}

/// What a leaf shows of a record: large ones have no bytes there.
pub(super) fn shown(record: &Owned) -> Owned {
    let mut record = record.clone();
    if record.large.is_some() {
        record.value.clear();
        record.vectors.clear();
    }
    record
}

pub(super) fn builder(size: PageSize) -> LeafBuilder {
    LeafBuilder::new(size, Fill::FULL)
}
