//! Giving disk space back: pages from the end of the file of pages move into its holes, leaves with room
//! are put together, and the file is cut. Whoever calls [`Database::vacuum`] does the work; merges,
//! checkpoints, commits and readers go on meanwhile.
//!
//! Rules:
//!
//! 1. All that was committed is merged first, so that what was removed is no longer in pages.
//! 2. **A step** is a unit of work like a merge, under the same turn: it looks at some thousand leaves at
//!    most, and makes an epoch with the same records, the same timestamp and the same position of the log.
//!    Who merges or makes a checkpoint waits for one step at most. A step that made nothing makes no
//!    epoch.
//! 3. A checkpoint follows each step, and only then are the places of what it moved free [9]. Readers
//!    hold theirs as ever [15].
//! 4. **A pass** is a row of steps through all tables, in order of their numbers and keys. All of its
//!    steps move what lies beyond the same place: that up to which the file would reach without holes,
//!    and a little more. Tables that are dropped or made meanwhile are no matter.
//! 5. Passes go on while the file reaches beyond, as long as the last one made it or what is used in it
//!    smaller.
//! 6. Where old snapshots hold most of what was moved, more steps would make the file longer: it ends
//!    there, and says so.
//!
//! [9]: vellum_pages#hazards
//! [15]: vellum_pages#hazards

use vellum_pages::page::STEP;
use vellum_pages::tree::Compaction;

use crate::database::Database;
use crate::error::{Error, Result};
use crate::merging::Merger;
use crate::paged::TableTree;

/// Leaves that a step looks at.
const LEAVES_A_STEP: u64 = 4096;

/// Passes at most.
const PASSES: usize = 12;

/// Pages that old snapshots may hold of those that were moved, without an end (rule 6).
const HELD_MIN: usize = 512;

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
    /// Pages that were made anew.
    pub pages_made: u64,
    /// Steps that made some.
    pub steps: u64,
    /// Whether it ended early because old snapshots hold what was moved: the file may be longer than
    /// before. Call again when they are gone.
    pub held_up: bool,
}

impl Database {
    /// Makes the file of pages as short as it can be: after large removals the disk gets its space back.
    /// Afterwards the file is a few per cent longer than its pages, and these are nearly full. Commits and
    /// readers go on meanwhile; merges wait for a step of some ten milliseconds at most. It reads every
    /// leaf and writes what it moves, which needs free space for some of it in between.
    ///
    /// The database reuses space that removals leave by itself; this is for giving it back.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let db = vellum::Database::open(directory.path().join("db"))?;
    /// let report = db.vacuum()?;
    /// assert!(report.bytes <= report.bytes_before);
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
        // Rule 1.
        self.checkpoint()?;
        let mut report = VacuumReport::default();
        let before = self.measure(&mut report)?;
        report.bytes_before = before.file * STEP as u64;
        let mut last = before;
        for _ in 0..PASSES {
            let beyond = last.beyond();
            let begun = report.pages_made;
            self.pass(beyond, last.waiting, &mut report, go_on)?;
            let now = self.measure(&mut report)?;
            // Rule 5.
            let is_smaller = now.file < last.file || now.used < last.used;
            last = now;
            if report.held_up || report.pages_made == begun || !is_smaller {
                break;
            }
        }
        Ok(report)
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

    /// Rule 4.
    fn pass(
        &self,
        beyond: u64,
        waiting: usize,
        report: &mut VacuumReport,
        go_on: &dyn Fn() -> Result<()>,
    ) -> Result<()> {
        let (mut place, begun) = (Some(Place::default()), report.pages_made);
        while let Some(from) = place {
            go_on()?;
            let made;
            (place, made) = self.step(from, beyond)?;
            if made == 0 {
                continue;
            }
            report.steps += 1;
            report.pages_made += made;
            // Rule 3.
            self.write()?;
            let base = self.store.base();
            let collected = base.pages().collect();
            collected.map_err(Error::from_page)?;
            // Rule 6.
            let held = base.pages().store().stats().waiting.saturating_sub(waiting);
            let moved = usize::try_from(report.pages_made - begun).unwrap_or(usize::MAX);
            if held > HELD_MIN.max(moved / 2) {
                report.held_up = true;
                break;
            }
        }
        Ok(())
    }

    /// Rule 2: from a place on; where the next one begins, and how many pages were made.
    fn step(&self, from: Place, beyond: u64) -> Result<(Option<Place>, u64)> {
        let merging = self.store.merging();
        let before = self.store.base();
        let work = before.pages().work();
        let mut trees = before.roots().trees();
        let (mut place, mut left, mut made) = (from, LEAVES_A_STEP, 0);
        while left > 0 && place.table < trees.len() {
            let tree = trees[place.table].take();
            let Some(tree) = tree else {
                place = place.next_table();
                continue;
            };
            let what = Compaction {
                from: &place.key,
                beyond,
                leaves: left,
            };
            let compacted = work.compact(&tree.tree, &tree.root, &what);
            let compacted = compacted.map_err(Error::from_page)?;
            left = left.saturating_sub(compacted.leaves);
            made += compacted.merged.pages_made;
            let root = compacted.root;
            trees[place.table] = Some(TableTree { root, ..tree });
            place = match compacted.next {
                Some(key) => Place { key, ..place },
                None => place.next_table(),
            };
        }
        let next = (place.table < trees.len()).then_some(place);
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
}
