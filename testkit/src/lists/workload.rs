//! Random transactions over lists. Any thread may ask for them.
//!
//! 1. Values are taken from one counter, so that none is appended twice.
//! 2. Of the lists some are in use at a time, and after so many appends all of them are left for others: lists stay
//!    short, and a history costs what it is long.

use std::ops::Range;

use vellum_sync::atomic::{AtomicU32, Ordering};

use super::Op;
use crate::Random;

/// Gives out transactions.
pub struct Workload {
    /// Lists in use at a time.
    lists: u32,
    /// Appends to each, about.
    length: u32,
    appended: AtomicU32,
}

impl Workload {
    /// Transactions over `lists` lists at a time, left when they have some `length` values.
    #[must_use]
    pub fn new(lists: u32, length: u32) -> Self {
        Self {
            lists: lists.max(1),
            length: length.max(1),
            appended: AtomicU32::new(0),
        }
    }

    /// Others, from here on: for what goes on twice from one moment.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self {
            lists: self.lists,
            length: self.length,
            appended: AtomicU32::new(self.appended.load(Ordering::Acquire)),
        }
    }

    /// What a transaction is to do.
    pub fn ops(&self, random: &mut Random, only_reads: bool) -> Vec<Op> {
        let count = 1 + random.below(4);
        (0..count).map(|_| self.op(random, only_reads)).collect()
    }

    /// All lists that were in use, in parts: what is to be read at the end.
    #[must_use]
    pub fn last_reads(&self) -> Vec<Vec<Op>> {
        let keys: Vec<u32> = self.keys().collect();
        let reads = |keys: &[u32]| keys.iter().map(|key| read(*key)).collect();
        keys.chunks(32).map(reads).collect()
    }

    fn keys(&self) -> Range<u32> {
        0..self.first() + self.lists
    }

    /// The first of the lists in use (rule 2).
    fn first(&self) -> u32 {
        let appended = self.appended.load(Ordering::Acquire);
        appended / self.lists.saturating_mul(self.length) * self.lists
    }

    fn op(&self, random: &mut Random, only_reads: bool) -> Op {
        // Now and then a list that is no longer in use, or not yet: what stands still is read as well.
        let first = self.first();
        let key = match random.below(16) {
            0 => random.below(u64::from(first) + 1) as u32,
            _ => first + random.below(self.lists.into()) as u32,
        };
        if only_reads || random.one_in(2) {
            return read(key);
        }
        let value = self.appended.fetch_add(1, Ordering::AcqRel);
        Op::Append { key, value }
    }
}

fn read(key: u32) -> Op {
    Op::Read { key, list: None }
}
