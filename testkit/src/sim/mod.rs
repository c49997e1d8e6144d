//! A disk in memory that does what its seed says, and remembers what was done to it. Any thread
//! may call; the clones of a `SimDisk` are the same disk.
//!
//! 1. It keeps the contract of [`vellum_disk::contract`] and not a bit more: what a crash may
//!    leave is worked out from its [`Trace`], never from what a real file system happens to do.
//! 2. All choices come from the seed, all waiting is yielding, and there are no clocks: under the
//!    model checker, seed and schedule fix everything.
//! 3. What takes time is done in two steps with a yield between them, so that other threads come
//!    in between.

mod content;
mod core;
mod directory;
mod event;
mod fault;
mod file;
mod inode;
mod world;

use std::io;
use std::sync::Arc;

use vellum_disk::{
    Batched, Disk, DiskTraits, DurableWrites, File, Lock, LockMode, Mapped, MappedWrites, OpenMode,
    check_name,
};
use vellum_sync::Mutex;
use vellum_sync::thread::yield_now;

use self::core::Core;
use self::file::{SimFile, SimMapping};

pub(crate) use self::content::{Content, SECTOR_BYTES, Sector};
pub(crate) use self::directory::Directory;
pub(crate) use self::event::{Event, Node, Operation, Way};
pub(crate) use self::inode::Inode;
pub(crate) use self::world::{Started, World};

pub use event::Trace;
pub use fault::{Call, CallKind, Fault, Lasting, Trouble};

/// How a simulated disk is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimOptions {
    /// Bytes that all files together may use, counted in blocks; unlimited by default.
    pub capacity: Option<u64>,
    /// Whether trace and calls are recorded; they are by default.
    pub record: bool,
}

impl Default for SimOptions {
    fn default() -> Self {
        Self {
            capacity: None,
            record: true,
        }
    }
}

/// A simulated disk. See the module's rules in the source, and [`Trace`].
#[derive(Clone)]
pub struct SimDisk {
    core: Arc<Mutex<Core>>,
}

impl SimDisk {
    /// An empty disk that records.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with_options(seed, SimOptions::default())
    }

    /// An empty disk.
    #[must_use]
    pub fn with_options(seed: u64, options: SimOptions) -> Self {
        Self::of_world(World::default(), seed, options)
    }

    /// A disk that begins with `world`, as a crash left it.
    pub(crate) fn of_world(world: World, seed: u64, options: SimOptions) -> Self {
        Self {
            core: Arc::new(Mutex::new(Core::new(world, seed, options))),
        }
    }

    /// The same disk, as a trait object.
    #[must_use]
    pub fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }

    /// Notes in the trace that something happened, such as an acknowledgement; see
    /// [`Cut::marks`](crate::Cut::marks).
    pub fn mark(&self, mark: u64) {
        self.core.lock().note(Event::Mark(mark));
    }

    /// What was done so far.
    #[must_use]
    pub fn trace(&self) -> Trace {
        self.core.lock().trace()
    }

    /// Makes calls fail.
    pub fn fail(&self, fault: Fault) {
        self.core.lock().faults.add(fault);
    }

    /// Takes all faults away.
    pub fn mend(&self) {
        self.core.lock().faults.clear();
    }

    /// Sets how many bytes fit on the disk; those that are there stay.
    pub fn set_capacity(&self, capacity: Option<u64>) {
        self.core.lock().capacity = capacity;
    }

    /// Bytes that the files use, counted in blocks.
    #[must_use]
    pub fn bytes_used(&self) -> u64 {
        self.core.lock().bytes_used()
    }

    /// How many calls were made.
    #[must_use]
    pub fn call_count(&self) -> u64 {
        self.core.lock().call_count
    }

    /// The calls that were made; empty if the disk does not record.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.core.lock().calls.clone()
    }

    /// Yields, numbers the call, and fails it if it is to fail.
    fn call(&self, kind: CallKind, name: &str) -> io::Result<()> {
        yield_now();
        self.core.lock().call_or_fail(kind, name)
    }
}

impl Disk for SimDisk {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        check_name(name)?;
        let create = mode == OpenMode::CreateNew;
        self.call(
            if create {
                CallKind::Create
            } else {
                CallKind::Open
            },
            name,
        )?;
        let mut core = self.core.lock();
        let node = match (core.find(name), create) {
            (Some(_), true) => return Err(io::ErrorKind::AlreadyExists.into()),
            (None, true) => core.create(name),
            (found, false) => found.ok_or_else(|| not_found(name))?,
        };
        core.hold(node);
        drop(core);
        let writable = mode != OpenMode::Read;
        Ok(Arc::new(SimFile::new(
            self.clone(),
            node,
            name.into(),
            writable,
        )))
    }

    fn map(&self, name: &str, len: u64) -> io::Result<Arc<dyn Mapped>> {
        check_name(name)?;
        if len == 0 || !len.is_multiple_of(vellum_disk::BLOCK_BYTES as u64) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        yield_now();
        let node = self.core.lock().map(name, len)?;
        Ok(Arc::new(SimMapping::new(
            self.clone(),
            node,
            name.into(),
            len,
        )))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        check_name(name)?;
        self.call(CallKind::Remove, name)?;
        let mut core = self.core.lock();
        let node = core.find(name).ok_or_else(|| not_found(name))?;
        core.note(Event::Remove { name: name.into() });
        core.forget_unless_needed(node);
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        check_name(from)?;
        check_name(to)?;
        self.call(CallKind::Rename, from)?;
        let mut core = self.core.lock();
        core.find(from).ok_or_else(|| not_found(from))?;
        let replaced = core.find(to);
        core.note(Event::Rename {
            from: from.into(),
            to: to.into(),
        });
        if let Some(node) = replaced {
            core.forget_unless_needed(node);
        }
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.call(CallKind::List, "")?;
        Ok(self.core.lock().names())
    }

    fn sync_dir(&self) -> io::Result<()> {
        yield_now();
        let (operation, trouble) = {
            let mut core = self.core.lock();
            let trouble = core.call(CallKind::SyncDir, "");
            let operation = core.new_operation();
            core.note(Event::SyncDirBegin { operation });
            (operation, trouble)
        };
        yield_now();
        let ok = trouble.is_none();
        self.core.lock().note(Event::SyncDirEnd { operation, ok });
        trouble.map_or(Ok(()), |trouble| Err(trouble.error()))
    }

    fn lock(&self, mode: LockMode) -> io::Result<Box<dyn Lock>> {
        self.call(CallKind::Lock, "")?;
        self.core.lock().lock_directory(mode)?;
        Ok(Box::new(SimLock {
            disk: self.clone(),
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

fn not_found(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("there is no file {name}"))
}

struct SimLock {
    disk: SimDisk,
    mode: LockMode,
}

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.core.lock().unlock_directory(self.mode);
    }
}
