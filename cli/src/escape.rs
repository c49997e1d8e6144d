//! The text form of keys and values: one line of UTF-8 without tabs, whatever the bytes.
//!
//! Rules:
//!
//! 1. Tab, line feed, carriage return and backslash are `\t`, `\n`, `\r` and `\\`.
//! 2. Other control characters, and bytes that are not UTF-8, are `\x` and two hexadecimal digits.
//! 3. Everything else stands for itself. A backslash before anything else is refused, so that no
//!    text has two meanings.
//! 4. What [`escape`] writes, [`unescape`] reads back to the same bytes: the output of `scan` is
//!    input for `import`.

use std::fmt::Write;

/// The text of `bytes`.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        chunk
            .valid()
            .chars()
            .for_each(|one| push_char(&mut text, one));
        chunk
            .invalid()
            .iter()
            .for_each(|byte| push_byte(&mut text, *byte));
    }
    text
}

fn push_char(text: &mut String, one: char) {
    match one {
        '\t' => text.push_str("\\t"),
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\\' => text.push_str("\\\\"),
        _ if one.is_control() => {
            let mut bytes = [0; 4];
            one.encode_utf8(&mut bytes)
                .bytes()
                .for_each(|byte| push_byte(text, byte));
        }
        _ => text.push(one),
    }
}

fn push_byte(text: &mut String, byte: u8) {
    // Writing to a string cannot fail.
    let _ = write!(text, "\\x{byte:02x}");
}

/// The bytes of `text`, or what is wrong with it.
pub(crate) fn unescape(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'\\' {
            bytes.push(first);
            continue;
        }
        let (byte, used) = unescape_one(rest)?;
        bytes.push(byte);
        rest = &rest[used..];
    }
    Ok(bytes)
}

/// What follows a backslash: the byte that is meant, and how many bytes say so.
fn unescape_one(rest: &[u8]) -> Result<(u8, usize), String> {
    match rest {
        [b't', ..] => Ok((b'\t', 1)),
        [b'n', ..] => Ok((b'\n', 1)),
        [b'r', ..] => Ok((b'\r', 1)),
        [b'\\', ..] => Ok((b'\\', 1)),
        [b'x', high, low, ..] => match (digit(*high), digit(*low)) {
            (Some(high), Some(low)) => Ok((high << 4 | low, 3)),
            _ => Err("`\\x` wants two hexadecimal digits".to_owned()),
        },
        [b'x', ..] => Err("`\\x` wants two hexadecimal digits".to_owned()),
        [other, ..] => Err(format!(
            "`\\{}` is no escape: write `\\\\`",
            other.escape_ascii()
        )),
        [] => Err("a backslash stands at the end: write `\\\\`".to_owned()),
    }
}

fn digit(digit: u8) -> Option<u8> {
    // A hexadecimal digit is less than 16.
    (digit as char).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_bytes_have_their_escapes() {
        assert_eq!(escape(b"a\tb\nc\rd\\e"), r"a\tb\nc\rd\\e");
        assert_eq!(
            escape("Grüße \u{7f}\u{85}\0".as_bytes()),
            r"Grüße \x7f\xc2\x85\x00"
        );
        assert_eq!(escape(b"\xff\xc3("), r"\xff\xc3(");
    }

    #[test]
    fn all_bytes_return() {
        let all: Vec<u8> = (0..=u8::MAX).chain((0..=u8::MAX).rev()).collect();
        let text = escape(&all);
        assert!(!text.contains(['\t', '\n', '\r']));
        assert_eq!(unescape(text.as_bytes()).unwrap(), all);
    }

    #[test]
    fn broken_escapes_are_refused() {
        for text in [r"\", r"a\q", r"\x", r"\x1", r"\x1g", r"\x+1"] {
            assert!(unescape(text.as_bytes()).is_err(), "{text}");
        }
        assert_eq!(unescape(br"\x4a\\x").unwrap(), b"J\\x");
    }
}
