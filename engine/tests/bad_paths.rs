//! Paths that are no database of ours are refused at once, by name, and nothing on them changes.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod common;

use std::fs;
use std::io;
use std::sync::Arc;

use common::{Place, now, put, small};
use vellum::disk::{Disk, DiskTraits, File, Lock, LockMode, Mapped, MemoryDisk, OpenMode};
use vellum::{Database, Error, Options, Remedy};

#[test]
fn a_second_opening_fails_at_once_and_harms_nobody() {
    let place = Place::new();
    let db = place.open();
    let items = db.table("items").unwrap();
    put(&db, &items, "k", "v");
    for options in [small(), small().read_only(true)] {
        let error = options.open(place.path()).unwrap_err();
        assert!(matches!(&error, Error::AlreadyOpen { path } if path.ends_with("test.vellum")));
        assert_eq!(error.remedy(), Remedy::FixThePath);
    }
    put(&db, &items, "k", "w");
    drop(db);
    let db = place.open();
    assert_eq!(
        now(&db, &db.open_table("items").unwrap(), "k").as_deref(),
        Some("w")
    );
}

#[test]
fn a_path_that_is_a_file() {
    let place = Place::new();
    fs::write(place.path(), "precious").unwrap();
    for options in [small(), small().read_only(true)] {
        assert!(matches!(
            options.open(place.path()),
            Err(Error::NotADirectory { .. })
        ));
    }
    assert_eq!(fs::read(place.path()).unwrap(), b"precious");
    assert!(matches!(
        Database::open(place.path().join("below")),
        Err(Error::NotADirectory { .. })
    ));
}

#[test]
fn a_parent_that_is_missing() {
    let place = Place::new();
    let path = place.path().join("far/below");
    assert!(matches!(Database::open(&path), Err(Error::NotFound { .. })));
    assert!(!place.path().exists());
}

#[test]
fn a_directory_with_somebody_elses_files() {
    let place = Place::new();
    fs::create_dir(place.path()).unwrap();
    fs::write(place.path().join("thesis.txt"), "precious").unwrap();
    let before = place.contents();
    for options in [small(), small().read_only(true)] {
        let error = options.open(place.path()).unwrap_err();
        assert!(matches!(&error, Error::Foreign { what, .. } if what.contains("thesis.txt")));
    }
    assert_eq!(place.contents(), before);
}

#[test]
fn strange_files_beside_the_databases_own_are_left_alone() {
    let place = Place::new();
    drop(place.open());
    fs::write(place.path().join("notes.txt"), "precious").unwrap();
    drop(place.open());
    assert_eq!(
        fs::read(place.path().join("notes.txt")).unwrap(),
        b"precious"
    );
}

/// The root of a file system that was just made has `lost+found`, and nothing else.
#[test]
fn a_directory_that_holds_but_directories_takes_a_new_database() {
    let place = Place::new();
    let found = place.path().join("lost+found");
    fs::create_dir_all(&found).unwrap();
    fs::write(found.join("#12"), "precious").unwrap();
    assert!(matches!(
        small().read_only(true).open(place.path()),
        Err(Error::NotFound { .. })
    ));
    for value in ["v", "w"] {
        let db = place.open();
        put(&db, &db.table("items").unwrap(), "k", value);
        db.close().unwrap();
    }
    let db = small().read_only(true).open(place.path()).unwrap();
    let items = db.open_table("items").unwrap();
    assert_eq!(now(&db, &items, "k").as_deref(), Some("w"));
    assert_eq!(fs::read(found.join("#12")).unwrap(), b"precious");
}

fn first_segment(place: &Place) -> std::path::PathBuf {
    let names = place.contents().into_iter().map(|(name, _)| name);
    let mut segments = names.filter(|name| name.starts_with("wal-") && name.ends_with(".log"));
    place.path().join(segments.next().unwrap())
}

#[test]
fn a_foreign_file_under_a_name_of_the_logs() {
    let place = Place::new();
    let db = place.open();
    put(&db, &db.table("items").unwrap(), "k", "v");
    db.close().unwrap();
    let segment = first_segment(&place);
    let kept = fs::read(&segment).unwrap();
    fs::write(&segment, b"#!/bin/sh\n".repeat(10_000)).unwrap();
    let before = place.contents();
    for options in [small(), small().read_only(true)] {
        let error = options.open(place.path()).unwrap_err();
        let text = error.to_string();
        let name = segment.file_name().unwrap().to_str().unwrap();
        assert!(
            matches!(error, Error::Foreign { .. }) && text.contains(name),
            "{text}"
        );
    }
    assert_eq!(place.contents(), before);
    fs::write(&segment, kept).unwrap();
    let db = place.open();
    assert_eq!(
        now(&db, &db.open_table("items").unwrap(), "k").as_deref(),
        Some("v")
    );
}

