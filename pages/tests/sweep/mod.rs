//! Cutting a recorded run at its events, opening what a crash there may leave, and going on.
//!
//! Both crash sweeps of this package use it; what a run is made of, and how what is there is judged,
//! each says for itself ([`Subject`]).
//!
//! 1. A state may show the last checkpoint that was acknowledged, or the one that was under way.
//! 2. An opening that has shown one shows that from then on, crashes of itself included.
//! 3. What was opened takes further steps, and opens again with them.

use std::marker::PhantomData;

use vellum_testkit::{Budget, Crash, Cut, Distinct, SimDisk, SimOptions, State};

/// States of each cut, from pass to pass.
const SHARES: [usize; 6] = [2, 4, 8, 32, 256, 4096];
pub(crate) const VIOLATIONS_MAX: usize = 5;

/// Marks that an opening has shown what it found.
const SHOWN: u64 = u64::MAX;

/// What is swept.
pub(crate) trait Subject {
    /// A checkpoint that was tried.
    type Attempt: Clone;
    /// One opening in so many is crashed in turn.
    const NESTED_EVERY: usize;
    /// States of each cut of such an opening.
    const NESTED_STATES: usize;

    /// The checkpoint's number.
    fn sequence(attempt: &Self::Attempt) -> u64;

    /// Opens what is there, of which `at_least` must be, and judges it by the attempt that `legal`
    /// has for its number, or as new.
    fn show(
        sim: &SimDisk,
        at_least: Option<u64>,
        legal: &[Option<Self::Attempt>; 2],
    ) -> Result<Option<Self::Attempt>, String>;

    /// Opens it again and does further steps; returns what was tried then.
    fn go_on(
        sim: &SimDisk,
        seed: u64,
        shown: Option<&Self::Attempt>,
    ) -> Result<Vec<Self::Attempt>, String>;
}

/// The attempt that fits what was found.
pub(crate) fn fitting<S: Subject>(
    legal: &[Option<S::Attempt>; 2],
    found: u64,
) -> Result<&Option<S::Attempt>, String> {
    let number = |one: &Option<S::Attempt>| one.as_ref().map_or(1, S::sequence);
    let fitting = legal.iter().find(|one| number(one) == found);
    fitting.ok_or_else(|| {
        format!(
            "checkpoint {found} is there, not {:?}",
            legal.each_ref().map(number)
        )
    })
}

/// Opens a disk and judges it; returns what it shows.
pub(crate) fn examine<S: Subject>(
    sim: &SimDisk,
    legal: &[Option<S::Attempt>; 2],
) -> Result<Option<S::Attempt>, String> {
    S::show(sim, legal[0].as_ref().map(S::sequence), legal)
}

/// What may be found, and what an opening in the same run has then shown (rule 2).
struct Before<A> {
    found: [Option<A>; 2],
    shown: Option<A>,
}

/// Which attempts a state may show (rule 1). Nothing where none was acknowledged.
fn legal<A: Clone>(marks: &[u64], attempts: &[A], before: &Before<A>) -> [Option<A>; 2] {
    let number = |mark: &u64| (mark / 2) as usize;
    let checkpoints = || marks.iter().filter(|mark| **mark != SHOWN);
    let acknowledged = checkpoints().rfind(|mark| **mark % 2 == 1).map(number);
    let begun = checkpoints().next_back().map(number);
    if !marks.contains(&SHOWN) && begun.is_none() {
        return before.found.clone();
    }
    let of = |number: Option<usize>| match number {
        Some(number) => attempts.get(number).cloned(),
        None => before.shown.clone(),
    };
    [of(acknowledged), of(begun)]
}

pub(crate) struct Sweep<S> {
    pub(crate) seen: Distinct,
    wanted: usize,
    pub(crate) nested: usize,
    pub(crate) violations: Vec<String>,
    subject: PhantomData<S>,
}

impl<S: Subject> Sweep<S> {
    pub(crate) fn new(wanted: usize) -> Self {
        Self {
            seen: Distinct::new(),
            wanted,
            nested: 0,
            violations: Vec::new(),
            subject: PhantomData,
        }
    }

    fn is_full(&self) -> bool {
        self.seen.len() >= self.wanted || self.violations.len() >= VIOLATIONS_MAX
    }

    /// Cuts a run, more finely from pass to pass, until there are enough states.
    pub(crate) fn run(&mut self, sim: &SimDisk, attempts: &[S::Attempt]) {
        let trace = sim.trace();
        let cuts = trace.len() + 1;
        let stride = (8 * cuts / self.wanted.max(1)).max(1);
        for share in SHARES {
            for phase in 0..stride {
                for cut in trace.cuts().filter(|cut| cut.index() % stride == phase) {
                    self.first_cut(&cut, attempts, share);
                    if self.is_full() {
                        return;
                    }
                }
            }
        }
    }

    /// Cuts a run that began with nothing.
    pub(crate) fn first_cut(&mut self, cut: &Cut, attempts: &[S::Attempt], share: usize) {
        let before = Before {
            found: [None, None],
            shown: None,
        };
        self.cut(cut, attempts, (&before, share, 0));
    }

    fn cut(
        &mut self,
        cut: &Cut,
        attempts: &[S::Attempt],
        (before, share, depth): (&Before<S::Attempt>, usize, usize),
    ) {
        for crash in [Crash::Power, Crash::Process] {
            for state in cut.states(crash, Budget::per_cut(share)) {
                if self.is_full() || !self.seen.insert(&state) {
                    continue;
                }
                let legal = legal(cut.marks(), attempts, before);
                let nested = depth == 0 && self.seen.len().is_multiple_of(S::NESTED_EVERY);
                if let Err(what) = self.state(&state, &legal, nested) {
                    let place = format!("{crash:?} crash at {cut:?}, depth {depth}: {state:?}");
                    self.violations.push(format!("{what}; {place}"));
                }
            }
        }
    }

    fn state(
        &mut self,
        state: &State,
        legal: &[Option<S::Attempt>; 2],
        nested: bool,
    ) -> Result<(), String> {
        let sim = state.disk_with(SimOptions {
            record: nested,
            ..SimOptions::default()
        });
        let shown = examine::<S>(&sim, legal)?;
        sim.mark(SHOWN);
        let attempts = S::go_on(&sim, state.hash(), shown.as_ref())?;
        let last = attempts.last().cloned();
        examine::<S>(&sim, &[last.clone(), last])
            .map_err(|what| format!("after further steps: {what}"))?;
        if nested {
            let found = legal.clone();
            let before = Before { found, shown };
            for cut in sim.trace().cuts() {
                let seen = self.seen.len();
                self.cut(&cut, &attempts, (&before, S::NESTED_STATES, 1));
                self.nested += self.seen.len() - seen;
            }
        }
        Ok(())
    }
}
