//! Reads a whole log, incarnation after incarnation, in commit order.
//!
//! Used by recovery, the read-only opening and `verify`. Changes nothing.
//!
//! 1. An incarnation counts exactly up to the base that the next one states, and the chain must
//!    have the value stated there. What lies behind is void: the next one holds copies [8].
//! 2. The last incarnation ends where nothing valid follows. If more was stated to be durable, that
//!    is damage, and nothing is opened; else it is a torn tail, and the log ends there [6].
//! 3. Timestamps grow from record to record.
//! 4. Only the last incarnation is continued from the mapped tail.

use std::collections::VecDeque;

use vellum_base::{Lsn, Timestamp};
use vellum_disk::{Disk, OpenMode};

use crate::directory::{Directory, Incarnation};
use crate::error::WalError;
use crate::format::{Base, GroupHeader, Kind};
use crate::names;
use crate::walk::{Found, Step, Walker, is_last};

/// What is met on the way.
pub(crate) enum Event<'e> {
    Incarnation(&'e Incarnation),
    Group(GroupHeader),
    Record(&'e Found, &'e [u8]),
}

/// Where the log ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogEnd {
    /// Behind the last record.
    pub(crate) end: Lsn,
    /// The last position that is proven durable and at which the chain is known, and its value.
    pub(crate) proven: Lsn,
    pub(crate) proven_chain: Option<u64>,
    /// Greatest timestamp met.
    pub(crate) last: Timestamp,
    /// The last timestamp ever used, if the log was closed.
    pub(crate) closed: Option<Timestamp>,
}

/// The whole tail file; empty if there is none.
pub(crate) fn read_tail(disk: &dyn Disk, directory: &Directory) -> Result<Vec<u8>, WalError> {
    if !directory.listing.tail {
        return Ok(Vec::new());
    }
    let io = |e| WalError::io("reading wal-tail", e);
    let file = disk.open(names::TAIL, OpenMode::Read).map_err(io)?;
    let mut tail = vec![0; directory.geometry.tail_bytes() as usize];
    let read = file.read_at(&mut tail, 0).map_err(io)?;
    tail[read..].fill(0);
    Ok(tail)
}

/// The last record ends that are not yet stated durable, oldest first.
struct Unproven {
    proven: Lsn,
    chain: Option<u64>,
    behind: VecDeque<(Lsn, u64)>,
}

impl Unproven {
    fn stated(&mut self, durable: Lsn) {
        while let Some((end, chain)) = self
            .behind
            .front()
            .copied()
            .filter(|(end, _)| *end <= durable)
        {
            self.proven = end;
            self.chain = Some(chain);
            self.behind.pop_front();
        }
    }
}

/// Reads the log from the segment of `start` on and shows `visit` everything.
pub(crate) fn walk_log<E: From<WalError>>(
    disk: &dyn Disk,
    directory: &Directory,
    tail: &[u8],
    start: Lsn,
    visit: &mut dyn FnMut(Event<'_>) -> Result<(), E>,
) -> Result<LogEnd, E> {
    let mut last = Timestamp::ZERO;
    for incarnation in &directory.incarnations {
        let low = directory.geometry.segment_start(incarnation.first);
        let chain = incarnation.head.and_then(|head| head.chain_start());
        let tail = if incarnation.ends.is_some() {
            &[]
        } else {
            tail
        };
        let mut walker = Walker::new(disk, directory.geometry, incarnation, tail, low, chain)?;
        visit(Event::Incarnation(incarnation))?;
        if let Some(base) = incarnation.ends {
            walk_bounded(&mut walker, directory, base, &mut last, visit)?;
            continue;
        }
        // What lies before `start` was synced before `start` was recorded.
        let proven = incarnation
            .head
            .map_or(start, |head| head.durable.max(start));
        return walk_last(&mut walker, directory, proven, start, &mut last, visit);
    }
    Err(WalError::EndsBefore { end: Lsn(0), start }.into())
}

fn meet<E: From<WalError>>(
    walker: &Walker<'_>,
    directory: &Directory,
    found: &Found,
    last: &mut Timestamp,
    visit: &mut dyn FnMut(Event<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let timestamp = found.header.timestamp;
    // A closing record repeats the last commit's timestamp.
    let grows = timestamp > *last || (is_last(found.header.kind) && timestamp >= *last);
    if !grows {
        return Err(damage(
            directory,
            found.lsn,
            "a commit's timestamp does not follow the last one's",
        )
        .into());
    }
    *last = timestamp;
    visit(Event::Record(found, walker.payload(found)))
}

fn walk_bounded<E: From<WalError>>(
    walker: &mut Walker<'_>,
    directory: &Directory,
    base: Base,
    last: &mut Timestamp,
    visit: &mut dyn FnMut(Event<'_>) -> Result<(), E>,
) -> Result<(), E> {
    while walker.pos() < base.lsn {
        match walker.step()? {
            Step::Group(header) => visit(Event::Group(header))?,
            Step::Record(found) => meet(walker, directory, &found, last, visit)?,
            Step::End => {
                let what = format!(
                    "the log is unreadable from here; the commits up to position {} are lost",
                    base.lsn
                );
                return Err(damage(directory, walker.pos(), what).into());
            }
        }
    }
    let agrees = walker.pos() == base.lsn && walker.chain().is_none_or(|chain| chain == base.chain);
    if agrees {
        return Ok(());
    }
    let what = "the log does not join what the next opening found here; commits before are lost";
    Err(damage(directory, walker.pos(), what).into())
}

fn walk_last<E: From<WalError>>(
    walker: &mut Walker<'_>,
    directory: &Directory,
    mut stated: Lsn,
    start: Lsn,
    last: &mut Timestamp,
    visit: &mut dyn FnMut(Event<'_>) -> Result<(), E>,
) -> Result<LogEnd, E> {
    let mut unproven = Unproven {
        proven: walker.pos(),
        chain: walker.chain(),
        behind: VecDeque::new(),
    };
    let mut closed = None;
    while closed.is_none() {
        match walker.step()? {
            Step::Group(header) => {
                stated = stated.max(header.durable);
                unproven.chain = unproven.chain.or(Some(header.chain));
                unproven.stated(stated);
                visit(Event::Group(header))?;
            }
            Step::Record(found) => {
                meet(walker, directory, &found, last, visit)?;
                if found.header.kind == Kind::Close {
                    closed = Some(found.header.timestamp);
                }
                unproven.behind.push_back((found.end, found.chain));
            }
            Step::End => break,
        }
    }
    if closed.is_none() {
        stated = stated.max(walker.stated_behind()?);
    }
    let end = walker.pos();
    let stated = stated.max(start);
    if stated > end {
        let what = format!(
            "the log is unreadable from here; the commits up to position {stated} were durable \
             and are lost"
        );
        return Err(damage(directory, end, what).into());
    }
    unproven.stated(stated);
    let (proven, proven_chain) = (unproven.proven, unproven.chain);
    Ok(LogEnd {
        end,
        proven,
        proven_chain,
        last: *last,
        closed,
    })
}

fn damage(directory: &Directory, at: Lsn, what: impl Into<String>) -> WalError {
    let geometry = &directory.geometry;
    WalError::corrupt(
        names::segment(geometry.sequence(at)),
        geometry.file_offset(at),
        what,
    )
}
