//! Histories of lists that crashes cut off (`histories/crashes.rs`): transactions at both levels and only reading. Of keys
//! and ranges `history_range_crashes` does the same.
//!
//! A fifth of `VELLUM_HISTORY_TRANSACTIONS` are its part.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod histories;

use std::collections::HashSet;
use std::sync::Arc;

use histories::Tally;
use histories::crashes::{AT_ONCE, Place, Subject, go_on_across_crashes};
use histories::cut::{decide, joined, told_after, values};
use histories::session::{Books, Committing, Session, judge};
use histories::trouble::Trouble;
use vellum::{Database, Isolation, Table};
use vellum_testkit::lists::{Recorded, Workload};
use vellum_testkit::{Random, SimDisk};

enum Under {
    Way(Session),
    Commit(Committing),
}

impl Subject for Books {
    type History = Recorded;
    type Under = Under;

    fn table(db: &Database) -> Table {
        db.table("lists").unwrap()
    }

    fn begun(sim: &SimDisk) -> Self {
        Self::new(Workload::new(4, 16), Some(sim.clone()))
    }

    fn after_crash(&self, sim: &SimDisk) -> Self {
        Self {
            workload: Arc::new(self.workload.fork()),
            recorder: self.recorder.clone(),
            sim: Some(sim.clone()),
        }
    }

    fn go_on(
        &self,
        place: &Place<'_>,
        process: usize,
        under: Option<Under>,
        random: &mut Random,
    ) -> Option<Under> {
        match under {
            None => {
                let isolation = match random.below(5) {
                    0 => None,
                    1 | 2 => Some(Isolation::Snapshot),
                    _ => Some(Isolation::Serializable),
                };
                let session = self.begin(place.db, process as u32, isolation, random);
                Some(Under::Way(session))
            }
            Some(Under::Way(mut session)) => {
                if session.step(place.table) {
                    Some(Under::Way(session))
                } else if random.one_in(10) {
                    session.roll_back_or_end();
                    None
                } else {
                    let durability = place.trouble.durability(random);
                    session.commit(durability).map(Under::Commit)
                }
            }
            Some(Under::Commit(committing)) => {
                committing.wait();
                None
            }
        }
    }

    fn record_all(&self, db: &Database, table: &Table) {
        self.read_all(db, table, AT_ONCE as u32);
    }

    fn take(&self) -> Recorded {
        self.recorder.take()
    }

    fn known(
        &self,
        (before, recorded): (&Recorded, &Recorded),
        marks: &HashSet<u64>,
        trouble: Trouble,
        (db, table): (&Database, &Table),
    ) -> Recorded {
        let mut known = told_after(recorded, marks, trouble, &self.recorder);
        decide(before, &mut known, &values(db, table));
        known
    }

    fn joined(before: &Recorded, after: Recorded) -> Recorded {
        joined(before, after)
    }

    fn count(history: &Recorded) -> usize {
        history.told.len()
    }

    fn judge(history: &Recorded) -> Result<usize, String> {
        judge(history)
    }
}

#[test]
fn histories_go_on_across_crashes() {
    go_on_across_crashes::<Books>(Tally::of(5));
}
