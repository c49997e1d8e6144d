//! What a directory disk takes, creates and refuses: paths, permissions, links, strange files,
//! opening for reading, and the descriptors it lives on.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use tempfile::{TempDir, tempdir_in};
use vellum_disk::{BLOCK_BYTES, DirDisk, Disk, LockMode, OpenMode, Probe, sync_rate};

fn temporary() -> TempDir {
    tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn kind<T>(outcome: io::Result<T>) -> Option<ErrorKind> {
    outcome.err().map(|error| error.kind())
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

/// Everything in a directory: names, sizes, times of change.
fn inventory(path: &Path) -> Vec<(String, u64, i64, i64)> {
    let entry = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        let data = entry.metadata().unwrap();
        let name = entry.file_name().into_string().unwrap();
        (name, data.len(), data.ctime(), data.ctime_nsec())
    };
    let mut all: Vec<_> = fs::read_dir(path).unwrap().map(entry).collect();
    let own = fs::metadata(path).unwrap();
    all.push((".".into(), 0, own.ctime(), own.ctime_nsec()));
    all.sort();
    all
}

#[test]
fn what_is_created_is_its_owners_alone() {
    let place = temporary();
    let path = place.path().join("new");
    let disk = DirDisk::open(&path).unwrap();
    let _lock = disk.lock(LockMode::Exclusive).unwrap();
    disk.open("file", OpenMode::CreateNew).unwrap();
    drop(disk.map("mapped", BLOCK_BYTES as u64).unwrap());
    assert_eq!(mode(&path), 0o700);
    for name in ["file", "mapped", "LOCK"] {
        assert_eq!(mode(&path.join(name)), 0o600, "{name}");
    }
    assert_eq!(inventory(&path).len(), 4, "nothing else is there");
}

#[test]
fn paths_that_are_no_directory_are_refused_by_name() {
    let place = temporary();
    let file = place.path().join("file");
    fs::write(&file, b"a file").unwrap();
    let error = DirDisk::open(&file).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::NotADirectory);
    assert!(error.to_string().contains("file"), "{error}");
    assert_eq!(
        kind(DirDisk::open_read_only(&file)),
        Some(ErrorKind::NotADirectory)
    );
    assert_eq!(
        kind(DirDisk::open(place.path().join("a/b"))),
        Some(ErrorKind::NotFound)
    );
    assert_eq!(
        kind(DirDisk::open_read_only(place.path().join("a"))),
        Some(ErrorKind::NotFound)
    );
    assert_eq!(fs::read(&file).unwrap(), b"a file");
    assert_eq!(inventory(place.path()).len(), 2, "nothing was created");
}

#[test]
fn a_directory_that_is_not_writable_is_refused_at_opening() {
    let place = temporary();
    let path = place.path().join("sealed");
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o555)).unwrap();
    // The superuser is not bound by permissions; procfs lets nobody create files.
    let bound = fs::write(path.join("x"), b"").is_err();
    if bound {
        assert_eq!(
            kind(DirDisk::open(&path)),
            Some(ErrorKind::PermissionDenied)
        );
    }
    assert!(DirDisk::open("/proc").is_err());
    assert!(DirDisk::open("/proc/new").is_err());
}

