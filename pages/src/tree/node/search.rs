//! How many of a page's heads are less than one: a few binary steps, then all that are left at once.
//!
//! 1. The kind of processor is asked for once, by [`Search::detect`]; the value is copied to wherever
//!    pages are searched. There is no static.
//! 2. All kinds give the same answer for ascending heads, and some number up to the heads' length
//!    for any others.

#[cfg(target_arch = "x86_64")]
mod x86;

use super::keys::number;

/// Up to how many heads are counted at once; above that, halves are chosen first.
const WINDOW: usize = 64;

#[derive(Clone, Copy, Debug)]
enum Lanes {
    Plain,
    #[cfg(target_arch = "x86_64")]
    Avx2(x86::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(x86::Avx512),
}

/// How this processor searches heads.
#[derive(Clone, Copy, Debug)]
pub struct Search(Lanes);

impl Search {
    /// The fastest way that this processor has.
    #[must_use]
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(lanes) = x86::Avx512::detect() {
                return Self(Lanes::Avx512(lanes));
            }
            if let Some(lanes) = x86::Avx2::detect() {
                return Self(Lanes::Avx2(lanes));
            }
        }
        Self::plain()
    }

    /// The way that needs nothing of the processor.
    #[must_use]
    pub fn plain() -> Self {
        Self(Lanes::Plain)
    }

    /// Every way that this processor has.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let all = vec![Self::plain()];
        #[cfg(target_arch = "x86_64")]
        let all = {
            let mut all = all;
            all.extend(x86::Avx2::detect().map(|lanes| Self(Lanes::Avx2(lanes))));
            all.extend(x86::Avx512::detect().map(|lanes| Self(Lanes::Avx512(lanes))));
            all
        };
        all
    }

    /// Its name, for figures.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Lanes::Plain => "plain",
            #[cfg(target_arch = "x86_64")]
            Lanes::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Lanes::Avx512(_) => "avx512",
        }
    }

    /// How many of ascending `heads` are less than `head`.
    #[inline]
    pub(super) fn below(self, heads: &[[u8; 4]], head: i32) -> usize {
        let (skipped, window) = narrow(heads, head);
        skipped
            + match self.0 {
                Lanes::Plain => count(window, head),
                #[cfg(target_arch = "x86_64")]
                Lanes::Avx2(lanes) => lanes.count(window, head),
                #[cfg(target_arch = "x86_64")]
                Lanes::Avx512(lanes) => lanes.count(window, head),
            }
    }
}

/// Halves until a window is left; how many heads, all less, lie before it.
#[inline]
fn narrow(heads: &[[u8; 4]], head: i32) -> (usize, &[[u8; 4]]) {
    let mut base = 0;
    let mut len = heads.len();
    while len > WINDOW {
        let half = len / 2;
        let is_less = number(heads[base + half - 1]) < head;
        // As a branch it would be mispredicted every other time.
        base = std::hint::select_unpredictable(is_less, base + half, base);
        len -= half;
    }
    (base, &heads[base..base + len])
}

/// Counts without a branch on what is compared; compilers make vectors of it.
#[inline]
fn count(heads: &[[u8; 4]], head: i32) -> usize {
    let less = heads.iter().map(|h| i32::from(number(*h) < head));
    less.sum::<i32>().cast_unsigned() as usize
}

/// Asks the processor for the first `lines` cache lines of a page; no effect but on speed.
///
/// Six hold the header, heads and slots of a leaf of 8 KiB with 50 records.
#[inline]
pub fn prefetch(page: &[u8], lines: usize) {
    for line in page.chunks(64).take(lines) {
        prefetch_line(line);
    }
}

/// Asks for the cache line where `bytes` begin.
#[inline]
pub(super) fn prefetch_line(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    x86::prefetch(bytes.as_ptr());
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}
