//! Models of the log: group commit, waiting for space, failing, and what a settled commit shows.

#![cfg(vellum_loom)]
#![expect(
    clippy::disallowed_types,
    reason = "the fake disk's own memory is no part of the models, so the checker must not see it"
)]

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use vellum_base::{Lsn, Timestamp};
use vellum_disk::{
    Batched, Disk, DiskTraits, DurableWrites, File, Lock, LockMode, Mapped, MappedWrites, OpenMode,
};
use vellum_loom_tests::Model;
use vellum_sync::atomic::{AtomicU64, Ordering};
use vellum_sync::cell::Witness;
use vellum_sync::thread;
use vellum_wal::{Config, Durability, Payload, Sequenced, Wal, WalError};

/// Remembers which ranges of segments were written durably, and how many writes may still succeed.
/// The atomic, a count of writes, lets the checker see that they depend on each other.
#[derive(Clone)]
struct Fake(Arc<Mutex<State>>, Arc<AtomicU64>);

struct State {
    flushed: Vec<Range<u64>>,
    flushes_left: usize,
    files: BTreeMap<String, u64>,
}

impl Fake {
    fn new() -> Self {
        let state = State {
            flushed: Vec::new(),
            flushes_left: usize::MAX,
            files: BTreeMap::new(),
        };
        Self(Arc::new(Mutex::new(state)), Arc::new(AtomicU64::new(0)))
    }

    fn fail_after(&self, flushes: usize) {
        self.0.lock().unwrap().flushes_left = flushes;
    }

    /// The end of what is durable without a gap, in the first segment's file.
    fn durable_prefix(&self) -> u64 {
        let _ = self.1.load(Ordering::Relaxed);
        let mut flushed = self.0.lock().unwrap().flushed.clone();
        flushed.sort_by_key(|range| range.start);
        let next = |end: u64, range: &Range<u64>| if range.start == end { range.end } else { end };
        flushed.iter().fold(4096, next)
    }
}

impl Disk for Fake {
    fn open(&self, name: &str, _: OpenMode) -> io::Result<Arc<dyn File>> {
        self.0.lock().unwrap().files.insert(name.into(), 0);
        Ok(Arc::new(self.clone()))
    }
    fn map(&self, _: &str, _: u64) -> io::Result<Arc<dyn Mapped>> {
        Ok(Arc::new(self.clone()))
    }
    fn remove(&self, _: &str) -> io::Result<()> {
        Ok(())
    }
    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        Ok(())
    }
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().unwrap().files.keys().cloned().collect())
    }
    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }
    fn lock(&self, _: LockMode) -> io::Result<Box<dyn Lock>> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn traits(&self) -> DiskTraits {
        DiskTraits {
            durable_writes: DurableWrites::Simulated,
            mapped_writes: MappedWrites::Simulated,
            batched: Batched::Plain,
        }
    }
}

impl File for Fake {
    fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
        Ok(0)
    }
    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Ok(())
    }
    fn write_durable(&self, _: &[u8], _: u64) -> io::Result<()> {
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
    fn len(&self) -> io::Result<u64> {
        Ok(0)
    }
    fn set_len(&self, _: u64) -> io::Result<()> {
        Ok(())
    }
    fn allocate(&self, _: u64) -> io::Result<()> {
        Ok(())
    }
}

impl Mapped for Fake {
    fn len(&self) -> u64 {
        32 << 10
    }
    fn write(&self, _: &[u8], _: u64) -> io::Result<()> {
        Ok(())
    }
    fn flush_to(&self, range: Range<u64>, _: &dyn File, offset: u64) -> io::Result<()> {
        self.1.fetch_add(1, Ordering::Relaxed);
        let mut state = self.0.lock().unwrap();
        if state.flushes_left == 0 {
            return Err(io::ErrorKind::Other.into());
        }
        state.flushes_left -= 1;
        state.flushed.push(offset..offset + range.end - range.start);
        Ok(())
    }
}

struct Accept;

impl Sequenced for Accept {
    fn validate(&mut self) -> bool {
        true
    }
    fn stamp(&mut self, _: Timestamp) {}
}

