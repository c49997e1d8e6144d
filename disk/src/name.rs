//! Which file names a disk takes. Any thread may call.
//!
//! 1. Names hold no path: ASCII letters, digits, `-`, `_`, `.`, so nothing leaves the directory.
//! 2. Names that begin with a dot, and `LOCK`, belong to the disk itself.

use std::io;

/// The file that [`DirDisk`](crate::DirDisk) locks.
pub(crate) const LOCK_NAME: &str = "LOCK";

/// Longest name, in bytes, that common file systems take.
const NAME_BYTES_MAX: usize = 255;

/// Refuses names that [`Disk`](crate::Disk) does not take; for its implementations.
///
/// # Errors
/// `InvalidInput`.
pub fn check_name(name: &str) -> io::Result<()> {
    if is_name(name) {
        return Ok(());
    }
    let message = format!("{name:?} is no name for a database's file");
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.starts_with('.')
        && name != LOCK_NAME
        && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_paths_hidden_names_and_the_lock() {
        for name in ["wal-0000000000000001", "tail", "a.b_c-D9", &"x".repeat(255)] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in [
            "",
            ".",
            "..",
            ".a",
            "a/b",
            "/a",
            "a\\b",
            "a b",
            "é",
            "a\0",
            "LOCK",
            &"x".repeat(256),
        ] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
