//! One set of scenarios over every disk: a directory on the real file system and on a tmpfs, with
//! what was probed and with each fall-back forced, the disk in memory, and the simulated one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use tempfile::TempDir;
use vellum_disk::{
    BLOCK_BYTES, Batched, DirDisk, Disk, DurableWrites, File, LockMode, Mapped, MappedWrites,
    MemoryDisk, OpenMode, Probe, ReadAt,
};
use vellum_testkit::{CallKind, Fault, Lasting, Random, SimDisk, Trouble};

const BLOCK: u64 = BLOCK_BYTES as u64;

/// A disk, another opening of the same one, and what keeps it.
struct Subject {
    name: &'static str,
    disk: Arc<dyn Disk>,
    again: Box<dyn Fn() -> Arc<dyn Disk>>,
    _directory: Option<TempDir>,
}

fn directory(name: &'static str, place: &str, probe: Probe) -> Option<Subject> {
    let directory = tempfile::tempdir_in(place).ok()?;
    let path = directory.path().join("database");
    let open = move || -> Arc<dyn Disk> { Arc::new(DirDisk::open_with(&path, probe).unwrap()) };
    Some(Subject {
        name,
        disk: open(),
        again: Box::new(open),
        _directory: Some(directory),
    })
}

fn shared<D: Disk + Clone + 'static>(name: &'static str, disk: D) -> Subject {
    let again = disk.clone();
    let again = Box::new(move || -> Arc<dyn Disk> { Arc::new(again.clone()) });
    Subject {
        name,
        disk: Arc::new(disk),
        again,
        _directory: None,
    }
}

/// Every disk, fresh. Cargo's directory for tests is on the file system that is built on.
fn subjects() -> Vec<Subject> {
    let real = env!("CARGO_TARGET_TMPDIR");
    let no_direct = Probe {
        direct: false,
        ..Probe::default()
    };
    let no_mapping = Probe {
        mapped: false,
        ..Probe::default()
    };
    let no_ring = Probe {
        ring: false,
        ..Probe::default()
    };
    let fall_backs = Probe {
        direct: false,
        mapped: false,
        ring: false,
    };
    let directories = [
        directory("directory", real, Probe::default()),
        directory("directory without direct writes", real, no_direct),
        directory("directory without mappings", real, no_mapping),
        directory("directory without rings", real, no_ring),
        directory("directory with all fall-backs", real, fall_backs),
        directory("tmpfs", "/dev/shm", Probe::default()),
        directory("tmpfs with all fall-backs", "/dev/shm", fall_backs),
    ];
    let others = [
        shared("memory", MemoryDisk::new()),
        shared("simulated", SimDisk::new(7)),
    ];
    directories.into_iter().flatten().chain(others).collect()
}

fn each(scenario: impl Fn(&Subject)) {
    for subject in subjects() {
        eprintln!("{}", subject.name);
        scenario(&subject);
    }
}

fn kind<T>(outcome: io::Result<T>) -> Option<ErrorKind> {
    outcome.err().map(|error| error.kind())
}

fn read(file: &dyn File, offset: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0xAA; len];
    let read = file.read_at(&mut bytes, offset).unwrap();
    bytes.truncate(read);
    bytes
}

fn pattern(len: usize, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    (0..len).map(|_| random.next_u64() as u8).collect()
}

