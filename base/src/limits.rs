//! The limits that the public interface states.

/// Longest key, in bytes. Keys are at least one byte long.
pub const KEY_BYTES_MAX: usize = 2 * 1024;

/// Longest value, in bytes: 1 GiB.
pub const VALUE_BYTES_MAX: usize = 1 << 30;

/// Longest name of a table, index or vector column, in bytes of UTF-8.
pub const NAME_BYTES_MAX: usize = 255;

/// Most dimensions of a vector.
pub const VECTOR_DIMENSION_MAX: usize = 65_536;