/// A log whose first chunk is ready, so that the models see commits and nothing else.
fn log(fake: &Fake, in_flight_max: usize) -> Arc<Wal> {
    let config = Config {
        chunk_bytes: 8 << 10,
        segment_bytes: 64 << 10,
        in_flight_max,
        background: false,
        uuid: Some(1),
        ..Config::default()
    };
    let disk: Arc<dyn Disk> = Arc::new(fake.clone());
    let wal = Wal::open::<WalError>(disk, &config, Lsn(0), &mut |_| Ok(())).unwrap();
    drop(wal.reserve(0).unwrap());
    Arc::new(wal)
}

fn append(wal: &Wal, durability: Durability, steps: &mut dyn Sequenced) -> (Timestamp, Lsn) {
    let payload = Payload::inline(b"");
    let reservation = wal.reserve(0).unwrap();
    let appended = wal
        .append(reservation, payload, durability, steps)
        .unwrap()
        .unwrap();
    (appended.timestamp, appended.lsn)
}

/// Commits, waits, and checks that everything up to the commit is durable.
fn commit(wal: &Wal, fake: &Fake) -> Result<(), WalError> {
    let (at, lsn) = append(wal, Durability::Sync, &mut Accept);
    wal.wait_settled(at)?;
    let end = 4096 + lsn.0 + 32;
    assert!(fake.durable_prefix() >= end, "acknowledged at {end}");
    assert!(wal.settled() >= at);
    Ok(())
}

fn committers(name: &str, threads: usize, in_flight_max: usize, preemptions: Option<usize>) {
    let mut model = Model::new(format!("wal_commit::{name}")).executions(400_000);
    if let Some(preemptions) = preemptions {
        model = model.preemptions(preemptions);
    }
    model.check(move || {
        let fake = Fake::new();
        let wal = log(&fake, in_flight_max);
        let others: Vec<_> = (1..threads)
            .map(|_| {
                let (wal, fake) = (Arc::clone(&wal), fake.clone());
                thread::spawn(move || commit(&wal, &fake).unwrap())
            })
            .collect();
        commit(&wal, &fake).unwrap();
        for other in others {
            other.join().unwrap();
        }
    });
}

/// Whoever is told that his commit is durable has it, and all before it, on the disk; nobody waits
/// for ever.
#[test]
fn two_committers_one_write_at_a_time() {
    committers("two_committers_one_write_at_a_time", 2, 1, Some(4));
}

/// The same with two groups under way.
#[test]
fn two_committers_two_writes_at_a_time() {
    committers("two_committers_two_writes_at_a_time", 2, 2, Some(4));
}

/// The place to write is handed on to a sleeper.
#[test]
fn three_committers_one_write_at_a_time() {
    committers("three_committers_one_write_at_a_time", 3, 1, Some(2));
}

/// Groups that end out of order are acknowledged in order.
#[test]
fn three_committers_two_writes_at_a_time() {
    committers("three_committers_two_writes_at_a_time", 3, 2, Some(2));
}

/// After a failed write nobody is told that his commit is durable unless it is, and nobody waits
/// for ever.
#[test]
fn a_failed_write_ends_all_waits() {
    let model = Model::new("wal_commit::a_failed_write_ends_all_waits").preemptions(2);
    model.executions(400_000).check(|| {
        let fake = Fake::new();
        let wal = log(&fake, 1);
        fake.fail_after(1);
        let (at_one, _) = append(&wal, Durability::Sync, &mut Accept);
        let others: Vec<_> = (0..2)
            .map(|_| {
                let wal = Arc::clone(&wal);
                thread::spawn(move || {
                    let payload = Payload::inline(b"");
                    let Ok(reservation) = wal.reserve(0) else {
                        return;
                    };
                    let appended = wal.append(reservation, payload, Durability::Sync, &mut Accept);
                    if let Ok(Some(appended)) = appended {
                        let _ = wal.wait_settled(appended.timestamp);
                    }
                })
            })
            .collect();
        let first = wal.wait_settled(at_one);
        for other in others {
            other.join().unwrap();
        }
        assert!(first.is_ok() == (wal.settled() >= at_one));
        assert!(fake.0.lock().unwrap().flushed.len() == 1);
    });
}

