//! What is found in the directory: the segments, grouped into incarnations.
//!
//! Used by recovery, the read-only opening and `verify`. Changes nothing.
//!
//! 1. Every segment at or above the one in which reading begins must have a valid header of this
//!    database; those below are not looked into (they may be on their way to being recycled).
//! 2. An incarnation is a run of segments with one number and one salt. Its first segment says up
//!    to where the one before it counts, and what the chain is there [8].
//!    Segments of older incarnations behind that place are void, present or not.
//! 3. A segment that is missing where reading must pass is damage.

use std::collections::BTreeMap;

use vellum_base::Lsn;
use vellum_disk::{Disk, OpenMode};

use crate::error::WalError;
use crate::format::{Base, FORMAT_VERSION, HeaderCheck, SEGMENT_HEADER_USED, SegmentHeader};
use crate::geometry::Geometry;
use crate::names::{self, Name};

/// The log's files, by what their names say.
#[derive(Default)]
pub(crate) struct Listing {
    /// All sequence numbers in use.
    pub(crate) sequences: Vec<u64>,
    pub(crate) large: Vec<u64>,
    pub(crate) temporary: Vec<String>,
    pub(crate) tail: bool,
}

impl Listing {
    pub(crate) fn read(disk: &dyn Disk) -> Result<Self, WalError> {
        let names = disk
            .list()
            .map_err(|e| WalError::io("listing the directory", e))?;
        let mut listing = Self::default();
        for name in names {
            match names::parse(&name) {
                Name::Tail => listing.tail = true,
                Name::Temporary => listing.temporary.push(name),
                Name::Segment(sequence) => listing.sequences.push(sequence),
                Name::Large(number) => listing.large.push(number),
                Name::Foreign => {
                    return Err(WalError::ForeignFile {
                        file: name,
                        why: "its name is none of the log's",
                    });
                }
                Name::Other => {}
            }
        }
        listing.sequences.sort_unstable();
        listing.large.sort_unstable();
        Ok(listing)
    }
}

/// Reads and checks the header of segment `sequence`.
pub(crate) fn read_header(disk: &dyn Disk, sequence: u64) -> Result<SegmentHeader, WalError> {
    let name = names::segment(sequence);
    let file = disk
        .open(&name, OpenMode::Read)
        .map_err(|e| WalError::io(format!("opening {name}"), e))?;
    let mut bytes = [0; SEGMENT_HEADER_USED];
    let read = file
        .read_at(&mut bytes, 0)
        .map_err(|e| WalError::io(format!("reading {name}"), e))?;
    let damaged = |what: &str| Err(WalError::corrupt(name.clone(), 0, what));
    match SegmentHeader::decode(&bytes[..read]) {
        HeaderCheck::Valid(header) if header.sequence == sequence => Ok(header),
        HeaderCheck::Valid(_) => {
            damaged("the header is another segment's; the segment's commits are lost")
        }
        HeaderCheck::Newer(found) => Err(WalError::NewerFormat {
            file: name,
            found,
            known: FORMAT_VERSION,
        }),
        HeaderCheck::Foreign => Err(WalError::ForeignFile {
            file: name,
            why: "it is not a log segment",
        }),
        HeaderCheck::Damaged => damaged("the header is unreadable; the segment's commits are lost"),
    }
}

/// One opening for writing, as its segments tell it.
#[derive(Clone, Debug)]
pub(crate) struct Incarnation {
    pub(crate) number: u64,
    pub(crate) salt: u64,
    /// Lowest and highest sequence present.
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// The header of the incarnation's very first segment, if that is present.
    pub(crate) head: Option<SegmentHeader>,
    /// Where the next incarnation says that this one ends.
    pub(crate) ends: Option<Base>,
}

impl Incarnation {
    /// From its segments, newest first.
    fn new(run: &[SegmentHeader], ends: Option<Base>) -> Result<Self, WalError> {
        let (Some(newest), Some(oldest)) = (run.first(), run.last()) else {
            return Err(WalError::InvalidConfig("an incarnation without segments"));
        };
        for pair in run.windows(2) {
            let (later, earlier) = (&pair[0], &pair[1]);
            if later.sequence != earlier.sequence + 1 {
                return missing(earlier.sequence + 1);
            }
            if later.salt != earlier.salt || later.base.is_some() {
                let file = names::segment(later.sequence);
                let what = "the header contradicts the segment before it";
                return Err(WalError::corrupt(file, 0, what));
            }
        }
        Ok(Self {
            number: oldest.incarnation,
            salt: oldest.salt,
            first: oldest.sequence,
            last: newest.sequence,
            head: oldest.base.map(|_| *oldest),
            ends,
        })
    }
}

fn missing<T>(sequence: u64) -> Result<T, WalError> {
    let what = "the segment is missing, with its commits";
    Err(WalError::corrupt(names::segment(sequence), 0, what))
}

/// The log as its headers tell it, from the segment of `start` on.
pub(crate) struct Directory {
    pub(crate) listing: Listing,
    pub(crate) uuid: u128,
    pub(crate) geometry: Geometry,
    /// Oldest first; those in which something may have to be read.
    pub(crate) incarnations: Vec<Incarnation>,
    /// Greatest timestamp that may ever have been handed out.
    pub(crate) timestamp_limit: u64,
    /// Greatest incarnation number seen.
    pub(crate) incarnation_max: u64,
}

