//! The states that a crash may leave, at every point of a trace. Plain data; cuts and states can
//! be handed to other threads.
//!
//! 1. A **cut** stands before the first event of a trace or after one of them; what has begun and
//!    not ended is under way there.
//! 2. A **process crash** leaves what the cache shows, and of each write under way the first bytes,
//!    however many. What was not synced stays unsynced: a power cut may still take it, later.
//! 3. A **power cut** leaves any state that [`choices`] admits: each sector as it was at the last
//!    sync or after any write since, any reachable set of names, any length; sectors under way may
//!    be torn.
//! 4. Where there are few choices, every combination is made; else all prefixes and suffixes in
//!    the order of writing, all with one missing or one present, pairs where there are at most
//!    forty, torn sectors, and random ones, as many as the budget says ([`recipes`]).
//! 5. States of the same cut are distinct. States of different cuts count as the same
//!    ([`Distinct`]) only if nothing was marked between: what was acknowledged is a part of what
//!    a state must be checked against.
//! 6. A state becomes a disk again, with a trace of its own, so that the crash of a recovery can be
//!    looked at in the same way, to any depth.

mod build;
mod choices;
mod process;
mod recipes;
mod sweep;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;

use crate::random::mix;
use crate::sim::{Event, Inode, Node, SimDisk, SimOptions, Trace, World};
use choices::Choices;
use recipes::Recipe;

pub use sweep::states_wanted;

/// What ends the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Crash {
    /// The process dies; the system lives.
    Process,
    /// The system dies, and what was not durable may be lost.
    Power,
}

/// How many states are made of one cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// At most this many.
    pub states: usize,
}

impl Budget {
    /// All combinations up to 4096, and as many chosen ones where there are more.
    pub const FULL: Self = Self { states: 4096 };

    /// At most `states` of each cut.
    #[must_use]
    pub fn per_cut(states: usize) -> Self {
        Self {
            states: states.max(2),
        }
    }
}

impl Trace {
    /// Every point at which a crash can be put, in order.
    #[must_use]
    pub fn cuts(&self) -> Cuts {
        Cuts {
            world: self.origin.clone(),
            events: self.events.clone(),
            next: 0,
            marks: Vec::new(),
            marks_shared: Arc::new([]),
            seed: self.seed,
            capacity: self.capacity,
        }
    }
}

/// The cuts of a trace: an incremental replay.
pub struct Cuts {
    world: World,
    events: Arc<[Event]>,
    next: usize,
    marks: Vec<u64>,
    marks_shared: Arc<[u64]>,
    seed: u64,
    capacity: Option<u64>,
}

impl Iterator for Cuts {
    type Item = Cut;

    fn next(&mut self) -> Option<Cut> {
        if self.next > self.events.len() {
            return None;
        }
        if let Some(event) = self.next.checked_sub(1).map(|at| &self.events[at]) {
            self.world.apply(event);
            if let Event::Mark(mark) = event {
                self.marks.push(*mark);
                self.marks_shared = self.marks.as_slice().into();
            }
        }
        let index = self.next;
        self.next += 1;
        Some(Cut {
            index,
            world: self.world.clone(),
            events: self.events.clone(),
            marks: self.marks_shared.clone(),
            seed: mix(self.seed ^ mix(index as u64)),
            capacity: self.capacity,
        })
    }
}

/// A point of a trace at which a crash can be put.
#[derive(Clone)]
pub struct Cut {
    index: usize,
    world: World,
    events: Arc<[Event]>,
    marks: Arc<[u64]>,
    seed: u64,
    capacity: Option<u64>,
}

impl Cut {
    /// Events before the cut.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// What was marked before the cut.
    #[must_use]
    pub fn marks(&self) -> &[u64] {
        &self.marks
    }

    /// Whether something is under way or was not synced, so that more than one state is possible.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        let unsettled = |inode: &Arc<Inode>| !inode.pending.is_empty() || inode.lengths.len() > 1;
        !self.world.flights.is_empty()
            || !self.world.directory.pending.is_empty()
            || self.world.nodes.values().any(unsettled)
    }

    /// The distinct states that a crash here may leave (rule 4).
    #[must_use]
    pub fn states(&self, crash: Crash, budget: Budget) -> States {
        let kind = match crash {
            Crash::Process => Kind::Process(process::prefixes(&self.world, self.seed, budget)),
            Crash::Power => {
                let choices = Choices::of(&self.world);
                let recipes = recipes::recipes(&choices, self.seed, budget);
                Kind::Power {
                    choices: Box::new(choices),
                    recipes: recipes.into_iter(),
                }
            }
        };
        States {
            cut: self.clone(),
            kind,
            seen: HashSet::new(),
        }
    }
}

