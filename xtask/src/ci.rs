//! `cargo xtask ci`: everything that continuous integration runs, timed.
//!
//! 1. Every step runs, whatever failed before it: one run tells all there is to mend.
//! 2. A step that this machine cannot run (a toolchain or a target that cannot be fetched) is skipped
//!    with a printed reason. Only the steps that say so in `steps` may be; all else is a failure.
//! 3. There is one deadline for all steps: what has not ended by then has failed.
//! 4. What a step prints is passed on as it comes; the last lines of each step that failed are said
//!    again below the table: a record of the run may keep only its last part.

mod steps;
mod stream;

use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::cli::CiOptions;
use crate::error::{Context, Error, Result};
use crate::figures::Tally;
use crate::layout::Layout;
use crate::tail::Tail;
use steps::{Run, Step};
use stream::Stream;

const DEADLINE: Duration = Duration::from_secs(38 * 60);
const POLL: Duration = Duration::from_millis(50);
/// Of a failed step, said again.
const SHOWN_LINES: usize = 40;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    Late,
    Skipped(String),
}

/// A step that has ended.
#[derive(Debug)]
struct Done {
    name: &'static str,
    outcome: Outcome,
    elapsed: Duration,
    tail: Tail,
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
        let left = DEADLINE.saturating_sub(since.elapsed());
        results.push(done(layout, step, left, io::stdout())?);
    }
    let tally = tally(&results);
    let table = table(&results, since.elapsed());
    println!("\n{table}\n{}{tally}", failures(&results));
    Ok(tally.is_success())
}

/// Runs a step, its output passed on `to`.
fn done(layout: &Layout, step: &Step, left: Duration, to: impl Write) -> Result<Done> {
    let begun = Instant::now();
    let mut stream = Stream::new(&layout.target.join("xtask"), to, SHOWN_LINES)?;
    let outcome = run_step(layout, step, left, &mut stream)?;
    Ok(Done {
        name: step.name,
        outcome,
        elapsed: begun.elapsed(),
        tail: stream.into_tail(),
    })
}

