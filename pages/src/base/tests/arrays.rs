//! Arrays against lists of what their elements are made from, over units that are published, abandoned or
//! break off, snapshots that are held, collections, checkpoints, compaction and openings; and several threads in
//! one unit.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use vellum_disk::{Disk, OpenMode};
use vellum_testkit::{Random, SimOptions};

use super::verify::spoil;
use super::*;
use crate::array::{Array, ArrayCompaction, ArrayRoot, ArrayWriter, Shape};
use crate::file::FILE_NAME;

/// Less than a unit makes.
const TINY: usize = 1 << 20;
const ARRAYS: usize = 3;

/// By number: what the element is made from.
type Model = Vec<u64>;

fn shape(array: usize) -> Shape {
    let (page, bytes) = [
        // Three levels, from 1,024 elements on.
        (PageSize::K4, 2000),
        (PageSize::K16, 52),
        // One to a page.
        (PageSize::K8, 5000),
    ][array];
    Shape::new(page, bytes).unwrap()
}

fn id(array: usize) -> TreeId {
    TreeId(7 + array as u32)
}

fn element(shape: Shape, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let word = random.next_u64().to_le_bytes();
    word.into_iter()
        .cycle()
        .take(shape.element_bytes())
        .collect()
}

#[derive(Clone, Debug)]
enum Change {
    Append(usize, u16, u64),
    Update(usize, u64, u64),
}

#[derive(Clone, Copy, Debug)]
enum End {
    Publish,
    /// The writers come to nothing, the unit does not.
    BreakOff,
    Abandon,
}

#[derive(Clone, Debug)]
enum Step {
    Work(Vec<Change>, End),
    Drop(usize),
    Compact(u8, u64),
    Hold,
    LetGo(usize),
    Collect,
    Checkpoint,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let append = |arrays: usize, most: u16| {
        let what = (0..arrays, 1..most, any::<u64>());
        what.prop_map(|(array, count, seed)| Change::Append(array, count, seed))
    };
    let update = (0..ARRAYS, any::<u64>(), any::<u64>());
    let update = update.prop_map(|(array, at, seed)| Change::Update(array, at, seed));
    let change = prop_oneof![1 => append(1, 700), 6 => append(ARRAYS, 9), 20 => update];
    let end =
        prop_oneof![6 => Just(End::Publish), 1 => Just(End::BreakOff), 1 => Just(End::Abandon)];
    prop_oneof![
        8 => (vec(change, 1..40), end).prop_map(|(changes, end)| Step::Work(changes, end)),
        1 => (0..ARRAYS).prop_map(Step::Drop),
        2 => (any::<u8>(), 1..200u64).prop_map(|(share, pages)| Step::Compact(share, pages)),
        2 => Just(Step::Hold),
        2 => any::<usize>().prop_map(Step::LetGo),
        3 => Just(Step::Collect),
        2 => Just(Step::Checkpoint),
        1 => Just(Step::Reopen),
    ]
}

#[derive(Clone)]
struct State {
    alive: Alive,
    roots: [ArrayRoot; ARRAYS],
    models: [Model; ARRAYS],
}

struct Run {
    sim: SimDisk,
    base: Base,
    now: State,
    durable: ([ArrayRoot; ARRAYS], [Model; ARRAYS]),
    held: Vec<State>,
}

fn encode(root: &ArrayRoot) -> Vec<u8> {
    let (top, records) = (root.top, root.len);
    super::encode(&Root { top, records })
}

fn decode(bytes: &[u8]) -> ArrayRoot {
    let Root { top, records: len } = super::decode(bytes);
    ArrayRoot { top, len }
}

impl Run {
    fn new() -> Self {
        let options = SimOptions {
            record: false,
            ..SimOptions::default()
        };
        let sim = SimDisk::with_options(1, options);
        let (base, found) = open(&sim, TINY);
        base.set_compressed(id(1), true);
        let now = State {
            alive: found.alive,
            roots: [ArrayRoot::EMPTY; ARRAYS],
            models: Default::default(),
        };
        Self {
            sim,
            base,
            durable: (now.roots, now.models.clone()),
            now,
            held: Vec::new(),
        }
    }

    fn array(&self, array: usize) -> Array {
        self.base.array(id(array), shape(array))
    }

