//! What the database's own threads could not do is told to those who wait for it, and done later.

#![cfg(test)]

use std::io;
use std::sync::Arc;
use std::time::Duration;

use vellum::{Database, Durability, Error, Options, Table};
use vellum_disk::{Disk, DiskTraits, File, Lock, LockMode, Mapped, MemoryDisk, OpenMode, ReadAt};
use vellum_sync::atomic::{AtomicBool, Ordering};
use vellum_sync::thread;
use vellum_testkit::Door;

/// A disk that is full for some, and not for others, or worse.
#[derive(Default)]
struct FullDisk {
    disk: MemoryDisk,
    full: Arc<FullFor>,
}

#[derive(Default)]
struct FullFor {
    checkpoints: AtomicBool,
    /// No segment of the log can be made.
    log: AtomicBool,
    /// Who merges panics when it writes.
    merges: AtomicBool,
    /// Who merges cannot read.
    merges_read: AtomicBool,
    /// Whoever writes or syncs waits.
    writes: Door,
}

fn check(full: bool) -> io::Result<()> {
    match full {
        true => Err(io::ErrorKind::StorageFull.into()),
        false => Ok(()),
    }
}

impl Disk for FullDisk {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let is_segment = mode != OpenMode::Read && name.starts_with("wal");
        check(is_segment && self.full.log.load(Ordering::Acquire))?;
        let (file, full) = (self.disk.open(name, mode)?, Arc::clone(&self.full));
        Ok(Arc::new(FullFile { file, full }))
    }
    fn map(&self, name: &str, len: u64) -> io::Result<Arc<dyn Mapped>> {
        self.disk.map(name, len)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }
    fn sync_dir(&self) -> io::Result<()> {
        self.disk.sync_dir()
    }
    fn lock(&self, mode: LockMode) -> io::Result<Box<dyn Lock>> {
        self.disk.lock(mode)
    }
    fn traits(&self) -> DiskTraits {
        self.disk.traits()
    }
}

struct FullFile {
    file: Arc<dyn File>,
    full: Arc<FullFor>,
}

fn is_merger() -> bool {
    std::thread::current().name() == Some("vellum-merger")
}

impl FullFile {
    fn check_read(&self) -> io::Result<()> {
        match is_merger() && self.full.merges_read.load(Ordering::Acquire) {
            true => Err(io::Error::other("as the test asked for")),
            false => Ok(()),
        }
    }

    fn check(&self) -> io::Result<()> {
        self.full.writes.pass();
        assert!(
            !is_merger() || !self.full.merges.load(Ordering::Acquire),
            "as the test asked for"
        );
        let is_checkpoint = std::thread::current().name() == Some("vellum-checkpoint");
        check(is_checkpoint && self.full.checkpoints.load(Ordering::Acquire))
    }
}

