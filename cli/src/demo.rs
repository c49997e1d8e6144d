//! `vellum demo`: the main promises, shown on real data.
//!
//! Rules:
//!
//! 1. What is claimed is checked, each check is printed, and a failed one is a failure of the
//!    command.
//! 2. Whatever speed the machine has, the proofs are the same: the loader cannot outrun its killer,
//!    each package is overwritten, each query is asked.
//! 3. The store is in a fresh directory, which is removed at the end unless the user named it.

mod ask;
mod examine;
mod kill;
mod live;
mod load;
mod report;
mod sample;
mod store;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use clap::value_parser;

use crate::failure::{Failure, Result};
use ask::{Asked, ask_all, percentile, recall};
use examine::examine;
use kill::Life;
use load::{Acknowledged, Rate};
use report::{Progress, Report, grouped};
use sample::{ANSWERS_KNOWN, PACKAGES_MAX, Sample};
use store::{BATCH_PACKAGES, DemoStore, batches};

pub(crate) use load::DemoLoad;

/// Queries whose answers are printed: those that read best.
const SHOWN_QUERIES: [usize; 4] = [4, 20, 33, 39];
/// Hits that are printed of each.
const SHOWN_HITS: usize = 4;
/// Characters of a synopsis that are printed.
const SHOWN_SYNOPSIS: usize = 56;

const SURVIVED: &str = "every acknowledged commit survived SIGKILL";
const NO_HALVES: &str = "no commit is there by half";
const COMPLETE: &str = "the load went on where it was killed, and is complete";
const RECALL: &str = "searches find the exact answers";
const UNCHANGED: &str = "a snapshot's searches do not change while writers overwrite it";
const OVERWRITTEN: &str = "a new snapshot sees what was overwritten";

/// Shows what the store does: commits that survive SIGKILL, searches that do not change
///
/// Loads Debian packages with embeddings of their descriptions from several threads of a child
/// process, kills that process in mid-load, several times, opens the database again and checks every
/// commit; then searches a snapshot while writers overwrite everything. Takes some ten seconds.
/// Exit code 1 if anything was not as promised.
#[derive(Args)]
pub(crate) struct Demo {
    /// A new or empty directory for the database, which then is kept [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// How many packages to load
    #[arg(long, value_name = "N", default_value_t = PACKAGES_MAX as u64,
        value_parser = value_parser!(u64).range(200..=PACKAGES_MAX as u64))]
    packages: u64,
    /// How often to kill the loader
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = value_parser!(u32).range(1..=10))]
    kills: u32,
    /// Packages a second that are loaded before the last kill, so that there is something to watch;
    /// 0 for no bound
    #[arg(long, value_name = "N", default_value_t = 800)]
    rate: u32,
}

impl Demo {
    pub(crate) fn run(self) -> Result<()> {
        let sample = Arc::new(Sample::load(self.packages as usize)?);
        let (directory, temporary) = self.directory()?;
        let mut report = Report::new(std::io::stdout());
        let dimension = sample.vectors.dimension();
        report.say("")?;
        report.say(&format!(
            "{} packages of Debian 12: name, section, synopsis, and an embedding of {dimension} \
             dimensions.",
            grouped(sample.packages.len() as u64)
        ))?;
        report.say(&format!(
            "The database is in {}{}.",
            directory.display(),
            if temporary.is_some() {
                ", for as long as this runs"
            } else {
                ""
            }
        ))?;
        let acknowledged = self.load_and_kill(&mut report, &directory, &sample)?;
        let store = finish(&mut report, &directory, &sample, &acknowledged)?;
        search(&mut report, &store, &sample)?;
        store.close()?;
        report.conclude()
    }

    /// Rule 3.
    fn directory(&self) -> Result<(PathBuf, Option<tempfile::TempDir>)> {
        let Some(path) = &self.dir else {
            let place = tempfile::Builder::new().prefix("vellum-demo-").tempdir();
            let place = place.map_err(|error| Failure::io("a temporary directory", &error))?;
            return Ok((place.path().to_owned(), Some(place)));
        };
        let shown = path.display();
        match std::fs::read_dir(path).map(|mut entries| entries.next().is_none()) {
            Ok(true) => {}
            Ok(false) => return Err(Failure::Refused(format!("`{shown}` is not empty"))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Failure::io(format_args!("`{shown}`"), &error)),
        }
        Ok((path.clone(), None))
    }

    /// Loads in child processes that are killed; returns all that they acknowledged.
    fn load_and_kill(
        &self,
        report: &mut Report,
        directory: &Path,
        sample: &Arc<Sample>,
    ) -> Result<Vec<Acknowledged>> {
        report.step("Load in a child process, and kill it")?;
        report.say(&format!(
            "{} writers; a transaction is {BATCH_PACKAGES} packages and a line in a ledger.",
            load::WRITERS
        ))?;
        let open = || DemoStore::open(directory, sample.vectors.dimension());
        let mut store = open()?;
        let mut progress = Progress::new(sample.packages.len());
        let mut acknowledged = Vec::new();
        for kill in 0..self.kills as usize {
            let missing = store.missing(sample)?.len();
            let already = batches(sample) - missing;
            store.close()?;
            let share = (missing / (self.kills as usize - kill + 1)).max(1);
            let life = Life {
                directory,
                packages: sample.packages.len(),
                rate: Rate(self.rate),
                killed_after: share,
                batches: share + share / 2,
            };
            progress.resume();
            let now = life.run(|now| progress.reached((already + now.len()) * BATCH_PACKAGES))?;
            progress.pause();
            acknowledged.extend(now);
            let begun = Instant::now();
            store = open()?;
            report.say(&format!(
                "SIGKILL after {} acknowledged transactions; opened again in {}",
                grouped(acknowledged.len() as u64),
                shown(begun.elapsed())
            ))?;
            prove_survival(report, &store, sample, &acknowledged)?;
        }
        store.close()?;
        Ok(acknowledged)
    }
}