impl fmt::Debug for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.index.checked_sub(1).and_then(|at| self.events.get(at));
        write!(f, "cut {} after {}", self.index, describe(last))
    }
}

/// The event in a few words: bytes are left out.
fn describe(event: Option<&Event>) -> String {
    match event {
        None => "nothing".into(),
        Some(Event::WriteBegin { operation, flight }) => format!(
            "the beginning of {operation:?}: {:?} write of {} bytes at {} of {:?}",
            flight.way,
            flight.bytes.len(),
            flight.offset,
            flight.node
        ),
        Some(event) => format!("{event:?}"),
    }
}

enum Kind {
    Process(std::vec::IntoIter<process::Kept>),
    Power {
        choices: Box<Choices>,
        recipes: std::vec::IntoIter<Recipe>,
    },
}

/// The distinct states that a crash at one cut may leave.
pub struct States {
    cut: Cut,
    kind: Kind,
    seen: HashSet<u64>,
}

impl Iterator for States {
    type Item = State;

    fn next(&mut self) -> Option<State> {
        loop {
            let (world, how) = match &mut self.kind {
                Kind::Process(prefixes) => {
                    let kept = prefixes.next()?;
                    (process::crash(&self.cut.world, &kept), How::Process(kept))
                }
                Kind::Power { choices, recipes } => {
                    let recipe = recipes.next()?;
                    (
                        build::build(&self.cut.world, choices, &recipe),
                        How::Power(recipe),
                    )
                }
            };
            let hash = image_hash(&world);
            if self.seen.insert(hash) {
                let marks = self.cut.marks.len();
                let seed = mix(self.cut.seed ^ hash);
                return Some(State {
                    world,
                    how,
                    hash,
                    marks,
                    seed,
                    capacity: self.cut.capacity,
                });
            }
        }
    }
}

/// A hash of names, lengths and bytes.
fn image_hash(world: &World) -> u64 {
    let mut hash = 0;
    for (name, node) in &world.directory.live {
        let content = world.live(*node).map_or(0, crate::sim::Content::hash);
        hash = mix(hash ^ vellum_base::checksum_seeded(content, name.as_bytes()));
    }
    hash
}

#[derive(Clone, Debug)]
enum How {
    #[expect(dead_code, reason = "shown when a check fails")]
    Process(process::Kept),
    #[expect(dead_code, reason = "shown when a check fails")]
    Power(Recipe),
}

/// What a crash left.
#[derive(Clone)]
pub struct State {
    world: World,
    how: How,
    hash: u64,
    marks: usize,
    seed: u64,
    capacity: Option<u64>,
}

impl State {
    /// The disk after the crash: unlocked, nothing open, with a trace of its own (rule 6).
    #[must_use]
    pub fn disk(&self) -> SimDisk {
        self.disk_with(SimOptions {
            capacity: self.capacity,
            record: true,
        })
    }

    /// As [`State::disk`], set up as `options` say.
    #[must_use]
    pub fn disk_with(&self, options: SimOptions) -> SimDisk {
        SimDisk::of_world(self.world.clone(), self.seed, options)
    }

    /// A hash of all names, lengths and bytes.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// All files: names and bytes.
    #[must_use]
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let names = self.world.directory.live.iter();
        let file = |(name, node): (&Arc<str>, &Node)| {
            let content = self.world.live(*node)?;
            let mut bytes = vec![0; usize::try_from(content.len()).ok()?];
            content.read(&mut bytes, 0);
            Some((name.to_string(), bytes))
        };
        names.filter_map(file).collect()
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "state {:016x} by {:?}", self.hash, self.how)
    }
}

/// Tells states apart over many cuts (rule 5).
#[derive(Default)]
pub struct Distinct {
    seen: BTreeSet<(u64, usize, bool)>,
}

impl Distinct {
    /// Nothing seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether no state like this one was seen before; it is now.
    pub fn insert(&mut self, state: &State) -> bool {
        // After a process crash what is unsynced differs, though the bytes may be the same.
        let power = matches!(state.how, How::Power(_));
        self.seen.insert((state.hash, state.marks, power))
    }

    /// Distinct states seen.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether none was seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }
}
