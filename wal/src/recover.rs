//! Opening for writing: replays the log, then begins a new incarnation of it.
//!
//! Runs alone, before the log is shared; the caller holds the directory's lock.
//!
//! 1. Until the new incarnation's first segment has its name, nothing that the last one needs is
//!    changed: a crash at any point, also while recovering from a crash, finds what this opening
//!    found [8].
//! 2. What no group states to be durable may be in the system's cache alone, or in the mapped tail.
//!    It is copied into a fresh segment and synced; only then the segment's header is written and
//!    the segment named (the point of commitment); only then the tail is used again [8].
//! 3. The fresh segment lies above every segment seen, so no LSN is used twice.
//! 4. A new log's timestamps begin where it is told. After a clean close they go on densely; else above
//!    the greatest limit that any header states, so none that was ever handed out comes back [8].
//! 5. Void and old segments are recycled or removed only when the new incarnation is durable.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use vellum_base::{Lsn, Timestamp};
use vellum_disk::{Disk, File};
use vellum_sync::random_u64;

use crate::config::Config;
use crate::copy::Copier;
use crate::directory::{Directory, Listing};
use crate::error::WalError;
use crate::format::{Base, Kind, LargeRef, SegmentHeader};
use crate::geometry::Geometry;
use crate::history::{Event, LogEnd, read_tail, walk_log};
use crate::large::{self, LargeFiles};
use crate::names;
use crate::prepare::{Preparer, commit_segment, create_segment};
use crate::state::{Shared, State};
use crate::stats::Stats;
use crate::walk::{Found, Step, Walker};

/// A commit, read back.
#[derive(Clone, Copy, Debug)]
pub struct Replayed<'a> {
    /// Its record's position.
    pub lsn: Lsn,
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// What the committer gave.
    pub payload: &'a [u8],
}

/// Receives the commits of a log, in order.
pub type Replay<'r, E> = dyn FnMut(Replayed<'_>) -> Result<(), E> + 'r;

/// What the old incarnations leave to the new one.
struct Heritage {
    uuid: u128,
    geometry: Geometry,
    incarnation: u64,
    sequence: u64,
    last: Timestamp,
    timestamp_limit: u64,
    base: Base,
    listing: Listing,
    /// Segments in which reading will still pass.
    retained: BTreeSet<u64>,
    references: Vec<(u64, Lsn)>,
}

/// A damaged record header cannot get here: its chain would not agree.
pub(crate) fn large_ref(
    directory: &Directory,
    found: &Found,
    payload: &[u8],
) -> Result<LargeRef, WalError> {
    LargeRef::decode(payload).ok_or_else(|| {
        let name = names::segment(directory.geometry.sequence(found.lsn));
        let offset = directory.geometry.file_offset(found.lsn);
        WalError::corrupt(name, offset, "a reference to a large payload is malformed")
    })
}

/// Shows `replay` every commit from `start` on; notes all references to large payloads.
pub(crate) fn replay_log<E: From<WalError>>(
    disk: &dyn Disk,
    directory: &Directory,
    tail: &[u8],
    start: Lsn,
    references: &mut Vec<(u64, Lsn)>,
    replay: &mut Replay<'_, E>,
) -> Result<LogEnd, E> {
    walk_log(disk, directory, tail, start, &mut |event| {
        let Event::Record(found, payload) = event else {
            return Ok(());
        };
        let (lsn, timestamp) = (found.lsn, found.header.timestamp);
        match found.header.kind {
            Kind::Close => Ok(()),
            Kind::Commit if lsn < start => Ok(()),
            Kind::Commit => replay(Replayed {
                lsn,
                timestamp,
                payload,
            }),
            Kind::Large => {
                let reference = large_ref(directory, found, payload)?;
                references.push((reference.file, lsn));
                if lsn < start {
                    return Ok(());
                }
                let payload = large::read(disk, directory.uuid, &reference)?;
                replay(Replayed {
                    lsn,
                    timestamp,
                    payload: &payload,
                })
            }
        }
    })
}

impl Heritage {
    fn fresh(config: &Config, listing: Listing) -> Result<Self, WalError> {
        let drawn = || u128::from(random_u64()) | u128::from(random_u64()) << 64;
        Ok(Self {
            uuid: config.uuid.unwrap_or_else(drawn),
            geometry: config.geometry()?,
            incarnation: 1,
            sequence: 0,
            last: config.after,
            timestamp_limit: config.after.0,
            base: Base {
                lsn: Lsn(0),
                chain: 0,
            },
            listing,
            retained: BTreeSet::new(),
            references: Vec::new(),
        })
    }