#[test]
fn files_are_opened_as_the_mode_says() {
    each(|subject| {
        let disk = &subject.disk;
        assert_eq!(
            kind(disk.open("a", OpenMode::Read)),
            Some(ErrorKind::NotFound)
        );
        assert_eq!(
            kind(disk.open("a", OpenMode::Write)),
            Some(ErrorKind::NotFound)
        );
        let a = disk.open("a", OpenMode::CreateNew).unwrap();
        assert_eq!(a.len().unwrap(), 0);
        assert!(a.is_empty().unwrap());
        assert_eq!(
            kind(disk.open("a", OpenMode::CreateNew)),
            Some(ErrorKind::AlreadyExists)
        );
        a.write_at(b"hello", 0).unwrap();
        assert_eq!(
            read(&*disk.open("a", OpenMode::Write).unwrap(), 0, 9),
            b"hello"
        );
        assert_eq!(
            read(&*(subject.again)().open("a", OpenMode::Read).unwrap(), 0, 9),
            b"hello"
        );
        for name in [
            "",
            ".",
            "..",
            ".x",
            "a/b",
            "/etc/passwd",
            "LOCK",
            "a b",
            "ä",
        ] {
            let invalid = Some(ErrorKind::InvalidInput);
            assert_eq!(kind(disk.open(name, OpenMode::Read)), invalid, "{name}");
            assert_eq!(
                kind(disk.open(name, OpenMode::CreateNew)),
                invalid,
                "{name}"
            );
            assert_eq!(kind(disk.remove(name)), invalid, "{name}");
            assert_eq!(kind(disk.rename(name, "b")), invalid, "{name}");
            assert_eq!(kind(disk.rename("a", name)), invalid, "{name}");
            assert_eq!(kind(disk.map(name, BLOCK)), invalid, "{name}");
        }
    });
}

#[test]
fn a_file_opened_for_reading_is_not_changed() {
    each(|subject| {
        let disk = &subject.disk;
        let writer = disk.open("a", OpenMode::CreateNew).unwrap();
        writer.write_at(&pattern(5000, 1), 0).unwrap();
        let reader = disk.open("a", OpenMode::Read).unwrap();
        let denied = Some(ErrorKind::PermissionDenied);
        assert_eq!(kind(reader.write_at(b"x", 0)), denied);
        assert_eq!(kind(reader.write_durable(&[0; BLOCK_BYTES], 0)), denied);
        assert_eq!(kind(reader.set_len(0)), denied);
        assert_eq!(kind(reader.allocate(1 << 20)), denied);
        let mapped = disk.map("m", BLOCK).unwrap();
        assert_eq!(kind(mapped.flush_to(0..BLOCK, &*reader, 0)), denied);
        reader.sync().unwrap();
        assert_eq!(read(&*writer, 0, 9000), pattern(5000, 1));
    });
}

#[test]
fn writes_grow_files_and_gaps_read_as_zeroes() {
    each(|subject| {
        let file = subject.disk.open("a", OpenMode::CreateNew).unwrap();
        file.write_at(b"x", 100_000).unwrap();
        assert_eq!(file.len().unwrap(), 100_001);
        assert_eq!(read(&*file, 0, 200_000)[..100_000], vec![0; 100_000]);
        assert_eq!(read(&*file, 100_000, 10), b"x");
        assert_eq!(read(&*file, 100_001, 10), b"");
        assert_eq!(read(&*file, 1 << 40, 10), b"");
        file.write_at(b"", 1 << 30).unwrap();
        assert_eq!(
            file.len().unwrap(),
            100_001,
            "writing nothing does not grow"
        );
        let invalid = Some(ErrorKind::InvalidInput);
        assert_eq!(kind(file.write_at(b"xy", i64::MAX as u64 - 1)), invalid);
        assert_eq!(kind(file.write_at(b"x", u64::MAX)), invalid);
        assert_eq!(kind(file.read_at(&mut [0; 2], u64::MAX)), invalid);
        assert_eq!(kind(file.set_len(u64::MAX)), invalid);
        assert_eq!(kind(file.allocate(u64::MAX)), invalid);
    });
}

