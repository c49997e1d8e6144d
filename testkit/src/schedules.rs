//! The schedules of Hermitage, and some of our own, as data: who does what in which order, what each
//! read must find, how each commit must end.
//!
//! ```text
//! steps = step (';' step)*        step = transaction act
//! act   = begin                   a read-write transaction begins here, not before everything
//!       | read                    as `begin`, a read-only one
//!       | r KEY VALUE             reads a key; `-`: no record
//!       | scan PREDICATE FOUND*   reads all keys; FOUND, as KEY:VALUE, are those whose values
//!                                 satisfy `*` (any), `%N` (a multiple of N) or `=N`
//!       | w KEY VALUE | del KEY   | rollback
//!       | commit END              `ok`, `conflict` (of writes), `stale` (what was read was changed)
//! ```
//!
//! Where the levels differ there stand two ends, `snapshot/serializable`. Before the first step, key
//! 1 has value 10 and key 2 has 20.

/// A schedule.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// Its name, as in the table of `docs/guarantees.md`.
    pub name: &'static str,
    /// What it would show.
    pub what: &'static str,
    /// What is done.
    pub steps: &'static str,
    /// What is there at the end, as KEY:VALUE; in snapshot isolation, and serializable.
    pub ends: [&'static str; 2],
}

/// How a commit ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Committed.
    Ok,
    /// Somebody else wrote the same.
    Conflict,
    /// Somebody else wrote what was read.
    Stale,
}

/// Which records a scan is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Predicate {
    /// All.
    Any,
    /// Those whose value is a multiple.
    MultipleOf(u64),
    /// Those of one value.
    Equals(u64),
}

impl Predicate {
    /// Whether a record of this value satisfies it.
    #[must_use]
    pub fn holds(self, value: u64) -> bool {
        match self {
            Self::Any => true,
            Self::MultipleOf(number) => value.is_multiple_of(number),
            Self::Equals(number) => value == number,
        }
    }
}

/// What a transaction does in one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Begins; read-only if told so.
    Begin {
        /// Whether it only reads.
        read_only: bool,
    },
    /// Reads a key, and must find this.
    Read {
        /// The key.
        key: String,
        /// Its value.
        value: Option<u64>,
    },
    /// Reads all, and must find these among those that satisfy the predicate.
    Scan {
        /// What the scan is about.
        predicate: Predicate,
        /// Keys and values.
        found: Vec<(String, u64)>,
    },
    /// Writes.
    Write {
        /// The key.
        key: String,
        /// Its value; none: removes it.
        value: Option<u64>,
    },
    /// Commits, and must end so: in snapshot isolation, and serializable.
    Commit([End; 2]),
    /// Rolls back.
    Rollback,
}

impl Schedule {
    /// The steps: the number of a transaction, from zero, and what it does. Transactions that say
    /// nothing of when they begin do so first.
    ///
    /// # Panics
    /// If the text is not what the module's header says.
    #[must_use]
    pub fn steps(&self) -> Vec<(usize, Act)> {
        let steps: Vec<_> = self.steps.split(';').map(step).collect();
        let transactions = steps.iter().map(|(number, _)| number + 1).max();
        let begins = |number: &usize| {
            let first = steps.iter().find(|(other, _)| other == number);
            !matches!(first, Some((_, Act::Begin { .. })))
        };
        let first = (0..transactions.unwrap_or(0)).filter(begins);
        let first = first.map(|number| (number, Act::Begin { read_only: false }));
        first.chain(steps.iter().cloned()).collect()
    }

    /// What must be there at the end.
    ///
    /// # Panics
    /// As [`Schedule::steps`].
    #[must_use]
    pub fn end(&self, serializable: bool) -> Vec<(String, u64)> {
        records(self.ends[usize::from(serializable)].split_whitespace())
    }
}

fn number(text: &str) -> u64 {
    text.parse()
        .unwrap_or_else(|_| unreachable!("no number: {text}"))
}

fn records<'a>(words: impl Iterator<Item = &'a str>) -> Vec<(String, u64)> {
    let pairs = words.filter_map(|word| word.split_once(':'));
    pairs
        .map(|(key, value)| (key.to_owned(), number(value)))
        .collect()
}

fn end(text: &str) -> End {
    match text {
        "ok" => End::Ok,
        "conflict" => End::Conflict,
        "stale" => End::Stale,
        _ => unreachable!("no end: {text}"),
    }
}