#[test]
fn a_log_of_a_newer_format() {
    let place = Place::new();
    let db = place.open();
    put(&db, &db.table("items").unwrap(), "k", "v");
    db.close().unwrap();
    // As a later version would write it: another number, everything else in order.
    let segment = first_segment(&place);
    let mut bytes = fs::read(&segment).unwrap();
    bytes[8..12].copy_from_slice(&1000u32.to_le_bytes());
    let sum = vellum_base::checksum(&bytes[..HEADER_CHECKSUM_AT]);
    bytes[HEADER_CHECKSUM_AT..HEADER_CHECKSUM_AT + 8].copy_from_slice(&sum.to_le_bytes());
    fs::write(&segment, bytes).unwrap();
    let before = place.contents();
    for options in [small(), small().read_only(true)] {
        let error = options.open(place.path()).unwrap_err();
        let text = error.to_string();
        assert!(
            matches!(error, Error::NewerFormat(_)) && text.contains("1000"),
            "{text}"
        );
    }
    assert_eq!(place.contents(), before);
}

/// Where a segment's header has its checksum; see `docs/format.md`.
const HEADER_CHECKSUM_AT: usize = 104;

#[test]
fn damage_is_reported_with_file_and_place() {
    let place = Place::new();
    let db = place.open();
    let items = db.table("items").unwrap();
    for at in 0..200 {
        put(&db, &items, &format!("key {at}"), "value value value value");
    }
    db.close().unwrap();
    let segment = first_segment(&place);
    let kept = fs::read(&segment).unwrap();
    let mut damaged = kept.clone();
    let at = damaged
        .windows(6)
        .position(|bytes| bytes == b"key 50")
        .unwrap();
    damaged[at] ^= 1;
    fs::write(&segment, damaged).unwrap();
    let before = place.contents();
    for options in [small(), small().read_only(true)] {
        let error = options.open(place.path()).unwrap_err();
        assert_eq!(error.remedy(), Remedy::Restore);
        let name = segment.file_name().unwrap().to_str().unwrap();
        assert!(
            matches!(&error, Error::Corrupt(found) if found.file == name),
            "{error}"
        );
    }
    assert_eq!(place.contents(), before);
}

/// A disk that says no to one kind of call.
struct Refusing(MemoryDisk, io::ErrorKind);

impl Disk for Refusing {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        if mode == OpenMode::Read {
            self.0.open(name, mode)
        } else {
            Err(self.1.into())
        }
    }
    fn map(&self, _: &str, _: u64) -> io::Result<Arc<dyn Mapped>> {
        Err(self.1.into())
    }
    fn remove(&self, _: &str) -> io::Result<()> {
        Err(self.1.into())
    }
    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        Err(self.1.into())
    }
    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }
    fn sync_dir(&self) -> io::Result<()> {
        Err(self.1.into())
    }
    fn lock(&self, mode: LockMode) -> io::Result<Box<dyn Lock>> {
        if mode == LockMode::Shared {
            self.0.lock(mode)
        } else {
            Err(self.1.into())
        }
    }
    fn traits(&self) -> DiskTraits {
        self.0.traits()
    }
}

#[test]
fn a_directory_that_may_not_be_written() {
    // Root may write anywhere but here.
    let error = Database::open("/proc/vellum").unwrap_err();
    let named = matches!(
        error,
        Error::PermissionDenied { .. } | Error::NotFound { .. }
    );
    assert!(named, "{error:?}");
    for kind in [
        io::ErrorKind::PermissionDenied,
        io::ErrorKind::ReadOnlyFilesystem,
    ] {
        let disk = Arc::new(Refusing(MemoryDisk::new(), kind));
        let error = Options::new().open_on(disk).unwrap_err();
        assert!(matches!(error, Error::PermissionDenied { .. }), "{error:?}");
        assert_eq!(error.remedy(), Remedy::FixThePath);
    }
}