#[test]
fn durable_writes_keep_to_blocks_and_take_any_memory() {
    each(|subject| {
        let file = subject.disk.open("a", OpenMode::CreateNew).unwrap();
        let invalid = Some(ErrorKind::InvalidInput);
        assert_eq!(kind(file.write_durable(&[1; 100], 0)), invalid);
        assert_eq!(kind(file.write_durable(&[1; BLOCK_BYTES], 512)), invalid);
        assert_eq!(
            kind(file.write_durable(&[1; BLOCK_BYTES], u64::MAX - 4095)),
            invalid
        );
        assert_eq!(file.len().unwrap(), 0);
        file.write_durable(&[], 0).unwrap();
        // Two blocks more than what is copied at once.
        let bytes = pattern((1 << 20) + 3 * BLOCK_BYTES, 2);
        for misaligned in [0, 1, 512] {
            let part = &bytes[misaligned..misaligned + (1 << 20) + 2 * BLOCK_BYTES];
            file.write_durable(part, BLOCK).unwrap();
            assert_eq!(file.len().unwrap(), part.len() as u64 + BLOCK);
            assert!(read(&*file, BLOCK, part.len()) == part);
        }
        assert_eq!(read(&*file, 0, BLOCK_BYTES), vec![0; BLOCK_BYTES]);
        // Beside writes through the cache, in either order.
        file.write_at(&[7; 100], 50).unwrap();
        file.write_durable(&[8; BLOCK_BYTES], 0).unwrap();
        file.write_at(&[9; 100], 150).unwrap();
        let mut expected = vec![8; BLOCK_BYTES];
        expected[150..250].fill(9);
        assert_eq!(read(&*file, 0, BLOCK_BYTES), expected);
    });
}

#[test]
fn lengths_are_set_and_space_is_reserved() {
    each(|subject| {
        let file = subject.disk.open("a", OpenMode::CreateNew).unwrap();
        file.write_at(&[1; 10_000], 0).unwrap();
        file.set_len(5_001).unwrap();
        assert_eq!(read(&*file, 0, 20_000), vec![1; 5_001]);
        file.set_len(20_000).unwrap();
        let mut expected = vec![1; 5_001];
        expected.resize(20_000, 0);
        assert_eq!(
            read(&*file, 0, 30_000),
            expected,
            "what was cut off does not come back"
        );
        file.allocate(100).unwrap();
        assert_eq!(file.len().unwrap(), 20_000, "reserving does not cut");
        file.allocate(40_000).unwrap();
        expected.resize(40_000, 0);
        assert_eq!(read(&*file, 0, 50_000), expected);
        file.allocate(0).unwrap();
        file.set_len(0).unwrap();
        assert_eq!(read(&*file, 0, 10), b"");
        file.sync().unwrap();
    });
}

#[test]
fn names_are_listed_removed_and_renamed() {
    each(|subject| {
        let disk = &subject.disk;
        let _lock = disk.lock(LockMode::Exclusive).unwrap();
        assert_eq!(
            disk.list().unwrap(),
            [""; 0],
            "no lock file, no probe's remains"
        );
        for name in ["a", "b", "c"] {
            disk.open(name, OpenMode::CreateNew)
                .unwrap()
                .write_at(name.as_bytes(), 0)
                .unwrap();
        }
        assert_eq!(kind(disk.remove("x")), Some(ErrorKind::NotFound));
        assert_eq!(kind(disk.rename("x", "a")), Some(ErrorKind::NotFound));
        let a = disk.open("a", OpenMode::Write).unwrap();
        let b = disk.open("b", OpenMode::Write).unwrap();
        disk.rename("a", "b").unwrap();
        disk.rename("c", "c").unwrap();
        disk.sync_dir().unwrap();
        let mut names = (subject.again)().list().unwrap();
        names.sort();
        assert_eq!(names, ["b", "c"]);
        assert_eq!(read(&*disk.open("b", OpenMode::Read).unwrap(), 0, 9), b"a");
        assert_eq!(read(&*a, 0, 9), b"a");
        b.write_at(b"still here", 0).unwrap();
        assert_eq!(
            read(&*b, 0, 20),
            b"still here",
            "a replaced file lives under its handle"
        );
        disk.remove("b").unwrap();
        a.write_durable(&[1; BLOCK_BYTES], 0).unwrap();
        a.sync().unwrap();
        assert_eq!(a.len().unwrap(), BLOCK, "so does a removed one");
        assert_eq!(disk.list().unwrap(), ["c"]);
    });
}