fn prove_survival(
    report: &mut Report,
    store: &DemoStore,
    sample: &Sample,
    acknowledged: &[Acknowledged],
) -> Result<()> {
    let findings = examine(store, sample, acknowledged)?;
    let (promised, lost, torn) = (acknowledged.len(), &findings.lost, &findings.torn);
    let kept = promised - lost.len();
    report.prove(lost.is_empty(), SURVIVED, &format!("{kept} of {promised}"))?;
    let further = (findings.whole + lost.len()).saturating_sub(promised);
    let how = match torn.as_slice() {
        [] => format!(
            "{} whole, of them {further} not yet acknowledged",
            findings.whole
        ),
        torn => format!("of the batches {torn:?} something is missing or wrong"),
    };
    report.prove(torn.is_empty(), NO_HALVES, &how)
}

/// Loads what is missing, as fast as it goes.
fn finish(
    report: &mut Report,
    directory: &Path,
    sample: &Arc<Sample>,
    acknowledged: &[Acknowledged],
) -> Result<DemoStore> {
    report.step("Load the rest")?;
    let store = DemoStore::open(directory, sample.vectors.dimension())?;
    let missing = store.missing(sample)?;
    let begun = Instant::now();
    load::load(
        &store,
        sample,
        &missing,
        Rate(0),
        &(Arc::new(|_| Ok(())) as Arc<load::Report>),
    )?;
    let took = begun.elapsed();
    let rate = missing.len() as f64 / took.as_secs_f64();
    report.say(&format!(
        "{} transactions in {}: {} a second, half of them safe against a power cut, half against \
         a kill",
        missing.len(),
        shown(took),
        grouped(rate as u64)
    ))?;
    let findings = examine(&store, sample, acknowledged)?;
    let expected = batches(sample);
    let holds = findings.whole == expected && findings.lost.is_empty() && findings.torn.is_empty();
    let how = format!(
        "{} of {expected} transactions, each of them whole",
        findings.whole
    );
    report.prove(holds, COMPLETE, &how)?;
    Ok(store)
}

/// Searches a snapshot, alone and beside writers.
fn search(report: &mut Report, store: &DemoStore, sample: &Arc<Sample>) -> Result<()> {
    report.step("Search by meaning, in a snapshot")?;
    let read = store.db.begin_read()?;
    let before = ask_all(store, &read, sample)?;
    for query in SHOWN_QUERIES {
        show(report, sample.queries[query], &before[query])?;
    }
    let mut alone: Vec<_> = before.iter().map(|asked| asked.took).collect();
    let recall = recall(&sample.answers()?, &before);
    report.say("")?;
    report.say(&times("searches", &mut alone))?;
    let how = format!(
        "recall@{ANSWERS_KNOWN} {recall:.3} of {} queries",
        before.len()
    );
    report.prove(recall == 1.0, RECALL, &how)?;

    report.step("The same snapshot, while writers overwrite everything")?;
    let mut live = live::run(store, sample, read, &before)?;
    let rate = live.overwrites as f64 / live.took.as_secs_f64();
    let (overwrites, rate) = (grouped(live.overwrites as u64), grouped(rate as u64));
    let (writers, searchers) = (load::WRITERS, live::SEARCHERS);
    report.say(&format!(
        "{writers} writers overwrote {overwrites} packages, {rate} a second, beside {searchers} \
         searching threads"
    ))?;
    report.say(&times("searches beside them", &mut live.searches))?;
    let count = live.searches.len();
    let how = format!(
        "{} searches, {} of them changed",
        grouped(count as u64),
        live.changed
    );
    report.prove(live.changed == 0 && count > 0, UNCHANGED, &how)?;
    let after = ask_all(store, &store.db.begin_read()?, sample)?;
    let differ = before
        .iter()
        .zip(&after)
        .filter(|(old, new)| old.hits != new.hits)
        .count();
    let how = format!("{differ} of {} answers are others", after.len());
    report.prove(differ == after.len(), OVERWRITTEN, &how)
}

fn show(report: &mut Report, query: &str, asked: &Asked) -> Result<()> {
    report.say("")?;
    report.say(&format!("\"{query}\"   ({})", shown(asked.took)))?;
    for hit in asked.hits.iter().take(SHOWN_HITS) {
        let (section, synopsis) = hit.description.split_once('\t').unwrap_or_default();
        let synopsis: String = synopsis.chars().take(SHOWN_SYNOPSIS).collect();
        let (distance, name) = (hit.distance(), &hit.name);
        report.say(&format!(
            "  {distance:.3}  {name:<26} {section:<10} {synopsis}"
        ))?;
    }
    Ok(())
}

fn times(what: &str, times: &mut [Duration]) -> String {
    let [median, high] = [50, 99].map(|percent| shown(percentile(times, percent)));
    format!(
        "{} {what}: half of them within {median}, 99 % within {high}",
        grouped(times.len() as u64)
    )
}

fn shown(time: Duration) -> String {
    match time.as_micros() {
        micros @ 0..1000 => format!("{micros} µs"),
        _ => format!("{:.1} ms", time.as_secs_f64() * 1e3),
    }
}
