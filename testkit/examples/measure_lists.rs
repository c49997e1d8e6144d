//! How long a check of lists takes, and how much memory: `measure_lists [transactions] [at once]`.
//!
//! The history is that of a store which does one transaction after the other, each in the midst of an interval in
//! which as many are under way as is said.

#![expect(clippy::panic, reason = "a figure is only given of what is right")]

use std::collections::HashMap;
use std::time::Instant;

use vellum_testkit::Random;
use vellum_testkit::lists::{Isolation, Op, Order, Outcome, Transaction, Workload, check};

fn history(transactions: u64, at_once: u64) -> Vec<Transaction> {
    let workload = Workload::new(64, 64);
    let mut random = Random::new(1);
    let mut store: HashMap<u32, Vec<u32>> = HashMap::new();
    let one = |number: u64| {
        let only_reads = random.one_in(4);
        let mut ops = workload.ops(&mut random, only_reads);
        for op in &mut ops {
            match op {
                Op::Append { key, value } => store.entry(*key).or_default().push(*value),
                Op::Read { key, list } => {
                    *list = Some(store.get(key).cloned().unwrap_or_default());
                }
            }
        }
        Transaction {
            process: (number % at_once) as u32,
            isolation: Isolation::Serializable,
            outcome: Outcome::Ok,
            began: 2 * number,
            ended: 2 * (number + at_once) - 1,
            ops,
        }
    };
    (0..transactions).map(one).collect()
}

/// The most memory that this process has had, and what it has now, in bytes.
fn memory() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        number.unwrap_or(0) << 10
    };
    (field("VmHWM:"), field("VmRSS:"))
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |otherwise| {
        let given = arguments.next().and_then(|given| given.parse().ok());
        given.unwrap_or(otherwise)
    };
    let (transactions, at_once) = (number(1_000_000), number(16));
    let history = history(transactions, at_once.max(1));
    let (_, before) = memory();
    let since = Instant::now();
    let checked = check(&history, Order::RealTime);
    let seconds = since.elapsed().as_secs_f64();
    let summary = checked.unwrap_or_else(|anomalies| panic!("{}", anomalies[0]));
    let (most, _) = memory();
    println!(
        "{} transactions, {} reads, {} edges: {seconds:.2} s; history {} MB, check {} MB more",
        summary.transactions,
        summary.reads,
        summary.edges,
        before >> 20,
        most.saturating_sub(before) >> 20
    );
}
