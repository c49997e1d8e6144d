//! The lock of a directory: `flock` on its lock file. Any thread may call.
//!
//! 1. `flock` belongs to the open descriptor, so it excludes openers in this process as it does
//!    others, and ends with the process however that ends. (POSIX `lockf` would exclude nobody in
//!    the same process, and be lost with any other descriptor of the file.)
//! 2. The lock counts only if the file locked is the one that bears the name.
//! 3. Dropping unlocks before it closes, since a child between `fork` and `exec` may hold a copy
//!    of the descriptor; but in a forked child it only closes, since unlocking there would
//!    release the parent's lock.
//! 4. A shared lock creates nothing: without a lock file there is no database to read.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FlockOperation, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, getpid};

use super::handle::{FileId, open_file};
use crate::name::LOCK_NAME;
use crate::{Lock, LockMode};

/// How often a lock file that is replaced under our hands is followed.
const ATTEMPTS: usize = 8;

struct FileLock {
    file: OwnedFd,
    owner: Pid,
}

impl Lock for FileLock {}

impl Drop for FileLock {
    fn drop(&mut self) {
        if getpid() == self.owner {
            // Closing does the same a moment later, unless a copy is held elsewhere.
            let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
        }
    }
}

/// Locks the directory, at once.
pub(super) fn lock(directory: &OwnedFd, mode: LockMode) -> io::Result<Box<dyn Lock>> {
    let (flags, operation) = match mode {
        LockMode::Exclusive => (
            OFlags::RDWR | OFlags::CREATE,
            FlockOperation::NonBlockingLockExclusive,
        ),
        LockMode::Shared => (OFlags::RDONLY, FlockOperation::NonBlockingLockShared),
    };
    for _ in 0..ATTEMPTS {
        let (file, id) = open_file(directory, LOCK_NAME, flags)?;
        rustix::fs::flock(&file, operation).map_err(excluded)?;
        if bears_the_name(directory, id)? {
            return Ok(Box::new(FileLock {
                file,
                owner: getpid(),
            }));
        }
    }
    Err(io::Error::new(
        io::ErrorKind::WouldBlock,
        "the lock file is being replaced",
    ))
}

/// Rule 2.
fn bears_the_name(directory: &OwnedFd, id: FileId) -> io::Result<bool> {
    match rustix::fs::statat(directory, LOCK_NAME, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(FileId::of(&stat) == id),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn excluded(error: Errno) -> io::Error {
    if error != Errno::WOULDBLOCK {
        return error.into();
    }
    io::Error::new(
        io::ErrorKind::WouldBlock,
        "the directory is locked by another opener",
    )
}
