//! Reading without writing: a read-only opening, and verification.
//!
//! Nothing is created or changed. Rules:
//!
//! 1. The caller holds the directory's shared lock, and so keeps writers out; or it is the writer, and
//!    says how far to look: what lies before a position that was durable when the looking began is not
//!    changed any more, and what lies behind is not judged.
//! 2. Where the caller does not know where reading is to begin, it begins with the oldest segment that
//!    is there. After a crash while the log was being cut that may be one that nobody needs.

use vellum_base::{Corruption, Lsn, Timestamp};
use vellum_disk::Disk;

use crate::directory::{Directory, Listing, read_header};
use crate::error::WalError;
use crate::format::Kind;
use crate::geometry::Geometry;
use crate::history::{Event, LogEnd, read_tail, walk_log};
use crate::large;
use crate::names;
use crate::recover::{Replay, large_ref, replay_log};

/// What a log held when it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Behind the last record.
    pub end: Lsn,
    /// Its timestamp; zero if there is none.
    pub last: Timestamp,
    /// Whether the log was closed properly.
    pub closed: bool,
}

impl From<LogEnd> for Contents {
    fn from(end: LogEnd) -> Self {
        Self {
            end: end.end,
            last: end.last,
            closed: end.closed.is_some(),
        }
    }
}

/// Shows `replay` what an opening would, and changes nothing. `uuid` is the database expected, if
/// that is known. A directory without a log is an empty one.
///
/// # Errors
/// As [`crate::Wal::open`].
pub fn read<E: From<WalError>>(
    disk: &dyn Disk,
    uuid: Option<u128>,
    start: Lsn,
    replay: &mut Replay<'_, E>,
) -> Result<Contents, E> {
    let Ok(directory) = Directory::read(disk, uuid, start)? else {
        return Ok(Contents::default());
    };
    let tail = read_tail(disk, &directory)?;
    let end = replay_log(disk, &directory, &tail, start, &mut Vec::new(), replay)?;
    Ok(end.into())
}

/// What [`verify`] found in one segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentReport {
    /// The file's name.
    pub file: String,
    /// Which opening wrote it.
    pub incarnation: u64,
    /// Groups.
    pub groups: u64,
    /// Records.
    pub records: u64,
    /// Bytes of payload.
    pub payload_bytes: u64,
}

/// What [`verify`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Segments with something in them, oldest first.
    pub segments: Vec<SegmentReport>,
    /// Commits, those with large payloads included.
    pub commits: u64,
    /// Commits whose payload is in a large file; each was read and checked.
    pub large: u64,
    /// Openings for writing that the log shows.
    pub incarnations: u64,
    /// Where it ends; unless there is damage.
    pub contents: Option<Contents>,
    /// The first damage.
    pub damage: Option<Corruption>,
}

/// Reads everything and checks everything, from the segment of `start` on (`None`: rule 2), up to
/// `until` if that is given (rule 1).
///
/// # Errors
/// What prevents reading: damage is part of the report instead.
pub fn verify(
    disk: &dyn Disk,
    uuid: Option<u128>,
    start: Option<Lsn>,
    until: Option<Lsn>,
) -> Result<Report, WalError> {
    let mut report = Report::default();
    match check(disk, uuid, start, until, &mut report) {
        Ok(contents) => report.contents = Some(contents),
        Err(WalError::Corrupt(damage)) => report.damage = Some(damage),
        Err(other) => return Err(other),
    }
    Ok(report)
}

/// Why a walk ended.
enum Stop {
    /// It reached its end.
    There(Contents),
    Failed(WalError),
}

impl From<WalError> for Stop {
    fn from(error: WalError) -> Self {
        Self::Failed(error)
    }
}

fn check(
    disk: &dyn Disk,
    uuid: Option<u128>,
    start: Option<Lsn>,
    until: Option<Lsn>,
    report: &mut Report,
) -> Result<Contents, WalError> {
    let start = match start {
        Some(start) => start,
        None => oldest(disk)?,
    };
    let (end, last, closed) = (start, Timestamp::ZERO, false);
    let nothing = Contents { end, last, closed };
    if until.is_some_and(|until| until <= start) {
        return Ok(nothing);
    }
    let Ok(directory) = Directory::read(disk, uuid, start)? else {
        return Ok(Contents::default());
    };
    let tail = read_tail(disk, &directory)?;
    let mut incarnation = 0;
    let walked = walk_log(disk, &directory, &tail, start, &mut |event| {
        match event {
            Event::Incarnation(next) => {
                incarnation = next.number;
                report.incarnations += 1;
            }
            Event::Group(header) => {
                let sequence = directory.geometry.sequence(header.lsn);
                segment(report, sequence, incarnation).groups += 1;
            }
            Event::Record(found, payload) => {
                let sequence = directory.geometry.sequence(found.lsn);
                let segment = segment(report, sequence, incarnation);
                segment.records += 1;
                segment.payload_bytes += payload.len() as u64;
                report.commits += u64::from(found.header.kind != Kind::Close);
                if found.header.kind == Kind::Large && found.lsn >= start {
                    large::read(
                        disk,
                        directory.uuid,
                        &large_ref(&directory, found, payload)?,
                    )?;
                    report.large += 1;
                }
                let (end, last) = (found.end, found.header.timestamp);
                if until.is_some_and(|until| end >= until) {
                    return Err(Stop::There(Contents { end, last, closed }));
                }
            }
        }
        Ok(())
    });
    match walked {
        Ok(end) => match until.filter(|until| end.end < *until) {
            None => Ok(end.into()),
            Some(until) => {
                let name = names::segment(directory.geometry.sequence(end.end));
                let offset = directory.geometry.file_offset(end.end);
                let what =
                    format!("the log ends here; the commits up to position {until} are lost");
                Err(WalError::corrupt(name, offset, what))
            }
        },
        Err(Stop::There(contents)) => Ok(contents),
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// Rule 2.
fn oldest(disk: &dyn Disk) -> Result<Lsn, WalError> {
    let sequences = Listing::read(disk)?.sequences;
    let (Some(oldest), Some(newest)) = (sequences.first(), sequences.last()) else {
        return Ok(Lsn(0));
    };
    let header = read_header(disk, *newest)?;
    let geometry = Geometry::new(header.chunk_bytes, header.segment_bytes)?;
    Ok(geometry.segment_start(*oldest))
}

fn segment(report: &mut Report, sequence: u64, incarnation: u64) -> &mut SegmentReport {
    let file = names::segment(sequence);
    if report.segments.last().is_none_or(|last| last.file != file) {
        report.segments.push(SegmentReport {
            file,
            incarnation,
            ..SegmentReport::default()
        });
    }
    let last = report.segments.len() - 1;
    &mut report.segments[last]
}
