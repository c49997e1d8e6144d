//! `cargo xtask crash`: the crash sweeps and the kills of real processes.
//!
//! 1. A crash test is a file `tests/crash_*.rs` of any package. It takes the number of states it
//!    should reach from `VELLUM_CRASH_STATES` and prints `crash: N states, M violations`; for a test
//!    that kills processes a state is a process that was killed and reopened.
//! 2. A test that fails or hangs counts as a violation, and so does a file without figures: silence
//!    is not safety.
//! 3. The build is optimised, with assertions and overflow checks.

use std::fs;
use std::path::Path;

use crate::binaries::{self, Binary, Targets};
use crate::child::{self, Ended, Verdict};
use crate::cli::CrashOptions;
use crate::error::{Context, Error, Result};
use crate::figures::{CrashFigures, crash_figures};
use crate::layout::Layout;
use crate::mode::{Effort, Mode};
use crate::tail::Tail;

const SHOWN_LINES: usize = 200;

/// Runs the command; true when no promise was broken.
///
/// # Errors
///
/// When there is no crash test, or one does not build.
pub fn run(layout: &Layout, options: &CrashOptions) -> Result<bool> {
    let effort = Effort::from_long(options.long);
    let wanted = wanted(crash_tests(&layout.root)?, options.filter.as_deref())?;
    let mut total = CrashFigures::default();
    for (package, test) in wanted {
        println!("crash: building {package}::{test}");
        for binary in binaries::build(layout, Mode::Crash, &package, &Targets::Named(test))? {
            total.add(run_binary(layout, &binary, effort)?);
        }
    }
    println!(
        "crash: {} states, {} violations",
        total.states, total.violations
    );
    Ok(total.states > 0 && total.violations == 0)
}

fn wanted(tests: Vec<(String, String)>, filter: Option<&str>) -> Result<Vec<(String, String)>> {
    let is_wanted = |(package, test): &(String, String)| {
        filter.is_none_or(|filter| format!("{package}::{test}").contains(filter))
    };
    let wanted: Vec<_> = tests.into_iter().filter(is_wanted).collect();
    if wanted.is_empty() {
        return Err(Error::new("there is no crash test of such a name"));
    }
    Ok(wanted)
}

/// One test after another: a sweep has the machine for itself.
fn run_binary(layout: &Layout, binary: &Binary, effort: Effort) -> Result<CrashFigures> {
    let tests = binaries::list(binary)?;
    let jobs = tests
        .iter()
        .map(|test| binaries::job(binary, test, Mode::Crash, effort))
        .collect();
    let mut total = CrashFigures::default();
    child::run_all(jobs, 1, &layout.target.join("xtask"), |ended| {
        let figures = judge(ended);
        total.add(figures);
        print!("{}", describe(ended, figures));
    })?;
    if total.states == 0 {
        println!("crash: {} printed no figures", binary.name);
        total.violations += 1;
    }
    Ok(total)
}

fn describe(ended: &Ended, figures: CrashFigures) -> String {
    let CrashFigures { states, violations } = figures;
    let (seconds, name) = (ended.elapsed.as_secs_f64(), &ended.name);
    let line = format!("{seconds:>7.1} s  {name} … {states} states, {violations} violations\n");
    if violations == 0 {
        line
    } else {
        line + &Tail::of(&ended.output, SHOWN_LINES).to_string()
    }
}

/// The crash tests below `root`, as package and test target.
///
/// # Errors
///
/// When the tree cannot be read.
pub fn crash_tests(root: &Path) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for folder in subfolders(root)? {
        let Ok(manifest) = fs::read_to_string(folder.join("Cargo.toml")) else {
            continue;
        };
        let Some(package) = package_name(&manifest) else {
            continue;
        };
        let Ok(entries) = fs::read_dir(folder.join("tests")) else {
            continue;
        };
        for entry in entries {
            let entry = entry.during(|| format!("cannot list {}", folder.display()))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let test = name
                .strip_suffix(".rs")
                .filter(|test| test.starts_with("crash_"));
            if let Some(test) = test {
                found.push((package.clone(), test.to_owned()));
            }
        }
    }
    found.sort();
    Ok(found)
}

fn subfolders(root: &Path) -> Result<Vec<std::path::PathBuf>> {
    let entries = fs::read_dir(root).during(|| format!("cannot list {}", root.display()))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(paths.filter(|path| path.is_dir()).collect())
}

/// The name of the package that a manifest describes.
#[must_use]
pub fn package_name(manifest: &str) -> Option<String> {
    let (_, package) = manifest.split_once("[package]")?;
    let line = package.lines().find(|line| line.starts_with("name"))?;
    Some(line.split('"').nth(1)?.to_owned())
}

fn judge(ended: &Ended) -> CrashFigures {
    let mut figures = CrashFigures::default();
    for one in ended.output.lines().filter_map(crash_figures) {
        figures.add(one);
    }
    let failed = ended.verdict != Verdict::Passed;
    if failed && figures.violations == 0 {
        figures.violations += 1;
    }
    figures
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ended(verdict: Verdict, output: &str) -> Ended {
        let elapsed = Duration::ZERO;
        Ended {
            name: "sweep".into(),
            verdict,
            elapsed,
            output: output.into(),
        }
    }

    #[test]
    fn figures_of_one_test_are_added_up() {
        let output = "crash: 10 states, 0 violations\ntest b ... crash: 5 states, 0 violations\n";
        let figures = judge(&ended(Verdict::Passed, output));
        assert_eq!(
            figures,
            CrashFigures {
                states: 15,
                violations: 0
            }
        );
    }

    #[test]
    fn failure_and_hang_are_violations() {
        let output = "crash: 10 states, 0 violations\n";
        assert_eq!(judge(&ended(Verdict::Failed, output)).violations, 1);
        assert_eq!(judge(&ended(Verdict::Hung, output)).violations, 1);
        assert_eq!(judge(&ended(Verdict::Passed, output)).violations, 0);
    }

    #[test]
    fn crash_tests_are_found_by_name() {
        let root = std::env::temp_dir().join(format!("xtask-crash-{}", std::process::id()));
        fs::create_dir_all(root.join("wal/tests")).unwrap();
        fs::write(
            root.join("wal/Cargo.toml"),
            "[package]\nname = \"vellum-wal\"\n",
        )
        .unwrap();
        fs::write(root.join("wal/tests/crash_sweep.rs"), "").unwrap();
        fs::write(root.join("wal/tests/format.rs"), "").unwrap();
        let found = crash_tests(&root).unwrap();
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(found, [("vellum-wal".to_owned(), "crash_sweep".to_owned())]);
    }
}
