//! Models of the pool: no reader ever sees a frame that was freed, or another page's bytes.

#![cfg(vellum_loom)]

use std::sync::Arc as StdArc;

use vellum_loom_tests::Model;
use vellum_pages::pool::{Hint, PageReader, Pool, Span};
use vellum_pages::{PageError, PageRef, PageSize};
use vellum_sync::thread;

const SIZE: PageSize = PageSize::K4;

struct MadeUp;

impl PageReader for MadeUp {
    fn read(&self, at: PageRef, _: PageSize, into: &mut [u8]) -> Result<(), PageError> {
        into[0] = at.step() as u8;
        Ok(())
    }
}

/// A pool with so many frames.
fn pool(frames: usize) -> Pool {
    // Room for the table besides, less than a frame.
    let budget = frames * SIZE.bytes() + SIZE.bytes() / 2;
    Pool::new(budget, StdArc::new(MadeUp)).unwrap()
}

fn at(step: u64) -> PageRef {
    PageRef::new(step, 1).unwrap()
}

fn fetch(pool: &Pool, step: u64) -> bool {
    match pool.fetch(at(step), SIZE, Hint::Normal) {
        Ok(held) => {
            assert_eq!(u64::from(held[0]), step);
            true
        }
        Err(error) => {
            assert!(matches!(error, PageError::NoFrame { .. }));
            false
        }
    }
}

fn peek(pool: &Pool, step: u64) -> bool {
    let guard = pool.guard();
    let page = guard.peek(at(step));
    assert!(page.is_none_or(|page| u64::from(page[0]) == step));
    page.is_some()
}

fn publish(pool: &Pool, step: u64) -> bool {
    let Ok(mut page) = pool.create(SIZE) else {
        return false;
    };
    page[0] = step as u8;
    pool.publish(page, at(step)).unwrap();
    true
}

/// One frame: a page is evicted, its frame gets another page, while somebody reads.
#[test]
fn a_reader_beside_eviction_sees_its_page() {
    let model = Model::new("pages_pool::a_reader_beside_eviction_sees_its_page");
    model.preemptions(3).executions(300_000).check(|| {
        let pool = pool(1);
        assert!(fetch(&pool, 1));
        let other = pool.clone();
        let evictor = thread::spawn(move || fetch(&other, 2));
        let other = pool.clone();
        let reader = thread::spawn(move || peek(&other, 1));
        reader.join().unwrap();
        evictor.join().unwrap();
        assert!(fetch(&pool, 3), "nothing leaks");
    });
}

/// A page that is marked as used while it is evicted is not brought back.
#[test]
fn a_used_page_does_not_come_back() {
    let model = Model::new("pages_pool::a_used_page_does_not_come_back");
    model.preemptions(3).executions(300_000).check(|| {
        let pool = pool(1);
        assert!(fetch(&pool, 1));
        let other = pool.clone();
        let evictor = thread::spawn(move || fetch(&other, 2));
        let other = pool.clone();
        let reader = thread::spawn(move || {
            peek(&other, 1);
            peek(&other, 1);
        });
        reader.join().unwrap();
        let there = evictor.join().unwrap();
        assert!(!there || !peek(&pool, 1), "one frame, one page");
    });
}

/// A reader beside `make`, which brings page 1 into the pool, sees nothing of it or all.
fn is_seen_whole(name: &str, make: fn(&Pool, u64) -> bool) {
    let model = Model::new(format!("pages_pool::{name}"));
    model.preemptions(3).check(move || {
        let pool = pool(2);
        // Its piece of the table is there already, and orders nothing.
        assert!(publish(&pool, 2));
        let other = pool.clone();
        let writer = thread::spawn(move || assert!(make(&other, 1)));
        let other = pool.clone();
        let reader = thread::spawn(move || peek(&other, 1));
        reader.join().unwrap();
        writer.join().unwrap();
        assert!(peek(&pool, 1));
    });
}

/// What is published is seen whole.
#[test]
fn a_published_page_is_seen_whole() {
    is_seen_whole("a_published_page_is_seen_whole", publish);
}

/// What is read from the file is seen whole.
#[test]
fn a_fetched_page_is_seen_whole() {
    is_seen_whole("a_fetched_page_is_seen_whole", fetch);
}

