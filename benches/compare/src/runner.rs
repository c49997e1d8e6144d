//! Runs engines in turns, each workload in a process of its own.
//!
//! 1. Repeats are the outer loop, engines the innermost: a slow minute of the machine falls on
//!    everybody. The order of the engines is turned by one each time.
//! 2. A child gets an empty directory, which is removed after it, and answers with JSON lines on
//!    its standard output. A child that fails or takes too long costs its own figures only.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::engines::EngineName;
use crate::measure::Sample;
use crate::workloads::{Settings, Workload};

const CHILD_TIME_MAX: Duration = Duration::from_secs(900);

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The engines, in the order of the report.
    pub engines: Vec<EngineName>,
    /// The workloads.
    pub workloads: Vec<Workload>,
    /// How often each.
    pub repeats: usize,
    /// How large and how long.
    pub settings: Settings,
}

/// A sample and whose it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// The engine.
    pub engine: EngineName,
    /// Its result.
    #[serde(flatten)]
    pub sample: Sample,
}

/// Runs the plan with stores below `directory`; `note` hears of progress and failures.
pub fn run(plan: &Plan, directory: &Path, note: &mut dyn FnMut(&str)) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for repeat in 0..plan.repeats {
        for &workload in &plan.workloads {
            for turn in 0..plan.engines.len() {
                let engine = plan.engines[(turn + repeat) % plan.engines.len()];
                if !workload.concerns(engine) {
                    continue;
                }
                let start = Instant::now();
                let samples = child(workload, engine, directory, &plan.settings);
                let seconds = start.elapsed().as_secs_f64();
                let which = format!("{} {}", workload.label(), engine.label());
                match samples {
                    Ok(samples) if samples.is_empty() => {
                        note(&format!("left out, for it has no such thing: {which}"));
                    }
                    Ok(samples) => {
                        note(&format!(
                            "{}/{} {which}: {seconds:.1} s",
                            repeat + 1,
                            plan.repeats
                        ));
                        let samples = samples.into_iter();
                        outcomes.extend(samples.map(|sample| Outcome { engine, sample }));
                    }
                    Err(error) => note(&format!("FAILED {which}: {error}")),
                }
            }
        }
    }
    Ok(outcomes)
}

/// One workload on one engine in a process of its own, below `directory`.
pub(crate) fn child(
    workload: Workload,
    engine: EngineName,
    directory: &Path,
    settings: &Settings,
) -> Result<Vec<Sample>> {
    let directory = tempfile::Builder::new()
        .prefix("vellum-compare-")
        .tempdir_in(directory)?;
    let mut process = Command::new(std::env::current_exe()?)
        .args([
            "child",
            "--engine",
            engine.label(),
            "--workload",
            workload.label(),
        ])
        .args(["--records", &settings.records.to_string()])
        .args(["--replay-records", &settings.replay_records.to_string()])
        .args([
            "--seconds",
            &settings.time.as_secs_f64().to_string(),
            "--directory",
        ])
        .arg(directory.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    wait(&mut process)?;
    let (mut output, mut errors) = (String::new(), String::new());
    if let Some(mut pipe) = process.stdout.take() {
        pipe.read_to_string(&mut output)?;
    }
    if let Some(mut pipe) = process.stderr.take() {
        pipe.read_to_string(&mut errors)?;
    }
    let status = process.wait()?;
    if !status.success() {
        return Err(format!("{status}: {}", errors.trim()).into());
    }
    output
        .lines()
        .map(|line| Ok(serde_json::from_str(line)?))
        .collect()
}

/// Waits for the child; its output is small enough for the pipes to hold.
fn wait(process: &mut Child) -> Result<()> {
    let until = Instant::now() + CHILD_TIME_MAX;
    while process.try_wait()?.is_none() {
        if Instant::now() > until {
            process.kill()?;
            process.wait()?;
            return Err(format!("killed after {} s", CHILD_TIME_MAX.as_secs()).into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
