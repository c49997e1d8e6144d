//! The simulated disk under schedules: threads that write, store and sync beside each other, and
//! every state that a crash leaves. On real threads in a plain build; under the random scheduler
//! (`--cfg vellum_shuttle`) with every choice decided by its seed.

#![cfg(not(vellum_loom))]

use std::sync::mpsc;

use vellum_disk::{BLOCK_BYTES, Disk, OpenMode};
use vellum_loom_tests::{MODE, Mode, Model};
use vellum_sync::thread;
use vellum_testkit::{Budget, Crash, SimDisk, State};

const BLOCK: u64 = BLOCK_BYTES as u64;

/// Two threads write durably to blocks of their own, marking what has returned.
#[test]
fn what_returned_is_durable_whatever_else_is_under_way() {
    Model::new("durable writes beside each other")
        .schedules(300)
        .runs(30)
        .check(|| {
            let sim = SimDisk::new(9);
            let file = sim.open("a", OpenMode::CreateNew).unwrap();
            sim.sync_dir().unwrap();
            let threads: Vec<_> = (0..2u64)
                .map(|thread| {
                    let (sim, file) = (sim.clone(), file.clone());
                    thread::spawn(move || {
                        file.write_durable(&[thread as u8 + 1; BLOCK_BYTES], thread * BLOCK)
                            .unwrap();
                        sim.mark(thread);
                    })
                })
                .collect();
            threads
                .into_iter()
                .for_each(|thread| thread.join().unwrap());
            for cut in sim.trace().cuts() {
                for crash in [Crash::Process, Crash::Power] {
                    for state in cut.states(crash, Budget::per_cut(30)) {
                        check_durable(&state, cut.marks());
                    }
                }
            }
        });
}

fn check_durable(state: &State, marks: &[u64]) {
    let bytes = state.files().remove("a").unwrap_or_default();
    for thread in marks {
        let block = &bytes[*thread as usize * BLOCK_BYTES..][..BLOCK_BYTES];
        assert!(
            block.iter().all(|byte| u64::from(*byte) == thread + 1),
            "{state:?}"
        );
    }
}

/// One thread reserves first and stores slowly; the other's store is complete. A process crash
/// finds the second one whole behind a hole: the disk must be able to show that [7].
#[test]
fn a_store_may_be_whole_behind_one_that_is_not() {
    // A channel of the system's: it counts over all runs, and is no part of the model.
    let (seen, holes) = mpsc::channel();
    Model::new("stores beside each other")
        .schedules(5_000)
        .runs(300)
        .check(move || {
            let sim = SimDisk::new(9);
            let mapped = sim.map("tail", BLOCK).unwrap();
            let threads: Vec<_> = (0..2u64)
                .map(|thread| {
                    let (sim, mapped) = (sim.clone(), mapped.clone());
                    thread::spawn(move || {
                        mapped.write(&[1; 100], thread * 100).unwrap();
                        sim.mark(thread);
                    })
                })
                .collect();
            threads
                .into_iter()
                .for_each(|thread| thread.join().unwrap());
            // Whether the first store was torn before the second was done, and after.
            let mut torn = [false; 2];
            for cut in sim.trace().cuts() {
                for state in cut.states(Crash::Process, Budget::per_cut(200)) {
                    // Before it was mapped it was empty, or not there.
                    let bytes = state.files().remove("tail").unwrap_or_default();
                    if bytes.is_empty() {
                        continue;
                    }
                    let whole = |thread: u64| bytes[thread as usize * 100..][..100] == [1; 100];
                    assert!(cut.marks().iter().all(|thread| whole(*thread)));
                    if bytes[0] == 1 && !whole(0) {
                        torn[cut.marks().len()] = true;
                    }
                }
            }
            if torn == [true, true] {
                seen.send(()).unwrap();
            }
        });
    let holes = holes.try_iter().count();
    println!("a store whole behind one that is not: in {holes} runs");
    assert!(
        holes > 0 || MODE == Mode::Std,
        "no schedule tore the first store after the second was done"
    );
}
