//! Inner pages against a sorted list of separators (rules 5 and 7).

use std::collections::BTreeSet;

use proptest::prelude::*;
use vellum_base::KEY_BYTES_MAX;

use super::super::{
    Below, Bound, Child, Cut, Fill, InnerBuilder, InnerRun, InnerView, Link, MergeError, Pushed,
    Refused, Search,
};
use super::{keys, sizes};
use crate::page::{PageRef, PageSize};

const BELOW: Below = Below {
    records: 77_777,
    leaves: 333,
};

fn place(n: usize) -> PageRef {
    PageRef::new(n as u64 * 3 + 1, (n % 16) as u8 + 1).unwrap()
}

fn children(separators: &BTreeSet<Vec<u8>>) -> Vec<Child<'_>> {
    separators
        .iter()
        .enumerate()
        .map(|(n, separator)| Child {
            separator,
            at: place(n),
        })
        .collect()
}

fn links<'a>(children: &[Child<'a>]) -> Vec<Link<'a>> {
    let link = |child: &Child<'a>| Link {
        bound: Bound::Key(child.separator),
        at: child.at,
    };
    children.iter().map(link).collect()
}

fn examine(page: &[u8], children: &[Child<'_>], probes: &[Vec<u8>]) -> Result<(), TestCaseError> {
    let inner = InnerView::checked(page).unwrap();
    prop_assert_eq!(inner.len(), children.len());
    prop_assert_eq!((inner.level(), inner.below()), (2, BELOW));
    let mut scratch = Vec::new();
    for (at, child) in children.iter().enumerate() {
        prop_assert_eq!(inner.child(at), Ok(child.at));
        if at > 0 {
            inner.separator(at, &mut scratch).unwrap();
            prop_assert_eq!(&scratch, child.separator);
        }
    }
    prop_assert!(inner.separator(0, &mut scratch).is_err());
    prop_assert!(inner.child(children.len()).is_err());
    let near = children.iter().flat_map(|child| {
        let key = child.separator;
        [
            key.to_vec(),
            [key, &[0]].concat(),
            key[..key.len().saturating_sub(1)].to_vec(),
        ]
    });
    for probe in near.chain(probes.iter().cloned()) {
        let right = children[1..].partition_point(|child| child.separator <= probe.as_slice());
        for search in Search::all() {
            prop_assert_eq!(inner.route(search, &probe), right);
        }
    }
    let (lower, last) = (
        children[0].separator,
        children[children.len() - 1].separator,
    );
    prop_assert!(inner.check_within(Some(lower), None).is_ok());
    if children.len() > 1 {
        prop_assert!(inner.check_within(None, Some(last)).is_err());
        prop_assert!(
            inner
                .check_within(Some(children[1].separator), None)
                .is_err()
        );
        prop_assert!(
            inner
                .check_within(None, Some(&[last, &[0]].concat()))
                .is_ok()
        );
    }
    Ok(())
}

proptest! {
    #[test]
    fn inner_pages_route_as_a_sorted_list_does(
        size in sizes(),
        separators in prop::collection::btree_set(keys(), 1..300),
        probes in prop::collection::vec(keys(), 30),
    ) {
        let all = children(&separators);
        let mut page = vec![0xEE; size.bytes()];
        let mut builder = InnerBuilder::new(size, 2, Fill::FULL);
        let mut from = 0;
        for (at, child) in all.iter().enumerate() {
            if builder.push(*child).unwrap() == Pushed::Full {
                let finished = builder.finish(&mut page, BELOW);
                prop_assert_eq!(finished.separator, all[from].separator);
                examine(&page, &all[from..at], &probes)?;
                from = at;
                prop_assert_eq!(builder.push(*child), Ok(Pushed::Taken));
            }
        }
        builder.finish(&mut page, BELOW);
        examine(&page, &all[from..], &probes)?;
        let links = links(&all);
        let run = InnerRun::new(size, 2, None, &links).unwrap();
        for how in [Cut::Even, Cut::Full] {
            let pieces = run.pieces(how);
            let joined: Vec<_> = pieces.iter().flat_map(|piece| piece.links()).copied().collect();
            prop_assert_eq!(&joined, &links);
            let mut from = 0;
            for piece in &pieces {
                let children = &all[from..from + piece.links().len()];
                from += children.len();
                prop_assert!(children.len() > 1 || all.len() == 1 || size == PageSize::K4);
                prop_assert_eq!(piece.separator(), children[0].separator);
                piece.write(&mut page, BELOW);
                examine(&page, children, &probes)?;
            }
        }
    }
}

proptest! {
    #[test]
    fn separators_of_an_old_page_are_copied_as_they_are(
        size in sizes(),
        separators in prop::collection::btree_set(keys(), 1..200),
        fresh in prop::collection::btree_map(keys(), any::<bool>(), 0..30),
        from in 0..40usize,
        gaps in prop::collection::btree_set(0..200usize, 0..20),
    ) {
        let all = children(&separators);
        let links_of_all = links(&all);
        let pieces = InnerRun::new(size, 2, None, &links_of_all).unwrap().pieces(Cut::Full);
        let mut page = vec![0xEE; size.bytes()];
        page[..super::super::COUNT].fill(0);
        pieces[0].write(&mut page, BELOW);
        let old = InnerView::new(&page).unwrap();
        // The old page's children, some of them left out, and others between them.
        let mut wanted: Vec<(&[u8], Link<'_>)> = (from.min(old.len() - 1)..old.len())
            .filter(|n| !gaps.contains(n) || *n + 1 == old.len())
            .map(|n| (all[n].separator, Link { bound: Bound::Old(n), at: place(n + 7) }))
            .collect();
        let known: BTreeSet<_> = wanted.iter().map(|(key, _)| *key).collect();
        let fresh: Vec<_> = fresh.keys().filter(|key| !known.contains(key.as_slice()) && key.as_slice() > wanted[0].0).collect();
        for (n, key) in fresh.iter().enumerate() {
            wanted.push((key.as_slice(), Link { bound: Bound::Key(key), at: place(n + 999) }));
        }
        wanted.sort_by_key(|(key, _)| *key);
        let links: Vec<_> = wanted.iter().map(|(_, link)| *link).collect();
        let wanted: Vec<_> = wanted.iter().map(|(separator, link)| Child { separator, at: link.at }).collect();
        let mut into = vec![0xEE; size.bytes()];
        into[..super::super::COUNT].fill(0);
        for how in [Cut::Even, Cut::Full] {
            let mut from = 0;
            for piece in InnerRun::new(size, 2, Some(old), &links).unwrap().pieces(how) {
                piece.write(&mut into, BELOW);
                let children = &wanted[from..from + piece.links().len()];
                from += children.len();
                examine(&into, children, &[])?;
            }
            prop_assert_eq!(from, wanted.len());
        }
    }
}

#[test]
fn pages_of_short_separators_have_many_children() {
    let separators: BTreeSet<Vec<u8>> = (0..20_000u32)
        .map(|n| (n * 97).to_be_bytes()[..3].to_vec())
        .collect();
    let all = children(&separators);
    let links = links(&all);
    let run = InnerRun::new(PageSize::K8, 1, None, &links).unwrap();
    let pieces = run.pieces(Cut::Full);
    assert!(pieces[0].links().len() > 570, "{}", pieces[0].links().len());
    let even = run.pieces(Cut::Even);
    let lens = || even.iter().map(|piece| piece.links().len());
    assert!(
        lens().max().unwrap() - lens().min().unwrap() <= 2,
        "{:?}",
        lens().collect::<Vec<_>>()
    );
}

#[test]
fn pages_of_the_longest_keys_have_two_children_or_four() {
    let separators: BTreeSet<Vec<u8>> = (0..9u8).map(|n| vec![n; KEY_BYTES_MAX]).collect();
    let all = children(&separators);
    let links = links(&all);
    for (size, least) in [(PageSize::K4, 2), (PageSize::K8, 4)] {
        let run = InnerRun::new(size, 1, None, &links).unwrap();
        assert!(run.pieces(Cut::Full)[0].links().len() >= least);
    }
}

#[test]
fn refuses_separators_out_of_order_or_too_long() {
    let long = [b'z'; KEY_BYTES_MAX + 1];
    let run = |keys: &[&[u8]]| {
        let link = |key| Link {
            bound: Bound::Key(key),
            at: place(1),
        };
        let all: Vec<_> = keys.iter().map(|key| link(*key)).collect();
        InnerRun::new(PageSize::K4, 1, None, &all).map(|run| run.pieces(Cut::Even).len())
    };
    let refused = |refused| Err(MergeError::Refused(refused));
    assert_eq!(run(&[b"", b"b", b"b"]), refused(Refused::OutOfOrder));
    assert_eq!(run(&[b"", &long]), refused(Refused::KeyTooLong));
    assert_eq!(
        run(&[b"x", b"b"]),
        Ok(1),
        "the first bound is not looked at"
    );
    let mut builder = InnerBuilder::new(PageSize::K4, 1, Fill::FULL);
    let child = |separator| Child {
        separator,
        at: place(1),
    };
    let _ = builder.push(child(b"b")).unwrap();
    assert_eq!(builder.push(child(b"b")), Err(Refused::OutOfOrder));
    assert_eq!(builder.push(child(&long)), Err(Refused::KeyTooLong));
}

#[test]
fn the_last_page_has_not_one_child_only() {
    let separators: BTreeSet<Vec<u8>> = (0..2_000u16).map(|n| n.to_be_bytes().to_vec()).collect();
    let all = children(&separators);
    let links = links(&all);
    let lens = |count| -> Vec<_> {
        let run = InnerRun::new(PageSize::K8, 1, None, &links[..count]).unwrap();
        let pieces = run.pieces(Cut::Full);
        pieces.iter().map(|piece| piece.links().len()).collect()
    };
    let most = lens(links.len())[0];
    assert_eq!(lens(most), [most]);
    assert_eq!(lens(most + 1), [most - 1, 2]);
    assert_eq!(lens(most + 2), [most, 2]);
}
