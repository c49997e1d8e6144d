//! `cargo xtask ci`: everything that continuous integration runs, timed.
//!
//! 1. Every step runs, whatever failed before it: one run tells all there is to mend.
//! 2. A step that this machine cannot run (a toolchain or a target that cannot be fetched) is skipped
//!    with a printed reason. Only the steps that say so in `steps` may be; all else is a failure.
//! 3. There is one deadline for all steps: what has not ended by then has failed.

mod steps;

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::cli::CiOptions;
use crate::error::{Context, Error, Result};
use crate::figures::Tally;
use crate::layout::Layout;
use steps::{Run, Step};

const DEADLINE: Duration = Duration::from_secs(38 * 60);
const POLL: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    Late,
    Skipped(String),
}

/// Runs the command; true when no step failed.
///
/// # Errors
///
/// When no step has the name asked for, or this program cannot find itself.
pub fn run(layout: &Layout, options: &CiOptions) -> Result<bool> {
    let mut steps = steps::all();
    if let Some(filter) = &options.filter {
        steps.retain(|step| step.name.contains(filter.as_str()));
    }
    if steps.is_empty() {
        return Err(Error::new("no step has such a name"));
    }
    if options.list {
        for step in &steps {
            println!("{:<10} {}", step.name, step.describe());
        }
        return Ok(true);
    }
    let since = Instant::now();
    let mut results = Vec::new();
    for step in &steps {
        println!("\n==> {}: {}", step.name, step.describe());
        let begun = Instant::now();
        let outcome = run_step(layout, step, DEADLINE.saturating_sub(since.elapsed()))?;
        results.push((step.name, outcome, begun.elapsed()));
    }
    let tally = tally(&results);
    println!("\n{}\n{tally}", table(&results, since.elapsed()));
    Ok(tally.is_success())
}

fn run_step(layout: &Layout, step: &Step, left: Duration) -> Result<Outcome> {
    let since = Instant::now();
    if let Some(need) = &step.need
        && !run_command(&mut command(layout, need)?, left)?.is_some_and(|success| success)
    {
        let why = step.otherwise.to_owned();
        println!("skipped: {why}");
        return Ok(Outcome::Skipped(why));
    }
    for run in &step.runs {
        let left = left.saturating_sub(since.elapsed());
        match run_command(&mut command(layout, run)?, left)? {
            Some(true) => {}
            Some(false) => return Ok(Outcome::Failed),
            None => return Ok(Outcome::Late),
        }
    }
    Ok(Outcome::Passed)
}

fn command(layout: &Layout, run: &Run) -> Result<Command> {
    let mut command = match run.program {
        "cargo" => layout.cargo(&layout.target.join(run.target)),
        // Not this very file: the step `test` builds the program again, in its place.
        "xtask" => {
            let mut command = layout.cargo(&layout.target);
            command.args(["run", "--quiet", "--locked", "--package", "xtask", "--"]);
            command
        }
        program => {
            let mut command = Command::new(program);
            command.current_dir(&layout.root);
            command.env("CARGO_TARGET_DIR", layout.target.join(run.target));
            // rustup sets these for the toolchain that started us; another one is asked for here.
            command
                .env_remove("RUSTUP_TOOLCHAIN")
                .env_remove("CARGO")
                .env_remove("RUSTC");
            command
        }
    };
    command
        .args(&run.arguments)
        .envs(run.environment.iter().copied());
    Ok(command)
}

/// Whether the command succeeded; nothing when it had to be killed, or could not begin any more.
fn run_command(command: &mut Command, left: Duration) -> Result<Option<bool>> {
    if left.is_zero() {
        return Ok(None);
    }
    let since = Instant::now();
    let spawned = command.stdin(Stdio::null()).spawn();
    let Ok(mut child) = spawned else {
        return Ok(Some(false));
    };
    loop {
        let status = child
            .try_wait()
            .during(|| "cannot wait for a step".into())?;
        if let Some(status) = status {
            return Ok(Some(status.success()));
        }
        if since.elapsed() >= left {
            // It may have ended by itself in between; either way it is waited for.
            let _ = child.kill();
            child.wait().during(|| "cannot wait for a step".into())?;
            return Ok(None);
        }
        thread::park_timeout(POLL);
    }
}

fn tally(results: &[(&str, Outcome, Duration)]) -> Tally {
    let mut tally = Tally::default();
    for (_, outcome, _) in results {
        match outcome {
            Outcome::Passed => tally.count(true),
            Outcome::Failed | Outcome::Late => tally.count(false),
            Outcome::Skipped(_) => {}
        }
    }
    tally
}

fn table(results: &[(&str, Outcome, Duration)], all: Duration) -> String {
    let mut text = String::new();
    for (name, outcome, elapsed) in results {
        let outcome = match outcome {
            Outcome::Passed => "ok",
            Outcome::Failed => "FAILED",
            Outcome::Late => "FAILED: out of time",
            Outcome::Skipped(why) => why,
        };
        text.push_str(&format!(
            "{name:<10} {:>7.1} s  {outcome}\n",
            elapsed.as_secs_f64()
        ));
    }
    text.push_str(&format!("{:<10} {:>7.1} s", "all", all.as_secs_f64()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Run {
        Run {
            program: "sh",
            arguments: vec!["-c".into(), script.into()],
            environment: &[],
            target: "",
        }
    }

    fn layout() -> Layout {
        let root = std::env::temp_dir();
        Layout {
            target: root.clone(),
            root,
        }
    }

    fn outcome(need: Option<&str>, scripts: &[&str], left: Duration) -> Outcome {
        let step = Step {
            name: "step",
            runs: scripts.iter().map(|script| shell(script)).collect(),
            need: need.map(shell),
            otherwise: "not here",
        };
        run_step(&layout(), &step, left).unwrap()
    }

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn a_step_passes_when_all_its_commands_do() {
        assert_eq!(outcome(None, &["true", "true"], LONG), Outcome::Passed);
        assert_eq!(outcome(None, &["true", "exit 3"], LONG), Outcome::Failed);
    }

    #[test]
    fn only_a_missing_need_skips() {
        assert_eq!(
            outcome(Some("false"), &["false"], LONG),
            Outcome::Skipped("not here".into())
        );
        assert_eq!(outcome(Some("true"), &["false"], LONG), Outcome::Failed);
    }

    #[test]
    fn the_deadline_fails_what_runs_and_what_waits() {
        assert_eq!(
            outcome(None, &["exec sleep 600"], Duration::from_millis(50)),
            Outcome::Late
        );
        assert_eq!(outcome(None, &["true"], Duration::ZERO), Outcome::Late);
    }

    #[test]
    fn skipped_steps_count_for_nothing_and_are_in_the_table() {
        let results = [
            ("a", Outcome::Passed, LONG),
            ("b", Outcome::Late, LONG),
            ("c", Outcome::Skipped("no toolchain".into()), LONG),
        ];
        assert_eq!(
            tally(&results),
            Tally {
                passed: 1,
                failed: 1
            }
        );
        assert!(table(&results, LONG).contains("no toolchain"));
    }
}
