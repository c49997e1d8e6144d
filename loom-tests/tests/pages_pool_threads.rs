//! The pool in larger scenarios than loom can exhaust: readers, holders and makers of pages on few
//! frames.

#![cfg(vellum_shuttle)]

use std::sync::Arc as StdArc;

use vellum_loom_tests::Model;
use vellum_pages::pool::{Hint, PageReader, Pool};
use vellum_pages::{PageError, PageRef, PageSize};
use vellum_sync::{random_u64, thread};

const SIZE: PageSize = PageSize::K4;
const FRAMES: usize = 6;
/// What the table takes of the budget.
const TABLE: usize = 4096;

struct MadeUp;

fn fill(at: PageRef, into: &mut [u8]) {
    into[0] = at.step() as u8;
    into[4095] = at.step() as u8;
}

fn check(at: PageRef, page: &[u8]) {
    assert_eq!((page[0], page[4095]), (at.step() as u8, at.step() as u8));
}

impl PageReader for MadeUp {
    fn read(&self, at: PageRef, _: PageSize, into: &mut [u8]) -> Result<(), PageError> {
        thread::yield_now();
        fill(at, into);
        Ok(())
    }
}

fn at(step: u64) -> PageRef {
    PageRef::new(step, 1).unwrap()
}

fn work(pool: &Pool, number: u64) {
    let own = at(100 + number);
    for _ in 0..6 {
        let random = random_u64();
        let page = at(1 + random % 9);
        match random >> 61 {
            0 | 1 => {
                let guard = pool.guard();
                let seen = guard.peek(page);
                thread::yield_now();
                if let Some(seen) = seen {
                    check(page, seen);
                }
            }
            2 | 3 => {
                if let Ok(mut new) = pool.create(SIZE) {
                    fill(own, &mut new);
                    pool.publish(new, own).unwrap();
                    pool.hold(own).iter().for_each(|held| check(own, held));
                    if random >> 60 & 1 == 0 {
                        pool.written(own);
                    }
                    pool.forget(own);
                }
            }
            kind => {
                let hint = [Hint::Hot, Hint::Normal, Hint::Scan][kind as usize % 3];
                if let Ok(held) = pool.fetch(page, SIZE, hint) {
                    thread::yield_now();
                    check(page, &held);
                }
            }
        }
    }
}

/// Everybody sees the page that was asked for, and no frame is lost.
#[test]
fn threads_share_few_frames() {
    let model = Model::new("pages_pool_threads::threads_share_few_frames");
    model.schedules(5_000).check(|| {
        let budget = FRAMES * SIZE.bytes() + TABLE;
        let pool = Pool::new(budget, StdArc::new(MadeUp)).unwrap();
        let threads: Vec<_> = (0..4)
            .map(|number| {
                let pool = pool.clone();
                thread::spawn(move || work(&pool, number))
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(pool.dirty_bytes(), 0);
        let all: Vec<_> = (0..FRAMES).map(|_| pool.create(SIZE).unwrap()).collect();
        assert_eq!(all.len(), FRAMES);
    });
}
