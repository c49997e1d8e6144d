//! A version's stamp: one word that says whether and when it was committed.
//!
//! # Rules
//! 1. A stamp is *pending* or a timestamp; it becomes a timestamp once and never changes again.
//! 2. The pending versions of one commit share a *cell*, and one store into the cell commits them
//!    all. A commit of a single version without rows needs none: its own stamp is the cell.
//! 3. After the cell was stored, and before the committer leaves the gate, the timestamp is copied
//!    into every version and row (so that nothing refers to a generation's cells once it is
//!    sealed). Readers accept either form.

use vellum_base::Timestamp;

const PENDING: u64 = 1 << 63;
const ABORTED: u64 = u64::MAX;
const EMPTY: u64 = 0;
const CELL_BITS: u32 = 40;
const CELL_MASK: u64 = (1 << CELL_BITS) - 1;
const GENERATION_MASK: u64 = (1 << 22) - 1;

/// A decoded stamp word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// Nothing was written here yet.
    Empty,
    /// Not committed, and nobody else's word decides it.
    Pending,
    /// Committed when the cell is: in units of eight bytes, in the arena of a generation (its
    /// number modulo 2^22).
    InCell {
        /// The generation's number, modulo 2^22.
        generation: u32,
        /// The cell's place in the arena, in units of eight bytes.
        cell: u64,
    },
    /// Committed then.
    At(Timestamp),
    /// Taken back for good (rows only: versions are unlinked instead).
    Aborted,
}

impl Stamp {
    /// Reads a stamp word.
    #[must_use]
    pub fn decode(word: u64) -> Self {
        if word & PENDING == 0 {
            return if word == EMPTY {
                Self::Empty
            } else {
                Self::At(Timestamp(word))
            };
        }
        match word {
            PENDING => Self::Pending,
            ABORTED => Self::Aborted,
            _ => Self::InCell {
                generation: ((word & !PENDING) >> CELL_BITS) as u32,
                cell: word & CELL_MASK,
            },
        }
    }

    /// The word that stands for this stamp.
    #[must_use]
    pub fn encode(self) -> u64 {
        match self {
            Self::Empty => EMPTY,
            Self::Pending => PENDING,
            Self::Aborted => ABORTED,
            Self::At(at) => {
                debug_assert!(at > Timestamp::ZERO && at <= Timestamp::MAX);
                at.0
            }
            Self::InCell { generation, cell } => {
                debug_assert!(cell != 0 && cell < CELL_MASK);
                let generation = u64::from(generation) & GENERATION_MASK;
                PENDING | generation << CELL_BITS | cell
            }
        }
    }

    /// A generation's number as stamps hold it.
    #[must_use]
    pub fn generation(number: u64) -> u32 {
        (number & GENERATION_MASK) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_its_word() {
        let stamps = [
            Stamp::Empty,
            Stamp::Pending,
            Stamp::Aborted,
            Stamp::At(Timestamp(1)),
            Stamp::At(Timestamp::MAX),
            Stamp::InCell {
                generation: 0,
                cell: 1,
            },
            Stamp::InCell {
                generation: (1 << 22) - 1,
                cell: CELL_MASK - 1,
            },
        ];
        for stamp in stamps {
            assert_eq!(Stamp::decode(stamp.encode()), stamp);
        }
    }
}
