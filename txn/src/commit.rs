//! The commit protocol.
//!
//! # Rules
//! 1. Everything that may wait comes before the gate: encoding, writing large payloads ahead,
//!    reserving log space. An arena without room is found before anything is installed; the
//!    committer leaves, gives its space in the log back, waits until one more may be sealed (`backlog`),
//!    seals, reserves again, and enters again [4]. What was written ahead stays.
//! 2. Inside, in order of (table, key): the key's newest version in every generation with later
//!    commits than the snapshot, also in those that were merged meanwhile, is no later than the snapshot
//!    [5]; the base is never asked, since it does not tell what came and went. Then the pending version is
//!    installed (`generation`, rule 2). Key order gives progress: of those who meet, one goes on.
//! 3. A conflict takes back what was installed, and leaves. Nobody waits for a pending version.
//! 4. Rows of indexed vectors are appended inside, pending as the versions are [10].
//! 5. The log's mutex stamps: one store commits all versions and rows, then the visible watermark
//!    follows (`log`, rule 2). A commit is in no snapshot, or whole in it.
//! 6. Before it leaves, the committer copies the timestamp into its versions and rows.
//! 7. The committer leaves the gate before anybody waits for durability [4].
//! 8. What was read is validated before the gate, and at the end in the log's mutex (`validation`);
//!    and where much was written, before any of it is written ahead.
//! 9. What is merged is folded before each passage, and is checked as of then (`merge`, rules 2 and 3).
//! 10. Others' record locks are looked for behind installing (`locks`, rules 2 and 5).

mod folding;
mod stamping;

use std::sync::Arc;

use vellum_base::{TableId, Timestamp};

use crate::admission::{check_schema, room_for, vectors_of};
use crate::allowance::Grant;
use crate::arena::{CellAt, Room};
use crate::error::CommitError;
use crate::gate::{Closed, HoldsGate, Inside};
use crate::generation::{Generation, Install};
use crate::guard::Guard;
use crate::locks::LockSet;
use crate::log::{Appended, Claimed, Durability, Parked};
use crate::merge::{Merging, Newer};
use crate::node::Body;
use crate::order::BACKLOG_MAX;
use crate::registry::Pin;
use crate::rows::RowArray;
use crate::schema::Schema;
use crate::scratch::{Kept, Scratch};
use crate::slots::Slots;
use crate::stamp::Stamp;
use crate::store::Store;
use crate::validation::{
    LOOKS_INSIDE, LOSSES_MAX, REPEATED_BYTES_MAX, ROUNDS_INSIDE, Validation, check_tables,
};
use crate::view::{Forgotten, View};
use crate::write_set::{LARGE_BYTES, Written};

use stamping::Stamping;

/// The most that one commit may hold: keys, values, vectors and 96 bytes for each write; 2 GiB.
pub const COMMIT_BYTES_MAX: u64 = 2 << 30;

/// # Errors
/// [`CommitError::TooLarge`].
pub(crate) fn check_commit_bytes(bytes: usize) -> Result<(), CommitError> {
    let (bytes, limit) = (bytes as u64, COMMIT_BYTES_MAX);
    match bytes > limit {
        true => Err(CommitError::TooLarge { bytes, limit }),
        false => Ok(()),
    }
}

/// Room that a slot takes from the arena at a time.
const ROOM_BYTES: usize = 32 * 1024;

/// Writes whose entries are prefetched before the gate.
const PREFETCHED: usize = 16;

/// A slot looks at the backlog of unordered keys once in so many writes.
const BACKLOG_EVERY: usize = 1024;

