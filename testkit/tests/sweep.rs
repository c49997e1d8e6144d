//! Sweeps over a small journal: a right one survives every crash and every failing call, and each
//! of ten wrong ones is found out. What the simulated disk is for.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod journal;

use journal::{Bug, Journal};
use vellum_testkit::{
    Budget, Call, CallKind, Crash, Distinct, Fault, Lasting, SimDisk, SimOptions, State, Trouble,
};

/// Appends `count` numbers, marking what was acknowledged.
fn workload(sim: &SimDisk, bug: Bug, count: usize) -> std::io::Result<()> {
    let mut journal = Journal::open(sim, bug)?;
    for _ in 0..count {
        journal.append(|number| sim.mark(number))?;
    }
    Ok(())
}

/// What is wrong with what the disk holds, when so many numbers were acknowledged.
fn violation(sim: &SimDisk, bug: Bug, acknowledged: u64) -> Option<String> {
    let journal = match Journal::open(sim, bug) {
        Ok(journal) => journal,
        Err(error) => return Some(format!("it does not open: {error}")),
    };
    let counted = journal
        .numbers
        .iter()
        .zip(1..)
        .all(|(number, at)| *number == at);
    if !counted || !journal.intact {
        return Some(format!(
            "{:?} is no beginning of what was written",
            journal.numbers
        ));
    }
    let kept = journal.numbers.len() as u64;
    (kept < acknowledged).then(|| format!("{acknowledged} acknowledged, {kept} kept"))
}

#[derive(Default)]
struct Sweep {
    states: Distinct,
    violations: Vec<String>,
    depth: usize,
}

impl Sweep {
    /// Every state at every cut, and at `depth` levels of recoveries that crash in turn.
    fn run(&mut self, sim: &SimDisk, bug: Bug, acknowledged: u64, budget: usize) {
        for cut in sim.trace().cuts() {
            let acknowledged = acknowledged.max(cut.marks().last().copied().unwrap_or(0));
            for crash in [Crash::Process, Crash::Power] {
                for state in cut.states(crash, Budget::per_cut(budget)) {
                    if self.states.insert(&state) {
                        let what = || format!("{cut:?}, {crash:?}, {state:?}");
                        self.check(&state, (bug, crash), acknowledged, &what);
                    }
                }
            }
        }
    }

    fn check(
        &mut self,
        state: &State,
        (bug, crash): (Bug, Crash),
        acknowledged: u64,
        what: &dyn Fn() -> String,
    ) {
        let record = self.depth > 0;
        let disk = state.disk_with(SimOptions {
            record,
            ..SimOptions::default()
        });
        if let Some(violation) = violation(&disk, bug, acknowledged) {
            self.violations.push(format!("{violation}: {}", what()));
        } else if record && (crash == Crash::Process || self.states.len().is_multiple_of(16)) {
            self.depth -= 1;
            // What a recovery showed is acknowledged: it must not be lost by the next crash.
            let shown = Journal::open(&disk, bug).map_or(0, |journal| journal.numbers.len());
            disk.mark(acknowledged.max(shown as u64));
            self.run(&disk, bug, acknowledged, 24);
            self.depth += 1;
        }
    }
}

fn sweep(bug: Bug, depth: usize) -> Sweep {
    let sim = SimDisk::new(5);
    workload(&sim, bug, 6).unwrap();
    let mut sweep = Sweep {
        depth,
        ..Sweep::default()
    };
    sweep.run(&sim, bug, 0, 200);
    sweep
}

#[test]
fn a_right_journal_survives_every_state() {
    let sweep = sweep(Bug::None, 2);
    assert_eq!(sweep.violations, [""; 0]);
    assert!(sweep.states.len() > 3_000, "{}", sweep.states.len());
}

#[test]
fn wrong_journals_are_found_out_by_crashes() {
    for bug in [
        Bug::DirectoryNotSynced,
        Bug::RenamedBeforeSynced,
        Bug::NotSynced,
        Bug::AcknowledgedFirst,
        Bug::NoChecksum,
        Bug::OnlyMapped,
    ] {
        assert!(
            !sweep(bug, 0).violations.is_empty(),
            "{bug:?} was not found out"
        );
    }
    // This one only by the crash of a process and then of the system.
    assert!(!sweep(Bug::TrustsTheCache, 1).violations.is_empty());
}

