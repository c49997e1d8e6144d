//! Bytes that no builder wrote: damage, or a wrong answer, never more (rules 6 and 8).

use std::collections::BTreeMap;

use proptest::prelude::*;
use vellum_base::Timestamp;

use super::super::keys::Damage;
use super::super::{
    Below, Body, Bound, Cut, Entry, Fill, InnerRun, InnerView, LeafBuilder, LeafMerge, LeafView,
    Link, Pushed, Search, WalkedKey, prefetch,
};
use super::{Owned, build, keys, places, read, records, sizes};
use crate::page::{HEADER, PageSize};

/// Looks at a page in every way there is; what it answers does not matter.
fn use_it(page: &[u8], probes: &[Vec<u8>]) {
    let mut key = Vec::new();
    prefetch(page, 6);
    if let Ok(leaf) = LeafView::new(page) {
        let _ = leaf.check();
        for probe in probes {
            let _ = leaf.check_within(Some(probe), Some(probe));
            for search in Search::all() {
                let at = leaf.lower_bound(search, probe);
                assert!(at <= leaf.len());
                let _ = leaf.get(search, probe);
            }
        }
        let (walk, mut walked_key) = (leaf.walk(), WalkedKey::default());
        walked_key.begin(leaf.prefix());
        for at in 0..=leaf.len() {
            walk.prefetch(page, at);
            if let Ok(walked) = walk.read(page, at) {
                walked_key.put(&walked);
                assert_eq!(leaf.record(at), Ok(walked.record));
                leaf.key(at, &mut key).unwrap();
                assert_eq!(walked_key.bytes(), key);
                let _ = walk.read(&page[..page.len() / 2], at);
            }
            let _ = (
                leaf.key(at, &mut key),
                leaf.next_key(at, &mut key),
                leaf.record(at),
            );
            leaf.prefetch_record(at);
        }
        if let Ok(merge) = LeafMerge::new(PageSize::K64, Search::detect(), &[leaf], &[]) {
            let mut image = vec![0; PageSize::K64.bytes()];
            for piece in merge.pieces(Cut::Even) {
                piece.write(&mut image);
                LeafView::checked(&image).unwrap();
            }
        }
    }
    if let Ok(inner) = InnerView::new(page) {
        let _ = (inner.check(), inner.below());
        for probe in probes {
            let _ = inner.check_within(Some(probe), Some(probe));
            for search in Search::all() {
                let at = inner.route(search, probe);
                assert!(at < inner.len());
                let _ = inner.child(at);
            }
        }
        for at in 0..=inner.len() {
            let _ = inner.separator(at, &mut key);
        }
        let place = |at| inner.child(at).ok();
        let link = |at| {
            Some(Link {
                bound: Bound::Old(at),
                at: place(at)?,
            })
        };
        let links: Vec<_> = (0..inner.len()).filter_map(link).collect();
        if let Ok(run) = InnerRun::new(PageSize::K64, 1, Some(inner), &links) {
            let mut image = vec![0; PageSize::K64.bytes()];
            for piece in run.pieces(Cut::Even) {
                piece.write(&mut image, Below::default());
                InnerView::checked(&image).unwrap();
            }
        }
    }
}

fn flips() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), 1..=255u8), 1..4)
}

