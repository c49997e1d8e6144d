//! What cannot be seen from outside without cutting the power: that the system is asked to sync,
//! and that errors are not answered by trying in another way. Devices that refuse tell.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use super::durable::{Part, write_durably};
use super::reserve::fill;
use super::*;
use crate::BLOCK_BYTES;
use crate::raw::Memory;

/// Takes any bytes; refuses to be synced (`EINVAL`).
fn null() -> OwnedFd {
    rustix::fs::openat(CWD, "/dev/null", OFlags::RDWR, Mode::empty()).unwrap()
}

/// Takes no bytes (`ENOSPC`).
fn full() -> OwnedFd {
    rustix::fs::openat(CWD, "/dev/full", OFlags::RDWR, Mode::empty()).unwrap()
}

fn errno<T>(outcome: io::Result<T>) -> Option<Errno> {
    outcome.err().and_then(|error| Errno::from_io_error(&error))
}

const BLOCK: &[u8] = &[1; BLOCK_BYTES];

#[test]
fn the_fall_back_syncs() {
    let (null, full) = (null(), full());
    let synced = write_durably(null.as_fd(), None, &BLOCK, 0);
    assert_eq!(
        errno(synced),
        Some(Errno::INVAL),
        "nobody asked for the sync"
    );
    assert_eq!(
        errno(write_durably(full.as_fd(), None, &BLOCK, 0)),
        Some(Errno::NOSPC)
    );
}

#[test]
fn a_direct_write_is_all_there_is() {
    let (null, full) = (null(), full());
    write_durably(full.as_fd(), Some(null.as_fd()), &BLOCK, 0).unwrap();
    let error = errno(write_durably(null.as_fd(), Some(full.as_fd()), &BLOCK, 0));
    assert_eq!(
        error,
        Some(Errno::NOSPC),
        "an error is not answered by another way of writing"
    );
}

#[test]
fn a_direct_write_that_is_refused_as_such_goes_through_the_cache_and_syncs() {
    let place = tempfile::tempdir_in(std::env::current_exe().unwrap().parent().unwrap()).unwrap();
    let path = place.path().join("file");
    let flags = OFlags::RDWR | OFlags::CREATE;
    let plain = rustix::fs::openat(CWD, &path, flags, Mode::RWXU).unwrap();
    let Ok(direct) = rustix::fs::openat(CWD, &path, flags | OFlags::DIRECT, Mode::RWXU) else {
        return;
    };
    // Misaligned memory, which the callers never let through.
    let memory = Memory::anonymous(2 * BLOCK_BYTES).unwrap();
    memory.store(&[7; BLOCK_BYTES], 1).unwrap();
    let part = Part {
        memory: &memory,
        range: 1..BLOCK_BYTES + 1,
    };
    write_durably(plain.as_fd(), Some(direct.as_fd()), &part, 0).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), [7; BLOCK_BYTES]);
    let unsynced = write_durably(null().as_fd(), Some(direct.as_fd()), &part, 0);
    let refused = part_is_refused(&direct, &part);
    assert_eq!(
        errno(unsynced),
        refused.then_some(Errno::INVAL),
        "nobody asked for the sync"
    );
}

fn part_is_refused(direct: &OwnedFd, part: &Part<'_>) -> bool {
    errno(part.memory.pwrite(part.range.clone(), direct.as_fd(), 0)) == Some(Errno::INVAL)
}

#[test]
fn syncs_reach_the_system() {
    let findings = Findings::default();
    let disk = DirDisk::assemble(null(), true, findings);
    assert_eq!(errno(disk.sync_dir()), Some(Errno::INVAL));
    let file = DirFile::of_descriptors(disk.shared.clone(), null(), None);
    assert_eq!(errno(file.sync()), Some(Errno::INVAL));
    assert_eq!(errno(file.write_durable(BLOCK, 0)), Some(Errno::INVAL));
    assert_eq!(
        errno(fill(null().as_fd(), 8192)),
        Some(Errno::INVAL),
        "a mapped file is synced"
    );
    assert_eq!(errno(fill(full().as_fd(), 8192)), Some(Errno::NOSPC));
}

#[test]
fn misaligned_memory_goes_to_the_direct_descriptor_too() {
    let disk = DirDisk::assemble(null(), true, Findings::default());
    let file = DirFile::of_descriptors(disk.shared.clone(), full(), Some(null()));
    let bytes = vec![1; 3 * BLOCK_BYTES];
    let start = bytes.as_ptr().align_offset(BLOCK_BYTES) + 1;
    file.write_durable(&bytes[start..start + BLOCK_BYTES], 0)
        .unwrap();
    let file = DirFile::of_descriptors(disk.shared.clone(), null(), Some(full()));
    let outcome = file.write_durable(&bytes[start..start + BLOCK_BYTES], 0);
    assert_eq!(errno(outcome), Some(Errno::NOSPC));
}

#[test]
fn descriptors_are_above_the_standard_ones_and_closed_over_exec() {
    let place = tempfile::tempdir().unwrap();
    let disk = DirDisk::open(place.path()).unwrap();
    let file = DirFile::open(disk.shared.clone(), "file", OpenMode::CreateNew).unwrap();
    let low = handle::above_standard(null()).unwrap();
    for descriptor in file.descriptors().chain([&disk.shared.directory, &low]) {
        assert!(std::os::fd::AsRawFd::as_raw_fd(descriptor) > 2);
    }
    for descriptor in file.descriptors().chain([&disk.shared.directory]) {
        let flags = rustix::io::fcntl_getfd(descriptor).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    }
}
