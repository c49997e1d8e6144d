//! The names of the log's files.
//!
//! Used wherever a file is opened or a directory listed.
//!
//! 1. A file that bears a segment's name was given it only when its header was durable; so a
//!    header that cannot be read there is damage, never an interrupted creation.
//! 2. Files under a temporary name mean nothing and are removed by the next opening for writing.

/// The mapped tail.
pub(crate) const TAIL: &str = "wal-tail";
/// A segment under preparation.
pub(crate) const NEXT: &str = "wal-next.tmp";
/// The first segment of an incarnation, before the incarnation counts.
pub(crate) const OPENING: &str = "wal-open.tmp";

/// What a file's name says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Tail,
    Temporary,
    Segment(u64),
    Large(u64),
    /// Looks like the log's, but is none of these.
    Foreign,
    /// Not the log's.
    Other,
}

pub(crate) fn segment(sequence: u64) -> String {
    format!("wal-{sequence:016x}.log")
}

pub(crate) fn large(number: u64) -> String {
    format!("big-{number:016x}.log")
}

fn number(name: &str, prefix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?.strip_suffix(".log")?;
    let plain = digits.len() == 16
        && digits
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if plain {
        u64::from_str_radix(digits, 16).ok()
    } else {
        None
    }
}

pub(crate) fn parse(name: &str) -> Name {
    if name == TAIL {
        return Name::Tail;
    }
    if name == NEXT || name == OPENING {
        return Name::Temporary;
    }
    if let Some(sequence) = number(name, "wal-") {
        return Name::Segment(sequence);
    }
    if let Some(file) = number(name, "big-") {
        return Name::Large(file);
    }
    if name.starts_with("wal-") || name.starts_with("big-") {
        Name::Foreign
    } else {
        Name::Other
    }
}

/// Whether a file of this name is the log's, for whoever looks after the directory.
#[must_use]
pub fn is_log_file(name: &str) -> bool {
    !matches!(parse(name), Name::Foreign | Name::Other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_strangers_are_seen() {
        assert_eq!(parse(&segment(0x1f)), Name::Segment(0x1f));
        assert_eq!(parse(&large(u64::MAX)), Name::Large(u64::MAX));
        assert_eq!(parse(TAIL), Name::Tail);
        for foreign in [
            "wal-1.log",
            "wal-000000000000001F.log",
            "big-",
            "wal-+00000000000001f.log",
        ] {
            assert_eq!(parse(foreign), Name::Foreign, "{foreign}");
        }
        assert_eq!(parse("notes.txt"), Name::Other);
    }
}
