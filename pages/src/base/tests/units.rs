//! Units of work: all or nothing, one at a time, larger than memory, on disks that fail.

use vellum_testkit::{CallKind, Fault, Lasting, Trouble};

use super::*;
use crate::array::{ArrayRoot, ArrayWriter, Shape};
use crate::pool::Hint;

const ID: TreeId = TreeId(3);

fn count(base: &Base, root: &Root) -> u64 {
    base.tree(ID).check(root).unwrap().records
}

#[test]
fn an_abandoned_unit_leaves_nothing_behind_and_replaces_nothing() {
    let (base, found) = open(&SimDisk::new(1), SMALL);
    drop(found);
    let tree = base.tree(ID);
    let work = base.work();
    let one = merge(&work, (&tree, &Root::EMPTY), &records(0..500, 90)).unwrap();
    let alive = work.publish().unwrap();
    let before = (used(&base), base.stats().unwritten_pages);
    for _ in 0..3 {
        let work = base.work();
        assert_eq!(work.epoch(), Epoch(2));
        let other = merge(&work, (&tree, &one), &records(100..700, 70)).unwrap();
        work.write_large(ID, &[7; 9000], b"vectors").unwrap();
        work.write_large(ID, &[7; 200_000], b"vectors").unwrap();
        work.drop_tree(&tree, &other).unwrap();
        drop(work);
        assert_eq!(used(&base), before.0);
        assert_eq!(base.stats().unwritten_pages, before.1);
        assert_eq!(base.stats().store.waiting, 0, "nothing is replaced");
    }
    assert_eq!(count(&base, &one), 500);
    let work = base.work();
    let two = merge(&work, (&tree, &one), &records(0..500, 80)).unwrap();
    let newer = work.publish().unwrap();
    assert_eq!(newer.epoch(), Epoch(2));
    base.collect().unwrap();
    assert_eq!(count(&base, &one), 500, "it is alive");
    drop(alive);
    used(&base);
    assert_eq!(base.stats().store.waiting, 0);
    assert_eq!(count(&base, &two), 500);
}

#[test]
fn what_a_unit_made_and_dropped_itself_is_free_before_it_is_published() {
    let (base, _found) = open(&SimDisk::new(2), SMALL);
    let work = base.work();
    let before = used(&base);
    let tree = base.tree(ID);
    let root = merge(&work, (&tree, &Root::EMPTY), &records(0..300, 90)).unwrap();
    let large = work.write_large(ID, &[1; 70_000], &[]).unwrap();
    assert!(used(&base) > before + 20);
    work.drop_large(ID, &large).unwrap();
    work.drop_tree(&tree, &root).unwrap();
    assert_eq!(used(&base), before);
    assert_eq!(base.stats().unwritten_pages, 0);
    assert_eq!(base.pool().dirty_bytes(), 0);
}

#[test]
fn a_merge_larger_than_memory_gets_on() {
    let sim = SimDisk::new(3);
    let (base, _found) = open(&sim, SMALL);
    let tree = base.tree(ID);
    let work = base.work();
    let mut most = 0;
    let mut root = Root::EMPTY;
    // 16 MiB and more.
    for part in 0..4 {
        let records = records(part * 4000..(part + 1) * 4000, 1000);
        root = merge(&work, (&tree, &root), &records).unwrap();
        most = most.max(base.pool().dirty_bytes());
    }
    assert!(most < SMALL / 2, "{most}");
    let alive = work.publish().unwrap();
    let stats = base.stats();
    assert!(stats.relieved > 0 && stats.pool.evictions > 0);
    assert_eq!(count(&base, &root), 16_000);
    checkpoint(&base, &alive, &encode(&root)).unwrap();
    assert_eq!(base.stats().unwritten_pages, 0);
    drop((base, alive));
    let (base, found) = open(&sim, SMALL);
    assert_eq!(count(&base, &decode(&found.meta.unwrap())), 16_000);
}

#[test]
fn written_out_pages_stay_and_are_not_written_again() {
    let (base, _found) = open(&SimDisk::new(4), 16 << 20);
    let tree = base.tree(ID);
    let work = base.work();
    let root = merge(&work, (&tree, &Root::EMPTY), &records(0..2000, 500)).unwrap();
    let alive = work.publish().unwrap();
    let dirty = base.pool().dirty_bytes();
    base.write_out(dirty / 2).unwrap();
    assert!(base.pool().dirty_bytes() <= dirty / 2);
    let written = base.stats().written_pages;
    assert_eq!(
        written as usize + base.stats().unwritten_pages,
        dirty / 8192
    );
    checkpoint(&base, &alive, &encode(&root)).unwrap();
    assert_eq!(base.stats().written_pages as usize, dirty / 8192);
    assert_eq!(base.pool().dirty_bytes(), 0);
    base.write_out(0).unwrap();
    assert_eq!(base.stats().written_pages as usize, dirty / 8192);
}