impl File for FullFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.check_read()?;
        self.file.read_at(buf, offset)
    }
    fn read_many(&self, reads: &mut [ReadAt<'_>]) {
        if let Err(error) = self.check_read() {
            let failed = || io::Error::new(error.kind(), error.to_string());
            reads
                .iter_mut()
                .for_each(|read| read.outcome = Err(failed()));
            return;
        }
        self.file.read_many(reads);
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.check()?;
        self.file.write_at(bytes, offset)
    }
    fn write_many(&self, writes: &[(&[u8], u64)]) -> io::Result<()> {
        self.check()?;
        self.file.write_many(writes)
    }
    fn write_durable(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.full.writes.pass();
        self.file.write_durable(bytes, offset)
    }
    fn sync(&self) -> io::Result<()> {
        self.full.writes.pass();
        self.file.sync()
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
    fn allocate(&self, len: u64) -> io::Result<()> {
        self.file.allocate(len)
    }
}

fn write(db: &Database, table: &Table, number: u64) -> Result<(), Error> {
    let mut txn = db.begin()?;
    txn.insert(table, (number % 5000).to_be_bytes(), vec![7; 2000])?;
    txn.commit_with(Durability::Buffered).map(drop)
}

fn checkpoints(db: &Database) -> u64 {
    db.stats().unwrap().pages.checkpoints
}

/// Reading, and writing until the commit, wait for no disk, and so for no other transaction.
#[test]
fn who_reads_waits_for_nobody_while_the_disk_stands_still() {
    const KEYS: u64 = 1000;
    let disk = FullDisk::default();
    let full = Arc::clone(&disk.full);
    let options = Options::new().memory_budget(16 << 20);
    let db = options.open_on(Arc::new(disk)).unwrap();
    let items = db.table("items").unwrap();
    for number in 0..KEYS {
        write(&db, &items, number).unwrap();
    }
    // Half of them from pages.
    db.checkpoint().unwrap();
    for number in 0..KEYS / 2 {
        write(&db, &items, number).unwrap();
    }
    db.sync().unwrap();
    let before = db.begin_read().unwrap();
    full.writes.close();
    let (committer, table) = (db.clone(), items.clone());
    let waiting = thread::spawn(move || {
        let mut txn = committer.begin().unwrap();
        txn.insert(&table, "durable", "yes").unwrap();
        txn.commit().unwrap()
    });
    full.writes.await_caller();
    while db.begin().unwrap().timestamp() == before.timestamp() {
        thread::yield_now();
    }
    for _ in 0..3 {
        let read = db.begin_read().unwrap();
        assert_eq!(read.timestamp(), before.timestamp(), "only what is settled");
        for read in [&read, &before] {
            assert_eq!(read.iter(&items).unwrap().count() as u64, KEYS);
            for number in 0..KEYS {
                assert!(read.contains_key(&items, number.to_be_bytes()).unwrap());
            }
        }
        let mut txn = db.begin().unwrap();
        assert_eq!(txn.get(&items, "durable").unwrap().unwrap(), "yes");
        txn.insert(&items, "buffered", "yes").unwrap();
        let _committed = txn.commit_with(Durability::Buffered).unwrap();
    }
    full.writes.open();
    let at = waiting.join().unwrap();
    db.sync().unwrap();
    let read = db.begin_read().unwrap();
    assert!(read.timestamp() > at);
    assert!(read.contains_key(&items, "buffered").unwrap());
}

/// Many: what they wait for comes long before.
const COMMITS: u64 = 200_000;

#[test]
fn a_checkpoint_that_fails_is_told_to_those_who_wait_and_made_when_it_can_be() {
    let disk = FullDisk::default();
    let full = Arc::clone(&disk.full);
    let options = Options::new().memory_budget(8 << 20);
    let db = options.open_on(Arc::new(disk)).unwrap();
    let table = db.table("t").unwrap();
    full.checkpoints.store(true, Ordering::Release);
    let before = checkpoints(&db);
    let told = (0..COMMITS).find_map(|number| write(&db, &table, number).err());
    assert!(matches!(told, Some(Error::DiskFull(_))), "{told:?}");
    assert_eq!(checkpoints(&db), before);
    full.checkpoints.store(false, Ordering::Release);
    // It is made although nobody commits: what failed is tried again.
    let is_made = |_: &u32| {
        vellum_sync::thread::sleep(Duration::from_millis(10));
        checkpoints(&db) > before
    };
    assert!((0..3_000).find(is_made).is_some(), "it is never made");
    let mut numbers = 0..COMMITS / 10;
    numbers
        .try_for_each(|number| write(&db, &table, number))
        .unwrap();
}

#[test]
fn who_waits_is_told_why_there_is_no_merge() {
    let disk = FullDisk::default();
    let full = Arc::clone(&disk.full);
    let options = Options::new().memory_budget(8 << 20);
    let db = options.open_on(Arc::new(disk)).unwrap();
    let table = db.table("t").unwrap();
    for number in 0..COMMITS / 20 {
        write(&db, &table, number).unwrap();
    }
    full.merges_read.store(true, Ordering::Release);
    let told = (0..COMMITS).find_map(|number| write(&db, &table, number).err());
    assert!(matches!(told, Some(Error::Io { .. })), "{told:?}");
    full.merges_read.store(false, Ordering::Release);
    let is_done = |_: &u32| {
        vellum_sync::thread::sleep(Duration::from_millis(10));
        let mut numbers = 0..COMMITS / 20;
        let done = numbers.try_for_each(|number| write(&db, &table, number));
        done.is_ok()
    };
    assert!((0..3_000).find(is_done).is_some(), "it is told for ever");
}

#[test]
fn a_checkpoint_without_room_for_its_note_is_not_begun() {
    let disk = FullDisk::default();
    let full = Arc::clone(&disk.full);
    let options = Options::new().background(false).log_segment_bytes(64 << 10);
    let db = options.open_on(Arc::new(disk)).unwrap();
    let table = db.table("t").unwrap();
    // Less than the note of a checkpoint.
    let write = |_| {
        let mut txn = db.begin()?;
        txn.remove(&table, "k")?;
        txn.commit_with(Durability::Buffered).map(drop)
    };
    full.log.store(true, Ordering::Release);
    let told = (0..COMMITS).find_map(|number| write(number).err());
    assert!(matches!(told, Some(Error::DiskFull(_))), "{told:?}");
    for _ in 0..2 {
        let refused = db.checkpoint();
        assert!(matches!(refused, Err(Error::DiskFull(_))), "{refused:?}");
    }
    full.log.store(false, Ordering::Release);
    let before = checkpoints(&db);
    db.checkpoint().unwrap();
    assert_eq!(checkpoints(&db), before + 1);
    write(0).unwrap();
}

#[test]
fn who_waits_hears_of_a_panic_and_the_database_can_be_opened_again() {
    let disk = Arc::new(FullDisk::default());
    let options = Options::new().memory_budget(8 << 20);
    let db = options.open_on(Arc::clone(&disk) as _).unwrap();
    let table = db.table("t").unwrap();
    disk.full.merges.store(true, Ordering::Release);
    let told = (0..COMMITS).find_map(|number| write(&db, &table, number).err());
    assert!(matches!(told, Some(Error::Poisoned(_))), "{told:?}");
    drop((table, db));
    disk.full.merges.store(false, Ordering::Release);
    let db = options.open_on(disk).unwrap();
    let table = db.table("t").unwrap();
    write(&db, &table, 0).unwrap();
}
