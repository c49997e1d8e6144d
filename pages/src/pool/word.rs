//! An entry of the page table.
//!
//! | bits | |
//! |---|---|
//! | 0–2 | size class of the frame |
//! | 3 | present: all is zero where no frame has the page |
//! | 4 | referenced since the last sweep |
//! | 5 | dirty: not yet in the file |
//! | 6 | hot |
//! | 7 | belongs to a scan |
//! | 8 | spared: a hot page that a sweep found unused once |
//! | 9 | made here, and not asked for since |
//! | 32–63 | index of the frame |

use super::Hint;
use crate::frames::Frame;
use crate::page::PageSize;

const CLASS: u64 = 7;
const PRESENT: u64 = 1 << 3;
const REFERENCED: u64 = 1 << 4;
const DIRTY: u64 = 1 << 5;
const HOT: u64 = 1 << 6;
const SCAN: u64 = 1 << 7;
const SPARED: u64 = 1 << 8;
const MADE: u64 = 1 << 9;

/// See the module's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word(pub(crate) u64);

/// What a sweep does with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Evict,
    /// Leave it, with this entry.
    Spare(Word),
    Keep,
}

impl Word {
    pub(crate) const ABSENT: Self = Self(0);

    pub(crate) fn clean(frame: Frame, hint: Hint) -> Self {
        let hint = match hint {
            Hint::Hot => HOT,
            Hint::Normal => 0,
            Hint::Scan => SCAN,
        };
        Self(u64::from(frame.index) << 32 | hint | PRESENT | frame.size.class() as u64)
    }

    /// Of a page that was made, and is not in the file yet.
    pub(crate) fn dirty(frame: Frame, hint: Hint) -> Self {
        Self(Self::clean(frame, hint).0 | DIRTY | MADE)
    }

    #[inline]
    pub(crate) fn frame(self) -> Option<Frame> {
        if self.0 & PRESENT == 0 {
            return None;
        }
        let size = match self.0 & CLASS {
            0 => PageSize::K4,
            1 => PageSize::K8,
            2 => PageSize::K16,
            3 => PageSize::K32,
            _ => PageSize::K64,
        };
        let index = (self.0 >> 32) as u32;
        Some(Frame { size, index })
    }

    #[inline]
    pub(crate) fn is_referenced(self) -> bool {
        self.0 & REFERENCED != 0
    }

    pub(crate) fn referenced(self) -> Self {
        Self(self.0 | REFERENCED)
    }

    pub(crate) fn is_dirty(self) -> bool {
        self.0 & DIRTY != 0
    }

    pub(crate) fn written(self) -> Self {
        Self(self.0 & !DIRTY)
    }

    pub(crate) fn is_of_scan(self) -> bool {
        self.0 & SCAN != 0
    }

    /// Whether somebody asked for the page who may ask again: no mere scan, nor only its maker. It is said
    /// of pages that a sweep evicts, whose uses earlier sweeps have noted.
    pub(crate) fn is_wanted(self) -> bool {
        self.0 & (SCAN | MADE) == 0
    }

    /// Second chance, and a third for hot pages; none for pages of a scan, unless somebody else
    /// wants them: then they are pages like others, and so are those that were made here.
    pub(crate) fn judge(self) -> Verdict {
        let has = |bit| self.0 & bit != 0;
        if has(DIRTY) {
            Verdict::Keep
        } else if has(REFERENCED) {
            Verdict::Spare(Self(self.0 & !(REFERENCED | SPARED | SCAN | MADE)))
        } else if has(HOT) && !has(SPARED) {
            Verdict::Spare(Self(self.0 | SPARED))
        } else {
            Verdict::Evict
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_says_what_it_was_made_of() {
        for size in PageSize::ALL {
            for index in [0, 1, u32::MAX] {
                let frame = Frame { size, index };
                for hint in [Hint::Hot, Hint::Normal, Hint::Scan] {
                    let word = Word::dirty(frame, hint).referenced();
                    assert_eq!(word.frame(), Some(frame));
                    assert!(word.is_dirty() && word.is_referenced());
                    assert_eq!(word.written().judge(), word.written().judge());
                    assert_eq!(word.judge(), Verdict::Keep);
                }
            }
        }
        assert_eq!(Word::ABSENT.frame(), None);
    }

    #[test]
    fn wanted_is_what_was_read_and_not_by_scans_alone() {
        let frame = Frame {
            size: PageSize::K8,
            index: 7,
        };
        for hint in [Hint::Hot, Hint::Normal, Hint::Scan] {
            let (read, made) = (Word::clean(frame, hint), Word::dirty(frame, hint).written());
            assert!(read.is_wanted() == (hint != Hint::Scan) && !made.is_wanted());
            for word in [read, made] {
                let Verdict::Spare(used) = word.referenced().judge() else {
                    panic!("evicted, and in use");
                };
                assert!(used.is_wanted());
            }
        }
    }

    #[test]
    fn chances_are_counted() {
        let frame = Frame {
            size: PageSize::K8,
            index: 7,
        };
        let sweeps = |hint, referenced| {
            let mut word = Word::clean(frame, hint);
            if referenced {
                word = word.referenced();
            }
            let mut sweeps = 1;
            while let Verdict::Spare(next) = word.judge() {
                (word, sweeps) = (next, sweeps + 1);
            }
            sweeps
        };
        assert_eq!(
            (sweeps(Hint::Scan, false), sweeps(Hint::Scan, true)),
            (1, 2)
        );
        assert_eq!(
            (sweeps(Hint::Normal, false), sweeps(Hint::Normal, true)),
            (1, 2)
        );
        assert_eq!((sweeps(Hint::Hot, false), sweeps(Hint::Hot, true)), (2, 3));
    }
}