    fn work(&mut self, changes: &[Change], end: End) {
        let arrays = [0, 1, 2].map(|array| self.array(array));
        let work = self.base.work();
        let mut next = self.now.clone();
        let writers = [0, 1, 2]
            .map(|array| ArrayWriter::new(&arrays[array], &next.roots[array], &work).unwrap());
        for change in changes {
            match *change {
                Change::Append(array, count, seed) => {
                    for seed in (0..u64::from(count)).map(|more| seed.wrapping_add(more)) {
                        let number = writers[array].append(&element(shape(array), seed)).unwrap();
                        assert_eq!(number, next.models[array].len() as u64);
                        next.models[array].push(seed);
                    }
                }
                Change::Update(array, at, seed) => {
                    let (writer, model) = (&writers[array], &mut next.models[array]);
                    let Some(number) = at.checked_rem(model.len() as u64) else {
                        assert!(writer.update(0, |_| ()).is_err());
                        continue;
                    };
                    let with = element(shape(array), seed);
                    let before = element(shape(array), model[number as usize]);
                    writer
                        .read(number, |found| assert!(found == before))
                        .unwrap();
                    let changed = writer.update(number, |found| {
                        assert!(found == before);
                        found.copy_from_slice(&with);
                    });
                    changed.unwrap();
                    model[number as usize] = seed;
                }
            }
        }
        match end {
            End::Publish => {
                for (root, writer) in next.roots.iter_mut().zip(writers) {
                    *root = writer.finish().unwrap();
                }
                next.alive = work.publish().unwrap();
                self.now = next;
            }
            End::BreakOff => {
                drop(writers);
                assert_eq!(work.made_steps(), 0);
                self.now.alive = work.publish().unwrap();
            }
            End::Abandon => {
                let [first, ..] = writers;
                first.finish().unwrap();
            }
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Work(changes, end) => self.work(&changes, end),
            Step::Drop(array) => {
                let work = self.base.work();
                let root = &self.now.roots[array];
                work.drop_array(&self.array(array), root).unwrap();
                self.now.alive = work.publish().unwrap();
                self.now.roots[array] = ArrayRoot::EMPTY;
                self.now.models[array].clear();
            }
            Step::Compact(share, pages) => self.compact(share, pages),
            Step::Hold => self.held.push(self.now.clone()),
            Step::LetGo(which) if !self.held.is_empty() => {
                let held = self.held.swap_remove(which % self.held.len());
                self.compare(&held);
            }
            Step::LetGo(_) => {}
            Step::Collect => drop(self.base.collect().unwrap()),
            Step::Checkpoint => self.checkpoint(),
            Step::Reopen => self.reopen(),
        }
    }

    fn compact(&mut self, share: u8, pages: u64) {
        let beyond = self.base.stats().store.space.file * u64::from(share) / 255;
        let work = self.base.work();
        for (array, root) in self.now.roots.iter_mut().enumerate() {
            let array = self.base.array(id(array), shape(array));
            let mut from = Some(0);
            while let Some(first) = from {
                let what = ArrayCompaction {
                    from: first,
                    beyond,
                    pages,
                };
                (*root, from) = array.compact(root, &what, &work).unwrap();
            }
        }
        self.now.alive = work.publish().unwrap();
        self.base.store().cut(1).unwrap();
    }

    fn checkpoint(&mut self) {
        let meta: Vec<u8> = self.now.roots.iter().flat_map(encode).collect();
        checkpoint(&self.base, &self.now.alive, &meta).unwrap();
        self.durable = (self.now.roots, self.now.models.clone());
    }

    /// What no checkpoint has is gone.
    fn reopen(&mut self) {
        self.held.clear();
        let found;
        (self.base, found) = open(&self.sim, TINY);
        self.base.set_compressed(id(1), true);
        let meta = found.meta.unwrap_or_else(|| vec![0; 24 * ARRAYS]);
        let roots: Vec<_> = meta.chunks(24).map(decode).collect();
        assert_eq!(roots, self.durable.0);
        self.now = State {
            alive: found.alive,
            roots: self.durable.0,
            models: self.durable.1.clone(),
        };
    }

    /// A state is what its model says; of many elements some are looked at.
    fn compare(&self, state: &State) {
        for (number, (root, model)) in state.roots.iter().zip(&state.models).enumerate() {
            let array = self.array(number);
            let reader = array.read(root).unwrap();
            assert_eq!(reader.len(), model.len() as u64);
            assert!(reader.get(reader.len()).is_err());
            let step = 1 + model.len() / 150;
            for (at, seed) in model.iter().enumerate().step_by(step) {
                let found = reader.get(at as u64).unwrap();
                assert!(*found == element(shape(number), *seed));
                let guard = array.pool().guard();
                assert_eq!(reader.see(&guard, at as u64), Some(&*found));
                assert_eq!(reader.see(&guard, reader.len()), None);
            }
            let some: Vec<u64> = (0..reader.len()).rev().step_by(97).take(20).collect();
            let many = reader.get_many(&some).unwrap();
            for (at, found) in some.iter().zip(many) {
                assert!(*found == element(shape(number), model[*at as usize]));
            }
        }
    }