    fn of(directory: Directory, end: &LogEnd, references: Vec<(u64, Lsn)>) -> Self {
        let geometry = directory.geometry;
        let used = geometry.sequence(end.end);
        let newest = directory
            .listing
            .sequences
            .last()
            .copied()
            .unwrap_or(used)
            .max(used);
        let proven = Base {
            lsn: end.proven,
            chain: end.proven_chain.unwrap_or(0),
        };
        let base = join(&directory, proven);
        // Rule 4.
        let last = end
            .closed
            .unwrap_or(Timestamp(directory.timestamp_limit.max(end.last.0)));
        Self {
            uuid: directory.uuid,
            geometry,
            incarnation: directory.incarnation_max + 1,
            sequence: newest + 1,
            last,
            timestamp_limit: directory.timestamp_limit.max(last.0),
            base,
            retained: retained(&directory, base.lsn),
            listing: directory.listing,
            references,
        }
    }
}

/// Where the new incarnation joins: an incarnation of which nothing counts is passed over, so that
/// its segments may go.
fn join(directory: &Directory, proven: Base) -> Base {
    let last = directory.incarnations.last();
    let empty = last
        .filter(|last| directory.geometry.segment_start(last.first) == proven.lsn)
        .and_then(|last| last.head?.base);
    empty.unwrap_or(proven)
}

/// The segments that hold what counts, once the last incarnation counts up to `base`.
fn retained(directory: &Directory, base: Lsn) -> BTreeSet<u64> {
    let mut retained = BTreeSet::new();
    for incarnation in &directory.incarnations {
        let ends = incarnation.ends.map_or(base, |ends| ends.lsn);
        if ends > directory.geometry.segment_start(incarnation.first) {
            retained.extend(incarnation.first..=directory.geometry.sequence(Lsn(ends.0 - 1)));
        }
    }
    retained
}

/// Replays the log in `disk` and makes it ready for appends.
pub(crate) fn open<E: From<WalError>>(
    disk: Arc<dyn Disk>,
    config: &Config,
    start: Lsn,
    replay: &mut Replay<'_, E>,
) -> Result<Shared, E> {
    config.geometry()?;
    let directory = match Directory::read(disk.as_ref(), config.uuid, start)? {
        Ok(directory) => directory,
        Err(listing) => {
            let heritage = Heritage::fresh(config, listing)?;
            return Ok(begin(disk, config, heritage, |_| Ok(()))?);
        }
    };
    let tail = read_tail(disk.as_ref(), &directory)?;
    let mut references = Vec::new();
    let end = replay_log(
        disk.as_ref(),
        &directory,
        &tail,
        start,
        &mut references,
        replay,
    )?;
    let incarnation = directory.incarnations.last().cloned();
    let heritage = Heritage::of(directory, &end, references);
    let geometry = heritage.geometry;
    let reader = Arc::clone(&disk);
    let shared = begin(disk, config, heritage, |copies| {
        let Some(incarnation) = incarnation.filter(|_| end.proven < end.end) else {
            return Ok(());
        };
        let walker = Walker::new(
            reader.as_ref(),
            geometry,
            &incarnation,
            &tail,
            end.proven,
            end.proven_chain,
        )?;
        copy_suffix(walker, copies)
    })?;
    Ok(shared)
}

/// Copies, and the references among them at their new places.
struct Copies<'a> {
    copier: Copier<'a>,
    references: Vec<(u64, Lsn)>,
}

fn copy_suffix(mut walker: Walker<'_>, copies: &mut Copies<'_>) -> Result<(), WalError> {
    loop {
        match walker.step()? {
            Step::End => return Ok(()),
            Step::Group(_) => {}
            Step::Record(found) if found.header.kind == Kind::Close => return Ok(()),
            Step::Record(found) => {
                let payload = walker.payload(&found);
                let lsn = copies.copier.push(found.header, payload)?;
                if found.header.kind == Kind::Large
                    && let Some(reference) = LargeRef::decode(payload)
                {
                    copies.references.push((reference.file, lsn));
                }
            }
        }
    }
}

