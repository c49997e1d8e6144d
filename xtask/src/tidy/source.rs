//! A Rust source file, line by line, with code, comments and strings told apart.
//!
//! 1. `code` has comments removed and the contents of strings and characters blanked: a word found
//!    there is a word of the program.
//! 2. Lines inside `#[cfg(test)] mod … { }` are marked; so is a whole file that is reached as tests.
//! 3. It is no parser: braces are counted, and `fn` followed by a name begins a function. That is
//!    enough for source that rustfmt has formatted and the compiler accepts.

/// One line.
#[derive(Debug, Clone, Default)]
pub(super) struct Line {
    /// The program's words.
    pub(super) code: String,
    /// The comments' words.
    pub(super) comment: String,
    /// Whether the comment is a module header's (`//!`).
    pub(super) is_header: bool,
    /// Whether the line belongs to an inline test module.
    pub(super) is_test: bool,
}

/// A function with a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) name: String,
    /// Its first line, counted from one.
    pub(super) line: usize,
    pub(super) lines: usize,
    pub(super) is_test: bool,
}

/// A file.
#[derive(Debug, Default)]
pub(super) struct Source {
    pub(super) lines: Vec<Line>,
    pub(super) functions: Vec<Function>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Code,
    LineComment,
    BlockComment(u32),
    Text { hashes: Option<u32> },
}

impl Source {
    /// Reads a file.
    pub(super) fn parse(text: &str) -> Self {
        let mut source = Self {
            lines: split(text),
            functions: Vec::new(),
        };
        source.mark_tests();
        source.find_functions();
        source
    }

    /// Lines that are not tests.
    pub(super) fn product_lines(&self) -> usize {
        self.lines.iter().filter(|line| !line.is_test).count()
    }

    fn mark_tests(&mut self) {
        let mut depth = 0i64;
        let mut pending = false;
        let mut inside: Option<i64> = None;
        for line in &mut self.lines {
            let code = line.code.trim();
            pending |= code.starts_with("#[cfg(test)]");
            if pending && inside.is_none() && code.contains('{') {
                inside = Some(depth);
            }
            line.is_test = pending;
            depth += braces(code);
            let ends_item = inside.is_none() && pending && code.ends_with(';');
            if ends_item || inside.is_some_and(|start| depth <= start) {
                (pending, inside) = (false, None);
            }
        }
    }

    fn find_functions(&mut self) {
        let mut open: Vec<(String, usize, i64)> = Vec::new();
        let mut announced: Option<(String, usize)> = None;
        let mut depth = 0i64;
        for (number, line) in self.lines.iter().enumerate() {
            if let Some(name) = function_name(&line.code) {
                announced = Some((name, number));
            }
            for mark in line.code.chars() {
                match mark {
                    '{' => {
                        if let Some((name, start)) = announced.take() {
                            open.push((name, start, depth));
                        }
                        depth += 1;
                    }
                    '}' => {
                        depth -= 1;
                        let ends = open.last().is_some_and(|(_, _, start)| *start == depth);
                        if let Some((name, start, _)) = open.pop_if(|_| ends) {
                            let is_test = line.is_test;
                            let lines = number - start + 1;
                            self.functions.push(Function {
                                name,
                                line: start + 1,
                                lines,
                                is_test,
                            });
                        }
                    }
                    // A declaration without a body; the `;` of an array type ends no line.
                    ';' if line.code.trim_end().ends_with(';') => announced = None,
                    _ => {}
                }
            }
        }
    }
}

fn braces(code: &str) -> i64 {
    code.chars()
        .map(|mark| i64::from(mark == '{') - i64::from(mark == '}'))
        .sum()
}

fn function_name(code: &str) -> Option<String> {
    let at = words(code).find(|(_, word)| *word == "fn")?.0;
    let name: String = code[at + 2..]
        .trim_start()
        .chars()
        .take_while(|c| is_word(*c))
        .collect();
    (!name.is_empty()).then_some(name)
}

pub(super) fn is_word(mark: char) -> bool {
    mark.is_alphanumeric() || mark == '_'
}

