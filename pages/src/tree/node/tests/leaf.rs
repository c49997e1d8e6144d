//! Leaves against a map, to the byte where the format is concerned (rules 1 to 4, 6 and 7).

use std::collections::BTreeMap;

use proptest::prelude::*;
use vellum_base::{KEY_BYTES_MAX, Timestamp};

use super::super::{
    Body, Entry, Fill, LARGE_BYTES, LeafBuilder, LeafView, Pushed, Refused, Search, must_be_large,
    separator,
};
use super::{Owned, build, builder, keys, read, records, shown, sizes};
use crate::page::{HEADER, PageRef, PageSize};

fn inline<'a>(key: &'a [u8], at: u64, value: &'a [u8]) -> Entry<'a> {
    Entry {
        key,
        at: Timestamp(at),
        body: Body::Inline {
            value,
            vectors: &[],
        },
    }
}

#[test]
fn a_leaf_of_two_records_byte_by_byte() {
    let mut builder = builder(PageSize::K4);
    let first = Entry {
        key: b"user\x00ab",
        at: Timestamp(1_000),
        body: Body::Inline {
            value: b"V",
            vectors: b"xyz",
        },
    };
    let large = super::super::Large {
        value_len: 0x0102,
        vectors_len: 3,
        root: PageRef::new(5, 2).unwrap(),
    };
    let second = Entry {
        key: b"user\x80bcdef",
        at: Timestamp(1_258),
        body: Body::Large(large),
    };
    assert_eq!(builder.push(&first), Ok(Pushed::Taken));
    assert_eq!(builder.push(&second), Ok(Pushed::Taken));
    let mut page = vec![0xAA; 4096];
    let finished = builder.finish(&mut page);
    let used = 64 + 8 + 4 + 4 + (2 + 2 + 2 + 4) + (2 + 2 + 2 + 22);
    assert_eq!((finished.used, finished.items), (used, 2));
    let mut expected = vec![0xAA; 40];
    expected.extend([2, 0, 4, 0]);
    expected.extend((4096 - used as u16).to_le_bytes());
    expected.extend([0, 2]);
    expected.extend(1_000u64.to_le_bytes());
    expected.extend([0; 8]);
    expected.extend([0, b'b', b'a', 0x80, b'd', b'c', b'b', 0x00]);
    expected.extend([80, 0, 90, 0]);
    expected.extend(b"user");
    expected.extend([3, 0x20, 0, 0, 3, 0, b'V', b'x', b'y', b'z']);
    expected.extend([6, 0x10, b'e', b'f', 2, 1]);
    expected.extend([
        2, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 162, 0, 0, 0, 0, 0,
    ]);
    expected.resize(4096, 0);
    assert_eq!(page, expected);
    let leaf = LeafView::checked(&page).unwrap();
    assert_eq!(leaf.record(1).unwrap().body, Body::Large(large));
}

proptest! {
    #[test]
    fn leaves_hold_what_a_map_holds(
        size in sizes(),
        map in prop::collection::btree_map(keys(), records(), 0..200),
        probes in prop::collection::vec(keys(), 30),
    ) {
        let map: BTreeMap<Vec<u8>, Owned> =
            map.into_iter().map(|(key, record)| { let r = record.fit(size, &key); (key, r) }).collect();
        let leaves = build(size, &map);
        let all: Vec<_> = leaves.iter().flat_map(|(_, page)| read(page)).collect();
        let wanted: Vec<_> = map.iter().map(|(key, record)| (key.clone(), shown(record))).collect();
        prop_assert_eq!(&all, &wanted);
        for (left, right) in leaves.iter().zip(leaves.iter().skip(1)) {
            let last = read(&left.1).pop().unwrap().0;
            let first = read(&right.1)[0].0.clone();
            prop_assert_eq!(&right.0, separator(&last, &first));
        }
        let mut scratch = Vec::new();
        for (bound, page) in &leaves {
            let leaf = LeafView::new(page).unwrap();
            leaf.check_within(Some(bound), None).unwrap();
            let keys: Vec<_> = read(page).into_iter().map(|(key, _)| key).collect();
            let near = keys.iter().flat_map(|key| {
                [key.clone(), [key.as_slice(), &[0]].concat(), key[..key.len().saturating_sub(1)].to_vec()]
            });
            for probe in near.chain(probes.iter().cloned()) {
                let right = keys.binary_search(&probe);
                for search in Search::all() {
                    prop_assert_eq!(leaf.find(search, &probe), right);
                    let record = right.ok().map(|at| leaf.record(at).unwrap());
                    prop_assert_eq!(leaf.get(search, &probe), Ok(record));
                }
                let bound = leaf.lower_bound(Search::detect(), &probe);
                prop_assert_eq!(bound, keys.partition_point(|key| *key < probe));
            }
            for (at, key) in keys.iter().enumerate() {
                if at == 0 { leaf.key(at, &mut scratch).unwrap() } else { leaf.next_key(at, &mut scratch).unwrap() }
                prop_assert_eq!(&scratch, key);
            }
            let (first, last) = (&keys[0], &keys[keys.len() - 1]);
            prop_assert!(leaf.check_within(Some(&[first.as_slice(), &[0]].concat()), None).is_err());
            prop_assert!(leaf.check_within(None, Some(last)).is_err());
            prop_assert!(leaf.check_within(Some(first), Some(&[last.as_slice(), &[0]].concat())).is_ok());
        }
    }
}

