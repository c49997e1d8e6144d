//! Memory for pages: frames of the five sizes, under one budget. Used by `pool` alone.
//!
//! # Rules
//! 1. Each size has a mapping of its own, as large as the whole budget, cut into frames that are
//!    aligned to their size. Address space is all it costs: a frame is resident from its first use
//!    until it is given back to the system.
//! 2. The bytes of resident frames, and what is [charged](Frames::charge) for tables beside them, are
//!    within the budget.
//! 3. A frame is used again before another is touched for the first time. Where the budget lacks
//!    room for a frame of one size, idle frames of other sizes are given back to the system.
//! 4. A frame is *owned* ([`Own`]: one owner, who may write), or *shared* ([`Frame`]: anyone who
//!    knows it may read, nobody writes), or idle. [`Own::share`] makes the one of the other;
//!    [`Frames::reclaim`] goes back, and is where a protocol must have seen to it that nobody reads
//!    any more. What a frame holds when it is taken is left from its last use.
//! 5. Beside each frame stand two words: the place of the page in it, a hint for who sweeps, and how
//!    often it is pinned.

#![expect(
    unsafe_code,
    reason = "frames are parts of mappings, lent as slices under rule 4"
)]

use std::fmt;
use std::io;

use vellum_sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use vellum_sync::cell::Witness;
use vellum_sync::{AtomicArray, Huge, Mutex, Region};

use crate::page::{PageRef, PageSize};

const CLASSES: usize = PageSize::ALL.len();

/// Below that, a huge page for the first frame of each size would matter.
const HUGE_FROM: usize = 64 << 20;

/// A frame that may be read by who knows that it is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) size: PageSize,
    pub(crate) index: u32,
}

/// A frame with one owner. Dropping it leaks the frame: see [`Frames::give`].
#[derive(Debug)]
#[must_use = "an owned frame that is not given back is lost"]
pub(crate) struct Own(Frame);

impl Own {
    /// The frame, read-only from now on.
    pub(crate) fn share(self) -> Frame {
        self.0
    }

    pub(crate) fn frame(&self) -> Frame {
        self.0
    }
}

/// See the module's rules.
pub(crate) struct Frames {
    classes: [Class; CLASSES],
    budget: usize,
    charged: AtomicUsize,
    idle: Mutex<Idle>,
    /// Copy of `Idle::resident`, for statistics.
    resident: AtomicUsize,
}

struct Class {
    region: Region,
    /// Where the first frame begins in the region.
    start: usize,
    shift: u32,
    capacity: u32,
    /// Frames touched at any time: those below. Copy of `Idle::touched`, for sweeps.
    touched: AtomicU32,
    /// Two words for each frame: place, pins.
    words: AtomicArray,
    witnesses: Box<[Witness]>,
}

#[derive(Default)]
struct Idle {
    resident: usize,
    sizes: [IdleSize; CLASSES],
}

#[derive(Default)]
struct IdleSize {
    /// Idle and resident.
    ready: Vec<u32>,
    /// Idle and given back.
    empty: Vec<u32>,
    touched: u32,
}

impl Class {
    fn new(size: PageSize, budget: usize) -> io::Result<Self> {
        let bytes = size.bytes();
        let capacity = u32::try_from(budget / bytes).unwrap_or(u32::MAX);
        let frames = capacity as usize;
        let huge = match budget >= HUGE_FROM {
            true => Huge::Yes,
            false => Huge::No,
        };
        // One frame more than needed leaves room to align the first.
        let region = Region::new((frames + 1) * bytes, huge)?;
        let start = region.as_ptr().align_offset(bytes);
        Ok(Self {
            start,
            region,
            shift: bytes.trailing_zeros(),
            capacity,
            touched: AtomicU32::new(0),
            words: AtomicArray::new(2 * frames)?,
            witnesses: (0..frames).map(|_| Witness::new()).collect(),
        })
    }

    #[inline]
    fn offset(&self, index: u32) -> usize {
        debug_assert!(index < self.capacity);
        self.start + ((index as usize) << self.shift)
    }

    #[inline]
    fn pointer(&self, index: u32) -> *mut u8 {
        // SAFETY: frames are numbered below `capacity`, so that the frame is within the region.
        unsafe { self.region.as_ptr().add(self.offset(index)) }
    }
}

