//! Models of a small checkout: each runs in a process of its own, with the checker's flags.

use crate::fixture::Fixture;
use xtask::cli::ModelOptions;
use xtask::figures::Tally;
use xtask::models;

const MODELS: &str = "\
#[cfg(vellum_loom)]
#[test]
fn under_loom() {
    assert!(cfg!(feature = \"loom\"));
}

#[cfg(vellum_shuttle)]
#[test]
fn under_shuttle() {
    assert!(cfg!(feature = \"shuttle\"));
}

#[test]
fn aborts() {
    std::process::abort();
}

#[test]
fn is_alone() {
    assert_eq!(std::env::args().filter(|one| one == \"--exact\").count(), 1);
}
";

fn checkout(name: &str) -> Fixture {
    let fixture = Fixture::new(name, &["vellum-sync", "vellum-loom-tests"]);
    fixture.write("vellum-loom-tests/tests/commit.rs", MODELS);
    fixture.write("vellum-sync/tests/contract.rs", "#[test]\nfn holds() {}\n");
    fixture
}

fn tally(fixture: &Fixture, filter: Option<&str>) -> Tally {
    let options = ModelOptions {
        filter: filter.map(str::to_owned),
        long: false,
    };
    models::check(&fixture.layout, &options).unwrap()
}

#[test]
fn one_that_aborts_takes_no_other_with_it() {
    let fixture = checkout("models");
    assert_eq!(
        tally(&fixture, None),
        Tally {
            passed: 6,
            failed: 2
        }
    );
    assert_eq!(
        tally(&fixture, Some("loom::commit::under")),
        Tally {
            passed: 1,
            failed: 0
        }
    );
}

#[test]
fn a_package_without_models_fails_once_a_mode_and_hides_no_other() {
    let fixture = checkout("no-models");
    fixture.write("vellum-sync/tests/contract.rs", "");
    let (passed, failed) = (1, 1);
    assert_eq!(
        tally(&fixture, Some("loom::commit::is_alone")),
        Tally { passed, failed }
    );
    fixture.write("vellum-sync/tests/contract.rs", "does not compile");
    let (passed, failed) = (2, 2);
    assert_eq!(
        tally(&fixture, Some("commit::is_alone")),
        Tally { passed, failed }
    );
}

#[test]
fn a_name_that_no_model_has_is_an_error() {
    let fixture = checkout("no-name");
    let options = ModelOptions {
        filter: Some("nobody".into()),
        long: false,
    };
    assert!(models::check(&fixture.layout, &options).is_err());
}
