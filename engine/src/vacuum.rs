//! Giving disk space back: pages from the end of the file of pages move into its holes, leaves with room
//! are put together, and the file is cut. Whoever calls [`Database::vacuum`] does the work; merges,
//! checkpoints, commits and readers go on meanwhile.
//!
//! Rules:
//!
//! 1. All that was committed is merged first, so that what was removed is no longer in pages.
//! 2. **A step** is a unit of work like a merge, under the same turn: it looks at [`PAGES_A_STEP`] and
//!    little more, copied pages of large records included (of one, whatever its length), and makes an epoch
//!    with the same records, the same timestamp and the same position of the log. Who merges or makes a
//!    checkpoint waits for one step at most. A step that made nothing makes no epoch.
//! 3. A checkpoint follows each step that made something, and only then are the places of what it moved
//!    free [9]. Readers hold theirs as ever [15].
//! 4. **A pass** is a row of steps through all tables, in order of their numbers and keys. All of its
//!    steps move what lies beyond the same place: that up to which the file would reach without holes,
//!    and a little more. Tables that are dropped or made meanwhile are no matter.
//! 5. Passes go on while the last one made the file, or what is used in it, smaller.
//! 6. What snapshots hold of that which was moved is not free: where it is more than an eighth of all
//!    pages, it waits a while for them before the next step, and so it does after each pass for all of it.
//!    Snapshots that stay end the vacuum, before the file is much longer, and it says so.
//! 7. Where nothing was to be moved and the file reaches beyond all the same, it does for pages of the last
//!    checkpoint itself: another one of the same state has them nearer.
//!
//! [9]: vellum_pages#hazards
//! [15]: vellum_pages#hazards

use std::time::Duration;

use vellum_pages::base::TREE_PAGE;
use vellum_pages::page::STEP;
use vellum_pages::tree::Compaction;
use vellum_sync::thread;

use crate::database::Database;
use crate::error::{Error, Result};
use crate::merging::Merger;
use crate::paged::TableTree;

/// Pages that a step looks at: 16 MiB.
const PAGES_A_STEP: u64 = 2048;

/// Passes at most.
const PASSES: usize = 12;

/// Pages that snapshots may hold of those that were moved, however few there are (rule 6).
const HELD_MIN: usize = 512;

/// How often and how long it waits for snapshots at a time (rule 6): two seconds.
const WAITS: usize = 200;
const WAIT: Duration = Duration::from_millis(10);

/// What [`Database::vacuum`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VacuumReport {
    /// Bytes of the file of pages before.
    pub bytes_before: u64,
    /// Bytes of it now.
    pub bytes: u64,
    /// Bytes of it that are in use.
    pub used_bytes: u64,
    /// Bytes of pages that were made anew.
    pub moved_bytes: u64,
    /// Steps that made some.
    pub steps: u64,
    /// Whether it ended because snapshots hold what was moved: the file may be longer than before. Call
    /// again when they are gone.
    pub held_up: bool,
}

impl Database {
    /// Makes the file of pages as short as it can be: after large removals the disk gets its space back.
    /// Afterwards the file is a few per cent longer than its pages, and these are nearly full. It reads every
    /// leaf and writes what it moves, which needs free space for some of it in between. Commits and readers
    /// go on meanwhile; merges wait for one step at most, which reads and writes 16 MiB, or one record if that
    /// is longer. Snapshots hold what they see: it waits for them up to two seconds at a time, and then ends
    /// ([`VacuumReport::held_up`]).
    ///
    /// The database reuses space that removals leave by itself; this is for giving it back.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let db = vellum::Database::open(directory.path().join("db"))?;
    /// let report = db.vacuum()?;
    /// assert!(report.bytes >= report.used_bytes);
    /// # Ok::<(), vellum::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Database::checkpoint`]; every step that was done stays done, nothing is lost.
    pub fn vacuum(&self) -> Result<VacuumReport> {
        let shared = self.shared();
        shared.check_writable()?;
        shared.merger.vacuum(&|| shared.check_writable())
    }
}

/// Where a pass is.
#[derive(Default)]
struct Place {
    /// The table's number.
    table: usize,
    key: Vec<u8>,
}

impl Merger {
    fn vacuum(&self, go_on: &dyn Fn() -> Result<()>) -> Result<VacuumReport> {
        let space = self.store.base().pages().store().stats().space;
        let mut report = VacuumReport {
            bytes_before: space.file * STEP as u64,
            ..VacuumReport::default()
        };
        // Rule 1.
        self.checkpoint()?;
        let mut last = self.measure(&mut report)?;
        for _ in 0..PASSES {
            let begun = report.moved_bytes;
            let went_on = self.pass(last, &mut report, go_on)?;
            let is_held = !self.wait_for_snapshots(last.waiting, go_on)?;
            let now = self.measure(&mut report)?;
            // Rule 5.
            let is_smaller = now.file < last.file || now.used < last.used;
            last = now;
            if report.moved_bytes == begun && last.file > last.beyond() {
                self.checkpoint_again()?;
                self.measure(&mut report)?;
            }
            if !went_on || !is_smaller || report.moved_bytes == begun {
                // Rule 6.
                report.held_up = is_held && report.moved_bytes > begun;
                break;
            }
        }
        Ok(report)
    }

