//! Whether what many threads saw of lists that only grow is what their isolation promises, judged as if
//! nothing were known of the database: no timestamps, only what was appended and read. The anomalies are
//! Adya's ("Weak Consistency", 1999), the inference is that of Elle (Kingsbury and Alvaro, VLDB 2020).
//!
//! A transaction appends values to lists and reads whole lists. No list gets a value twice.
//!
//! 1. **Committed** is what ended [`Outcome::Ok`], and what ended [`Outcome::Info`] if a committed
//!    transaction read what it appended. Only committed transactions are looked at; of the others it is
//!    known what they appended.
//! 2. **Order.** The longest list that was read of a key is the order of its versions; other reads of the
//!    key are a beginning of it. What was committed and is in no list comes behind all that is: lists only
//!    grow. Among themselves such appends have no order, so a run ends by reading everything.
//! 3. **Dependencies** between different transactions: `ww` to whoever appended next; `wr` to whoever read a list
//!    that ends with one's value; `rw` from such a reader to whoever appended next. Besides, if asked for: to
//!    the next of the same process, and to whoever began after one had ended.
//! 4. **Moments.** A transaction has two, its snapshot and its commit, in this order. `ww`, `wr`, process
//!    and real time put the one's commit before the other's snapshot. `rw` puts the reader's snapshot before
//!    the writer's commit; that of a serializable reader, its commit as well. What is promised is broken exactly
//!    if these moments run in a circle: so transactions of both levels are judged in one history, and
//!    snapshot isolation forbids just the cycles in which no two `rw` follow one another.
//! 5. **Names.** In each strongly connected part the simplest cycle is named: `ww` alone G0; with `wr`
//!    G1c; with one `rw` G-single; with several, none next to another, G-nonadjacent; else G2-item. One
//!    that needs the order of processes or real time is named so. A part in which a cycle was named
//!    already is not named again.
//! 6. Without a cycle: a transaction that contradicts itself, reads what was rolled back (G1a), what its writer was
//!    not done with (G1b), what nobody wrote or what it will append only later; lists of which none is the
//!    other's beginning, or in which a transaction's own appends stand in another order; a value that is
//!    twice there; an append upon one that was rolled back; two who read the same version and both append
//!    to it.
//!
//! The work is nearly linear in the history: in the lists' lengths, and in transactions times how many overlap.

mod anomaly;
mod cycles;
mod direct;
mod edn;
mod explain;
mod graph;
mod hash;
mod level;
mod real_time;
mod recorder;
mod versions;
mod workload;

pub use anomaly::{Anomaly, Class, Kind};
pub use edn::write_edn;
pub use level::{Isolation, Level, Order};
pub use recorder::{Recorded, Recorder, Recording, decode, encode};
pub use workload::Workload;

use anomaly::Findings;
use graph::Graph;
use versions::Versions;

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// A value was put at a list's end.
    Append {
        /// The list.
        key: u32,
        /// What no other append to this list puts there.
        value: u32,
    },
    /// A list was read whole.
    Read {
        /// The list.
        key: u32,
        /// What was in it; none if the answer is not known.
        list: Option<Vec<u32>>,
    },
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It committed.
    Ok,
    /// It did not, and never will.
    Fail,
    /// Nobody was told.
    Info,
}

/// One transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Who did it: one that does one transaction after the other.
    pub process: u32,
    /// What it asked for.
    pub isolation: Isolation,
    /// What became of it.
    pub outcome: Outcome,
    /// When it was asked to begin, in ticks of one counter.
    pub began: u64,
    /// When its outcome was decided, in the same ticks; `u64::MAX` if that is not known.
    pub ended: u64,
    /// What it did, in order.
    pub ops: Vec<Op>,
}

/// What was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Transactions.
    pub transactions: usize,
    /// Of them committed.
    pub committed: usize,
    /// Lists read by those.
    pub reads: usize,
    /// Dependencies between them.
    pub edges: usize,
}

/// Checks a whole history, each transaction held to the isolation that it asked for, all to `order`.
///
/// # Errors
/// What is forbidden and was found; of each kind some.
pub fn check(history: &[Transaction], order: Order) -> Result<Summary, Vec<Anomaly>> {
    let isolations = history.iter().map(|one| one.isolation).collect();
    judge(history, isolations, order)
}

/// Checks a whole history, all transactions held to `level`.
///
/// # Errors
/// As [`check`].
pub fn check_at(history: &[Transaction], level: Level) -> Result<Summary, Vec<Anomaly>> {
    judge(history, vec![level.isolation; history.len()], level.order)
}

fn judge(
    history: &[Transaction],
    isolations: Vec<Isolation>,
    order: Order,
) -> Result<Summary, Vec<Anomaly>> {
    let mut findings = Findings::default();
    let versions = Versions::of(history, &mut findings);
    let explained = direct::check(&versions, &mut findings);
    let graph = Graph::of(&versions, order);
    cycles::check(&versions, &graph, &isolations, &explained, &mut findings);
    let summary = Summary {
        transactions: history.len(),
        committed: versions.committed_count(),
        reads: versions.observed.len(),
        edges: graph.edge_count(),
    };
    findings.into_result(summary)
}

#[cfg(test)]
mod oracle_tests;
#[cfg(test)]
mod planted_tests;
#[cfg(test)]
mod tests;
