//! The crash sweep of the log alone: a workload is recorded on the simulated disk, cut at every
//! event, and every state that a crash may leave there is opened.
//!
//! What must hold of every state:
//! 1. it opens;
//! 2. the commits found are a prefix of the commit order, unchanged;
//! 3. after a power cut every commit acknowledged as durable is among them; after the end of the
//!    process every commit that was appended;
//! 4. a new commit's timestamp is above every one that was ever handed out;
//! 5. what an opening found, later openings find, whatever crash comes between or during them.
//!
//! `VELLUM_CRASH_STATES` sets the states for each cut (default 4).

use std::collections::BTreeSet;
use std::sync::Arc;

use vellum_base::Lsn;
use vellum_disk::Disk;
use vellum_sync::Mutex;
use vellum_testkit::{Budget, Crash, Distinct, Random, SimDisk, State, Trace};
use vellum_wal::{Config, Durability, Payload, Wal, WalError};

use super::common::{Accept, Commits, commit, open_at, payload, small};

const BEGUN: u64 = 0;
const RETURNED: u64 = 1;
const DURABLE: u64 = 2;
const START: u64 = 3;

fn mark(kind: u64, value: u64) -> u64 {
    kind << 56 | value
}

/// One commit of the workload.
#[derive(Clone)]
struct Commit {
    id: u64,
    timestamp: u64,
    payload: Vec<u8>,
}

/// What the workload did, for the checks.
#[derive(Default)]
struct Journal {
    commits: Mutex<Vec<Commit>>,
    /// Positions recorded as the log's start, and the last commit before each.
    starts: Mutex<Vec<(Lsn, u64)>>,
}

impl Journal {
    /// Sorts the commits into their order.
    fn finish(&self) {
        self.commits.lock().sort_by_key(|commit| commit.timestamp);
    }
}

fn bytes_of(id: u64) -> Vec<u8> {
    payload(id, ((id * 97) % 480) as usize)
}

struct Workload<'a> {
    sim: &'a SimDisk,
    journal: &'a Journal,
}

