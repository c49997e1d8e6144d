//! Space that comes back: pages from the end of the file move into holes, and the file is cut.

use super::*;
use crate::tree::Compaction;
use crate::tree::node::{Large, must_be_large};

const ID: TreeId = TreeId(5);

struct Filled {
    base: Base,
    root: Root,
    alive: Alive,
}

/// Records of 100 bytes, and now and then large ones of one page and of several.
fn filled(sim: &SimDisk, count: u64) -> Filled {
    let (base, _) = open(sim, SMALL);
    let work = base.work();
    let records: Vec<_> = (0..count)
        .flat_map(|n| {
            records(
                n..n + 1,
                [100, 3000, 100, 100, 150_000][(n % 97).min(4) as usize],
            )
        })
        .collect();
    let mut updates = Vec::new();
    for (key, value) in &records {
        let body = match must_be_large(TREE_PAGE, key.len(), value.len(), 0) {
            true => Body::Large(work.write_large(ID, value, &[]).unwrap()),
            false => Body::Inline {
                value,
                vectors: &[],
            },
        };
        let (at, body) = (Timestamp(1), Some(body));
        updates.push(Update { key, at, body });
    }
    let (root, _) = work.merge(&base.tree(ID), &Root::EMPTY, &updates).unwrap();
    let alive = work.publish().unwrap();
    Filled { base, root, alive }
}

impl Filled {
    /// All but every fifth record, and those of the file's beginning first, are removed.
    fn remove(&mut self) {
        let all = self.all().into_iter().enumerate();
        let gone = all.filter(|(number, _)| number % 5 > 0);
        let gone: Vec<_> = gone.map(|(_, (key, _))| key).collect();
        let work = self.base.work();
        let removal = |key| Update {
            key,
            at: Timestamp(2),
            body: None,
        };
        let updates: Vec<_> = gone.iter().map(|key| removal(&key[..])).collect();
        let merged = work.merge(&self.base.tree(ID), &self.root, &updates);
        let (root, merged) = merged.unwrap();
        for large in &merged.dropped {
            work.drop_large(ID, large).unwrap();
        }
        self.root = root;
        self.alive = work.publish().unwrap();
        self.settle();
    }

    fn all(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        use std::ops::Bound::Unbounded;
        let tree = self.base.tree(ID);
        let mut range = tree.range(&self.root, Unbounded, Unbounded, crate::pool::Hint::Scan);
        let mut all = Vec::new();
        while let Some((key, record)) = range.next(crate::tree::End::Front).unwrap() {
            let value = match record.body {
                Body::Inline { value, .. } => value.to_vec(),
                Body::Large(large) => self.base.read_large(&large).unwrap().value().to_vec(),
            };
            all.push((key.to_vec(), value));
        }
        all
    }

    fn settle(&self) {
        checkpoint(&self.base, &self.alive, &encode(&self.root)).unwrap();
        self.base.collect().unwrap();
    }

    /// One pass, each step followed by a checkpoint.
    fn compact(&mut self, beyond: u64) {
        let mut from = Some(Vec::new());
        while let Some(first) = from {
            let what = Compaction {
                from: &first,
                beyond,
                pages: 100,
            };
            let work = self.base.work();
            let step = work
                .compact(&self.base.tree(ID), &self.root, &what)
                .unwrap();
            (self.root, from) = (step.root, step.next);
            self.alive = work.publish().unwrap();
            self.settle();
        }
        self.base.store().cut(1).unwrap();
    }

    fn space(&self) -> (u64, u64) {
        let space = self.base.stats().store.space;
        (space.used, space.file)
    }
}

#[test]
fn the_file_shrinks_to_what_is_used_and_says_the_same() {
    let sim = SimDisk::new(1);
    let mut filled = filled(&sim, 1000);
    filled.settle();
    filled.remove();
    let right = filled.all();
    filled.base.store().cut(1).unwrap();
    let before = filled.space();
    for _ in 0..3 {
        let used = filled.space().0;
        filled.compact(used + used / 64 + 16);
    }
    let (used, file) = filled.space();
    assert!(before.1 > 2 * used, "{before:?}, {used}");
    assert!(file * 100 <= used * 110, "{used} of {file} steps");
    assert!(filled.all() == right);
    let trees = [(ID, filled.root)];
    let report = filled.base.verify(&filled.alive, &trees, &[]).unwrap();
    assert!(report.is_clean(), "{report:?}");
    let root = filled.root;
    drop(filled);
    let (base, found) = open(&sim, SMALL);
    assert_eq!(decode(&found.meta.unwrap()), root);
    let again = Filled {
        base,
        root,
        alive: found.alive,
    };
    assert!(again.all() == right, "as the checkpoint has it");
}

#[test]
fn a_large_record_moves_whole_or_not_at_all() {
    let sim = SimDisk::new(2);
    let (base, _) = open(&sim, SMALL);
    let work = base.work();
    // A hole for the root, so that its pieces lie behind it.
    let hole = work.write_large(ID, b"small", &[]).unwrap();
    work.write_large(ID, b"behind the hole", &[]).unwrap();
    work.drop_large(ID, &hole).unwrap();
    base.collect().unwrap();
    let value: Vec<u8> = (0..300_000u32).map(|n| (n >> 3) as u8).collect();
    let large = work.write_large(ID, &value, b"vectors").unwrap();
    assert!(
        work.move_large(ID, &large, u64::MAX)
            .unwrap()
            .large
            .is_none()
    );
    let pages = base.large_pages(&large).unwrap();
    assert!(pages.pieces.iter().all(|at| *at > large.root));
    let last = pages.all().map(|at| at.end()).max();
    let beyond = |step| work.move_large(ID, &large, step).unwrap().large;
    assert!(beyond(last.unwrap()).is_none());
    let moved: Large = beyond(last.unwrap() - 1).unwrap();
    let read = base.read_large(&moved).unwrap();
    assert!(read.value() == value && read.vectors() == b"vectors");
    let new = base.large_pages(&moved).unwrap();
    assert!(
        new.all().all(|at| pages.all().all(|old| old != at)),
        "no page of it stays"
    );
}
