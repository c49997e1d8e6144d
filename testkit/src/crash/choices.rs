//! Everything that a power cut decides at one cut. Plain data.
//!
//! 1. An **axis** is one decision: the version of a sector, the length of a file, or whether a
//!    change of a name reached the disk. Its options are in the order of writing; the first is
//!    what is certain to be there, and the last is what the cache shows (or would, when the writes
//!    under way are done).
//! 2. Of the sectors of a write under way each is as before or written; where several are under
//!    way in the same sector, also with only the earlier ones.
//! 3. A length that grew may come back at any sector between.

use std::collections::{BTreeMap, BTreeSet};

use crate::sim::{Content, Inode, Node, SECTOR_BYTES, Sector, Started, World};

/// Lengths tried between an old and a new one.
const LENGTHS_BETWEEN: u64 = 4;

/// When what is certain was written: before everything else.
const CERTAIN: u64 = 0;

/// One decision.
#[derive(Clone, Debug)]
pub(super) enum Axis {
    /// Whether the directory's pending change of this number reached the disk.
    Name { sequence: u64 },
    /// The length of a file.
    Length {
        file: usize,
        options: Vec<LengthOption>,
    },
    /// The bytes of a sector.
    Sector {
        file: usize,
        sector: u64,
        options: Vec<SectorOption>,
    },
}

/// A length, and when it became so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LengthOption {
    pub(super) sequence: u64,
    pub(super) len: u64,
}

/// A sector's bytes, when they were written, and whether that was a cut.
#[derive(Clone, Debug)]
pub(super) struct SectorOption {
    pub(super) sequence: u64,
    pub(super) bytes: Sector,
    pub(super) cut: bool,
}

impl Axis {
    /// Options there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Name { .. } => 2,
            Self::Length { options, .. } => options.len(),
            Self::Sector { options, .. } => options.len(),
        }
    }

    /// When the option was written.
    pub(super) fn sequence(&self, option: usize) -> u64 {
        match self {
            Self::Name { sequence } => [CERTAIN, *sequence][option],
            Self::Length { options, .. } => options[option].sequence,
            Self::Sector { options, .. } => options[option].sequence,
        }
    }

    /// When the newest option was written.
    pub(super) fn newest(&self) -> u64 {
        self.sequence(self.len() - 1)
    }
}

/// A file that may bear a name after the crash.
#[derive(Clone, Debug)]
pub(super) struct FileBase {
    pub(super) node: Node,
    /// The file with the first option of every axis, except its length.
    pub(super) certain: Content,
    /// The length, where no axis decides it.
    pub(super) len: u64,
}

/// Everything that a power cut decides at one cut: names first, then lengths, then sectors.
#[derive(Clone, Debug)]
pub(super) struct Choices {
    pub(super) files: Vec<FileBase>,
    pub(super) axes: Vec<Axis>,
}

impl Choices {
    /// The decisions that are open in `world`.
    pub(super) fn of(world: &World) -> Self {
        let pending = world.directory.pending.iter();
        let mut axes: Vec<Axis> = pending
            .map(|change| Axis::Name {
                sequence: change.sequence,
            })
            .collect();
        let nodes: BTreeSet<Node> = world.directory.nodes().collect();
        let mut files = Vec::new();
        let mut sectors = Vec::new();
        for node in nodes {
            let Some(inode) = world.nodes.get(&node) else {
                continue;
            };
            let flights = world
                .flights
                .values()
                .filter(|started| started.flight.node == node);
            let flights: Vec<&Started> = flights.collect();
            let file = files.len();
            let lengths = length_options(inode, &flights);
            let len = lengths[0].len;
            if lengths.len() > 1 {
                axes.push(Axis::Length {
                    file,
                    options: lengths,
                });
            }
            let options = sector_options(inode, &flights);
            let certain = certain(inode, &options);
            files.push(FileBase { node, certain, len });
            sectors.extend(
                options
                    .into_iter()
                    .filter(|(_, options)| options.len() > 1)
                    .map(|(sector, options)| Axis::Sector {
                        file,
                        sector,
                        options,
                    }),
            );
        }
        axes.append(&mut sectors);
        Self { files, axes }
    }
}

/// What the file's length may be (rule 3).
fn length_options(inode: &Inode, flights: &[&Started]) -> Vec<LengthOption> {
    let mut steps: Vec<LengthOption> = inode
        .lengths
        .iter()
        .map(|length| LengthOption {
            sequence: length.sequence,
            len: length.len,
        })
        .collect();
    for started in flights {
        let end = started.flight.offset + started.flight.bytes.len() as u64;
        let last = steps.last().map_or(0, |step| step.len);
        if end > last {
            steps.push(LengthOption {
                sequence: started.sequence,
                len: end,
            });
        }
    }
    let mut options = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        if let Some(before) = at.checked_sub(1).map(|at| steps[at].len) {
            options.extend(between(before, step.len).map(|len| LengthOption { len, ..*step }));
        }
        options.push(*step);
    }
    options
}

/// Some ends of sectors between the two lengths.
fn between(before: u64, after: u64) -> impl Iterator<Item = u64> {
    let sector = SECTOR_BYTES as u64;
    let (first, last) = (before / sector + 1, after.div_ceil(sector));
    let count = last.saturating_sub(first).min(LENGTHS_BETWEEN);
    (0..count).map(move |at| (first + at * (last - first) / count) * sector)
}

/// What the file's sectors may hold, where there is a choice.
fn sector_options(inode: &Inode, flights: &[&Started]) -> BTreeMap<u64, Vec<SectorOption>> {
    let mut all: BTreeMap<u64, Vec<SectorOption>> = BTreeMap::new();
    for (sector, versions) in &inode.pending {
        let options = versions
            .iter()
            .enumerate()
            .map(|(at, version)| SectorOption {
                sequence: if at == 0 { CERTAIN } else { version.sequence },
                bytes: version.bytes.clone(),
                cut: version.cut && at > 0,
            });
        all.insert(*sector, options.collect());
    }
    let mut landed = inode.live.clone();
    for started in flights {
        let flight = &started.flight;
        landed.write(&flight.bytes, flight.offset);
        let end = flight.offset + flight.bytes.len() as u64;
        for sector in flight.offset / SECTOR_BYTES as u64..end.div_ceil(SECTOR_BYTES as u64) {
            let options = all.entry(sector).or_insert_with(|| {
                let bytes = inode.live.sector(sector);
                vec![SectorOption {
                    sequence: CERTAIN,
                    bytes,
                    cut: false,
                }]
            });
            let bytes = landed.sector(sector);
            if options.last().is_none_or(|last| last.bytes != bytes) {
                options.push(SectorOption {
                    sequence: started.sequence,
                    bytes,
                    cut: false,
                });
            }
        }
    }
    all.values_mut().for_each(drop_repeated);
    all
}

/// Leaves out options that repeat an earlier one, such as that a failed write did not show: they
/// would multiply combinations. (Where there was a cut, their order means something.)
fn drop_repeated(options: &mut Vec<SectorOption>) {
    if options.iter().any(|option| option.cut) {
        return;
    }
    let mut seen = BTreeSet::new();
    options.retain(|option| seen.insert(option.bytes.clone()));
}

/// The file with the first option everywhere.
fn certain(inode: &Inode, options: &BTreeMap<u64, Vec<SectorOption>>) -> Content {
    let mut content = inode.live.clone();
    for (sector, options) in options {
        content.set_sector(*sector, &options[0].bytes);
    }
    content
}