#[test]
fn what_could_not_be_written_stays_in_memory() {
    let sim = SimDisk::new(5);
    let (base, _found) = open(&sim, SMALL);
    let tree = base.tree(ID);
    let work = base.work();
    let root = merge(&work, (&tree, &Root::EMPTY), &records(0..600, 500)).unwrap();
    let alive = work.publish().unwrap();
    let dirty = base.pool().dirty_bytes();
    for trouble in [Trouble::Io, Trouble::Full, Trouble::Short] {
        sim.fail(Fault {
            at: 0,
            trouble,
            lasting: Lasting::ForEver,
            only: Some(CallKind::Write),
        });
        base.write_out(0).unwrap_err();
        checkpoint(&base, &alive, b"1").unwrap_err();
        assert_eq!(base.pool().dirty_bytes(), dirty);
        // What is placed now can be dropped again.
        let work = base.work();
        let wide = records(0..3000, 900);
        merge(&work, (&tree, &root), &wide).unwrap_err();
        work.write_large(ID, &[1; 100_000], &[]).unwrap_err();
        drop(work);
        assert_eq!(count(&base, &root), 600);
        sim.mend();
    }
    checkpoint(&base, &alive, &encode(&root)).unwrap();
    assert_eq!(base.pool().dirty_bytes(), 0);
    assert_eq!(count(&base, &root), 600);
}

#[test]
fn a_full_disk_is_an_error_and_space_is_enough_to_go_on() {
    let sim = SimDisk::new(6);
    let (base, _found) = open(&sim, SMALL);
    let tree = base.tree(ID);
    let work = base.work();
    let root = merge(&work, (&tree, &Root::EMPTY), &records(0..600, 500)).unwrap();
    let alive = work.publish().unwrap();
    checkpoint(&base, &alive, &encode(&root)).unwrap();
    let before = used(&base);
    sim.set_capacity(Some(sim.bytes_used() + (1 << 20)));
    for _ in 0..2 {
        let work = base.work();
        let error = merge(&work, (&tree, &root), &records(0..9000, 900)).unwrap_err();
        assert!(matches!(error, PageError::DiskFull { .. }), "{error}");
        let with_merged = used(&base);
        let error = work.write_large(ID, &[1; 9 << 20], &[]).unwrap_err();
        assert!(matches!(error, PageError::DiskFull { .. }), "{error}");
        assert_eq!(used(&base), with_merged, "nothing of it is left");
        drop(work);
        assert_eq!(used(&base), before);
        assert_eq!(count(&base, &root), 600);
    }
    sim.set_capacity(None);
    let work = base.work();
    let root = merge(&work, (&tree, &root), &records(0..9000, 900)).unwrap();
    let alive = work.publish().unwrap();
    checkpoint(&base, &alive, &encode(&root)).unwrap();
    assert_eq!(count(&base, &root), 9000);
}

/// The system tells of it once: a sync by a checkpoint afterwards would succeed.
#[test]
fn after_a_failed_sync_ahead_of_a_checkpoint_there_is_none() {
    let sim = SimDisk::new(8);
    let (base, _found) = open(&sim, SMALL);
    let tree = base.tree(ID);
    let work = base.work();
    let root = merge(&work, (&tree, &Root::EMPTY), &records(0..600, 500)).unwrap();
    let alive = work.publish().unwrap();
    base.write_ahead().unwrap();
    assert_eq!(base.stats().unwritten_pages, 0);
    sim.fail(Fault {
        at: 0,
        trouble: Trouble::Io,
        lasting: Lasting::Once,
        only: Some(CallKind::Sync),
    });
    let failed = base.write_ahead().unwrap_err();
    assert!(matches!(failed, PageError::Write { .. }), "{failed}");
    for again in [
        checkpoint(&base, &alive, &encode(&root)).map(drop),
        base.write_ahead(),
    ] {
        let again = again.unwrap_err();
        assert!(matches!(again, PageError::Poisoned { .. }), "{again}");
    }
}

#[test]
fn after_a_failed_sync_nothing_is_written() {
    let sim = SimDisk::new(7);
    let (base, _found) = open(&sim, SMALL);
    let tree = base.tree(ID);
    let work = base.work();
    let root = merge(&work, (&tree, &Root::EMPTY), &records(0..600, 500)).unwrap();
    let alive = work.publish().unwrap();
    sim.fail(Fault {
        at: 0,
        trouble: Trouble::Io,
        lasting: Lasting::Once,
        only: Some(CallKind::Sync),
    });
    checkpoint(&base, &alive, &encode(&root)).unwrap_err();
    let work = base.work();
    merge(&work, (&tree, &root), &records(0..10, 500)).unwrap();
    let calls = sim.call_count();
    let poisoned = |error| assert!(matches!(error, PageError::Poisoned { .. }), "{error}");
    poisoned(base.write_out(0).unwrap_err());
    poisoned(
        work.write_large(ID, &[1; 100_000], &[])
            .map(drop)
            .unwrap_err(),
    );
    let next = work.publish().unwrap();
    poisoned(checkpoint(&base, &next, b"").map(drop).unwrap_err());
    assert_eq!(sim.call_count(), calls);
    assert_eq!(count(&base, &root), 600);
}