/// Takes geometry and identity from the newest segment's header: all others must agree.
fn identity(header: &SegmentHeader, expected: Option<u128>) -> Result<(u128, Geometry), WalError> {
    let file = names::segment(header.sequence);
    if let Some(expected) = expected.filter(|uuid| *uuid != header.uuid) {
        return Err(WalError::ForeignDatabase {
            file,
            found: header.uuid,
            expected,
        });
    }
    let geometry = Geometry::new(header.chunk_bytes, header.segment_bytes)
        .map_err(|_| WalError::corrupt(file, 0, "the header states impossible sizes"))?;
    Ok((header.uuid, geometry))
}

impl Directory {
    /// Reads the directory. `None` if it holds no segment at all.
    pub(crate) fn read(
        disk: &dyn Disk,
        expected: Option<u128>,
        start: Lsn,
    ) -> Result<Result<Self, Listing>, WalError> {
        let listing = Listing::read(disk)?;
        let Some(newest) = listing.sequences.last() else {
            return Self::empty(listing, start).map(Err);
        };
        let (uuid, geometry) = identity(&read_header(disk, *newest)?, expected)?;
        let mut headers = BTreeMap::new();
        let first = first_sequence(&listing, geometry, start);
        for &sequence in listing.sequences.iter().filter(|s| **s >= first) {
            let header = read_header(disk, sequence)?;
            Self::same_log(&header, uuid, geometry)?;
            headers.insert(sequence, header);
        }
        let timestamp_limit = headers
            .values()
            .map(|h| h.timestamp_limit)
            .max()
            .unwrap_or(0);
        let incarnation_max = headers.values().map(|h| h.incarnation).max().unwrap_or(0);
        let incarnations =
            incarnations(headers.values().copied().collect(), start, first, geometry)?;
        let directory = Self {
            listing,
            uuid,
            geometry,
            incarnations,
            timestamp_limit,
            incarnation_max,
        };
        Ok(Ok(directory))
    }

    fn empty(listing: Listing, start: Lsn) -> Result<Listing, WalError> {
        if start > Lsn(0) {
            return Err(WalError::EndsBefore { end: Lsn(0), start });
        }
        if let Some(number) = listing.large.first() {
            let what = "large payloads without any log segment; all commits are lost";
            return Err(WalError::corrupt(names::large(*number), 0, what));
        }
        Ok(listing)
    }

    fn same_log(header: &SegmentHeader, uuid: u128, geometry: Geometry) -> Result<(), WalError> {
        let (_, found) = identity(header, Some(uuid))?;
        if found == geometry {
            return Ok(());
        }
        let file = names::segment(header.sequence);
        Err(WalError::corrupt(
            file,
            0,
            "the header states other sizes than the rest of the log",
        ))
    }
}

/// Where reading begins: the segment of `start`, or, if `start` is where that would begin and it
/// does not exist yet, the one before.
fn first_sequence(listing: &Listing, geometry: Geometry, start: Lsn) -> u64 {
    let sequence = geometry.sequence(start);
    if listing.sequences.contains(&sequence) {
        return sequence;
    }
    geometry.sequence(Lsn(start.0.saturating_sub(1)))
}

/// Finds the incarnations from the newest down to the one in which `start` lies (rules 2, 3).
fn incarnations(
    mut rest: Vec<SegmentHeader>,
    start: Lsn,
    first: u64,
    geometry: Geometry,
) -> Result<Vec<Incarnation>, WalError> {
    let mut found = Vec::new();
    let mut ends: Option<Base> = None;
    while ends.is_none_or(|ends| ends.lsn > start) {
        if let Some(ends) = ends {
            // What begins behind the place where older incarnations end was never counted.
            rest.retain(|header| geometry.segment_start(header.sequence) < ends.lsn);
        }
        let Some(newest) = rest.last().copied() else {
            if ends.is_some() {
                return missing(first);
            }
            break;
        };
        if let Some(ends) = ends
            && newest.sequence != geometry.sequence(Lsn(ends.lsn.0 - 1))
        {
            return missing(geometry.sequence(Lsn(ends.lsn.0 - 1)));
        }
        let older = rest
            .iter()
            .rposition(|header| header.incarnation != newest.incarnation);
        if let Some(older) = older
            && rest[older].incarnation > newest.incarnation
        {
            let file = names::segment(newest.sequence);
            return Err(WalError::corrupt(
                file,
                0,
                "an older incarnation follows a newer one",
            ));
        }
        let mut run = rest.split_off(older.map_or(0, |older| older + 1));
        run.reverse();
        let incarnation = Incarnation::new(&run, ends)?;
        ends = incarnation.head.and_then(|head| head.base);
        let begins_within = ends.is_none();
        let lowest = incarnation.first;
        found.push(incarnation);
        if begins_within {
            if lowest > first {
                return missing(lowest - 1);
            }
            break;
        }
    }
    found.reverse();
    Ok(found)
}
