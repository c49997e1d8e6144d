//! A base in whole under shuttle: merges, checkpoints, compaction and cutting, collection, eviction and
//! readers at once, in a pool that holds a part of the pages, on the simulated disk.
//!
//! On every schedule: a state that somebody holds is read as it was made; what was made is sound, with
//! nothing leaked and nothing that is needed given away; opened again, it is what the last checkpoint had.

#![cfg(vellum_shuttle)]

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use vellum_base::{Lsn, Timestamp};
use vellum_loom_tests::Model;
use vellum_pages::TreeId;
use vellum_pages::base::{Base, BaseOptions, TREE_PAGE, Work};
use vellum_pages::pool::Hint;
use vellum_pages::state::Alive;
use vellum_pages::store::{Opening, Position};
use vellum_pages::tree::node::{Body, Update, must_be_large};
use vellum_pages::tree::{Compaction, End, Root};
use vellum_sync::{Mutex, random_u64, thread};
use vellum_testkit::{Random, SimDisk, SimOptions};

const TREES: [TreeId; 2] = [TreeId(1), TreeId(2)];
const KEYS: u64 = 260;
/// Some eighty pages, of which half may be held at once: those of one state, and some of older ones.
const POOL: usize = 640 << 10;

/// By key: what its value is made from, and how long it is.
type Records = BTreeMap<Vec<u8>, (u64, usize)>;

#[derive(Clone)]
struct State {
    alive: Alive,
    roots: [Root; 2],
    models: [Records; 2],
}

struct Owner {
    base: Base,
    now: Mutex<State>,
    /// Whose turn it is to make a state of the newest one.
    turn: Mutex<()>,
    durable: Mutex<[Records; 2]>,
}

fn value((seed, len): (u64, usize)) -> Vec<u8> {
    let mut random = Random::new(seed);
    (0..len).map(|_| random.next_u64() as u8).collect()
}

fn open(sim: &SimDisk) -> (Base, vellum_pages::store::Found) {
    let opening = Opening {
        database: Some([3; 16]),
        at_least: None,
        read_only: false,
    };
    let pool_bytes = POOL;
    let options = BaseOptions {
        opening,
        pool_bytes,
    };
    Base::open(sim, options).unwrap()
}

fn encode(roots: &[Root; 2]) -> Vec<u8> {
    let words = |root: &Root| {
        let (at, level) = root.top.map_or((0, 0), |(at, level)| (at.bits(), level));
        [at, level.into(), root.records]
    };
    roots
        .iter()
        .flat_map(words)
        .flat_map(u64::to_le_bytes)
        .collect()
}

fn decode(meta: &[u8]) -> [Root; 2] {
    let word = |at: usize| u64::from_le_bytes(meta[at * 8..at * 8 + 8].try_into().unwrap());
    [0, 3].map(|at| Root {
        top: vellum_pages::PageRef::from_bits(word(at)).map(|top| (top, word(at + 1) as u8)),
        records: word(at + 2),
    })
}

fn is_same(base: &Base, body: Body<'_>, made: (u64, usize)) -> bool {
    match body {
        Body::Inline { value: found, .. } => found == value(made),
        Body::Large(large) => base.read_large(&large).unwrap().value() == value(made),
    }
}

fn compare(base: &Base, roots: &[Root; 2], models: &[Records; 2]) {
    for ((id, root), model) in TREES.into_iter().zip(roots).zip(models) {
        let tree = base.tree(id);
        let mut range = tree.range(root, Bound::Unbounded, Bound::Unbounded, Hint::Scan);
        let mut expected = model.iter();
        while let Some((key, record)) = range.next(End::Front).unwrap() {
            let (other, made) = expected.next().expect("a record too many");
            assert!(
                key == other && is_same(base, record.body, *made),
                "{other:?}"
            );
        }
        assert!(expected.next().is_none(), "a record is missing");
    }
}

impl Owner {
    fn empty(sim: &SimDisk) -> Self {
        let (base, found) = open(sim);
        let now = State {
            alive: found.alive,
            roots: [Root::EMPTY; 2],
            models: Default::default(),
        };
        Self {
            base,
            now: Mutex::new(now),
            turn: Mutex::new(()),
            durable: Mutex::default(),
        }
    }

    fn new(sim: &SimDisk) -> Arc<Self> {
        let owner = Arc::new(Self::empty(sim));
        owner.merge(2 * KEYS);
        owner
    }