#[test]
fn mappings_keep_what_the_file_held_and_store_into_it() {
    each(|subject| {
        let disk = &subject.disk;
        let file = disk.open("tail", OpenMode::CreateNew).unwrap();
        file.write_at(&[5; 5000], 0).unwrap();
        file.set_len(30_000).unwrap();
        for (len, is) in [(5 * BLOCK, 5000), (BLOCK, 4096), (10 * BLOCK, 4096)] {
            let mapped = disk.map("tail", len).unwrap();
            assert_eq!((mapped.len(), mapped.is_empty()), (len, false));
            let mut expected = vec![5; is];
            expected.resize(len as usize, 0);
            assert_eq!(read(&*file, 0, 100_000), expected);
        }
        let mapped = disk.map("tail", 10 * BLOCK).unwrap();
        mapped.write(&[6; 1000], 4000).unwrap();
        mapped.write(&[7; 3], 10 * BLOCK - 3).unwrap();
        mapped.write(&[], 10 * BLOCK).unwrap();
        assert_eq!(read(&*file, 4000, 1000), [6; 1000]);
        assert_eq!(read(&*file, 10 * BLOCK - 4, 10), [0, 7, 7, 7]);
        let invalid = Some(ErrorKind::InvalidInput);
        assert_eq!(kind(mapped.write(&[1; 3], 10 * BLOCK - 2)), invalid);
        assert_eq!(kind(mapped.write(&[1], u64::MAX)), invalid);
        for bad in [0, 100, BLOCK + 512, u64::MAX] {
            assert_eq!(kind(disk.map("other", bad)), invalid, "{bad}");
        }
    });
}

#[test]
fn mappings_are_flushed_to_files_durably() {
    each(|subject| {
        let disk = &subject.disk;
        let mapped = disk.map("tail", 64 * BLOCK).unwrap();
        let bytes = pattern(64 * BLOCK_BYTES, 3);
        for (at, part) in bytes.chunks(999).enumerate() {
            mapped.write(part, at as u64 * 999).unwrap();
        }
        let foreign = MemoryDisk::new().open("f", OpenMode::CreateNew).unwrap();
        for file in [disk.open("a", OpenMode::CreateNew).unwrap(), foreign] {
            mapped
                .flush_to(BLOCK..63 * BLOCK, &*file, 2 * BLOCK)
                .unwrap();
            assert_eq!(file.len().unwrap(), 64 * BLOCK);
            assert!(read(&*file, 2 * BLOCK, 1 << 20) == bytes[BLOCK_BYTES..63 * BLOCK_BYTES]);
            assert_eq!(read(&*file, 0, 100), [0; 100]);
            mapped.flush_to(BLOCK..BLOCK, &*file, 0).unwrap();
            let invalid = Some(ErrorKind::InvalidInput);
            assert_eq!(kind(mapped.flush_to(0..100, &*file, 0)), invalid);
            assert_eq!(kind(mapped.flush_to(0..BLOCK, &*file, 7)), invalid);
            assert_eq!(kind(mapped.flush_to(512..BLOCK + 512, &*file, 0)), invalid);
            assert_eq!(kind(mapped.flush_to(0..65 * BLOCK, &*file, 0)), invalid);
            #[expect(clippy::reversed_empty_ranges, reason = "that is what is refused")]
            let backwards = 2 * BLOCK..BLOCK;
            assert_eq!(kind(mapped.flush_to(backwards, &*file, 0)), invalid);
        }
    });
}