/// Begins the new incarnation (rules 1, 2, 5).
fn begin(
    disk: Arc<dyn Disk>,
    config: &Config,
    mut heritage: Heritage,
    copy: impl FnOnce(&mut Copies<'_>) -> Result<(), WalError>,
) -> Result<Shared, WalError> {
    let geometry = heritage.geometry;
    remove_all(disk.as_ref(), &heritage.listing.temporary)?;
    let file = create_segment(disk.as_ref(), &geometry, names::OPENING)?;
    let mut header = new_header(&heritage);
    let chain = header.chain_start().unwrap_or(0);
    let mut copies = Copies {
        copier: Copier::new(file.as_ref(), geometry, header.salt, header.durable, chain),
        references: Vec::new(),
    };
    let copied = copy(&mut copies);
    let finished = copied.and_then(|()| copies.copier.finish());
    let (end, chain) = match finished {
        Ok(finished) => finished,
        Err(error) => {
            let _ = disk.remove(names::OPENING); // Best effort: gives the space back.
            return Err(error);
        }
    };
    header.durable = end;
    let tail = disk.map(names::TAIL, geometry.tail_bytes());
    let tail = tail.map_err(|e| WalError::write("mapping wal-tail", e))?;
    commit_segment(disk.as_ref(), file.as_ref(), names::OPENING, &header)?;
    heritage.references.append(&mut copies.references);
    let shared = share(disk, config, &heritage, header, file, tail, (end, chain));
    clean_up(&shared, &heritage)?;
    Ok(shared)
}

fn new_header(heritage: &Heritage) -> SegmentHeader {
    let geometry = heritage.geometry;
    SegmentHeader {
        uuid: heritage.uuid,
        sequence: heritage.sequence,
        incarnation: heritage.incarnation,
        salt: random_u64(),
        timestamp_limit: heritage.timestamp_limit + geometry.timestamps_per_segment(),
        chunk_bytes: geometry.chunk_bytes(),
        segment_bytes: geometry.segment_bytes(),
        base: Some(heritage.base),
        durable: geometry.segment_start(heritage.sequence),
    }
}

fn share(
    disk: Arc<dyn Disk>,
    config: &Config,
    heritage: &Heritage,
    header: SegmentHeader,
    file: Arc<dyn File>,
    tail: Arc<dyn vellum_disk::Mapped>,
    (end, chain): (Lsn, u64),
) -> Shared {
    let geometry = heritage.geometry;
    // The rest of the last chunk that holds copies was allocated; from there on it is zeroed.
    let prepared = if end.0 % geometry.chunk_bytes() == 0 {
        end
    } else {
        geometry.chunk_end(end)
    };
    let traits = disk.traits();
    let stats = Stats {
        durable_writes: Some(traits.durable_writes),
        mapped_writes: Some(traits.mapped_writes),
        batched: Some(traits.batched),
        segments_zeroed: 1,
        ..Stats::default()
    };
    let state = State {
        end,
        chain,
        last: heritage.last,
        open: None,
        sealed: VecDeque::new(),
        next_id: 1,
        durable_id: 0,
        durable: end,
        outstanding: 0,
        in_flight: 0,
        gathering: None,
        expected: 0,
        write_time: Duration::ZERO,
        prepared,
        files: VecDeque::from([(header.sequence, Arc::clone(&file))]),
        failed: None,
        closed: false,
        stopping: false,
        scratch: Vec::with_capacity(8 << 10),
        group_bytes_mean: 0,
        stats,
    };
    let rest = prepared < geometry.segment_start(header.sequence + 1);
    let preparer = Preparer::new(header, rest.then_some((file, prepared)));
    let large = LargeFiles::new(
        heritage.uuid,
        config.large_file_bytes,
        &heritage.listing.large,
    );
    for (number, lsn) in &heritage.references {
        large.referred(*number, *lsn);
    }
    let mode = (config.in_flight_max, config.background);
    Shared::new(
        disk,
        geometry,
        mode,
        (header.uuid, header.salt),
        tail,
        state,
        preparer,
        large,
    )
}

/// Rule 5.
fn clean_up(shared: &Shared, heritage: &Heritage) -> Result<(), WalError> {
    let mut preparer = shared.preparer.lock();
    let old: BTreeSet<u64> = heritage
        .listing
        .sequences
        .iter()
        .copied()
        .filter(|sequence| !heritage.retained.contains(sequence))
        .collect();
    preparer.retained.extend(&heritage.retained);
    let mut removed = shared.retire(&mut preparer, old)?;
    removed += shared.large.truncate(shared.disk.as_ref(), Lsn(0))?;
    if removed > 0 {
        let synced = shared.disk.sync_dir();
        synced.map_err(|e| WalError::sync("syncing the directory", e))?;
    }
    Ok(())
}

fn remove_all(disk: &dyn Disk, names: &[String]) -> Result<(), WalError> {
    for name in names {
        disk.remove(name)
            .map_err(|e| WalError::io(format!("removing {name}"), e))?;
    }
    Ok(())
}
