//! `vellum-compare`: runs the workloads and prints the table.
//!
//! ```text
//! cargo run --release                                  # all but RocksDB, some five minutes
//! cargo run --release --features rocksdb               # needs libclang and a C++ compiler
//! cargo run --release -- --engines vellum,lmdb --workloads reads --repeats 5 --json
//! cargo run --release -- --workloads fresh,keys,loads,removals,sustained,larger,space,killed
//! cargo run --release -- --workloads counters,ycsb,held      # transactions against each other
//! ```
//!
//! Run it on a quiet machine and on a device: with busy cores a kernel may wake a waiting sync at
//! its next tick only, and in memory a sync costs nothing. The probes before, after and beside each
//! durable figure tell whether either was so.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use vellum_compare::engines::EngineName;
use vellum_compare::runner::Plan;
use vellum_compare::workloads::{self, End, Settings, Workload};
use vellum_compare::{Result, measure, probe, report, runner};

/// The same workloads over several embedded stores.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    compare: Compare,
}

#[derive(Debug, Args)]
struct Compare {
    /// Engines, in the order of the report; all that were built by default.
    #[arg(long, value_delimiter = ',')]
    engines: Vec<EngineName>,
    /// Workloads; by default those that take little time.
    #[arg(long, value_delimiter = ',')]
    workloads: Vec<Workload>,
    /// How often each engine runs each workload, in turns.
    #[arg(long, default_value_t = 3)]
    repeats: usize,
    /// Where the stores are made: must be on a device, not in memory.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    directory: PathBuf,
    /// Print everything as JSON instead of a table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    size: Size,
}

#[derive(Clone, Debug, Args)]
struct Size {
    /// Records that are read, and the most operations of a measurement.
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// Records in the log that is replayed.
    #[arg(long, default_value_t = 250_000)]
    replay_records: u64,
    /// The length of a measurement.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
}

impl Size {
    fn settings(&self) -> Settings {
        Settings {
            records: self.records,
            replay_records: self.replay_records,
            time: Duration::from_secs_f64(self.seconds),
        }
    }
}

/// What the child processes are asked to do.
#[derive(Debug, Subcommand)]
enum Part {
    /// Runs one workload on one engine and prints samples as JSON lines.
    #[command(hide = true)]
    Child {
        #[arg(long)]
        engine: EngineName,
        #[arg(long)]
        workload: Workload,
        #[arg(long)]
        directory: PathBuf,
        #[command(flatten)]
        size: Size,
    },
    /// Commits records and ends as it is told.
    #[command(hide = true)]
    Fill {
        #[arg(long)]
        engine: EngineName,
        #[arg(long)]
        directory: PathBuf,
        #[arg(long)]
        records: u64,
        /// Records of a transaction.
        #[arg(long, default_value_t = 1)]
        batch: u64,
        #[arg(long, default_value = "killed")]
        end: End,
    },
}

const RESIDENT: &str = "resident KiB";

fn main() -> Result<()> {
    let cli = Cli::parse();
    match cli.part {
        None => compare(cli.compare),
        Some(Part::Child {
            engine,
            workload,
            directory,
            size,
        }) => {
            for sample in workloads::run(workload, engine, &directory, &size.settings())? {
                // One from a further process has that one's.
                let sample = match sample.extra.contains_key(RESIDENT) {
                    true => sample,
                    false => sample.with(RESIDENT, measure::resident_kib_max()? as f64),
                };
                println!("{}", serde_json::to_string(&sample)?);
            }
            Ok(())
        }
        Some(Part::Fill {
            engine,
            directory,
            records,
            batch,
            end,
        }) => workloads::fill(engine, &directory, records, batch, end),
    }
}

fn compare(arguments: Compare) -> Result<()> {
    let plan = Plan {
        engines: or_all(arguments.engines, EngineName::value_variants()),
        workloads: or_all(arguments.workloads, &Workload::DEFAULT),
        repeats: arguments.repeats,
        settings: arguments.size.settings(),
    };
    let directory = &arguments.directory;
    let before = probes(directory)?;
    let outcomes = runner::run(&plan, directory, &mut |line| eprintln!("{line}"))?;
    let after = probes(directory)?;
    let lines = report::lines(&outcomes, &plan.engines);
    let mut output = std::io::stdout().lock();
    if arguments.json {
        let whole = serde_json::json!({
            "before": before, "after": after, "lines": lines, "outcomes": outcomes,
        });
        writeln!(output, "{whole:#}")?;
    } else {
        write!(
            output,
            "before: {before}\nafter:  {after}\n\n{}\n{}",
            report::table(&lines),
            report::plots(&lines)
        )?;
    }
    Ok(())
}

fn or_all<T: Copy>(chosen: Vec<T>, all: &[T]) -> Vec<T> {
    if chosen.is_empty() {
        all.to_vec()
    } else {
        chosen
    }
}

fn probes(directory: &std::path::Path) -> Result<String> {
    let machine = probe::machine(directory)?;
    let syncs = probe::sync_rate(directory, Duration::from_millis(500))?;
    let miss = probe::miss_nanoseconds();
    Ok(format!(
        "{machine}; 4 KiB synchronous overwrites {syncs:.0}/s; cache miss {miss:.0} ns"
    ))
}
