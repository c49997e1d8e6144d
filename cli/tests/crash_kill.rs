//! SIGKILL of real processes: what they had acknowledged is there, whole, and nothing follows a gap.
//!
//! The committing process is this binary again, told by its environment where to commit. Rules:
//!
//! 1. Commit `n` writes its number into the counter, which it read, and some parts that follow from
//!    `n` alone. So the order of commits is that of the numbers, and the checker knows all content.
//! 2. One thread asks for `Sync`, one for `Buffered`, one for either, with several commits under
//!    way; a number is printed when its commit's handle says that it is settled, not before. What is
//!    in the pipe is acknowledged.
//! 3. After the kill the database holds exactly the commits up to its counter, each wholly, with its entries in
//!    the ordered indexes and no others, each newer than the one before; the counter has reached every acknowledged number, and what an
//!    earlier opening found. Read-only openings before and after the one for writing find the same.
//! 4. Kills come after a random number of acknowledgements, or after a random time from the start,
//!    which finds processes that are opening. No verdict depends on either.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "crash_kill/books.rs"]
mod books;
#[path = "crash_kill/committer.rs"]
mod committer;
#[path = "crash_kill/random.rs"]
mod random;

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, SystemTime};

use books::{audit, with_indexes};
use random::Random;
use tempfile::{TempDir, tempdir_in};
use vellum::{Error, Options};
use vellum_sync::thread;

/// Where the committing process commits.
const PLACE: &str = "VELLUM_KILL_PLACE";
/// What its random choices come from.
const SEED: &str = "VELLUM_KILL_SEED";
/// How often to kill.
const KILLS: &str = "VELLUM_CRASH_KILLS";
/// How many states a crash sweep should reach: one kill for a thousand of them.
const STATES: &str = "VELLUM_CRASH_STATES";
/// Fewer may all find processes that are opening, and would show little.
const KILLS_LEAST: u64 = 12;
const SIGKILL: i32 = 9;
/// Kills before the next database.
const KILLS_OF_ONE: usize = 6;

fn temporary() -> TempDir {
    tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// A log of small files sees more of their ends.
fn options(seed: u64) -> Options {
    with_indexes(match seed.is_multiple_of(2) {
        true => Options::new().log_segment_bytes(1 << 20),
        false => Options::new(),
    })
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn kills() -> usize {
    let of_states = || variable(STATES).map(|states| (states / 1000).max(KILLS_LEAST));
    let kills = variable(KILLS).or_else(of_states);
    kills.unwrap_or(KILLS_LEAST) as usize
}

/// The committing process. Run by itself it commits for a moment, and its books must be in order.
#[test]
fn a_committer_keeps_its_books() {
    let seed = variable(SEED).unwrap_or(1);
    if let Some(place) = std::env::var_os(PLACE) {
        let (place, print) = (Path::new(&place), committer::print);
        committer::run(place, &options(seed), seed, u64::MAX, print);
        return;
    }
    let place = temporary();
    committer::run(place.path(), &options(seed), seed, 600, |_| ());
    let (count, violations) = audit(&options(seed).open(place.path()).unwrap());
    assert!(
        count >= 600 && violations.is_empty(),
        "{count}: {violations:?}"
    );
}

#[test]
fn sigkill_takes_nothing_that_was_acknowledged() {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let seed = variable(SEED).unwrap_or(since.as_micros() as u64);
    let mut random = Random(seed);
    let kills = kills();
    let (mut violations, mut acknowledged, mut commits) = (0, 0, 0);
    let mut place = temporary();
    let mut options_seed = random.next();
    let mut last = 0;
    for kill in 0..kills {
        if kill.is_multiple_of(KILLS_OF_ONE) && kill > 0 {
            commits += last;
            (place, options_seed, last) = (temporary(), random.next(), 0);
        }
        let life = Life::begin(place.path(), options_seed);
        let (printed, status) = life.end(&mut random);
        let (count, mut found) = reopen(place.path(), options_seed, &printed, last);
        if status.signal() != Some(SIGKILL) {
            found.push(format!("the committer ended by itself: {status}"));
        }
        for violation in &found {
            println!("seed {seed}, kill {kill}: {violation}");
        }
        violations += found.len();
        acknowledged += printed.len();
        last = count;
    }
    commits += last;
    println!("seed {seed}: {acknowledged} commits acknowledged, {commits} found");
    println!("crash: {kills} states, {violations} violations");
    assert_eq!(violations, 0);
    assert!(
        acknowledged > 0,
        "nothing was acknowledged, so nothing was shown"
    );
}

/// A committing process.
struct Life(Child);

impl Life {
    fn begin(place: &Path, seed: u64) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_committer_keeps_its_books", "--nocapture"])
            .env(PLACE, place)
            .env(SEED, seed.to_string())
            .stdout(Stdio::piped())
            .spawn();
        Self(child.unwrap())
    }

    /// Rule 4; returns the acknowledged numbers, and how it ended.
    fn end(mut self, random: &mut Random) -> (Vec<u64>, ExitStatus) {
        let output = BufReader::new(self.0.stdout.take().unwrap());
        let after = match random.below(2) {
            0 => {
                thread::sleep(Duration::from_micros(random.below(80_000)));
                self.0.kill().unwrap();
                u64::MAX
            }
            _ => 1 + random.below(600),
        };
        let mut printed = Vec::new();
        for line in output.lines() {
            // The harness's own lines may stand before it.
            let line = line.unwrap();
            let number = line
                .split_once("commit ")
                .map(|(_, number)| number.parse::<u64>());
            printed.extend(number.and_then(Result::ok));
            if printed.len() as u64 == after {
                self.0.kill().unwrap();
            }
        }
        (printed, self.0.wait().unwrap())
    }
}

/// Rule 3: how many commits there are, and what is wrong.
fn reopen(place: &Path, seed: u64, printed: &[u64], last: u64) -> (u64, Vec<String>) {
    let look = |read_only: bool| match options(seed).read_only(read_only).open(place) {
        Ok(db) => audit(&db),
        // Killed before anything was made.
        Err(Error::NotFound { .. }) if read_only => (0, Vec::new()),
        Err(error) => (0, vec![format!("cannot be opened: {error}")]),
    };
    let [before, opened, after] = [true, false, true].map(look);
    let (count, mut violations) = opened.clone();
    if before != opened || after != opened {
        violations.push(format!("{before:?}, then {opened:?}, then {after:?}"));
    }
    let promised = printed.iter().copied().max().unwrap_or(0).max(last);
    if count < promised {
        violations.push(format!(
            "{count} commits are there, {promised} were acknowledged"
        ));
    }
    (count, violations)
}
