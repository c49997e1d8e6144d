//! Tests of giving and freeing places, of the file's ends, and of the saved map.

use std::collections::BTreeMap;

use vellum_base::{Lsn, Timestamp};
use vellum_disk::{Disk, MemoryDisk, OpenMode};
use vellum_testkit::{Random, SimDisk, SimOptions};

use super::*;

fn file_of(disk: &dyn Disk) -> PageFile {
    PageFile::new(disk.open(FILE_NAME, OpenMode::CreateNew).unwrap(), 5)
}

/// Counts the steps that two live places share.
fn overlaps(live: &BTreeMap<u64, PageRef>) -> usize {
    let ends = live.values().map(|at| at.end());
    ends.zip(live.keys().skip(1))
        .filter(|(end, next)| end > next)
        .count()
}

#[test]
fn places_never_overlap_and_the_lowest_are_given_first() {
    let disk = MemoryDisk::new();
    let file = file_of(&disk);
    let mut space = Space::empty(0);
    let (mut live, mut random) = (BTreeMap::<u64, PageRef>::new(), Random::new(4));
    let mut used = 0;
    for round in 0..30_000u64 {
        if live.len() > 3000 || random.one_in(3) && !live.is_empty() {
            let which = *live.keys().nth(random.index(live.len().min(50))).unwrap();
            let at = live.remove(&which).unwrap();
            used -= u64::from(at.steps());
            space.free(&file, at).unwrap();
        } else {
            let at = space
                .allocate(&file, random.below(16) as u8 + 1, Epoch(1))
                .unwrap();
            used += u64::from(at.steps());
            assert!(at.step() >= 6, "the superblocks' and the map's own steps");
            assert!(live.insert(at.step(), at).is_none());
        }
        assert_eq!(space.stats().used, used);
        if round % 1000 == 0 {
            assert_eq!(overlaps(&live), 0);
        }
    }
    assert_eq!(overlaps(&live), 0);
    let end = live.values().map(|at| at.end()).max().unwrap();
    assert!(end < used * 13 / 10, "{end} steps for {used}");
    assert!(space.stats().file >= end && space.stats().file < end * 5 / 4 + 64);
    let first = *live.values().next().unwrap();
    space.free(&file, first).unwrap();
    assert!(
        matches!(space.free(&file, first), Err(PageError::Corrupt(_))),
        "freed twice"
    );
    assert_eq!(
        space.allocate(&file, 1, Epoch(1)).unwrap().step(),
        first.step()
    );
}

#[test]
fn regions_and_groups_are_crossed_by_none() {
    let disk = MemoryDisk::new();
    let file = file_of(&disk);
    let mut space = Space::empty(u64::MAX);
    let mut last = 0;
    let room = |group| u64::from(group::group_room(group));
    for _ in 0..(room(0) + room(1)) / 16 {
        let at = space.allocate(&file, 16, Epoch(1)).unwrap();
        assert!(at.step() > last);
        assert_eq!(at.step() / bits::STEPS, (at.step() + 15) / bits::STEPS);
        last = at.step();
    }
    assert!(last > GROUP_STEPS, "a second group");
    let small = space.allocate(&file, 1, Epoch(1)).unwrap();
    assert!(
        small.step() < 2 * bits::STEPS,
        "what was too short for sixteen"
    );
}

#[test]
fn a_full_disk_gives_no_place_and_breaks_nothing() {
    let sim = SimDisk::with_options(
        1,
        SimOptions {
            capacity: Some(100 * 4096),
            record: false,
        },
    );
    let file = file_of(&sim);
    let mut space = Space::empty(0);
    let mut places = Vec::new();
    let full = loop {
        match space.allocate(&file, 3, Epoch(1)) {
            Ok(at) => places.push(at),
            Err(error) => break error,
        }
    };
    assert!(matches!(full, PageError::DiskFull { .. }), "{full}");
    // The large unit did not fit; the small ones were taken to the last step.
    assert_eq!((places.len(), space.stats().file), (31, 99));
    space.free(&file, places[7]).unwrap();
    assert_eq!(space.allocate(&file, 3, Epoch(1)).unwrap(), places[7]);
    assert!(space.allocate(&file, 3, Epoch(1)).is_err());
    sim.set_capacity(None);
    assert_eq!(space.allocate(&file, 3, Epoch(1)).unwrap().step(), 99);
}

#[test]
fn the_free_tail_is_cut_and_nothing_else() {
    let disk = MemoryDisk::new();
    let file = file_of(&disk);
    let mut space = Space::empty(0);
    let places: Vec<_> = (0..100)
        .map(|_| space.allocate(&file, 4, Epoch(1)).unwrap())
        .collect();
    for at in &places[60..] {
        space.free(&file, *at).unwrap();
    }
    assert_eq!(space.cut(&file, 100_000).unwrap(), 0);
    assert!(space.cut(&file, 1).unwrap() >= 160);
    let end = places[59].step() + 4;
    assert_eq!(
        (space.stats().file, file.raw().len().unwrap()),
        (end, end * 4096)
    );
    assert_eq!(space.cut(&file, 1).unwrap(), 0);
    for at in &places[..60] {
        space.free(&file, *at).unwrap();
    }
    space.cut(&file, 1).unwrap();
    assert_eq!(
        space.stats(),
        SpaceStats {
            used: 0,
            file: SLOTS
        }
    );
}

