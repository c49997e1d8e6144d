//! Every call of the disk failing, once and for ever: an error, and never a wrong answer.

use std::sync::Arc;

use vellum_base::Lsn;
use vellum_disk::Disk;
use vellum_testkit::{Budget, Crash, Fault, Lasting, SimDisk, SimOptions, Trouble};
use vellum_wal::{Durability, Wal, WalError};

use super::common::{append, commit, commit_large, open, open_at, payload, small};

/// What the workload got before the first error.
#[derive(Default)]
struct Got {
    appended: Vec<(u64, Vec<u8>)>,
    /// How many of these were acknowledged as durable.
    durable: usize,
    start: Lsn,
    /// The last commit before `start`.
    after: u64,
    /// An append that failed may have left its record or not.
    unsure: Option<Vec<u8>>,
}

impl Got {
    fn push(&mut self, wal: &Wal, number: u64, durability: Durability) -> Result<(), WalError> {
        let bytes = payload(number, 300);
        self.unsure = Some(bytes.clone());
        let appended = append(wal, &bytes, durability)?;
        self.unsure = None;
        self.appended.push((appended.timestamp.0, bytes));
        if durability == Durability::Sync {
            wal.wait_settled(appended.timestamp)?;
            self.durable = self.appended.len();
        }
        Ok(())
    }

    fn run(&mut self, disk: &Arc<dyn Disk>) -> Result<(), WalError> {
        for round in 0..3u64 {
            let (wal, commits) = open_at(disk, &small(), self.start)?;
            let found: Vec<_> = commits
                .into_iter()
                .filter(|commit| commit.0 > self.after)
                .collect();
            let kept = self.appended.iter().filter(|commit| commit.0 > self.after);
            assert!(found.iter().eq(kept), "an opening found something else");
            self.durable = self.appended.len();
            for number in 0..60 {
                let durability = if number % 7 == 0 {
                    Durability::Sync
                } else {
                    Durability::Buffered
                };
                self.push(&wal, round * 100 + number, durability)?;
            }
            let bytes = payload(round, 3000);
            self.unsure = Some(bytes.clone());
            let at = commit_large(&wal, &[&bytes])?;
            self.unsure = None;
            self.appended.push((at.0, bytes));
            self.durable = self.appended.len();
            self.start = wal.end();
            self.after = at.0;
            wal.truncate_before(self.start)?;
            if round == 1 {
                wal.close()?;
            }
        }
        Ok(())
    }

    /// Checks what a later opening finds.
    fn check(&self, disk: &Arc<dyn Disk>, least: usize) {
        let (wal, commits) = open_at(disk, &small(), self.start).expect("opens once mended");
        let found: Vec<_> = commits
            .iter()
            .filter(|commit| commit.0 > self.after)
            .collect();
        let order: Vec<_> = self.appended.iter().filter(|c| c.0 > self.after).collect();
        let before = self.appended.len() - order.len();
        assert!(
            found.len() + before >= least,
            "{} of {least}",
            found.len() + before
        );
        for (at, found) in found.iter().enumerate() {
            match order.get(at) {
                Some(expected) => assert_eq!(found, expected),
                None => assert_eq!(Some(&found.1), self.unsure.as_ref(), "never appended"),
            }
        }
        commit(&wal, b"usable", Durability::Sync).expect("usable");
    }
}

#[test]
fn every_call_that_fails_is_an_error_and_never_a_wrong_answer() {
    let sim = SimDisk::new(1);
    Got::default().run(&sim.disk()).unwrap();
    let calls = sim.call_count();
    let mut failed = 0;
    for at in 0..calls {
        for trouble in [Trouble::Io, Trouble::Full, Trouble::Short] {
            for lasting in [Lasting::Once, Lasting::ForEver] {
                let sim = SimDisk::new(1);
                sim.fail(Fault {
                    at,
                    trouble,
                    lasting,
                    only: None,
                });
                let mut got = Got::default();
                if got.run(&sim.disk()).is_ok() {
                    continue;
                }
                failed += 1;
                sim.mend();
                if at % 16 == 0 {
                    let cut = sim.trace().cuts().last().unwrap();
                    for state in cut.states(Crash::Power, Budget::per_cut(2)) {
                        got.check(&state.disk().disk(), got.durable);
                    }
                }
                // Or only the process ends: what was appended is there.
                got.check(&sim.disk(), got.appended.len());
            }
        }
    }
    println!("faults: {calls} calls, {failed} runs that failed");
    assert!(failed > 1000);
}

