//! A history that a crash has cut off: what the callers know of it then.
//!
//! 1. What had not begun at the cut was never there. What had been acknowledged counts, if it was promised to survive
//!    such a crash: after a power cut, what was asked for as durable and what only such commits could be seen by.
//! 2. Of everything else nobody was told: it ends [`Outcome::Info`], decided by the time of the recovery.
//! 3. What survived is a beginning of the order of commits. So the newest commit of which something is there tells
//!    the checkers by timestamps which of the others must be; who had seen a later one saw what is gone, and is
//!    left out.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

use std::collections::{BTreeSet, HashSet};

use vellum::{Database, Table};
use vellum_testkit::lists::{Op, Outcome, Recorded, Recorder, Transaction, decode};

use super::session::ACKNOWLEDGED;
use super::trouble::Trouble;

/// What was recorded, as far as it is known after a crash.
pub(crate) fn told_after(
    recorded: &Recorded,
    marks: &HashSet<u64>,
    trouble: Trouble,
    recorder: &Recorder,
) -> Recorded {
    let recovered = recorder.tick();
    let mut after = Recorded::default();
    for (told, timed) in recorded.told.iter().zip(&recorded.timed) {
        let mark = 4 * told.began;
        if !marks.contains(&mark) {
            continue;
        }
        let (mut told, mut timed) = (told.clone(), timed.clone());
        let has_failed = told.outcome == Outcome::Fail && marks.contains(&(mark + ACKNOWLEDGED));
        if !has_failed && !trouble.is_sure(marks, told.began) {
            told.outcome = Outcome::Info;
            (told.ended, timed.ended) = (recovered, recovered);
        }
        after.told.push(told);
        after.timed.push(timed);
    }
    after
}

/// Leaves of the transactions with timestamps those that count after the crash (rule 3), which came after
/// `before`.
pub(crate) fn decide(before: &Recorded, after: &mut Recorded, there: &BTreeSet<u32>) {
    let all = after.told.iter().zip(&after.timed);
    let kept = all.filter(|(told, _)| appended(told).any(|value| there.contains(&value)));
    let kept = kept.map(|(_, timed)| timed).chain(&before.timed);
    let newest = kept.filter_map(|timed| timed.commit).max().unwrap_or(0);
    let mut outcomes = after.told.iter().map(|told| told.outcome);
    after.timed.retain(|timed| {
        let is_sure = outcomes.next() == Some(Outcome::Ok) && timed.commit.is_some();
        is_sure || timed.commit.unwrap_or(timed.snapshot) <= newest
    });
}

fn appended(transaction: &Transaction) -> impl Iterator<Item = u32> {
    transaction.ops.iter().filter_map(|op| match op {
        Op::Append { value, .. } => Some(*value),
        Op::Read { .. } => None,
    })
}

/// Every value that is in some list.
pub(crate) fn values(db: &Database, table: &Table) -> BTreeSet<u32> {
    let read = db.begin_read().unwrap();
    let lists = read.iter(table).unwrap().map(|entry| entry.unwrap().1);
    lists.flat_map(|list| decode(&list)).collect()
}

/// Both, one after the other.
pub(crate) fn joined(before: &Recorded, after: Recorded) -> Recorded {
    let mut all = before.clone();
    all.told.extend(after.told);
    all.timed.extend(after.timed);
    all
}
