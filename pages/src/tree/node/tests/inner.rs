//! Inner pages against a sorted list of separators (rules 5 and 7).

use std::collections::BTreeSet;

use proptest::prelude::*;
use vellum_base::KEY_BYTES_MAX;

use super::super::{
    Below, Child, Cut, Fill, InnerBuilder, InnerRun, InnerView, Pushed, Refused, Search,
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
        let run = InnerRun::new(size, 2, &all).unwrap();
        for how in [Cut::Even, Cut::Full] {
            let pieces = run.pieces(how);
            let joined: Vec<_> = pieces.iter().flat_map(|piece| piece.children()).copied().collect();
            prop_assert_eq!(&joined, &all);
            for piece in &pieces {
                prop_assert!(piece.children().len() > 1 || all.len() == 1 || size == PageSize::K4);
                piece.write(&mut page, BELOW);
                examine(&page, piece.children(), &probes)?;
            }
        }
    }
}

#[test]
fn pages_of_short_separators_have_many_children() {
    let separators: BTreeSet<Vec<u8>> = (0..20_000u32)
        .map(|n| (n * 97).to_be_bytes()[..3].to_vec())
        .collect();
    let all = children(&separators);
    let pieces = InnerRun::new(PageSize::K8, 1, &all)
        .unwrap()
        .pieces(Cut::Full);
    assert!(
        pieces[0].children().len() > 570,
        "{}",
        pieces[0].children().len()
    );
    let even = InnerRun::new(PageSize::K8, 1, &all)
        .unwrap()
        .pieces(Cut::Even);
    let lens = || even.iter().map(|piece| piece.children().len());
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
    for (size, least) in [(PageSize::K4, 2), (PageSize::K8, 4)] {
        let pieces = InnerRun::new(size, 1, &all).unwrap().pieces(Cut::Full);
        assert!(pieces[0].children().len() >= least);
    }
}

#[test]
fn refuses_separators_out_of_order_or_too_long() {
    let long = [b'z'; KEY_BYTES_MAX + 1];
    let run = |keys: &[&[u8]]| {
        let child = |separator| Child {
            separator,
            at: place(1),
        };
        let all: Vec<_> = keys.iter().map(|key| child(*key)).collect();
        InnerRun::new(PageSize::K4, 1, &all).map(|run| run.pieces(Cut::Even).len())
    };
    assert_eq!(run(&[b"", b"b", b"b"]), Err(Refused::OutOfOrder));
    assert_eq!(run(&[b"", &long]), Err(Refused::KeyTooLong));
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
    let pieces = |all| {
        InnerRun::new(PageSize::K8, 1, all)
            .unwrap()
            .pieces(Cut::Full)
    };
    let most = pieces(&all)[0].children().len();
    let lens = |count| -> Vec<_> {
        let pieces = pieces(&all[..count]);
        pieces.iter().map(|piece| piece.children().len()).collect()
    };
    assert_eq!(lens(most), [most]);
    assert_eq!(lens(most + 1), [most - 1, 2]);
    assert_eq!(lens(most + 2), [most, 2]);
}
