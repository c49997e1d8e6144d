//! Making room: which pages are evicted, and what becomes of their frames.
//!
//! # Rules
//! 1. A frame comes from those idle, else from the budget, else room is made: frames that have done
//!    their time in limbo become idle, and a batch of pages is evicted, whose frames do their time
//!    while the others are used up. So an allocation seldom waits for anybody.
//! 2. A hand goes round all frames. It evicts clean pages that nobody holds, of which nobody has made
//!    use since it came by; hot ones have a further chance. Three rounds without a find are the end.
//! 3. Pages of scans are queued as they come, and when there are more than a small share of the
//!    budget the oldest go first, before the hand moves: a scan takes its frames from itself.
//! 4. A frame is retired after its entry has left the table, and reclaimed when its mark is past
//!    and, asked after that, its pins are zero (`pool`, rules 3 and 4).
//! 5. What the hand knows of a frame (its place) is a hint; the entry in the table that names the
//!    frame is the truth, and the compare-and-swap on it decides.
//! 6. Mutexes are taken in this order: hand, limbo, idle frames. No disk is waited for under any.
//! 7. Frames that only guards keep will come: a guard is there for a moment, though its thread may
//!    have lost its processor for much longer. One yields, then sleeps longer and longer, for some
//!    seconds in all. Where all is held or dirty nobody waits: that may last.
//! 8. That there is nothing is said of one moment: limbo and the idle frames are looked at under both
//!    mutexes, so that what another has just made idle is not overlooked on its way.

#![expect(unsafe_code, reason = "reclaims frames whose readers are gone")]

use std::collections::VecDeque;
use std::time::Duration;

use vellum_sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use vellum_sync::{Epochs, Mark, Mutex, MutexGuard, scaled, thread};

use super::Shared;
use super::word::{Verdict, Word};
use crate::error::PageError;
use crate::frames::{Frame, Own};
use crate::page::PageSize;

/// Rounds of the hand (rule 2).
const ROUNDS: usize = 3;
/// A batch is this part of the budget.
const BATCHES: usize = 64;
const BATCH_BYTES_MAX: usize = 1 << 20;
/// The queue of scans may keep this part of the budget.
const SCANS: usize = 32;

/// How often one yields, then sleeps, for guards to go (rule 7).
const YIELDS: usize = scaled(64, 1);
const SLEEPS: usize = scaled(800, 0);
/// The first sleep; each of the next few is twice as long as the one before.
const SLEEP: Duration = Duration::from_micros(100);
const DOUBLINGS: usize = 7;

/// See the module's rules.
pub(super) struct Room {
    hand: Mutex<Hand>,
    limbo: Mutex<Limbo>,
    limbo_bytes: AtomicUsize,
}

#[derive(Default)]
struct Hand {
    class: usize,
    index: u32,
    scans: VecDeque<Frame>,
    scans_bytes: usize,
}

#[derive(Default)]
struct Limbo {
    /// In the order of their marks.
    waiting: VecDeque<(Mark, Frame)>,
    waiting_bytes: usize,
    /// Past their marks, and held by somebody.
    held: Vec<Frame>,
}

/// What came of making room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    /// There are idle frames.
    Frames,
    /// There will be, when guards are gone.
    Later,
    /// All is held or dirty.
    Nothing,
}

impl Room {
    pub(super) fn new() -> Self {
        Self {
            hand: Mutex::new(Hand::default()),
            limbo: Mutex::new(Limbo::default()),
            limbo_bytes: AtomicUsize::new(0),
        }
    }

    pub(super) fn limbo_bytes(&self) -> usize {
        self.limbo_bytes.load(Ordering::Relaxed)
    }

    /// Frames that have left the table (rule 4). Marks are taken under the mutex, to be in order.
    pub(super) fn retire(&self, epochs: &Epochs, frames: impl IntoIterator<Item = Frame>) {
        let mut limbo = self.limbo.lock();
        let mark = epochs.retire();
        for frame in frames {
            limbo.waiting.push_back((mark, frame));
            limbo.waiting_bytes += frame.size.bytes();
            self.limbo_bytes
                .fetch_add(frame.size.bytes(), Ordering::Relaxed);
        }
    }
}

/// Rule 7.
fn wait(waited: usize) {
    match waited.checked_sub(YIELDS) {
        None => thread::yield_now(),
        Some(slept) => thread::sleep(SLEEP * (1 << slept.min(DOUBLINGS))),
    }
}

impl Shared {
    /// An idle frame, for which room is made if need be.
    pub(super) fn allocate(&self, size: PageSize) -> Result<Own, PageError> {
        let mut waited = 0;
        while size.bytes() <= self.frames.limit() {
            if let Some(own) = self.frames.take(size) {
                return Ok(own);
            }
            match self.make_room(size) {
                Made::Frames => {}
                Made::Later if waited < YIELDS + SLEEPS => {
                    self.tallies.waits.add(1);
                    wait(waited);
                    waited += 1;
                }
                Made::Later | Made::Nothing => break,
            }
        }
        Err(PageError::NoFrame {
            bytes: size.bytes(),
        })
    }