    /// Rule 7.
    fn checkpoint_again(&self) -> Result<()> {
        let merging = self.store.merging();
        let before = self.store.base();
        let work = before.pages().work();
        let same = before.with_trees(before.roots().trees(), || work.publish())?;
        merging.rebase(same, 0);
        self.write().map(drop)
    }

    /// Waits until snapshots hold no more than so many replaced pages; false if they go on to (rule 6).
    fn wait_for_snapshots(&self, pages: usize, go_on: &dyn Fn() -> Result<()>) -> Result<bool> {
        for _ in 0..WAITS {
            self.store.let_go_of_views();
            let base = self.store.base();
            base.pages().collect().map_err(Error::from_page)?;
            if base.pages().store().stats().waiting <= pages {
                return Ok(true);
            }
            drop(base);
            go_on()?;
            thread::sleep(WAIT);
        }
        Ok(false)
    }

    /// Cuts the file's free tail off, and tells how it stands.
    fn measure(&self, report: &mut VacuumReport) -> Result<Measured> {
        let base = self.store.base();
        let store = base.pages().store();
        store.cut(1).map_err(Error::from_page)?;
        let stats = store.stats();
        report.bytes = stats.space.file * STEP as u64;
        report.used_bytes = stats.space.used * STEP as u64;
        Ok(Measured {
            file: stats.space.file,
            used: stats.space.used,
            waiting: stats.waiting,
        })
    }

    /// Rule 4; false if it ended early (rule 6).
    fn pass(
        &self,
        begun: Measured,
        report: &mut VacuumReport,
        go_on: &dyn Fn() -> Result<()>,
    ) -> Result<bool> {
        let mut place = Some(Place::default());
        while let Some(from) = place {
            go_on()?;
            let made;
            (place, made) = self.step(from, begun.beyond())?;
            if made == 0 {
                continue;
            }
            report.steps += 1;
            report.moved_bytes += made * STEP as u64;
            // Rule 3.
            self.write()?;
            if !self.wait_for_snapshots(begun.held_at_most(), go_on)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Rule 2: from a place on; where the next one begins, and how many steps of the file were written.
    fn step(&self, from: Place, beyond: u64) -> Result<(Option<Place>, u64)> {
        let merging = self.store.merging();
        let before = self.store.base();
        let work = before.pages().work();
        let mut trees = before.roots().trees();
        let (mut place, mut left) = (from, PAGES_A_STEP);
        while left > 0 && place.table < trees.len() {
            let tree = trees[place.table].take();
            let Some(tree) = tree else {
                place = place.next_table();
                continue;
            };
            let what = Compaction {
                from: &place.key,
                beyond,
                pages: left,
            };
            let compacted = work.compact(&tree.tree, &tree.root, &what);
            let compacted = compacted.map_err(Error::from_page)?;
            left = left.saturating_sub(compacted.pages);
            let root = compacted.root;
            trees[place.table] = Some(TableTree { root, ..tree });
            place = match compacted.next {
                Some(key) => Place { key, ..place },
                None => place.next_table(),
            };
        }
        let next = (place.table < trees.len()).then_some(place);
        let made = work.made_steps();
        if made > 0 {
            let base = before.with_trees(trees, || work.publish())?;
            merging.rebase(base, 0);
        }
        Ok((next, made))
    }
}

impl Place {
    fn next_table(&self) -> Self {
        Self {
            table: self.table + 1,
            key: Vec::new(),
        }
    }
}

/// How the file of pages stands, in steps and pages.
#[derive(Clone, Copy)]
struct Measured {
    file: u64,
    used: u64,
    waiting: usize,
}

impl Measured {
    /// Where the file would end without holes, and a little more: large pages need holes of some length,
    /// and the map's own pages lie in between.
    fn beyond(&self) -> u64 {
        self.used + self.used / 64 + 16
    }

    /// Replaced pages that snapshots may hold, those that they held before included (rule 6).
    fn held_at_most(&self) -> usize {
        let pages = self.used / u64::from(TREE_PAGE.steps());
        let pages = usize::try_from(pages).unwrap_or(usize::MAX);
        self.waiting + HELD_MIN.max(pages / 8)
    }
}
