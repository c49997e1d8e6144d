//! Tests of the pool on one thread and on several, with a reader that makes pages up.

use std::sync::Arc as StdArc;
use std::time::Duration;

use vellum_sync::atomic::{AtomicBool, AtomicU64, Ordering};
use vellum_sync::thread;

use super::*;

const KIB: usize = 1024;

/// Pages whose bytes follow from their place.
#[derive(Default)]
struct MadeUp {
    reads: AtomicU64,
    fails: AtomicBool,
}

fn fill(at: PageRef, into: &mut [u8]) {
    let words = into.chunks_exact_mut(8).enumerate();
    words.for_each(|(i, word)| word.copy_from_slice(&(at.bits() ^ i as u64).to_le_bytes()));
}

fn is_page(at: PageRef, bytes: &[u8]) -> bool {
    let mut words = bytes.chunks_exact(8).enumerate();
    words.all(|(i, word)| word == (at.bits() ^ i as u64).to_le_bytes())
}

impl PageReader for MadeUp {
    fn read(&self, at: PageRef, size: PageSize, into: &mut [u8]) -> Result<(), PageError> {
        assert_eq!(into.len(), size.bytes());
        self.reads.fetch_add(1, Ordering::Relaxed);
        fill(at, into);
        if self.fails.load(Ordering::Relaxed) {
            return Err(PageError::NoFrame { bytes: 1 });
        }
        Ok(())
    }
}

/// Memory that the table takes where no test goes beyond the file's first 2 MiB.
const TABLE: usize = 4 * KIB;

/// A pool with so many bytes of frames.
fn pool(frames: usize) -> (Pool, StdArc<MadeUp>) {
    let reader = StdArc::new(MadeUp::default());
    let pool = Pool::new(frames + TABLE, StdArc::clone(&reader) as _).unwrap();
    (pool, reader)
}

/// The `number`th place of pages of a size.
fn place(number: u64, size: PageSize) -> PageRef {
    PageRef::new(16 + number * u64::from(size.steps()), size.steps()).unwrap()
}

fn publish(pool: &Pool, at: PageRef, size: PageSize) {
    let mut page = pool.create(size).unwrap();
    fill(at, &mut page);
    pool.publish(page, at).unwrap();
}

#[test]
fn a_part_of_a_page_is_what_it_was_cut_from() {
    let (pool, _) = pool(64 * KIB);
    let at = place(0, PageSize::K8);
    publish(&pool, at, PageSize::K8);
    let guard = pool.guard();
    let seen = guard.see(at, Hint::Normal).unwrap();
    let page = seen.page();
    let last = page.len();
    for (start, middle, end) in [(0, 0, 0), (3, 77, 77), (3, 77, last), (last, last, last)] {
        let part = seen.pin_part(Span::of(page, &page[start..middle], end - middle));
        assert_eq!(part.first(), &page[start..middle]);
        assert_eq!(part.second(), &page[middle..end]);
        assert_eq!(part.clone().second(), part.second());
    }
    // What lies elsewhere is no part of it.
    let other = [0; 16];
    for span in [
        Span::of(page, &other, 0),
        Span::of(page, &page[last - 8..], 1),
    ] {
        let part = seen.pin_part(span);
        assert!(part.first().is_empty() && part.second().is_empty());
    }
}

fn is_no_frame<T>(result: Result<T, PageError>) -> bool {
    matches!(result, Err(PageError::NoFrame { .. }))
}

#[test]
fn what_is_fetched_is_found() {
    let (pool, reader) = pool(512 * KIB);
    for size in PageSize::ALL {
        let at = place(20 + 5 * size.class() as u64, size);
        assert!(pool.guard().peek(at).is_none() && pool.hold(at).is_none());
        let held = pool.fetch(at, size, Hint::Normal).unwrap();
        assert!(held.len() == size.bytes() && is_page(at, &held) && held.at() == Some(at));
        let guard = pool.guard();
        assert!(guard.is_present(at));
        for found in [guard.peek(at), guard.glance(at)] {
            assert!(std::ptr::eq(found.unwrap(), &raw const *held));
        }
        guard.prefetch_entry(at);
        guard.prefetch(at);
        assert!(std::ptr::eq(&*guard.pin(at).unwrap(), &raw const *held));
    }
    let stats = pool.stats();
    assert_eq!((stats.hits, stats.misses), (15, 5));
    assert_eq!(reader.reads.load(Ordering::Relaxed), 5);
    assert_eq!(stats.resident_bytes, 31 * 4 * KIB);
}

