//! Tests of histories in a small checkout: their figures are read, and one writes a file where it is told to.

use crate::fixture::Fixture;
use xtask::cli::HistoryOptions;
use xtask::histories;

fn test(body: &str) -> String {
    format!("#[test]\nfn history() {{ {body} }}\n")
}

#[test]
fn figures_and_a_file_for_elle() {
    let fixture = Fixture::new("histories", &["log"]);
    let run = |options: &HistoryOptions| histories::run(&fixture.layout, options);
    let default = HistoryOptions::default();
    assert!(run(&default).is_err(), "no test of histories");
    let asked = "std::env::var(\"VELLUM_HISTORY_TRANSACTIONS\").unwrap()";
    let print = |violations: u32| {
        format!("println!(\"histories: {{}} transactions, {violations} violations\", {asked});")
    };
    fixture.write("log/tests/history_lists.rs", &test(&print(1)));
    assert!(!run(&default).unwrap());
    fixture.write("log/tests/history_lists.rs", &test(&print(0)));
    assert!(run(&default).unwrap());

    let elle = "if let Some(file) = std::env::var_os(\"VELLUM_HISTORY_ELLE\") {
        std::fs::write(file, \"{}\").unwrap(); }";
    let writes = test(&format!("{elle} {}", print(0)));
    fixture.write("log/tests/history_lists.rs", &writes);
    // Another one is not asked, when it is about the file.
    fixture.write("log/tests/history_other.rs", &test(&print(1)));
    let file = fixture.layout.root.join("a history.edn");
    let options = HistoryOptions {
        elle: Some(file.clone()),
        ..HistoryOptions::default()
    };
    assert!(run(&options).unwrap());
    assert_eq!(std::fs::read_to_string(file).unwrap(), "{}");
    assert!(!run(&default).unwrap());
}
