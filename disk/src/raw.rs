//! Mapped memory: the `unsafe` of the crate, but for rings ([`crate::dir`]). Any thread may call.
//!
//! 1. Mapped bytes are never behind a Rust reference: they are read and written through raw
//!    pointers that do not leave this file.
//! 2. Every access of the program is atomic and one byte wide, so that callers who break the
//!    contract of [`Mapped`](crate::Mapped) and overlap get mixed bytes and nothing worse. (Words
//!    beside bytes would be faster to write down, but racing atomics of different sizes are
//!    undefined; merging partial words by compare-and-swap took 17 ns for 200 bytes where this takes 6.)
//! 3. Every access is within the mapping, and the mapping lives as long as the value.
//! 4. A mapping of a file must not fault: whoever makes one has seen to it that the disk backs
//!    every byte ([`crate::dir`]), and that nobody of this program cuts the file meanwhile.
//! 5. One thread's stores keep their order for whoever reads the file after the process was
//!    killed: the processor keeps it (an interrupt is precise), the compiler is told to.
//! 6. [`begin_write_back`] is here as the one call that rustix lacks; it takes numbers only.

use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};

use memmap2::{MmapMut, MmapOptions, MmapRaw};

use crate::aligned::within;

/// Has the system begin to write what it holds of these bytes of a file. Nothing is promised: what fails is
/// reported by the file's next sync.
pub(crate) fn begin_write_back(file: BorrowedFd<'_>, bytes: Range<u64>) {
    let len = bytes.end.saturating_sub(bytes.start);
    let (Ok(offset), Ok(len)) = (i64::try_from(bytes.start), i64::try_from(len)) else {
        return;
    };
    #[expect(unsafe_code, reason = "rustix has no such call")]
    // SAFETY: the descriptor is borrowed, so open, and the call reaches no memory of the program (rule 6).
    unsafe {
        libc::sync_file_range(file.as_raw_fd(), offset, len, libc::SYNC_FILE_RANGE_WRITE);
    }
}

/// A shared mapping of a file, or anonymous memory aligned to pages.
pub(crate) struct Memory {
    map: MmapRaw,
}

impl Memory {
    /// Maps the first `len` bytes of a file, shared (rule 4).
    pub(crate) fn of_file(file: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        let map = MmapOptions::new()
            .len(len)
            .populate()
            .map_raw(file.as_raw_fd())?;
        Ok(Self { map })
    }

    /// `len` zero bytes that belong to no file.
    pub(crate) fn anonymous(len: usize) -> io::Result<Self> {
        Ok(Self {
            map: MmapMut::map_anon(len)?.into(),
        })
    }

    /// Bytes mapped.
    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    /// Copies `bytes` to `offset`.
    #[inline]
    pub(crate) fn store(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let place = within(self.len(), offset, bytes.len())?;
        std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::Release);
        #[expect(
            unsafe_code,
            reason = "mapped memory is reached through raw pointers only"
        )]
        // SAFETY: `place` is within the mapping (rule 3), which nothing references (rule 1) and
        // which does not fault (rule 4); `bytes` is ours to read and cannot overlap it, as no
        // reference to mapped bytes exists.
        unsafe {
            store_bytes(self.map.as_mut_ptr().add(place.start), bytes);
        }
        Ok(())
    }

    /// Copies the bytes at `offset` to `out`.
    pub(crate) fn load(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        let place = within(self.len(), offset, out.len())?;
        #[expect(
            unsafe_code,
            reason = "mapped memory is reached through raw pointers only"
        )]
        // SAFETY: as in `store`.
        unsafe {
            load_bytes(self.map.as_mut_ptr().add(place.start), out);
        }
        Ok(())
    }

    /// One `pwrite` of the bytes `range`, without a copy; returns how many were written.
    pub(crate) fn pwrite(
        &self,
        range: Range<usize>,
        file: BorrowedFd<'_>,
        offset: u64,
    ) -> io::Result<usize> {
        let place = within(self.len(), range.start as u64, range.len())?;
        let offset = libc::off64_t::try_from(offset).map_err(io::Error::other)?;
        #[expect(unsafe_code, reason = "the system reads mapped memory by address")]
        // SAFETY: `place` is within the mapping, which outlives the call; the system only reads
        // it, and bytes that change meanwhile are the system's business, not the language's.
        let written = unsafe {
            let start = self.map.as_mut_ptr().add(place.start).cast_const().cast();
            libc::pwrite64(file.as_raw_fd(), start, place.len(), offset)
        };
        usize::try_from(written).map_err(|_| io::Error::last_os_error())
    }
}