fn run_step(
    layout: &Layout,
    step: &Step,
    left: Duration,
    stream: &mut Stream<impl Write>,
) -> Result<Outcome> {
    let since = Instant::now();
    if let Some(need) = &step.need
        && run_command(&mut command(layout, need)?, left, stream)? != Some(true)
    {
        let why = step.otherwise.to_owned();
        stream.say(&format!("skipped: {why}"))?;
        return Ok(Outcome::Skipped(why));
    }
    for run in &step.runs {
        let left = left.saturating_sub(since.elapsed());
        match run_command(&mut command(layout, run)?, left, stream)? {
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
fn run_command(
    command: &mut Command,
    left: Duration,
    stream: &mut Stream<impl Write>,
) -> Result<Option<bool>> {
    if left.is_zero() {
        return Ok(None);
    }
    let since = Instant::now();
    stream.attach(command)?;
    let mut child = match command.stdin(Stdio::null()).spawn() {
        Ok(child) => child,
        Err(error) => {
            let program = command.get_program().to_string_lossy();
            stream.say(&format!("cannot start {program}: {error}"))?;
            return Ok(Some(false));
        }
    };
    loop {
        let status = child
            .try_wait()
            .during(|| "cannot wait for a step".into())?;
        // Only then: what it has printed before it ended is there by now.
        stream.pass_on()?;
        if let Some(status) = status {
            return Ok(Some(status.success()));
        }
        if since.elapsed() >= left {
            // It may have ended by itself in between; either way it is waited for.
            let _ = child.kill();
            child.wait().during(|| "cannot wait for a step".into())?;
            stream.pass_on()?;
            return Ok(None);
        }
        thread::park_timeout(POLL);
    }
}

fn tally(results: &[Done]) -> Tally {
    let mut tally = Tally::default();
    for done in results {
        match &done.outcome {
            Outcome::Passed => tally.count(true),
            Outcome::Failed | Outcome::Late => tally.count(false),
            Outcome::Skipped(_) => {}
        }
    }
    tally
}

fn table(results: &[Done], all: Duration) -> String {
    let mut text = String::new();
    for done in results {
        let (name, seconds) = (done.name, done.elapsed.as_secs_f64());
        let outcome = done.outcome.describe();
        text.push_str(&format!("{name:<10} {seconds:>7.1} s  {outcome}\n"));
    }
    text.push_str(&format!("{:<10} {:>7.1} s", "all", all.as_secs_f64()));
    text
}

/// The last lines of every step that failed, each below its name.
fn failures(results: &[Done]) -> String {
    let mut text = String::new();
    for done in results {
        if let Outcome::Failed | Outcome::Late = done.outcome {
            let (name, outcome) = (done.name, done.outcome.describe());
            text.push_str(&format!("\n{name}: {outcome}\n{}\n", done.tail));
        }
    }
    text
}

impl Outcome {
    fn describe(&self) -> &str {
        match self {
            Self::Passed => "ok",
            Self::Failed => "FAILED",
            Self::Late => "FAILED: out of time",
            Self::Skipped(why) => why,
        }
    }
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

    /// What became of a step, and what was passed on of its output; each test in its own place.
    fn done(place: &str, need: Option<&str>, scripts: &[&str], left: Duration) -> (Done, String) {
        let name = format!("xtask-ci-{place}-{}", std::process::id());
        let root = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&root).unwrap();
        let layout = Layout {
            target: root.join("target"),
            root: root.clone(),
        };
        let step = Step {
            name: "step",
            runs: scripts.iter().map(|script| shell(script)).collect(),
            need: need.map(shell),
            otherwise: "not here",
        };
        let mut seen = Vec::new();
        let done = super::done(&layout, &step, left, &mut seen).unwrap();
        std::fs::remove_dir_all(root).unwrap();
        (done, String::from_utf8(seen).unwrap())
    }

    fn outcome(place: &str, need: Option<&str>, scripts: &[&str], left: Duration) -> Outcome {
        done(place, need, scripts, left).0.outcome
    }

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn a_step_passes_when_all_its_commands_do() {
        let outcome = |scripts: &[&str]| outcome("passes", None, scripts, LONG);
        assert_eq!(outcome(&["true", "true"]), Outcome::Passed);
        assert_eq!(outcome(&["true", "exit 3"]), Outcome::Failed);
    }

    #[test]
    fn only_a_missing_need_skips() {
        let outcome = |need| outcome("skips", Some(need), &["false"], LONG);
        assert_eq!(outcome("false"), Outcome::Skipped("not here".into()));
        assert_eq!(outcome("true"), Outcome::Failed);
    }

    #[test]
    fn the_deadline_fails_what_runs_and_what_waits() {
        let outcome = |script, left| outcome("late", None, &[script], left);
        let soon = Duration::from_millis(50);
        assert_eq!(outcome("exec sleep 600", soon), Outcome::Late);
        assert_eq!(outcome("true", Duration::ZERO), Outcome::Late);
    }

    #[test]
    fn what_a_step_leaves_behind_holds_nothing_up() {
        // The sleeper outlives its shell, and holds the shell's output open.
        let (done, seen) = done("orphan", None, &["sleep 600 & echo $!"], LONG);
        let mut kill = Command::new("kill");
        let is_alive = kill.arg(seen.trim()).status().unwrap().success();
        assert!(is_alive, "waited for it");
        assert_eq!(done.outcome, Outcome::Passed);
    }

    #[test]
    fn a_program_that_is_missing_is_named_in_the_steps_output() {
        let mut stream = Stream::new(&std::env::temp_dir(), Vec::new(), 3).unwrap();
        let mut ghost = Command::new("./no-such-program");
        let outcome = run_command(&mut ghost, LONG, &mut stream).unwrap();
        assert_eq!(outcome, Some(false));
        let tail = stream.into_tail().to_string();
        assert!(tail.contains("cannot start ./no-such-program: "), "{tail}");
    }

    fn ended(name: &'static str, outcome: Outcome, output: &str) -> Done {
        Done {
            name,
            outcome,
            elapsed: LONG,
            tail: Tail::of(output, SHOWN_LINES),
        }
    }

    #[test]
    fn skipped_steps_count_for_nothing_and_are_in_the_table() {
        let results = [
            ended("a", Outcome::Passed, ""),
            ended("b", Outcome::Late, ""),
            ended("c", Outcome::Skipped("no toolchain".into()), ""),
        ];
        let (passed, failed) = (1, 1);
        assert_eq!(tally(&results), Tally { passed, failed });
        assert!(table(&results, LONG).contains("no toolchain"));
    }

    #[test]
    fn failed_steps_and_no_others_are_said_again_below_their_names() {
        let results = [
            ended("good", Outcome::Passed, "well"),
            ended("bad", Outcome::Failed, "the reason"),
            ended("slow", Outcome::Late, "so far"),
            ended("other", Outcome::Skipped("not here".into()), "no tool"),
        ];
        assert_eq!(
            failures(&results),
            "\nbad: FAILED\n    the reason\n\n\nslow: FAILED: out of time\n    so far\n\n"
        );
        assert_eq!(failures(&results[..1]), "");
    }

    #[test]
    fn a_step_passes_on_everything_and_keeps_its_end() {
        let first = "i=0; while [ $i -lt 50 ]; do i=$((i+1)); echo $i; done";
        let (done, seen) = done("keeps", None, &[first, "echo why >&2; exit 1"], LONG);
        assert_eq!(seen.lines().count(), 51);
        let tail = done.tail.to_string();
        assert!(
            tail.starts_with("    … 11 lines before\n    12\n"),
            "{tail}"
        );
        assert!(tail.ends_with("    50\n    why\n"), "{tail}");
    }
}
