//! Anonymous mappings.

#![expect(unsafe_code, reason = "zeroed mapped words are lent as atomics")]

use std::io;

#[cfg(all(target_os = "linux", not(miri)))]
use memmap2::{Advice, UncheckedAdvice};
use memmap2::{MmapOptions, MmapRaw};

use crate::Huge;
use crate::atomic::AtomicU64;

pub(crate) struct Region {
    map: MmapRaw,
    len: usize,
}

impl Region {
    pub(crate) fn new(bytes: usize, huge: Huge) -> io::Result<Self> {
        // Nothing can be mapped at length zero.
        let map = MmapRaw::from(MmapOptions::new().len(bytes.max(1)).map_anon()?);
        #[cfg(all(target_os = "linux", not(miri)))]
        if huge == Huge::Yes {
            // Advice: a kernel without huge pages refuses it, and the mapping is as good.
            let _ = map.advise(Advice::HugePage);
        }
        #[cfg(not(all(target_os = "linux", not(miri))))]
        let _ = huge;
        Ok(Self { map, len: bytes })
    }

    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.map.as_mut_ptr()
    }

    /// # Safety
    /// As [`crate::Region::discard`].
    pub(crate) unsafe fn discard(&self, offset: usize, bytes: usize) {
        #[cfg(all(target_os = "linux", not(miri)))]
        {
            // SAFETY: the part is within the mapping and nobody uses it. Where the system refuses
            // (its pages are larger), the memory stays as it was.
            let _ = unsafe {
                self.map
                    .unchecked_advise_range(UncheckedAdvice::DontNeed, offset, bytes)
            };
        }
        #[cfg(not(all(target_os = "linux", not(miri))))]
        let _ = (offset, bytes);
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

pub(crate) struct AtomicArray {
    region: Region,
    len: usize,
}

impl AtomicArray {
    pub(crate) fn new(len: usize) -> io::Result<Self> {
        let bytes = len
            .checked_mul(size_of::<AtomicU64>())
            .ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let huge = if bytes >= HUGE_FROM {
            Huge::Yes
        } else {
            Huge::No
        };
        Ok(Self {
            region: Region::new(bytes, huge)?,
            len,
        })
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[AtomicU64] {
        // SAFETY: the mapping holds `len` words, is aligned to a page and lives as long as `self`.
        // `AtomicU64` is transparent over std's, for which zero bytes are a valid value; words of
        // the mapping are reached through this slice only, hence as atomics only.
        unsafe { std::slice::from_raw_parts(self.region.as_ptr().cast::<AtomicU64>(), self.len) }
    }
}

/// Arrays from four huge pages on are worth them: their elements are hit at random.
const HUGE_FROM: usize = 8 << 20;
