//! What is latched, how, and by whom.
//!
//! 1. The order of [`Resource`]s is the order of ranks: classes as they are listed, within a class
//!    by number.
//! 2. A record is named by its table and a hash of its key: two keys with one hash share a latch,
//!    which makes somebody wait and nothing wrong.

use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

use vellum_base::{TableId, TreeId};

/// Something that is latched as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// The catalog.
    Catalog,
    /// A tree, an array or an index.
    Structure(TreeId),
    /// A page of a structure, by the number that the structure gives it.
    Page(TreeId, u64),
    /// A record, by the hash of its key.
    Record(TableId, u64),
}

/// The kinds of resources, by rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LatchClass {
    /// [`Resource::Catalog`]
    Catalog,
    /// [`Resource::Structure`]
    Structure,
    /// [`Resource::Page`]
    Page,
    /// [`Resource::Record`]
    Record,
}

/// How many classes there are.
pub(super) const CLASSES: usize = LatchClass::ALL.len();

impl LatchClass {
    /// All, from the lowest rank.
    pub const ALL: [Self; 4] = [Self::Catalog, Self::Structure, Self::Page, Self::Record];

    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Catalog => "catalog",
            Self::Structure => "structure",
            Self::Page => "page",
            Self::Record => "record",
        }
    }
}

impl Resource {
    /// Its kind.
    #[must_use]
    pub fn class(self) -> LatchClass {
        match self {
            Self::Catalog => LatchClass::Catalog,
            Self::Structure(_) => LatchClass::Structure,
            Self::Page(..) => LatchClass::Page,
            Self::Record(..) => LatchClass::Record,
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Catalog => f.write_str("the catalog"),
            Self::Structure(structure) => write!(f, "structure {}", structure.0),
            Self::Page(structure, page) => write!(f, "page {page} of structure {}", structure.0),
            Self::Record(table, key) => write!(f, "record {key:#018x} of table {}", table.0),
        }
    }
}

/// How a resource is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LatchMode {
    /// Beside others that share it.
    Shared,
    /// By one alone.
    Exclusive,
}

impl LatchMode {
    /// Whether two units cannot hold a resource so at the same time.
    pub(super) fn excludes(self, other: Self) -> bool {
        self == Self::Exclusive || other == Self::Exclusive
    }
}

impl fmt::Display for LatchMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shared => "shared",
            Self::Exclusive => "exclusive",
        })
    }
}

/// Who a unit of work is, and when it was begun: the smaller, the older. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Age(pub(super) u64);

impl Age {
    /// As a number.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unit {}", self.0)
    }
}

/// Spreads the few words that a resource is over all 64 bits: the table's shard is taken from the
/// middle, the map within it uses both ends. Numbers of pages and hashes of keys are nobody's to
/// choose so that they collide; a collision costs time only.
#[derive(Clone, Copy)]
pub(super) struct Spread(u64);

pub(super) type SpreadBuilder = BuildHasherDefault<Spread>;

impl Default for Spread {
    fn default() -> Self {
        Self(0x243F_6A88_85A3_08D3)
    }
}

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        // The golden ratio: odd, with ones and zeroes well mixed.
        let product = u128::from(self.0 ^ value) * 0x9E37_79B9_7F4A_7C15;
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }

    fn write_isize(&mut self, value: isize) {
        self.write_u64(value as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
