//! What may be found, and how it is told.

use std::collections::HashMap;
use std::fmt;

use super::{Op, Order, Outcome, Summary, Transaction};

/// Of each kind so many are told.
const TOLD: usize = 8;
/// Of a long list so many values at its end are told.
const TOLD_VALUES: usize = 6;

/// The kinds of cycles; rule 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Writes alone.
    G0,
    /// Writes, and reads of them.
    G1c,
    /// One read was overtaken.
    GSingle,
    /// Several were, none of them following another.
    GNonadjacent,
    /// Some that follow one another.
    G2Item,
}

impl Class {
    /// The simplest first.
    pub(super) const ALL: [Self; 5] = [
        Self::G0,
        Self::G1c,
        Self::GSingle,
        Self::GNonadjacent,
        Self::G2Item,
    ];
}

/// What is wrong; rules 5 and 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A transaction's reads contradict what it did before.
    Internal,
    /// It read what it appended only later.
    FutureRead,
    /// A value that nobody appended.
    GarbageRead,
    /// A value was appended twice to one list: the workload's fault.
    DuplicateAppend,
    /// A value is twice in a list.
    DuplicateElement,
    /// Of two lists read of a key none is the other's beginning.
    IncompatibleOrder,
    /// G1a: a value of a transaction that was rolled back.
    G1a,
    /// G1b: a list whose last value its writer followed with another.
    G1b,
    /// An append upon one that was rolled back.
    DirtyUpdate,
    /// Two read the same version, and both appended to it.
    LostUpdate,
    /// A cycle of dependencies, and the orders that it needs.
    Cycle(Class, Order),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Cycle(class, order) = self else {
            return f.write_str(match self {
                Self::Internal => "internal",
                Self::FutureRead => "future-read",
                Self::GarbageRead => "garbage-read",
                Self::DuplicateAppend => "duplicate-appends",
                Self::DuplicateElement => "duplicate-elements",
                Self::IncompatibleOrder => "incompatible-order",
                Self::G1a => "G1a",
                Self::G1b => "G1b",
                Self::DirtyUpdate => "dirty-update",
                Self::LostUpdate | Self::Cycle(..) => "lost-update",
            });
        };
        f.write_str(match class {
            Class::G0 => "G0",
            Class::G1c => "G1c",
            Class::GSingle => "G-single",
            Class::GNonadjacent => "G-nonadjacent",
            Class::G2Item => "G2-item",
        })?;
        f.write_str(match order {
            Order::Free => "",
            Order::Process => "-process",
            Order::RealTime => "-realtime",
        })
    }
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// What is wrong.
    pub kind: Kind,
    /// Whose: indexes into the history; of a cycle, in its order.
    pub transactions: Vec<usize>,
    /// What shows it, a line for each step.
    pub what: Vec<String>,
    /// The transactions, a line for each.
    pub told: Vec<String>,
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.kind)?;
        for line in self.what.iter().chain(&self.told) {
            write!(f, "\n    {line}")?;
        }
        Ok(())
    }
}

/// What was found so far.
#[derive(Default)]
pub(super) struct Findings {
    anomalies: Vec<Anomaly>,
    counts: HashMap<Kind, usize>,
}

impl Findings {
    /// Whether another of this kind is told.
    pub(super) fn wants(&self, kind: Kind) -> bool {
        self.counts.get(&kind).is_none_or(|count| *count < TOLD)
    }

    pub(super) fn add(
        &mut self,
        history: &[Transaction],
        kind: Kind,
        transactions: &[usize],
        what: Vec<String>,
    ) {
        if !self.wants(kind) {
            return;
        }
        *self.counts.entry(kind).or_default() += 1;
        let mut told: Vec<usize> = Vec::new();
        for number in transactions {
            if !told.contains(number) {
                told.push(*number);
            }
        }
        self.anomalies.push(Anomaly {
            kind,
            transactions: transactions.to_vec(),
            what,
            told: told
                .into_iter()
                .map(|number| describe(number, &history[number]))
                .collect(),
        });
    }

    pub(super) fn into_result(self, summary: Summary) -> Result<Summary, Vec<Anomaly>> {
        if self.anomalies.is_empty() {
            Ok(summary)
        } else {
            Err(self.anomalies)
        }
    }
}

fn describe(number: usize, transaction: &Transaction) -> String {
    let ops: Vec<String> = transaction.ops.iter().map(describe_op).collect();
    let outcome = match transaction.outcome {
        Outcome::Ok => "ok",
        Outcome::Fail => "fail",
        Outcome::Info => "info",
    };
    format!(
        "T{number} = process {}, {:?}, ticks {}..{}, {outcome}: {}",
        transaction.process,
        transaction.isolation,
        transaction.began,
        transaction.ended,
        ops.join(", ")
    )
}

fn describe_op(op: &Op) -> String {
    match op {
        Op::Append { key, value } => format!("append {key} {value}"),
        Op::Read { key, list: None } => format!("read {key} ?"),
        Op::Read {
            key,
            list: Some(list),
        } => format!("read {key} {}", describe_list(list)),
    }
}

/// A list, or its end.
pub(super) fn describe_list(list: &[u32]) -> String {
    let hidden = list.len().saturating_sub(TOLD_VALUES);
    let values: Vec<String> = list[hidden..].iter().map(u32::to_string).collect();
    let before = if hidden > 0 {
        format!("… {hidden} more, ")
    } else {
        String::new()
    };
    format!("[{before}{}]", values.join(", "))
}