fn step(text: &str) -> (usize, Act) {
    let words: Vec<&str> = text.split_whitespace().collect();
    let act = match words[1..] {
        ["begin"] => Act::Begin { read_only: false },
        ["read"] => Act::Begin { read_only: true },
        ["r", key, value] => Act::Read {
            key: key.to_owned(),
            value: (value != "-").then(|| number(value)),
        },
        ["scan", predicate, ref found @ ..] => Act::Scan {
            predicate: match predicate.split_at(1) {
                ("%", of) => Predicate::MultipleOf(number(of)),
                ("=", to) => Predicate::Equals(number(to)),
                _ => Predicate::Any,
            },
            found: records(found.iter().copied()),
        },
        ["w", key, value] => Act::Write {
            key: key.to_owned(),
            value: Some(number(value)),
        },
        ["del", key] => Act::Write {
            key: key.to_owned(),
            value: None,
        },
        ["commit", ends] => {
            let (snapshot, serializable) = ends.split_once('/').unwrap_or((ends, ends));
            Act::Commit([end(snapshot), end(serializable)])
        }
        ["rollback"] => Act::Rollback,
        _ => unreachable!("no step: {text}"),
    };
    (number(words[0]) as usize - 1, act)
}

/// A schedule that ends alike at both levels.
const fn same(
    name: &'static str,
    what: &'static str,
    steps: &'static str,
    end: &'static str,
) -> Schedule {
    Schedule {
        name,
        what,
        steps,
        ends: [end, end],
    }
}

