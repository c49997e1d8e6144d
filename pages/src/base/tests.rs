//! Tests of the façade, on disks that do not crash.

mod arrays;
mod compact;
mod large;
mod load;
mod model;
mod units;
mod verify;
mod writing;

use vellum_base::{Lsn, Timestamp};
use vellum_testkit::SimDisk;

use super::*;
use crate::tree::Root;
use crate::tree::node::{Body, Update};

/// Small enough that pages must leave it.
const SMALL: usize = 2 << 20;

fn opening() -> Opening {
    Opening {
        database: Some([1; 16]),
        at_least: None,
        read_only: false,
    }
}

fn open(sim: &SimDisk, pool_bytes: usize) -> (Base, Found) {
    let opening = opening();
    let options = BaseOptions {
        opening,
        pool_bytes,
    };
    Base::open(sim, options).unwrap()
}

fn put<'a>(key: &'a [u8], value: &'a [u8]) -> Update<'a> {
    Update {
        key,
        at: Timestamp(1),
        body: Some(Body::Inline {
            value,
            vectors: &[],
        }),
    }
}

/// Numbered records of `len` bytes that do not compress.
fn records(numbers: impl Iterator<Item = u64>, len: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let record = |number: u64| {
        let mut random = vellum_testkit::Random::new(number);
        let value = (0..len).map(|_| random.next_u64() as u8).collect();
        (format!("user{number:012}").into_bytes(), value)
    };
    numbers.map(record).collect()
}

fn merge(
    work: &Work<'_>,
    (tree, root): (&Tree, &Root),
    records: &[(Vec<u8>, Vec<u8>)],
) -> Result<Root, PageError> {
    let updates: Vec<_> = records.iter().map(|(key, value)| put(key, value)).collect();
    work.merge(tree, root, &updates).map(|(root, _)| root)
}

fn checkpoint(base: &Base, of: &Alive, meta: &[u8]) -> Result<u64, PageError> {
    let position = Position {
        timestamp: Timestamp(of.epoch().0),
        lsn: Lsn(0),
    };
    base.checkpoint(of, position, meta, &mut |_| Ok(()))
}

/// A root, as an owner's bytes.
fn encode(root: &Root) -> Vec<u8> {
    let (at, level) = root.top.map_or((0, 0), |(at, level)| (at.bits(), level));
    let words = [at, level.into(), root.records];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn decode(bytes: &[u8]) -> Root {
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    Root {
        top: PageRef::from_bits(word(0)).map(|at| (at, word(8) as u8)),
        records: word(16),
    }
}

/// All that nobody needs is free: what is used is what the owner names and the checkpoint has.
fn used(base: &Base) -> u64 {
    base.collect().unwrap();
    base.stats().store.space.used
}
