//! The log: segments, records, group commit, reading back.