    /// With all let go, what is used is what the checkpoint names.
    fn finish(mut self) {
        for held in std::mem::take(&mut self.held) {
            self.compare(&held);
        }
        self.compare(&self.now);
        self.checkpoint();
        self.base.collect().unwrap();
        assert_eq!(self.base.stats().store.waiting, 0);
        assert_eq!(self.base.pool().dirty_bytes(), 0);
        let arrays = [0, 1, 2].map(|array| (self.array(array), self.now.roots[array]));
        let report = self.base.verify(&self.now.alive, &[], &arrays).unwrap();
        assert!(report.is_clean() && report.space.is_some(), "{report:?}");
        for (report, model) in report.arrays.iter().zip(&self.now.models) {
            assert_eq!(report.elements, model.len() as u64);
        }
        let used = self.base.stats().store.space.used;
        self.reopen();
        assert_eq!(self.base.stats().store.space.used, used, "nothing leaks");
        self.compare(&self.now);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_state_stays_what_it_was_and_nothing_leaks(steps in vec(step(), 1..14)) {
        let mut run = Run::new();
        for step in steps {
            run.step(step);
        }
        run.finish();
    }
}

#[test]
fn threads_change_elements_of_one_page_and_of_others_and_append() {
    const THREADS: u64 = 4;
    const EACH: u64 = 300;
    let (base, _) = open(&SimDisk::new(1), TINY);
    let base = Arc::new(base);
    let counters = base.array(TreeId(1), Shape::new(PageSize::K4, 400).unwrap());
    let work = base.work();
    let filling = ArrayWriter::new(&counters, &ArrayRoot::EMPTY, &work).unwrap();
    (0..3000).for_each(|_| assert!(filling.append(&[0; 400]).is_ok()));
    let root = filling.finish().unwrap();
    let first = work.publish().unwrap();
    // Of pages beyond what may be changed at once, some are placed and copied again.
    let work = base.work();
    let writer = ArrayWriter::new(&counters, &root, &work).unwrap();
    let add = |thread: u64| {
        let mut random = Random::new(thread);
        for _ in 0..EACH {
            let number = random.below(3) * 1000 + random.below(40);
            let add = |element: &mut [u8]| element[3] = element[3].wrapping_add(1);
            writer.update(number, add).unwrap();
            writer.append(&[thread as u8 + 1; 400]).unwrap();
            writer
                .read(number, |element| assert_eq!(element[4], 0))
                .unwrap();
            let far = 200 * random.below(15);
            writer.update(far, |element| element[7] = 1).unwrap();
        }
    };
    let next = vellum_sync::atomic::AtomicU64::new(0);
    let work_of_one = || add(next.fetch_add(1, vellum_sync::atomic::Ordering::Relaxed));
    assert_eq!(
        vellum_sync::thread::together("array", THREADS as usize - 1, &work_of_one),
        THREADS as usize
    );
    let changed = writer.finish().unwrap();
    let _second = work.publish().unwrap();
    let reader = counters.read(&changed).unwrap();
    assert_eq!(reader.len(), 3000 + THREADS * EACH);
    let sum: u64 = (0..3000)
        .map(|at| u64::from(reader.get(at).unwrap()[3]))
        .sum();
    assert_eq!(sum, THREADS * EACH);
    for thread in 0..THREADS {
        let own =
            (3000..reader.len()).filter(|at| *reader.get(*at).unwrap() == [thread as u8 + 1; 400]);
        assert_eq!(own.count() as u64, EACH);
    }
    let before = counters.read(&root).unwrap();
    assert_eq!(before.len(), 3000);
    assert!((0..3000).all(|at| *before.get(at).unwrap() == [0; 400]));
    drop(first);
}

#[test]
fn what_is_damaged_is_told_by_its_elements_and_all_else_is_there() {
    let sim = SimDisk::new(1);
    let (base, _) = open(&sim, SMALL);
    let shape = Shape::new(PageSize::K4, 500).unwrap();
    let array = base.array(TreeId(3), shape);
    let work = base.work();
    let writer = ArrayWriter::new(&array, &ArrayRoot::EMPTY, &work).unwrap();
    (0..5000u32).for_each(|number| {
        let mut element = [0; 500];
        element[..4].copy_from_slice(&number.to_le_bytes());
        writer.append(&element).unwrap();
    });
    let root = writer.finish().unwrap();
    let alive = work.publish().unwrap();
    checkpoint(&base, &alive, &encode(&root)).unwrap();
    let mut places = Vec::new();
    array.walk(&root, &mut |at, _| places.push(at)).unwrap();
    let verify = |expected: &[std::ops::Range<u64>]| {
        let arrays = [(array.clone(), root)];
        let report = base.verify(&alive, &[], &arrays).unwrap();
        let lost = report
            .damage
            .iter()
            .map(|lost| lost.elements.clone().unwrap());
        assert!(
            lost.eq(expected.iter().map(|range| (TreeId(3), range.clone()))),
            "{report:?}"
        );
        let all: u64 = expected.iter().map(|lost| lost.end - lost.start).sum();
        assert_eq!(report.arrays[0].elements, 5000 - all);
        assert_eq!(report.is_clean(), expected.is_empty());
    };
    verify(&[]);
    // A page of elements, and the first directory: those below come before what is above them.
    let file = sim.open(FILE_NAME, OpenMode::Write).unwrap();
    for (lost, at) in [(24..32, places[3]), (0..8 * 512, places[512])] {
        spoil(&*file, at);
        verify(std::slice::from_ref(&lost));
        let (other, found) = open(&sim, SMALL);
        let other_array = other.array(TreeId(3), shape);
        let reader = other_array.read(&decode(&found.meta.unwrap())).unwrap();
        for number in [0, 23, 24, 31, 32, 4095, 4096, 4999] {
            let read = reader.get(number);
            assert_eq!(read.is_err(), lost.contains(&number), "{number}");
            assert_eq!(
                reader.get_many(&[4999, number]).is_err(),
                lost.contains(&number)
            );
            if let Err(error) = read {
                assert!(matches!(&error, PageError::Corrupt(found) if found.offset == at.offset()));
            }
        }
        // It can be dropped, without what cannot be found.
        let work = other.work();
        work.drop_array(&other_array, &root).unwrap();
        work.drop_array(&other_array, &ArrayRoot { len: 1, ..root })
            .unwrap();
        let _next = work.publish().unwrap();
        let unknown = if at == places[512] { 512 + 1 } else { 1 };
        assert_eq!(other.stats().store.waiting, places.len() - unknown);
        spoil(&*file, at);
    }
    verify(&[]);
    // Roots and shapes that it does not have.
    let (top, level) = root.top.unwrap();
    let wrong = [
        ArrayRoot { len: 0, ..root },
        ArrayRoot {
            len: 8 * 512,
            ..root
        },
        ArrayRoot {
            len: u64::MAX,
            ..root
        },
        // No memory is taken for as many directories.
        ArrayRoot {
            top: Some((top, 5)),
            len: 1 << 48,
        },
        ArrayRoot {
            top: Some((top, level + 1)),
            ..root
        },
        ArrayRoot { top: None, ..root },
    ];
    for root in wrong {
        assert!(array.read(&root).is_err(), "{root:?}");
    }
    let other = base.array(TreeId(3), Shape::new(PageSize::K4, 499).unwrap());
    assert!(
        other.read(&root).unwrap().get(0).is_err(),
        "of another shape"
    );
    let other = base.array(TreeId(4), shape);
    assert!(
        other.read(&root).unwrap().get(0).is_err(),
        "of another array"
    );
}

#[test]
fn elements_are_found_by_their_numbers_in_pages_of_every_size() {
    for page in PageSize::ALL {
        let most = page.bytes() - 64;
        for bytes in [1, 2, 3, 7, 64, 100, most / 2, most / 2 + 1, most] {
            let shape = Shape::new(page, bytes).unwrap();
            let per_page = (most / bytes) as u64;
            assert_eq!(shape.per_page(), per_page);
            let mut random = Random::new(bytes as u64);
            for _ in 0..1000 {
                let number = random.next_u64() >> (16 + random.below(48));
                let found = shape.split(number);
                assert_eq!(found, (number / per_page, (number % per_page) as usize));
            }
            for multiple in [1, 2, 1000, (1 << 47) / per_page].map(|many| many * per_page) {
                assert_eq!(shape.split(multiple), (multiple / per_page, 0));
                let last = (multiple / per_page - 1, per_page as usize - 1);
                assert_eq!(shape.split(multiple - 1), last);
            }
        }
        assert_eq!(Shape::new(page, 0), None);
        assert_eq!(Shape::new(page, most + 1), None);
    }
}

#[test]
fn an_array_grows_above_its_top() {
    let (base, _) = open(&SimDisk::new(1), SMALL);
    let shape = Shape::new(PageSize::K4, 2000).unwrap();
    let array = base.array(TreeId(1), shape);
    let (mut root, mut alive) = (ArrayRoot::EMPTY, Vec::new());
    for until in [1, 2, 3, 2 * 512, 2 * 512 + 1] {
        let work = base.work();
        let writer = ArrayWriter::new(&array, &root, &work).unwrap();
        for number in root.len..until {
            writer.append(&element(shape, number)).unwrap();
        }
        root = writer.finish().unwrap();
        alive.push(work.publish().unwrap());
        let reader = array.read(&root).unwrap();
        assert_eq!(reader.len(), until);
        assert!((0..until).all(|at| *reader.get(at).unwrap() == element(shape, at)));
    }
    assert_eq!(root.top.unwrap().1, 2);
}

#[test]
fn compaction_moves_pages_and_directories_to_the_front() {
    let (base, _) = open(&SimDisk::new(1), SMALL);
    let shape = Shape::new(PageSize::K4, 2000).unwrap();
    let fill = |array: &Array, work: &Work<'_>| {
        let writer = ArrayWriter::new(array, &ArrayRoot::EMPTY, work).unwrap();
        (0..2500u64).for_each(|number| {
            writer.append(&element(shape, number)).unwrap();
        });
        writer.finish().unwrap()
    };
    let (gone, stays) = (base.array(TreeId(1), shape), base.array(TreeId(2), shape));
    let work = base.work();
    let roots = (fill(&gone, &work), fill(&stays, &work));
    let alive = work.publish().unwrap();
    checkpoint(&base, &alive, b"").unwrap();
    let work = base.work();
    work.drop_array(&gone, &roots.0).unwrap();
    let mut alive = (alive, work.publish().unwrap()).1;
    checkpoint(&base, &alive, b"").unwrap();
    base.collect().unwrap();
    let pages = base.stats().store.space.used;
    let beyond = pages + 64;
    let places = |root: &ArrayRoot| {
        let mut places = Vec::new();
        stays.walk(root, &mut |at, _| places.push(at)).unwrap();
        assert_eq!(places.len(), 1250 + 3 + 1);
        places
    };
    // The directories alone are behind this.
    let before = places(&roots.1);
    let (behind, directories) = (before[1251].end(), [512, 1025, 1252, 1253]);
    let work = base.work();
    let what = ArrayCompaction {
        from: 0,
        beyond: behind,
        pages: u64::MAX,
    };
    let (mut root, _) = stays.compact(&roots.1, &what, &work).unwrap();
    alive = work.publish().unwrap();
    for (at, (new, old)) in places(&root).iter().zip(&before).enumerate() {
        assert_eq!(new == old, !directories.contains(&at), "{at}");
        assert!(new.end() <= behind);
    }
    let (mut from, mut steps) = (Some(0), 0);
    while let Some(first) = from {
        let work = base.work();
        let what = ArrayCompaction {
            from: first,
            beyond,
            pages: 300,
        };
        let before = root;
        (root, from) = stays.compact(&root, &what, &work).unwrap();
        assert_eq!(from.unwrap_or(1250), (first + 300).min(1250));
        assert!(work.made_steps() <= 300 + 3, "a step is bounded");
        assert_eq!(root == before, work.made_steps() == 0);
        alive = work.publish().unwrap();
        steps += 1;
    }
    assert_eq!(steps, 5);
    assert!(places(&root).iter().all(|at| at.end() <= beyond));
    let reader = stays.read(&root).unwrap();
    assert!((0..2500).all(|at| *reader.get(at).unwrap() == element(shape, at)));
    // Nothing reaches beyond any more.
    let work = base.work();
    let what = ArrayCompaction {
        from: 0,
        beyond,
        pages: u64::MAX,
    };
    assert_eq!(stays.compact(&root, &what, &work).unwrap(), (root, None));
    let what = ArrayCompaction { from: 1250, ..what };
    assert_eq!(stays.compact(&root, &what, &work).unwrap(), (root, None));
    drop((work, alive));
}
