//! The committing process.

use std::collections::VecDeque;
use std::io::Write;
use std::path::Path;

use vellum::{CommitHandle, Database, Durability, Options, Result, Table};
use vellum_sync::thread;

use crate::books::{COUNTER, PARTS, make_indexes, write_next};
use crate::random::Random;

/// Commits under way in the thread that does not wait for each.
const UNDER_WAY: u64 = 16;

/// Opens the database and commits from three threads until the number reaches `most`; reports each
/// number when it is acknowledged.
pub(crate) fn run(place: &Path, options: &Options, seed: u64, most: u64, report: fn(u64)) {
    let db = options.open(place).unwrap();
    let (counter, parts) = (db.table(COUNTER).unwrap(), db.table(PARTS).unwrap());
    make_indexes(&db, &parts).unwrap();
    let mut threads = Vec::new();
    for (number, choice) in [Some(Durability::Sync), Some(Durability::Buffered), None]
        .into_iter()
        .enumerate()
    {
        let (db, counter, parts) = (db.clone(), counter.clone(), parts.clone());
        let random = Random(seed ^ number as u64);
        let committer = Committer {
            db,
            counter,
            parts,
            choice,
            random,
            report,
        };
        threads.push(thread::spawn(move || committer.commit_until(most)));
    }
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
}

struct Committer {
    db: Database,
    counter: Table,
    parts: Table,
    /// Without one: either, and without waiting for each.
    choice: Option<Durability>,
    random: Random,
    report: fn(u64),
}

impl Committer {
    fn commit_until(mut self, most: u64) {
        let mut under_way = VecDeque::new();
        let mut last = 0;
        while last < most {
            let limit = if self.choice.is_some() {
                0
            } else {
                self.random.below(UNDER_WAY)
            };
            match self.commit() {
                Ok((number, handle)) => {
                    last = number;
                    under_way.push_back((number, handle));
                }
                Err(error) => assert!(error.is_retryable(), "{error}"),
            }
            while under_way.len() as u64 > limit {
                self.acknowledge(under_way.pop_front());
            }
        }
        while let Some(one) = under_way.pop_front() {
            self.acknowledge(Some(one));
        }
    }

    fn commit(&mut self) -> Result<(u64, CommitHandle)> {
        let either = match self.random.below(2) {
            0 => Durability::Sync,
            _ => Durability::Buffered,
        };
        let mut txn = self.db.begin()?;
        let number = write_next(&mut txn, &self.counter, &self.parts)?;
        Ok((number, txn.commit_with(self.choice.unwrap_or(either))?))
    }

    fn acknowledge(&self, one: Option<(u64, CommitHandle)>) {
        if let Some((number, handle)) = one {
            handle.wait().unwrap();
            (self.report)(number);
        }
    }
}

/// Prints a number: a line in one write, past the harness's buffer.
pub(crate) fn print(number: u64) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("commit {number}\n").as_bytes())
        .unwrap();
    out.flush().unwrap();
}
