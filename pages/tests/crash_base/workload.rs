//! An owner of a base: two trees, one of them compressed, with large values.
//!
//! Each epoch merges records, replaces and deletes some, drops a tree now and then. Some units are
//! abandoned, some make pages anew instead; snapshots are held and read; the next unit is at work while a checkpoint of the last
//! one is made; pages are written out early; the base is dropped and opened again.

use std::collections::BTreeMap;
use std::ops::Bound;

use vellum_base::{Lsn, Timestamp};
use vellum_pages::base::{Base, BaseOptions, TREE_PAGE, Work};
use vellum_pages::pool::Hint;
use vellum_pages::state::Alive;
use vellum_pages::store::{Found, Opening, Position};
use vellum_pages::tree::node::{Body, Update, must_be_large};
use vellum_pages::tree::{Compaction, End, Root};
use vellum_pages::{PageError, PageRef, TreeId};
use vellum_testkit::{Random, SimDisk};

/// The trees; pages of the second are compressed.
const TREES: [TreeId; 2] = [TreeId(4), TreeId(9)];

/// The pool's budget.
const POOL: usize = 1 << 20;

/// A mark for a checkpoint that was begun, or noted: `attempt * 2 + noted`.
pub(crate) fn mark(attempt: usize, noted: bool) -> u64 {
    attempt as u64 * 2 + u64::from(noted)
}

/// Records of a tree, with what their values and vectors are made from, and how long they are.
pub(crate) type Records = BTreeMap<Vec<u8>, (u64, usize)>;

/// What all trees hold.
pub(crate) type Models = [Records; 2];

/// A checkpoint that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) sequence: u64,
    roots: [Root; 2],
    models: Models,
    position: Position,
}

/// Value and vectors.
fn content((seed, len): (u64, usize)) -> (Vec<u8>, Vec<u8>) {
    let mut random = Random::new(seed);
    // Half of them compress.
    let mut bytes: Vec<u8> = match seed.is_multiple_of(2) {
        true => vec![seed as u8; len],
        false => (0..len).map(|_| random.next_u64() as u8).collect(),
    };
    let vectors = match seed.is_multiple_of(3) {
        true => bytes.split_off(len - len / 3),
        false => Vec::new(),
    };
    (bytes, vectors)
}

fn encode(roots: &[Root; 2]) -> Vec<u8> {
    let words = |root: &Root| {
        let (at, level) = root.top.map_or((0, 0), |(at, level)| (at.bits(), level));
        [at, level.into(), root.records]
    };
    let words = roots.iter().flat_map(words);
    words.flat_map(u64::to_le_bytes).collect()
}

fn decode(meta: &[u8]) -> [Root; 2] {
    let word = |at: usize| u64::from_le_bytes(meta[at * 8..at * 8 + 8].try_into().unwrap());
    [0, 3].map(|at| Root {
        top: PageRef::from_bits(word(at)).map(|top| (top, word(at + 1) as u8)),
        records: word(at + 2),
    })
}

/// Opens the base; `at_least` as the log would know it.
pub(crate) fn open(sim: &SimDisk, at_least: Option<u64>) -> Result<(Base, Found), PageError> {
    let opening = Opening {
        database: Some(*b"sixteen letters!"),
        at_least,
        read_only: false,
    };
    let pool_bytes = POOL;
    let options = BaseOptions {
        opening,
        pool_bytes,
    };
    let opened = Base::open(sim, options)?;
    opened.0.set_compressed(TREES[1], true);
    Ok(opened)
}

fn roots_of(found: &Found) -> [Root; 2] {
    let meta = found.meta.as_deref();
    meta.map_or([Root::EMPTY; 2], decode)
}

/// Every record of a state is what its model says.
fn compare(base: &Base, roots: &[Root; 2], models: &Models) -> Result<(), String> {
    for ((id, root), model) in TREES.into_iter().zip(roots).zip(models) {
        let tree = base.tree(id);
        let named = |error: PageError| format!("tree {}: {error}", id.0);
        let all = (Bound::Unbounded, Bound::Unbounded);
        let mut range = tree.range(root, all.0, all.1, Hint::Scan);
        let mut expected = model.iter();
        while let Some((key, record)) = range.next(End::Front).map_err(named)? {
            let Some((other, made)) = expected.next().filter(|(other, _)| *other == key) else {
                return Err(format!("tree {}: a record too many: {key:?}", id.0));
            };
            let (value, vectors) = content(*made);
            let is_same = match record.body {
                Body::Inline {
                    value: found,
                    vectors: with,
                } => found == value && with == vectors,
                Body::Large(large) => {
                    let read = base.read_large(&large).map_err(named)?;
                    read.value() == value && read.vectors() == vectors
                }
            };
            if !is_same {
                return Err(format!("tree {}: {other:?} has another value", id.0));
            }
        }
        if let Some((key, _)) = expected.next() {
            return Err(format!("tree {}: {key:?} is missing", id.0));
        }
    }
    Ok(())
}