#[test]
fn a_mapped_file_is_mapped_once_and_not_cut() {
    each(|subject| {
        let disk = &subject.disk;
        let mapped = disk.map("tail", 2 * BLOCK).unwrap();
        let file = disk.open("tail", OpenMode::Write).unwrap();
        let busy = Some(ErrorKind::ResourceBusy);
        assert_eq!(kind(disk.map("tail", 2 * BLOCK)), busy);
        assert_eq!(kind(file.set_len(BLOCK)), busy);
        file.set_len(3 * BLOCK).unwrap();
        disk.rename("tail", "old").unwrap();
        let _other = disk.map("tail", BLOCK).unwrap();
        assert_eq!(
            kind(disk.map("old", 2 * BLOCK)),
            busy,
            "a name is not the file"
        );
        disk.remove("old").unwrap();
        mapped.write(b"still", 0).unwrap();
        assert_eq!(read(&*file, 0, 5), b"still");
        drop(mapped);
        file.set_len(0).unwrap();
    });
}

#[test]
fn locks_exclude_at_once_and_end_with_their_guard() {
    each(|subject| {
        let (disk, other) = (&subject.disk, (subject.again)());
        let excluded = Some(ErrorKind::WouldBlock);
        let exclusive = disk.lock(LockMode::Exclusive).unwrap();
        for disk in [disk, &other] {
            assert_eq!(kind(disk.lock(LockMode::Exclusive)), excluded);
            assert_eq!(kind(disk.lock(LockMode::Shared)), excluded);
        }
        drop(exclusive);
        let shared = [
            disk.lock(LockMode::Shared).unwrap(),
            other.lock(LockMode::Shared).unwrap(),
        ];
        assert_eq!(kind(disk.lock(LockMode::Exclusive)), excluded);
        let [first, second] = shared;
        drop(first);
        assert_eq!(kind(other.lock(LockMode::Exclusive)), excluded);
        drop(second);
        drop(other.lock(LockMode::Exclusive).unwrap());
        drop(disk.lock(LockMode::Exclusive).unwrap());
    });
}

#[test]
fn threads_store_and_write_beside_each_other() {
    each(|subject| {
        let disk = &subject.disk;
        let mapped = disk.map("tail", 16 * BLOCK).unwrap();
        let file = disk.open("a", OpenMode::CreateNew).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4u64 {
                let (mapped, file) = (&mapped, &file);
                // Each thread has every fourth piece: all borders are shared.
                scope.spawn(move || store_pieces(&**mapped, &**file, thread));
            }
        });
        let expected: Vec<u8> = (0..16 * BLOCK_BYTES)
            .map(|at| (at / 37 % 4 + 1) as u8 * 10)
            .collect();
        let tail = disk.open("tail", OpenMode::Read).unwrap();
        assert!(read(&*tail, 0, 1 << 20)[..65_490] == expected[..65_490]);
        assert!(read(&*file, 0, 1 << 20)[..65_490] == expected[..65_490]);
    });
}

fn store_pieces(mapped: &dyn Mapped, file: &dyn File, thread: u64) {
    for piece in (thread..16 * BLOCK / 37).step_by(4) {
        let bytes = [(thread + 1) as u8 * 10; 37];
        mapped.write(&bytes, piece * 37).unwrap();
        file.write_at(&bytes, piece * 37).unwrap();
    }
}