impl Frames {
    /// No frame is resident yet.
    pub(crate) fn new(budget: usize) -> io::Result<Self> {
        let [a, b, c, d, e] = PageSize::ALL.map(|size| Class::new(size, budget));
        Ok(Self {
            classes: [a?, b?, c?, d?, e?],
            budget,
            charged: AtomicUsize::new(0),
            idle: Mutex::new(Idle::default()),
            resident: AtomicUsize::new(0),
        })
    }

    pub(crate) fn budget(&self) -> usize {
        self.budget
    }

    /// Bytes of frames in memory, idle ones included.
    pub(crate) fn resident(&self) -> usize {
        self.resident.load(Ordering::Relaxed)
    }

    /// Memory that is used beside the frames and belongs into the budget; it only grows. At most half
    /// of the budget is taken from the frames for it.
    pub(crate) fn charge(&self, bytes: usize) {
        self.charged.fetch_max(bytes, Ordering::Relaxed);
    }

    pub(crate) fn charged(&self) -> usize {
        self.charged.load(Ordering::Relaxed)
    }

    /// How much the frames may take.
    pub(crate) fn limit(&self) -> usize {
        self.budget - self.charged().min(self.budget / 2)
    }

    /// How many frames of a size were ever touched: they are numbered below that.
    pub(crate) fn touched(&self, size: PageSize) -> u32 {
        self.classes[size.class()].touched.load(Ordering::Relaxed)
    }

    /// A frame, if there is one within the budget (rule 3).
    pub(crate) fn take(&self, size: PageSize) -> Option<Own> {
        let mut idle = self.idle.lock();
        let limit = self.limit();
        while idle.resident > limit && self.give_back(&mut idle) {}
        let own = |index| Some(Own(Frame { size, index }));
        if let Some(index) = idle.sizes[size.class()].ready.pop() {
            return own(index);
        }
        while idle.resident + size.bytes() > limit {
            if !self.give_back(&mut idle) {
                return None;
            }
        }
        let class = &self.classes[size.class()];
        let sizes = &mut idle.sizes[size.class()];
        let index = match sizes.empty.pop() {
            Some(index) => index,
            None if sizes.touched < class.capacity => {
                sizes.touched += 1;
                class.touched.store(sizes.touched, Ordering::Relaxed);
                sizes.touched - 1
            }
            None => return None,
        };
        idle.resident += size.bytes();
        self.resident.store(idle.resident, Ordering::Relaxed);
        own(index)
    }

    /// Whether it is worth while to ask for a frame: one may be idle, or the budget has room.
    pub(crate) fn has_room(&self, size: PageSize) -> bool {
        let idle = self.idle.lock();
        let is_idle = idle.sizes.iter().any(|sizes| !sizes.ready.is_empty());
        is_idle || idle.resident + size.bytes() <= self.limit()
    }

    /// Gives an idle frame back to the system, a large one first; false if there is none.
    fn give_back(&self, idle: &mut Idle) -> bool {
        for size in PageSize::ALL.into_iter().rev() {
            let sizes = &mut idle.sizes[size.class()];
            if let Some(index) = sizes.ready.pop() {
                sizes.empty.push(index);
                idle.resident -= size.bytes();
                self.resident.store(idle.resident, Ordering::Relaxed);
                let class = &self.classes[size.class()];
                class.witnesses[index as usize].write();
                // SAFETY: the frame is within the region, and idle: nobody uses it (rule 4).
                unsafe { class.region.discard(class.offset(index), size.bytes()) }
                return true;
            }
        }
        false
    }

    /// Frames that their owners need no more.
    pub(crate) fn give(&self, owned: impl IntoIterator<Item = Own>) {
        let mut idle = self.idle.lock();
        for Own(frame) in owned {
            idle.sizes[frame.size.class()].ready.push(frame.index);
        }
    }

    /// Owner again of a frame that was shared.
    ///
    /// # Safety
    /// Nobody reads it any more, nobody can find it any more, what readers did happens before, and
    /// it is reclaimed once.
    pub(crate) unsafe fn reclaim(&self, frame: Frame) -> Own {
        Own(frame)
    }

    /// The bytes, for the owner to write.
    pub(crate) fn owned_mut<'a>(&'a self, own: &'a mut Own) -> &'a mut [u8] {
        let Frame { size, index } = own.0;
        let class = &self.classes[size.class()];
        class.witnesses[index as usize].write();
        // SAFETY: the frame is within the region, whose bytes are always initialised. `own` is the
        // only one of this frame and is borrowed exclusively: nobody else has the bytes (rule 4).
        unsafe { std::slice::from_raw_parts_mut(class.pointer(index), size.bytes()) }
    }