    /// A state of the newest one; `None`: the unit is abandoned.
    fn make(&self, by: impl FnOnce(&mut State, &Work<'_>) -> bool) {
        let _turn = self.turn.lock();
        let mut next = self.now.lock().clone();
        let work = self.base.work();
        if by(&mut next, &work) {
            next.alive = work.publish().unwrap();
            *self.now.lock() = next;
        }
    }

    fn merge(&self, count: u64) {
        let mut random = Random::new(random_u64());
        self.make(|next, work| {
            for (tree, id) in TREES.into_iter().enumerate() {
                let root = &mut next.roots[tree];
                let batch = batch(&mut random, count);
                let values: Vec<_> = batch.values().map(|made| made.map(value)).collect();
                let mut updates = Vec::new();
                for (key, value) in batch.keys().zip(&values) {
                    let body = value.as_ref().map(|value| {
                        if must_be_large(TREE_PAGE, key.len(), value.len(), 0) {
                            return Body::Large(work.write_large(id, value, &[]).unwrap());
                        }
                        let vectors = &[][..];
                        Body::Inline { value, vectors }
                    });
                    let at = Timestamp(work.epoch().0);
                    updates.push(Update { key, at, body });
                }
                let merged = work.merge(&self.base.tree(id), root, &updates);
                let (made, merged) = merged.unwrap();
                *root = made;
                for large in &merged.dropped {
                    work.drop_large(id, large).unwrap();
                }
                for (key, made) in batch {
                    match made {
                        Some(made) => next.models[tree].insert(key, made),
                        None => next.models[tree].remove(&key),
                    };
                }
            }
            !random.one_in(4)
        });
        self.base.collect().unwrap();
    }

    /// One record in a page of its own, in place of the one that was there.
    fn put(&self, seed: u64) {
        let (key, made) = (b"k".to_vec(), (seed, 100));
        self.make(|next, work| {
            let (value, vectors, at) = (&value(made)[..], &[][..], Timestamp(work.epoch().0));
            let body = Some(Body::Inline { value, vectors });
            let update = Update {
                key: &key,
                at,
                body,
            };
            let merged = work.merge(&self.base.tree(TREES[0]), &next.roots[0], &[update]);
            next.roots[0] = merged.unwrap().0;
            next.models[0].insert(key.clone(), made);
            true
        });
    }

    /// Both trees from end to end, in short steps.
    fn compact(&self) {
        let space = self.base.stats().store.space;
        let beyond = space.used + random_u64() % 8;
        for (tree, id) in TREES.into_iter().enumerate() {
            let mut from = Some(Vec::new());
            while let Some(first) = from.take() {
                let what = Compaction {
                    from: &first,
                    beyond,
                    pages: 4,
                };
                self.make(|next, work| {
                    let root = &mut next.roots[tree];
                    let step = work.compact(&self.base.tree(id), root, &what).unwrap();
                    *root = step.root;
                    from = step.next;
                    true
                });
            }
        }
        self.base.store().cut(1).unwrap();
    }

    fn checkpoint(&self) {
        let state = self.now.lock().clone();
        let position = Position {
            timestamp: Timestamp(state.alive.epoch().0),
            lsn: Lsn(0),
        };
        let meta = encode(&state.roots);
        let made = self
            .base
            .checkpoint(&state.alive, position, &meta, &mut |_| Ok(()));
        made.unwrap();
        *self.durable.lock() = state.models;
        self.base.collect().unwrap();
    }

    fn read(&self) {
        let mut random = Random::new(random_u64());
        let state = self.now.lock().clone();
        for _ in 0..4 {
            let tree = random.index(2);
            let key = key(&mut random);
            let of = self.base.tree(TREES[tree]);
            let found = of.get(&state.roots[tree], &key).unwrap();
            let expected = state.models[tree].get(&key);
            assert_eq!(found.is_some(), expected.is_some());
            if let (Some(found), Some(made)) = (found, expected) {
                match found.body() {
                    Ok((inline, _)) => assert!(inline == value(*made)),
                    Err(large) => assert!(is_same(&self.base, Body::Large(large), *made)),
                }
            }
            thread::yield_now();
        }
        compare(&self.base, &state.roots, &state.models);
    }
}

fn key(random: &mut Random) -> Vec<u8> {
    format!("k{:03}", random.below(KEYS)).into_bytes()
}

/// Half of what is written is removals; now and then a record has pages of its own.
fn batch(random: &mut Random, count: u64) -> BTreeMap<Vec<u8>, Option<(u64, usize)>> {
    let one = |_| {
        let len = if random.one_in(30) { 70_000 } else { 1500 };
        let made = random.one_in(2).then(|| (random.next_u64(), len));
        (key(random), made)
    };
    (0..count).map(one).collect()
}

#[test]
fn merges_checkpoints_compaction_eviction_and_readers() {
    let model = Model::new("pages_base::merges_checkpoints_compaction_eviction_and_readers");
    model.schedules(300).check(|| {
        let options = SimOptions {
            record: false,
            ..SimOptions::default()
        };
        let sim = SimDisk::with_options(random_u64(), options);
        let owner = Owner::new(&sim);
        let go = |times: usize, what: fn(&Owner)| {
            let owner = Arc::clone(&owner);
            thread::spawn(move || (0..times).for_each(|_| what(&owner)))
        };
        let all = [
            go(4, |owner| owner.merge(12)),
            go(2, Owner::compact),
            go(4, Owner::checkpoint),
            go(2, Owner::read),
            go(2, Owner::read),
        ];
        for one in all {
            one.join().unwrap();
        }
        let owner = Arc::into_inner(owner).expect("all threads are done");
        owner.checkpoint();
        let state = owner.now.lock().clone();
        compare(&owner.base, &state.roots, &state.models);
        let trees = [0, 1].map(|tree| (TREES[tree], state.roots[tree]));
        let report = owner.base.verify(&state.alive, &trees, &[]).unwrap();
        assert!(report.is_clean(), "{report:?}");
        let durable = owner.durable.lock().clone();
        drop((owner, state));
        let (base, found) = open(&sim);
        compare(&base, &decode(&found.meta.unwrap()), &durable);
    });
}

/// A page that is on its way to the file keeps its place until it is there: the page that has the place
/// next is written after it, and read back.
#[test]
fn a_place_is_written_by_its_last_owner() {
    let model = Model::new("pages_base::a_place_is_written_by_its_last_owner");
    model.schedules(2_500).check(|| {
        let sim = SimDisk::with_options(random_u64(), SimOptions::default());
        let owner = Arc::new(Owner::empty(&sim));
        owner.put(0);
        let other = Arc::clone(&owner);
        let writer = thread::spawn(move || other.base.write_out(0).unwrap());
        for seed in 1..4 {
            owner.put(seed);
            owner.base.collect().unwrap();
        }
        writer.join().unwrap();
        owner.checkpoint();
        let models = owner.now.lock().models.clone();
        drop(owner);
        let (base, found) = open(&sim);
        compare(&base, &decode(&found.meta.unwrap()), &models);
    });
}