/// Whether a base that was opened is exactly as an attempt left it, or as it was made.
pub(crate) fn judge(base: &Base, found: &Found, expected: Option<&Attempt>) -> Result<(), String> {
    let roots = roots_of(found);
    let empty = Models::default();
    let models = expected.map_or(&empty, |attempt| &attempt.models);
    if let Some(attempt) = expected
        && (attempt.roots, attempt.position) != (roots, found.position)
    {
        return Err(format!("not the state of checkpoint {}", attempt.sequence));
    }
    compare(base, &roots, models)?;
    let trees = [(TREES[0], roots[0]), (TREES[1], roots[1])];
    let report = base.verify(&found.alive, &trees, &[]);
    let report = report.map_err(|error| format!("verify: {error}"))?;
    if !report.is_clean() || report.space.is_none() {
        return Err(format!("verify: {report:?}"));
    }
    Ok(())
}

#[derive(Clone)]
struct State {
    alive: Alive,
    roots: [Root; 2],
    models: Models,
}

/// The owner, between two openings.
pub(crate) struct Owner<'a> {
    sim: &'a SimDisk,
    pub(crate) base: Base,
    random: Random,
    now: State,
    snapshots: Vec<State>,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) acknowledged: Option<u64>,
    /// Places that came free.
    pub(crate) freed: usize,
}

impl<'a> Owner<'a> {
    /// Opens; `models` are what should be there.
    pub(crate) fn open(sim: &'a SimDisk, seed: u64, models: Models) -> Result<Self, PageError> {
        let (base, found) = open(sim, None)?;
        let roots = roots_of(&found);
        Ok(Self {
            sim,
            base,
            random: Random::new(seed),
            now: State {
                alive: found.alive,
                roots,
                models,
            },
            snapshots: Vec::new(),
            attempts: Vec::new(),
            acknowledged: None,
            freed: 0,
        })
    }

    /// Drops the base and opens it again: what was not in a checkpoint is gone.
    pub(crate) fn reopen(&mut self) -> Result<(), PageError> {
        self.snapshots.clear();
        let (base, found) = open(self.sim, self.acknowledged)?;
        let attempts = self.attempts.iter();
        let attempt = attempts.rev().find(|one| one.sequence == found.sequence);
        self.now = State {
            roots: roots_of(&found),
            alive: found.alive,
            models: attempt.map(|one| one.models.clone()).unwrap_or_default(),
        };
        self.base = base;
        Ok(())
    }

    /// Updates for one tree: of the model's records some, and some new ones.
    fn updates(random: &mut Random, model: &Records) -> BTreeMap<Vec<u8>, Option<(u64, usize)>> {
        let mut updates = BTreeMap::new();
        let grows = model.len() < 250;
        for _ in 0..4 + random.below(if grows { 60 } else { 20 }) {
            let key = format!("user{:010}", random.below(400)).into_bytes();
            let len = match random.below(40) {
                0 => 150_000 + random.index(60_000),
                1 | 2 => 3000 + random.index(20_000),
                _ => random.index(300),
            };
            let deletes = random.one_in(if grows { 5 } else { 2 });
            let made = (!deletes).then(|| (random.next_u64(), len));
            updates.insert(key, made);
        }
        updates
    }

    /// The state that a unit makes of the newest one.
    fn make(
        random: &mut Random,
        (base, now): (&Base, &State),
        work: &Work<'_>,
    ) -> Result<([Root; 2], Models), PageError> {
        let (mut roots, mut models) = (now.roots, now.models.clone());
        for ((id, root), model) in TREES.into_iter().zip(&mut roots).zip(&mut models) {
            if random.one_in(12) {
                work.drop_tree(&base.tree(id), root)?;
                *root = Root::EMPTY;
                model.clear();
            }
            let batch = Self::updates(random, model);
            let contents: Vec<_> = batch.values().map(|made| made.map(content)).collect();
            let mut updates = Vec::new();
            for (key, content) in batch.keys().zip(&contents) {
                let body = match content {
                    None => None,
                    Some((value, vectors))
                        if must_be_large(TREE_PAGE, key.len(), value.len(), vectors.len()) =>
                    {
                        Some(Body::Large(work.write_large(id, value, vectors)?))
                    }
                    Some((value, vectors)) => Some(Body::Inline { value, vectors }),
                };
                let at = Timestamp(work.epoch().0);
                updates.push(Update { key, at, body });
            }
            let (next, merged) = base.tree(id).merge(root, &updates, work)?;
            *root = next;
            for large in &merged.dropped {
                work.drop_large(id, large)?;
            }
            for (key, made) in batch {
                match made {
                    Some(made) => model.insert(key, made),
                    None => model.remove(&key),
                };
            }
        }
        Ok((roots, models))
    }