/// Flips bytes behind the common header, near its end more often.
fn damage(page: &mut [u8], used: usize, flips: &[(prop::sample::Index, u8)]) {
    for (index, flip) in flips {
        let room = if flip % 3 == 0 {
            HEADER - 40
        } else {
            (used + 64).min(page.len()) - 40
        };
        page[40 + index.index(room)] ^= flip;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn a_leaf_that_is_accepted_is_one_that_a_builder_writes(
        size in prop::sample::select(vec![PageSize::K4, PageSize::K8]),
        map in prop::collection::btree_map(keys(), records(), 0..20),
        flips in flips(),
        probes in prop::collection::vec(keys(), 5),
    ) {
        let map: BTreeMap<_, _> =
            map.into_iter().map(|(key, record)| { let r = record.fit(size, &key); (key, r) }).collect();
        for (_, mut page) in build(size, &map) {
            let used = LeafView::new(&page).unwrap().used();
            damage(&mut page, used, &flips);
            use_it(&page, &probes);
            if LeafView::checked(&page).is_ok() {
                let content: Vec<(Vec<u8>, Owned)> = read(&page);
                let again = build(size, content.iter().map(|(key, record)| (key, record)));
                prop_assert_eq!(again.len(), usize::from(!content.is_empty()));
                if let Some((_, again)) = again.first() {
                    prop_assert_eq!(&page, again);
                }
            }
        }
    }

    #[test]
    fn an_inner_page_that_is_accepted_is_one_that_a_builder_writes(
        separators in prop::collection::btree_map(keys(), places(), 1..40),
        flips in flips(),
        probes in prop::collection::vec(keys(), 5),
    ) {
        let children: Vec<_> =
            separators.iter().map(|(key, at)| Link { bound: Bound::Key(key), at: *at }).collect();
        let mut page = vec![0; 8192];
        for piece in InnerRun::new(PageSize::K8, 1, None, &children).unwrap().pieces(Cut::Full) {
            piece.write(&mut page, Below::default());
            damage(&mut page, piece.used(), &flips);
            use_it(&page, &probes);
            let Ok(inner) = InnerView::checked(&page) else { continue };
            let mut keys = vec![Vec::new(); inner.len()];
            for (at, key) in keys.iter_mut().enumerate().skip(1) {
                inner.separator(at, key).unwrap();
            }
            let child = |(at, key)| Link { bound: Bound::Key(key), at: inner.child(at).unwrap() };
            let children: Vec<_> = keys.iter().map(Vec::as_slice).enumerate().map(child).collect();
            let run = InnerRun::new(PageSize::K8, inner.level(), None, &children).unwrap();
            let pieces = run.pieces(Cut::Full);
            let mut again = vec![0; 8192];
            pieces[0].write(&mut again, inner.below());
            prop_assert_eq!(&page[40..], &again[40..]);
        }
    }

    #[test]
    fn noise_is_never_more_than_a_wrong_answer(
        size in sizes(),
        seed: u64,
        count in 0..2_000u16,
        numbers: [u16; 3],
        probes in prop::collection::vec(keys(), 5),
    ) {
        let mut state = seed;
        let mut page: Vec<u8> = (0..size.bytes())
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();
        use_it(&page, &probes);
        page[40..42].copy_from_slice(&count.to_le_bytes());
        page[42..44].copy_from_slice(&(numbers[0] & 31).to_le_bytes());
        page[44..46].copy_from_slice(&(numbers[1] & 1023).to_le_bytes());
        page[46] = (numbers[2] & 1) as u8;
        use_it(&page, &probes);
        for len in [0, 39, 63, 64, 4095, 5000] {
            use_it(&page[..len.min(page.len())], &probes);
        }
    }
}

/// A leaf of one record, whose key is all prefix and whose value is zeros.
fn zeros() -> Vec<u8> {
    let record = Owned {
        at: 77,
        value: vec![0; 20],
        vectors: vec![],
        large: None,
    };
    build(PageSize::K4, [(&b"key".to_vec(), &record)])
        .remove(0)
        .1
}

fn complaint(page: &[u8]) -> Option<Damage> {
    LeafView::checked(page).err()
}

#[test]
fn what_means_the_same_but_is_written_otherwise_is_damage() {
    assert_eq!(complaint(&zeros()), None);
    let mut wider = zeros();
    wider[super::super::WIDTH] = 1;
    assert_eq!(LeafView::new(&wider).unwrap().record(0).unwrap().at.0, 77);
    assert!(complaint(&wider).is_some_and(|damage| damage.what.contains("stamps")));
    let mut gap = zeros();
    gap[super::super::HEADS + 4] += 2;
    assert!(LeafView::new(&gap).unwrap().record(0).is_ok());
    assert!(complaint(&gap).is_some_and(|damage| damage.what.contains("gap")));
    let mut shorter = zeros();
    shorter[super::super::UNUSED] += 2;
    assert_eq!(
        complaint(&shorter),
        None,
        "only the checksum tells a shorter value"
    );
    *shorter.last_mut().unwrap() = 1;
    assert!(complaint(&shorter).is_some_and(|damage| damage.what.contains("unused")));
}

#[test]
fn separators_have_no_flags() {
    let children = [b"a", b"b", b"c"].map(|key| Link {
        bound: Bound::Key(key),
        at: crate::page::PageRef::new(9, 1).unwrap(),
    });
    let run = InnerRun::new(PageSize::K4, 1, None, &children).unwrap();
    let mut page = vec![0; 4096];
    run.pieces(Cut::Full)[0].write(&mut page, Below::default());
    InnerView::checked(&page).unwrap();
    let first = usize::from(page[super::super::HEADS + 8]);
    for bit in 4..8 {
        let mut page = page.clone();
        page[first + 1] |= 1 << bit;
        assert!(InnerView::checked(&page).is_err(), "bit {bit}");
    }
}

#[test]
fn a_record_that_should_be_large_is_found() {
    let entry = Entry {
        key: b"key",
        at: Timestamp(1),
        body: Body::Inline {
            value: &[7; 1200],
            vectors: &[],
        },
    };
    let mut builder = LeafBuilder::new(PageSize::K8, Fill::FULL);
    assert_eq!(builder.push(&entry), Ok(Pushed::Taken));
    let mut page = vec![0; 8192];
    builder.finish(&mut page);
    assert!(LeafView::checked(&page).is_ok());
    // The same in half the page, where it is more than a quarter.
    page.truncate(4096);
    let unused = u16::from_le_bytes([page[44], page[45]]) - 4096;
    page[44..46].copy_from_slice(&unused.to_le_bytes());
    let damage = LeafView::checked(&page).unwrap_err();
    assert_eq!(damage.what, "a record that should be large");
}
