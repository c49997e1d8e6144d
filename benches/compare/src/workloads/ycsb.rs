//! YCSB's core workloads A, B and F, as transactions: of one operation and of ten, on two threads, over
//! records picked by a scrambled zipfian distribution ([`zipf`](super::zipf)). The figure counts
//! transactions.
//!
//! 1. A: half of the operations read, half update. B: 95 in 100 read, the rest update. F: half read,
//!    half read, modify and write. An update is blind, as in YCSB. All buffered, and all durable.
//! 2. A transaction that only reads is the engine's read-only one, its snapshot its own. Any other
//!    reads its snapshot and is done again, with the same operations, until it commits; beside the
//!    figure stand the attempts lost for each transaction. So a single operation is checked for what
//!    it has read in F alone.
//! 3. Every engine runs with the isolation that it is compared by. One with a further isolation runs
//!    with that too, beside which stands its part of the first's rate ("of snapshot").
//! 4. Each figure is the median of [`ROUNDS`] short stretches, which only time ends. Where there are
//!    two isolations they take turns on the same store, the first of a round being the second of the
//!    next, with the same transactions in a round; the part is the median of the rounds' parts. The
//!    device is probed before each round of a durable figure, and the median stands beside it.
//! 5. One store, settled before each figure. A record has one of two values, which are told by their
//!    first bytes and their length when read, and compared whole in the end.

use std::path::Path;
use std::time::Duration;

use super::drive::{Drive, Driven};
use super::zipf::Zipf;
use super::{Settings, by_time, fresh, loaded};
use crate::Result;
use crate::data::{KeyKind, Records, scatter};
use crate::engine::{Attempt, Durability, Engine, Isolation};
use crate::engines::EngineName;
use crate::measure::Sample;
use crate::probe;

const THREADS: u64 = 2;
const OPERATIONS_MAX: usize = 10;
const SIZES: [usize; 2] = [1, OPERATIONS_MAX];
const ROUNDS: u64 = 11;
/// A stretch's part of the usual time.
const STRETCH_PART: u32 = 5;
const PROBE_TIME: Duration = Duration::from_millis(50);
/// What tells a record's values apart.
const TOLD_BYTES: usize = 16;

/// What the operations are.
#[derive(Clone, Copy)]
struct Mix {
    name: &'static str,
    /// Of a hundred.
    reads: u64,
    /// What the others do.
    writes: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Read,
    Update,
    Modify,
}

const A: Mix = Mix {
    name: "A",
    reads: 50,
    writes: Kind::Update,
};
const B: Mix = Mix {
    name: "B",
    reads: 95,
    writes: Kind::Update,
};
const F: Mix = Mix {
    name: "F",
    reads: 50,
    writes: Kind::Modify,
};
const PLAN: [(Mix, Durability); 6] = [
    (A, Durability::Buffered),
    (B, Durability::Buffered),
    (F, Durability::Buffered),
    (A, Durability::Sync),
    (B, Durability::Sync),
    (F, Durability::Sync),
];

pub(super) fn run(name: EngineName, directory: &Path, settings: &Settings) -> Result<Vec<Sample>> {
    let records = Records::new(KeyKind::Random);
    let engine = loaded(name, &fresh(directory, "ycsb")?, &records, settings)?;
    let ycsb = Ycsb {
        engine: engine.as_ref(),
        records: &records,
        zipf: Zipf::new(settings.records),
        count: settings.records,
        stretch: by_time(settings, settings.time / STRETCH_PART),
    };
    let mut samples = Vec::new();
    for (mix, durability) in PLAN {
        for size in SIZES {
            if engine.supports(durability) {
                engine.settle()?;
                let figure = Figure {
                    mix,
                    size,
                    durability,
                };
                samples.extend(ycsb.measure(&figure, directory)?);
            }
        }
    }
    ycsb.check_all()?;
    engine.close()?;
    Ok(samples)
}

