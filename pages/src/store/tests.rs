//! Tests of opening, of checkpoints and of who holds what, on disks that do not crash.

use vellum_disk::{Disk, OpenMode};
use vellum_testkit::{CallKind, Fault, Lasting, SimDisk, Trouble};

use super::*;
use crate::file::FILE_NAME;
use crate::page::{HEADER, PageHeader};
use crate::{PageKind, PageSize, TreeId};

fn opening(at_least: Option<u64>) -> Opening {
    Opening {
        database: Some([1; 16]),
        at_least,
        read_only: false,
    }
}

fn open(sim: &SimDisk) -> (Store, Found) {
    Store::open(sim, opening(None)).unwrap()
}

fn image(at: PageRef, epoch: Epoch) -> Vec<u8> {
    let mut image = vec![at.step() as u8; 8192];
    image[..HEADER].fill(0);
    let header = PageHeader {
        at,
        epoch,
        salt: 0,
        kind: PageKind::Leaf,
        size: PageSize::K8,
        tree: TreeId(1),
    };
    header.write(&mut image);
    image
}

fn checkpoint(store: &Store, of: &Alive, pages: &[PageRef], meta: &[u8]) -> Result<u64, PageError> {
    let images = pages.iter().map(|at| (*at, image(*at, of.epoch())));
    let position = Position {
        timestamp: Timestamp(of.epoch().0),
        lsn: Lsn(7),
    };
    store.checkpoint(images, of, position, meta, &mut |_| Ok(()))
}

#[test]
fn a_checkpoint_comes_back_with_bytes_of_any_length() {
    let sim = SimDisk::new(1);
    let (mut store, found) = open(&sim);
    assert_eq!((found.sequence, found.meta), (1, None));
    let mut epoch = Epoch(0);
    for (number, bytes) in [0, 1, 4032, 4033, 65_472, 65_473, 300_000, 5]
        .into_iter()
        .enumerate()
    {
        epoch = epoch.next();
        let meta: Vec<u8> = (0..bytes).map(|byte| (byte * 7 % 251) as u8).collect();
        let alive = store.begin(epoch).unwrap();
        assert_eq!(
            checkpoint(&store, &alive, &[], &meta).unwrap(),
            number as u64 + 2
        );
        drop((store, alive));
        let found;
        (store, found) = open(&sim);
        assert_eq!(found.meta.as_deref(), Some(&meta[..]));
        assert_eq!(
            (found.alive.epoch(), found.position.timestamp),
            (epoch, Timestamp(epoch.0))
        );
        assert!(store.verify_space([]).unwrap().is_clean());
        assert_eq!(store.begin(epoch).map(drop), None, "an epoch that is taken");
    }
    assert!(
        store.stats().space.file < 300,
        "what old checkpoints had is used again"
    );
}

#[test]
fn places_of_the_last_checkpoint_are_kept_until_the_next() {
    let sim = SimDisk::new(2);
    let (store, found) = open(&sim);
    drop(found);
    let at = store.allocate(2, Epoch(1)).unwrap();
    let one = store.begin(Epoch(1)).unwrap();
    checkpoint(&store, &one, &[at], b"1").unwrap();
    store.replaced(at, Epoch(1), Epoch(2));
    // Made and replaced between two checkpoints, and given up unpublished: free at once.
    let brief = store.allocate(2, Epoch(2)).unwrap();
    let given_up = store.allocate(2, Epoch(2)).unwrap();
    store.replaced(given_up, Epoch(2), Epoch(2));
    let two = store.begin(Epoch(2)).unwrap();
    store.replaced(brief, Epoch(2), Epoch(3));
    let three = store.begin(Epoch(3)).unwrap();
    drop((one, two));
    let mut dead = Vec::new();
    assert_eq!(store.collect(|at| dead.push(at)).unwrap(), 2);
    dead.sort_unstable();
    assert_eq!(dead, [brief, given_up]);
    assert_eq!(store.stats().waiting, 1);
    checkpoint(&store, &three, &[], b"2").unwrap();
    assert_eq!(store.collect(|gone| assert_eq!(gone, at)).unwrap(), 1);
}

#[test]
fn a_held_snapshot_is_free_in_the_saved_map() {
    let sim = SimDisk::new(3);
    let (store, _) = open(&sim);
    let at = store.allocate(2, Epoch(1)).unwrap();
    let one = store.begin(Epoch(1)).unwrap();
    checkpoint(&store, &one, &[at], b"1").unwrap();
    store.replaced(at, Epoch(1), Epoch(2));
    let two = store.begin(Epoch(2)).unwrap();
    checkpoint(&store, &two, &[], b"2").unwrap();
    assert_eq!(store.collect(|_| panic!("it is held")).unwrap(), 0);
    assert!(store.verify_space([]).unwrap().is_clean());
    let mut read = vec![0; 8192];
    store.file().read(at, PageSize::K8, &mut read).unwrap();
    let report = store.verify_space([at]).unwrap();
    assert_eq!(report.unheld, [at]);
    drop((store, one, two));
    let (store, _) = open(&sim);
    assert_eq!(store.allocate(2, Epoch(3)).unwrap(), at);
}