/// What one passage through the gate came to.
enum Passage<'a> {
    Committed(Timestamp),
    /// The generation of this number has no room.
    Full(u64, Parked<'a>),
    /// What was merged into has become newer meanwhile, or is about to.
    Newer(Newer, Claimed<'a>),
    /// Others committed meanwhile what may have been read, too much of it to be looked at inside.
    Overtaken(Claimed<'a>),
}

/// How a committer passes.
enum Passing<'a> {
    Beside(#[expect(dead_code, reason = "held")] Inside<'a, Kept>),
    Alone(#[expect(dead_code, reason = "held")] Closed<'a>),
}

impl HoldsGate for Passing<'_> {}

/// A commit under way.
pub(crate) struct Commit<'a, S: Schema> {
    store: &'a Store<S>,
    pin: &'a mut Pin<View<S>>,
    at: Timestamp,
    scratch: &'a mut Scratch,
    grant: &'a mut Grant,
    guard: Guard<'a>,
    validation: Validation,
    merging: Merging,
    /// The tables that were read.
    read: Vec<TableId>,
    /// Passages in which it was overtaken.
    losses: u32,
}

impl<'a, S: Schema> Commit<'a, S> {
    pub(crate) fn new(
        store: &'a Store<S>,
        pin: &'a mut Pin<View<S>>,
        at: Timestamp,
        own: Option<&'a LockSet>,
        scratch: &'a mut Scratch,
        grant: &'a mut Grant,
    ) -> Self {
        Self {
            store,
            pin,
            at,
            scratch,
            grant,
            guard: Guard::new(store.locks(), own),
            validation: Validation::new(at),
            merging: Merging::new(at),
            read: Vec::new(),
            losses: 0,
        }
    }

    pub(crate) fn run(mut self, durability: Durability) -> Result<Timestamp, CommitError> {
        let outcome = self.try_to(durability);
        let registry = self.store.registry();
        let slot = registry.slots().slot(registry.claim(self.pin));
        match &outcome {
            Ok(_) => slot.count_commit(),
            Err(error) if error.is_conflict() => slot.count_conflict(),
            Err(_) => {}
        }
        outcome
    }

    fn try_to(&mut self, durability: Durability) -> Result<Timestamp, CommitError> {
        self.scratch.payload.clear();
        if let Some(mut reads) = self.scratch.reads.take() {
            self.read = reads.set().tables();
            // Who read nothing has nothing to validate.
            let place = match self.read.is_empty() {
                true => &mut self.scratch.spare,
                false => &mut self.scratch.reads,
            };
            *place = Some(reads);
        }
        if self.is_large() {
            self.validate_before()?;
        }
        let store = self.store;
        // The active one, unless it was sealed since this began.
        let active = store.registry().view(self.pin).active();
        let about = || active.bytes_used() as u64;
        store.backlog().keep_pace(about, || store.active_bytes())?;
        // The cache misses of installing overlap with encoding and reserving.
        for (key, _) in self.scratch.writes.all_written().take(PREFETCHED) {
            active.prefetch_entry(key.hash);
        }
        for (key, written) in self.scratch.writes.all_written() {
            let payload = &mut self.scratch.payload;
            match written {
                Written::Body(body) => payload.write(key.table, key.key, body),
                Written::Merge(operand) => {
                    let name = self.store.operators().name(operand.operator);
                    payload.merge(key.table, key.key, name, operand.bytes);
                }
            }
        }
        let log = self.store.log();
        let payload = &self.scratch.payload;
        let mut claimed = payload.with_pieces(|pieces| Claimed::prepare(log, pieces))?;
        loop {
            self.fold()?;
            self.validate_before()?;
            claimed = match self.pass(claimed, durability)? {
                Passage::Committed(at) => return Ok(at),
                Passage::Overtaken(claimed) => {
                    self.losses += 1;
                    claimed
                }
                Passage::Newer(newer, claimed) => {
                    self.merging.give_way(newer);
                    claimed
                }
                Passage::Full(generation, parked) => {
                    self.make_room(generation)?;
                    parked.resume()?
                }
            }
        }
    }

    /// Rule 1: generation `number` is full. Nothing is held here but the pin.
    fn make_room(&self, number: u64) -> Result<(), CommitError> {
        let is_full = || self.store.active_number() == number;
        self.store.backlog().wait_for_room(is_full)?;
        self.store.seal(number, room_for(&self.scratch.writes))
    }

    /// One passage through the gate.
    fn pass(
        &mut self,
        claimed: Claimed<'a>,
        durability: Durability,
    ) -> Result<Passage<'a>, CommitError> {
        let store = self.store;
        let (registry, gate) = (store.registry(), store.gate());
        let claim = registry.claim(self.pin);
        let inside = match self.is_alone() {
            false => Passing::Beside(gate.enter(registry.slots(), claim)),
            true => Passing::Alone(gate.close(registry.slots())),
        };
        let view = registry.current(&inside);
        let generation = view.active();
        let mut rows = Vec::new();
        self.scratch.installed.clear();
        // Rule 9.
        let folded = match &inside {
            Passing::Beside(_) => Ok(()),
            Passing::Alone(_) => self.fold_again(view),
        };
        let outcome = folded.and_then(|()| self.install(view, generation, &mut rows));
        let cell = match outcome {
            Ok(Some(cell)) => cell,
            Ok(None) => {
                let number = generation.number();
                drop(inside);
                return Ok(Passage::Full(number, claimed.park()));
            }
            Err(error) => {
                self.take_back(generation, &rows);
                drop(inside);
                if let Some(newer) = self.merging.met.take() {
                    return Ok(Passage::Newer(newer, claimed));
                }
                if self.guard.is_passing(self.store.seed(), &error) {
                    return Ok(Passage::Overtaken(claimed));
                }
                return Err(error);
            }
        };
        let result = self.sequence(view, cell, claimed, durability);
        let untidy = match &result {
            Ok(Passage::Committed(at)) => {
                self.copy_stamps(generation, cell, &rows, *at);
                self.is_untidy().then(|| Arc::clone(generation))
            }
            _ => {
                self.take_back(generation, &rows);
                None
            }
        };
        drop(inside);
        if let Some(generation) = untidy {
            tidy(&generation);
        }
        result
    }

    /// Rules 1, 2 and 4. `None`: no room, and nothing was installed.
    fn install<'v>(
        &mut self,
        view: &'v View<S>,
        generation: &Generation,
        rows: &mut Vec<(&'v RowArray, u64)>,
    ) -> Result<Option<Option<CellAt>>, CommitError> {
        let with_rows = check_schema(&**view.schema(), &self.scratch.writes, self.at)?;
        check_tables(&**view.schema(), &self.read)?;
        let Some(mut room) = self.take_room(generation) else {
            return Ok(None);
        };
        let installed = self.install_all(view, generation, with_rows, &mut room);
        // Also after a conflict: what is left serves the next attempt.
        self.scratch.room = (generation.number(), room);
        let cell = installed?;
        if with_rows {
            self.append_rows(view, generation, cell, rows)?;
        }
        Ok(Some(cell))
    }

    /// Rule 2, in key order.
    fn install_all(
        &mut self,
        view: &View<S>,
        generation: &Generation,
        with_rows: bool,
        room: &mut Room,
    ) -> Result<Option<CellAt>, CommitError> {
        let cell = match with_rows || self.scratch.writes.len() > 1 {
            true => Some(generation.place_cell(room).ok_or_else(no_room)?),
            false => None,
        };
        let shard = Slots::<Kept>::number(self.store.registry().claim(self.pin));
        for (key, body, is_merged) in self.scratch.writes.to_install() {
            let at = if is_merged { self.merging.at } else { self.at };
            let met = &mut self.merging.met;
            let mut conflict = |winner: Option<Timestamp>| {
                let newer = winner.map_or(Newer::Pending, |_| Newer::Committed);
                *met = is_merged.then_some(newer);
                CommitError::Conflict {
                    table: key.table,
                    key: key.key.into(),
                    winner,
                }
            };
            let newest = |one: &Generation| one.newest(key).filter(|newest| *newest > at);
            match view.find_after(at, newest) {
                Ok(None) => {}
                Ok(Some(winner)) => return Err(conflict(Some(winner))),
                // What is merged is folded again, of what there is then.
                Err(Forgotten) if is_merged => return Err(conflict(Some(at))),
                Err(forgotten) => return Err(forgotten.into()),
            }
            let entry = generation.entry_or_insert(key, room).ok_or_else(no_room)?;
            if !generation.list(entry, shard, room) {
                return Err(no_room());
            }
            // Before a version is placed, so that conflicts do not fill the arena.
            generation.check_head(entry, at).map_err(&mut conflict)?;
            let version = generation
                .place_version(room, cell, body)
                .ok_or_else(no_room)?;
            if let Body::Large(record) = body {
                generation.count_large(record.value.len() + record.vectors.len());
            }
            loop {
                match generation.try_install(entry, version, at) {
                    Install::Done => break,
                    Install::Retry => {}
                    Install::Conflict(winner) => return Err(conflict(winner)),
                }
            }
            self.scratch.installed.push((entry, version));
        }
        Ok(cell)
    }

    /// Room for the worst case: every key new.
    fn take_room(&mut self, generation: &Generation) -> Option<Room> {
        if generation.is_overfull() {
            return None;
        }
        let bytes = room_for(&self.scratch.writes);
        let (number, room) = std::mem::take(&mut self.scratch.room);
        if number == generation.number() && room.left() >= bytes {
            return Some(room);
        }
        let several = ROOM_BYTES.min(generation.arena().capacity() / 64);
        generation.claim(bytes.max(several))
    }

    /// Rule 4. Rows become readable here; they are in no snapshot before the cell is stored.
    fn append_rows<'v>(
        &self,
        view: &'v View<S>,
        generation: &Generation,
        cell: Option<CellAt>,
        rows: &mut Vec<(&'v RowArray, u64)>,
    ) -> Result<(), CommitError> {
        let Some(cell) = cell else { return Ok(()) };
        let stamp = Stamp::InCell {
            generation: Stamp::generation(generation.number()),
            cell: cell.units(),
        };
        for (key, body) in self.scratch.writes.iter() {
            for column in view.schema().columns(key.table) {
                if let Some(components) = vectors_of(body).get(column.name()) {
                    let array = column.rows();
                    let row = array.reserve(1).map_err(memory)?;
                    array.fill(row, key.key, components, stamp);
                    rows.push((array, row));
                }
            }
        }
        Ok(())
    }

    /// Rule 8, outside the gate.
    fn validate_before(&mut self) -> Result<(), CommitError> {
        let Some(reads) = &self.scratch.reads else {
            return Ok(());
        };
        let m = self.store.visible();
        self.store.recent().want(m);
        if m == self.validation.checked() {
            return Ok(());
        }
        let view = self.store.registry().widen(self.pin);
        let validated = self.validation.extend(m, &view, &reads.lock(), usize::MAX);
        validated.map(drop)
    }

    /// Rule 8, inside; does nothing where there are no reads to validate. `false`: it would take more looks
    /// than these.
    fn validate(&mut self, view: &View<S>, looks_max: usize) -> Result<bool, CommitError> {
        let Some(reads) = &self.scratch.reads else {
            return Ok(true);
        };
        let m = self.store.visible();
        self.store.recent().want(m);
        self.validation.extend(m, view, &reads.lock(), looks_max)
    }

    /// Whether it writes so much that doing so in vain costs others.
    fn is_large(&self) -> bool {
        self.scratch.writes.commit_bytes() > REPEATED_BYTES_MAX
    }

    /// `validation`, rule 5; `merge`, rule 3.
    fn is_alone(&self) -> bool {
        match self.is_large() {
            true => self.losses + self.merging.losses() > 0,
            false => self.losses >= LOSSES_MAX || self.merging.is_losing(),
        }
    }

    /// Rules 5 and 8: again and again, until nobody overtakes or it takes too long.
    fn sequence(
        &mut self,
        view: &View<S>,
        cell: Option<CellAt>,
        mut claimed: Claimed<'a>,
        durability: Durability,
    ) -> Result<Passage<'a>, CommitError> {
        let mut rounds = 0;
        let mut locks_met = self.guard.begin();
        loop {
            if locks_met {
                let keys = self.scratch.writes.iter().map(|(key, _)| key);
                self.guard.look(keys)?;
            }
            let (appended, met) = self.append(view.active(), cell, claimed, durability)?;
            match appended {
                Appended::At(at) => return Ok(Passage::Committed(at)),
                Appended::Refused(prepared) => claimed = Claimed::new(self.store.log(), prepared),
            }
            locks_met = met;
            if locks_met {
                continue;
            }
            let looks_max = match (self.is_alone(), rounds < ROUNDS_INSIDE) {
                (true, _) => usize::MAX,
                (false, true) => LOOKS_INSIDE,
                (false, false) => return Ok(Passage::Overtaken(claimed)),
            };
            rounds += 1;
            if !self.validate(view, looks_max)? {
                return Ok(Passage::Overtaken(claimed));
            }
        }
    }

    /// Rule 5; and whether it was refused since there are locks.
    fn append(
        &self,
        generation: &Generation,
        cell: Option<CellAt>,
        claimed: Claimed<'a>,
        durability: Durability,
    ) -> Result<(Appended, bool), CommitError> {
        let Some((_, only)) = self.scratch.installed.first() else {
            unreachable!("an empty write set is not committed")
        };
        let reads = self.scratch.reads.as_ref().map(|reads| reads.lock());
        let checked = self.validation.checked();
        let mut steps = Stamping {
            guard: &self.guard,
            locks_met: false,
            generation,
            cell,
            only: *only,
            visible: self.store.visible_word(),
            recent: self.store.recent(),
            writes: &self.scratch.writes,
            reads: reads.as_deref().map(|set| (set, checked)),
        };
        let log = self.store.log();
        let payload = &self.scratch.payload;
        let appended = payload
            .with_pieces(|pieces| log.append(claimed.keep(), pieces, durability, &mut steps));
        Ok((appended?, steps.locks_met))
    }

    /// Rule 6.
    fn copy_stamps(
        &self,
        generation: &Generation,
        cell: Option<CellAt>,
        rows: &[(&RowArray, u64)],
        at: Timestamp,
    ) {
        if cell.is_some() {
            for (_, version) in &self.scratch.installed {
                generation.commit_version(*version, at);
            }
        }
        for (array, row) in rows {
            array.set_stamp(*row, Stamp::At(at));
        }
    }

    /// Rule 3.
    fn take_back(&mut self, generation: &Generation, rows: &[(&RowArray, u64)]) {
        for (entry, version) in self.scratch.installed.drain(..).rev() {
            generation.take_back(entry, version);
        }
        for (array, row) in rows {
            array.set_stamp(*row, Stamp::Aborted);
        }
    }

    /// Whether it is time to look at how many new keys wait for being sorted.
    fn is_untidy(&mut self) -> bool {
        self.scratch.untidy += self.scratch.writes.len();
        let is_due = self.scratch.untidy >= BACKLOG_EVERY;
        if is_due {
            self.scratch.untidy = 0;
        }
        is_due
    }
}

/// Sorts the new keys once thousands of them wait; outside the gate.
fn tidy(generation: &Generation) {
    if generation.order().backlog(generation.arena()) > BACKLOG_MAX {
        generation.order().tidy(generation.arena());
    }
}

fn memory(error: std::io::Error) -> CommitError {
    CommitError::Memory(error.to_string())
}

/// Rooms are measured before they are used, so this is a fault of the measure, not of the caller.
fn no_room() -> CommitError {
    debug_assert!(false, "a room was measured too small");
    CommitError::Memory("a commit's room was measured too small".to_owned())
}

const _: () = assert!(LARGE_BYTES < u32::MAX as usize);