#[test]
fn random_calls_agree_with_a_vector_of_bytes() {
    each(|subject| {
        let disk = &subject.disk;
        let mut random = Random::new(11);
        let mut model: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
        let names = ["a", "b", "c"];
        for _ in 0..400 {
            let name = names[random.index(3)];
            let expected = model.entry(name).or_insert_with(|| {
                disk.open(name, OpenMode::CreateNew).unwrap();
                Vec::new()
            });
            let file = disk.open(name, OpenMode::Write).unwrap();
            let at = random.index(40_000);
            match random.below(8) {
                0 => {
                    file.set_len(at as u64).unwrap();
                    expected.resize(at, 0);
                }
                1 => {
                    let at = at / BLOCK_BYTES * BLOCK_BYTES;
                    let bytes = pattern((1 + random.index(3)) * BLOCK_BYTES, random.next_u64());
                    file.write_durable(&bytes, at as u64).unwrap();
                    put(expected, at, &bytes);
                }
                2 => {
                    file.allocate(at as u64).unwrap();
                    expected.resize(expected.len().max(at), 0);
                }
                3 => {
                    let len = (1 + random.index(8)) * BLOCK_BYTES;
                    let mapped = disk.map(name, len as u64).unwrap();
                    expected.resize(len, 0);
                    let bytes = pattern(random.index(300), random.next_u64());
                    let at = random.index(len - 300);
                    mapped.write(&bytes, at as u64).unwrap();
                    put(expected, at, &bytes);
                }
                4 => {
                    disk.rename(name, "c").unwrap();
                    let bytes = model.remove(name).unwrap();
                    model.insert("c", bytes);
                    continue;
                }
                _ => {
                    let bytes = pattern(random.index(9_000), random.next_u64());
                    file.write_at(&bytes, at as u64).unwrap();
                    if !bytes.is_empty() {
                        put(expected, at, &bytes);
                    }
                }
            }
            assert!(read(&*file, 0, 100_000) == *expected);
        }
    });
}

