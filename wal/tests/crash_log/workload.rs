//! What is done to the log before it crashes, and the journal of it.

use std::collections::BTreeSet;

use vellum_base::{Lsn, Timestamp};
use vellum_sync::Mutex;
use vellum_testkit::{Random, SimDisk};
use vellum_wal::{Config, Durability, Payload, Wal, WalError};

use crate::base::{Accept, open_at, payload};

pub(crate) const BEGUN: u64 = 0;
pub(crate) const RETURNED: u64 = 1;
pub(crate) const DURABLE: u64 = 2;
pub(crate) const START: u64 = 3;

pub(crate) fn mark(kind: u64, value: u64) -> u64 {
    kind << 56 | value
}

/// One commit of the workload.
#[derive(Clone)]
pub(crate) struct Commit {
    pub(crate) id: u64,
    pub(crate) timestamp: u64,
    pub(crate) payload: Vec<u8>,
}

/// What the workload did, for the checks.
#[derive(Default)]
pub(crate) struct Journal {
    pub(crate) commits: Mutex<Vec<Commit>>,
    /// Positions recorded as the log's start, and the last commit before each.
    pub(crate) starts: Mutex<Vec<(Lsn, u64)>>,
    /// Commits whose reservation recycled a segment.
    pub(crate) recycling: Mutex<BTreeSet<u64>>,
}

/// How often, in percent, a workload does what.
#[derive(Clone, Copy)]
pub(crate) struct Mix {
    /// Commits that ask for nothing but the end of the process.
    pub(crate) buffered: u64,
    /// What follows a commit: waits for everything, truncations, openings without and with a close.
    pub(crate) then: [u64; 4],
    /// Payloads are shorter than this.
    pub(crate) bytes: usize,
    /// Payloads of a quarter of this or more, else of any length.
    pub(crate) long: bool,
}

impl Mix {
    fn bytes_of(&self, id: u64) -> Vec<u8> {
        let len = (id as usize * 97) % self.bytes;
        payload(
            id,
            if self.long {
                len.max(self.bytes / 4)
            } else {
                len
            },
        )
    }
}

pub(crate) struct Workload<'a> {
    pub(crate) sim: &'a SimDisk,
    pub(crate) journal: &'a Journal,
    pub(crate) mix: Mix,
}

impl Workload<'_> {
    pub(crate) fn append(
        &self,
        wal: &Wal,
        id: u64,
        durability: Durability,
    ) -> Result<u64, WalError> {
        self.sim.mark(mark(BEGUN, id));
        let bytes = self.mix.bytes_of(id);
        let payload = Payload::inline(&bytes);
        let recycled = wal.stats().segments_recycled;
        let reservation = wal.reserve(bytes.len())?;
        if wal.stats().segments_recycled > recycled {
            self.journal.recycling.lock().insert(id);
        }
        let appended = wal
            .append(reservation, payload, durability, &mut Accept)?
            .expect("accepted");
        self.returned(id, appended.timestamp.0, bytes);
        Ok(appended.timestamp.0)
    }

    fn returned(&self, id: u64, timestamp: u64, payload: Vec<u8>) {
        self.journal.commits.lock().push(Commit {
            id,
            timestamp,
            payload,
        });
        self.sim.mark(mark(RETURNED, id));
    }

    fn large(&self, wal: &Wal, id: u64) -> Result<(), WalError> {
        self.sim.mark(mark(BEGUN, id));
        let bytes = payload(id, 600 + (id as usize * 1713) % 9000);
        let reference = wal.write_large(&[&bytes[..10], &bytes[10..]])?;
        let payload = Payload::Large(reference);
        let reservation = wal.reserve(payload.reserved_len())?;
        let appended = wal.append(reservation, payload, Durability::Buffered, &mut Accept)?;
        let timestamp = appended.expect("accepted").timestamp;
        self.returned(id, timestamp.0, bytes);
        wal.wait_settled(timestamp)
    }

    fn truncate(&self, wal: &Wal, id: u64) -> Result<(), WalError> {
        wal.sync()?;
        self.sim.mark(mark(DURABLE, id));
        let at = wal.last().0;
        let mut starts = self.journal.starts.lock();
        starts.push((wal.end(), at));
        self.sim.mark(mark(START, starts.len() as u64 - 1));
        drop(starts);
        wal.truncate_before(wal.end())
    }

    fn reopen(&self, config: &Config) -> Result<Wal, WalError> {
        let start = self
            .journal
            .starts
            .lock()
            .last()
            .map_or(Lsn(0), |start| start.0);
        Ok(open_at(&self.sim.disk(), config, start)?.0)
    }

    fn one(&self, wal: &Wal, id: u64, percent: u64) -> Result<(), WalError> {
        match percent {
            percent if percent < self.mix.buffered => {
                self.append(wal, id, Durability::Buffered)?;
            }
            ..90 => {
                let at = self.append(wal, id, Durability::Sync)?;
                wal.wait_settled(Timestamp(at))?;
                self.sim.mark(mark(DURABLE, id));
            }
            90..95 => self.large(wal, id)?,
            _ => {
                self.append(wal, id, Durability::Sync)?;
            }
        }
        Ok(())
    }

    /// `commits` commits of one thread, with everything that may happen between. Returns how many
    /// segments were recycled, and how many only allocated.
    pub(crate) fn run(
        &self,
        config: &Config,
        seed: u64,
        commits: u64,
    ) -> Result<(u64, u64), WalError> {
        let mut random = Random::new(seed);
        let mut wal = self.reopen(config)?;
        let mut made = (0, 0);
        let count = |wal: &Wal, made: &mut (u64, u64)| {
            made.0 += wal.stats().segments_recycled;
            made.1 += wal.stats().segments_allocated;
        };
        let [syncs, truncations, crashes, closes] = self.mix.then;
        for id in 0..commits {
            self.one(&wal, id, random.below(100))?;
            let mut percent = random.below(100);
            let mut is = |share: u64| {
                let within = percent < share;
                percent = percent.wrapping_sub(share);
                within
            };
            if is(syncs) {
                wal.sync()?;
                self.sim.mark(mark(DURABLE, id));
            } else if is(truncations) {
                self.truncate(&wal, id)?;
            } else if is(crashes) {
                count(&wal, &mut made);
                drop(wal);
                wal = self.reopen(config)?;
                // What an opening found is durable.
                self.sim.mark(mark(DURABLE, id));
            } else if is(closes) {
                count(&wal, &mut made);
                wal.close()?;
                self.sim.mark(mark(DURABLE, id));
                drop(wal);
                wal = self.reopen(config)?;
            }
        }
        count(&wal, &mut made);
        Ok(made)
    }
}
