//! Test binaries: built by cargo, listed and run here, one process for each test.
//!
//! loom aborts the whole process when a model deadlocks (it panics while panicking), and keeps state
//! between models of one process: hence a process for each.
//!
//! 1. A package that does not build is an error, never a failed or a caught test.
//! 2. A test runs where cargo would run it: in its package's folder.
//! 3. Builds of mutants are incremental in every mode, whatever environment and profile say of
//!    others: the trees differ in a line or two. Dependencies are not, and models stay as fast.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::child::{self, Job, Verdict};
use crate::error::{Context, Error, Result};
use crate::layout::Layout;
use crate::mode::{Effort, Mode};

const MESSAGES: &str = "--message-format=json-render-diagnostics";

/// Which test binaries of a package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Targets {
    /// The unit tests in the library.
    Library,
    /// One file of `tests/`.
    Named(String),
    /// Every test target of the package.
    All,
}

/// A built test binary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    /// Its target's name.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// The folder of its package.
    pub folder: PathBuf,
}

/// Builds test binaries of `package` in `mode`.
///
/// # Errors
///
/// When cargo fails (its messages go to standard error), or builds no test at all.
pub fn build(layout: &Layout, mode: Mode, package: &str, targets: &Targets) -> Result<Vec<Binary>> {
    let mut command = command(layout, mode, package, targets);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .during(|| format!("cannot run cargo for {package}"))?;
    if !output.status.success() {
        let what = format!("{package} does not build in {} mode", mode.name());
        return Err(Error::new(what));
    }
    let binaries = parse_messages(&String::from_utf8_lossy(&output.stdout));
    if binaries.is_empty() {
        return Err(Error::new(format!(
            "{package} has no tests in {} mode",
            mode.name()
        )));
    }
    Ok(binaries)
}

/// Builds the test binaries of all packages, as users build them; silent: what cargo printed is the error.
///
/// # Errors
///
/// When cargo cannot be started.
pub fn build_all(layout: &Layout) -> Result<std::result::Result<Vec<Binary>, String>> {
    let mut command = layout.cargo(&layout.target);
    command.args(["test", "--workspace", "--no-run", "--quiet"]);
    command.arg(MESSAGES);
    built(layout, command, "build of the workspace")
}

/// As [`build`], silent and under a time limit: whether it built, with what cargo printed.
///
/// # Errors
///
/// When cargo cannot be started.
pub fn try_build(
    layout: &Layout,
    mode: Mode,
    package: &str,
    targets: &Targets,
) -> Result<std::result::Result<Vec<Binary>, String>> {
    let mut command = command(layout, mode, package, targets);
    command.env("CARGO_INCREMENTAL", "1");
    built(layout, command, &format!("build of {package}"))
}

fn built(
    layout: &Layout,
    command: Command,
    name: &str,
) -> Result<std::result::Result<Vec<Binary>, String>> {
    let job = Job {
        name: name.to_owned(),
        command,
        limit: Duration::from_secs(30 * 60),
    };
    let ended = child::run_one(job, &layout.target.join("xtask"))?;
    if ended.verdict == Verdict::Passed {
        return Ok(Ok(parse_messages(&ended.output)));
    }
    let printed = ended.output.lines().filter(|line| !line.starts_with('{'));
    Ok(Err(printed.collect::<Vec<_>>().join("\n")))
}

fn command(layout: &Layout, mode: Mode, package: &str, targets: &Targets) -> Command {
    let mut command = layout.cargo(&mode.target(&layout.target));
    command.args(["test", "--no-run", "--quiet", "--package", package]);
    match targets {
        Targets::Library => command.arg("--lib"),
        Targets::Named(name) => command.args(["--test", name]),
        Targets::All => command.args(["--lib", "--tests"]),
    };
    command.arg(MESSAGES);
    mode.configure(&mut command, package);
    command
}

/// The test binaries in cargo's JSON messages.
#[must_use]
pub fn parse_messages(messages: &str) -> Vec<Binary> {
    messages.lines().filter_map(parse_message).collect()
}

