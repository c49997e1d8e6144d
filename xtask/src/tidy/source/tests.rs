//! Tests of the line reader.

use super::*;

fn code(text: &str) -> Vec<String> {
    Source::parse(text)
        .lines
        .into_iter()
        .map(|line| line.code)
        .collect()
}

#[test]
fn comments_are_no_code() {
    let source = Source::parse("let a = 1; // unsafe b\n/* c\n d */ e();\n");
    assert_eq!(source.lines[0].code, "let a = 1; ");
    assert_eq!(source.lines[0].comment, " unsafe b");
    assert_eq!(
        (
            source.lines[1].code.as_str(),
            source.lines[1].comment.as_str()
        ),
        ("", " c")
    );
    assert_eq!(source.lines[2].code, " e();");
}

#[test]
fn block_comments_nest() {
    assert_eq!(code("a /* b /* c */ d */ e"), ["a  e"]);
}

#[test]
fn strings_are_blank() {
    assert_eq!(code(r#"f("unsafe { // }", x)"#), [r#"f("", x)"#]);
    assert_eq!(code(r#"f("a\"b", x)"#), [r#"f("", x)"#]);
    assert_eq!(code("f(r#\"a \" unsafe\"#, x)"), ["f(\"\", x)"]);
    assert_eq!(code("f(br\"a\\\", x)"), ["f(\"\", x)"]);
    assert_eq!(code("f(\"a\nunsafe\", x)"), ["f(\"", "\", x)"]);
}

#[test]
fn characters_are_not_lifetimes() {
    assert_eq!(code("f('{', '\\'', '\\u{7b}', b'\"')"), ["f(', ', ', b')"]);
    assert_eq!(code("fn f<'a>(x: &'a str) {}"), ["fn f<'a>(x: &'a str) {}"]);
}

#[test]
fn a_name_that_ends_in_r_begins_no_raw_string() {
    assert_eq!(code("bar\"x\""), ["bar\"\""]);
}

#[test]
fn test_modules_are_marked_to_their_end() {
    let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n";
    let marks: Vec<bool> = Source::parse(text)
        .lines
        .iter()
        .map(|line| line.is_test)
        .collect();
    assert_eq!(marks, [false, true, true, true, true, false]);
}

#[test]
fn a_test_module_in_a_file_of_its_own_marks_two_lines() {
    let source = Source::parse("fn a() {}\n#[cfg(test)]\nmod tests;\nfn b() {\n}\n");
    assert_eq!(source.product_lines(), 3);
}

#[test]
fn functions_are_measured() {
    let text = "\
trait T {
    fn declared(&self) -> [u8; 4];
}
fn outer(
    x: [u8; 4],
) -> u8 {
    fn inner() {
    }
    x[0]
}
";
    let functions = Source::parse(text).functions;
    let found: Vec<_> = functions
        .iter()
        .map(|one| (one.name.as_str(), one.line, one.lines))
        .collect();
    assert_eq!(found, [("inner", 7, 2), ("outer", 4, 7)]);
}

#[test]
fn words_are_whole() {
    assert!(has_word("unsafe { x }", "unsafe"));
    assert!(!has_word("forbid(unsafe_code)", "unsafe"));
    assert!(has_word("é unsafe", "unsafe"));
}
