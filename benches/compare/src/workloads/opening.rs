//! Opening after SIGKILL.
//!
//! 1. A further process commits the records one by one, `Buffered` where that exists, and kills
//!    itself; this one opens what it left and reads the last record. The figure is the time for both.
//! 2. The records fit the peers' memtables, so every engine with a log replays all of them.

use std::path::Path;
use std::process::Command;

use super::{Settings, check, fresh, load};
use crate::Result;
use crate::data::{KeyKind, Records};
use crate::engine::Durability;
use crate::engines::EngineName;
use crate::measure::{Meter, Sample, Whose};

pub(super) fn run(name: EngineName, directory: &Path, settings: &Settings) -> Result<Vec<Sample>> {
    let directory = fresh(directory, "opening")?;
    let count = settings.replay_records;
    let status = Command::new(std::env::current_exe()?)
        .args([
            "fill",
            "--engine",
            name.label(),
            "--records",
            &count.to_string(),
            "--directory",
        ])
        .arg(&directory)
        .status()?;
    if std::os::unix::process::ExitStatusExt::signal(&status).is_none() {
        return Err(
            format!("the filling process was to be killed, but ended with {status}").into(),
        );
    }
    let records = Records::new(KeyKind::Random);
    let meter = Meter::start(Whose::Process)?;
    let engine = name.open(&directory)?;
    check(engine.as_ref(), &records, count - 1..count)?;
    let sample = meter.duration("opening after SIGKILL", count)?;
    check(engine.as_ref(), &records, 0..count)?;
    // Without a log there is nothing to replay, and no rate of it.
    let replays = engine.supports(Durability::Buffered);
    engine.close()?;
    let rate = count as f64 / (sample.figure / 1e3);
    Ok(vec![if replays {
        sample.with("records/s", rate)
    } else {
        sample
    }])
}

/// Commits records `0..count`, then kills this process. Returns only if that fails.
pub fn fill_and_die(name: EngineName, directory: &Path, count: u64) -> Result<()> {
    let records = Records::new(KeyKind::Random);
    let engine = name.open(directory)?;
    load(engine.as_ref(), &records, count, 1)?;
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)?;
    Ok(())
}
