//! Models of memory epochs: nothing is freed while a guard lives that may have seen it.

#![cfg(any(vellum_loom, vellum_shuttle))]

use vellum_loom_tests::Model;
use vellum_sync::atomic::{AtomicU64, Ordering};
use vellum_sync::cell::Witness;
use vellum_sync::{Arc, Epochs, thread};

/// A word that leads to memory, of which the witness tells.
struct Memory {
    epochs: Epochs,
    word: AtomicU64,
    witness: Witness,
}

fn memory() -> Arc<Memory> {
    Arc::new(Memory {
        epochs: Epochs::new(),
        word: AtomicU64::new(1),
        witness: Witness::new(),
    })
}

impl Memory {
    fn read(&self) {
        let guard = self.epochs.guard();
        if self.word.load(Ordering::Acquire) == 1 {
            self.witness.read();
        }
        drop(guard);
    }

    /// Takes the memory out of the word, and uses it for something else as soon as that may be.
    fn reuse(&self, moves: usize) -> bool {
        self.word.store(0, Ordering::Relaxed);
        let mark = self.epochs.retire();
        for _ in 0..moves {
            self.epochs.advance();
        }
        let is_past = self.epochs.is_past(mark);
        if is_past {
            self.witness.write();
        }
        is_past
    }
}

/// One reads, another takes the memory out and uses it again.
#[test]
fn memory_is_not_freed_under_a_guard() {
    let model = Model::new("sync_epochs::memory_is_not_freed_under_a_guard");
    model.preemptions(3).check(|| {
        let memory = memory();
        let other = Arc::clone(&memory);
        let writer = thread::spawn(move || {
            other.reuse(2);
        });
        let other = Arc::clone(&memory);
        let reader = thread::spawn(move || other.read());
        reader.join().unwrap();
        writer.join().unwrap();
    });
}

/// As above, and a third moves the number: his look at the slots may be older than the guard.
#[test]
fn memory_is_not_freed_by_anothers_move() {
    let model = Model::new("sync_epochs::memory_is_not_freed_by_anothers_move");
    model.preemptions(3).executions(600_000).check(|| {
        let memory = memory();
        let other = Arc::clone(&memory);
        let writer = thread::spawn(move || {
            other.reuse(1);
        });
        let other = Arc::clone(&memory);
        let mover = thread::spawn(move || {
            other.epochs.advance();
            other.epochs.advance();
        });
        let other = Arc::clone(&memory);
        let reader = thread::spawn(move || other.read());
        reader.join().unwrap();
        writer.join().unwrap();
        mover.join().unwrap();
    });
}

/// A slot goes from one guard to the next, and what was done under the first is not forgotten.
#[test]
fn a_slot_taken_over_hides_nobody() {
    let model = Model::new("sync_epochs::a_slot_taken_over_hides_nobody");
    model.preemptions(2).executions(600_000).check(|| {
        let memory = memory();
        let other = Arc::clone(&memory);
        let writer = thread::spawn(move || {
            other.reuse(2);
        });
        let other = Arc::clone(&memory);
        let first = thread::spawn(move || other.read());
        let other = Arc::clone(&memory);
        let second = thread::spawn(move || {
            // With its own slot taken, it gets the first one's.
            let own = other.epochs.guard();
            drop(other.epochs.guard());
            drop(own);
        });
        first.join().unwrap();
        second.join().unwrap();
        writer.join().unwrap();
    });
}

/// A guard that finds all slots taken is in a block that is made for it, and is seen there.
#[test]
fn a_guard_in_a_new_block_is_seen() {
    let model = Model::new("sync_epochs::a_guard_in_a_new_block_is_seen");
    model.preemptions(3).executions(600_000).check(|| {
        let memory = memory();
        let taken = [memory.epochs.guard(), memory.epochs.guard()];
        let other = Arc::clone(&memory);
        let writer = thread::spawn(move || {
            other.reuse(2);
        });
        let other = Arc::clone(&memory);
        let reader = thread::spawn(move || other.read());
        drop(taken);
        reader.join().unwrap();
        writer.join().unwrap();
    });
}

/// When nobody has a guard, two moves are enough.
#[test]
fn what_nobody_reads_is_freed() {
    Model::new("sync_epochs::what_nobody_reads_is_freed").check(|| {
        let memory = memory();
        let other = Arc::clone(&memory);
        thread::spawn(move || other.read()).join().unwrap();
        assert!(memory.reuse(2));
    });
}
