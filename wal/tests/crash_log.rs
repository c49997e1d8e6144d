//! The crash sweep of the log alone: workloads are recorded on the simulated disk, cut at their
//! events, and the states that a crash may leave there are opened.
//!
//! What must hold of every state:
//! 1. it opens;
//! 2. the commits found are a prefix of the commit order, unchanged;
//! 3. after a power cut every commit acknowledged as durable is among them; after the end of the
//!    process every commit that was appended;
//! 4. a new commit's timestamp is above every one that was ever handed out;
//! 5. what an opening found, later openings find, whatever crash comes between or during them.
//!
//! `VELLUM_CRASH_STATES` says how many distinct states; the default is a small slice. The tests
//! share them: most go to the first, which has everything in it.

#![cfg(test)]

mod base;
#[path = "crash_log/sweep.rs"]
mod sweep;
#[path = "crash_log/workload.rs"]
mod workload;

use std::sync::Arc;

use vellum_base::{Lsn, Timestamp};
use vellum_testkit::SimDisk;
use vellum_wal::{Config, Durability};

use base::{open_at, small};
use sweep::Sweep;
use workload::{DURABLE, Journal, Mix, Workload, mark};

/// `percent` of the states that the environment asks for.
fn wanted(percent: usize) -> usize {
    vellum_testkit::states_wanted(400) * percent / 100
}

/// A workload, how it is drawn, and what of it is swept.
struct Plan {
    config: Config,
    seed: u64,
    mix: Mix,
    commits: u64,
    recycling_only: bool,
}

/// Runs a workload of one thread, and opens what its crashes leave. Returns the sweep, and how
/// many segments were recycled and how many only allocated.
fn swept(plan: &Plan, states: usize) -> (Sweep, (u64, u64)) {
    let sim = SimDisk::new(plan.seed);
    let journal = Journal::default();
    let workload = Workload {
        sim: &sim,
        journal: &journal,
        mix: plan.mix,
    };
    let made = workload
        .run(&plan.config, plan.seed, plan.commits)
        .expect("no disk fails");
    let mut sweep = Sweep::new(&plan.config, &journal, states);
    if plan.recycling_only {
        sweep.within = journal.recycling.lock().clone();
    }
    sweep.run(&sim);
    (sweep, made)
}

/// Prints the figures; there must be no violation, and as many states as were wanted.
fn judge(sweeps: &[Sweep], wanted: usize) {
    let states: usize = sweeps.iter().map(Sweep::states).sum();
    let nested: usize = sweeps.iter().map(|sweep| sweep.nested).sum();
    let violations: Vec<&String> = sweeps.iter().flat_map(|one| &one.violations).collect();
    println!("crash: {states} states, {} violations", violations.len());
    println!("and {nested} of crashes while opening");
    assert!(violations.is_empty(), "{violations:#?}");
    assert!(states >= wanted * 9 / 10, "only {states} distinct states");
}

#[test]
fn every_state_after_a_crash_opens_with_all_that_was_acknowledged() {
    let all = wanted(60);
    let sweep = |(seed, buffered, syncs): (u64, u64, u64)| {
        let mix = Mix {
            buffered,
            then: [syncs, 4, 3, 2],
            bytes: 480,
            long: false,
        };
        let plan = Plan {
            config: small(),
            seed,
            mix,
            commits: 150,
            recycling_only: false,
        };
        swept(&plan, all / 3).0
    };
    let sweeps = [(0, 45, 4), (1, 80, 4), (2, 90, 0)].map(sweep);
    judge(&sweeps, all);
}

/// Segments that truncation gave up, and such as an opening found void, become new ones; the
/// old bytes in them are never taken for live ones, nor their old headers for damage [8].
#[test]
fn recycled_segments_never_show_what_they_held() {
    let all = wanted(20);
    let sweep = |(seed, then): (u64, [u64; 4])| {
        let mix = Mix {
            buffered: 60,
            then,
            bytes: 2040,
            long: true,
        };
        let plan = Plan {
            config: small(),
            seed,
            mix,
            commits: 500,
            recycling_only: true,
        };
        let (sweep, (recycled, _)) = swept(&plan, all / 2);

        assert!(recycled >= 3, "{recycled} segments were recycled");
        sweep
    };
    // Void ones only: nothing is ever truncated, so reading passes where they were.
    let sweeps = [(4, [3, 0, 3, 1]), (5, [3, 6, 2, 0])].map(sweep);
    judge(&sweeps, all);
}

/// Where groups are large, segments are not zeroed before they are written.
#[test]
fn segments_that_are_only_allocated_lose_nothing() {
    let all = wanted(10);
    let plan = Plan {
        config: Config {
            chunk_bytes: 256 << 10,
            segment_bytes: 2 << 20,
            ..small()
        },
        seed: 6,
        mix: Mix {
            buffered: 85,
            then: [0, 0, 0, 0],
            bytes: 64 << 10,
            long: true,
        },
        commits: 150,
        recycling_only: false,
    };
    let (sweep, (_, allocated)) = swept(&plan, all);
    assert!(allocated > 0, "no segment was only allocated");
    judge(&[sweep], all);
}

#[test]
fn every_state_after_a_crash_of_many_threads_opens_with_all_that_was_acknowledged() {
    let sim = SimDisk::new(11);
    let journal = Arc::new(Journal::default());
    let config = Config {
        background: true,
        in_flight_max: 4,
        ..small()
    };
    let (wal, _) = open_at(&sim.disk(), &config, Lsn(0)).expect("opens");
    let wal = Arc::new(wal);
    let threads: Vec<_> = (0..4u64)
        .map(|thread| {
            let (sim, journal, wal) = (sim.clone(), Arc::clone(&journal), Arc::clone(&wal));
            vellum_sync::thread::spawn(move || {
                let mix = Mix {
                    buffered: 0,
                    then: [0; 4],
                    bytes: 480,
                    long: false,
                };
                let workload = Workload {
                    sim: &sim,
                    journal: &journal,
                    mix,
                };
                for id in (thread..160).step_by(4) {
                    let durability = if id % 5 == 0 {
                        Durability::Buffered
                    } else {
                        Durability::Sync
                    };
                    let at = workload.append(&wal, id, durability).expect("appends");
                    wal.wait_settled(Timestamp(at)).expect("settles");
                    if durability == Durability::Sync {
                        sim.mark(mark(DURABLE, id));
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("ends well");
    }
    drop(wal);
    let all = wanted(10);
    let mut sweep = Sweep::new(&small(), &journal, all);
    sweep.run(&sim);
    judge(&[sweep], all);
}
