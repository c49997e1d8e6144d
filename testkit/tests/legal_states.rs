//! The simulated disk loses what it may lose, and nothing else: each rule of the disk's contract,
//! seen in the states that crashes leave.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;

use vellum_disk::{BLOCK_BYTES, Disk, File, LockMode, OpenMode};
use vellum_testkit::{
    Budget, CallKind, Crash, Cut, Distinct, Fault, Lasting, SimDisk, State, Trouble,
};

const SECTOR: usize = 512;

/// A disk with an empty file whose name is durable.
fn disk_with_file(name: &str) -> (SimDisk, Arc<dyn File>) {
    let sim = SimDisk::new(1);
    let file = sim.open(name, OpenMode::CreateNew).unwrap();
    sim.sync_dir().unwrap();
    (sim, file)
}

/// The states after all that was done.
fn last_states(sim: &SimDisk, crash: Crash) -> Vec<State> {
    sim.trace()
        .cuts()
        .last()
        .unwrap()
        .states(crash, Budget::FULL)
        .collect()
}

/// What the file holds in each of them; `None` where it is gone.
fn outcomes(sim: &SimDisk, crash: Crash, name: &str) -> BTreeSet<Option<Vec<u8>>> {
    last_states(sim, crash)
        .iter()
        .map(|state| state.files().remove(name))
        .collect()
}

/// The first byte of each sector.
fn heads(bytes: &[u8]) -> Vec<u8> {
    bytes.chunks(SECTOR).map(|sector| sector[0]).collect()
}

/// Those outcomes whose sectors are whole.
fn untorn(outcomes: &BTreeSet<Option<Vec<u8>>>) -> BTreeSet<Vec<u8>> {
    let uniform = |sector: &[u8]| sector.iter().all(|byte| *byte == sector[0]);
    let whole = outcomes
        .iter()
        .flatten()
        .filter(|bytes| bytes.chunks(SECTOR).all(uniform));
    whole.map(|bytes| heads(bytes)).collect()
}

#[test]
fn any_subset_of_unsynced_sectors_survives_a_power_cut() {
    let (sim, file) = disk_with_file("a");
    file.write_at(&[1; 3 * SECTOR], 0).unwrap();
    file.sync().unwrap();
    assert_eq!(
        outcomes(&sim, Crash::Power, "a"),
        [Some(vec![1; 3 * SECTOR])].into()
    );
    file.write_at(&[2; 3 * SECTOR], 0).unwrap();
    let subsets: BTreeSet<Vec<u8>> = (0..8u8)
        .map(|set| (0..3).map(|at| 1 + (set >> at & 1)).collect())
        .collect();
    let seen = outcomes(&sim, Crash::Power, "a");
    assert_eq!(untorn(&seen), subsets);
    assert!(seen.len() > 8, "and some of them torn");
    file.sync().unwrap();
    assert_eq!(
        outcomes(&sim, Crash::Power, "a"),
        [Some(vec![2; 3 * SECTOR])].into()
    );
}

#[test]
fn a_sector_written_twice_may_be_as_after_either_write() {
    let (sim, file) = disk_with_file("a");
    file.write_at(&[1; SECTOR], 0).unwrap();
    file.sync().unwrap();
    file.write_at(&[2; SECTOR], 0).unwrap();
    file.write_at(&[3; SECTOR], 0).unwrap();
    let expected = [vec![1], vec![2], vec![3]].into();
    assert_eq!(untorn(&outcomes(&sim, Crash::Power, "a")), expected);
}

#[test]
fn sectors_are_torn_at_bytes() {
    let (sim, file) = disk_with_file("a");
    file.write_at(&[1; SECTOR], 0).unwrap();
    file.sync().unwrap();
    file.write_at(&[2; SECTOR], 0).unwrap();
    let seen = outcomes(&sim, Crash::Power, "a");
    for at in [1, 8, 64, 511] {
        for (head, tail) in [(2, 1), (1, 2)] {
            let mut torn = vec![head; SECTOR];
            torn[at..].fill(tail);
            assert!(seen.contains(&Some(torn)), "torn at {at}");
        }
    }
}