/// A buffered commit behind one that wants to be durable is not settled before that is.
#[test]
fn a_buffered_commit_waits_for_the_sync_before_it() {
    let model = Model::new("wal_commit::a_buffered_commit_waits_for_the_sync_before_it");
    model.check(|| {
        let fake = Fake::new();
        let wal = log(&fake, 1);
        let (other, disk) = (Arc::clone(&wal), fake.clone());
        let thread = thread::spawn(move || commit(&other, &disk).unwrap());
        let (at, _) = append(&wal, Durability::Buffered, &mut Accept);
        if at > Timestamp(1) {
            // The other's record, behind its group's header.
            let other_end = 4096 + 40 + 32;
            if wal.settled() >= at {
                assert!(fake.durable_prefix() >= other_end);
            }
            wal.wait_settled(at).unwrap();
            assert!(fake.durable_prefix() >= other_end);
        } else {
            assert!(wal.settled() >= at, "nothing was before it");
        }
        thread.join().unwrap();
    });
}

/// Whoever sees a commit settled sees what its stamping wrote.
#[test]
fn a_settled_commit_is_stamped() {
    struct Stamp(Arc<Witness>);
    impl Sequenced for Stamp {
        fn validate(&mut self) -> bool {
            true
        }
        fn stamp(&mut self, _: Timestamp) {
            self.0.write();
        }
    }
    Model::new("wal_commit::a_settled_commit_is_stamped").check(|| {
        let fake = Fake::new();
        let wal = log(&fake, 1);
        let witness = Arc::new(Witness::new());
        let (other, stamped) = (Arc::clone(&wal), Arc::clone(&witness));
        let thread = thread::spawn(move || {
            append(&other, Durability::Buffered, &mut Stamp(stamped));
        });
        if wal.settled() >= Timestamp(1) {
            witness.read();
        }
        thread.join().unwrap();
    });
}

/// Fills the log with reservations and leaves `free` of them.
fn fill(wal: &Wal) -> usize {
    // A claim is a record, a group's header and a block; see `Geometry`.
    let claims = ((32 << 10) - (5 * 2120 + 4096)) / (32 + 40 + 4096);
    for _ in 0..claims {
        wal.reserve(0).unwrap().keep();
    }
    claims
}

/// Space that is given back reaches whoever sleeps for it.
#[test]
fn a_cancelled_reservation_wakes_a_sleeper() {
    let model = Model::new("wal_commit::a_cancelled_reservation_wakes_a_sleeper");
    model.preemptions(3).executions(400_000).check(|| {
        let fake = Fake::new();
        let wal = log(&fake, 1);
        for _ in 0..8 {
            // Prepares as much as the tail holds.
            append(&wal, Durability::Buffered, &mut Accept);
            wal.sync().unwrap();
        }
        fill(&wal);
        let other = Arc::clone(&wal);
        let thread = thread::spawn(move || drop(other.reserve(0).unwrap()));
        wal.cancel(0);
        thread.join().unwrap();
    });
}

/// Space that an append takes is freed by whoever sleeps for it.
#[test]
fn an_append_wakes_a_sleeper_who_then_writes() {
    let model = Model::new("wal_commit::an_append_wakes_a_sleeper_who_then_writes");
    model.preemptions(2).executions(400_000).check(|| {
        let fake = Fake::new();
        let wal = log(&fake, 1);
        for _ in 0..8 {
            append(&wal, Durability::Buffered, &mut Accept);
            wal.sync().unwrap();
        }
        let claims = fill(&wal);
        let other = Arc::clone(&wal);
        let thread = thread::spawn(move || {
            for _ in 0..2 {
                other.reserve(0).unwrap().keep();
            }
        });
        for _ in 0..claims {
            let payload = Payload::inline(b"");
            wal.append_reserved(payload, Durability::Buffered, &mut Accept)
                .unwrap()
                .unwrap();
        }
        thread.join().unwrap();
    });
}
