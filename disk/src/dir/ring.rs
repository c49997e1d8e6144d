//! A ring (io_uring) that reads many parts of a file together: the `unsafe` of batches. Used by
//! [`super::batch`] alone, by one thread at a time.
//!
//! 1. Buffers are the system's from when it takes an entry until it has told the result. Whatever
//!    happens meanwhile, an error or a panic, [`Ring::read`] does not end before all that was taken
//!    has been told ([`Flight`]'s drop): it would give back memory that is written from outside.
//! 2. No more entries are under way than the queue has, and there is room for twice as many
//!    results: none overflows.
//! 3. Each part is tried once, and its result told as the system tells it. A part without a result
//!    was not begun.
//! 4. A ring of which more is to be said than that all its entries are done is not used again: what
//!    stands in its queue are addresses of buffers that were given back. Closed, the system never
//!    looks at them.
//! 5. No thread of the system's polls (`SQPOLL`), and no entry is linked to another.
//!
//! Writes were refused: what goes to the system's cache need not wait, and where a file system does
//! not write without waiting (ext4) each is handed to a thread of the system's: 3.5 to 4.9 µs of
//! processor for 8 KiB, where a plain call took 3.0 to 3.3.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use io_uring::{IoUring, Probe, opcode, squeue, types};
use vellum_sync::thread::yield_now;

use crate::ReadAt;

/// Entries under way at once, at most.
const ENTRIES: usize = 32;

/// Longer parts are begun with so many bytes; the system takes no more than 2 GiB at once.
const PART_BYTES_MAX: usize = 1 << 30;

/// See the module's rules.
pub(super) struct Ring {
    ring: IoUring,
    /// Rule 4.
    sound: bool,
}

impl Ring {
    /// A new ring.
    pub(super) fn new() -> io::Result<Self> {
        let ring = IoUring::new(ENTRIES as u32)?;
        Ok(Self { ring, sound: true })
    }

    /// Whether the system lets rings be used, and they read: seen from one that was.
    pub(super) fn works() -> bool {
        let tried = Self::new().and_then(|mut ring| {
            let mut probe = Probe::new();
            ring.ring.submitter().register_probe(&mut probe)?;
            let results = ring.run([opcode::Nop::new().build()].into_iter());
            Ok(probe.is_supported(opcode::Read::CODE) && results == [Some(0)])
        });
        tried.unwrap_or(false)
    }

    /// Whether all is well with it (rule 4).
    pub(super) fn is_sound(&self) -> bool {
        self.sound
    }

    /// As if it had been left with something in its queue, for tests.
    #[cfg(test)]
    pub(super) fn spoil(&mut self) {
        self.sound = false;
    }

    /// Reads parts of `file`, together. The results are those of the system's calls, in the order
    /// of the parts: bytes read, or negative error numbers; `None` as rule 3 says.
    pub(super) fn read(
        &mut self,
        file: BorrowedFd<'_>,
        reads: &mut [&mut ReadAt<'_>],
    ) -> Vec<Option<i32>> {
        let file = types::Fd(file.as_raw_fd());
        let entries = reads.iter_mut().map(|read| {
            let len = read.buf.len().min(PART_BYTES_MAX) as u32;
            let entry = opcode::Read::new(file, read.buf.as_mut_ptr(), len);
            entry.offset(read.offset).build()
        });
        self.run(entries)
    }

    /// As [`Ring::read`]: what the entries name is borrowed until this returns.
    fn run(&mut self, entries: impl ExactSizeIterator<Item = squeue::Entry>) -> Vec<Option<i32>> {
        let mut results = vec![None; entries.len()];
        self.sound = false;
        let mut flight = Flight {
            ring: &mut self.ring,
            results: &mut results,
            pushed: 0,
            done: 0,
        };
        flight.run(entries);
        flight.settle();
        let left = flight.pushed - flight.done;
        drop(flight);
        self.sound = left == 0;
        results
    }
}

/// Entries under way. Dropping it waits for them (rule 1).
struct Flight<'r> {
    ring: &'r mut IoUring,
    results: &'r mut [Option<i32>],
    /// Put into the queue.
    pushed: usize,
    /// Told.
    done: usize,
}

