//! What the store knows of tables and indexes: whether a table stands, and which vector columns of
//! it are indexed. The schema is part of the view, so that it belongs to the snapshot.

use std::sync::Arc;

use vellum_base::{TableId, Timestamp};

use crate::error::BaseError;
use crate::merge::Stored;
use crate::rows::Column;

/// An immutable schema; [`crate::Store::change_schema`] replaces it as a whole.
pub trait Schema: Send + Sync + 'static {
    /// What lies below the generations: one state of it, which keeps what it needs for as long as a
    /// clone of it exists. The store carries it in its views and never looks inside.
    type Base: Clone + Send + Sync + 'static;

    /// Whether commits may write to `table`.
    fn is_open(&self, table: TableId) -> bool;

    /// Only transactions whose snapshot is no older than this may write to `table`: older ones do not
    /// know what is to be written with its records.
    fn writable_since(&self, table: TableId) -> Timestamp {
        let _ = table;
        Timestamp::ZERO
    }

    /// The change that made it was committed at `at`; nobody has seen it yet. For what must know the
    /// very timestamp.
    fn committed(&self, at: Timestamp) {
        let _ = at;
    }

    /// The record of a key in the base, for what is merged into it: value and encoded vectors. As it
    /// stands here it is of a base without records.
    ///
    /// # Errors
    /// If it cannot be read.
    fn stored(base: &Self::Base, table: TableId, key: &[u8]) -> Result<Option<Stored>, BaseError> {
        let _ = (base, table, key);
        Ok(None)
    }

    /// The indexed vector columns of `table`; commits append a row for each vector named so.
    fn columns(&self, table: TableId) -> &[Arc<Column>];
}
