//! Which epochs are alive, and which replaced pages they hold. Any thread may call; readers clone
//! and drop [`Alive`] only.
//!
//! 1. Epochs begin in rising order. One is alive as long as a clone of its [`Alive`] is: views,
//!    checkpoints and backups own some, and so does the newest durable checkpoint, whose places
//!    must not be given again before the next one is durable [9]. The newest epoch is alive by
//!    itself, since anybody may yet make a view of it; it ends when the next one begins and nobody
//!    owns it.
//! 2. A page made by epoch c and replaced by e is needed while an epoch in [c, e) is alive, and by no
//!    other: what is needed is not a matter of the oldest living epoch. A snapshot held for hours
//!    at 5 holds no page made at 6.
//! 3. A note waits on one living epoch, the greatest in [c, e), and is looked at again when that one
//!    ends. So each end touches only the notes that waited for it, and a note moves at most once
//!    for each epoch that holds it. Where e has not begun, the newest epoch stands for all between.
//! 4. Dropping the last clone notes the epoch's end and does nothing else: one push under a mutex
//!    that is held for pushes and one swap only. All that follows is done by [`Living::collect`],
//!    by whoever merges or makes checkpoints, under a mutex that no reader takes.
//! 5. An epoch that ended does not come back.

use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::sync::Arc;

use vellum_sync::Mutex;

use crate::{Epoch, PageRef};

/// Keeps the pages of an epoch; the last clone's drop lets go of them.
#[derive(Clone)]
pub struct Alive {
    entry: Arc<Entry>,
}

struct Entry {
    epoch: Epoch,
    ended: Arc<Ended>,
}

/// Epochs whose last owner is gone, not yet looked at.
#[derive(Default)]
struct Ended {
    epochs: Mutex<Vec<Epoch>>,
}

impl Alive {
    /// Its epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.entry.epoch
    }
}

impl fmt::Debug for Alive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Alive({})", self.epoch().0)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // Rule 4.
        self.ended.epochs.lock().push(self.epoch);
    }
}

/// A replaced page.
#[derive(Clone, Copy, Debug)]
struct Note {
    at: PageRef,
    made: Epoch,
    by: Epoch,
}

/// The registry.
#[derive(Default)]
pub struct Living {
    ended: Arc<Ended>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Living epochs, each with the notes that wait on it.
    epochs: BTreeMap<Epoch, Vec<Note>>,
    /// The newest epoch, and whether only rule 1 keeps it.
    newest: Option<(Epoch, bool)>,
    /// What nobody needs any more.
    free: Vec<PageRef>,
    waiting: usize,
}

impl Living {
    /// No epoch has begun.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins an epoch; `None` if it is not later than all that have begun.
    #[must_use]
    pub fn begin(&self, epoch: Epoch) -> Option<Alive> {
        let mut inner = self.inner.lock();
        let before = inner.newest;
        if before.is_some_and(|(newest, _)| epoch <= newest) {
            return None;
        }
        inner.epochs.insert(epoch, Vec::new());
        inner.newest = Some((epoch, false));
        if let Some((old, true)) = before {
            inner.end(old);
        }
        drop(inner);
        let ended = Arc::clone(&self.ended);
        let entry = Arc::new(Entry { epoch, ended });
        Some(Alive { entry })
    }

    /// Notes that the page at `at`, made by `made`, is no part of epoch `by` and later ones. `by` is
    /// the epoch under construction; `made` itself, where the page was given up before it was
    /// published.
    pub fn replaced(&self, at: PageRef, made: Epoch, by: Epoch) {
        debug_assert!(made <= by);
        self.inner.lock().place(Note { at, made, by });
    }

    /// What has become free since the last time, each place once.
    #[must_use]
    pub fn collect(&self) -> Vec<PageRef> {
        let ended = mem::take(&mut *self.ended.epochs.lock());
        let mut inner = self.inner.lock();
        for epoch in ended {
            match &mut inner.newest {
                Some((newest, unowned)) if *newest == epoch => *unowned = true,
                _ => inner.end(epoch),
            }
        }
        mem::take(&mut inner.free)
    }

    /// Epochs alive at the last [`Living::collect`], in order.
    #[must_use]
    pub fn alive(&self) -> Vec<Epoch> {
        self.inner.lock().epochs.keys().copied().collect()
    }

    /// Replaced pages that an epoch still holds.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.inner.lock().waiting
    }
}

impl Inner {
    /// Rule 3.
    fn holder(&self, note: &Note) -> Option<Epoch> {
        if note.made >= note.by {
            return None;
        }
        let held = self.epochs.range(note.made..note.by).next_back();
        let newest = self.newest.map(|(newest, _)| newest);
        // Epochs between the newest and `by` may yet begin.
        let later = newest.filter(|newest| newest.next() < note.by);
        held.map(|(epoch, _)| *epoch).or(later)
    }

    fn place(&mut self, note: Note) {
        let holder = self.holder(&note);
        match holder.and_then(|epoch| self.epochs.get_mut(&epoch)) {
            Some(waiting) => {
                waiting.push(note);
                self.waiting += 1;
            }
            None => self.free.push(note.at),
        }
    }

    fn end(&mut self, epoch: Epoch) {
        let waited = self.epochs.remove(&epoch).unwrap_or_default();
        self.waiting -= waited.len();
        for note in waited {
            self.place(note);
        }
    }
}
