//! SIGKILL of a process that appends: what it appended is there, whatever the log had written of it.
//!
//! 1. The appending process is this binary again, told by its environment where and how. It asks
//!    for `Buffered` alone and never waits, so that at its end whole chunks and the beginning of one
//!    are in the mapped tail and nowhere else. It prints each number when the append has returned.
//! 2. Every way of keeping the tail is tried: mapped, and written store by store where a mapping is
//!    refused; over direct and over synced writes.
//! 3. Numbers go on where the last process ended, so a reopened log holds all numbers from zero on.
//!
//! `VELLUM_CRASH_STATES` asks for one kill for a thousand states.

#![cfg(test)]

mod base;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use tempfile::tempdir_in;
use vellum_base::Lsn;
use vellum_disk::{DirDisk, Disk, LockMode, Probe};
use vellum_testkit::Random;
use vellum_wal::{Config, Durability};

use base::{append, commit, open_at, payload, small};

const PLACE: &str = "VELLUM_END_PLACE";
const PROBE: &str = "VELLUM_END_PROBE";
const KILLS_LEAST: usize = 12;
/// Commits of one process that is not killed.
const COMMITS: u64 = 2000;
/// The log appends no other than this where nobody of the test's asks it to wait.
const LAST: &[u8] = b"after the kill";

fn config() -> Config {
    Config {
        chunk_bytes: 32 << 10,
        segment_bytes: 256 << 10,
        background: true,
        ..small()
    }
}

/// Short records, and such as are stored piece by piece.
fn bytes_of(number: u64) -> Vec<u8> {
    payload(number, (number as usize * 1013) % 8192)
}

fn disk(place: &Path, probe: &str) -> Arc<dyn Disk> {
    let probe = Probe {
        direct: probe.contains("direct"),
        mapped: probe.contains("mapped"),
        ..Probe::default()
    };
    Arc::new(DirDisk::open_with(place, probe).expect("a directory"))
}

/// Opens the log, checks all it holds, and returns how many numbers those are.
fn audit(disk: &Arc<dyn Disk>) -> (vellum_wal::Wal, u64) {
    let (wal, mut found) = open_at(disk, &config(), Lsn(0)).expect("opens");
    assert!(found.is_sorted_by_key(|commit| commit.0));
    found.retain(|commit| commit.1 != LAST);
    for (number, commit) in found.iter().enumerate() {
        assert!(commit.1 == bytes_of(number as u64), "commit {number}");
    }
    (wal, found.len() as u64)
}

/// The appending process. Does nothing where it is not told to.
#[test]
fn appending_process() {
    let (Some(place), Ok(probe)) = (std::env::var_os(PLACE), std::env::var(PROBE)) else {
        return;
    };
    let disk = disk(Path::new(&place), &probe);
    let _lock = disk.lock(LockMode::Exclusive).expect("alone");
    let (wal, first) = audit(&disk);
    let mut out = std::io::stdout().lock();
    for number in first..first + COMMITS {
        append(&wal, &bytes_of(number), Durability::Buffered).expect("appends");
        writeln!(out, "appended {number}").expect("a reader");
        out.flush().expect("a reader");
    }
    // Not dropped: nothing is to happen at the end of the process but the end.
    std::mem::forget(wal);
}

/// Starts a process, kills it after `lines` numbers, and returns the last it had printed.
fn kill_after(place: &Path, probe: &str, lines: usize) -> Option<u64> {
    let mut child = Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", "appending_process", "--nocapture"])
        .env(PLACE, place)
        .env(PROBE, probe)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut last = None;
    let mut read = 0;
    for line in BufReader::new(child.stdout.take().expect("a pipe")).lines() {
        let line = line.expect("text");
        let Some((_, number)) = line.split_once("appended ") else {
            continue;
        };
        // The kill may have cut the last number; a shorter one asks for less.
        last = last.max(number.parse().ok());
        read += 1;
        if read == lines {
            child.kill().expect("killed");
        }
    }
    child.wait().expect("ended");
    last
}

#[test]
fn what_was_appended_survives_the_end_of_the_process() {
    let kills = (vellum_testkit::states_wanted(0) / 1000).max(KILLS_LEAST);
    let mut random = Random::new(1);
    let mut done = 0;
    for round in 0.. {
        let probe = ["direct mapped", "direct", "mapped", "neither"][round % 4];
        let place = tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a place");
        for _ in 0..3 {
            if done == kills {
                println!("crash: {done} states, 0 violations");
                return;
            }
            let lines = 1 + random.index(200);
            let acknowledged = kill_after(place.path(), probe, lines);
            let disk = disk(place.path(), probe);
            let (wal, found) = audit(&disk);
            let least = acknowledged.map_or(0, |last| last + 1);
            assert!(found >= least, "{probe}: {found} commits of {least}");
            if round % 2 == 0 {
                commit(&wal, LAST, Durability::Sync).expect("usable");
            }
            done += 1;
        }
    }
}
