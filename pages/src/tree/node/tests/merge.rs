//! Merges and cuts against a map.

use std::collections::BTreeMap;

use proptest::prelude::*;
use vellum_base::Timestamp;

use super::super::{Cut, LeafMerge, LeafView, MergeError, Refused, Search, Update, separator};
use super::{Owned, build, keys, read, records, shown, sizes};
use crate::page::PageSize;

fn updates(changes: &BTreeMap<Vec<u8>, Option<Owned>>) -> Vec<Update<'_>> {
    changes
        .iter()
        .map(|(key, change)| Update {
            key,
            at: Timestamp(change.as_ref().map_or(9, |record| record.at)),
            body: change.as_ref().map(Owned::body),
        })
        .collect()
}

proptest! {
    #[test]
    fn merges_give_what_a_map_gives(
        size in sizes(),
        old in prop::collection::btree_map(keys(), records(), 0..120),
        changes in prop::collection::btree_map(keys(), prop::option::of(records()), 0..60),
        again in prop::collection::vec((any::<prop::sample::Index>(), prop::option::of(records())), 0..20),
        is_full: bool,
    ) {
        let fit = |key: Vec<u8>, record: Owned| { let r = record.fit(size, &key); (key, r) };
        let old: BTreeMap<_, _> = old.into_iter().map(|(key, record)| fit(key, record)).collect();
        let mut changes = changes;
        let names: Vec<_> = old.keys().cloned().collect();
        for (index, change) in again {
            if !names.is_empty() {
                changes.insert(index.get(&names).clone(), change);
            }
        }
        let changes: BTreeMap<_, _> = changes
            .into_iter()
            .map(|(key, change)| { let c = change.map(|record| record.fit(size, &key)); (key, c) })
            .collect();
        let mut wanted = old.clone();
        let mut dropped = Vec::new();
        for (key, change) in &changes {
            let before = match change {
                Some(record) => wanted.insert(key.clone(), record.clone()),
                None => wanted.remove(key),
            };
            dropped.extend(before.and_then(|record| record.large));
        }
        let pages = build(size, &old);
        let views: Vec<_> = pages.iter().map(|(_, page)| LeafView::new(page).unwrap()).collect();
        let updates = updates(&changes);
        let merge = LeafMerge::new(size, Search::detect(), &views, &updates).unwrap();
        prop_assert_eq!(merge.dropped(), dropped);
        prop_assert_eq!(merge.len(), wanted.len());
        let last = old.keys().next_back();
        let appended = changes.iter().filter(|(key, change)| last.is_none_or(|l| *key > l) && change.is_some());
        prop_assert_eq!(merge.appended(), appended.count());
        let mut all = Vec::new();
        let mut page = vec![0xEE; size.bytes()];
        page[..super::super::COUNT].fill(0);
        for piece in merge.pieces(if is_full { Cut::Full } else { Cut::Even }) {
            piece.write(&mut page);
            let now = read(&page);
            prop_assert_eq!(piece.used(), LeafView::new(&page).unwrap().used());
            prop_assert_eq!((piece.len(), piece.first_key()), (now.len(), now[0].0.clone()));
            let bound = all.last().map(|(key, _): &(Vec<u8>, Owned)| separator(key, &now[0].0).to_vec());
            prop_assert_eq!(piece.separator(), bound);
            all.extend(now);
        }
        let wanted: Vec<_> = wanted.iter().map(|(key, record)| (key.clone(), shown(record))).collect();
        prop_assert_eq!(all, wanted);
    }
}

fn plain(count: u64, value: usize) -> BTreeMap<Vec<u8>, Option<Owned>> {
    let record = |at| Owned {
        at,
        value: vec![1; value],
        vectors: vec![],
        large: None,
    };
    (0..count)
        .map(|n| (format!("user{n:020}").into_bytes(), Some(record(n))))
        .collect()
}

#[test]
fn cuts_evenly_or_full() {
    let changes = plain(60, 150);
    let updates = updates(&changes);
    let merge = LeafMerge::new(PageSize::K8, Search::detect(), &[], &updates).unwrap();
    assert_eq!(merge.appended(), 60);
    let lens = |how| -> Vec<_> { merge.pieces(how).iter().map(|piece| piece.len()).collect() };
    assert_eq!(lens(Cut::Even), [30, 30]);
    let full = lens(Cut::Full);
    assert_eq!((full.len(), full.iter().sum::<usize>()), (2, 60));
    assert!(full[0] > 45, "{full:?}");
    assert!(merge.pieces(Cut::Full)[1].is_underfull());
    assert!(
        merge
            .pieces(Cut::Even)
            .iter()
            .all(|piece| !piece.is_underfull())
    );
}

#[test]
fn what_is_deleted_to_the_last_leaves_no_leaf() {
    let changes = plain(20, 10);
    let old: BTreeMap<_, _> = changes
        .iter()
        .map(|(key, c)| (key.clone(), c.clone().unwrap()))
        .collect();
    let pages = build(PageSize::K4, &old);
    let view = LeafView::new(&pages[0].1).unwrap();
    let gone: BTreeMap<_, _> = changes.into_keys().map(|key| (key, None)).collect();
    let merge = LeafMerge::new(PageSize::K4, Search::detect(), &[view], &updates(&gone))
        .map(|merge| merge.pieces(Cut::Even).len());
    assert_eq!(merge, Ok(0));
}

#[test]
fn refuses_updates_and_leaves_out_of_order() {
    let changes = plain(2, 10);
    let mut twice = updates(&changes);
    twice[1].key = twice[0].key;
    let merge =
        LeafMerge::new(PageSize::K4, Search::detect(), &[], &twice).map(|merge| merge.len());
    assert_eq!(merge, Err(MergeError::Refused(Refused::OutOfOrder)));
    let old: BTreeMap<_, _> = changes
        .iter()
        .map(|(key, c)| (key.clone(), c.clone().unwrap()))
        .collect();
    let pages = build(PageSize::K4, &old);
    let view = LeafView::new(&pages[0].1).unwrap();
    let merge =
        LeafMerge::new(PageSize::K4, Search::detect(), &[view, view], &[]).map(|merge| merge.len());
    assert!(
        matches!(merge, Err(MergeError::Damage { leaf: 1, .. })),
        "{merge:?}"
    );
}

#[test]
fn refuses_old_records_that_its_leaves_have_no_room_for() {
    let changes = plain(3, 10_000);
    let updates = updates(&changes);
    let mut page = vec![0; PageSize::K64.bytes()];
    let large = LeafMerge::new(PageSize::K64, Search::detect(), &[], &updates).unwrap();
    large.pieces(Cut::Even)[0].write(&mut page);
    let view = LeafView::new(&page).unwrap();
    let merge =
        LeafMerge::new(PageSize::K4, Search::detect(), &[view], &[]).map(|merge| merge.len());
    assert!(
        matches!(merge, Err(MergeError::Damage { leaf: 0, .. })),
        "{merge:?}"
    );
    let merge =
        LeafMerge::new(PageSize::K4, Search::detect(), &[], &updates).map(|merge| merge.len());
    assert_eq!(merge, Err(MergeError::Refused(Refused::MustBeLarge)));
}
