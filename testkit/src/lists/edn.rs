//! A history in the format that Elle reads (`elle.list-append`, and elle-cli's model `list-append`): EDN, a
//! map to a line, so that others can judge as well.
//!
//! 1. A transaction is an `:invoke` and an `:ok`, `:fail` or `:info` of the same process, in the order of
//!    their ticks; `:index` counts the lines, `:time` is the tick.
//! 2. What was read stands in `:ok` alone; elsewhere a read is `nil`.
//! 3. A process of which a transaction ended `:info` is not heard of again: what it does later is another's.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};

use super::{Op, Outcome, Transaction};

/// Writes a history.
///
/// # Errors
/// Those of `out`, and when a process begins a transaction before its last one has ended.
pub fn write_edn(history: &[Transaction], out: &mut impl Write) -> io::Result<()> {
    let mut events: Vec<(u64, bool, usize)> = Vec::new();
    for (number, transaction) in history.iter().enumerate() {
        events.push((transaction.began, false, number));
        events.push((transaction.ended, true, number));
    }
    events.sort_unstable();
    let highest = history.iter().map(|one| one.process).max();
    let mut processes = Processes {
        next: highest.map_or(0, |highest| highest + 1),
        names: HashMap::new(),
        open: HashSet::new(),
    };
    // What has no end stands at the end of all.
    let ends = events.iter().filter(|(tick, ..)| *tick < u64::MAX);
    let after_all = ends.map(|(tick, ..)| tick + 1).max().unwrap_or(0);
    for (index, (tick, is_end, number)) in events.into_iter().enumerate() {
        let transaction = &history[number];
        let kind = match (is_end, transaction.outcome) {
            (false, _) => "invoke",
            (true, Outcome::Ok) => "ok",
            (true, Outcome::Fail) => "fail",
            (true, Outcome::Info) => "info",
        };
        let time = tick.min(after_all);
        let process = processes.name(transaction, kind)?;
        write!(
            out,
            "{{:index {index}, :time {time}, :type :{kind}, :process {process}, :f :txn, :value ["
        )?;
        for (place, op) in transaction.ops.iter().enumerate() {
            if place > 0 {
                out.write_all(b" ")?;
            }
            write_op(op, kind == "ok", out)?;
        }
        out.write_all(b"]}\n")?;
    }
    Ok(())
}

fn write_op(op: &Op, is_known: bool, out: &mut impl Write) -> io::Result<()> {
    match op {
        Op::Append { key, value } => write!(out, "[:append {key} {value}]"),
        Op::Read {
            key,
            list: Some(list),
        } if is_known => {
            write!(out, "[:r {key} [")?;
            for (place, value) in list.iter().enumerate() {
                let space = if place > 0 { " " } else { "" };
                write!(out, "{space}{value}")?;
            }
            out.write_all(b"]]")
        }
        Op::Read { key, .. } => write!(out, "[:r {key} nil]"),
    }
}

/// What the processes are called (rule 3), and which of them are in a transaction.
struct Processes {
    next: u32,
    names: HashMap<u32, u32>,
    open: HashSet<u32>,
}

impl Processes {
    fn name(&mut self, transaction: &Transaction, kind: &str) -> io::Result<u32> {
        let process = transaction.process;
        let name = *self.names.entry(process).or_insert(process);
        if kind == "invoke" {
            if !self.open.insert(process) {
                let what = format!(
                    "process {process} begins a transaction before its last one has ended: give \
                     each thread a process of its own"
                );
                return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
            }
            return Ok(name);
        }
        self.open.remove(&process);
        if kind == "info" {
            self.names.insert(process, self.next);
            self.next += 1;
        }
        Ok(name)
    }
}