    /// The state that a unit makes of the newest one by moving pages and putting leaves together.
    fn compact(
        random: &mut Random,
        (base, now): (&Base, &State),
        work: &Work<'_>,
    ) -> Result<([Root; 2], Models), PageError> {
        let mut roots = now.roots;
        let beyond = base.stats().store.space.used + random.below(64);
        for (id, root) in TREES.into_iter().zip(&mut roots) {
            let mut from = Some(Vec::new());
            while let Some(first) = from {
                let what = Compaction {
                    from: &first,
                    beyond,
                    pages: 1 + random.below(30),
                };
                let step = work.compact(&base.tree(id), root, &what)?;
                (*root, from) = (step.root, step.next);
            }
        }
        Ok((roots, now.models.clone()))
    }

    /// One epoch.
    pub(crate) fn epoch(&mut self) -> Result<(), PageError> {
        let work = self.base.work();
        let make = match self.random.one_in(4) {
            true => Self::compact,
            false => Self::make,
        };
        let (roots, models) = make(&mut self.random, (&self.base, &self.now), &work)?;
        if self.random.one_in(5) {
            drop(work);
        } else {
            let alive = work.publish()?;
            self.now = State {
                alive,
                roots,
                models,
            };
        }
        if self.random.one_in(4) {
            self.snapshots.push(self.now.clone());
        }
        if self.snapshots.len() > 3 {
            let at = self.random.index(self.snapshots.len());
            self.snapshots.swap_remove(at);
        }
        if self.random.one_in(3) {
            let dirty = self.base.pool().dirty_bytes();
            self.base.write_out(dirty / 2)?;
        }
        if self.random.one_in(2) {
            self.collect()?;
        }
        Ok(())
    }

    fn collect(&mut self) -> Result<(), PageError> {
        self.freed += self.base.collect()?;
        Ok(())
    }

    /// A checkpoint of the newest epoch, while the next one is under construction.
    pub(crate) fn checkpoint(&mut self) -> Result<(), PageError> {
        let work = self.base.work();
        let next = Self::make(&mut self.random, (&self.base, &self.now), &work)?;
        let (alive, number) = (self.now.alive.clone(), self.attempts.len());
        let position = Position {
            timestamp: Timestamp(alive.epoch().0 * 10),
            lsn: Lsn(alive.epoch().0 * 100),
        };
        self.attempts.push(Attempt {
            sequence: self.base.store().durable().0 + 1,
            roots: self.now.roots,
            models: self.now.models.clone(),
            position,
        });
        self.sim.mark(mark(number, false));
        let meta = encode(&self.now.roots);
        // Once the log knows of it, an older one is damage.
        let (sim, acknowledged) = (self.sim, &mut self.acknowledged);
        let mut note = |sequence| {
            sim.mark(mark(number, true));
            *acknowledged = Some(sequence);
            Ok(())
        };
        let made = self.base.checkpoint(&alive, position, &meta, &mut note);
        if self.random.one_in(2) {
            (self.now.roots, self.now.models) = next;
            self.now.alive = work.publish()?;
        }
        assert_eq!(made?, self.attempts[number].sequence);
        Ok(())
    }

    /// Every held snapshot is still what it was.
    pub(crate) fn check_snapshots(&self) -> Result<(), String> {
        for state in self.snapshots.iter().chain([&self.now]) {
            let compared = compare(&self.base, &state.roots, &state.models);
            compared.map_err(|what| format!("{:?}: {what}", state.alive))?;
        }
        Ok(())
    }

    /// One step of the run.
    pub(crate) fn step(&mut self) -> Result<(), PageError> {
        for _ in 0..1 + self.random.below(3) {
            self.epoch()?;
        }
        self.checkpoint()?;
        self.collect()?;
        if self.random.one_in(4) {
            self.base.store().cut(1 + self.random.below(40))?;
        }
        if self.random.one_in(6) {
            self.reopen()?;
        }
        Ok(())
    }
}

impl Attempt {
    pub(crate) fn models(&self) -> &Models {
        &self.models
    }
}