#[test]
fn pages_of_ordinary_records_are_full_to_ninety_five_per_cent() {
    for size in PageSize::ALL {
        let map: BTreeMap<Vec<u8>, Owned> = (0..3_000u64)
            .map(|n| {
                let record = Owned {
                    at: n * 7,
                    value: vec![1; 150],
                    vectors: vec![],
                    large: None,
                };
                (
                    [
                        n.wrapping_mul(0x9E37_79B9_7F4A_7C15)
                            .to_be_bytes()
                            .as_slice(),
                        &[7; 16],
                    ]
                    .concat(),
                    record,
                )
            })
            .collect();
        let leaves = build(size, &map);
        for (_, page) in &leaves[..leaves.len() - 1] {
            let used = LeafView::new(page).unwrap().used();
            assert!(
                used * 100 >= size.bytes() * 95,
                "{used} of {}",
                size.bytes()
            );
        }
    }
}

#[test]
fn a_fill_target_is_kept() {
    let mut builder = LeafBuilder::new(PageSize::K8, Fill::percent(80));
    let mut page = vec![0; 8192];
    for n in 0..10_000u32 {
        let key = n.to_be_bytes();
        if builder.push(&inline(&key, 5, b"value")).unwrap() == Pushed::Full {
            let finished = builder.finish(&mut page);
            assert!(
                (6_500..=6_553).contains(&finished.used),
                "{}",
                finished.used
            );
            assert!(!finished.is_underfull);
            assert_eq!(builder.push(&inline(&key, 5, b"value")), Ok(Pushed::Taken));
        }
    }
}

#[test]
fn three_records_of_the_longest_keys_fit_eight_kilobytes() {
    let key = |n: u8| [vec![n], vec![b'k'; KEY_BYTES_MAX - 1]].concat();
    for (size, least) in [(PageSize::K4, 1), (PageSize::K8, 3), (PageSize::K64, 30)] {
        let value = [0; LARGE_BYTES];
        assert!(!must_be_large(size, KEY_BYTES_MAX, value.len(), 0));
        let mut builder = builder(size);
        let mut count = 0;
        while builder
            .push(&inline(&key(count), 1 << (count * 4).min(63), &value))
            .unwrap()
            == Pushed::Taken
        {
            count += 1;
        }
        assert!(count >= least, "{count} records in {} bytes", size.bytes());
    }
}

#[test]
fn the_quarter_rule_is_kept_at_its_edge() {
    for size in PageSize::ALL {
        let quarter = (size.bytes() - HEADER) / 4;
        let most = quarter - (4 + 2 + 2 + 10 + 8);
        assert!(!must_be_large(size, 10, most, 0));
        assert!(must_be_large(size, 10, most + 1, 0));
        assert!(must_be_large(size, 10, 1, most - 2));
        let value = vec![3; most + 1];
        let mut builder = builder(size);
        assert_eq!(
            builder.push(&inline(b"0123456789", 1, &value)),
            Err(Refused::MustBeLarge)
        );
        for n in 0..4 {
            let key = [b'a' + n; 10];
            let pushed = builder.push(&inline(&key, u64::MAX * u64::from(n & 1), &value[1..]));
            assert_eq!(pushed, Ok(Pushed::Taken));
        }
    }
}

#[test]
fn refuses_what_no_leaf_may_hold_and_keeps_what_it_has() {
    let mut builder = builder(PageSize::K4);
    let mut page = vec![0; 4096];
    let _ = builder.push(&inline(b"b", 1, b"")).unwrap();
    for key in [&b"b"[..], b"a", b""] {
        assert_eq!(builder.push(&inline(key, 1, b"")), Err(Refused::OutOfOrder));
    }
    let long = [b'z'; KEY_BYTES_MAX + 1];
    assert_eq!(
        builder.push(&inline(&long, 1, b"")),
        Err(Refused::KeyTooLong)
    );
    builder.finish(&mut page);
    assert_eq!(read(&page).len(), 1);
    assert_eq!(
        builder.push(&inline(b"a", 1, b"")),
        Err(Refused::OutOfOrder),
        "of the page before"
    );
    assert!(builder.is_empty());
    builder.finish(&mut page);
    assert!(LeafView::checked(&page).unwrap().is_empty());
}