#[test]
fn a_process_crash_loses_nothing_and_cuts_writes_under_way() {
    let (sim, file) = disk_with_file("a");
    file.write_at(&[1; 2000], 0).unwrap();
    let mapped = sim.map("m", BLOCK_BYTES as u64).unwrap();
    mapped.write(&[2; 100], 0).unwrap();
    for state in last_states(&sim, Crash::Process) {
        assert_eq!(state.files()["a"], [1; 2000]);
        assert_eq!(
            state.files()["m"][..101],
            [[2; 100].as_slice(), &[0]].concat()
        );
    }
    // While the store was under way, any part of it may be there, from its beginning on.
    let mut lens = BTreeSet::new();
    for cut in sim.trace().cuts() {
        for state in cut.states(Crash::Process, Budget::FULL) {
            if let Some(bytes) = state.files().remove("m") {
                let len = bytes.iter().take_while(|byte| **byte == 2).count();
                assert!(bytes[len..].iter().all(|byte| *byte == 0));
                lens.insert(len);
            }
        }
    }
    assert!(
        [0, 1, 8, 50, 64, 92, 99, 100]
            .iter()
            .all(|len| lens.contains(len)),
        "{lens:?}"
    );
}

#[test]
fn names_are_lost_until_the_directory_is_synced() {
    let sim = SimDisk::new(1);
    let file = sim.open("a", OpenMode::CreateNew).unwrap();
    file.write_at(b"x", 0).unwrap();
    file.sync().unwrap();
    let seen = outcomes(&sim, Crash::Power, "a");
    assert_eq!(
        seen,
        [None, Some(b"x".to_vec())].into(),
        "gone, though it was synced"
    );
    sim.sync_dir().unwrap();
    assert_eq!(
        outcomes(&sim, Crash::Power, "a"),
        [Some(b"x".to_vec())].into()
    );
}

/// The names in each state.
fn names(sim: &SimDisk) -> BTreeSet<Vec<String>> {
    let names = |state: &State| state.files().into_keys().collect();
    last_states(sim, Crash::Power).iter().map(names).collect()
}

fn set(names: &[&[&str]]) -> BTreeSet<Vec<String>> {
    names
        .iter()
        .map(|names| names.iter().map(|name| (*name).to_owned()).collect())
        .collect()
}

#[test]
fn changes_of_names_come_in_any_order_and_are_atomic() {
    let sim = SimDisk::new(1);
    for name in ["a", "b", "c"] {
        sim.open(name, OpenMode::CreateNew).unwrap();
    }
    sim.sync_dir().unwrap();
    sim.rename("a", "b").unwrap();
    sim.remove("c").unwrap();
    assert_eq!(
        names(&sim),
        set(&[&["a", "b", "c"], &["b", "c"], &["a", "b"], &["b"]])
    );
    // A new file under a name that was freed rests on the freeing.
    sim.open("a", OpenMode::CreateNew).unwrap();
    let first = |state: &State| state.files().into_keys().next();
    assert!(
        last_states(&sim, Crash::Power)
            .iter()
            .all(|state| first(state).is_some())
    );
    assert_eq!(
        names(&sim),
        set(&[&["a", "b", "c"], &["b", "c"], &["a", "b"], &["b"]])
    );
    sim.sync_dir().unwrap();
    assert_eq!(names(&sim), set(&[&["a", "b"]]));
}

#[test]
fn a_renamed_file_never_has_both_names_or_none() {
    let (sim, file) = disk_with_file("a");
    file.write_at(b"x", 0).unwrap();
    file.sync().unwrap();
    sim.rename("a", "b").unwrap();
    sim.open("a", OpenMode::CreateNew).unwrap();
    for state in last_states(&sim, Crash::Power) {
        let holders = state
            .files()
            .into_values()
            .filter(|bytes| bytes == b"x")
            .count();
        assert_eq!(holders, 1, "{state:?}");
    }
}