    /// Rule 1.
    fn make_room(&self, size: PageSize) -> Made {
        let mut hand = self.room.hand.lock();
        self.tallies.sweeps.add(1);
        let (freed, limbo) = self.collect();
        let waiting = limbo.waiting_bytes;
        drop(limbo);
        let batch = self.frames.budget() / BATCHES;
        let batch = batch.min(BATCH_BYTES_MAX).max(size.bytes());
        if waiting < batch {
            self.evict(&mut hand, batch - waiting);
        }
        if freed > 0 {
            return Made::Frames;
        }
        let (freed, limbo) = self.collect();
        match (freed, limbo.waiting_bytes) {
            // Rule 8.
            (0, 0) if !self.frames.has_room(size) => Made::Nothing,
            (0, 1..) => Made::Later,
            _ => Made::Frames,
        }
    }

    /// Makes frames idle that have done their time (rule 4); their bytes, and the others.
    fn collect(&self) -> (usize, MutexGuard<'_, Limbo>) {
        // Two moves bring what was retired before past all marks, if no guard is in the way.
        let _ = self.epochs.advance() && self.epochs.advance();
        let mut limbo = self.room.limbo.lock();
        let mut past = std::mem::take(&mut limbo.held);
        // Acquires what guards did, before pins are looked at.
        let safe = self.epochs.safe();
        while let Some(&(mark, frame)) = limbo.waiting.front()
            && safe.is_some_and(|safe| mark <= safe)
        {
            limbo.waiting.pop_front();
            limbo.waiting_bytes -= frame.size.bytes();
            past.push(frame);
        }
        // Acquire: what holders did happens before the frame is used again (`held`, rule 3).
        let is_held = |frame: &Frame| self.frames.pins(*frame).load(Ordering::Acquire) > 0;
        let (held, free): (Vec<_>, Vec<_>) = past.into_iter().partition(is_held);
        limbo.held = held;
        let bytes = free.iter().map(|frame| frame.size.bytes()).sum();
        self.room.limbo_bytes.fetch_sub(bytes, Ordering::Relaxed);
        // SAFETY: rule 4: the entry is gone, the guards that may have seen it are gone, nobody holds
        // the page and nobody can begin to (`held`, rule 2); leaving limbo happens once.
        let owned = free
            .into_iter()
            .map(|frame| unsafe { self.frames.reclaim(frame) });
        self.frames.give(owned);
        (bytes, limbo)
    }

    /// Takes pages of at least so many bytes out of the table, if so many can go.
    fn evict(&self, hand: &mut Hand, bytes: usize) {
        let mut evicted = Vec::new();
        let mut found = 0;
        while found < bytes
            && hand.scans_bytes > self.frames.budget() / SCANS
            && let Some(frame) = hand.scans.pop_front()
        {
            hand.scans_bytes -= frame.size.bytes();
            if self.try_evict(frame, Word::is_of_scan).is_some() {
                found += frame.size.bytes();
                evicted.push(frame);
            }
        }
        let mut steps = ROUNDS * self.frames_touched();
        while found < bytes && steps > 0 {
            steps -= 1;
            let frame = self.step(hand);
            if let Some(old) = self.try_evict(frame, |_| true) {
                found += frame.size.bytes();
                evicted.push(frame);
                // What the frame says is a hint (rule 5), and this is one.
                if let Some(at) = self.frames.at(frame)
                    && old.is_wanted()
                {
                    self.recent.leave(at);
                }
            }
        }
        self.tallies.evictions.add(evicted.len() as u64);
        if !evicted.is_empty() {
            self.room.retire(&self.epochs, evicted);
        }
    }

    /// Judges the page in a frame, and takes it out of the table if it is to go; what its entry was then.
    fn try_evict(&self, frame: Frame, applies: impl FnOnce(Word) -> bool) -> Option<Word> {
        let entry = self.entry_of(frame)?;
        let old = Word(entry.load(Ordering::Relaxed));
        let is_held = || self.frames.pins(frame).load(Ordering::Relaxed) > 0;
        if old.frame() != Some(frame) || !applies(old) || is_held() {
            return None;
        }
        let new = match old.judge() {
            Verdict::Keep => return None,
            Verdict::Spare(new) => new,
            Verdict::Evict => Word::ABSENT,
        };
        // Acquire: the page was written before it was said to be clean, and is so before another
        // reads it. What is done to the frame later is ordered by limbo. Rule 5.
        let swapped = entry.compare_exchange(old.0, new.0, Ordering::AcqRel, Ordering::Relaxed);
        (swapped.is_ok() && new == Word::ABSENT).then_some(old)
    }

    fn entry_of(&self, frame: Frame) -> Option<&AtomicU64> {
        self.table.get(self.frames.at(frame)?)
    }

    fn frames_touched(&self) -> usize {
        let touched = PageSize::ALL.map(|size| self.frames.touched(size) as usize);
        touched.iter().sum()
    }

    /// The frame under the hand, which goes on to the next.
    fn step(&self, hand: &mut Hand) -> Frame {
        loop {
            let size = PageSize::ALL[hand.class];
            if hand.index < self.frames.touched(size) {
                let index = hand.index;
                hand.index += 1;
                return Frame { size, index };
            }
            hand.class = (hand.class + 1) % PageSize::ALL.len();
            hand.index = 0;
        }
    }

    /// A page of a scan has come (rule 3).
    pub(super) fn note_scanned(&self, frame: Frame) {
        let most = self.frames_touched();
        let mut hand = self.room.hand.lock();
        hand.scans.push_back(frame);
        hand.scans_bytes += frame.size.bytes();
        // What went otherwise is still queued: more than all frames are not worth knowing.
        while hand.scans.len() > most
            && let Some(old) = hand.scans.pop_front()
        {
            hand.scans_bytes -= old.size.bytes();
        }
    }
}
