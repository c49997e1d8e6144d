//! A transaction's own writes, as they are after some of its steps; for both checkers. Plain data.
//!
//! 1. What is merged is appended to what the transaction sees: to its own write, if there is one, else to what
//!    is committed where that is asked for: in its snapshot for its reads, at its commit for what it leaves.
//! 2. Rolling back to a savepoint leaves the writes of the steps before it, and nothing of later ones.

use std::collections::BTreeMap;

use super::Step;

/// What stands written of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// A value, or its removal.
    Value(Option<Vec<u8>>),
    /// Operands, appended one to the other.
    Merged(Vec<u8>),
}

/// The last writes by key.
pub(super) type Own<'a> = BTreeMap<&'a [u8], Written>;

impl Written {
    /// Rule 1: the value, where that is committed.
    pub(super) fn over(&self, committed: Option<&[u8]>) -> Option<Vec<u8>> {
        match self {
            Self::Value(value) => value.clone(),
            Self::Merged(operands) => Some([committed.unwrap_or_default(), operands].concat()),
        }
    }
}

/// The writes that stand after all of these steps.
pub(super) fn own_after(steps: &[Step]) -> Own<'_> {
    let mut own = Own::new();
    (0..steps.len()).for_each(|at| take(&mut own, steps, at));
    own
}

/// Has the step at a place change what the steps before it left.
pub(super) fn take<'a>(own: &mut Own<'a>, steps: &'a [Step], at: usize) {
    match &steps[at] {
        Step::Write { key, value } => drop(own.insert(key, Written::Value(value.clone()))),
        Step::Merge { key, operand } => {
            let written = own.get(key.as_slice());
            let merged = match written {
                Some(Written::Value(value)) => {
                    let more = Written::Merged(operand.clone());
                    Written::Value(more.over(value.as_deref()))
                }
                Some(Written::Merged(before)) => Written::Merged([&before[..], operand].concat()),
                None => Written::Merged(operand.clone()),
            };
            own.insert(key, merged);
        }
        // Rule 2.
        Step::RollBack { to } => *own = own_after(&steps[..*to]),
        Step::Read { .. } | Step::Range { .. } | Step::Index { .. } | Step::Standing { .. } => {}
    }
}
