//! A file's bytes in memory. Owned by [`super::file::Node`], under its lock.
//!
//! 1. Bytes beyond the length are zero in every chunk, so that growing shows zeroes.
//! 2. A chunk is either as long as all others or absent, which reads as zeroes.

use std::io;

/// Bytes of a chunk.
const CHUNK_BYTES: usize = 64 << 10;

/// A sparse array of bytes.
#[derive(Default)]
pub(super) struct Content {
    chunks: Vec<Option<Box<[u8]>>>,
    len: u64,
}

/// The parts of `len` bytes at `offset`: the chunk, the place in it, and how many bytes.
fn parts(offset: u64, len: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let place = (at % CHUNK_BYTES as u64) as usize;
        let part = (len - done).min(CHUNK_BYTES - place);
        done += part;
        (part > 0).then_some(((at / CHUNK_BYTES as u64) as usize, place, part))
    })
}

impl Content {
    /// The length.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Reads what there is at `offset`; returns how many bytes.
    pub(super) fn read(&self, buf: &mut [u8], offset: u64) -> usize {
        let left = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let len = left.min(buf.len());
        let mut rest = &mut buf[..len];
        for (chunk, place, part) in parts(offset, len) {
            let (head, tail) = rest.split_at_mut(part);
            match self.chunks.get(chunk) {
                Some(Some(bytes)) => head.copy_from_slice(&bytes[place..place + part]),
                _ => head.fill(0),
            }
            rest = tail;
        }
        len
    }

    /// Writes `bytes` at `offset`, growing as needed.
    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let end = offset + bytes.len() as u64;
        self.reserve(end)?;
        let mut rest = bytes;
        for (chunk, place, part) in parts(offset, bytes.len()) {
            let (head, tail) = rest.split_at(part);
            self.chunk(chunk)?[place..place + part].copy_from_slice(head);
            rest = tail;
        }
        if !bytes.is_empty() {
            self.len = self.len.max(end);
        }
        Ok(())
    }

    /// Cuts or grows.
    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            let kept = len.div_ceil(CHUNK_BYTES as u64);
            self.chunks
                .truncate(usize::try_from(kept).unwrap_or(usize::MAX));
            let last = (len / CHUNK_BYTES as u64) as usize;
            if let Some(Some(bytes)) = self.chunks.get_mut(last) {
                bytes[(len % CHUNK_BYTES as u64) as usize..].fill(0);
            }
        }
        self.len = len;
    }

    /// Makes room for the chunks below `end`, without taking memory for them.
    fn reserve(&mut self, end: u64) -> io::Result<()> {
        let count = usize::try_from(end.div_ceil(CHUNK_BYTES as u64)).unwrap_or(usize::MAX);
        let more = count.saturating_sub(self.chunks.len());
        self.chunks
            .try_reserve(more)
            .map_err(|_| io::ErrorKind::OutOfMemory)?;
        self.chunks.resize_with(self.chunks.len() + more, || None);
        Ok(())
    }

    fn chunk(&mut self, chunk: usize) -> io::Result<&mut [u8]> {
        let slot = self
            .chunks
            .get_mut(chunk)
            .ok_or(io::ErrorKind::OutOfMemory)?;
        if slot.is_none() {
            let mut bytes = Vec::new();
            bytes
                .try_reserve_exact(CHUNK_BYTES)
                .map_err(|_| io::ErrorKind::OutOfMemory)?;
            bytes.resize(CHUNK_BYTES, 0);
            *slot = Some(bytes.into_boxed_slice());
        }
        slot.as_deref_mut()
            .ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }
}