fn superblock(prepared: &Prepared) -> Superblock {
    Superblock {
        database: [0; 16],
        salt: 5,
        sequence: 1,
        epoch: Epoch(1),
        timestamp: Timestamp(0),
        lsn: Lsn(0),
        meta: None,
        meta_bytes: 0,
        map: Some(prepared.root),
        steps: prepared.steps,
    }
}

fn save(space: &mut Space, file: &PageFile, epoch: u64) -> Superblock {
    let prepared = space.prepare(file, Epoch(epoch), &[]).unwrap();
    let pages = prepared.pages.iter();
    file.write(pages.map(|(at, image)| (*at, image))).unwrap();
    for at in space.settle(&prepared) {
        space.free(file, at).unwrap();
    }
    superblock(&prepared)
}

#[test]
fn only_what_the_epoch_names_is_saved_and_opening_reads_the_root_alone() {
    let sim = SimDisk::with_options(
        2,
        SimOptions {
            capacity: None,
            record: false,
        },
    );
    let file = file_of(&sim);
    let mut space = Space::empty(0);
    // Two regions and a bit.
    let mut places: Vec<_> = (0..4300)
        .map(|_| space.allocate(&file, 16, Epoch(1)).unwrap())
        .collect();
    let later = places.split_off(4200);
    for at in &later {
        // Made by epoch 2: not of the first checkpoint.
        space
            .events
            .entry(Epoch(1))
            .or_default()
            .retain(|event| !matches!(event, Event::Made(made) if made == at));
        space
            .events
            .entry(Epoch(2))
            .or_default()
            .push(Event::Made(*at));
    }
    // Dropped by epoch 1 and held by somebody; dropped by epoch 2.
    space.dropped(places[10], Epoch(1));
    space.dropped(places[11], Epoch(2));
    let first = save(&mut space, &file, 1);
    let before = sim.call_count();
    let mut opened = Space::open(&file, &first, Vec::new(), space.file_steps).unwrap();
    assert_eq!(sim.call_count() - before, 1, "the root alone");
    assert_eq!(opened.stats().used, 16 * 4199 + 1);
    let named = named(&file, &first);
    assert_eq!(named.steps(), 16 * 4199 + 1);
    assert!(!named.holds(places[10]) && named.holds(places[11]) && !named.holds(later[0]));
    assert_eq!(opened.allocate(&file, 16, Epoch(2)).unwrap(), places[10]);

    let second = save(&mut space, &file, 2);
    let named = self::named(&file, &second);
    assert!(!named.holds(places[11]) && named.holds(later[99]));
    // Nothing but the root's place changed: one region, one group, the root.
    let third = space.prepare(&file, Epoch(2), &[]).unwrap();
    assert_eq!(third.pages.len(), 3);
    assert!(second.map != Some(third.root));
}

fn named(file: &PageFile, superblock: &Superblock) -> Named {
    Named::read(file, superblock.map, &mut |damage| panic!("{damage}")).unwrap()
}

#[test]
fn a_damaged_map_is_reported_and_nothing_is_given_from_it() {
    let disk = MemoryDisk::new();
    let file = file_of(&disk);
    let mut space = Space::empty(0);
    for _ in 0..50 {
        space.allocate(&file, 2, Epoch(1)).unwrap();
    }
    let prepared = space.prepare(&file, Epoch(1), &[]).unwrap();
    file.write(prepared.pages.iter().map(|(at, image)| (*at, image)))
        .unwrap();
    let saved = superblock(&prepared);
    let refuses = || {
        let opened = Space::open(&file, &saved, Vec::new(), 500);
        let given = opened.and_then(|mut space| space.allocate(&file, 1, Epoch(2)));
        matches!(given, Err(PageError::Corrupt(_)))
    };
    assert!(!refuses());
    for (at, image) in &prepared.pages {
        // Every field that the map's pages have, with a right checksum: number, entries, bits.
        for byte in [32, 40, 47, 64, 65, 72, 73, 76, 100, 2000, 4095] {
            let mut wrong = image.clone();
            wrong[byte] ^= if byte == 32 { 15 } else { 0x80 };
            file.write([(*at, &wrong)]).unwrap();
            let padding = *at == prepared.root && byte >= 80;
            assert_eq!(refuses(), !padding, "byte {byte} of {at:?}");
        }
        file.write([(*at, image)]).unwrap();
    }
    assert!(!refuses());
}
