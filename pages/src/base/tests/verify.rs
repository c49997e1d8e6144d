//! `verify`: what it finds, and what it does not mistake for damage.

use vellum_disk::{Disk, File, OpenMode};

use super::*;
use crate::file::FILE_NAME;
use crate::tree::KeySpan;
use crate::tree::node::Large;

const IDS: [TreeId; 2] = [TreeId(1), TreeId(2)];

/// Two trees, the second with a large value.
fn two(base: &Base) -> (Alive, [(TreeId, Root); 2], Large) {
    let work = base.work();
    let records = records(0..400, 100);
    let one = merge(&work, (&base.tree(IDS[0]), &Root::EMPTY), &records).unwrap();
    let large = work.write_large(IDS[1], &[8; 150_000], b"v").unwrap();
    let update = Update {
        key: b"large",
        at: Timestamp(1),
        body: Some(Body::Large(large)),
    };
    let tree = base.tree(IDS[1]);
    let (other, _) = tree.merge(&Root::EMPTY, &[update], &work).unwrap();
    let alive = work.publish().unwrap();
    (alive, [(IDS[0], one), (IDS[1], other)], large)
}

pub(super) fn spoil(file: &dyn File, at: PageRef) {
    let mut byte = [0];
    file.read_at(&mut byte, at.offset() + 100).unwrap();
    file.write_at(&[byte[0] ^ 1], at.offset() + 100).unwrap();
}

#[test]
fn damage_on_the_disk_is_found_though_the_page_is_in_memory() {
    let sim = SimDisk::new(1);
    let (base, _found) = open(&sim, SMALL);
    let (alive, trees, large) = two(&base);
    let file = sim.open(FILE_NAME, OpenMode::Write).unwrap();
    let top = trees[0].1.top.unwrap().0;
    // Not written yet: what stands in the file is nobody's.
    let report = base.verify(&alive, &trees, &[]).unwrap();
    assert!(report.is_clean() && report.space.is_none());
    checkpoint(&base, &alive, b"").unwrap();
    let report = base.verify(&alive, &trees, &[]).unwrap();
    assert!(report.is_clean() && report.space.is_some(), "{report:?}");
    let [one, two] = &report.trees[..] else {
        panic!("{report:?}")
    };
    assert_eq!((one.records, one.large, two.large), (400, 0, 1));
    assert_eq!((two.large_bytes, two.steps), (150_001, 2 + 16 + 16 + 8 + 1));
    let pages = base.large_pages(&large).unwrap();
    for at in pages.all().chain([top]) {
        assert_eq!(base.pool().hold(at).is_some(), at == top);
        spoil(&*file, at);
        let report = base.verify(&alive, &trees, &[]).unwrap();
        let [damage] = &report.damage[..] else {
            panic!("{report:?}")
        };
        assert_eq!(damage.damage.offset, at.offset(), "{damage:?}");
        assert!(!report.is_clean() && report.space.is_none());
        assert!(report.trees.len() == 2, "the others are looked at");
        spoil(&*file, at);
    }
    assert!(base.verify(&alive, &trees, &[]).unwrap().is_clean());
}

#[test]
fn a_damaged_tree_hides_no_other_and_a_forgotten_one_is_lost_space() {
    let sim = SimDisk::new(2);
    let (base, found) = open(&sim, SMALL);
    let (alive, trees, _) = two(&base);
    checkpoint(&base, &alive, b"").unwrap();
    let wrong = Root {
        records: 399,
        ..trees[0].1
    };
    let report = base
        .verify(&alive, &[(IDS[0], wrong), trees[1]], &[])
        .unwrap();
    assert_eq!((report.trees.len(), report.damage.len()), (2, 1));
    let report = base.verify(&alive, &trees[..1], &[]).unwrap();
    let lost = report.space.unwrap();
    assert_eq!(lost.leaked_steps, 43);
    let report = base.verify(&found.alive, &[], &[]).unwrap();
    assert!(report.space.is_none(), "not the last checkpoint's");
}

#[test]
fn every_damaged_page_is_reported_with_the_keys_that_it_loses() {
    let sim = SimDisk::new(3);
    let (base, _found) = open(&sim, SMALL);
    let work = base.work();
    let records = records(0..4000, 100);
    let root = merge(&work, (&base.tree(IDS[0]), &Root::EMPTY), &records).unwrap();
    let alive = work.publish().unwrap();
    checkpoint(&base, &alive, b"").unwrap();
    drop((base, alive));
    let (base, found) = open(&sim, SMALL);
    let trees = [(IDS[0], root)];
    let whole = base.verify(&found.alive, &trees, &[]).unwrap();
    assert!(whole.is_clean() && whole.space.is_some(), "{whole:?}");
    let top = root.top.unwrap().0;
    let leaves: Vec<PageRef> = whole
        .places
        .iter()
        .copied()
        .filter(|at| *at != top)
        .collect();
    assert_eq!(
        (root.top.unwrap().1, leaves.len() as u64),
        (1, whole.trees[0].leaves)
    );
    drop((base, found));
    let file = sim.open(FILE_NAME, OpenMode::Write).unwrap();
    for at in [leaves[0], leaves[2], leaves[5]] {
        spoil(&*file, at);
    }
    let (base, found) = open(&sim, SMALL);
    let report = base.verify(&found.alive, &trees, &[]).unwrap();
    assert_eq!(report.damage.len(), 3, "{report:?}");
    let lost = |key: &[u8]| {
        let spans = report
            .damage
            .iter()
            .filter_map(|lost| lost.records.as_ref());
        let within = |span: &KeySpan| {
            span.from.as_ref().is_none_or(|from| &from[..] <= key)
                && span.until.as_ref().is_none_or(|until| key < &until[..])
        };
        spans.filter(|(_, span)| within(span)).count()
    };
    let tree = base.tree(IDS[0]);
    let mut whole = 0;
    for (key, _) in &records {
        let found = tree.get(&root, key);
        assert_eq!(lost(key), usize::from(found.is_err()), "{key:?}");
        whole += u64::from(found.is_ok());
    }
    assert_eq!(report.trees[0].records, whole, "what is whole is counted");
}
