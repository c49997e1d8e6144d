//! Why one transaction comes before another, in words.

use super::anomaly::describe_list;
use super::cycles::Step;
use super::graph::kinds;
use super::versions::{Append, NONE, Versions};

/// The reason for a step of a cycle.
pub(super) fn step(versions: &Versions<'_>, (from, to, kind): Step) -> String {
    let (name, why) = match kind {
        kinds::WW => ("ww", appended_next(versions, from, to)),
        kinds::WR => ("wr", was_read(versions, from, to)),
        kinds::RW => ("rw", was_overtaken(versions, from, to)),
        kinds::PROCESS => {
            let process = versions.history[from as usize].process;
            (
                "process",
                Some(format!("process {process} did one after the other")),
            )
        }
        _ => ("real time", Some(ended_before(versions, from, to))),
    };
    let why = why.unwrap_or_default();
    format!("T{from} before T{to} ({name}): {why}")
}

fn appends<'a>(versions: &'a Versions<'_>, of: u32) -> impl Iterator<Item = &'a Append> {
    // They stand in the order of their transactions.
    let begin = versions
        .appends
        .partition_point(|append| append.transaction < of);
    let all = versions.appends[begin..].iter();
    all.take_while(move |append| append.transaction == of)
}

/// The append of `to` behind the version of this length of the list.
fn next_append<'a>(
    versions: &'a Versions<'_>,
    key: u32,
    length: usize,
    to: u32,
) -> Option<&'a Append> {
    let is_last = length == versions.keys[key as usize].order.len();
    appends(versions, to).find(|append| {
        let place = if is_last { NONE } else { length as u32 };
        append.key == key && append.place == place
    })
}

fn appended_next(versions: &Versions<'_>, from: u32, to: u32) -> Option<String> {
    appends(versions, from)
        .filter(|one| one.place != NONE)
        .find_map(|one| {
            let next = next_append(versions, one.key, one.place as usize + 1, to)?;
            Some(format!(
                "T{from} appended {} to list {}, T{to} {} behind it",
                one.value, versions.keys[one.key as usize].name, next.value
            ))
        })
}

fn was_read(versions: &Versions<'_>, from: u32, to: u32) -> Option<String> {
    let reads = versions.observed.iter();
    let mut reads = reads.filter(|read| read.transaction == to && read.is_first);
    reads.find_map(|read| {
        let writer = versions.writer(read.key, read.list.len())?;
        (writer == from).then(|| {
            format!(
                "T{to} read list {} as {}, the last value appended by T{from}",
                versions.keys[read.key as usize].name,
                describe_list(read.list)
            )
        })
    })
}

fn was_overtaken(versions: &Versions<'_>, from: u32, to: u32) -> Option<String> {
    let reads = versions.observed.iter();
    let mut reads = reads.filter(|read| read.transaction == from && read.is_first);
    reads.find_map(|read| {
        let next = next_append(versions, read.key, read.list.len(), to)?;
        Some(format!(
            "T{from} read list {} as {}, T{to} appended {} behind that",
            versions.keys[read.key as usize].name,
            describe_list(read.list),
            next.value
        ))
    })
}

fn ended_before(versions: &Versions<'_>, from: u32, to: u32) -> String {
    let (ended, began) = (
        versions.history[from as usize].ended,
        versions.history[to as usize].began,
    );
    format!("T{from} had ended at tick {ended} when T{to} began at {began}")
}