/// A page that is pinned while it is evicted stays readable for who has it.
#[test]
fn a_pinned_page_stays() {
    let model = Model::new("pages_pool::a_pinned_page_stays");
    model.preemptions(3).executions(300_000).check(|| {
        let pool = pool(1);
        assert!(fetch(&pool, 1));
        let other = pool.clone();
        let evictor = thread::spawn(move || fetch(&other, 2));
        let other = pool.clone();
        let holder = thread::spawn(move || {
            // A part of it, which is read where it is, not through its pin.
            let held = other.guard().see(at(1), Hint::Scan).map(|seen| {
                let page = seen.page();
                seen.pin_part(Span::of(page, &page[..1], 0))
            });
            thread::yield_now();
            assert!(held.is_none_or(|held| held.first() == [1]));
        });
        holder.join().unwrap();
        evictor.join().unwrap();
        assert!(fetch(&pool, 3), "nothing leaks");
    });
}

/// A page is forgotten, and its frame and its place are given again, while somebody still reads it.
#[test]
fn a_forgotten_page_stays_for_its_readers() {
    let model = Model::new("pages_pool::a_forgotten_page_stays_for_its_readers");
    model.preemptions(3).executions(300_000).check(|| {
        let pool = pool(1);
        assert!(publish(&pool, 1));
        let other = pool.clone();
        let writer = thread::spawn(move || {
            other.forget(at(1));
            assert_eq!(other.dirty_bytes(), 0);
            publish(&other, 2)
        });
        let other = pool.clone();
        let reader = thread::spawn(move || peek(&other, 1));
        reader.join().unwrap();
        let published = writer.join().unwrap();
        assert_eq!(peek(&pool, 2), published);
        assert_eq!(pool.dirty_bytes(), usize::from(published) * SIZE.bytes());
    });
}

/// Two who miss a page get the same frame.
#[test]
fn a_page_gets_one_frame() {
    let model = Model::new("pages_pool::a_page_gets_one_frame");
    model.preemptions(3).executions(300_000).check(|| {
        let pool = pool(2);
        let threads = [(); 2].map(|()| {
            let pool = pool.clone();
            thread::spawn(move || {
                let held = pool.fetch(at(1), SIZE, Hint::Normal).unwrap();
                assert_eq!(held[0], 1);
                held.as_ptr().addr()
            })
        });
        let found = threads.map(|thread| thread.join().unwrap());
        let held = pool.hold(at(1)).unwrap();
        assert_eq!(found, [held.as_ptr().addr(); 2]);
        let last = pool.create(SIZE);
        assert!(last.is_ok(), "the loser's frame is free");
        drop((held, last));
        assert!(
            publish(&pool, 2) && publish(&pool, 3),
            "and so is the winner's"
        );
    });
}

/// Who fetches many gets the frame of another who was first with one of them, or is first.
#[test]
fn one_of_many_gets_one_frame() {
    let model = Model::new("pages_pool::one_of_many_gets_one_frame");
    model.preemptions(2).executions(300_000).check(|| {
        let pool = pool(3);
        let other = pool.clone();
        let many = thread::spawn(move || {
            let held = other.fetch_many(&[at(1), at(2)], SIZE, Hint::Normal);
            let held = held.unwrap();
            assert_eq!((held[0][0], held[1][0]), (1, 2));
            [0, 1].map(|which: usize| held[which].as_ptr().addr())
        });
        let other = pool.clone();
        let one = thread::spawn(move || {
            let held = other.fetch(at(2), SIZE, Hint::Normal).unwrap();
            held.as_ptr().addr()
        });
        let (many, one) = (many.join().unwrap(), one.join().unwrap());
        let [first, second] = [1, 2].map(|step| pool.hold(at(step)).unwrap().as_ptr().addr());
        assert_eq!((many, one), ([first, second], second));
        assert!(pool.create(SIZE).is_ok(), "the loser's frame is free");
    });
}

/// A dirty page is not evicted; when it is written, it may be.
#[test]
fn a_dirty_page_is_not_lost() {
    let model = Model::new("pages_pool::a_dirty_page_is_not_lost");
    model.preemptions(3).executions(300_000).check(|| {
        let pool = pool(1);
        assert!(publish(&pool, 1));
        let other = pool.clone();
        let writer = thread::spawn(move || {
            assert!(peek(&other, 1), "not yet written");
            other.written(at(1));
        });
        let other = pool.clone();
        let evictor = thread::spawn(move || fetch(&other, 2));
        evictor.join().unwrap();
        writer.join().unwrap();
        assert_eq!(pool.dirty_bytes(), 0);
        assert!(fetch(&pool, 1), "the file has it");
    });
}
