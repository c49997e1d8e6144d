//! What ends a run, and what of it is sure then.

use std::collections::HashSet;

use vellum::Durability;
use vellum_testkit::{Crash, Random};

use super::session::{ACKNOWLEDGED, ACKNOWLEDGED_DURABLY};

/// How commits are made durable, and what ends them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trouble {
    pub(crate) crash: Crash,
    pub(crate) all_durable: bool,
}

/// All kinds.
pub(crate) const TROUBLES: [Trouble; 3] = [
    Trouble {
        crash: Crash::Process,
        all_durable: false,
    },
    Trouble {
        crash: Crash::Power,
        all_durable: true,
    },
    Trouble {
        crash: Crash::Power,
        all_durable: false,
    },
];

impl Trouble {
    pub(crate) fn durability(self, random: &mut Random) -> Durability {
        match self.all_durable || random.one_in(3) {
            true => Durability::Sync,
            false => Durability::Buffered,
        }
    }

    /// Whether what was told of the transaction that began at a tick holds after the crash, which these marks
    /// precede: after a power cut only what was asked for as durable, and what only such commits could be seen by.
    pub(crate) fn is_sure(self, marks: &HashSet<u64>, began: u64) -> bool {
        marks.contains(&(4 * began + ACKNOWLEDGED_DURABLY))
            || marks.contains(&(4 * began + ACKNOWLEDGED))
                && (self.crash == Crash::Process || self.all_durable)
    }
}
