//! What the tests of histories share: how many transactions, and the figures.

#![expect(dead_code, reason = "each test binary uses a part of it")]

#[path = "../append/mod.rs"]
mod append;
pub(crate) mod crashes;
pub(crate) mod cut;
pub(crate) mod cut_keys;
pub(crate) mod keys;
pub(crate) mod session;
pub(crate) mod trouble;

/// How many transactions where nobody asks: a small slice.
const DEFAULT: u64 = 16_000;
/// A test that has found so many violations ends.
const ENOUGH: usize = 5;

/// Counts transactions and violations.
#[derive(Default)]
pub(crate) struct Tally {
    wanted: u64,
    transactions: u64,
    committed: u64,
    violations: Vec<String>,
}

impl Tally {
    /// For so much of all that `VELLUM_HISTORY_TRANSACTIONS` asks for: one part of so many.
    #[expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]
    pub(crate) fn of(part: u64) -> Self {
        let asked = std::env::var("VELLUM_HISTORY_TRANSACTIONS").ok();
        let all: u64 = asked.map_or(DEFAULT, |asked| asked.parse().unwrap());
        Self {
            wanted: all.div_ceil(part),
            ..Self::default()
        }
    }

    pub(crate) fn goes_on(&self) -> bool {
        self.transactions < self.wanted && self.violations.len() < ENOUGH
    }

    pub(crate) fn left(&self) -> u64 {
        self.wanted.saturating_sub(self.transactions)
    }

    /// Whether there were fewer than so many.
    pub(crate) fn is_below(&self, transactions: u64) -> bool {
        self.transactions < transactions
    }

    /// A history was checked.
    pub(crate) fn add(&mut self, transactions: usize, committed: usize) {
        self.transactions += transactions as u64;
        self.committed += committed as u64;
    }

    pub(crate) fn violation(&mut self, what: String) {
        self.violations.push(what);
    }

    /// Says the figures; fails the test if something was found, or hardly anything was done.
    pub(crate) fn end(self) {
        let (all, committed) = (self.transactions, self.committed);
        println!("{committed} of {all} committed");
        println!(
            "histories: {all} transactions, {} violations",
            self.violations.len()
        );
        assert!(self.violations.is_empty(), "{}", self.violations.join("\n"));
        assert!(committed > all / 2, "{committed} of {all} committed");
    }
}