#[test]
fn links_pipes_and_directories_are_not_followed_into() {
    let place = temporary();
    let disk = DirDisk::open(place.path()).unwrap();
    let outside = temporary();
    let target = outside.path().join("target");
    fs::write(&target, b"precious").unwrap();
    symlink(&target, place.path().join("link")).unwrap();
    symlink(&target, place.path().join("LOCK")).unwrap();
    fs::create_dir(place.path().join("directory")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        place.path().join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    for name in ["link", "pipe", "directory"] {
        for mode in [OpenMode::Read, OpenMode::Write, OpenMode::CreateNew] {
            assert!(disk.open(name, mode).is_err(), "{name} {mode:?}");
        }
        assert!(disk.map(name, BLOCK_BYTES as u64).is_err(), "{name}");
    }
    assert!(disk.lock(LockMode::Exclusive).is_err());
    assert_eq!(fs::read(&target).unwrap(), b"precious");
    assert_eq!(disk.list().unwrap(), [""; 0]);
    // Foreign files with names that are not ours are left out as well.
    fs::write(place.path().join("a b"), b"").unwrap();
    fs::write(place.path().join(".hidden"), b"").unwrap();
    fs::write(place.path().join("plain"), b"").unwrap();
    assert_eq!(disk.list().unwrap(), ["plain"]);
}

#[test]
fn the_directory_is_held_not_its_path() {
    let place = temporary();
    let (path, moved) = (place.path().join("db"), place.path().join("moved"));
    let disk = DirDisk::open(&path).unwrap();
    fs::rename(&path, &moved).unwrap();
    disk.open("file", OpenMode::CreateNew)
        .unwrap()
        .write_durable(&[1; BLOCK_BYTES], 0)
        .unwrap();
    disk.sync_dir().unwrap();
    assert_eq!(fs::read(moved.join("file")).unwrap(), [1; BLOCK_BYTES]);
    assert!(!path.exists());
}

#[test]
fn a_disk_opened_for_reading_changes_nothing() {
    let place = temporary();
    let path = place.path().join("db");
    assert_eq!(
        kind(DirDisk::open_read_only(&path)),
        Some(ErrorKind::NotFound)
    );
    assert!(!path.exists());
    fs::create_dir(&path).unwrap();
    fs::write(path.join("file"), [7; 100]).unwrap();
    let before = inventory(&path);
    let reader = DirDisk::open_read_only(&path).unwrap();
    // A database always has its lock file, from its first writer on.
    assert_eq!(
        kind(reader.lock(LockMode::Shared)),
        Some(ErrorKind::NotFound)
    );
    let refused = Some(ErrorKind::ReadOnlyFilesystem);
    assert_eq!(kind(reader.lock(LockMode::Exclusive)), refused);
    assert_eq!(kind(reader.open("file", OpenMode::Write)), refused);
    assert_eq!(kind(reader.open("new", OpenMode::CreateNew)), refused);
    assert_eq!(kind(reader.map("file", BLOCK_BYTES as u64)), refused);
    assert_eq!(kind(reader.remove("file")), refused);
    assert_eq!(kind(reader.rename("file", "b")), refused);
    assert_eq!(kind(reader.sync_dir()), refused);
    let mut bytes = [0; 200];
    assert_eq!(
        reader
            .open("file", OpenMode::Read)
            .unwrap()
            .read_at(&mut bytes, 0)
            .unwrap(),
        100
    );
    assert_eq!(inventory(&path), before);
    drop(
        DirDisk::open(&path)
            .unwrap()
            .lock(LockMode::Exclusive)
            .unwrap(),
    );
    let before = inventory(&path);
    let _shared = reader.lock(LockMode::Shared).unwrap();
    assert_eq!(inventory(&path), before);
}

#[test]
fn mapped_files_are_backed_by_the_disk_everywhere() {
    for probe in [
        Probe::default(),
        Probe {
            mapped: false,
            direct: false,
            ..Probe::default()
        },
    ] {
        let place = temporary();
        let disk = DirDisk::open_with(place.path(), probe).unwrap();
        let len = 1 << 20;
        let backed = |name: &str| {
            let data = fs::metadata(place.path().join(name)).unwrap();
            (data.len(), data.blocks() * 512 >= data.len())
        };
        drop(disk.map("new", len).unwrap());
        assert_eq!(backed("new"), (len, true));
        let sparse = disk.open("sparse", OpenMode::CreateNew).unwrap();
        sparse.write_at(b"in the middle", 300_000).unwrap();
        sparse.set_len(2 * len).unwrap();
        assert_eq!(backed("sparse"), (2 * len, false));
        drop(disk.map("sparse", len).unwrap());
        assert_eq!(backed("sparse"), (len, true));
        let mut bytes = [0; 13];
        sparse.read_at(&mut bytes, 300_000).unwrap();
        assert_eq!(&bytes, b"in the middle");
        let reserved = disk.open("reserved", OpenMode::CreateNew).unwrap();
        reserved.allocate(len).unwrap();
        assert_eq!(backed("reserved"), (len, true));
    }
}

#[test]
fn the_rate_of_syncs_is_measured_and_leaves_nothing() {
    let place = temporary();
    let rate = sync_rate(place.path(), 20).unwrap();
    assert_eq!(rate.writes, 20);
    assert!(rate.per_second() > 0.0 && rate.median <= rate.elapsed);
    assert_eq!(inventory(place.path()).len(), 1);
}
