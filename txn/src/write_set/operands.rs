//! Operands in a write set, and what comes of them before a commit installs it (`merge`, rules 2 and 5).

use crate::commit::check_commit_bytes;
use crate::error::CommitError;
use crate::generation::HashedKey;
use crate::merge::{OperatorId, Stored};
use crate::node::{Body, LargeRecord};
use crate::write_set::{LARGE_BYTES, WriteBody, WriteSet};

/// What is merged into a key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operand<'a> {
    pub(crate) operator: OperatorId,
    pub(crate) bytes: &'a [u8],
}

/// What is written to a key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Written<'a> {
    Body(Body<'a>),
    Merge(Operand<'a>),
}

/// A record that came of an operand.
pub(super) enum Folded {
    Small { value: Vec<u8>, vectors: Vec<u8> },
    Large(LargeRecord),
}

impl Folded {
    fn bytes(&self) -> usize {
        match self {
            Self::Small { value, vectors } => value.len() + vectors.len(),
            Self::Large(record) => record.value.len() + record.vectors.len(),
        }
    }
}

impl WriteSet {
    /// Bytes that the commit holds, about, with what came of operands.
    pub(crate) fn commit_bytes(&self) -> usize {
        self.total_bytes() + self.folded_bytes
    }

    /// Whether something is merged.
    pub(crate) fn has_merges(&self) -> bool {
        self.merges
    }

    /// Folds operands; what comes of them is what [`WriteSet::iter`] has from then on. Where `fold` gives
    /// nothing, what came of it before stays. `room` is asked each time for what it all takes in memory then.
    pub(crate) fn fold_merges(
        &mut self,
        mut room: impl FnMut(usize) -> Result<(), CommitError>,
        mut fold: impl FnMut(HashedKey<'_>, Operand<'_>) -> Result<Option<Stored>, CommitError>,
    ) -> Result<(), CommitError> {
        let mut count = 0;
        for place in 0..self.writes.len() {
            let write = &self.writes[place];
            let Written::Merge(operand) = self.written(write) else {
                continue;
            };
            if let Some((value, vectors)) = fold(self.hashed(write), operand)? {
                let record = match value.len() + vectors.len() < LARGE_BYTES {
                    true => Folded::Small { value, vectors },
                    false => Folded::Large(LargeRecord {
                        value: value.into(),
                        vectors: vectors.into(),
                    }),
                };
                self.folded_bytes += record.bytes();
                match self.folded.get_mut(count) {
                    Some(before) => {
                        self.folded_bytes -= before.bytes();
                        *before = record;
                    }
                    None => self.folded.push(record),
                }
                check_commit_bytes(self.commit_bytes())?;
                room(self.memory() + self.folded_bytes)?;
            }
            if let WriteBody::Merge { folded, .. } = &mut self.writes[place].body {
                *folded = count as u32;
            }
            count += 1;
        }
        Ok(())
    }

    /// Writes an operand, in place of what was written to the key before.
    pub(crate) fn merge(&mut self, key: HashedKey<'_>, operator: OperatorId, operand: &[u8]) {
        let start = self.copy_key(key.key);
        self.bytes.extend_from_slice(operand);
        self.merges = true;
        let body = WriteBody::Merge {
            operator,
            operand: operand.len() as u32,
            folded: 0,
        };
        self.enter(key, start, body);
    }
}