#[test]
fn compressed_trees_take_fewer_steps_and_read_the_same() {
    let sim = SimDisk::new(8);
    let (base, _found) = open(&sim, SMALL);
    let tree = base.tree(ID);
    let even: Vec<_> = records(0..4000, 0)
        .into_iter()
        .map(|(key, _)| (key, vec![b'x'; 300]))
        .collect();
    let (mut roots, mut took) = (Vec::new(), Vec::new());
    let mut alive = None;
    for compressed in [false, true] {
        base.set_compressed(ID, compressed);
        let before = used(&base);
        let work = base.work();
        let root = merge(&work, (&tree, &Root::EMPTY), &even).unwrap();
        let large = work.write_large(ID, &[9; 300_000], b"v").unwrap();
        alive = Some(work.publish().unwrap());
        took.push(used(&base) - before);
        base.write_out(0).unwrap();
        assert_eq!(base.read_large(&large).unwrap().vectors(), b"v");
        roots.push(root);
    }
    assert!(took[1] * 100 < took[0] * 60, "{took:?}");
    let alive = alive.unwrap();
    checkpoint(&base, &alive, &encode(&roots[1])).unwrap();
    drop((base, alive));
    let (base, found) = open(&sim, SMALL);
    let root = decode(&found.meta.unwrap());
    tree_of(&base).check(&root).unwrap();
    assert_eq!(count(&base, &root), 4000);
}

fn tree_of(base: &Base) -> Tree {
    base.tree(ID)
}

#[test]
fn a_second_unit_waits_for_the_first() {
    let (base, _found) = open(&SimDisk::new(9), SMALL);
    let base = Arc::new(base);
    let first = base.work();
    let other = {
        let base = Arc::clone(&base);
        vellum_sync::thread::spawn(move || {
            let work = base.work();
            let epoch = work.epoch();
            work.publish().map(|alive| (alive.epoch(), epoch))
        })
    };
    assert_eq!(first.epoch(), Epoch(1));
    let one = first.publish().unwrap();
    assert_eq!(one.epoch(), Epoch(1));
    assert_eq!(other.join().unwrap().unwrap(), (Epoch(2), Epoch(2)));
}

#[test]
fn several_threads_place_pages_of_one_unit() {
    let (base, _found) = open(&SimDisk::new(10), SMALL);
    let base = Arc::new(base);
    let work = base.work();
    let roots: Vec<Root> = std::thread::scope(|threads| {
        let merges: Vec<_> = (0..3)
            .map(|number| {
                let (base, work) = (&base, &work);
                threads.spawn(move || {
                    let tree = base.tree(TreeId(10 + number));
                    let records = records(0..2500, 400);
                    merge(work, (&tree, &Root::EMPTY), &records).unwrap()
                })
            })
            .collect();
        let done = merges.into_iter().map(|merge| merge.join().unwrap());
        done.collect()
    });
    let alive = work.publish().unwrap();
    checkpoint(&base, &alive, b"").unwrap();
    for (number, root) in (10..).zip(&roots) {
        let counted = base.tree(TreeId(number)).check(root).unwrap();
        assert_eq!(counted.records, 2500);
    }
}

/// What cannot be read now may be read later: it is no damage, which is passed over.
#[test]
fn a_read_that_fails_gives_up_no_part_of_a_tree_or_an_array() {
    let sim = SimDisk::new(8);
    let (base, _found) = open(&sim, SMALL);
    let shape = Shape::new(TREE_PAGE, 2000).unwrap();
    let work = base.work();
    let root = merge(&work, (&base.tree(ID), &Root::EMPTY), &records(0..600, 500)).unwrap();
    let array = base.array(TreeId(4), shape);
    let writer = ArrayWriter::new(&array, &ArrayRoot::EMPTY, &work).unwrap();
    for number in 0..100 {
        assert_eq!(writer.append(&[1; 2000]).unwrap(), number);
    }
    let array_root = writer.finish().unwrap();
    let alive = work.publish().unwrap();
    checkpoint(&base, &alive, b"").unwrap();
    drop((base, alive));

    let (base, _found) = open(&sim, SMALL);
    let (tree, array) = (base.tree(ID), base.array(TreeId(4), shape));
    // The tops are in memory: what fails is the first read below.
    for (top, _) in [root.top, array_root.top].into_iter().flatten() {
        base.pool().fetch(top, TREE_PAGE, Hint::Hot).unwrap();
    }
    let work = base.work();
    let drops: [&dyn Fn() -> Result<(), PageError>; 2] =
        [&|| work.drop_tree(&tree, &root), &|| {
            work.drop_array(&array, &array_root)
        }];
    for drop_it in drops {
        sim.fail(Fault {
            at: 0,
            trouble: Trouble::Io,
            lasting: Lasting::Once,
            only: Some(CallKind::Read),
        });
        let failed = drop_it().unwrap_err();
        assert!(matches!(failed, PageError::Read { .. }), "{failed}");
        drop_it().unwrap();
    }
    let alive = work.publish().unwrap();
    checkpoint(&base, &alive, b"").unwrap();
    base.collect().unwrap();
    let report = base.verify(&alive, &[], &[]).unwrap();
    assert!(report.is_clean() && report.space.is_some(), "{report:?}");
}