#[test]
fn many_are_fetched_in_their_order_and_read_once() {
    let size = PageSize::K8;
    let (pool, reader) = pool(16 * size.bytes());
    let numbers = [7, 3, 9, 1, 4];
    let places = numbers.map(|number| place(number, size));
    drop(pool.fetch(places[1], size, Hint::Normal).unwrap());
    publish(&pool, places[3], size);
    for reads in [4, 4] {
        let held = pool.fetch_many(&places, size, Hint::Normal).unwrap();
        for (at, held) in places.iter().zip(&held) {
            assert!(held.at() == Some(*at) && is_page(*at, held));
        }
        assert_eq!(reader.reads.load(Ordering::Relaxed), reads);
    }
    assert!(pool.fetch_many(&[], size, Hint::Scan).unwrap().is_empty());
    // One asked for twice is one page.
    let twice = [place(20, size), place(20, size)];
    let held = pool.fetch_many(&twice, size, Hint::Normal).unwrap();
    assert!(std::ptr::eq(&raw const *held[0], &raw const *held[1]));
}

#[test]
fn many_that_fail_or_do_not_fit_leave_their_frames() {
    let size = PageSize::K4;
    let (pool, reader) = pool(8 * size.bytes());
    let places: Vec<_> = (0..12).map(|number| place(number, size)).collect();
    for _ in 0..10 {
        assert!(is_no_frame(pool.fetch_many(&places, size, Hint::Normal)));
        reader.fails.store(true, Ordering::Relaxed);
        assert!(pool.fetch_many(&places[..8], size, Hint::Normal).is_err());
        reader.fails.store(false, Ordering::Relaxed);
    }
    let held = pool.fetch_many(&places[..8], size, Hint::Normal).unwrap();
    assert!(
        held.iter()
            .zip(&places)
            .all(|(held, at)| is_page(*at, held))
    );
}

#[test]
fn a_failed_read_leaves_nothing() {
    let (pool, reader) = pool(4 * 4 * KIB);
    let at = place(1, PageSize::K4);
    reader.fails.store(true, Ordering::Relaxed);
    for _ in 0..10 {
        assert!(pool.fetch(at, PageSize::K4, Hint::Normal).is_err());
        assert!(pool.hold(at).is_none());
    }
    assert_eq!(pool.stats().resident_bytes, 4 * KIB);
    reader.fails.store(false, Ordering::Relaxed);
    let held = pool.fetch(at, PageSize::K4, Hint::Normal).unwrap();
    assert!(is_page(at, &held));
}

#[test]
fn dirty_pages_stay_until_they_are_written() {
    let size = PageSize::K8;
    let (pool, reader) = pool(16 * size.bytes());
    for number in 0..16 {
        publish(&pool, place(number, size), size);
    }
    assert_eq!(pool.dirty_bytes(), 16 * size.bytes());
    assert!(is_no_frame(pool.create(size)) && is_no_frame(pool.create(PageSize::K64)));
    assert!(is_no_frame(pool.fetch(place(99, size), size, Hint::Hot)));
    for number in 0..16 {
        assert!(is_page(
            place(number, size),
            &pool.hold(place(number, size)).unwrap()
        ));
    }
    pool.written(place(3, size));
    pool.written(place(3, size));
    pool.written(place(77, size));
    assert_eq!(pool.dirty_bytes(), 15 * size.bytes());
    assert!(is_page(
        place(99, size),
        &pool.fetch(place(99, size), size, Hint::Hot).unwrap()
    ));
    assert!(
        pool.hold(place(3, size)).is_none(),
        "it was the only clean one"
    );
    // A dead page need not be written.
    pool.forget(place(4, size));
    pool.forget(place(4, size));
    assert_eq!(pool.dirty_bytes(), 14 * size.bytes());
    drop(pool.create(size).unwrap());
    assert_eq!(reader.reads.load(Ordering::Relaxed), 1);
}

