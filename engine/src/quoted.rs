//! Keys as they appear in messages: escaped, and cut.

use std::fmt;
use std::ops::Deref;

/// Most bytes of a key that a message shows.
const SHOWN_BYTES_MAX: usize = 48;

/// A key inside an error: prints escaped and cut to 48 bytes, derefs to all of its bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct QuotedKey(Box<[u8]>);

impl QuotedKey {
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(key.into())
    }
}

impl Deref for QuotedKey {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for QuotedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.get(..SHOWN_BYTES_MAX).unwrap_or(&self.0);
        write!(f, "\"{}\"", shown.escape_ascii())?;
        if shown.len() < self.0.len() {
            write!(f, "… ({} bytes)", self.0.len())?;
        }
        Ok(())
    }
}

impl fmt::Debug for QuotedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_show_keys_escaped_and_cut() {
        assert_eq!(QuotedKey::new(b"a\n\"\xFF").to_string(), r#""a\n\"\xff""#);
        let long = QuotedKey::new(&[b'k'; 49]);
        assert_eq!(
            long.to_string(),
            format!("\"{}\"… (49 bytes)", "k".repeat(48))
        );
        assert_eq!(long.len(), 49);
    }
}
