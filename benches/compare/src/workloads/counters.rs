//! Counters that four threads add to: each transaction reads one of sixteen, picked at random, and
//! writes it with one added. Buffered and durable; only time ends a stretch.
//!
//! 1. A transaction that loses is done again until it commits. Beside the rate stands how many
//!    attempts were lost for each commit, and what the slowest thread committed for each commit of the
//!    fastest. Each engine runs with the isolation that it is compared by.
//! 2. By a merge operator, where there is one, nothing is read, and nobody has to lose.
//! 3. In the end the counters' sum must be the number of commits, those of the warm-up included.
//! 4. sled does not take part: its commits survive SIGKILL only after a flush, which rule 3 of
//!    [`engine`](crate::engine) leaves out.

use std::path::Path;

use super::drive::Drive;
use super::{PROBE_TIME, Settings, by_time, fresh};
use crate::Result;
use crate::data::{Key, KeyKind, key, scatter};
use crate::engine::{Durability, Engine, Record};
use crate::engines::EngineName;
use crate::measure::Sample;
use crate::probe;

const COUNTERS: u64 = 16;
const THREADS: u64 = 4;

/// How one is added.
#[derive(Clone, Copy, Debug)]
enum Way {
    Reading,
    Merging,
}

pub(super) fn run(name: EngineName, directory: &Path, settings: &Settings) -> Result<Vec<Sample>> {
    let settings = by_time(settings, settings.time);
    let mut samples = Vec::new();
    for way in [Way::Reading, Way::Merging] {
        for durability in [Durability::Buffered, Durability::Sync] {
            let directory = fresh(directory, &format!("{way:?}-{durability:?}"))?;
            let engine = name.open(&directory)?;
            if engine.supports(durability) {
                let counters = Counters {
                    engine: engine.as_ref(),
                    durability,
                };
                samples.extend(counters.stretch(way, &directory, &settings)?);
            }
            engine.close()?;
        }
    }
    Ok(samples)
}

struct Counters<'a> {
    engine: &'a dyn Engine,
    durability: Durability,
}

impl Counters<'_> {
    /// None where the engine has no such way.
    fn stretch(&self, way: Way, directory: &Path, settings: &Settings) -> Result<Option<Sample>> {
        let zero = 0u64.to_le_bytes();
        let mut zeroes = (0..COUNTERS).map(|number| Record {
            key: counter(number),
            value: &zero,
        });
        self.engine.put_batch(&mut zeroes, self.durability)?;
        if self.add(way, 0)?.is_none() {
            return Ok(None);
        }
        let (durable, clock_every) = match self.durability {
            Durability::Buffered => ("buffered", 16),
            Durability::Sync => ("durable", 1),
        };
        let merged = match way {
            Way::Reading => "",
            Way::Merging => ", by a merge operator",
        };
        let probe = match self.durability {
            Durability::Buffered => None,
            Durability::Sync => Some(probe::sync_rate(directory, PROBE_TIME)?),
        };
        let driven = Drive {
            settings,
            threads: THREADS,
            clock_every,
        }
        .run_transactions(
            &format!("contended counters, {durable}{merged}"),
            |number| {
                let lost = self.add(way, scatter(number) % COUNTERS)?;
                lost.ok_or_else(|| "it could a moment ago".into())
            },
        )?;
        let commits = 1 + driven.warm_up + driven.sample.operations;
        let sum = self.sum()?;
        if sum != commits {
            return Err(format!("the counters add up to {sum} after {commits} commits").into());
        }
        let (retries, fairness) = (driven.retries(), driven.fairness());
        let sample = driven.sample.with("retries/commit", retries);
        let sample = sample.with("fairness", fairness);
        Ok(Some(match probe {
            Some(rate) => sample.with("probe", rate),
            None => sample,
        }))
    }

    /// Adds one; returns how many attempts were lost, or none if there is no such way.
    fn add(&self, way: Way, number: u64) -> Result<Option<u64>> {
        let key = counter(number);
        let isolation = match way {
            Way::Merging => return self.engine.increment(key, self.durability),
            Way::Reading => self.engine.isolations().first(),
        };
        let Some(&isolation) = isolation else {
            return Ok(None);
        };
        let lost = self
            .engine
            .transact(isolation, self.durability, &mut |attempt| {
                let mut count = Err("the counter is missing".into());
                attempt.get(&key, &mut |value| count = counted(value))?;
                attempt.put(&key, &(count? + 1).to_le_bytes())
            })?;
        Ok(Some(lost))
    }

    fn sum(&self) -> Result<u64> {
        let mut sum = 0;
        self.engine.read(&mut |snapshot| {
            for number in 0..COUNTERS {
                let mut count = Err("a counter is missing".into());
                snapshot.get(&counter(number), &mut |value| count = counted(value))?;
                sum += count?;
            }
            Ok(())
        })?;
        Ok(sum)
    }
}

fn counter(number: u64) -> Key {
    key(KeyKind::Random, number)
}

fn counted(value: &[u8]) -> Result<u64> {
    Ok(u64::from_le_bytes(value.try_into()?))
}
