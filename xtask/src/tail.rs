//! The end of an output: its last lines, however long it is.
//!
//! For reports that show what failed, or say it again at their end.
//!
//! 1. It holds a bounded number of lines, each of bounded length: nothing that is printed, not even
//!    a line of megabytes, pushes the rest of a report out of sight.
//! 2. What was left out is said: the number of lines, and a mark where a line was cut.
//! 3. Lines are told apart by their ends alone, in whatever pieces they come; a last line without
//!    an end is a line.

use std::collections::VecDeque;
use std::fmt;

const LINE_BYTES: usize = 2000;

/// The last lines of what was written to it.
#[derive(Debug, Clone)]
pub struct Tail {
    lines: VecDeque<Line>,
    most: usize,
    skipped: usize,
    /// The next byte begins a line.
    at_start: bool,
}

#[derive(Debug, Clone, Default)]
struct Line {
    bytes: Vec<u8>,
    is_cut: bool,
}

impl Tail {
    /// Nothing yet; at most `most` lines.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            lines: VecDeque::new(),
            most,
            skipped: 0,
            at_start: true,
        }
    }

    /// The last lines of a whole output.
    #[must_use]
    pub fn of(output: &str, most: usize) -> Self {
        let mut tail = Self::new(most);
        tail.write(output.as_bytes());
        tail
    }

    /// Takes what comes next.
    pub fn write(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.at_start {
                self.begin_line();
            }
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            if let Some(line) = self.lines.back_mut() {
                line.extend(text);
            }
            self.at_start = text.len() < piece.len();
        }
    }

    fn begin_line(&mut self) {
        self.lines.push_back(Line::default());
        if self.lines.len() > self.most {
            self.lines.pop_front();
            self.skipped += 1;
        }
    }
}

impl Line {
    fn extend(&mut self, text: &[u8]) {
        let room = LINE_BYTES - self.bytes.len();
        self.bytes.extend_from_slice(&text[..text.len().min(room)]);
        self.is_cut |= text.len() > room;
    }
}

/// Indented, each line with its end.
impl fmt::Display for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.skipped > 0 {
            writeln!(f, "    … {} lines before", self.skipped)?;
        }
        for line in &self.lines {
            let text = String::from_utf8_lossy(&line.bytes);
            let mark = if line.is_cut { " …" } else { "" };
            writeln!(f, "    {}{mark}", text.trim_end_matches('\r'))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept_and_the_rest_is_counted() {
        let tail = Tail::of("a\nb\nc\n", 2);
        assert_eq!(tail.to_string(), "    … 1 lines before\n    b\n    c\n");
        assert_eq!(Tail::of("a\n", 2).to_string(), "    a\n");
        assert_eq!(Tail::of("", 2).to_string(), "");
    }

    #[test]
    fn lines_are_the_same_in_whatever_pieces_they_come() {
        let output = "first\n\nsecond, with ä\r\nthe last has no end";
        let whole = Tail::of(output, 3).to_string();
        assert_eq!(
            whole,
            "    … 1 lines before\n    \n    second, with ä\n    the last has no end\n"
        );
        for size in 1..output.len() {
            let mut tail = Tail::new(3);
            for piece in output.as_bytes().chunks(size) {
                tail.write(piece);
            }
            assert_eq!(tail.to_string(), whole, "pieces of {size}");
        }
    }

    #[test]
    fn a_line_without_end_does_not_grow_for_ever() {
        let mut tail = Tail::new(2);
        for _ in 0..1000 {
            tail.write(&[b'x'; 1024]);
        }
        tail.write(b"\nthe reason\n");
        let text = tail.to_string();
        assert!(text.len() < 2 * LINE_BYTES, "{} bytes", text.len());
        assert!(text.contains("x …\n") && text.ends_with("    the reason\n"));
        let fits = "x".repeat(LINE_BYTES);
        assert_eq!(Tail::of(&fits, 1).to_string(), format!("    {fits}\n"));
    }
}