#[test]
fn a_failed_flush_poisons_for_ever_and_settled_stays() {
    let sim = SimDisk::new(2);
    let (wal, _) = open(&sim.disk(), &small()).unwrap();
    let settled = commit(&wal, b"good", Durability::Sync).unwrap();
    let at = sim.call_count();
    let only = Some(vellum_testkit::CallKind::WriteDurable);
    sim.fail(Fault {
        at,
        trouble: Trouble::Io,
        lasting: Lasting::Once,
        only,
    });
    let lost = append(&wal, b"lost", Durability::Sync).unwrap().timestamp;
    for _ in 0..3 {
        assert!(matches!(wal.wait_settled(lost), Err(WalError::Poisoned(_))));
        assert!(matches!(
            append(&wal, b"x", Durability::Buffered),
            Err(WalError::Poisoned(_))
        ));
        assert!(matches!(wal.sync(), Err(WalError::Poisoned(_))));
        assert!(matches!(
            wal.write_large(&[b"x"]),
            Err(WalError::Poisoned(_))
        ));
    }
    assert!(matches!(wal.close(), Err(WalError::Poisoned(_))));
    assert_eq!(wal.settled(), settled);
    wal.wait_settled(settled).unwrap();
}

#[test]
fn a_full_disk_is_named_and_nothing_is_lost_and_space_helps() {
    let sim = SimDisk::with_options(
        3,
        SimOptions {
            record: false,
            capacity: None,
        },
    );
    let (wal, _) = open(&sim.disk(), &small()).unwrap();
    append(&wal, b"first", Durability::Buffered).unwrap();
    sim.set_capacity(Some(sim.bytes_used()));
    let mut appended = 1;
    let mut full = None;
    // Until not even the shortest record fits.
    for bytes in [&payload(1, 400)[..], b"x"] {
        full = loop {
            match append(&wal, bytes, Durability::Buffered) {
                Ok(_) => appended += 1,
                Err(error) => break Some(error),
            }
        };
    }
    let full = full.unwrap();
    assert!(matches!(full, WalError::DiskFull(_)), "{full}");
    assert!(matches!(
        append(&wal, b"x", Durability::Sync),
        Err(WalError::DiskFull(_))
    ));
    assert!(matches!(
        wal.write_large(&[&payload(1, 9000)]),
        Err(WalError::DiskFull(_))
    ));
    wal.sync().unwrap();
    sim.set_capacity(None);
    commit(&wal, b"again", Durability::Sync).unwrap();
    commit_large(&wal, &[&payload(1, 9000)]).unwrap();
    drop(wal);
    sim.set_capacity(Some(sim.bytes_used()));
    let refused = open(&sim.disk(), &small()).map(|_| ());
    assert!(matches!(refused, Err(WalError::DiskFull(_))), "{refused:?}");
    sim.set_capacity(None);
    let (_, commits) = open(&sim.disk(), &small()).unwrap();
    assert_eq!(commits.len() as u64, appended + 2);
}

/// Where groups are large, segments are allocated and not zeroed: their space is taken all the
/// same, so the disk is found full by a reservation and never by a write.
#[test]
fn a_full_disk_poisons_nothing_where_segments_are_only_allocated() {
    let config = vellum_wal::Config {
        chunk_bytes: 256 << 10,
        segment_bytes: 2 << 20,
        ..small()
    };
    let options = SimOptions {
        record: false,
        capacity: None,
    };
    let sim = SimDisk::with_options(4, options);
    let (wal, _) = open(&sim.disk(), &config).unwrap();
    let bytes = payload(1, 60 << 10);
    let mut appended = 0;
    while wal.stats().segments_allocated == 0 {
        append(&wal, &bytes, Durability::Buffered).unwrap();
        appended += 1;
    }
    sim.set_capacity(Some(sim.bytes_used()));
    let full = loop {
        match append(&wal, &bytes, Durability::Buffered) {
            Ok(_) => appended += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, WalError::DiskFull(_)), "{full}");
    wal.sync().unwrap();
    sim.set_capacity(None);
    commit(&wal, &bytes, Durability::Sync).unwrap();
    drop(wal);
    let (_, commits) = open(&sim.disk(), &config).unwrap();
    assert_eq!(commits.len(), appended + 1);
    assert!(commits.iter().all(|commit| commit.1 == bytes));
}
