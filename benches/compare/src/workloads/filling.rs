//! A further process that fills a store and ends, killed or in good order, so that this one opens
//! what it left.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use super::load;
use crate::Result;
use crate::data::{KeyKind, Records};
use crate::engines::EngineName;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum End {
    /// By SIGKILL, right after the last commit.
    Killed,
    /// Settled and closed.
    Closed,
}

/// Commits records `0..count` in batches, in this process, and ends it or the store.
pub fn fill(name: EngineName, directory: &Path, count: u64, batch: u64, end: End) -> Result<()> {
    let records = Records::new(KeyKind::Random);
    let engine = name.open(directory)?;
    load(engine.as_ref(), &records, count, batch)?;
    match end {
        End::Killed => {
            let own = rustix::process::getpid();
            rustix::process::kill_process(own, rustix::process::Signal::KILL)?;
            Err("survived SIGKILL".into())
        }
        End::Closed => {
            engine.settle()?;
            engine.close()
        }
    }
}

/// The same in a process of its own.
pub(super) fn spawn(
    name: EngineName,
    directory: &Path,
    count: u64,
    batch: u64,
    end: End,
) -> Result<()> {
    let ended = match end {
        End::Killed => "killed",
        End::Closed => "closed",
    };
    let status = Command::new(std::env::current_exe()?)
        .args(["fill", "--engine", name.label(), "--end", ended])
        .args(["--records", &count.to_string()])
        .args(["--batch", &batch.to_string(), "--directory"])
        .arg(directory)
        .status()?;
    let as_told = match end {
        End::Killed => status.signal() == Some(rustix::process::Signal::KILL.as_raw()),
        End::Closed => status.success(),
    };
    match as_told {
        true => Ok(()),
        false => {
            Err(format!("the filling process was to be {ended}, but ended with {status}").into())
        }
    }
}