/// The end of a run is crashed however few states are wanted.
#[test]
fn few_states_are_spread_over_the_whole_run() {
    let sim = SimDisk::new(5);
    workload(&sim, Bug::None, 40).unwrap();
    let trace = sim.trace();
    let cuts = trace.len() + 1;
    for wanted in [12, cuts / 2, cuts, 3 * cuts] {
        let (mut met, mut last) = ([0; 4], 0);
        let states = trace.sweep(wanted, |cut, _, _| {
            met[cut.index() * 4 / cuts] += 1;
            last = last.max(cut.index());
        });
        assert_eq!(states, wanted);
        let least = met.iter().min().copied().unwrap_or(0);
        // A few come from three cuts.
        assert!(
            last >= cuts / 2 && least >= wanted / 16,
            "{wanted} states of {cuts} cuts: {met:?}, the last {last}"
        );
    }
}

/// Runs the workload with one call failing, then checks what a crash leaves; returns violations.
fn fail_call(bug: Bug, call: &Call, trouble: Trouble, lasting: Lasting) -> Vec<String> {
    let sim = SimDisk::new(call.number);
    sim.fail(Fault {
        at: call.number,
        trouble,
        lasting,
        only: None,
    });
    let outcome = workload(&sim, bug, 6);
    sim.mend();
    let acknowledged = sim.trace().marks().last().copied().unwrap_or(0);
    let mut violations = Vec::new();
    if outcome.is_ok() && sim.call_count() > call.number && struck(call.kind, trouble) {
        violations.push(format!(
            "{call:?} failed by {trouble:?}, and nobody noticed"
        ));
    }
    let cut = sim.trace().cuts().last().unwrap();
    for crash in [Crash::Process, Crash::Power] {
        for state in cut.states(crash, Budget::per_cut(100)) {
            let violation = violation(&state.disk(), bug, acknowledged);
            violations.extend(violation.map(|what| format!("{call:?} {trouble:?}: {what}")));
        }
    }
    violations
}

fn struck(kind: CallKind, trouble: Trouble) -> bool {
    match trouble {
        Trouble::Io => true,
        Trouble::Full => kind.takes_space(),
        Trouble::Short => matches!(kind, CallKind::Write | CallKind::WriteDurable),
    }
}

fn fail_every_call(bug: Bug) -> Vec<String> {
    let sim = SimDisk::new(0);
    workload(&sim, bug, 6).unwrap();
    let mut violations = Vec::new();
    for call in sim.calls() {
        for trouble in [Trouble::Io, Trouble::Full, Trouble::Short] {
            for lasting in [Lasting::Once, Lasting::ForEver] {
                violations.extend(fail_call(bug, &call, trouble, lasting));
            }
        }
    }
    violations
}

#[test]
fn every_call_fails_once_and_for_ever_and_a_right_journal_says_so() {
    let sim = SimDisk::new(0);
    workload(&sim, Bug::None, 6).unwrap();
    let calls = sim.calls();
    assert_eq!(calls.len() as u64, sim.call_count());
    assert!(
        calls
            .iter()
            .enumerate()
            .all(|(at, call)| call.number == at as u64)
    );
    assert_eq!(fail_every_call(Bug::None), [""; 0]);
}

#[test]
fn a_sync_that_is_repeated_is_found_out_by_faults() {
    let violations = fail_every_call(Bug::SyncRepeated);
    assert!(
        violations.iter().any(|what| what.contains("acknowledged")),
        "{violations:?}"
    );
}

#[test]
fn going_on_behind_holes_is_found_out_by_faults() {
    // The write of one number fails; the next ones are written by a journal that goes on.
    let sim = SimDisk::new(3);
    let mut journal = Journal::open(&sim, Bug::GoesOnBehindHoles).unwrap();
    journal.append(|_| ()).unwrap();
    journal.numbers.push(2);
    journal.append(|_| ()).unwrap();
    drop(journal);
    assert!(violation(&sim, Bug::GoesOnBehindHoles, 3).is_some());
}

#[test]
fn a_disk_fills_up_and_empties_again() {
    let sim = SimDisk::with_options(
        1,
        SimOptions {
            capacity: Some(8 * 4096),
            record: true,
        },
    );
    let mut journal = Journal::open(&sim, Bug::None).unwrap();
    let mut kinds = Vec::new();
    for _ in 0..12 {
        if let Err(error) = journal.append(|number| sim.mark(number)) {
            kinds.push(error.kind());
            break;
        }
    }
    assert_eq!(kinds, [std::io::ErrorKind::StorageFull]);
    assert_eq!(sim.bytes_used(), 8 * 4096);
    assert_eq!(journal.numbers.len(), 7);
    drop(journal);
    assert_eq!(violation(&sim, Bug::None, 7), None);
    vellum_disk::Disk::remove(&sim, "journal").unwrap();
    assert_eq!(sim.bytes_used(), 0);
}