#[test]
fn durable_writes_are_durable_alone_and_in_flight_any_subset() {
    let (sim, file) = disk_with_file("a");
    file.write_durable(&[1; BLOCK_BYTES], 0).unwrap();
    file.write_at(&[2; SECTOR], BLOCK_BYTES as u64).unwrap();
    file.write_durable(&[3; BLOCK_BYTES], 0).unwrap();
    let seen = outcomes(&sim, Crash::Power, "a");
    let whole: BTreeSet<Vec<u8>> = untorn(&seen);
    let only: Vec<u8> = vec![3; 8];
    let also = [only.clone(), vec![2]].concat();
    let grown = [only.clone(), vec![0]].concat();
    assert_eq!(whole, [only, also, grown].into());
    // While the second was under way, each of its sectors was old or new.
    let mut mixed = BTreeSet::new();
    for cut in sim.trace().cuts() {
        for state in cut.states(Crash::Power, Budget::FULL) {
            if let Some(bytes) = state.files().remove("a") {
                mixed.insert(heads(&bytes)[..bytes.len().min(BLOCK_BYTES) / SECTOR].to_vec());
            }
        }
    }
    assert!(
        mixed.contains(&vec![1, 3, 1, 3, 3, 1, 1, 3]),
        "not only prefixes"
    );
    assert!(mixed.contains(&vec![3, 1, 1, 1, 1, 1, 1, 1]));
}

#[test]
fn lengths_come_back_as_they_were_or_grown_by_sectors() {
    let (sim, file) = disk_with_file("a");
    file.write_at(&[1; 100], 0).unwrap();
    file.sync().unwrap();
    file.write_at(&[2; 2 * SECTOR], SECTOR as u64).unwrap();
    let seen = outcomes(&sim, Crash::Power, "a");
    let lens: BTreeSet<usize> = seen.iter().flatten().map(Vec::len).collect();
    assert_eq!(lens, [100, 512, 1024, 1536].into());
    let expected = |third: u8| {
        let mut bytes = vec![0; 3 * SECTOR];
        bytes[..100].fill(1);
        bytes[2 * SECTOR..].fill(third);
        Some(bytes)
    };
    assert!(seen.contains(&expected(0)), "grown, with zeroes");
    assert!(seen.contains(&expected(2)), "and with what was written");
    file.sync().unwrap();
    assert_eq!(outcomes(&sim, Crash::Power, "a").len(), 1);
}

#[test]
fn a_cut_that_was_not_synced_is_undone_wholly_or_not_at_all() {
    let (sim, file) = disk_with_file("a");
    file.write_at(&[1; 3 * SECTOR], 0).unwrap();
    file.sync().unwrap();
    file.set_len(SECTOR as u64).unwrap();
    file.set_len(3 * SECTOR as u64).unwrap();
    let seen = untorn(&outcomes(&sim, Crash::Power, "a"));
    assert_eq!(
        seen,
        [vec![1, 1, 1], vec![1], vec![1, 0], vec![1, 0, 0]].into()
    );
    file.sync().unwrap();
    assert_eq!(
        untorn(&outcomes(&sim, Crash::Power, "a")),
        [vec![1, 0, 0]].into()
    );
}

#[test]
fn stores_into_mappings_are_never_promised() {
    let sim = SimDisk::new(1);
    let mapped = sim.map("m", BLOCK_BYTES as u64).unwrap();
    sim.sync_dir().unwrap();
    mapped.write(&[1; SECTOR], 0).unwrap();
    let file = sim.open("m", OpenMode::Write).unwrap();
    file.sync().unwrap();
    let seen = outcomes(&sim, Crash::Power, "m");
    let seen: BTreeSet<u8> = untorn(&seen).iter().map(|heads| heads[0]).collect();
    assert_eq!(seen, [0, 1].into(), "not even by a sync");
    // What is written again through the file is.
    file.write_at(&[1; SECTOR], 0).unwrap();
    file.sync().unwrap();
    assert_eq!(outcomes(&sim, Crash::Power, "m").len(), 1);
}