fn parse_message(line: &str) -> Option<Binary> {
    let message: Value = serde_json::from_str(line).ok()?;
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    let program = PathBuf::from(message["executable"].as_str()?);
    let folder = Path::new(message["manifest_path"].as_str()?)
        .parent()?
        .to_path_buf();
    Some(Binary {
        name: message["target"]["name"].as_str()?.to_owned(),
        program,
        folder,
    })
}

/// The names of a binary's tests.
///
/// # Errors
///
/// When the binary cannot list them.
pub fn list(binary: &Binary) -> Result<Vec<String>> {
    let mut command = Command::new(&binary.program);
    command
        .current_dir(&binary.folder)
        .args(["--list", "--format", "terse"]);
    let output = command
        .output()
        .during(|| format!("cannot run {}", binary.program.display()))?;
    if !output.status.success() {
        return Err(Error::new(format!(
            "{} cannot list its tests",
            binary.program.display()
        )));
    }
    Ok(parse_list(&String::from_utf8_lossy(&output.stdout)))
}

/// The test names in a terse listing.
#[must_use]
pub fn parse_list(listing: &str) -> Vec<String> {
    listing
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .map(str::to_owned)
        .collect()
}

/// The program, where cargo would run it (rule 2).
fn program(binary: &Binary, mode: Mode, effort: Effort) -> Command {
    let mut command = Command::new(&binary.program);
    command
        .current_dir(&binary.folder)
        .env("CARGO_MANIFEST_DIR", &binary.folder);
    mode.bound(&mut command, effort);
    command
}

/// A job that runs all tests of `binary`, as users build it, named after its folder and itself.
#[must_use]
pub fn whole(binary: &Binary, effort: Effort) -> Job {
    let mode = Mode::Std;
    let folder = binary.folder.file_name().unwrap_or_default();
    Job {
        name: format!("{}::{}", folder.to_string_lossy(), binary.name),
        command: program(binary, mode, effort),
        // Many tests, beside those of another.
        limit: 2 * mode.limit(effort),
    }
}

/// A job that runs one test of `binary` alone.
#[must_use]
pub fn job(binary: &Binary, test: &str, mode: Mode, effort: Effort) -> Job {
    let mut command = program(binary, mode, effort);
    command.env("RUST_BACKTRACE", "1");
    command.args(["--exact", test, "--test-threads", "1", "--nocapture"]);
    let name = format!("{}::{}::{test}", mode.name(), binary.name);
    Job {
        name,
        command,
        limit: mode.limit(effort),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_test_executables_are_taken_from_cargos_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","manifest_path":"/w/txn/Cargo.toml","target":{"name":"chain"},"profile":{"test":true},"executable":"/t/chain-1"}"#,
            "\n",
            r#"{"reason":"compiler-artifact","manifest_path":"/w/txn/Cargo.toml","target":{"name":"txn"},"profile":{"test":false},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","manifest_path":"/w/x/Cargo.toml","target":{"name":"x"},"profile":{"test":false},"executable":"/t/x"}"#,
            "\nnot json\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        let expected = Binary {
            name: "chain".into(),
            program: "/t/chain-1".into(),
            folder: "/w/txn".into(),
        };
        assert_eq!(parse_messages(messages), [expected]);
    }

    #[test]
    fn benches_are_not_tests() {
        let listing = "chain::one_winner: test\nspeed: benchmark\n\n1 test, 1 benchmark\n";
        assert_eq!(parse_list(listing), ["chain::one_winner"]);
    }

    #[test]
    fn a_test_runs_alone_and_exactly() {
        let binary = Binary {
            name: "chain".into(),
            program: "/t/chain".into(),
            folder: "/w/txn".into(),
        };
        let job = job(&binary, "a::b", Mode::Loom, Effort::Bounded);
        assert_eq!(job.name, "loom::chain::a::b");
        let arguments: Vec<_> = job.command.get_args().collect();
        assert_eq!(arguments[..2], ["--exact", "a::b"]);
        assert_eq!(job.command.get_current_dir(), Some(Path::new("/w/txn")));
    }
}
