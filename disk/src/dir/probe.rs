//! What a directory's file system does. Called at opening.
//!
//! 1. Direct writes are believed only when one has succeeded.
//! 2. A mapping is believed safe only on file systems that overwrite blocks in place, by name:
//!    ext2/3/4, xfs, tmpfs, and btrfs where a file is exempt from copying on write. Elsewhere a
//!    store may need a new block and raise SIGBUS on a full disk. (A snapshot taken of such a
//!    btrfs makes it copy once more; databases are to live in a subvolume without snapshots.)
//! 3. Rings are believed only when one has done something; what refuses them (`EPERM`, `ENOSYS`, a
//!    limit) does not matter. Where one cannot be made later, plain calls are made.
//! 4. The probe's file loses its name before anything is written to it, so nothing stays behind.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, IFlags, OFlags};

use super::durable::is_refusal;
use super::handle::open_file;
use super::ring::Ring;
use crate::BLOCK_BYTES;
use crate::raw::Memory;

/// What [`DirDisk::open_with`](crate::DirDisk::open_with) may try; by default everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Direct synchronous writes; else `pwrite` and `fdatasync`.
    pub direct: bool,
    /// Shared mappings; else a `pwrite` for each store.
    pub mapped: bool,
    /// Batches of reads through an io_uring; else by plain calls.
    pub ring: bool,
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            direct: true,
            mapped: true,
            ring: true,
        }
    }
}

/// What was found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Findings {
    /// Whether direct synchronous writes work.
    pub(super) direct: bool,
    /// Which files can be mapped.
    pub(super) mappable: Mappable,
    /// Whether there are rings.
    pub(super) ring: bool,
}

/// Which files a store into a mapping of cannot fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mappable {
    /// None, as far as is known.
    #[default]
    Nothing,
    /// Those exempt from copying on write since they were empty.
    Exempt,
    /// All.
    Everything,
}

impl Mappable {
    /// Whether any file can be mapped.
    pub(super) fn any(self) -> bool {
        self != Self::Nothing
    }

    /// Whether `file` can; called while a new file is still empty.
    pub(super) fn covers(self, file: BorrowedFd<'_>) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Exempt => exempt(file),
        }
    }
}

/// Finds out what the directory's file system does.
pub(super) fn probe(directory: &OwnedFd, ask: Probe) -> io::Result<Findings> {
    let name = format!(".probe-{:016x}", vellum_sync::random_u64());
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
    let plain = open_file(directory, &name, flags);
    let flags = OFlags::RDWR | OFlags::DIRECT | OFlags::DSYNC;
    let direct = ask.direct.then(|| open_file(directory, &name, flags));
    if plain.is_ok() {
        rustix::fs::unlinkat(directory, &name, AtFlags::empty())?;
    }
    let (plain, _) = plain?;
    let mappable = if ask.mapped {
        mappable(plain.as_fd())?
    } else {
        Mappable::Nothing
    };
    let direct = match direct {
        Some(Ok((direct, _))) => direct_works(direct.as_fd())?,
        Some(Err(error)) if !is_refusal(&error) => return Err(error),
        Some(Err(_)) | None => false,
    };
    Ok(Findings {
        direct,
        mappable,
        ring: ask.ring && Ring::works(),
    })
}

/// Rule 1. On a full disk it is assumed: a write that is refused as such falls back anyway.
fn direct_works(direct: BorrowedFd<'_>) -> io::Result<bool> {
    let block = Memory::anonymous(BLOCK_BYTES)?;
    loop {
        match block.pwrite(0..BLOCK_BYTES, direct, 0) {
            Ok(written) => return Ok(written == BLOCK_BYTES),
            Err(error) if is_refusal(&error) => return Ok(false),
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => return Ok(true),
                _ => return Err(error),
            },
        }
    }
}

/// Rule 2.
fn mappable(file: BorrowedFd<'_>) -> io::Result<Mappable> {
    const EXT: u32 = 0xEF53;
    const XFS: u32 = 0x5846_5342;
    const TMPFS: u32 = 0x0102_1994;
    const BTRFS: u32 = 0x9123_683E;
    // The type is 32 bits wide and sign-extended on some targets.
    match rustix::fs::fstatfs(file)?.f_type as u32 {
        EXT | XFS | TMPFS => Ok(Mappable::Everything),
        BTRFS if exempt(file) => Ok(Mappable::Exempt),
        _ => Ok(Mappable::Nothing),
    }
}

/// Exempts an empty file from copying on write; whether it is exempt. The file system ignores
/// the request for a file that holds something, so what counts is what it then says.
fn exempt(file: BorrowedFd<'_>) -> bool {
    let Ok(flags) = rustix::fs::ioctl_getflags(file) else {
        return false;
    };
    if flags.contains(IFlags::NOCOW) {
        return true;
    }
    let empty = super::reserve::len_of(file).is_ok_and(|len| len == 0);
    empty
        && rustix::fs::ioctl_setflags(file, flags | IFlags::NOCOW).is_ok()
        && rustix::fs::ioctl_getflags(file).is_ok_and(|now| now.contains(IFlags::NOCOW))
}
