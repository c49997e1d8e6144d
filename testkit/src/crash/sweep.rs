//! Going through the states of a whole run.
//!
//! 1. Every cut has its share first; what is left over goes to passes with larger shares. So a small number
//!    of states is spread over the run.
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
        let cuts = (self.len() + 1).saturating_sub(first).max(1);
        let mut seen = Distinct::new();
        for share in [wanted / cuts / 2 + 2, wanted / cuts * 4 + 8, wanted] {
            for cut in self.cuts().skip(first) {
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
        }
        seen.len()
    }
}