impl Flight<'_> {
    /// Until all are done, or the system takes no more.
    fn run(&mut self, mut entries: impl ExactSizeIterator<Item = squeue::Entry>) {
        loop {
            while self.pushed - self.done < ENTRIES
                && let Some(entry) = entries.next()
            {
                if !self.push(entry) {
                    return;
                }
            }
            let waiting = self.pushed - self.done;
            // While there is more to begin, half of the queue is refilled at once.
            let want = match entries.len() {
                0 => waiting,
                _ => waiting / 2,
            };
            match self.ring.submit_and_wait(want) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return,
                _ => self.reap(),
            }
            if self.pushed == self.done && entries.len() == 0 {
                return;
            }
        }
    }

    fn push(&mut self, entry: squeue::Entry) -> bool {
        let entry = entry.user_data(self.pushed as u64);
        #[expect(unsafe_code, reason = "the system writes to buffers by address")]
        // SAFETY: the entry's memory is borrowed exclusively, and its file borrowed, until
        // `Ring::run` returns. That returns, or unwinds, after `settle` found that the system has
        // told all that it took (rule 1); what it did not take it never will (rule 4).
        let pushed = unsafe { self.ring.submission().push(&entry) };
        self.pushed += usize::from(pushed.is_ok());
        pushed.is_ok()
    }

    /// Notes what has been told.
    fn reap(&mut self) {
        for told in self.ring.completion() {
            let result = usize::try_from(told.user_data());
            if let Some(result) = result.ok().and_then(|at| self.results.get_mut(at)) {
                *result = Some(told.result());
            }
            self.done += 1;
        }
    }

    /// Returns when nothing is under way. What the system says to our waiting does not matter: what
    /// it took it finishes.
    fn settle(&mut self) {
        loop {
            self.reap();
            let queued = self.ring.submission().len();
            if self.pushed - self.done <= queued {
                return;
            }
            if self.ring.submit_and_wait(1).is_err() {
                yield_now();
            }
        }
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.settle();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    use super::*;

    #[test]
    fn what_was_taken_is_awaited_though_something_panics() {
        let Ok(mut ring) = Ring::new() else {
            return;
        };
        // Half of the reads end at once; what the others wait for comes slowly after the panic.
        let (pipe, mut writer) = std::io::pipe().unwrap();
        writer.write_all(&[1; ENTRIES / 2]).unwrap();
        let (go, gone) = std::sync::mpsc::channel();
        let late = vellum_sync::thread::spawn(move || {
            gone.recv().unwrap();
            for _ in 0..ENTRIES / 2 {
                (0..100).for_each(|_| yield_now());
                writer.write_all(&[1]).unwrap();
            }
        });
        let mut bufs = [0_u8; ENTRIES];
        let start = bufs.as_mut_ptr();
        let entries = (0..2 * ENTRIES).map(|at| {
            if at == ENTRIES {
                go.send(()).unwrap();
                resume_unwind(Box::new("in the middle of a batch"));
            }
            let file = types::Fd(pipe.as_raw_fd());
            opcode::Read::new(file, start.wrapping_add(at), 1).build()
        });
        let unwound = catch_unwind(AssertUnwindSafe(|| ring.run(entries)));
        let seen = bufs;
        late.join().unwrap();
        assert!(unwound.is_err() && !ring.is_sound());
        assert_eq!(seen, [1; ENTRIES]);
    }

    #[test]
    fn more_parts_than_the_queue_has_room_for_are_all_done() {
        let Ok(mut ring) = Ring::new() else {
            return;
        };
        for count in [0, 1, ENTRIES - 1, ENTRIES, ENTRIES + 1, 10 * ENTRIES] {
            let entries = (0..count).map(|_| opcode::Nop::new().build());
            assert_eq!(ring.run(entries), vec![Some(0); count]);
            assert!(ring.is_sound());
        }
    }
}