#[test]
fn after_a_failed_sync_the_next_one_proves_nothing() {
    let (sim, file) = disk_with_file("a");
    file.write_at(&[1; SECTOR], 0).unwrap();
    file.sync().unwrap();
    file.write_at(&[2; SECTOR], 0).unwrap();
    let at = sim.call_count();
    let only = Some(CallKind::Sync);
    sim.fail(Fault {
        at,
        trouble: Trouble::Io,
        lasting: Lasting::Once,
        only,
    });
    assert!(file.sync().is_err());
    assert!(file.sync().is_ok());
    let mut seen = [0; SECTOR];
    file.read_at(&mut seen, 0).unwrap();
    assert_eq!(seen, [2; SECTOR], "the cache shows it");
    let expected = [vec![1], vec![2]].into();
    assert_eq!(
        untorn(&outcomes(&sim, Crash::Power, "a")),
        expected,
        "the disk need not hold it"
    );
    // Written again, it is synced.
    file.write_at(&[2; SECTOR], 0).unwrap();
    file.sync().unwrap();
    assert_eq!(outcomes(&sim, Crash::Power, "a").len(), 1);
    // The same for names.
    sim.open("b", OpenMode::CreateNew).unwrap();
    let only = Some(CallKind::SyncDir);
    sim.fail(Fault {
        at,
        trouble: Trouble::Io,
        lasting: Lasting::Once,
        only,
    });
    assert!(sim.sync_dir().is_err());
    assert!(sim.sync_dir().is_ok());
    assert_eq!(names(&sim), set(&[&["a"], &["a", "b"]]));
}

#[test]
fn after_a_failed_durable_write_cache_and_disk_may_differ() {
    let mut cached = BTreeSet::new();
    for seed in 0..20 {
        let sim = SimDisk::new(seed);
        let file = sim.open("a", OpenMode::CreateNew).unwrap();
        sim.sync_dir().unwrap();
        file.write_durable(&[1; BLOCK_BYTES], 0).unwrap();
        let at = sim.call_count();
        sim.fail(Fault {
            at,
            trouble: Trouble::Io,
            lasting: Lasting::Once,
            only: None,
        });
        assert!(file.write_durable(&[2; BLOCK_BYTES], 0).is_err());
        file.sync().unwrap();
        let mut first = [0; 1];
        file.read_at(&mut first, 0).unwrap();
        cached.insert(first[0]);
        let seen = untorn(&outcomes(&sim, Crash::Power, "a"));
        for some in [[1; 8], [2; 8], [1, 2, 1, 1, 2, 2, 2, 1]] {
            assert!(seen.contains(some.as_slice()), "{some:?}");
        }
    }
    assert_eq!(cached, [1, 2].into());
}

#[test]
fn what_a_killed_process_did_not_sync_is_still_lost_by_a_power_cut_later() {
    let (sim, file) = disk_with_file("a");
    file.write_at(&[1; SECTOR], 0).unwrap();
    let after = last_states(&sim, Crash::Process).remove(0).disk();
    let file = after.open("a", OpenMode::Write).unwrap();
    assert_eq!(file.len().unwrap(), SECTOR as u64);
    assert!(outcomes(&after, Crash::Power, "a").contains(&Some(Vec::new())));
    file.sync().unwrap();
    assert_eq!(outcomes(&after, Crash::Power, "a").len(), 1);
}

