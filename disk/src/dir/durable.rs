//! Durable writes: direct ones, and the fall-back. Any thread may call.
//!
//! 1. A direct write goes block by block from memory aligned to blocks; memory that is not is
//!    copied into a buffer kept for it.
//! 2. Interruptions are retried. A short write is continued; a direct one from the last whole
//!    block, since the system refuses to go on from within.
//! 3. Where the system refuses a direct write as such (`EINVAL`), the rest is written through the
//!    cache and synced. No other error is ever answered by trying in another way.
//! 4. The fall-back has written nothing durably before its `fdatasync` returned.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use vellum_sync::Mutex;

use crate::BLOCK_BYTES;
use crate::raw::Memory;

/// Bytes of a buffer for misaligned memory; longer writes go in steps of it.
const BOUNCE_BYTES: usize = 1 << 20;

/// Buffers kept; more threads than that at once allocate.
const BOUNCE_BUFFERS_KEPT: usize = 4;

/// Memory that the system can write from.
pub(super) trait Source {
    /// Bytes to write.
    fn len(&self) -> usize;

    /// One call that writes from `at` on; returns how many bytes were written.
    fn pwrite(&self, at: usize, file: BorrowedFd<'_>, offset: u64) -> io::Result<usize>;
}

impl Source for &[u8] {
    fn len(&self) -> usize {
        <[u8]>::len(self)
    }

    fn pwrite(&self, at: usize, file: BorrowedFd<'_>, offset: u64) -> io::Result<usize> {
        Ok(rustix::io::pwrite(
            file,
            self.get(at..).unwrap_or_default(),
            offset,
        )?)
    }
}

/// A part of mapped memory.
pub(super) struct Part<'a> {
    /// The memory.
    pub(super) memory: &'a Memory,
    /// Which bytes of it.
    pub(super) range: Range<usize>,
}

impl Source for Part<'_> {
    fn len(&self) -> usize {
        self.range.len()
    }

    fn pwrite(&self, at: usize, file: BorrowedFd<'_>, offset: u64) -> io::Result<usize> {
        self.memory
            .pwrite(self.range.start + at..self.range.end, file, offset)
    }
}

/// Writes all of `source` at `offset` through the cache.
pub(super) fn write_cached(
    file: BorrowedFd<'_>,
    source: &impl Source,
    offset: u64,
) -> io::Result<()> {
    write_fully(source.len(), 1, |at| {
        source.pwrite(at, file, offset + at as u64)
    })
}

/// Writes all of `source` at `offset`, durably: directly where `direct` is given, else or where
/// that is refused through the cache of `file`.
pub(super) fn write_durably(
    file: BorrowedFd<'_>,
    direct: Option<BorrowedFd<'_>>,
    source: &impl Source,
    offset: u64,
) -> io::Result<()> {
    let write = |direct: BorrowedFd<'_>| {
        write_fully(source.len(), BLOCK_BYTES, |at| {
            source.pwrite(at, direct, offset + at as u64)
        })
    };
    match direct.map(write) {
        Some(Err(error)) if is_refusal(&error) => {}
        Some(outcome) => return outcome,
        None => {}
    }
    write_cached(file, source, offset)?;
    Ok(rustix::fs::fdatasync(file)?)
}

/// Whether the system does not do direct writes of this kind at all (rule 3).
pub(super) fn is_refusal(error: &io::Error) -> bool {
    let refusals = [Errno::INVAL, Errno::OPNOTSUPP];
    error
        .raw_os_error()
        .is_some_and(|code| refusals.iter().any(|r| r.raw_os_error() == code))
}

/// Calls `write` with the place to go on from until `len` bytes are written (rule 2); `step` is
/// what the places are multiples of.
fn write_fully(
    len: usize,
    step: usize,
    mut write: impl FnMut(usize) -> io::Result<usize>,
) -> io::Result<()> {
    let mut done = 0;
    let mut stalled = false;
    while done < len {
        let written = match write(done) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            outcome => outcome?,
        };
        let reached = done + written;
        let next = if reached >= len {
            len
        } else {
            reached / step * step
        };
        // A second call without progress would report its reason, unless there is none.
        if next == done && (stalled || written == 0) {
            return Err(io::ErrorKind::WriteZero.into());
        }
        stalled = next == done;
        done = next;
    }
    Ok(())
}

/// Aligned buffers for memory that is not.
#[derive(Default)]
pub(super) struct BouncePool {
    buffers: Mutex<Vec<Memory>>,
}

impl BouncePool {
    /// As [`write_durably`], directly, for memory of any alignment.
    pub(super) fn write_durably(
        &self,
        file: BorrowedFd<'_>,
        direct: BorrowedFd<'_>,
        bytes: &[u8],
        offset: u64,
    ) -> io::Result<()> {
        let kept = self.buffers.lock().pop();
        let memory = kept.map_or_else(|| Memory::anonymous(BOUNCE_BYTES), Ok)?;
        let outcome = write_in_steps(&memory, file, direct, bytes, offset);
        let mut buffers = self.buffers.lock();
        if buffers.len() < BOUNCE_BUFFERS_KEPT {
            buffers.push(memory);
        }
        outcome
    }
}

fn write_in_steps(
    memory: &Memory,
    file: BorrowedFd<'_>,
    direct: BorrowedFd<'_>,
    bytes: &[u8],
    mut offset: u64,
) -> io::Result<()> {
    for step in bytes.chunks(BOUNCE_BYTES) {
        memory.store(step, 0)?;
        let part = Part {
            memory,
            range: 0..step.len(),
        };
        write_durably(file.as_fd(), Some(direct), &part, offset)?;
        offset += step.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;

    /// Runs `write_fully` over scripted outcomes; returns the places it asked for.
    fn run(len: usize, step: usize, script: &[Result<usize, ErrorKind>]) -> (Vec<usize>, String) {
        let mut places = Vec::new();
        let mut script = script.iter();
        let outcome = write_fully(len, step, |at| {
            places.push(at);
            script.next().unwrap().map_err(io::Error::from)
        });
        (
            places,
            outcome.map_or_else(|error| format!("{:?}", error.kind()), |()| "ok".into()),
        )
    }

    #[test]
    fn interruptions_are_retried_and_short_writes_continued() {
        let interrupted = Err(ErrorKind::Interrupted);
        let script = [interrupted, Ok(10), interrupted, Ok(0), Ok(1)];
        assert_eq!(
            run(100, 1, &script[..4]),
            (vec![0, 0, 10, 10], "WriteZero".into())
        );
        assert_eq!(
            run(100, 1, &[Ok(10), Ok(60), Ok(30)]),
            (vec![0, 10, 70], "ok".into())
        );
        let full = [Ok(10), Err(ErrorKind::StorageFull)];
        assert_eq!(run(100, 1, &full), (vec![0, 10], "StorageFull".into()));
    }

    #[test]
    fn short_direct_writes_go_on_from_a_whole_block() {
        let script = [Ok(5000), Ok(100), Ok(4096), Ok(4096)];
        assert_eq!(
            run(12288, 4096, &script),
            (vec![0, 4096, 4096, 8192], "ok".into())
        );
        let stuck = [Ok(100), Ok(100), Ok(100)];
        assert_eq!(run(8192, 4096, &stuck), (vec![0, 0], "WriteZero".into()));
        let full = [Ok(512), Err(ErrorKind::StorageFull)];
        assert_eq!(run(8192, 4096, &full), (vec![0, 0], "StorageFull".into()));
    }
}
