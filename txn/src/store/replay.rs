//! Doing logged commits again, at an opening: in their order, before anybody else has the store.

use std::sync::Arc;

use vellum_base::{Decoder, TableId, Timestamp};
use vellum_sync::atomic::Ordering;

use crate::arena::{Arena, Room};
use crate::error::{CommitError, ReplayError};
use crate::generation::{Generation, Install};
use crate::merge;
use crate::node::{Body, LargeRecord};
use crate::redo::{Operation, decode};
use crate::schema::Schema;
use crate::snapshot::Reader;
use crate::store::{Store, memory};
use crate::vectors::VectorList;
use crate::write_set::{LARGE_BYTES, Operand};

/// Room that replay takes from the arena at a time.
const REPLAY_ROOM_BYTES: usize = 1 << 20;

impl<S: Schema> Store<S> {
    /// Does a logged commit again (rule 3). `on_schema` makes the schema after a change from the
    /// one before.
    ///
    /// # Errors
    /// If the payload is not what commits write, or memory runs out.
    pub fn replay<E>(
        &self,
        at: Timestamp,
        payload: &[u8],
        replay: &mut Replay,
        on_schema: &mut OnSchema<'_, S, E>,
    ) -> Result<(), ReplayError<E>> {
        let mut decoder = Decoder::new(payload);
        while !decoder.is_empty() {
            match decode(&mut decoder).map_err(ReplayError::Decode)? {
                Operation::Put {
                    table,
                    key,
                    value,
                    vectors,
                } => {
                    self.replay_put(at, table, key, (value, vectors), replay)
                        .map_err(ReplayError::Commit)?;
                }
                Operation::Delete { table, key } => {
                    self.replay_write(at, table, key, Body::Delete, replay)
                        .map_err(ReplayError::Commit)?;
                }
                Operation::Merge {
                    table,
                    key,
                    operator,
                    operand,
                } => self.replay_merge(at, (table, key), operator, operand, replay)?,
                Operation::Schema { change } => {
                    let before = Timestamp(at.0.saturating_sub(1));
                    let schema = self.registry.with_current(|view| {
                        on_schema(Reader::new(view, self.options.seed, before), at, change)
                    });
                    let schema = Arc::new(schema.map_err(ReplayError::Schema)?);
                    schema.committed(at);
                    self.registry.publish(|view| view.with_schema(schema));
                    self.registry.collect();
                }
            }
        }
        // Release: as for any commit.
        self.visible.0.store(at.0, Ordering::Release);
        Ok(())
    }

    fn replay_put(
        &self,
        at: Timestamp,
        table: TableId,
        key: &[u8],
        (value, vectors): (&[u8], &[u8]),
        replay: &mut Replay,
    ) -> Result<(), CommitError> {
        if value.len() + vectors.len() < LARGE_BYTES {
            self.replay_write(at, table, key, Body::Put { value, vectors }, replay)?;
        } else {
            let record = LargeRecord {
                value: value.into(),
                vectors: vectors.into(),
            };
            self.replay_write(at, table, key, Body::Large(&record), replay)?;
        }
        let schema = self.registry.with_current(|view| Arc::clone(view.schema()));
        for column in schema.columns(table) {
            let Some(components) = VectorList::new(vectors).get(column.name()) else {
                continue;
            };
            column.check(components)?;
            column.rows().append(key, components, at).map_err(memory)?;
        }
        Ok(())
    }

    /// Folds again, into what the key has after the commits before (`merge`, rule 4).
    fn replay_merge<E>(
        &self,
        at: Timestamp,
        (table, key): (TableId, &[u8]),
        operator: &[u8],
        operand: &[u8],
        replay: &mut Replay,
    ) -> Result<(), ReplayError<E>> {
        let name = String::from_utf8_lossy(operator);
        let found = self.operators.find(&name);
        let operator = found.ok_or_else(|| ReplayError::Operator(name.into_owned()))?;
        let operand = Operand {
            operator,
            bytes: operand,
        };
        let folded = self.registry.with_current(|view| {
            let before = Timestamp(at.0.saturating_sub(1));
            let reader = Reader::new(view, self.options.seed, before);
            merge::fold(&self.operators, reader, reader.seek(table, key), operand)
        });
        let (value, vectors) = folded.map_err(ReplayError::Commit)?;
        self.replay_put(at, table, key, (&value, &vectors), replay)
            .map_err(ReplayError::Commit)
    }

    fn replay_write(
        &self,
        at: Timestamp,
        table: TableId,
        key: &[u8],
        body: Body<'_>,
        replay: &mut Replay,
    ) -> Result<(), CommitError> {
        let inline = match body {
            Body::Put { value, vectors } => value.len() + vectors.len(),
            Body::Large(_) => size_of::<u64>(),
            Body::Delete => 0,
        };
        let bytes = Arena::version_bytes(inline) + Generation::entry_room(key.len());
        loop {
            let active = match &replay.generation {
                Some(active) => active,
                None => {
                    let active = self.registry.with_current(|view| Arc::clone(view.active()));
                    replay.generation.insert(active)
                }
            };
            if replay.room.left() < bytes || active.is_overfull() {
                let several = REPLAY_ROOM_BYTES.min(active.arena().capacity() / 64);
                let room = active.arena().claim(bytes.max(several));
                match room.filter(|_| !active.is_overfull()) {
                    Some(room) => replay.room = room,
                    None => {
                        let number = active.number();
                        *replay = Replay::default();
                        self.seal(number, bytes)?;
                        continue;
                    }
                }
            }
            if let Body::Large(record) = body {
                active.count_large(record.value.len() + record.vectors.len());
            }
            return install_committed(active, table, key, body, at, &mut replay.room);
        }
    }
}

/// Makes the schema after a logged change: from what stood before, the change's timestamp, and the
/// change as it was logged.
pub type OnSchema<'a, S, E> = dyn FnMut(Reader<'_, S>, Timestamp, &[u8]) -> Result<S, E> + 'a;

/// What replay keeps from one record to the next.
#[derive(Default)]
pub struct Replay {
    generation: Option<Arc<Generation>>,
    room: Room,
}

fn install_committed(
    generation: &Generation,
    table: TableId,
    key: &[u8],
    body: Body<'_>,
    at: Timestamp,
    room: &mut Room,
) -> Result<(), CommitError> {
    let short = || CommitError::Memory("a replayed write's room was measured too small".to_owned());
    let hashed = generation.hashed(table, key);
    let version = generation
        .place_version(room, None, body)
        .ok_or_else(short)?;
    generation.commit_version(version, at);
    let entry = generation.entry_or_insert(hashed, room).ok_or_else(short)?;
    if !generation.list(entry, 0, room) {
        return Err(short());
    }
    match generation.try_install(entry, version, Timestamp::MAX) {
        Install::Done => Ok(()),
        Install::Retry | Install::Conflict(_) => {
            unreachable!("nobody else has the store during replay")
        }
    }
}