fn fail(sim: &SimDisk, trouble: Trouble, only: CallKind) {
    sim.fail(Fault {
        at: 0,
        trouble,
        lasting: Lasting::Once,
        only: Some(only),
    });
}

#[test]
fn after_a_failed_sync_or_superblock_there_are_no_more_checkpoints() {
    for only in [CallKind::Sync, CallKind::WriteDurable] {
        let sim = SimDisk::new(4);
        let (store, _) = open(&sim);
        let at = store.allocate(2, Epoch(1)).unwrap();
        let one = store.begin(Epoch(1)).unwrap();
        checkpoint(&store, &one, &[at], b"1").unwrap();
        store.replaced(at, Epoch(1), Epoch(2));
        let newer = store.allocate(2, Epoch(2)).unwrap();
        let two = store.begin(Epoch(2)).unwrap();
        fail(&sim, Trouble::Io, only);
        let error = checkpoint(&store, &two, &[newer], b"2").unwrap_err();
        assert!(matches!(error, PageError::Write { .. }), "{error}");
        let calls = sim.call_count();
        let again = checkpoint(&store, &two, &[], b"2");
        assert!(matches!(again, Err(PageError::Poisoned { .. })));
        assert_eq!(
            sim.call_count(),
            calls,
            "nothing is written or synced again"
        );
        store.replaced(newer, Epoch(2), Epoch(3));
        let three = store.begin(Epoch(3)).unwrap();
        drop((one, two));
        // Either may be what the next opening finds.
        assert_eq!(store.collect(|_| ()).unwrap(), 0);
        store.file().read(at, PageSize::K8, &mut [0; 8192]).unwrap();
        drop((store, three));
        let (_, found) = open(&sim);
        assert!((2..=3).contains(&found.sequence));
    }
}

#[test]
fn before_the_sync_an_error_is_only_an_error() {
    let sim = SimDisk::new(5);
    let (store, _) = open(&sim);
    let at = store.allocate(2, Epoch(1)).unwrap();
    let one = store.begin(Epoch(1)).unwrap();
    for trouble in [Trouble::Io, Trouble::Full, Trouble::Short] {
        let used = store.stats().space.used;
        fail(&sim, trouble, CallKind::Write);
        checkpoint(&store, &one, &[at], b"1").unwrap_err();
        assert_eq!((store.poisoned(), store.stats().space.used), (None, used));
    }
    // And where the pages went well, and the map did not.
    let calls = sim.call_count();
    sim.fail(Fault {
        at: calls + 1,
        trouble: Trouble::Io,
        lasting: Lasting::Once,
        only: Some(CallKind::Write),
    });
    checkpoint(&store, &one, &[at], b"1").unwrap_err();
    assert_eq!(checkpoint(&store, &one, &[at], b"1").unwrap(), 2);
    assert!(store.verify_space([at]).unwrap().is_clean());
}

#[test]
fn what_is_known_to_have_been_there_must_be_there() {
    let sim = SimDisk::new(6);
    let missing = Store::open(&sim, opening(Some(1)));
    assert!(matches!(missing, Err(PageError::Corrupt(_))));
    let reading = Opening {
        read_only: true,
        ..opening(None)
    };
    assert!(matches!(
        Store::open(&sim, reading),
        Err(PageError::Read { .. })
    ));
    let (store, _) = open(&sim);
    let alive = store.begin(Epoch(1)).unwrap();
    let at = store.allocate(2, Epoch(1)).unwrap();
    checkpoint(&store, &alive, &[at], b"x").unwrap_or_default();
    drop((store, alive));
    assert!(Store::open(&sim, opening(Some(2))).is_ok());
    assert!(matches!(
        Store::open(&sim, opening(Some(3))),
        Err(PageError::Corrupt(_))
    ));
    let (store, found) = Store::open(&sim, reading).unwrap();
    assert_eq!(found.meta.as_deref(), Some(&b"x"[..]));
    let alive = store.begin(Epoch(2)).unwrap();
    assert!(checkpoint(&store, &alive, &[], b"y").is_err());
    drop((store, alive));
    // The file is cut.
    let file = sim.open(FILE_NAME, OpenMode::Write).unwrap();
    file.set_len(3 * 4096).unwrap();
    assert!(matches!(
        Store::open(&sim, opening(None)),
        Err(PageError::Corrupt(_))
    ));
}