    /// The bytes, for the owner to read.
    pub(crate) fn owned<'a>(&'a self, own: &'a Own) -> &'a [u8] {
        // SAFETY: as long as `own` is borrowed, its owner neither writes nor gives it away.
        unsafe { self.shared(own.0) }
    }

    /// The bytes of a shared frame.
    ///
    /// # Safety
    /// The frame is shared, and not reclaimed as long as the result is used.
    #[inline]
    pub(crate) unsafe fn shared(&self, frame: Frame) -> &[u8] {
        let class = &self.classes[frame.size.class()];
        self.witness(frame);
        // SAFETY: the frame is within the region, whose bytes are always initialised; the caller
        // promises that nobody writes them.
        unsafe { std::slice::from_raw_parts(class.pointer(frame.index), frame.size.bytes()) }
    }

    /// Tells a checker that a shared frame is read.
    #[inline]
    pub(crate) fn witness(&self, frame: Frame) {
        if size_of::<Witness>() > 0 {
            self.classes[frame.size.class()].witnesses[frame.index as usize].read();
        }
    }

    /// Tells the processor that so many lines at the beginning of a frame will be read. There need be no
    /// such frame.
    #[inline]
    pub(crate) fn prefetch(&self, frame: Frame, lines: usize) {
        let class = &self.classes[frame.size.class()];
        let offset = class.start + ((frame.index as usize) << class.shift);
        let at = class.region.as_ptr().wrapping_add(offset);
        for line in 0..lines {
            prefetch(at.wrapping_add(line * 64).cast_const());
        }
    }

    /// Which page is in the frame: a hint, which the page table confirms.
    #[inline]
    pub(crate) fn at(&self, frame: Frame) -> Option<PageRef> {
        PageRef::from_bits(self.words(frame).0.load(Ordering::Relaxed))
    }

    /// To be called before the frame gets into the page table.
    pub(crate) fn set_at(&self, frame: Frame, at: PageRef) {
        self.words(frame).0.store(at.bits(), Ordering::Relaxed);
    }

    /// How often the frame is pinned.
    #[inline]
    pub(crate) fn pins(&self, frame: Frame) -> &AtomicU64 {
        self.words(frame).1
    }

    #[inline]
    fn words(&self, frame: Frame) -> (&AtomicU64, &AtomicU64) {
        let at = 2 * frame.index as usize;
        let words = &self.classes[frame.size.class()].words;
        (&words[at], &words[at + 1])
    }
}

/// Tells the processor that a line will be read.
#[inline]
pub(crate) fn prefetch(at: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a prefetch is a hint and faults at no address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = at;
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames")
            .field("budget", &self.budget)
            .field("resident", &self.resident())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_aligned_apart_and_used_again() {
        let frames = Frames::new(1 << 20).unwrap();
        let mut owned = Vec::new();
        for size in PageSize::ALL {
            for fill in 0..3 {
                let mut own = frames.take(size).unwrap();
                let bytes = frames.owned_mut(&mut own);
                assert_eq!(bytes.len(), size.bytes());
                assert!(bytes.as_ptr().addr().is_multiple_of(size.bytes()));
                bytes.fill((size.class() * 3 + fill) as u8);
                owned.push(own);
            }
        }
        for (fill, own) in owned.iter().enumerate() {
            assert!(frames.owned(own).iter().all(|&byte| byte == fill as u8));
        }
        let resident = frames.resident();
        assert_eq!(resident, 3 * 31 * 4096);
        frames.give(owned);
        let again: Vec<_> = PageSize::ALL.map(|size| frames.take(size).unwrap()).into();
        assert_eq!(frames.resident(), resident);
        assert!(again.iter().all(|own| own.frame().index < 3));
        frames.give(again);
    }

    #[test]
    fn the_budget_goes_from_one_size_to_another() {
        let frames = Frames::new(4 * 65536).unwrap();
        let take_all = |size| -> Vec<Own> { std::iter::from_fn(|| frames.take(size)).collect() };
        for size in PageSize::ALL.into_iter().chain(PageSize::ALL) {
            let all = take_all(size);
            assert_eq!(all.len(), 4 * 65536 / size.bytes());
            assert_eq!(frames.resident(), frames.budget());
            assert!(frames.take(PageSize::K4).is_none());
            frames.give(all);
        }
        frames.charge(65536);
        assert_eq!(take_all(PageSize::K64).len(), 3, "tables count");
        frames.charge(1 << 30);
        assert_eq!(frames.limit(), 2 * 65536, "but leave half to the frames");
    }
}
