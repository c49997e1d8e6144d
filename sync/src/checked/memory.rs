//! Regions and arrays on the heap: models are small and many, mappings would cost more.

#![expect(
    unsafe_code,
    reason = "raw allocation, zeroed and aligned like a mapping"
)]

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::io;
use std::ptr::NonNull;

use crate::Huge;
use crate::atomic::AtomicU64;

const PAGE_BYTES: usize = 4096;

pub(crate) struct Region {
    start: NonNull<u8>,
    layout: Layout,
    len: usize,
}

// SAFETY: a region owns its memory and never looks at it; what callers do through the pointer is
// under their own protocol, as with any raw pointer.
unsafe impl Send for Region {}
// SAFETY: as above; the methods read nothing but fields that never change.
unsafe impl Sync for Region {}

impl Region {
    pub(crate) fn new(bytes: usize, _: Huge) -> io::Result<Self> {
        let layout = Layout::from_size_align(bytes.max(1), PAGE_BYTES)
            .map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        // SAFETY: the layout's size is not zero.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) })
            .ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        Ok(Self {
            start,
            layout,
            len: bytes,
        })
    }

    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// # Safety
    /// As [`crate::Region::discard`]; a model's memory is on the heap and stays.
    pub(crate) unsafe fn discard(&self, _: usize, _: usize) {}

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout, and freed nowhere else.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

pub(crate) struct AtomicArray(Box<[AtomicU64]>);

impl AtomicArray {
    pub(crate) fn new(len: usize) -> io::Result<Self> {
        Ok(Self((0..len).map(|_| AtomicU64::new(0)).collect()))
    }

    pub(crate) fn as_slice(&self) -> &[AtomicU64] {
        &self.0
    }
}
