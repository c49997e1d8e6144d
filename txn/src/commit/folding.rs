//! Folding what is merged, before a passage through the gate and while it is closed (`merge`, rules 2 and 3).

use crate::error::CommitError;
use crate::generation::Generation;
use crate::merge;
use crate::schema::Schema;
use crate::snapshot::{Lookup, Reader};
use crate::view::{Forgotten, View};

use super::Commit;

impl<S: Schema> Commit<'_, S> {
    /// Rule 9.
    pub(super) fn fold(&mut self) -> Result<(), CommitError> {
        if !self.scratch.writes.has_merges() {
            return Ok(());
        }
        // The view first, then the watermark, then the view's end, as for any snapshot [1].
        let store = self.store;
        let view = store.registry().widen(self.pin);
        let visible = store.visible();
        let at = visible.min(view.last());
        self.merging.at = at;
        let (reader, operators) = (Reader::new(&view, store.seed(), at), store.operators());
        let allowance = store.allowance();
        self.scratch.writes.fold_merges(
            |bytes| self.grant.cover(bytes, allowance),
            |key, operand| merge::fold(operators, reader, key, operand).map(Some),
        )
    }

    /// `merge`, rule 3, while the gate is closed. Where what became newer is in pages by now, or may be, it will be
    /// found newer, and is folded outside again.
    pub(super) fn fold_again(&mut self, view: &View<S>) -> Result<(), CommitError> {
        if !self.scratch.writes.has_merges() {
            return Ok(());
        }
        let (since, at) = (self.merging.at, self.store.visible());
        let (reader, operators) = (
            Reader::new(view, self.store.seed(), at),
            self.store.operators(),
        );
        let mut is_here = true;
        let allowance = self.store.allowance();
        let room = |bytes| self.grant.cover(bytes, allowance);
        self.scratch.writes.fold_merges(room, |key, operand| {
            let newer = |one: &Generation| one.newest(key).filter(|newest| *newest > since);
            match view.find_since(since, newer) {
                Ok(None) => return Ok(None),
                Ok(Some(_)) => {}
                Err(Forgotten) => {
                    is_here = false;
                    return Ok(None);
                }
            }
            if let Lookup::Below = reader.lookup(key) {
                is_here = false;
                return Ok(None);
            }
            merge::fold(operators, reader, key, operand).map(Some)
        })?;
        if is_here {
            self.merging.at = at;
        }
        Ok(())
    }
}
