//! Tests that count what they looked at, and what was wrong with it: crash tests and tests of histories.
//!
//! 1. Such a test is a file `tests/<prefix>*.rs` of any package. How much it is to look at it takes from the
//!    environment; it prints `<word>: N <nouns>, M violations`.
//! 2. A test that fails or hangs counts as a violation, and so does a file without figures: silence
//!    is not safety.
//! 3. The build is optimised, with assertions and overflow checks.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::binaries::{self, Binary, Targets};
use crate::child::{self, Ended, Verdict};
use crate::error::{Context, Error, Result};
use crate::figures::Counted;
use crate::layout::Layout;
use crate::mode::{Effort, Mode};
use crate::tail::Tail;

const SHOWN_LINES: usize = 200;

/// What is swept.
#[derive(Debug, Clone, Copy)]
pub struct Sweep {
    /// The mode in which the tests are built and run.
    pub mode: Mode,
    /// With what their files' names begin.
    pub prefix: &'static str,
    /// With what their figures begin.
    pub word: &'static str,
    /// What they count.
    pub noun: &'static str,
}

/// How it is swept.
#[derive(Debug, Clone, Copy)]
pub struct Way<'a> {
    /// Only tests whose `package::binary` name contains this.
    pub filter: Option<&'a str>,
    /// How far.
    pub effort: Effort,
    /// Told to the tests by their environment besides.
    pub environment: &'a [(&'static str, PathBuf)],
}

impl Sweep {
    /// Runs the tests; true when no promise was broken.
    ///
    /// # Errors
    ///
    /// When there is no such test, or one does not build.
    pub fn run(self, layout: &Layout, way: Way<'_>) -> Result<bool> {
        let word = self.word;
        let wanted = self.wanted(tests(&layout.root, self.prefix)?, way.filter)?;
        let mut binaries = Vec::new();
        for (package, test) in wanted {
            println!("{word}: building {package}::{test}");
            let targets = Targets::Named(test);
            binaries.extend(binaries::build(layout, self.mode, &package, &targets)?);
        }
        let total = self.run_all(layout, &binaries, way)?;
        let Counted {
            counted,
            violations,
        } = total;
        println!("{word}: {counted} {}, {violations} violations", self.noun);
        Ok(counted > 0 && violations == 0)
    }

    fn wanted(
        self,
        tests: Vec<(String, String)>,
        filter: Option<&str>,
    ) -> Result<Vec<(String, String)>> {
        let is_wanted = |(package, test): &(String, String)| {
            filter.is_none_or(|filter| format!("{package}::{test}").contains(filter))
        };
        let wanted: Vec<_> = tests.into_iter().filter(is_wanted).collect();
        if wanted.is_empty() {
            let what = format!("there is no test tests/{}*.rs of such a name", self.prefix);
            return Err(Error::new(what));
        }
        Ok(wanted)
    }

    fn run_all(self, layout: &Layout, binaries: &[Binary], way: Way<'_>) -> Result<Counted> {
        let (mut jobs, mut owners) = (Vec::new(), BTreeMap::new());
        let mut counted: BTreeMap<&str, u64> = BTreeMap::new();
        for binary in binaries {
            if counted.insert(&binary.name, 0).is_some() {
                let what = format!("two packages have a test file {}", binary.name);
                return Err(Error::new(what));
            }
            for test in binaries::list(binary)? {
                let mut job = binaries::job(binary, &test, self.mode, way.effort);
                job.command.envs(way.environment.iter().cloned());
                owners.insert(job.name.clone(), &*binary.name);
                jobs.push(job);
            }
        }
        let mut total = Counted::default();
        let scratch = layout.target.join("xtask");
        child::run_all(jobs, self.mode.width(), &scratch, |ended| {
            let figures = self.judge(ended);
            total.add(figures);
            if let Some(counted) = owners.get(&ended.name).and_then(|of| counted.get_mut(of)) {
                *counted += figures.counted;
            }
            print!("{}", self.describe(ended, figures));
        })?;
        for (name, _) in counted.iter().filter(|(_, counted)| **counted == 0) {
            println!("{}: {name} printed no figures", self.word);
            total.violations += 1;
        }
        Ok(total)
    }

    fn describe(self, ended: &Ended, figures: Counted) -> String {
        let Counted {
            counted,
            violations,
        } = figures;
        let (seconds, name, noun) = (ended.elapsed.as_secs_f64(), &ended.name, self.noun);
        let line =
            format!("{seconds:>7.1} s  {name} … {counted} {noun}, {violations} violations\n");
        if violations == 0 {
            line
        } else {
            line + &Tail::of(&ended.output, SHOWN_LINES).to_string()
        }
    }

    fn judge(self, ended: &Ended) -> Counted {
        let mut total = Counted::default();
        let lines = ended.output.lines();
        for one in lines.filter_map(|line| Counted::parse(line, self.word, self.noun)) {
            total.add(one);
        }
        let failed = ended.verdict != Verdict::Passed;
        if failed && total.violations == 0 {
            total.violations += 1;
        }
        total
    }
}

/// The tests below `root` whose files' names begin so, as package and test target.
fn tests(root: &Path, prefix: &str) -> Result<Vec<(String, String)>> {
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
                .filter(|test| test.starts_with(prefix));
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SWEEP: Sweep = Sweep {
        mode: Mode::Crash,
        prefix: "crash_",
        word: "crash",
        noun: "states",
    };

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
        let figures = SWEEP.judge(&ended(Verdict::Passed, output));
        assert_eq!(
            figures,
            Counted {
                counted: 15,
                violations: 0
            }
        );
    }

    #[test]
    fn failure_and_hang_are_violations() {
        let output = "crash: 10 states, 0 violations\n";
        assert_eq!(SWEEP.judge(&ended(Verdict::Failed, output)).violations, 1);
        assert_eq!(SWEEP.judge(&ended(Verdict::Hung, output)).violations, 1);
        assert_eq!(SWEEP.judge(&ended(Verdict::Passed, output)).violations, 0);
    }

    #[test]
    fn tests_are_found_by_name() {
        let root = std::env::temp_dir().join(format!("xtask-sweep-{}", std::process::id()));
        fs::create_dir_all(root.join("wal/tests")).unwrap();
        fs::write(
            root.join("wal/Cargo.toml"),
            "[package]\nname = \"vellum-wal\"\n",
        )
        .unwrap();
        fs::write(root.join("wal/tests/crash_sweep.rs"), "").unwrap();
        fs::write(root.join("wal/tests/format.rs"), "").unwrap();
        let found = tests(&root, "crash_").unwrap();
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(found, [("vellum-wal".to_owned(), "crash_sweep".to_owned())]);
    }
}
