//! Figures in the output of tests: cargo's summaries and the sweeps' own lines.

/// Tests that passed and failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many passed.
    pub passed: u64,
    /// How many failed.
    pub failed: u64,
}

impl Tally {
    /// Counts one outcome.
    pub fn count(&mut self, passed: bool) {
        if passed {
            self.passed += 1
        } else {
            self.failed += 1
        }
    }

    /// Adds another tally.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }

    /// Whether something ran and nothing failed.
    #[must_use]
    pub fn is_success(self) -> bool {
        self.failed == 0 && self.passed > 0
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// What a test has looked at, and what it found wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// States, transactions.
    pub counted: u64,
    /// Broken promises among them.
    pub violations: u64,
}

impl Counted {
    /// Adds other figures.
    pub fn add(&mut self, other: Self) {
        self.counted += other.counted;
        self.violations += other.violations;
    }

    /// The figures of one line that contains `word: N nouns, M violations`, if it does.
    ///
    /// The test harness may have printed the test's name in front of it.
    #[must_use]
    pub fn parse(line: &str, word: &str, noun: &str) -> Option<Self> {
        let (_, rest) = line.split_once(&format!("{word}: "))?;
        let counted = number_before(rest, &format!(" {noun},"))?;
        Some(Self {
            counted,
            violations: number_before(rest, " violations")?,
        })
    }
}

/// The tally of one line `test result: ok. 3 passed; 1 failed; …`, if it is one.
#[must_use]
pub fn test_result(line: &str) -> Option<Tally> {
    let rest = line.trim().strip_prefix("test result: ")?;
    Some(Tally {
        passed: number_before(rest, " passed")?,
        failed: number_before(rest, " failed")?,
    })
}

/// The figures of one line that contains `model <name>: …`, if it does.
#[must_use]
pub fn model_figures(line: &str) -> Option<&str> {
    let (before, rest) = line.split_once("model ")?;
    let is_start = before.is_empty() || before.ends_with("... ");
    Some(rest.split_once(": ")?.1.trim_end()).filter(|_| is_start)
}

fn number_before(text: &str, word: &str) -> Option<u64> {
    let (before, _) = text.split_once(word)?;
    before.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_summaries_are_read() {
        let line =
            "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 1 filtered out";
        assert_eq!(
            test_result(line),
            Some(Tally {
                passed: 12,
                failed: 3
            })
        );
        assert_eq!(test_result("test result: nonsense"), None);
        assert_eq!(test_result("test ok ... ok"), None);
    }

    #[test]
    fn counts_are_read_behind_a_test_name() {
        let expected = Some(Counted {
            counted: 20123,
            violations: 2,
        });
        let crash = |line| Counted::parse(line, "crash", "states");
        assert_eq!(crash("crash: 20123 states, 2 violations"), expected);
        assert_eq!(
            crash("test sweep ... crash: 20123 states, 2 violations"),
            expected
        );
        assert_eq!(crash("crash: many states, 0 violations"), None);
        assert_eq!(crash("20123 states, 2 violations"), None);
        let line = "histories: 20123 transactions, 2 violations";
        assert_eq!(Counted::parse(line, "histories", "transactions"), expected);
        assert_eq!(crash(line), None);
    }

    #[test]
    fn nothing_run_is_no_success() {
        assert!(!Tally::default().is_success());
        assert!(
            Tally {
                passed: 1,
                failed: 0
            }
            .is_success()
        );
        assert!(
            !Tally {
                passed: 1,
                failed: 1
            }
            .is_success()
        );
    }
}
