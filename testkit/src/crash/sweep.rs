//! Going through the states of a whole run.
//!
//! 1. Every cut has its share first; what is left over goes to passes with larger shares. Where there are fewer
//!    states than cuts want, a pass goes over some of the cuts, then over those between: so a small number of
//!    states is spread over the whole run.
//! 2. How many are wanted is asked from outside, by `VELLUM_CRASH_STATES`; each sweep has its own number where
//!    nobody asks.

use super::{Budget, Crash, Cut, Distinct, State};
use crate::sim::Trace;

/// How many distinct states a sweep is to look at (rule 2).
#[must_use]
pub fn states_wanted(unless_asked: usize) -> usize {
    let asked = std::env::var("VELLUM_CRASH_STATES").ok();
    let asked = asked.and_then(|states| states.parse().ok());
    asked.unwrap_or(unless_asked)
}

impl Trace {
    /// Shows `each` distinct states that crashes of both kinds may leave, at every cut, until there were
    /// `wanted` or there are no more (rule 1). Returns how many there were.
    pub fn sweep(&self, wanted: usize, each: impl FnMut(&Cut, Crash, &State)) -> usize {
        self.sweep_from(0, wanted, each)
    }

    /// [`Trace::sweep`] of the cuts from one on.
    pub fn sweep_from(
        &self,
        first: usize,
        wanted: usize,
        mut each: impl FnMut(&Cut, Crash, &State),
    ) -> usize {
        let mut seen = Distinct::new();
        for (cut, share) in self.spread(first, wanted) {
            for crash in [Crash::Process, Crash::Power] {
                for state in cut.states(crash, Budget::per_cut(share)) {
                    if seen.len() >= wanted {
                        return seen.len();
                    }
                    if seen.insert(&state) {
                        each(&cut, crash, &state);
                    }
                }
            }
        }
        seen.len()
    }

    /// The cuts from `first` on, again and again, each time with how many states are to be drawn for each kind of
    /// crash, in an order that spreads so many over all of them (rule 1).
    pub fn spread(&self, first: usize, wanted: usize) -> impl Iterator<Item = (Cut, usize)> {
        let cuts = (self.len() + 1).saturating_sub(first).max(1);
        let shares = [wanted / cuts / 2 + 2, wanted / cuts * 4 + 8, wanted];
        // As many as the first pass draws at most for both kinds.
        let stride = (2 * shares[0] * cuts / wanted.max(1)).max(1);
        let passes = shares.into_iter();
        let passes = passes.flat_map(move |share| (0..stride).map(move |phase| (share, phase)));
        passes.flat_map(move |(share, phase)| {
            let cuts = self.cuts().skip(first + phase).step_by(stride);
            cuts.map(move |cut| (cut, share))
        })
    }
}