#[test]
fn damaged_owners_bytes_are_damage_and_no_older_state_is_taken() {
    let sim = SimDisk::new(7);
    let (store, _) = open(&sim);
    for epoch in [1, 2] {
        let alive = store.begin(Epoch(epoch)).unwrap();
        checkpoint(&store, &alive, &[], &[9; 70_000]).unwrap();
    }
    let places: Vec<PageRef> = store.space.lock().own().to_vec();
    drop(store);
    let file = sim.open(FILE_NAME, OpenMode::Write).unwrap();
    for at in places {
        let mut byte = [0];
        file.read_at(&mut byte, at.offset() + 70).unwrap();
        file.write_at(&[byte[0] ^ 4], at.offset() + 70).unwrap();
        let refused = Store::open(&sim, opening(None));
        assert!(matches!(refused, Err(PageError::Corrupt(_))), "{at:?}");
        file.write_at(&byte, at.offset() + 70).unwrap();
    }
    assert_eq!(open(&sim).1.sequence, 3);
}

#[test]
fn an_earlier_epoch_is_not_written_after_a_later_one() {
    let sim = SimDisk::new(8);
    let (store, _) = open(&sim);
    let one = store.begin(Epoch(1)).unwrap();
    let two = store.begin(Epoch(2)).unwrap();
    checkpoint(&store, &two, &[], b"2").unwrap();
    assert!(matches!(
        checkpoint(&store, &one, &[], b"1"),
        Err(PageError::Write { .. })
    ));
    assert_eq!((store.poisoned(), store.durable().1), (None, Epoch(2)));
}

/// One checkpoint that was noted, and epoch 2, which replaces its page.
fn one_and_two(sim: &SimDisk) -> (Store, PageRef, Alive) {
    let (store, _) = open(sim);
    let at = store.allocate(2, Epoch(1)).unwrap();
    let one = store.begin(Epoch(1)).unwrap();
    checkpoint(&store, &one, &[at], b"1").unwrap();
    store.replaced(at, Epoch(1), Epoch(2));
    let two = store.begin(Epoch(2)).unwrap();
    (store, at, two)
}

#[test]
fn a_checkpoint_is_noted_when_it_is_durable_and_before_its_predecessor_goes() {
    let sim = SimDisk::new(9);
    let (store, at, two) = one_and_two(&sim);
    let before = store.stats().space.used;
    let own = store.space.lock().own().to_vec();
    let mut noted = Vec::new();
    let none = std::iter::empty::<(PageRef, Vec<u8>)>();
    let mut note = |sequence| {
        noted.push(sequence);
        assert_eq!(open(&sim).1.sequence, sequence, "it is there");
        // Nothing of the one before comes free yet.
        assert_eq!(store.collect(|at| panic!("{at:?}")).unwrap(), 0);
        assert!(store.stats().space.used > before);
        let mut space = store.space.lock();
        assert!(own.iter().all(|at| space.free(&store.file, *at).is_ok()));
        Err("only looking".to_owned())
    };
    store
        .checkpoint(none, &two, Position::default(), b"2", &mut note)
        .unwrap_err();
    assert_eq!(noted, [3]);
    store.file().read(at, PageSize::K8, &mut [0; 8192]).unwrap();
}

#[test]
fn a_checkpoint_that_cannot_be_noted_keeps_its_predecessor() {
    let sim = SimDisk::new(10);
    let (store, at, two) = one_and_two(&sim);
    let none = std::iter::empty::<(PageRef, Vec<u8>)>;
    let mut note = |_| Err("the log is full".to_owned());
    let error = store.checkpoint(none(), &two, Position::default(), b"2", &mut note);
    let error = error.unwrap_err();
    assert!(matches!(error, PageError::Write { .. }), "{error}");
    assert!(error.to_string().contains("the log is full"), "{error}");
    let newer = store.allocate(2, Epoch(3)).unwrap();
    let three = store.begin(Epoch(3)).unwrap();
    drop(two);
    assert_eq!(store.collect(|at| panic!("{at:?}")).unwrap(), 0);
    let again = checkpoint(&store, &three, &[newer], b"3");
    assert!(matches!(again, Err(PageError::Poisoned { .. })));
    drop((store, three));
    // The newer superblock rots: the log knows the older one, and all of that is there.
    let file = sim.open(FILE_NAME, OpenMode::Write).unwrap();
    file.write_at(&[0; 4096], 4096).unwrap();
    let (store, found) = Store::open(&sim, opening(Some(2))).unwrap();
    assert_eq!(found.meta.as_deref(), Some(&b"1"[..]));
    store.file().read(at, PageSize::K8, &mut [0; 8192]).unwrap();
    assert!(store.verify_space([at]).unwrap().is_clean());
}
