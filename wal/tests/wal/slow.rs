//! A disk that keeps chosen calls waiting: who waits with them, and who must not.

use std::sync::Arc;

use vellum_disk::{Disk, DiskTraits, File, Lock, LockMode, Mapped, MemoryDisk, OpenMode};
use vellum_sync::thread::{spawn, yield_now};
use vellum_testkit::Door;
use vellum_wal::{Config, Durability, Payload};

use super::common::{Accept, append, open, payload, small};

/// What waits at the door: the writing of groups, and the creation of large files.
struct SlowDisk {
    inner: MemoryDisk,
    door: Arc<Door>,
}

struct SlowFile {
    inner: Arc<dyn File>,
    door: Arc<Door>,
}

impl Disk for SlowDisk {
    fn open(&self, name: &str, mode: OpenMode) -> std::io::Result<Arc<dyn File>> {
        if name.starts_with("big-") && mode == OpenMode::CreateNew {
            self.door.pass();
        }
        let (inner, door) = (self.inner.open(name, mode)?, Arc::clone(&self.door));
        Ok(Arc::new(SlowFile { inner, door }))
    }

    fn map(&self, name: &str, len: u64) -> std::io::Result<Arc<dyn Mapped>> {
        self.inner.map(name, len)
    }

    fn remove(&self, name: &str) -> std::io::Result<()> {
        self.inner.remove(name)
    }

    fn rename(&self, from: &str, to: &str) -> std::io::Result<()> {
        self.inner.rename(from, to)
    }

    fn list(&self) -> std::io::Result<Vec<String>> {
        self.inner.list()
    }

    fn sync_dir(&self) -> std::io::Result<()> {
        self.inner.sync_dir()
    }

    fn lock(&self, mode: LockMode) -> std::io::Result<Box<dyn Lock>> {
        self.inner.lock(mode)
    }

    fn traits(&self) -> DiskTraits {
        self.inner.traits()
    }
}

impl File for SlowFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<usize> {
        self.inner.read_at(buf, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> std::io::Result<()> {
        self.inner.write_at(bytes, offset)
    }

    fn write_durable(&self, bytes: &[u8], offset: u64) -> std::io::Result<()> {
        if bytes.starts_with(b"VGRP") {
            self.door.pass();
        }
        self.inner.write_durable(bytes, offset)
    }

    fn sync(&self) -> std::io::Result<()> {
        self.inner.sync()
    }

    fn len(&self) -> std::io::Result<u64> {
        self.inner.len()
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.inner.set_len(len)
    }

    fn allocate(&self, len: u64) -> std::io::Result<()> {
        self.inner.allocate(len)
    }
}

fn slow() -> (Arc<dyn Disk>, Arc<Door>) {
    let (inner, door) = (MemoryDisk::new(), Arc::new(Door::default()));
    let disk = SlowDisk {
        inner,
        door: Arc::clone(&door),
    };
    (Arc::new(disk), door)
}

/// A commit that nobody waits for, behind a chunk that has filled up meanwhile.
#[test]
fn a_flush_that_was_requested_during_another_happens() {
    let (disk, door) = slow();
    let config = Config {
        background: true,
        in_flight_max: 1,
        ..small()
    };
    let (wal, _) = open(&disk, &config).unwrap();
    append(&wal, b"first", Durability::Sync).unwrap();
    door.close();
    wal.request_flush();
    door.await_caller();
    let chunk = wal.geometry().chunk_bytes();
    while wal.end().0 < chunk {
        append(&wal, &payload(1, 1000), Durability::Buffered).unwrap();
    }
    let last = append(&wal, b"last", Durability::Sync).unwrap().timestamp;
    wal.request_flush();
    door.open();
    while wal.settled() < last {
        yield_now();
    }
}

/// Large payloads are written before the commit enters; whoever has written his waits for nobody
/// who is still about it.
#[test]
fn the_record_of_a_large_payload_does_not_wait_for_another_s_file() {
    let (disk, door) = slow();
    let (wal, _) = open(&disk, &small()).unwrap();
    let wal = Arc::new(wal);
    let reference = wal.write_large(&[&payload(1, 5000)]).unwrap();
    let payload_of_one = Payload::Large(reference);
    let reservation = wal.reserve(payload_of_one.reserved_len()).unwrap();
    door.close();
    let other = Arc::clone(&wal);
    let thread = spawn(move || other.write_large(&[&payload(2, 70_000)]).unwrap());
    door.await_caller();
    wal.append(reservation, payload_of_one, Durability::Sync, &mut Accept)
        .unwrap()
        .unwrap();
    door.open();
    wal.cancel_large(thread.join().unwrap());
}