#[test]
fn a_state_is_a_disk_with_a_trace_of_its_own() {
    let (sim, file) = disk_with_file("a");
    let lock = sim.lock(LockMode::Exclusive).unwrap();
    file.write_at(&[1; SECTOR], 0).unwrap();
    let mut depths = 0;
    for state in last_states(&sim, Crash::Power) {
        let second = state.disk();
        let _lock = second.lock(LockMode::Exclusive).unwrap();
        let before = state.files();
        let file = second.open("a", OpenMode::Write).unwrap();
        file.write_at(&[2; SECTOR], 0).unwrap();
        for nested in last_states(&second, Crash::Power) {
            let third = nested.disk();
            third.open("a", OpenMode::Write).unwrap().sync().unwrap();
            assert_eq!(last_states(&third, Crash::Power).len(), 1);
            depths += 1;
        }
        assert_eq!(
            state.files(),
            before,
            "a state is not changed by what is done to its disk"
        );
    }
    assert!(depths > 10);
    drop(lock);
}

/// Many files, much pending: the states that are chosen when there are too many.
#[test]
fn every_family_of_states_is_made_when_there_are_too_many() {
    let (sim, file) = disk_with_file("a");
    file.write_at(&[1; 64 * SECTOR], 0).unwrap();
    file.sync().unwrap();
    for at in 0..64 {
        file.write_at(&[2; SECTOR], at * SECTOR as u64).unwrap();
    }
    let cut = sim.trace().cuts().last().unwrap();
    let states: Vec<State> = cut.states(Crash::Power, Budget::per_cut(2000)).collect();
    let seen: BTreeSet<Option<Vec<u8>>> = states
        .iter()
        .map(|state| state.files().remove("a"))
        .collect();
    assert!(states.len() > 1500, "{}", states.len());
    assert_eq!(seen.len(), states.len(), "all distinct");
    let seen = untorn(&seen);
    for at in 0..64 {
        let mut prefix = vec![1; 64];
        prefix[..at].fill(2);
        assert!(seen.contains(&prefix), "prefix of {at}");
        let suffix: Vec<u8> = prefix.iter().map(|head| 3 - head).collect();
        assert!(seen.contains(&suffix), "suffix from {at}");
        let (mut missing, mut present) = (vec![2; 64], vec![1; 64]);
        (missing[at], present[at]) = (1, 2);
        assert!(
            seen.contains(&missing) && seen.contains(&present),
            "one at {at}"
        );
    }
    let blocks = |heads: &&Vec<u8>| {
        heads
            .chunks(8)
            .all(|block| block.iter().all(|b| *b == block[0]))
    };
    assert!(seen.iter().filter(blocks).count() > 30, "whole blocks");
}

#[test]
fn one_seed_gives_one_trace_and_one_set_of_states() {
    let run = |seed: u64| {
        let sim = SimDisk::new(seed);
        let file = sim.open("a", OpenMode::CreateNew).unwrap();
        for at in 0..40 {
            file.write_at(&[at as u8; 300], at * 300).unwrap();
        }
        let hashes = |cut: Cut| {
            let states: Vec<State> = cut.states(Crash::Power, Budget::per_cut(50)).collect();
            states.iter().map(State::hash).collect::<Vec<_>>()
        };
        sim.trace().cuts().flat_map(hashes).collect::<Vec<_>>()
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

#[test]
fn marks_tell_what_had_happened_and_keep_equal_states_apart() {
    let (sim, file) = disk_with_file("a");
    sim.mark(1);
    file.write_durable(&[1; BLOCK_BYTES], 0).unwrap();
    sim.mark(2);
    let trace = sim.trace();
    assert_eq!(trace.marks(), [1, 2]);
    assert_eq!(trace.cuts().count(), trace.len());
    let marks: Vec<usize> = trace.cuts().map(|cut| cut.marks().len()).collect();
    assert!(marks.is_sorted() && marks.first() == Some(&0) && marks.last() == Some(&2));
    let mut distinct = Distinct::new();
    let written = |state: &State| state.files().get("a") == Some(&vec![1; BLOCK_BYTES]);
    let mut times = 0;
    for cut in trace.cuts() {
        for state in cut.states(Crash::Power, Budget::FULL) {
            times += usize::from(distinct.insert(&state) && written(&state));
        }
    }
    assert_eq!(times, 2, "written, before and after it was acknowledged");
    assert!(!distinct.is_empty() && distinct.len() > 2);
}