#[test]
fn held_pages_stay_whatever_happens() {
    let size = PageSize::K4;
    let (pool, _) = pool(16 * size.bytes());
    let fetch = |number| pool.fetch(place(number, size), size, Hint::Normal);
    let mut held: Vec<_> = (0..15).map(|number| fetch(number).unwrap()).collect();
    for number in 100..200 {
        assert!(is_page(place(number, size), &fetch(number).unwrap()));
    }
    held.push(fetch(15).unwrap());
    assert!(is_no_frame(fetch(16)));
    let again = held[7].clone();
    for number in 0..16 {
        pool.forget(place(number, size));
    }
    assert!(is_no_frame(fetch(16)), "forgotten, and still held");
    for (number, held) in held.iter().enumerate() {
        assert!(is_page(place(number as u64, size), held));
    }
    drop(held);
    for number in 16..100 {
        drop(fetch(number).unwrap());
        assert!(is_page(place(7, size), &again));
    }
    assert_eq!(pool.stats().resident_bytes, 16 * size.bytes());
}

#[test]
fn a_guard_keeps_what_it_saw() {
    let size = PageSize::K4;
    let (pool, _) = pool(4 * size.bytes());
    for number in 0..4 {
        drop(pool.fetch(place(number, size), size, Hint::Normal).unwrap());
    }
    let guard = pool.guard();
    let seen: Vec<_> = (0..4)
        .map(|n| guard.peek(place(n, size)).unwrap())
        .collect();
    // Against rule 8, to see that it ends.
    assert!(is_no_frame(pool.fetch(place(9, size), size, Hint::Normal)));
    for (number, seen) in seen.into_iter().enumerate() {
        assert!(is_page(place(number as u64, size), seen));
    }
    drop(guard);
    assert!(pool.fetch(place(9, size), size, Hint::Normal).is_ok());
}

/// Who has a guard may lose the processor for longer than one waits for anything else.
#[test]
fn who_needs_a_frame_waits_for_a_guard_that_is_kept_for_long() {
    let size = PageSize::K4;
    let (pool, _) = pool(4 * size.bytes());
    for number in 0..4 {
        drop(pool.fetch(place(number, size), size, Hint::Normal).unwrap());
    }
    let guard = pool.guard();
    let seen = guard.peek(place(0, size)).unwrap();
    let (other, ended) = (pool.clone(), StdArc::new(AtomicBool::new(false)));
    let ends = StdArc::clone(&ended);
    let fetching = thread::spawn(move || {
        let page = other.fetch(place(9, size), size, Hint::Normal);
        ends.store(true, Ordering::Release);
        page.map(|page| is_page(place(9, size), &page))
    });
    // Yields and short sleeps are over, and a second of long ones.
    while pool.stats().waits < 64 + 7 + 80 && !ended.load(Ordering::Acquire) {
        thread::sleep(Duration::from_millis(1));
    }
    assert!(!ended.load(Ordering::Acquire) && is_page(place(0, size), seen));
    drop(guard);
    assert!(fetching.join().unwrap().unwrap());
}

#[test]
fn a_place_may_be_given_again() {
    let (size, at) = (PageSize::K4, place(5, PageSize::K4));
    let (pool, _) = pool(8 * size.bytes());
    for round in 0..100_u64 {
        let mut page = pool.create(size).unwrap();
        page.fill(round as u8);
        pool.publish(page, at).unwrap();
        let held = pool.hold(at).unwrap();
        assert!(held.iter().all(|&byte| byte == round as u8));
        if round % 2 == 0 {
            pool.forget(at);
            assert!(pool.hold(at).is_none());
        }
    }
    assert_eq!(pool.dirty_bytes(), size.bytes());
}

