//! What is wrong without a cycle: rule 6, but for what shows while the orders are made.

use super::anomaly::{Findings, describe_list};
use super::versions::{Append, Observed, Versions};
use super::{Kind, Op, Outcome, Transaction};

/// Finds it; returns transactions whose cycles it explains: of lost updates, and of reads of what its
/// writer was not done with.
pub(super) fn check(versions: &Versions<'_>, findings: &mut Findings) -> Vec<usize> {
    for (number, transaction) in versions.history.iter().enumerate() {
        if versions.committed[number] {
            check_itself(versions.history, number, transaction, findings);
        }
    }
    check_own_order(versions, findings);
    let mut explained = check_reads(versions, findings);
    check_dirty_updates(versions, findings);
    explained.extend(check_lost_updates(versions, findings));
    explained
}

/// What a transaction knows of a list.
enum Known<'a> {
    /// What it read, and what it appended to that.
    Whole(&'a [u32], Vec<u32>),
    /// What it appended to what it did not read.
    End(Vec<u32>),
}

impl Known<'_> {
    fn agrees(&self, list: &[u32]) -> bool {
        match self {
            Self::Whole(read, own) => list.strip_prefix(*read) == Some(own),
            Self::End(own) => list.ends_with(own),
        }
    }
}

/// A transaction's reads agree with what it read and appended before.
fn check_itself(
    history: &[Transaction],
    number: usize,
    transaction: &Transaction,
    findings: &mut Findings,
) {
    let mut known: Vec<(u32, Known<'_>)> = Vec::new();
    for op in &transaction.ops {
        match op {
            Op::Append { key, value } => match known.iter_mut().find(|(name, _)| name == key) {
                Some((_, Known::Whole(_, own) | Known::End(own))) => own.push(*value),
                None => known.push((*key, Known::End(vec![*value]))),
            },
            Op::Read { list: None, .. } => {}
            Op::Read {
                key,
                list: Some(list),
            } => {
                let fresh = Known::Whole(list, Vec::new());
                match known.iter_mut().find(|(name, _)| name == key) {
                    Some((_, before)) => {
                        if !before.agrees(list) {
                            let what = format!(
                                "list {key} is {}, against what the transaction did before",
                                describe_list(list)
                            );
                            findings.add(history, Kind::Internal, &[number], vec![what]);
                        }
                        *before = fresh;
                    }
                    None => known.push((*key, fresh)),
                }
            }
        }
    }
}

/// What a transaction appends to a list stands there in the order in which it did so.
fn check_own_order(versions: &Versions<'_>, findings: &mut Findings) {
    let mut own: Vec<&Append> = Vec::new();
    for append in &versions.appends {
        own.retain(|earlier| earlier.transaction == append.transaction);
        let mut earlier = own.iter().filter(|earlier| earlier.key == append.key);
        // What is in no list stands behind the others, so neither may it come first.
        let wrong = earlier.find(|earlier| earlier.place > append.place);
        if let Some(earlier) = wrong.filter(|_| versions.committed[append.transaction as usize]) {
            let what = format!(
                "list {} has not {} before {}, as they were appended",
                versions.keys[append.key as usize].name, earlier.value, append.value
            );
            let whose = [append.transaction as usize];
            findings.add(
                versions.history,
                Kind::IncompatibleOrder,
                &whose,
                vec![what],
            );
        }
        own.push(append);
    }
}

/// G1a, G1b, and reads of what comes only later.
fn check_reads(versions: &Versions<'_>, findings: &mut Findings) -> Vec<usize> {
    let mut explained = Vec::new();
    let rolled_back: Vec<Option<usize>> = (0..versions.keys.len() as u32)
        .map(|key| first_rolled_back(versions, key))
        .collect();
    for read in &versions.observed {
        let first = rolled_back[read.key as usize];
        if versions.is_version(read.key, read.list) {
            if let Some(place) = first.filter(|place| *place < read.list.len()) {
                report_rolled_back(versions, read, read.list[place], findings);
            }
        } else {
            let values = read.list.iter();
            let bad = values.copied().find(|value| {
                let append = versions.append(read.key, *value);
                append.is_some_and(|append| is_rolled_back(versions, append.transaction))
            });
            if let Some(value) = bad {
                report_rolled_back(versions, read, value, findings);
            }
        }
        explained.extend(check_last(versions, read, findings).into_iter().flatten());
    }
    explained
}

fn is_rolled_back(versions: &Versions<'_>, transaction: u32) -> bool {
    versions.history[transaction as usize].outcome == Outcome::Fail
}

fn first_rolled_back(versions: &Versions<'_>, key: u32) -> Option<usize> {
    let appends = &versions.keys[key as usize].appends;
    appends.iter().position(|append| {
        let append = versions.appends.get(*append as usize);
        append.is_some_and(|append| is_rolled_back(versions, append.transaction))
    })
}

fn report_rolled_back(
    versions: &Versions<'_>,
    read: &Observed<'_>,
    value: u32,
    findings: &mut Findings,
) {
    let Some(append) = versions.append(read.key, value) else {
        return;
    };
    let (writer, reader) = (append.transaction, read.transaction);
    let name = versions.keys[read.key as usize].name;
    let what = format!("T{reader} read {value} of list {name}; T{writer} was rolled back");
    let whose = [writer as usize, reader as usize];
    findings.add(versions.history, Kind::G1a, &whose, vec![what]);
}

fn check_last(
    versions: &Versions<'_>,
    read: &Observed<'_>,
    findings: &mut Findings,
) -> Option<[usize; 2]> {
    let last = read.list.last().filter(|_| read.is_first)?;
    let append = versions.append(read.key, *last)?;
    let name = versions.keys[read.key as usize].name;
    let (writer, reader, value) = (append.transaction, read.transaction, append.value);
    let (kind, what) = if writer == reader {
        let what = format!("T{reader} read {value} of list {name} before it appended that");
        (Kind::FutureRead, what)
    } else if !append.is_final {
        let what = format!("T{reader} read {value} of list {name}; T{writer} appended more");
        (Kind::G1b, what)
    } else {
        return None;
    };
    let whose = [writer as usize, reader as usize];
    findings.add(versions.history, kind, &whose, vec![what]);
    Some(whose)
}

fn check_dirty_updates(versions: &Versions<'_>, findings: &mut Findings) {
    for key in &versions.keys {
        for pair in key.appends.windows(2) {
            let [Some(earlier), Some(later)] = [pair[0], pair[1]].map(|append| {
                let append = versions.appends.get(append as usize)?;
                Some((append.transaction, append.value))
            }) else {
                continue;
            };
            if is_rolled_back(versions, earlier.0) && versions.committed[later.0 as usize] {
                let what = format!(
                    "list {}: T{} appended {} upon {} of T{}, which was rolled back",
                    key.name, later.0, later.1, earlier.1, earlier.0
                );
                let whose = [earlier.0 as usize, later.0 as usize];
                findings.add(versions.history, Kind::DirtyUpdate, &whose, vec![what]);
            }
        }
    }
}

fn check_lost_updates(versions: &Versions<'_>, findings: &mut Findings) -> Vec<usize> {
    let mut updates: Vec<(u32, u32, u32)> = Vec::new();
    for read in &versions.observed {
        let name = versions.keys[read.key as usize].name;
        let reader = &versions.history[read.transaction as usize];
        let appends = |op: &Op| matches!(op, Op::Append { key, .. } if *key == name);
        if read.is_first
            && versions.is_version(read.key, read.list)
            && reader.ops.iter().any(appends)
        {
            updates.push((read.key, read.list.len() as u32, read.transaction));
        }
    }
    updates.sort_unstable();
    let mut losers = Vec::new();
    for pair in updates.windows(2) {
        let [(key, length, one), (other_key, other_length, other)] = [pair[0], pair[1]];
        if (key, length) != (other_key, other_length) || one == other {
            continue;
        }
        let key = &versions.keys[key as usize];
        let list = describe_list(&key.order[..length as usize]);
        let what = format!(
            "T{one} and T{other} read list {} as {list}, and both appended to it",
            key.name
        );
        let whose = [one as usize, other as usize];
        findings.add(versions.history, Kind::LostUpdate, &whose, vec![what]);
        losers.extend(whose);
    }
    losers
}
