//! Jobs whose outcomes are counted, shown as each ends, and, of those that failed, said again by the caller.

use crate::child::{self, Ended, Job};
use crate::error::Result;
use crate::figures::Tally;
use crate::layout::Layout;
use crate::mode::Mode;
use crate::tail::Tail;

/// Lines that are shown of what failed.
const SHOWN_LINES: usize = 200;
/// Lines of it that are said again.
const SHOWN_AGAIN: usize = 30;

/// What a job has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How many passed and failed.
    pub tally: Tally,
    /// That, in a few words.
    pub said: String,
    /// Why, if any failed.
    pub why: String,
}

/// Runs jobs of a mode. Returns how many passed and failed, and what is to be said again.
///
/// # Errors
///
/// When a process cannot be started.
pub fn run(
    layout: &Layout,
    mode: Mode,
    jobs: Vec<Job>,
    judge: impl Fn(&Ended) -> Outcome,
) -> Result<(Tally, String)> {
    let (mut tally, mut again) = (Tally::default(), String::new());
    child::run_all(jobs, mode.width(), &layout.target.join("xtask"), |ended| {
        let outcome = judge(ended);
        tally.add(outcome.tally);
        let line = line(ended, &outcome.said);
        print!("{line}");
        if outcome.tally.failed > 0 {
            print!("{}", Tail::of(&ended.output, SHOWN_LINES));
            let why = Tail::of(&outcome.why, SHOWN_AGAIN);
            again.push_str(&format!("{line}{why}"));
        }
    })?;
    Ok((tally, again))
}

fn line(ended: &Ended, said: &str) -> String {
    let seconds = ended.elapsed.as_secs_f64();
    format!("{seconds:>7.1} s  {} … {said}\n", ended.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::child::{Verdict, shell};

    #[test]
    fn what_fails_is_counted_and_said_again() {
        let root = std::env::temp_dir().join(format!("xtask-counted-{}", std::process::id()));
        let target = root.clone();
        let layout = Layout { root, target };
        let jobs = vec![
            shell("good", "echo fine", child::LONG),
            shell("bad", "echo why; exit 1", child::LONG),
        ];
        let judge = |ended: &Ended| {
            let mut tally = Tally::default();
            tally.count(ended.verdict == Verdict::Passed);
            let (said, why) = ("ended".to_owned(), ended.output.clone());
            Outcome { tally, said, why }
        };
        let (tally, again) = run(&layout, Mode::Std, jobs, judge).unwrap();
        std::fs::remove_dir_all(&layout.root).unwrap();
        let (passed, failed) = (1, 1);
        assert_eq!(tally, Tally { passed, failed });
        assert!(again.ends_with(" bad … ended\n    why\n"), "{again}");
        assert!(!again.contains("good"));
    }
}