/// How many of the first `count` pages are in memory.
fn present(pool: &Pool, count: u64, size: PageSize) -> usize {
    let guard = pool.guard();
    (0..count)
        .filter(|&n| guard.is_present(place(n, size)))
        .count()
}

#[test]
fn scans_do_not_push_out_what_is_used() {
    let size = PageSize::K4;
    let (pool, _) = pool(256 * size.bytes());
    for number in 0..200 {
        drop(pool.fetch(place(number, size), size, Hint::Normal).unwrap());
    }
    // Nobody has used them since: what protects them is that scans go first.
    for number in 1000..5000 {
        let held = pool.fetch(place(number, size), size, Hint::Scan).unwrap();
        assert!(is_page(place(number, size), &held));
        assert!(pool.guard().glance(place(number, size)).is_some());
    }
    assert_eq!(present(&pool, 200, size), 200);
    // Others do push them out.
    for number in 5000..6000 {
        drop(pool.fetch(place(number, size), size, Hint::Normal).unwrap());
    }
    assert_eq!(present(&pool, 200, size), 0);
}

#[test]
fn what_a_scan_brought_and_others_use_stays() {
    let size = PageSize::K4;
    let (pool, _) = pool(256 * size.bytes());
    let wanted = place(0, size);
    drop(pool.fetch(wanted, size, Hint::Scan).unwrap());
    for number in 1..2000 {
        assert!(pool.guard().peek(wanted).is_some());
        drop(pool.fetch(place(number, size), size, Hint::Scan).unwrap());
    }
}

/// Makes room for so many pages, all of which are used.
fn push_out(pool: &Pool, numbers: std::ops::Range<u64>, size: PageSize) {
    for number in numbers {
        drop(pool.fetch(place(number, size), size, Hint::Normal).unwrap());
    }
}

#[test]
fn what_was_made_leaves_a_mark_only_if_somebody_read_it() {
    let size = PageSize::K8;
    let (pool, _) = pool(256 * size.bytes());
    let make = |numbers: std::ops::Range<u64>| {
        for number in numbers {
            publish(&pool, place(number, size), size);
            pool.written(place(number, size));
        }
    };
    make(0..32);
    push_out(&pool, 1000..1300, size);
    assert_eq!(present(&pool, 32, size), 0);
    push_out(&pool, 0..32, size);
    assert_eq!(pool.stats().refaults, 0, "nobody had asked for them");
    make(32..64);
    for number in 32..64 {
        assert!(pool.guard().peek(place(number, size)).is_some());
    }
    for number in 2000.. {
        push_out(&pool, number..number + 1, size);
        if present(&pool, 64, size) == 0 {
            break;
        }
    }
    let before = pool.stats().refaults;
    push_out(&pool, 32..64, size);
    assert!(pool.stats().refaults > before + 8, "{:?}", pool.stats());
}

#[test]
fn what_a_scan_brought_leaves_no_mark_though_the_hand_evicts_it() {
    let size = PageSize::K8;
    let (pool, _) = pool(256 * size.bytes());
    let scan = || {
        // Fewer than are queued before the oldest go.
        for number in 0..8 {
            drop(pool.fetch(place(number, size), size, Hint::Scan).unwrap());
        }
    };
    scan();
    push_out(&pool, 1000..1300, size);
    assert_eq!(present(&pool, 8, size), 0);
    scan();
    assert_eq!(pool.stats().refaults, 0);
}

#[test]
fn pages_in_use_and_hot_pages_stay_longer() {
    let size = PageSize::K4;
    let (pool, _) = pool(256 * size.bytes());
    for number in 0..64 {
        drop(pool.fetch(place(number, size), size, Hint::Normal).unwrap());
    }
    for number in 64..128 {
        drop(pool.fetch(place(number, size), size, Hint::Hot).unwrap());
    }
    // Fewer than all frames: the hand does not come round twice.
    for number in 1000..1250 {
        for used in 0..32 {
            assert!(pool.guard().peek(place(used, size)).is_some(), "{used}");
        }
        drop(pool.fetch(place(number, size), size, Hint::Normal).unwrap());
    }
    assert_eq!(present(&pool, 64, size), 32);
    assert_eq!(present(&pool, 128, size), 32 + 64);
    for number in 2000..4000 {
        drop(pool.fetch(place(number, size), size, Hint::Normal).unwrap());
    }
    assert_eq!(present(&pool, 128, size), 0);
}

