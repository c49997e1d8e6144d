//! An owner of a base: two trees, one of them compressed, with large values, and an array.
//!
//! Each epoch merges records, replaces and deletes some, drops a tree now and then, and changes elements and appends
//! some. Some units are
//! abandoned, some make pages anew instead; snapshots are held and read; the next unit is at work while a checkpoint of the last
//! one is made; pages are written out early; the base is dropped and opened again.

use std::collections::BTreeMap;
use std::ops::Bound;

use vellum_base::{Lsn, Timestamp};
use vellum_pages::array::{Array, ArrayCompaction, ArrayRoot, ArrayWriter, Shape};
use vellum_pages::base::{Base, BaseOptions, TREE_PAGE, Work};
use vellum_pages::pool::Hint;
use vellum_pages::state::Alive;
use vellum_pages::store::{Found, Opening, Position};
use vellum_pages::tree::node::{Body, Update, must_be_large};
use vellum_pages::tree::{Compaction, End, Root};
use vellum_pages::{PageError, PageRef, PageSize, TreeId};
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

/// Of a state, what its trees hold, and what the array's elements are made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Models {
    trees: [Records; 2],
    array: Vec<u64>,
}

/// A state's roots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Roots {
    trees: [Root; 2],
    array: ArrayRoot,
}

impl Roots {
    const EMPTY: Self = Self {
        trees: [Root::EMPTY; 2],
        array: ArrayRoot::EMPTY,
    };
}

/// Twelve elements to a page.
const ELEMENT: usize = 330;

fn array_of(base: &Base) -> Array {
    let shape = Shape::new(PageSize::K4, ELEMENT).expect("it fits");
    base.array(TreeId(11), shape)
}

fn element(seed: u64) -> [u8; ELEMENT] {
    [(); ELEMENT].map(|()| seed as u8 | 1)
}

/// A checkpoint that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) sequence: u64,
    roots: Roots,
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

fn encode(roots: &Roots) -> Vec<u8> {
    let words = |top: Option<(PageRef, u8)>, count| {
        let (at, level) = top.map_or((0, 0), |(at, level)| (at.bits(), level));
        [at, level.into(), count]
    };
    let [one, other] = roots.trees.map(|root| words(root.top, root.records));
    let array = words(roots.array.top, roots.array.len);
    let words = [one, other, array].concat();
    words.into_iter().flat_map(u64::to_le_bytes).collect()
}

fn decode(meta: &[u8]) -> Roots {
    let word = |at: usize| u64::from_le_bytes(meta[at * 8..at * 8 + 8].try_into().unwrap());
    let top = |at| PageRef::from_bits(word(at)).map(|top| (top, word(at + 1) as u8));
    Roots {
        trees: [0, 3].map(|at| Root {
            top: top(at),
            records: word(at + 2),
        }),
        array: ArrayRoot {
            top: top(6),
            len: word(8),
        },
    }
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

fn roots_of(found: &Found) -> Roots {
    let meta = found.meta.as_deref();
    meta.map_or(Roots::EMPTY, decode)
}

/// Every record and every element of a state is what its model says.
fn compare(base: &Base, roots: &Roots, models: &Models) -> Result<(), String> {
    compare_array(base, &roots.array, &models.array)?;
    for ((id, root), model) in TREES.into_iter().zip(&roots.trees).zip(&models.trees) {
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

fn compare_array(base: &Base, root: &ArrayRoot, model: &[u64]) -> Result<(), String> {
    let array = array_of(base);
    let named = |error: PageError| format!("array: {error}");
    let reader = array.read(root).map_err(named)?;
    if reader.len() != model.len() as u64 {
        return Err(format!(
            "array: {} of {} elements",
            reader.len(),
            model.len()
        ));
    }
    for (number, seed) in model.iter().enumerate() {
        if *reader.get(number as u64).map_err(named)? != element(*seed) {
            return Err(format!("array: {number} is another element"));
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
    let trees = [0, 1].map(|tree| (TREES[tree], roots.trees[tree]));
    let arrays = [(array_of(base), roots.array)];
    let report = base.verify(&found.alive, &trees, &arrays);
    let report = report.map_err(|error| format!("verify: {error}"))?;
    if !report.is_clean() || report.space.is_none() {
        return Err(format!("verify: {report:?}"));
    }
    Ok(())
}

#[derive(Clone)]
struct State {
    alive: Alive,
    roots: Roots,
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
    ) -> Result<(Roots, Models), PageError> {
        let (mut roots, mut models) = (now.roots, now.models.clone());
        Self::change_array(random, base, work, (&mut roots.array, &mut models.array))?;
        let trees = TREES.into_iter().zip(&mut roots.trees);
        for ((id, root), model) in trees.zip(&mut models.trees) {
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

    fn change_array(
        random: &mut Random,
        base: &Base,
        work: &Work<'_>,
        (root, model): (&mut ArrayRoot, &mut Vec<u64>),
    ) -> Result<(), PageError> {
        let array = array_of(base);
        if random.one_in(12) {
            work.drop_array(&array, root)?;
            *root = ArrayRoot::EMPTY;
            model.clear();
        }
        let writer = ArrayWriter::new(&array, root, work)?;
        for _ in 0..random.below(12) {
            let seed = random.next_u64();
            if random.one_in(3) || model.is_empty() {
                writer.append(&element(seed))?;
                model.push(seed);
            } else {
                let number = random.index(model.len());
                let change = |found: &mut [u8]| found.copy_from_slice(&element(seed));
                writer.update(number as u64, change)?;
                model[number] = seed;
            }
        }
        *root = writer.finish()?;
        Ok(())
    }

    /// The state that a unit makes of the newest one by moving pages and putting leaves together.
    fn compact(
        random: &mut Random,
        (base, now): (&Base, &State),
        work: &Work<'_>,
    ) -> Result<(Roots, Models), PageError> {
        let mut roots = now.roots;
        let beyond = base.stats().store.space.used + random.below(64);
        let mut from = Some(0);
        while let Some(first) = from {
            let what = ArrayCompaction {
                from: first,
                beyond,
                pages: 1 + random.below(5),
            };
            (roots.array, from) = array_of(base).compact(&roots.array, &what, work)?;
        }
        for (id, root) in TREES.into_iter().zip(&mut roots.trees) {
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