/// What is measured at once.
struct Figure {
    mix: Mix,
    /// Operations of a transaction.
    size: usize,
    durability: Durability,
}

impl Figure {
    fn label(&self) -> String {
        let durability = match self.durability {
            Durability::Buffered => "buffered",
            Durability::Sync => "durable",
        };
        let (name, size) = (self.mix.name, self.size);
        format!("YCSB {name}, transactions of {size}, {durability}")
    }
}

fn in_words(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::Snapshot => "snapshot",
        Isolation::Serializable => "serializable",
    }
}

/// One operation of a transaction.
#[derive(Clone, Copy)]
struct Operation {
    kind: Kind,
    number: u64,
    /// Which of a record's values an update writes.
    version: usize,
}

struct Ycsb<'a> {
    engine: &'a dyn Engine,
    records: &'a Records,
    zipf: Zipf,
    /// Of records.
    count: u64,
    stretch: Settings,
}

impl Ycsb<'_> {
    /// One sample for each isolation.
    fn measure(&self, figure: &Figure, directory: &Path) -> Result<Vec<Sample>> {
        let isolations = self.engine.isolations();
        let mut stretches: Vec<Vec<Driven>> = isolations.iter().map(|_| Vec::new()).collect();
        let mut probes = Vec::new();
        for round in 0..ROUNDS {
            if figure.durability == Durability::Sync {
                probes.push(probe::sync_rate(directory, PROBE_TIME)?);
            }
            for turn in 0..isolations.len() {
                let which = (turn + round as usize) % isolations.len();
                stretches[which].push(self.stretch(figure, isolations[which], round)?);
            }
        }
        let Some(first) = stretches.first() else {
            return Ok(Vec::new());
        };
        let mut samples = Vec::new();
        for (place, (of_one, isolation)) in stretches.iter().zip(isolations).enumerate() {
            let mut sample = together(of_one).ok_or("there were no rounds")?;
            if !probes.is_empty() {
                sample = sample.with("probe", median(probes.clone()));
            }
            if place > 0 {
                sample.measure = format!("{}, {}", sample.measure, in_words(*isolation));
                let part = median(parts(of_one, first));
                sample = sample.with(&format!("of {}", in_words(isolations[0])), part);
            }
            samples.push(sample);
        }
        Ok(samples)
    }

    fn stretch(&self, figure: &Figure, isolation: Isolation, round: u64) -> Result<Driven> {
        let clock_every = match figure.durability {
            Durability::Buffered => 16,
            Durability::Sync => 1,
        };
        Drive {
            settings: &self.stretch,
            threads: THREADS,
            clock_every,
        }
        .run_transactions(&figure.label(), |number| {
            let mut operations = [NOTHING; OPERATIONS_MAX];
            let operations = &mut operations[..figure.size];
            let seed = scatter(scatter(round) ^ number);
            draw(&self.zipf, figure.mix, seed, operations);
            self.transaction(operations, isolation, figure.durability)
        })
    }

    /// Returns how many attempts were lost.
    fn transaction(
        &self,
        operations: &[Operation],
        isolation: Isolation,
        durability: Durability,
    ) -> Result<u64> {
        if operations.iter().all(|one| one.kind == Kind::Read) {
            self.engine.read(&mut |snapshot| {
                for one in operations {
                    let key = self.records.key(one.number);
                    self.seen(one.number, |see| snapshot.get(&key, see))?;
                }
                Ok(())
            })?;
            return Ok(0);
        }
        self.engine.transact(isolation, durability, &mut |attempt| {
            operations
                .iter()
                .try_for_each(|one| self.operate(attempt, one))
        })
    }

    fn operate(&self, attempt: &mut dyn Attempt, one: &Operation) -> Result<()> {
        let key = self.records.key(one.number);
        let version = match one.kind {
            Kind::Update => one.version,
            Kind::Read | Kind::Modify => 1 - self.seen(one.number, |see| attempt.get(&key, see))?,
        };
        match one.kind {
            Kind::Read => Ok(()),
            Kind::Update | Kind::Modify => attempt.put(&key, self.values(one.number)[version]),
        }
    }

    /// The values that a record may have.
    fn values(&self, number: u64) -> [&[u8]; 2] {
        [self.records.value(number), self.records.later_value(number)]
    }

    /// Which of its values `get` shows of a record.
    fn seen(
        &self,
        number: u64,
        get: impl FnOnce(&mut dyn FnMut(&[u8])) -> Result<bool>,
    ) -> Result<usize> {
        let values = self.values(number);
        let mut which = None;
        get(&mut |found| {
            which = values.iter().position(|value| {
                value.len() == found.len() && value[..TOLD_BYTES] == found[..TOLD_BYTES]
            });
        })?;
        which.ok_or_else(|| format!("record {number} is missing or wrong").into())
    }

    /// Rule 5.
    fn check_all(&self) -> Result<()> {
        self.engine.read(&mut |snapshot| {
            for number in 0..self.count {
                let mut good = false;
                snapshot.get(&self.records.key(number), &mut |found| {
                    good = self.values(number).contains(&found);
                })?;
                if !good {
                    return Err(format!("record {number} is missing or wrong").into());
                }
            }
            Ok(())
        })
    }
}

