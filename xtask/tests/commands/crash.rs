//! Crash tests of a small checkout: their figures are read, their failures and their silence count.

use crate::fixture::Fixture;
use xtask::cli::CrashOptions;
use xtask::crash;

fn passes(fixture: &Fixture) -> bool {
    crash::run(&fixture.layout, &CrashOptions::default()).unwrap()
}

fn sweep(body: &str) -> String {
    format!("#[test]\nfn sweep() {{ {body} }}\n")
}

#[test]
fn figures_failures_and_silence() {
    let fixture = Fixture::new("crash", &["log"]);
    assert!(
        crash::run(&fixture.layout, &CrashOptions::default()).is_err(),
        "no crash test"
    );
    let print = |states: &str, violations: u32| {
        sweep(&format!(
            "println!(\"crash: {{}} states, {violations} violations\", {states});"
        ))
    };
    let asked = "std::env::var(\"VELLUM_CRASH_STATES\").unwrap()";
    for (text, expected) in [
        (print(asked, 0), true),
        (print(asked, 1), false),
        (print("0", 0), false),
        (sweep("panic!();"), false),
        (sweep(""), false),
    ] {
        fixture.write("log/tests/crash_sweep.rs", &text);
        assert_eq!(passes(&fixture), expected, "{text}");
    }
    fixture.write("log/tests/crash_sweep.rs", &print(asked, 0));
    fixture.write("log/tests/crash_kill.rs", &sweep(""));
    assert!(!passes(&fixture), "one file is silent");
}
