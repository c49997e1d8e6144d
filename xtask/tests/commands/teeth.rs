//! Mutants of a small checkout: which are caught, and which count as failures.

use crate::fixture::Fixture;
use xtask::cli::TeethOptions;
use xtask::teeth::{self, Report};

const SOURCE: &str = "\
pub fn smaller(a: u32, b: u32) -> u32 {
    if a < b { a } else { b }
}

#[test]
fn smaller_of_two() {
    assert_eq!(smaller(1, 2), 1);
}

#[test]
fn fails_always() {
    assert_eq!(smaller(1, 2), 3);
}
";

fn patch(test: &str, old: &str, new: &str) -> String {
    format!(
        "# rule: order rule 1: broken\n# mode: std\n# test: order - {test}\n\
         --- a/order/src/lib.rs\n+++ b/order/src/lib.rs\n\
         @@ -1,3 +1,3 @@\n pub fn smaller(a: u32, b: u32) -> u32 {{\n-{old}\n+{new}\n }}\n"
    )
}

const BODY: &str = "    if a < b { a } else { b }";

fn checkout(name: &str) -> Fixture {
    let fixture = Fixture::new(name, &["order"]);
    fixture.write("order/src/lib.rs", SOURCE);
    let write =
        |name: &str, text: &str| fixture.write(&format!("{}/{name}.patch", teeth::FOLDER), text);
    write(
        "caught",
        &patch("smaller_of_two", BODY, "    if a < b { b } else { a }"),
    );
    write(
        "survives",
        &patch("smaller_of_two", BODY, "    if a <= b { a } else { b }"),
    );
    write(
        "does-not-compile",
        &patch("smaller_of_two", BODY, "    if a < b { c } else { b }"),
    );
    write("names-no-test", &patch("larger_of_two", BODY, "    b"));
    write("test-fails-anyway", &patch("fails_always", BODY, "    b"));
    fixture
}

fn report(fixture: &Fixture, options: &TeethOptions) -> Report {
    teeth::check(&fixture.layout, options).unwrap()
}

/// Mutants caught, tried, and at fault.
fn figures(report: &Report) -> (usize, usize, usize) {
    (report.caught, report.ran(), report.faults.len())
}

fn named(name: &str) -> TeethOptions {
    TeethOptions {
        filter: Some(name.into()),
        ..TeethOptions::default()
    }
}

#[test]
fn only_a_test_that_begins_to_fail_catches() {
    let fixture = checkout("catches");
    for (name, caught) in [
        ("caught", 1),
        ("survives", 0),
        ("does-not-compile", 0),
        ("names-no-test", 0),
        ("test-fails-anyway", 0),
        // Again, after others: what was broken has been mended, and is built anew.
        ("caught", 1),
    ] {
        let report = report(&fixture, &named(name));
        assert_eq!(figures(&report), (caught, 1, 0), "{name}");
    }
    let all = TeethOptions {
        all: true,
        ..TeethOptions::default()
    };
    let report = report(&fixture, &all);
    assert_eq!(figures(&report), (1, 5, 0));
    assert!(!report.is_success());
    assert_reasons(&report);
}

/// Each with what is to be mended: which test let it pass, what the compiler said, what the test did.
fn assert_reasons(report: &Report) {
    let missed = |name: &str| {
        let found = report.missed.iter().find(|one| one.mutant == name).unwrap();
        (found.outcome.as_str(), found.output.as_str())
    };
    let survivor = missed("survives");
    assert_eq!(survivor, ("SURVIVED std::order::smaller_of_two", ""));
    let (outcome, output) = missed("does-not-compile");
    assert_eq!(outcome, "UNFIT: order does not build with the mutant");
    assert!(output.contains("cannot find value `c`"), "{output}");
    let (outcome, output) = missed("names-no-test");
    assert!(outcome.contains("has no test larger_of_two"), "{outcome}");
    assert_eq!(output, "");
    let (outcome, output) = missed("test-fails-anyway");
    assert!(outcome.ends_with("fails_always fails without the mutant"));
    assert!(output.contains("left: 1"), "{output}");
}

/// Leaves a mark for each build of its package, as one without instructions runs whenever that changes.
const COUNTING: &str = r#"
use std::io::Write;

fn main() {
    let target = std::env::var("CARGO_TARGET_DIR").unwrap();
    let marks = std::path::Path::new(&target).join("marks");
    let mut file = std::fs::File::options().append(true).create(true).open(marks).unwrap();
    file.write_all(b"x").unwrap();
}
"#;

#[test]
fn mutants_of_one_mode_and_package_share_the_build_of_the_tree_as_it_is() {
    let fixture = checkout("shared");
    fixture.write("order/build.rs", COUNTING);
    fixture.write(
        "order/src/lib.rs",
        &SOURCE.replace("smaller(1, 2), 3", "smaller(2, 2), 2"),
    );
    let options = TeethOptions {
        all: true,
        ..TeethOptions::default()
    };
    assert_eq!(report(&fixture, &options).ran(), 5);
    let marks = fixture.layout.target.join("teeth/target/marks");
    // Not for the one whose test does not exist.
    let mutants = 4;
    assert_eq!(std::fs::read(marks).unwrap().len(), 1 + mutants);
}

#[test]
fn a_patch_that_does_not_apply_is_a_fault_whatever_runs() {
    let fixture = checkout("stale");
    let stale = patch("smaller_of_two", "    if a > b { b } else { a }", "    b");
    fixture.write(&format!("{}/stale.patch", teeth::FOLDER), &stale);
    let report = report(&fixture, &named("caught"));
    assert_eq!(figures(&report), (1, 1, 1));
    assert!(report.to_string().contains("\nstale: does not apply"));
    assert!(!report.is_success());
}

#[test]
fn a_bounded_run_takes_what_touches_changed_files() {
    let fixture = checkout("changed");
    let options = TeethOptions {
        seconds: 600,
        ..TeethOptions::default()
    };
    fixture.commit(0);
    assert_eq!(
        report(&fixture, &options).ran(),
        5,
        "nothing older: all has changed"
    );
    fixture.write("order/README", "");
    fixture.commit(24);
    assert_eq!(
        report(&fixture, &options).ran(),
        0,
        "the source is a day old"
    );
    let rotation = TeethOptions {
        rotation: 2,
        ..options.clone()
    };
    assert_eq!(report(&fixture, &rotation).ran(), 2);
    fixture.write("order/src/lib.rs", &format!("{SOURCE}\n"));
    assert_eq!(
        report(&fixture, &options).ran(),
        5,
        "changed, not yet committed"
    );
    let no_time = TeethOptions {
        seconds: 0,
        ..options
    };
    assert_eq!(report(&fixture, &no_time).ran(), 0);
}
