//! Buffered updates of random records while a reader stays open from before the first to after the
//! last, beside the same without it.
//!
//! 1. They are those of [`sustained`]: as many, for as long, so that what the reader holds is
//!    overwritten many times over, and memory fills many times. Each run has a process and a store of
//!    its own, so that neither has the other's memory.
//! 2. At the end of the stretch, with the reader still open and nothing settled, stand what is
//!    resident, and how much of that is no file's, and what the files take; and by how much each is more
//!    than without the reader. A run that time has ended has fewer updates behind it.
//! 3. At the end the reader must still see the values that were loaded, everyone else the new ones.

use std::path::Path;

use super::sustained::{self, CHECKED, TIMES, UPDATES};
use super::{Settings, Workload, check_values, fresh, loaded};
use crate::data::{KeyKind, Picks, Records};
use crate::engine::{Durability, Engine, Snapshot};
use crate::engines::EngineName;
use crate::measure::{Sample, disk_bytes, resident_bytes};
use crate::{Result, runner};

const SEED: u64 = 41;
const SIZES: [&str; 3] = ["resident MiB", "of no file MiB", "disk MiB"];

pub(super) fn run(name: EngineName, directory: &Path, settings: &Settings) -> Result<Vec<Sample>> {
    let mut samples = runner::child(Workload::Unheld, name, directory, settings)?;
    let Some(unheld) = samples.first() else {
        return Ok(samples);
    };
    let store = fresh(directory, "held")?;
    let mut held = updated(name, &store, settings, &|updates| {
        let mut held = None;
        updates.engine.read(&mut |snapshot| {
            held = Some(updates.stretch("buffered updates, a reader open")?);
            updates.check_old(snapshot)
        })?;
        held.ok_or_else(|| "the engine made no snapshot".into())
    })?;
    let part = held.figure / unheld.figure;
    held = held.with("of unheld", part);
    for size in SIZES {
        let of = |sample: &Sample| sample.extra.get(size).copied().unwrap_or_default();
        let more = of(&held) - of(unheld);
        held = held.with(&format!("more {size}"), more);
    }
    samples.push(held);
    Ok(samples)
}

/// The run without a reader.
pub(super) fn run_unheld(
    name: EngineName,
    directory: &Path,
    settings: &Settings,
) -> Result<Vec<Sample>> {
    let store = fresh(directory, "unheld")?;
    let engine = name.open(&store)?;
    let supported = engine.supports(Durability::Buffered);
    engine.close()?;
    if !supported {
        return Ok(Vec::new());
    }
    let sample = updated(name, &store, settings, &|updates| {
        updates.stretch("buffered updates, no reader open")
    })?;
    Ok(vec![sample])
}

/// What `work` measures on a store that was loaded for it; what it has updated is looked at.
fn updated(
    name: EngineName,
    store: &Path,
    settings: &Settings,
    work: &dyn Fn(&Updates<'_>) -> Result<Sample>,
) -> Result<Sample> {
    let records = Records::new(KeyKind::Random);
    let engine = loaded(name, store, &records, settings)?;
    let updates = Updates {
        engine: engine.as_ref(),
        records: &records,
        store,
        settings,
    };
    let sample = work(&updates)?;
    updates.check_new(sample.operations)?;
    engine.close()?;
    Ok(sample)
}

struct Updates<'a> {
    engine: &'a dyn Engine,
    records: &'a Records,
    store: &'a Path,
    settings: &'a Settings,
}

impl Updates<'_> {
    fn picks(&self) -> Picks {
        Picks::new(SEED, self.settings.records)
    }

    fn stretch(&self, measure: &str) -> Result<Sample> {
        const MIB: f64 = (1 << 20) as f64;
        let mut picks = self.picks();
        let (sample, _) = sustained::stretch(
            self.engine,
            measure,
            UPDATES * self.settings.records,
            self.settings.time * TIMES,
            &mut |engine| {
                let number = picks.next().unwrap_or_default();
                engine.put(self.records.later(number), Durability::Buffered)
            },
        )?;
        let (all, anonymous) = resident_bytes()?;
        let sizes = [all, anonymous, disk_bytes(self.store)?];
        Ok(SIZES
            .iter()
            .zip(sizes)
            .fold(sample, |sample, (name, size)| {
                sample.with(name, size as f64 / MIB)
            }))
    }

    /// Rule 3, of what was updated first.
    fn check_old(&self, snapshot: &dyn Snapshot) -> Result<()> {
        for number in self.picks().take(CHECKED as usize) {
            let expected = self.records.value(number);
            let mut same = false;
            snapshot.get(&self.records.key(number), &mut |found| {
                same = found == expected;
            })?;
            if !same {
                return Err(format!("the reader has lost its view of record {number}").into());
            }
        }
        Ok(())
    }

    fn check_new(&self, updates: u64) -> Result<()> {
        let updated = self.picks().take(updates.min(CHECKED) as usize);
        let value = |number| Some(self.records.later_value(number));
        check_values(self.engine, self.records, updated, &value)
    }
}