/// All schedules that are plain reads and writes.
pub const SCHEDULES: &[Schedule] = &[
    same(
        "H1",
        "G0, dirty write",
        "1 w 1 11; 2 w 1 12; 1 w 2 21; 1 commit ok; 2 w 2 22; 2 commit conflict",
        "1:11 2:21",
    ),
    same(
        "H2",
        "G1a, aborted read",
        "1 w 1 101; 2 scan * 1:10 2:20; 1 rollback; 2 scan * 1:10 2:20; 2 commit ok",
        "1:10 2:20",
    ),
    same(
        "H3",
        "G1b, intermediate read",
        "1 w 1 101; 2 scan * 1:10 2:20; 1 w 1 11; 1 commit ok; 2 scan * 1:10 2:20; 2 commit ok",
        "1:11 2:20",
    ),
    Schedule {
        name: "H4",
        what: "G1c, circular information flow",
        steps: "1 w 1 11; 2 w 2 22; 1 r 2 20; 2 r 1 10; 1 commit ok; 2 commit ok/stale",
        ends: ["1:11 2:22", "1:11 2:20"],
    },
    same(
        "H5",
        "OTV, observed transaction vanishes",
        "1 w 1 11; 1 w 2 19; 2 w 1 12; 1 commit ok; 3 r 1 10; 2 w 2 18; 3 r 2 20; \
         2 commit conflict; 3 r 2 20; 3 r 1 10; 3 commit ok",
        "1:11 2:19",
    ),
    same(
        "H5b",
        "OTV, the observer begins after the first commit",
        "1 w 1 11; 1 w 2 19; 2 w 1 12; 1 commit ok; 3 begin; 3 r 1 11; 2 w 2 18; 3 r 2 19; \
         2 commit conflict; 3 r 2 19; 3 r 1 11; 3 commit ok",
        "1:11 2:19",
    ),
    same(
        "H6",
        "PMP, predicate many preceders, read",
        "1 scan =30; 2 w 3 30; 2 commit ok; 1 scan %3; 1 commit ok",
        "1:10 2:20 3:30",
    ),
    same(
        "H7",
        "PMP, write predicate",
        "1 scan * 1:10 2:20; 1 w 1 20; 1 w 2 30; 2 scan =20 2:20; 2 del 2; 1 commit ok; \
         2 commit conflict/stale",
        "1:20 2:30",
    ),
    same(
        "H8",
        "P4, lost update",
        "1 r 1 10; 2 r 1 10; 1 w 1 11; 2 w 1 11; 1 commit ok; 2 commit conflict/stale",
        "1:11 2:20",
    ),
    same(
        "H9",
        "G-single, read skew",
        "1 r 1 10; 2 r 1 10; 2 r 2 20; 2 w 1 12; 2 w 2 18; 2 commit ok; 1 r 2 20; 1 commit ok",
        "1:12 2:18",
    ),
    same(
        "H10",
        "G-single, predicate dependencies, update",
        "1 scan %5 1:10 2:20; 2 scan =10 1:10; 2 w 1 12; 2 commit ok; 1 scan %3; 1 commit ok",
        "1:12 2:20",
    ),
    same(
        "H10b",
        "G-single, predicate dependencies, insert",
        "1 scan %5 1:10 2:20; 2 w 3 30; 2 commit ok; 1 scan %3; 1 commit ok",
        "1:10 2:20 3:30",
    ),
    same(
        "H11",
        "G-single, write predicate",
        "1 r 1 10; 2 scan * 1:10 2:20; 2 w 1 12; 2 w 2 18; 2 commit ok; 1 scan =20 2:20; 1 del 2; \
         1 commit conflict/stale",
        "1:12 2:18",
    ),
    same(
        "H12",
        "G-single, write predicate, the other gives up",
        "1 r 1 10; 2 scan * 1:10 2:20; 2 w 1 12; 1 del 2; 2 w 2 18; 1 rollback; 2 commit ok",
        "1:12 2:18",
    ),
    Schedule {
        name: "H13",
        what: "G2-item, write skew",
        steps: "1 r 1 10; 1 r 2 20; 2 r 1 10; 2 r 2 20; 1 w 1 11; 2 w 2 21; 1 commit ok; \
                2 commit ok/stale",
        ends: ["1:11 2:21", "1:11 2:20"],
    },
    Schedule {
        name: "H14",
        what: "G2, predicates",
        steps: "1 scan %3; 2 scan %3; 1 w 3 30; 2 w 4 42; 1 commit ok; 2 commit ok/stale",
        ends: ["1:10 2:20 3:30 4:42", "1:10 2:20 3:30"],
    },
    Schedule {
        name: "H14b",
        what: "G2, different predicates",
        steps: "1 scan %3; 2 scan %5 1:10 2:20; 1 w 3 30; 2 w 4 60; 1 commit ok; 2 commit ok/stale",
        ends: ["1:10 2:20 3:30 4:60", "1:10 2:20 3:30"],
    },
    Schedule {
        name: "H15",
        what: "G2, two edges and an observer who only reads",
        steps: "1 scan * 1:10 2:20; 2 begin; 2 w 2 25; 2 commit ok; 3 read; 3 scan * 1:10 2:25; \
                3 commit ok; 1 w 1 0; 1 commit ok/stale",
        ends: ["1:0 2:25", "1:10 2:25"],
    },
    Schedule {
        name: "H15b",
        what: "H15 without the observer: refused without need, since the order is that of commits",
        steps: "1 scan * 1:10 2:20; 2 w 2 25; 2 commit ok; 1 w 1 0; 1 commit ok/stale",
        ends: ["1:0 2:25", "1:10 2:25"],
    },
    same(
        "H16",
        "long fork",
        "1 w 1 11; 2 w 2 22; 1 commit ok; 3 read; 2 commit ok; 4 read; 3 scan * 1:11 2:20; \
         4 scan * 1:11 2:22; 3 commit ok; 4 commit ok",
        "1:11 2:22",
    ),
    same(
        "H17",
        "own writes are read, in ranges too",
        "1 w 1 11; 1 r 1 11; 1 del 1; 1 r 1 -; 1 w 3 30; 1 scan * 2:20 3:30; 1 w 1 12; 1 r 1 12; \
         1 commit ok",
        "1:12 2:20 3:30",
    ),
    same(
        "H17b",
        "what was deleted and inserted again is another version",
        "1 r 1 10; 2 del 1; 2 commit ok; 3 begin; 3 w 1 10; 3 commit ok; 1 w 1 11; \
         1 commit conflict/stale",
        "1:10 2:20",
    ),
    same(
        "H18",
        "a refused commit leaves nothing in anybody's way",
        "1 w 2 21; 2 w 1 12; 2 w 2 22; 1 commit ok; 2 commit conflict; 3 begin; 3 w 1 13; \
         3 commit ok",
        "1:13 2:21",
    ),
];

/// The schedule of this name.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn schedule(name: &str) -> Schedule {
    let found = SCHEDULES.iter().find(|schedule| schedule.name == name);
    *found.unwrap_or_else(|| unreachable!("no schedule {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schedule_reads_and_ends_all_its_transactions() {
        for schedule in SCHEDULES {
            let steps = schedule.steps();
            let transactions = steps.iter().map(|(number, _)| *number).max().unwrap();
            for number in 0..=transactions {
                let own: Vec<_> = steps.iter().filter(|(other, _)| *other == number).collect();
                assert!(matches!(own[0].1, Act::Begin { .. }), "{}", schedule.name);
                let last = &own[own.len() - 1].1;
                let ends = matches!(last, Act::Commit(_) | Act::Rollback);
                assert!(ends, "{}: {last:?}", schedule.name);
            }
            assert!(schedule.end(false).len() >= 2 && schedule.end(true).len() >= 2);
        }
    }
}
