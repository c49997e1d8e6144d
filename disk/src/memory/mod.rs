//! A directory in memory, for databases that live no longer than their process, and for tests.
//! Any thread may call.
//!
//! 1. It keeps the contract trivially: a process crash ends it, so everything is as durable as it
//!    can be at once. Names, lengths, errors and locks behave as a directory's do; the clones of a
//!    `MemoryDisk` are the same directory.
//! 2. A removed file lives on under the handles that are open.
//! 3. Memory is taken for chunks that something was written to; what is zero by its length alone
//!    costs nothing.

mod content;
mod file;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use vellum_sync::Mutex;

use crate::aligned::check_mapped_len;
use crate::name::check_name;
use crate::{
    Batched, Disk, DiskTraits, DurableWrites, File, Lock, LockMode, Mapped, MappedWrites, OpenMode,
};
use file::{MemoryFile, MemoryMapping, Node};

/// A directory in memory. See [`Disk`].
#[derive(Clone, Default)]
pub struct MemoryDisk {
    directory: Arc<Mutex<Directory>>,
}

#[derive(Default)]
struct Directory {
    files: BTreeMap<String, Arc<Node>>,
    writer: bool,
    readers: usize,
}

impl MemoryDisk {
    /// An empty directory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

fn not_found(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("there is no file {name}"))
}

impl Disk for MemoryDisk {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        check_name(name)?;
        let mut directory = self.directory.lock();
        let found = directory.files.get(name).cloned();
        let node = match (found, mode) {
            (Some(_), OpenMode::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(node), _) => node,
            (None, OpenMode::CreateNew) => {
                directory.files.entry(name.to_owned()).or_default().clone()
            }
            (None, _) => return Err(not_found(name)),
        };
        Ok(Arc::new(MemoryFile::new(node, mode != OpenMode::Read)))
    }

    fn map(&self, name: &str, len: u64) -> io::Result<Arc<dyn Mapped>> {
        check_name(name)?;
        let len = check_mapped_len(len)?;
        let node = self
            .directory
            .lock()
            .files
            .entry(name.to_owned())
            .or_default()
            .clone();
        Ok(Arc::new(MemoryMapping::new(node, len)?))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        check_name(name)?;
        let removed = self.directory.lock().files.remove(name);
        removed.map(drop).ok_or_else(|| not_found(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        check_name(from)?;
        check_name(to)?;
        let mut directory = self.directory.lock();
        let node = directory
            .files
            .remove(from)
            .ok_or_else(|| not_found(from))?;
        directory.files.insert(to.to_owned(), node);
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.directory.lock().files.keys().cloned().collect())
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, mode: LockMode) -> io::Result<Box<dyn Lock>> {
        let mut directory = self.directory.lock();
        let free = match mode {
            LockMode::Exclusive => !directory.writer && directory.readers == 0,
            LockMode::Shared => !directory.writer,
        };
        if !free {
            let message = "the directory is locked by another opener";
            return Err(io::Error::new(io::ErrorKind::WouldBlock, message));
        }
        match mode {
            LockMode::Exclusive => directory.writer = true,
            LockMode::Shared => directory.readers += 1,
        }
        Ok(Box::new(MemoryLock {
            directory: self.directory.clone(),
            mode,
        }))
    }

    fn traits(&self) -> DiskTraits {
        DiskTraits {
            durable_writes: DurableWrites::Simulated,
            mapped_writes: MappedWrites::Simulated,
            batched: Batched::Plain,
        }
    }
}

struct MemoryLock {
    directory: Arc<Mutex<Directory>>,
    mode: LockMode,
}

impl Lock for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        let mut directory = self.directory.lock();
        match self.mode {
            LockMode::Exclusive => directory.writer = false,
            LockMode::Shared => directory.readers -= 1,
        }
    }
}
