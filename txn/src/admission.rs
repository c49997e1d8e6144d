//! What a write set needs and whether the schema takes it: asked inside the gate, where neither the
//! generation nor the schema is replaced.

use vellum_base::Timestamp;

use crate::arena::Arena;
use crate::error::CommitError;
use crate::generation::Generation;
use crate::node::Body;
use crate::schema::Schema;
use crate::vectors::VectorList;
use crate::write_set::WriteSet;

/// Bytes of arena that the writes need at most.
pub(crate) fn room_for(writes: &WriteSet) -> usize {
    let each = writes.iter().map(|(key, body)| {
        let inline = match body {
            Body::Put { value, vectors } => value.len() + vectors.len(),
            Body::Large(_) => size_of::<u64>(),
            Body::Delete => 0,
        };
        Arena::version_bytes(inline) + Generation::entry_room(key.key.len())
    });
    each.sum::<usize>() + Arena::cell_bytes()
}

/// Whether every written table stands, a snapshot at `at` knows what belongs to its records, and every
/// vector fits its index; and whether there will be rows.
pub(crate) fn check_schema<S: Schema>(
    schema: &S,
    writes: &WriteSet,
    at: Timestamp,
) -> Result<bool, CommitError> {
    let mut rows = false;
    for (key, body) in writes.iter() {
        if !schema.is_open(key.table) {
            return Err(CommitError::TableDropped(key.table));
        }
        if schema.writable_since(key.table) > at {
            return Err(CommitError::Outdated(key.table));
        }
        for column in schema.columns(key.table) {
            if let Some(components) = vectors_of(body).get(column.name()) {
                column.check(components)?;
                rows = true;
            }
        }
    }
    Ok(rows)
}

/// The vectors of a record.
pub(crate) fn vectors_of(body: Body<'_>) -> VectorList<'_> {
    match body {
        Body::Put { vectors, .. } => VectorList::new(vectors),
        Body::Large(record) => VectorList::new(&record.vectors),
        Body::Delete => VectorList::default(),
    }
}
