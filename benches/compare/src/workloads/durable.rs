//! Durable single-record commits: each returns when the device has confirmed it.
//!
//! The device's own rate is probed just before each stretch and stands beside the result.

use std::path::Path;
use std::time::{Duration, Instant};

use super::drive::{Drive, in_words};
use super::{PROBE_TIME, Settings, check, fresh};
use crate::Result;
use crate::data::{KeyKind, Records};
use crate::engine::{Durability, Engine};
use crate::engines::EngineName;
use crate::measure::{Meter, Sample, Whose};
use crate::probe;

const THREADS: [u64; 3] = [1, 8, 64];
const IN_FLIGHT: usize = 64;

pub(super) fn run(name: EngineName, directory: &Path, settings: &Settings) -> Result<Vec<Sample>> {
    let records = Records::new(KeyKind::Random);
    let mut samples = Vec::new();
    for threads in THREADS {
        let engine = name.open(&fresh(directory, &format!("threads-{threads}"))?)?;
        let probe = probe::sync_rate(directory, PROBE_TIME)?;
        let sample = Drive {
            settings,
            threads,
            clock_every: 1,
        }
        .run(
            &format!("durable commits, {}", in_words(threads)),
            |number| engine.put(records.record(number), Durability::Sync),
        )?;
        check(engine.as_ref(), &records, 0..sample.operations)?;
        samples.push(sample.with("probe", probe));
        engine.close()?;
    }
    let engine = name.open(&fresh(directory, "in-flight")?)?;
    samples.extend(in_flight(engine.as_ref(), &records, directory, settings)?);
    engine.close()?;
    Ok(samples)
}

fn in_flight(
    engine: &dyn Engine,
    records: &Records,
    directory: &Path,
    settings: &Settings,
) -> Result<Option<Sample>> {
    let probe = probe::sync_rate(directory, PROBE_TIME)?;
    let mut next = 0;
    let warm_up = settings.time / 8;
    if !engine.put_in_flight(&mut numbers(&mut next, warm_up, records), IN_FLIGHT)? {
        return Ok(None);
    }
    let first = next;
    let meter = Meter::start(Whose::Process)?;
    engine.put_in_flight(&mut numbers(&mut next, settings.time, records), IN_FLIGHT)?;
    let sample = meter.rate("durable commits, 1 thread, 64 in flight", next - first)?;
    check(engine, records, 0..next)?;
    Ok(Some(sample.with("probe", probe)))
}

/// Records until the time is up; `next` is the first number not given out.
fn numbers<'a>(
    next: &'a mut u64,
    time: Duration,
    records: &'a Records,
) -> impl Iterator<Item = crate::engine::Record<'a>> + Send {
    let until = Instant::now() + time;
    std::iter::from_fn(move || {
        (Instant::now() < until).then(|| {
            *next += 1;
            records.record(*next - 1)
        })
    })
}
