//! An array that several threads change in one unit, in a pool that holds a part of its pages, beside a reader
//! of the state before.

#![cfg(vellum_shuttle)]

use std::sync::Arc;

use vellum_loom_tests::Model;
use vellum_pages::array::{Array, ArrayRoot, ArrayWriter, Shape};
use vellum_pages::base::{Base, BaseOptions};
use vellum_pages::store::Opening;
use vellum_pages::{PageSize, TreeId};
use vellum_sync::{random_u64, thread};
use vellum_testkit::{Random, SimDisk, SimOptions};

/// Two to a page.
const BYTES: usize = 2000;
const ELEMENTS: u64 = 60;
/// Some forty pages, a half of which may be dirty; an eighth of them are changed at once.
const POOL: usize = 192 << 10;

fn fill(array: &Array, base: &Base) -> ArrayRoot {
    let work = base.work();
    let writer = ArrayWriter::new(array, &ArrayRoot::EMPTY, &work).unwrap();
    for _ in 0..ELEMENTS {
        writer.append(&[0; BYTES]).unwrap();
    }
    let root = writer.finish().unwrap();
    // Kept for ever: the reader's.
    std::mem::forget(work.publish().unwrap());
    root
}

/// Each change counts once, an element is there as soon as the length says so, and where its number says, and who reads the state
/// before sees nothing of it.
#[test]
fn an_array_is_changed_by_several_threads() {
    let model = Model::new("pages_arrays::an_array_is_changed_by_several_threads");
    model.schedules(2_000).check(|| {
        let options = SimOptions {
            record: false,
            ..SimOptions::default()
        };
        let sim = SimDisk::with_options(random_u64(), options);
        let opening = Opening {
            database: Some([3; 16]),
            at_least: None,
            read_only: false,
        };
        let options = BaseOptions {
            opening,
            pool_bytes: POOL,
        };
        let (base, _found) = Base::open(&sim, options).unwrap();
        let base = Arc::new(base);
        let shape = Shape::new(PageSize::K4, BYTES).unwrap();
        let array = base.array(TreeId(1), shape);
        let root = fill(&array, &base);
        let reader = {
            let array = array.clone();
            thread::spawn(move || {
                let reader = array.read(&root).unwrap();
                for _ in 0..6 {
                    let number = random_u64() % ELEMENTS;
                    assert_eq!(*reader.get(number).unwrap(), [0; BYTES]);
                }
                assert!(reader.get(ELEMENTS).is_err());
            })
        };
        let work = base.work();
        let writer = ArrayWriter::new(&array, &root, &work).unwrap();
        let by_one = || {
            let mut random = Random::new(random_u64());
            for _ in 0..5 {
                let number = random.below(ELEMENTS);
                writer.update(number, |element| element[0] += 1).unwrap();
                let own = random.next_u64() as u8 | 1;
                let added = writer.append(&[own; BYTES]).unwrap();
                let is_there = |element: &[u8]| element == [own; BYTES];
                assert!(writer.read(added, is_there).unwrap());
                let last = writer.len() - 1;
                assert!(writer.read(last, |element| element[BYTES - 1] > 0).unwrap());
            }
        };
        assert_eq!(thread::together("array", 2, &by_one), 3);
        let changed = writer.finish().unwrap();
        let alive = work.publish().unwrap();
        let now = array.read(&changed).unwrap();
        assert_eq!(now.len(), ELEMENTS + 15);
        let counted = (0..ELEMENTS).map(|number| u64::from(now.get(number).unwrap()[0]));
        assert_eq!(counted.sum::<u64>(), 15);
        reader.join().unwrap();
        let arrays = [(array.clone(), changed)];
        let report = base.verify(&alive, &[], &arrays).unwrap();
        assert!(report.is_clean(), "{report:?}");
    });
}
