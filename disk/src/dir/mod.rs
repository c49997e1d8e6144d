//! A directory of the system's as a [`Disk`]. Any thread may call.
//!
//! 1. Everything is relative to one held descriptor of the directory, by generated names, never
//!    through a symbolic link, and only regular files are opened: no input leads elsewhere, also
//!    when the directory is renamed meanwhile.
//! 2. What is created is its owner's alone (0700, 0600), is closed over `exec`, and never takes
//!    the descriptors 0 to 2, into which a careless program might print.
//! 3. A directory without a lock file may be new: its own name is made durable at opening.
//! 4. A disk opened for reading creates and changes nothing.
//! 5. How writes reach the device is probed once, at opening ([`probe`]), on an unnamed file; and
//!    whether there are rings for batches ([`batch`]), on none.
//! 6. The disk does not survive a `fork`: the child may use nothing of it, and dropping it there
//!    releases no lock of the parent's ([`lock`]), and closes copies of its rings only.

mod batch;
mod busy;
mod durable;
mod file;
mod handle;
mod lock;
mod mapping;
mod probe;
mod reserve;
mod ring;

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, OFlags};

use crate::aligned::check_mapped_len;
use crate::name::{LOCK_NAME, check_name};
use crate::{
    Batched, Disk, DiskTraits, DurableWrites, File, Lock, LockMode, Mapped, MappedWrites, OpenMode,
};
use batch::Rings;
use busy::MappedFiles;
use durable::BouncePool;
use file::DirFile;
use probe::Findings;
use ring::Ring;

pub use probe::Probe;

/// A directory of the system's. See [`Disk`].
#[derive(Clone)]
pub struct DirDisk {
    shared: Arc<Shared>,
}

/// What files and mappings need of their disk.
struct Shared {
    directory: OwnedFd,
    writable: bool,
    findings: Findings,
    mapped: MappedFiles,
    bounce: BouncePool,
    rings: Rings,
}

impl DirDisk {
    /// Opens the directory at `path`, and creates it where it is missing (not its parents).
    ///
    /// # Errors
    /// `NotADirectory` if something else is there, `NotFound` if the parent is missing,
    /// `PermissionDenied` or `ReadOnlyFilesystem` if it cannot be written.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::open_with(path, Probe::default())
    }

    /// Makes the directory at `path` (not its parents), durably, and opens it.
    ///
    /// # Errors
    /// `AlreadyExists` if anything is there; as [`DirDisk::open`].
    pub fn create_new(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        handle::create_directory(path).map_err(|error| at_path(path, &error))?;
        Self::open(path)
    }

    /// As [`DirDisk::open`], trying only what `probe` allows: for tests of the fall-backs, and for
    /// systems whose probes succeed and whose writes then fail.
    ///
    /// # Errors
    /// As [`DirDisk::open`].
    pub fn open_with(path: impl AsRef<Path>, probe: Probe) -> io::Result<Self> {
        let path = path.as_ref();
        Self::open_writable(path, probe).map_err(|error| at_path(path, &error))
    }

    /// Opens the directory at `path` for reading: nothing is created or changed, nor is writing
    /// probed (so [`Disk::traits`] gives its fall-backs), and what would change something is
    /// `ReadOnlyFilesystem`.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory`, or whatever the system reports.
    pub fn open_read_only(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let directory = handle::open_directory(path).map_err(|error| at_path(path, &error))?;
        let findings = Findings {
            ring: Ring::works(),
            ..Findings::default()
        };
        Ok(Self::assemble(directory, false, findings))
    }

    fn open_writable(path: &Path, probe: Probe) -> io::Result<Self> {
        let directory = handle::open_or_create_directory(path)?;
        if !handle::exists(&directory, LOCK_NAME)? {
            handle::sync_parent(&directory)?;
        }
        let findings = probe::probe(&directory, probe)?;
        Ok(Self::assemble(directory, true, findings))
    }

    fn assemble(directory: OwnedFd, writable: bool, findings: Findings) -> Self {
        let mapped = MappedFiles::default();
        let bounce = BouncePool::default();
        Self {
            shared: Arc::new(Shared {
                directory,
                writable,
                findings,
                mapped,
                bounce,
                rings: Rings::new(findings.ring),
            }),
        }
    }

    /// Rule 4.
    fn check_writable(&self) -> io::Result<()> {
        if self.shared.writable {
            return Ok(());
        }
        let message = "the directory was opened for reading only";
        Err(io::Error::new(io::ErrorKind::ReadOnlyFilesystem, message))
    }
}

/// `error`, with the path at which it was met; the kind stays.
fn at_path(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

impl Disk for DirDisk {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        check_name(name)?;
        if mode != OpenMode::Read {
            self.check_writable()?;
        }
        Ok(Arc::new(DirFile::open(self.shared.clone(), name, mode)?))
    }

    fn map(&self, name: &str, len: u64) -> io::Result<Arc<dyn Mapped>> {
        check_name(name)?;
        let len = check_mapped_len(len)?;
        self.check_writable()?;
        mapping::map(&self.shared, name, len)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        check_name(name)?;
        self.check_writable()?;
        Ok(rustix::fs::unlinkat(
            &self.shared.directory,
            name,
            AtFlags::empty(),
        )?)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        check_name(from)?;
        check_name(to)?;
        self.check_writable()?;
        let directory = &self.shared.directory;
        Ok(rustix::fs::renameat(directory, from, directory, to)?)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        handle::list(&self.shared.directory)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.check_writable()?;
        Ok(rustix::fs::fsync(&self.shared.directory)?)
    }

    fn lock(&self, mode: LockMode) -> io::Result<Box<dyn Lock>> {
        if mode == LockMode::Exclusive {
            self.check_writable()?;
        }
        lock::lock(&self.shared.directory, mode)
    }

    fn traits(&self) -> DiskTraits {
        let Findings {
            direct,
            mappable,
            ring,
        } = self.shared.findings;
        let (mapped, written) = (MappedWrites::Mapped, MappedWrites::Written);
        DiskTraits {
            durable_writes: if direct {
                DurableWrites::Direct
            } else {
                DurableWrites::Synced
            },
            mapped_writes: if mappable.any() { mapped } else { written },
            batched: if ring {
                Batched::IoUring
            } else {
                Batched::Plain
            },
        }
    }
}

/// Flags that every file is opened with. (`NONBLOCK` does nothing to a regular file, and keeps
/// the opening of a foreign pipe from waiting for its other end.)
const FILE_FLAGS: OFlags = OFlags::CLOEXEC
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK);

#[cfg(test)]
mod tests;
