//! Files and mappings of [`MemoryDisk`](crate::MemoryDisk). Any thread may call.
//!
//! 1. A mapping and the handles of the same file share one content, under one lock.
//! 2. A file is mapped once at a time and not cut below its mapping (rule 9 of the contract).

use std::io;
use std::ops::Range;
use std::sync::Arc;

use vellum_sync::RwLock;

use super::content::Content;
use crate::aligned::{blocks_within, check_blocks, end_of, within};
use crate::{File, Mapped};

/// Bytes copied at once by a flush.
const STEP_BYTES: usize = 64 << 10;

/// A file, whatever its name.
#[derive(Default)]
pub(super) struct Node {
    inner: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    content: Content,
    mapped: Option<u64>,
}

/// An open file.
pub(super) struct MemoryFile {
    node: Arc<Node>,
    writable: bool,
}

impl MemoryFile {
    /// A handle of `node`.
    pub(super) fn new(node: Arc<Node>, writable: bool) -> Self {
        Self { node, writable }
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.writable {
            return Ok(());
        }
        let message = "the file was opened for reading only";
        Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
    }
}

fn busy(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::ResourceBusy, message)
}

impl File for MemoryFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        end_of(offset, buf.len())?;
        Ok(self.node.inner.read().content.read(buf, offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        end_of(offset, bytes.len())?;
        self.check_writable()?;
        self.node.inner.write().content.write(bytes, offset)
    }

    fn write_durable(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        check_blocks(offset, bytes.len())?;
        self.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.node.inner.read().content.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        end_of(len, 0)?;
        self.check_writable()?;
        let mut inner = self.node.inner.write();
        if inner.mapped.is_some_and(|mapped| len < mapped) {
            return Err(busy("the file is mapped beyond that length"));
        }
        inner.content.set_len(len);
        Ok(())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        end_of(len, 0)?;
        self.check_writable()?;
        let mut inner = self.node.inner.write();
        if inner.content.len() < len {
            inner.content.set_len(len);
        }
        Ok(())
    }
}

/// A mapped file.
pub(super) struct MemoryMapping {
    node: Arc<Node>,
    len: usize,
}

impl MemoryMapping {
    /// Maps `node` at exactly `len` bytes.
    pub(super) fn new(node: Arc<Node>, len: usize) -> io::Result<Self> {
        let mut inner = node.inner.write();
        if inner.mapped.is_some() {
            return Err(busy("the file is mapped already"));
        }
        inner.content.set_len(len as u64);
        inner.mapped = Some(len as u64);
        drop(inner);
        Ok(Self { node, len })
    }
}

impl Drop for MemoryMapping {
    fn drop(&mut self) {
        self.node.inner.write().mapped = None;
    }
}

impl Mapped for MemoryMapping {
    fn len(&self) -> u64 {
        self.len as u64
    }

    fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        within(self.len, offset, bytes.len())?;
        self.node.inner.write().content.write(bytes, offset)
    }

    fn flush_to(&self, range: Range<u64>, file: &dyn File, offset: u64) -> io::Result<()> {
        let range = blocks_within(self.len, &range)?;
        check_blocks(offset, range.len())?;
        let mut step = vec![0; STEP_BYTES.min(range.len())];
        let mut at = range.start;
        while at < range.end {
            let len = step.len().min(range.end - at);
            self.node
                .inner
                .read()
                .content
                .read(&mut step[..len], at as u64);
            file.write_durable(&step[..len], offset + (at - range.start) as u64)?;
            at += len;
        }
        Ok(())
    }
}
