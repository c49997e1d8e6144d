//! A history over keys and ranges that a crash has cut off: which transactions belong to what is there then.
//!
//! 1. What had not begun at the cut was never there. What had been acknowledged counts, if it was promised to
//!    survive such a crash; of all others it is found out: each signs a key of its process with a number that
//!    grows.
//! 2. What survived is a beginning of the order of commits: a commit counts if one that is as new is there, and
//!    who saw a later one saw what is gone, and is left out.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

use std::collections::{BTreeMap, HashSet};

use vellum::{Database, Table};
use vellum_testkit::history::{Recorder, Step, Transaction};

use super::trouble::Trouble;

/// The key that a process signs.
pub(crate) fn signature(process: usize) -> Vec<u8> {
    format!("s{process:02}").into_bytes()
}

fn number(value: &[u8]) -> u64 {
    let number = value.first_chunk().copied();
    number.map_or(0, u64::from_le_bytes)
}

/// What each process has signed.
pub(crate) fn signed(db: &Database, table: &Table) -> BTreeMap<Vec<u8>, u64> {
    let read = db.begin_read().unwrap();
    let signed = read.prefix(table, "s").unwrap().map(|entry| {
        let (key, value) = entry.unwrap();
        (key.to_vec(), number(&value))
    });
    signed.collect()
}

fn is_there(transaction: &Transaction, signed: &BTreeMap<Vec<u8>, u64>) -> bool {
    transaction.steps.iter().any(|step| match step {
        Step::Write {
            key,
            value: Some(value),
        } if key.starts_with(b"s") => signed
            .get(key)
            .is_some_and(|newest| number(value) <= *newest),
        _ => false,
    })
}

/// Of what was recorded after `before`, what counts after a crash.
pub(crate) fn kept_after(
    (before, recorded): (&[Transaction], &[Transaction]),
    marks: &HashSet<u64>,
    trouble: Trouble,
    signed: &BTreeMap<Vec<u8>, u64>,
    recorder: &Recorder,
) -> Vec<Transaction> {
    let recovered = recorder.tick();
    // Rule 1.
    let begun = recorded
        .iter()
        .filter(|one| marks.contains(&(4 * one.began)));
    let known = begun.map(|one| {
        let is_sure = trouble.is_sure(marks, one.began);
        let mut one = one.clone();
        if !is_sure {
            one.ended = recovered;
        }
        (one, is_sure)
    });
    let known: Vec<(Transaction, bool)> = known.collect();
    // Rule 2.
    let there = known.iter().map(|(one, _)| one);
    let there = there.filter(|one| is_there(one, signed)).chain(before);
    let newest = there.filter_map(|one| one.commit).max().unwrap_or(0);
    let kept = known.into_iter().filter(|(one, is_sure)| {
        *is_sure && one.commit.is_some() || one.commit.unwrap_or(one.snapshot) <= newest
    });
    kept.map(|(one, _)| one).collect()
}