#[test]
fn sizes_share_the_budget() {
    let (pool, _) = pool(1024 * KIB);
    for round in 0..20_u64 {
        for size in PageSize::ALL {
            for number in 0..40 {
                let at = place(
                    100_000 * (size.class() as u64 + 1) + round * 40 + number,
                    size,
                );
                assert!(is_page(at, &pool.fetch(at, size, Hint::Normal).unwrap()));
                let stats = pool.stats();
                // What the table has grown by is made up for with the next frame.
                let table = stats.table_bytes - table::PART_BYTES;
                assert!(stats.resident_bytes + table <= pool.budget());
            }
        }
    }
    assert!(pool.stats().resident_bytes > pool.budget() / 2);
}

/// Readers, holders and writers at random on few frames: each reads what belongs there.
#[test]
fn threads_share_a_small_pool() {
    let size = PageSize::K4;
    let (pool, _) = pool(64 * size.bytes());
    let threads: Vec<_> = (0..4_u64)
        .map(|number| {
            let pool = pool.clone();
            thread::spawn(move || work(&pool, number, size))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let stats = pool.stats();
    assert_eq!(stats.dirty_bytes, 0);
    assert!(stats.evictions > 1000 && stats.resident_bytes <= pool.budget());
    // Nothing leaked: all frames can be had at once.
    let all: Vec<_> = (0..60).map(|_| pool.create(size).unwrap()).collect();
    assert_eq!(all.len(), 60);
}

/// All is dirty but for some frames that threads make pages in, and forget. There are more of these
/// than threads: one is always idle or in limbo.
#[test]
fn what_others_make_idle_is_found() {
    let size = PageSize::K4;
    let (pool, _) = pool(24 * size.bytes());
    for number in 0..16 {
        publish(&pool, place(number, size), size);
    }
    let threads: Vec<_> = (100..104_u64)
        .map(|number| {
            let pool = pool.clone();
            thread::spawn(move || {
                for _ in 0..20_000 {
                    publish(&pool, place(number, size), size);
                    pool.forget(place(number, size));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

fn work(pool: &Pool, number: u64, size: PageSize) {
    let mut random = number + 1;
    for _ in 0..20_000 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let at = place((random >> 33) % 300, size);
        match (random >> 60) % 5 {
            4 => {
                let at = |more: u64| place(((random >> 33) + 7 * more) % 300, size);
                let places: Vec<_> = (0..random % 5).map(at).collect();
                drop(pool.fetch_many(&places, size, Hint::Normal).map(|held| {
                    assert_eq!(held.len(), places.len());
                    for (at, held) in places.iter().zip(held) {
                        assert!(is_page(*at, &held));
                    }
                }));
            }
            0 => {
                let guard = pool.guard();
                assert!(guard.peek(at).is_none_or(|bytes| is_page(at, bytes)));
            }
            1 => drop(
                pool.fetch(at, size, Hint::Normal)
                    .map(|held| assert!(is_page(at, &held))),
            ),
            2 => drop(
                pool.fetch(at, size, Hint::Scan)
                    .map(|held| assert!(is_page(at, &held))),
            ),
            // A place of one's own.
            _ => {
                let own = place(1000 + number, size);
                let Ok(mut page) = pool.create(size) else {
                    continue;
                };
                fill(own, &mut page);
                pool.publish(page, own).unwrap();
                assert!(is_page(own, &pool.hold(own).unwrap()));
                if random >> 63 == 0 {
                    pool.written(own);
                }
                pool.forget(own);
            }
        }
    }
}