impl Workload<'_> {
    fn append(&self, wal: &Wal, id: u64, durability: Durability) -> Result<u64, WalError> {
        self.sim.mark(mark(BEGUN, id));
        let bytes = bytes_of(id);
        let payload = Payload::inline(&bytes);
        let reservation = wal.reserve(bytes.len())?;
        let appended = wal
            .append(reservation, payload, durability, &mut Accept)?
            .expect("accepted");
        self.returned(id, appended.timestamp.0, bytes);
        Ok(appended.timestamp.0)
    }

    fn returned(&self, id: u64, timestamp: u64, payload: Vec<u8>) {
        self.journal.commits.lock().push(Commit {
            id,
            timestamp,
            payload,
        });
        self.sim.mark(mark(RETURNED, id));
    }

    fn large(&self, wal: &Wal, id: u64) -> Result<(), WalError> {
        self.sim.mark(mark(BEGUN, id));
        let bytes = payload(id, 600 + (id as usize * 1713) % 9000);
        let reference = wal.write_large(&[&bytes[..10], &bytes[10..]])?;
        let payload = Payload::Large(reference);
        let reservation = wal.reserve(payload.reserved_len())?;
        let appended = wal.append(reservation, payload, Durability::Buffered, &mut Accept)?;
        let timestamp = appended.expect("accepted").timestamp;
        self.returned(id, timestamp.0, bytes);
        wal.wait_settled(timestamp)
    }

    fn truncate(&self, wal: &Wal, id: u64) -> Result<(), WalError> {
        wal.sync()?;
        self.sim.mark(mark(DURABLE, id));
        let at = wal.last().0;
        let mut starts = self.journal.starts.lock();
        starts.push((wal.end(), at));
        self.sim.mark(mark(START, starts.len() as u64 - 1));
        drop(starts);
        wal.truncate_before(wal.end())
    }

    fn reopen(&self, config: &Config) -> Result<Wal, WalError> {
        let start = self
            .journal
            .starts
            .lock()
            .last()
            .map_or(Lsn(0), |start| start.0);
        Ok(open_at(&self.sim.disk(), config, start)?.0)
    }

    /// `commits` commits of one thread, with everything that may happen between.
    fn run(
        &self,
        config: &Config,
        seed: u64,
        (buffered, commits): (u64, u64),
    ) -> Result<(), WalError> {
        let mut random = Random::new(seed);
        let mut wal = self.reopen(config)?;
        for id in 0..commits {
            match random.below(100) {
                percent if percent < buffered => {
                    self.append(&wal, id, Durability::Buffered)?;
                }
                ..90 => {
                    let at = self.append(&wal, id, Durability::Sync)?;
                    wal.wait_settled(vellum_base::Timestamp(at))?;
                    self.sim.mark(mark(DURABLE, id));
                }
                90..95 => self.large(&wal, id)?,
                _ => {
                    self.append(&wal, id, Durability::Sync)?;
                }
            }
            match random.below(100) {
                0..4 if buffered < 90 => {
                    wal.sync()?;
                    self.sim.mark(mark(DURABLE, id));
                }
                4..8 => self.truncate(&wal, id)?,
                8..11 => {
                    drop(wal);
                    wal = self.reopen(config)?;
                    // What an opening found is durable.
                    self.sim.mark(mark(DURABLE, id));
                }
                11..13 => {
                    wal.close()?;
                    self.sim.mark(mark(DURABLE, id));
                    drop(wal);
                    wal = self.reopen(config)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// What was known when the crash came.
struct Facts {
    begun: BTreeSet<u64>,
    returned: BTreeSet<u64>,
    durable: BTreeSet<u64>,
    start: Option<usize>,
}

impl Facts {
    fn of(marks: &[u64]) -> Self {
        let of_kind = |kind: u64| {
            let values = marks.iter().filter(move |mark| **mark >> 56 == kind);
            values.map(|mark| mark & ((1 << 56) - 1))
        };
        Self {
            begun: of_kind(BEGUN).collect(),
            returned: of_kind(RETURNED).collect(),
            durable: of_kind(DURABLE).collect(),
            start: of_kind(START).next_back().map(|start| start as usize),
        }
    }
}

/// Checks what an opening found; returns how many commits of the order that is.
fn check(found: &Commits, journal: &[Commit], after: u64, facts: &Facts, crash: Crash) -> usize {
    let order: Vec<&Commit> = journal
        .iter()
        .filter(|commit| commit.timestamp > after)
        .collect();
    let found: Vec<_> = found.iter().filter(|commit| commit.0 > after).collect();
    let needed = if crash == Crash::Power {
        &facts.durable
    } else {
        &facts.returned
    };
    let least = order
        .iter()
        .rposition(|commit| needed.contains(&commit.id))
        .map_or(0, |at| at + 1);
    assert!(
        found.len() >= least,
        "{} commits found of {least} acknowledged",
        found.len()
    );
    for (at, found) in found.iter().enumerate() {
        let Some(commit) = order.get(at) else {
            panic!("commit {} was never made", found.0)
        };
        assert!(
            facts.begun.contains(&commit.id),
            "commit {} had not begun",
            commit.id
        );
        assert_eq!(
            (commit.timestamp, &commit.payload),
            (found.0, &found.1),
            "commit {at}"
        );
    }
    found.len()
}

/// Opens a state, checks it, uses it, opens it again. Returns the opened disk.
fn examine(
    state: &State,
    journal: &[Commit],
    (start, after): (Lsn, u64),
    facts: &Facts,
    crash: Crash,
) -> (SimDisk, usize) {
    let sim = state.disk();
    let disk: Arc<dyn Disk> = sim.disk();
    let (wal, found) = open_at(&disk, &small(), start).expect("opens");
    sim.mark(mark(START, 0));
    let count = check(&found, journal, after, facts, crash);
    let handed_out = journal
        .iter()
        .filter(|commit| facts.begun.contains(&commit.id));
    let newest = handed_out
        .map(|commit| commit.timestamp)
        .max()
        .unwrap_or(0)
        .max(after);
    let at = commit(&wal, b"after the crash", Durability::Sync)
        .expect("commits")
        .0;
    assert!(at > newest, "timestamp {at} was handed out before");
    drop(wal);
    let (_, again) = open_at(&disk, &small(), start).expect("opens again");
    assert_eq!(again.len(), found.len() + 1);
    assert_eq!(again[..found.len()], found[..]);
    (sim, count)
}

/// Crashes the opening of `state` at every event, and opens what that leaves.
fn examine_nested(
    sim: &SimDisk,
    journal: &[Commit],
    (start, after): (Lsn, u64),
    (facts, count): (&Facts, usize),
    (crash, budget): (Crash, Budget),
) -> usize {
    let mut states = 0;
    let trace: Trace = sim.trace();
    for cut in trace.cuts() {
        let opened = !cut.marks().is_empty();
        for state in cut.states(crash, budget) {
            let disk = state.disk().disk();
            let (_, found) =
                open_at(&disk, &small(), start).expect("opens after a crash while opening");
            let old: Commits = found
                .iter()
                .filter(|c| c.1 != b"after the crash")
                .cloned()
                .collect();
            let again = check(&old, journal, after, facts, crash);
            assert!(
                !opened || again == count,
                "{again} commits left of {count} that were found"
            );
            states += 1;
        }
        if opened {
            break;
        }
    }
    states
}

fn states_per_cut() -> usize {
    std::env::var("VELLUM_CRASH_STATES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(4)
}

fn sweep(sim: &SimDisk, journal: &Journal, nested_every: usize) -> (usize, usize) {
    journal.finish();
    let commits = journal.commits.lock().clone();
    let starts = journal.starts.lock().clone();
    let budget = Budget::per_cut(states_per_cut());
    let (mut distinct, mut nested) = (Distinct::new(), 0);
    for cut in sim.trace().cuts() {
        let facts = Facts::of(cut.marks());
        let start = facts.start.map_or((Lsn(0), 0), |start| starts[start]);
        for crash in [Crash::Power, Crash::Process] {
            for state in cut.states(crash, budget) {
                if !distinct.insert(&state) {
                    continue;
                }
                let examined = std::panic::catch_unwind(|| {
                    let (sim, count) = examine(&state, &commits, start, &facts, crash);
                    if distinct.len() % nested_every != 0 {
                        return 0;
                    }
                    let small = Budget::per_cut(2);
                    // Whatever the process left, the power may fail next.
                    let next = (Crash::Power, small);
                    examine_nested(&sim, &commits, start, (&facts, count), next)
                });
                match examined {
                    Ok(more) => nested += more,
                    Err(panic) => {
                        eprintln!("{crash:?} crash at {cut:?}: {state:?}");
                        std::panic::resume_unwind(panic);
                    }
                }
            }
        }
    }
    (distinct.len(), nested)
}

#[test]
fn every_state_after_a_crash_opens_with_all_that_was_acknowledged() {
    let (mut states, mut nested) = (0, 0);
    for (seed, buffered) in [(0, 45), (1, 80), (2, 90)] {
        let sim = SimDisk::new(seed);
        let journal = Journal::default();
        let workload = Workload {
            sim: &sim,
            journal: &journal,
        };
        workload.run(&small(), seed, (buffered, 150)).unwrap();
        let counts = sweep(&sim, &journal, 40);
        states += counts.0;
        nested += counts.1;
    }
    println!("crash: {states} states, {nested} of crashes while opening");
    assert!(states > 5_000);
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
    let (wal, _) = open_at(&sim.disk(), &config, Lsn(0)).unwrap();
    let wal = Arc::new(wal);
    let threads: Vec<_> = (0..4u64)
        .map(|thread| {
            let (sim, journal, wal) = (sim.clone(), Arc::clone(&journal), Arc::clone(&wal));
            vellum_sync::thread::spawn(move || {
                let workload = Workload {
                    sim: &sim,
                    journal: &journal,
                };
                for id in (thread..160).step_by(4) {
                    let durability = if id % 5 == 0 {
                        Durability::Buffered
                    } else {
                        Durability::Sync
                    };
                    let at = workload.append(&wal, id, durability).unwrap();
                    wal.wait_settled(vellum_base::Timestamp(at)).unwrap();
                    if durability == Durability::Sync {
                        sim.mark(mark(DURABLE, id));
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    drop(wal);
    let (states, nested) = sweep(&sim, &journal, 100);
    println!("crash: {states} states, {nested} of crashes while opening");
    assert!(states > 1_000);
}