const NOTHING: Operation = Operation {
    kind: Kind::Read,
    number: 0,
    version: 0,
};

/// The operations of a transaction are a function of its seed.
fn draw(zipf: &Zipf, mix: Mix, seed: u64, operations: &mut [Operation]) {
    for (place, operation) in operations.iter_mut().enumerate() {
        let random = scatter(seed.wrapping_add(place as u64));
        *operation = Operation {
            kind: match random % 100 < mix.reads {
                true => Kind::Read,
                false => mix.writes,
            },
            number: zipf.pick(scatter(random)),
            version: (random >> 63) as usize,
        };
    }
}

/// One sample of all stretches: the median of their rates.
fn together(stretches: &[Driven]) -> Option<Sample> {
    let mut sample = stretches.first()?.sample.clone();
    let samples = || stretches.iter().map(|driven| &driven.sample);
    sample.figure = median(samples().map(|one| one.figure).collect());
    sample.operations = samples().map(|one| one.operations).sum();
    sample.processor_seconds = samples().map(|one| one.processor_seconds).sum();
    sample.written_bytes = samples().map(|one| one.written_bytes).sum();
    let tallies = || stretches.iter().flat_map(|driven| &driven.threads);
    let lost: u64 = tallies().map(|tally| tally.lost).sum();
    let retries = lost as f64 / sample.operations.max(1) as f64;
    Some(sample.with("retries/commit", retries))
}

/// Each round's part of the first isolation's rate.
fn parts(stretches: &[Driven], first: &[Driven]) -> Vec<f64> {
    let pairs = stretches.iter().zip(first);
    pairs
        .map(|(one, first)| one.sample.figure / first.sample.figure)
        .collect()
}

/// Of an odd number.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_mixed_as_they_should() {
        const DRAWS: u64 = 20_000;
        let zipf = Zipf::new(1000);
        for mix in [A, B, F] {
            let (mut reads, mut versions) = (0, [0; 2]);
            for number in 0..DRAWS {
                let mut operations = [NOTHING; OPERATIONS_MAX];
                draw(&zipf, mix, scatter(number), &mut operations);
                for one in &operations {
                    reads += u64::from(one.kind == Kind::Read);
                    versions[one.version] += 1;
                    assert!(one.kind == Kind::Read || one.kind == mix.writes);
                    assert!(one.number < 1000);
                }
            }
            let all = DRAWS * OPERATIONS_MAX as u64;
            let part = |count: u64| count as f64 / all as f64;
            assert!((part(reads) - mix.reads as f64 / 100.0).abs() < 0.01);
            assert!((part(versions[0]) - 0.5).abs() < 0.01);
        }
    }
}
