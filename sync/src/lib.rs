//! The only crate that knows the model checkers: synchronisation primitives as newtypes.
