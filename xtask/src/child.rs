//! Child processes with a time limit, their output kept in files until they end.
//!
//! 1. A child that exceeds its limit is killed, and that is a failure of its own kind: a hang never
//!    looks like a pass.
//! 2. The child, not this program, decides success: by its exit code alone.
//! 3. Output goes to files, not pipes: a child that writes much never waits for a reader, and no
//!    thread is needed here.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Context, Result};

const POLL: Duration = Duration::from_millis(5);

/// One process to run.
#[derive(Debug)]
pub struct Job {
    /// What to call it in reports.
    pub name: String,
    /// The process.
    pub command: Command,
    /// How long it may take.
    pub limit: Duration,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It exited with code zero.
    Passed,
    /// It exited with another code, or by a signal.
    Failed,
    /// It was killed at its time limit.
    Hung,
}

/// A process that has ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The job's name.
    pub name: String,
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took.
    pub elapsed: Duration,
    /// What it printed, errors behind output.
    pub output: String,
}

struct Running {
    name: String,
    child: Child,
    since: Instant,
    limit: Duration,
    capture: [PathBuf; 2],
}

/// Runs `jobs`, at most `width` at a time, and reports each as it ends, in that order.
///
/// # Errors
///
/// When a process cannot be started or its output not be read.
pub fn run_all(
    jobs: Vec<Job>,
    width: usize,
    scratch: &Path,
    mut report: impl FnMut(&Ended),
) -> Result<Vec<Ended>> {
    fs::create_dir_all(scratch).during(|| format!("cannot create {}", scratch.display()))?;
    let mut waiting = jobs.into_iter().enumerate();
    let mut running: Vec<Running> = Vec::new();
    let mut ended = Vec::new();
    loop {
        while running.len() < width.max(1) {
            let Some((number, job)) = waiting.next() else {
                break;
            };
            running.push(start(job, number, scratch)?);
        }
        if running.is_empty() {
            return Ok(ended);
        }
        let mut still = Vec::new();
        for mut one in running {
            match verdict(&mut one)? {
                Some(verdict) => {
                    let done = finish(one, verdict)?;
                    report(&done);
                    ended.push(done);
                }
                None => still.push(one),
            }
        }
        running = still;
        thread::park_timeout(POLL);
    }
}

/// Runs one job and waits for it.
///
/// # Errors
///
/// As [`run_all`].
pub fn run_one(job: Job, scratch: &Path) -> Result<Ended> {
    let name = job.name.clone();
    let mut all = run_all(vec![job], 1, scratch, |_| ())?;
    all.pop()
        .ok_or(())
        .map_err(|()| crate::error::Error::new(format!("{name} did not run")))
}

fn start(mut job: Job, number: usize, scratch: &Path) -> Result<Running> {
    let place = |end| scratch.join(format!("{}-{number}.{end}", std::process::id()));
    let capture = [place("out"), place("err")];
    let open =
        |path: &Path| File::create(path).during(|| format!("cannot create {}", path.display()));
    job.command
        .stdin(Stdio::null())
        .stdout(Stdio::from(open(&capture[0])?))
        .stderr(Stdio::from(open(&capture[1])?));
    let child = job
        .command
        .spawn()
        .during(|| format!("cannot start {}", job.name))?;
    Ok(Running {
        name: job.name,
        child,
        since: Instant::now(),
        limit: job.limit,
        capture,
    })
}

fn verdict(one: &mut Running) -> Result<Option<Verdict>> {
    let status = one
        .child
        .try_wait()
        .during(|| format!("cannot wait for {}", one.name))?;
    if let Some(status) = status {
        return Ok(Some(judge(status)));
    }
    if one.since.elapsed() < one.limit {
        return Ok(None);
    }
    // It may have ended by itself in between; either way it is waited for.
    let _ = one.child.kill();
    one.child
        .wait()
        .during(|| format!("cannot wait for {}", one.name))?;
    Ok(Some(Verdict::Hung))
}

fn judge(status: ExitStatus) -> Verdict {
    if status.success() {
        Verdict::Passed
    } else {
        Verdict::Failed
    }
}

fn finish(one: Running, verdict: Verdict) -> Result<Ended> {
    let mut output = String::new();
    for path in &one.capture {
        let bytes = fs::read(path).during(|| format!("cannot read {}", path.display()))?;
        output.push_str(&String::from_utf8_lossy(&bytes));
        fs::remove_file(path).during(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(Ended {
        name: one.name,
        verdict,
        elapsed: one.since.elapsed(),
        output,
    })
}

/// A script as a job.
#[cfg(test)]
pub(crate) fn shell(name: &str, script: &str, limit: Duration) -> Job {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    Job {
        name: name.into(),
        command,
        limit,
    }
}

/// More than any script takes.
#[cfg(test)]
pub(crate) const LONG: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("xtask-child-{name}-{}", std::process::id()))
    }

    #[test]
    fn exit_code_decides_and_both_outputs_are_kept() {
        let place = scratch("verdicts");
        let jobs = vec![
            shell("good", "echo out; echo err >&2", LONG),
            shell("bad", "echo all is well; exit 3", LONG),
            shell("signal", "kill -9 $$", LONG),
        ];
        let mut reported = Vec::new();
        let mut ended = run_all(jobs, 2, &place, |one| reported.push(one.name.clone())).unwrap();
        ended.sort_by(|a, b| a.name.cmp(&b.name));
        let verdicts: Vec<Verdict> = ended.iter().map(|one| one.verdict).collect();
        assert_eq!(
            verdicts,
            [Verdict::Failed, Verdict::Passed, Verdict::Failed]
        );
        assert_eq!(ended[1].output, "out\nerr\n");
        assert_eq!(reported.len(), 3);
        assert_eq!(
            fs::read_dir(&place).unwrap().count(),
            0,
            "captured output is removed"
        );
        fs::remove_dir_all(place).unwrap();
    }

    #[test]
    fn a_hang_is_killed_and_is_no_pass() {
        let place = scratch("hang");
        let job = shell("hang", "exec sleep 600", Duration::from_millis(50));
        let ended = run_one(job, &place).unwrap();
        assert_eq!(ended.verdict, Verdict::Hung);
        fs::remove_dir_all(place).unwrap();
    }

    #[test]
    fn a_missing_program_is_an_error_with_the_jobs_name() {
        let job = Job {
            name: "ghost".into(),
            command: Command::new("./no-such-program"),
            limit: LONG,
        };
        let place = scratch("ghost");
        let error = run_one(job, &place).unwrap_err();
        assert!(
            error.to_string().starts_with("cannot start ghost"),
            "{error}"
        );
        fs::remove_dir_all(place).unwrap();
    }
}