/// Stores `bytes` at `to`, each byte atomically.
///
/// # Safety
/// `to` is valid for writes of that many bytes, of which no reference exists and which are
/// otherwise accessed atomically, byte by byte; `bytes` does not overlap it.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[expect(
    unsafe_code,
    reason = "mapped memory is reached through raw pointers only"
)]
#[inline]
unsafe fn store_bytes(to: *mut u8, bytes: &[u8]) {
    let Some(last) = bytes.len().checked_sub(8) else {
        // SAFETY: as the caller's.
        return unsafe { store_bytewise(to, bytes) };
    };
    // SAFETY: reads `bytes[at .. at + 8]` and writes `to[at .. at + 8]` for every `at` that it
    // reaches, at most `last`; the last word may repeat bytes just stored. To the language this
    // block is as many relaxed stores of bytes; a processor's word is no weaker than those.
    unsafe {
        std::arch::asm!(
            "jmp 3f",
            "2:",
            "mov {word}, [{from} + {at}]",
            "mov [{to} + {at}], {word}",
            "add {at}, 8",
            "3:",
            "cmp {at}, {last}",
            "jb 2b",
            "mov {word}, [{from} + {last}]",
            "mov [{to} + {last}], {word}",
            word = out(reg) _,
            at = inout(reg) 0usize => _,
            last = in(reg) last,
            from = in(reg) bytes.as_ptr(),
            to = in(reg) to,
            options(nostack),
        );
    }
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
use store_bytewise as store_bytes;

/// As `store_bytes`, on every processor.
///
/// # Safety
/// As `store_bytes`.
#[expect(
    unsafe_code,
    reason = "mapped memory is reached through raw pointers only"
)]
#[expect(
    clippy::disallowed_types,
    reason = "views of memory shared with the system, not state"
)]
unsafe fn store_bytewise(to: *mut u8, bytes: &[u8]) {
    use std::sync::atomic::{AtomicU8, Ordering};
    for (at, byte) in bytes.iter().enumerate() {
        // SAFETY: within the bytes that the caller vouches for.
        unsafe { AtomicU8::from_ptr(to.add(at)).store(*byte, Ordering::Relaxed) };
    }
}

/// Loads bytes from `from`, each atomically.
///
/// # Safety
/// `from` is valid for reads of `out.len()` bytes, of which no reference exists and which are
/// otherwise accessed atomically, byte by byte; `out` does not overlap it.
#[expect(
    unsafe_code,
    reason = "mapped memory is reached through raw pointers only"
)]
#[expect(
    clippy::disallowed_types,
    reason = "views of memory shared with the system, not state"
)]
unsafe fn load_bytes(from: *mut u8, out: &mut [u8]) {
    use std::sync::atomic::{AtomicU8, Ordering};
    for (at, byte) in out.iter_mut().enumerate() {
        // SAFETY: within the bytes that the caller vouches for.
        *byte = unsafe { AtomicU8::from_ptr(from.add(at)).load(Ordering::Relaxed) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_exactly_its_bytes_at_every_length_and_alignment() {
        let memory = Memory::anonymous(4096).unwrap();
        let source: Vec<u8> = (1..=250).collect();
        for len in 0..80 {
            for start in 0..9 {
                memory.store(&[0; 128], 0).unwrap();
                memory.store(&source[..len], 16 + start as u64).unwrap();
                let mut seen = [0; 128];
                memory.load(&mut seen, 0).unwrap();
                let mut expected = [0; 128];
                expected[16 + start..16 + start + len].copy_from_slice(&source[..len]);
                assert_eq!(seen, expected, "{len} bytes at {start}");
            }
        }
    }

    #[test]
    fn refuses_what_lies_outside() {
        let memory = Memory::anonymous(4096).unwrap();
        assert!(memory.store(&[1; 8], 4088).is_ok());
        for offset in [4089, 4096, u64::MAX - 3] {
            let error = memory.store(&[1; 8], offset).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert!(memory.load(&mut [0; 8], offset).is_err());
        }
    }
}