fn put(expected: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    expected.resize(expected.len().max(at + bytes.len()), 0);
    expected[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Reads parts of these places and lengths, together, and sees that each is what the file holds.
fn read_together(file: &dyn File, parts: &[(u64, usize)], held: &[u8]) {
    let mut bufs: Vec<_> = parts.iter().map(|(_, len)| vec![0xAA; *len]).collect();
    let reads = bufs.iter_mut().zip(parts);
    let mut reads: Vec<_> = reads.map(|(buf, (at, _))| ReadAt::new(buf, *at)).collect();
    file.read_many(&mut reads);
    for (read, (at, len)) in reads.iter().zip(parts) {
        if i64::try_from(*at).is_err() {
            assert_eq!(kind(clone(&read.outcome)), Some(ErrorKind::InvalidInput));
            continue;
        }
        let start = held.len().min(*at as usize);
        let there = &held[start..held.len().min(start + len)];
        assert_eq!(*read.outcome.as_ref().unwrap(), there.len(), "{at} {len}");
        assert!(read.buf[..there.len()] == *there, "{len} bytes at {at}");
    }
}

fn clone(outcome: &io::Result<usize>) -> io::Result<usize> {
    let same = |error: &io::Error| error.kind().into();
    outcome.as_ref().copied().map_err(same)
}

#[test]
fn a_batch_is_its_parts() {
    each(|subject| {
        let file = subject.disk.open("a", OpenMode::CreateNew).unwrap();
        file.write_many(&[]).unwrap();
        file.read_many(&mut []);
        let mut held = Vec::new();
        let parts = [(0, 100_000), (150_000, 1), (120_000, 5000), (160_000, 0)];
        let bytes: Vec<_> = parts
            .iter()
            .map(|(_, len)| pattern(*len, *len as u64))
            .collect();
        let writes: Vec<_> = bytes
            .iter()
            .zip(parts)
            .map(|(b, (at, _))| (&**b, at))
            .collect();
        file.write_many(&writes).unwrap();
        for (bytes, at) in writes {
            if !bytes.is_empty() {
                put(&mut held, at as usize, bytes);
            }
        }
        assert!(read(&*file, 0, 200_000) == held);
        let mut random = Random::new(5);
        for count in [1, 2, 3, 4, 5, 31, 32, 33, 200] {
            let part = |_| {
                (
                    random.next_u64() % 160_000,
                    (random.next_u64() % 9000) as usize,
                )
            };
            let mut parts: Vec<_> = (0..count).map(part).collect();
            read_together(&*file, &parts, &held);
            // Across the end, behind it, nothing, and where no file reaches.
            parts[count / 2] = (149_990, 50);
            read_together(&*file, &parts, &held);
            parts[0] = (1 << 40, 50);
            parts[count - 1] = (20, 0);
            read_together(&*file, &parts, &held);
            parts[count / 2] = (u64::MAX, 50);
            read_together(&*file, &parts, &held);
        }
        let impossible = file.write_many(&[(b"a", 0), (b"b", u64::MAX)]);
        assert_eq!(kind(impossible), Some(ErrorKind::InvalidInput));
        let reader = subject.disk.open("a", OpenMode::Read).unwrap();
        let refused = reader.write_many(&[(b"a", 0), (b"b", 9)]);
        assert_eq!(kind(refused), Some(ErrorKind::PermissionDenied));
    });
}

#[test]
fn many_threads_read_together() {
    each(|subject| {
        let file = subject.disk.open("a", OpenMode::CreateNew).unwrap();
        let held = Arc::new(pattern(1 << 20, 3));
        file.write_at(&held, 0).unwrap();
        let threads: Vec<_> = (0..8)
            .map(|seed| {
                let (file, held) = (Arc::clone(&file), Arc::clone(&held));
                vellum_sync::thread::spawn(move || {
                    let mut random = Random::new(seed);
                    for _ in 0..50 {
                        let part = |_| (random.next_u64() % (1 << 20), 8192);
                        let parts: Vec<_> = (0..20).map(part).collect();
                        read_together(&*file, &parts, &held);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn each_part_of_a_batch_fails_for_itself() {
    let disk = SimDisk::new(1);
    let file = disk.open("a", OpenMode::CreateNew).unwrap();
    file.write_at(&[7; 400], 0).unwrap();
    for fails in 0..4 {
        disk.fail(Fault {
            at: disk.call_count() + fails,
            trouble: Trouble::Io,
            lasting: Lasting::Once,
            only: Some(CallKind::Read),
        });
        let mut bufs = [[0; 100]; 4];
        let mut reads = bufs.each_mut().map(|buf| ReadAt::new(buf, 0));
        file.read_many(&mut reads);
        for (at, read) in reads.iter().enumerate() {
            assert_eq!(read.outcome.is_err(), at as u64 == fails);
            assert!(read.outcome.is_err() || *read.buf == [7; 100]);
        }
    }
    // Those before a part that fails are written, and it says which way it failed.
    disk.fail(Fault {
        at: disk.call_count() + 1,
        trouble: Trouble::Full,
        lasting: Lasting::Once,
        only: Some(CallKind::Write),
    });
    let error = file.write_many(&[(&[1; 10], 0), (&[2; 10], 100), (&[3; 10], 200)]);
    assert_eq!(kind(error), Some(ErrorKind::StorageFull));
    assert_eq!(read(&*file, 0, 10), [1; 10]);
}

#[test]
fn what_was_probed_is_told() {
    for subject in subjects() {
        let traits = subject.disk.traits();
        let plain = ["without rings", "all fall-backs", "memory", "simulated"];
        let plain = plain.iter().any(|name| subject.name.ends_with(name));
        assert!(!plain || traits.batched == Batched::Plain);
        let (durable, mapped) = match subject.name {
            "directory without direct writes" => (Some(DurableWrites::Synced), None),
            "directory without mappings" => (None, Some(MappedWrites::Written)),
            "directory with all fall-backs" | "tmpfs with all fall-backs" => {
                (Some(DurableWrites::Synced), Some(MappedWrites::Written))
            }
            "tmpfs" => (None, Some(MappedWrites::Mapped)),
            "memory" | "simulated" => (
                Some(DurableWrites::Simulated),
                Some(MappedWrites::Simulated),
            ),
            _ => (None, None),
        };
        assert!(
            durable.is_none_or(|durable| durable == traits.durable_writes),
            "{}",
            subject.name
        );
        assert!(
            mapped.is_none_or(|mapped| mapped == traits.mapped_writes),
            "{}",
            subject.name
        );
        eprintln!("{}: {traits:?}", subject.name);
    }
}
