//! Files and mappings of a simulated disk. Any thread may call.
//!
//! 1. A write is begun, yields, and ends: until then nobody sees its bytes, a crash may leave any
//!    part of them, and other threads' calls come in between.
//! 2. What fails leaves some of its bytes, as the seed says.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use vellum_disk::{BLOCK_BYTES, File, Mapped};
use vellum_sync::thread::yield_now;

use super::SimDisk;
use super::event::{Event, Flight, Node, Way};
use super::fault::{CallKind, Trouble};

/// An open file.
pub(super) struct SimFile {
    disk: SimDisk,
    node: Node,
    name: Arc<str>,
    writable: bool,
}

impl SimFile {
    /// A handle that the disk has counted.
    pub(super) fn new(disk: SimDisk, node: Node, name: Arc<str>, writable: bool) -> Self {
        Self {
            disk,
            node,
            name,
            writable,
        }
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.writable {
            return Ok(());
        }
        let message = "the file was opened for reading only";
        Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.disk.core.lock().release(self.node);
    }
}

fn check_place(offset: u64, len: usize) -> io::Result<()> {
    let end = offset
        .checked_add(len as u64)
        .filter(|end| i64::try_from(*end).is_ok());
    end.map(drop)
        .ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

fn check_blocks(offset: u64, len: usize) -> io::Result<()> {
    check_place(offset, len)?;
    if offset.is_multiple_of(BLOCK_BYTES as u64) && len.is_multiple_of(BLOCK_BYTES) {
        return Ok(());
    }
    Err(io::ErrorKind::InvalidInput.into())
}

/// Writes in whichever way (rules 1 and 2).
fn write(
    disk: &SimDisk,
    (node, name): (Node, &str),
    bytes: &[u8],
    offset: u64,
    way: Way,
) -> io::Result<()> {
    let kind = match way {
        Way::Cached => CallKind::Write,
        Way::Mapped => CallKind::Store,
        Way::Durable => CallKind::WriteDurable,
    };
    yield_now();
    let mut core = disk.core.lock();
    let struck = core.call(kind, name);
    if bytes.is_empty() {
        return struck.map_or(Ok(()), |trouble| Err(trouble.error()));
    }
    let room = core.room(node, offset, bytes.len());
    let trouble = struck.or((room < bytes.len()).then_some(Trouble::Full));
    let operation = core.new_operation();
    let flight = Flight {
        node,
        offset,
        bytes: bytes[..room].into(),
        way,
    };
    core.note(Event::WriteBegin { operation, flight });
    drop(core);
    yield_now();
    let mut core = disk.core.lock();
    let Some(trouble) = trouble else {
        core.note(Event::WriteEnd {
            operation,
            written: room,
        });
        return Ok(());
    };
    if way == Way::Durable {
        let cache_shows = core.coin();
        core.note(Event::DurableFailed {
            operation,
            cache_shows,
        });
    } else {
        let written = if trouble == Trouble::Short {
            room / 2
        } else {
            core.below(room + 1)
        };
        core.note(Event::WriteEnd { operation, written });
    }
    Err(trouble.error())
}

impl File for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        check_place(offset, buf.len())?;
        yield_now();
        let mut core = self.disk.core.lock();
        let struck = core.call(CallKind::Read, &self.name);
        let read = core
            .world
            .live(self.node)
            .map_or(0, |live| live.read(buf, offset));
        let Some(trouble) = struck else {
            return Ok(read);
        };
        // Half of it was read; nobody may look at the rest.
        let half = buf.len() / 2;
        buf[half..].fill(0xEE);
        Err(trouble.error())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        check_place(offset, bytes.len())?;
        self.check_writable()?;
        write(
            &self.disk,
            (self.node, &self.name),
            bytes,
            offset,
            Way::Cached,
        )
    }

    fn write_durable(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        check_blocks(offset, bytes.len())?;
        self.check_writable()?;
        write(
            &self.disk,
            (self.node, &self.name),
            bytes,
            offset,
            Way::Durable,
        )
    }

    fn sync(&self) -> io::Result<()> {
        yield_now();
        let (operation, trouble) = {
            let mut core = self.disk.core.lock();
            let trouble = core.call(CallKind::Sync, &self.name);
            let operation = core.new_operation();
            core.note(Event::SyncBegin {
                operation,
                node: self.node,
            });
            (operation, trouble)
        };
        yield_now();
        let ok = trouble.is_none();
        self.disk.core.lock().note(Event::SyncEnd { operation, ok });
        trouble.map_or(Ok(()), |trouble| Err(trouble.error()))
    }

    fn len(&self) -> io::Result<u64> {
        self.disk.call(CallKind::Len, &self.name)?;
        Ok(self
            .disk
            .core
            .lock()
            .world
            .live(self.node)
            .map_or(0, super::content::Content::len))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        check_place(len, 0)?;
        self.check_writable()?;
        self.disk.call(CallKind::SetLen, &self.name)?;
        self.disk.core.lock().set_len(self.node, len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        check_place(len, 0)?;
        self.check_writable()?;
        self.disk.call(CallKind::Allocate, &self.name)?;
        let mut core = self.disk.core.lock();
        core.check_room(self.node, len)?;
        core.note(Event::Reserve {
            node: self.node,
            len,
        });
        Ok(())
    }
}

/// A mapped file.
pub(super) struct SimMapping {
    disk: SimDisk,
    node: Node,
    name: Arc<str>,
    len: u64,
}

impl SimMapping {
    /// A mapping that the disk has counted.
    pub(super) fn new(disk: SimDisk, node: Node, name: Arc<str>, len: u64) -> Self {
        Self {
            disk,
            node,
            name,
            len,
        }
    }

    fn check_within(&self, offset: u64, len: u64) -> io::Result<()> {
        let end = offset.checked_add(len).filter(|end| *end <= self.len);
        end.map(drop)
            .ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }
}

impl Drop for SimMapping {
    fn drop(&mut self) {
        self.disk.core.lock().unmap(self.node);
    }
}

impl Mapped for SimMapping {
    fn len(&self) -> u64 {
        self.len
    }

    fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.check_within(offset, bytes.len() as u64)?;
        write(
            &self.disk,
            (self.node, &self.name),
            bytes,
            offset,
            Way::Mapped,
        )
    }

    fn flush_to(&self, range: Range<u64>, file: &dyn File, offset: u64) -> io::Result<()> {
        let len = range
            .end
            .checked_sub(range.start)
            .ok_or(io::ErrorKind::InvalidInput)?;
        self.check_within(range.start, len)?;
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?;
        check_blocks(range.start, len)?;
        let mut bytes = vec![0; len];
        if let Some(live) = self.disk.core.lock().world.live(self.node) {
            live.read(&mut bytes, range.start);
        }
        file.write_durable(&bytes, offset)
    }
}