/// The words of some code, with their places.
pub(super) fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    code.split(|mark| !is_word(mark)).filter_map(move |word| {
        let start = at;
        at += word.len();
        at += code[at..].chars().next().map_or(0, char::len_utf8);
        (!word.is_empty()).then_some((start, word))
    })
}

/// Whether `word` is a word of `code`.
pub(super) fn has_word(code: &str, word: &str) -> bool {
    words(code).any(|(_, one)| one == word)
}

fn split(text: &str) -> Vec<Line> {
    let mut state = State::Code;
    let mut lines = Vec::new();
    for raw in text.lines() {
        if state == State::LineComment {
            state = State::Code;
        }
        let mut line = Line {
            is_header: raw.trim_start().starts_with("//!"),
            ..Line::default()
        };
        let marks: Vec<char> = raw.chars().collect();
        let mut at = 0;
        while at < marks.len() {
            at += step(&mut state, &marks, at, &mut line);
        }
        lines.push(line);
    }
    lines
}

/// Reads what stands at `at` and says how many characters it took.
fn step(state: &mut State, marks: &[char], at: usize, line: &mut Line) -> usize {
    match *state {
        State::Code => step_code(state, marks, at, line),
        State::LineComment => {
            line.comment.push(marks[at]);
            1
        }
        State::BlockComment(depth) => {
            if starts(marks, at, "*/") {
                *state = if depth == 1 {
                    State::Code
                } else {
                    State::BlockComment(depth - 1)
                };
                return 2;
            }
            if starts(marks, at, "/*") {
                *state = State::BlockComment(depth + 1);
                return 2;
            }
            line.comment.push(marks[at]);
            1
        }
        State::Text { hashes: None } => match marks[at] {
            '\\' => 2,
            '"' => {
                line.code.push('"');
                *state = State::Code;
                1
            }
            _ => 1,
        },
        State::Text {
            hashes: Some(count),
        } => {
            let end = format!("\"{}", "#".repeat(count as usize));
            if starts(marks, at, &end) {
                line.code.push('"');
                *state = State::Code;
                return end.len();
            }
            1
        }
    }
}

fn step_code(state: &mut State, marks: &[char], at: usize, line: &mut Line) -> usize {
    if starts(marks, at, "//") {
        *state = State::LineComment;
        return 2;
    }
    if starts(marks, at, "/*") {
        *state = State::BlockComment(1);
        return 2;
    }
    let after_word = at > 0 && is_word(marks[at - 1]);
    if let Some((length, hashes)) = raw_text(marks, at).filter(|_| !after_word) {
        *state = State::Text {
            hashes: Some(hashes),
        };
        line.code.push('"');
        return length;
    }
    match marks[at] {
        '"' => {
            *state = State::Text { hashes: None };
            line.code.push('"');
            1
        }
        '\'' => {
            line.code.push('\'');
            character(marks, at).unwrap_or(1)
        }
        mark => {
            line.code.push(mark);
            1
        }
    }
}

/// The length of `r#"`, `br"` and the like at `at`, and their hashes.
fn raw_text(marks: &[char], at: usize) -> Option<(usize, u32)> {
    let mut here = at;
    if matches!(marks.get(here), Some('b' | 'c')) {
        here += 1;
    }
    if marks.get(here) != Some(&'r') {
        return None;
    }
    here += 1;
    let first = here;
    while marks.get(here) == Some(&'#') {
        here += 1;
    }
    let hashes = u32::try_from(here - first).ok()?;
    (marks.get(here) == Some(&'"')).then_some((here + 1 - at, hashes))
}

/// The length of the character literal at `at`; none for a lifetime.
fn character(marks: &[char], at: usize) -> Option<usize> {
    if marks.get(at + 1) == Some(&'\\') {
        let rest = marks.get(at + 3..)?;
        return Some(rest.iter().position(|mark| *mark == '\'')? + 4);
    }
    (marks.get(at + 2) == Some(&'\'')).then_some(3)
}

fn starts(marks: &[char], at: usize, with: &str) -> bool {
    let mut here = at;
    with.chars().all(|mark| {
        let same = marks.get(here) == Some(&mark);
        here += 1;
        same
    })
}

#[cfg(test)]
mod tests;
