//! Batches of reads: through rings where the system has them, else call by call. Any thread may
//! call.
//!
//! 1. A ring serves one caller at a time. Idle ones stand in a list; one is made when none is idle,
//!    up to [`RINGS_MAX`]; who gets none makes plain calls. They are closed with the disk.
//! 2. Each part is first read as far as that needs no waiting (`RWF_NOWAIT`), which also has the
//!    system start to read what it does not have. Those that would wait are begun together in a
//!    ring, where there is one.
//! 3. What is left is done by plain calls, from where it stands: a part that came back short or
//!    interrupted, that was not begun, or that the system refuses to do in a ring. Any other error
//!    is the part's outcome. So a batch gives what plain calls would.
//! 4. Each part has its own outcome; no part's error keeps another from being done.
//! 5. A forked child uses none of its parent's rings: they share their queues.
//!
//! Measured with `examples/batches.rs` and variants of it on 2 cores that others were using (ext4
//! on virtio, Linux 6.18): random reads of 8 KiB through the system's cache, from the device, in
//! batches of 32, took 53 µs and 12.5 µs of processor each by plain calls; 33 and 5.7 in a ring;
//! 30 and 6.8 as in rule 2; 30 and 6.0 so without a ring. From the cache all took the same, and in
//! batches of 2 a ring took 1 µs more.

use std::io::{self, IoSliceMut};
use std::os::fd::BorrowedFd;

use rustix::io::{Errno, ReadWriteFlags};
use rustix::process::{Pid, getpid};
use vellum_sync::Mutex;

use super::durable::is_refusal;
use super::file::read_fully;
use super::ring::Ring;
use crate::ReadAt;
use crate::aligned::end_of;

/// Rings of one disk; each takes a descriptor and a few pages of memory.
const RINGS_MAX: usize = 32;

/// Smaller batches are not worth a ring.
const RING_FROM: usize = 4;

/// The rings of a disk.
pub(super) struct Rings {
    /// Who may use them (rule 5); none where the system has none.
    owner: Option<Pid>,
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    idle: Vec<Ring>,
    /// Idle and in use.
    alive: usize,
}

/// A ring in use.
struct Lent<'r> {
    rings: &'r Rings,
    /// Empty only while it is being given back.
    ring: Option<Ring>,
}

impl Rings {
    /// None yet; `usable` as [`Ring::works`] found it.
    pub(super) fn new(usable: bool) -> Self {
        Self {
            owner: usable.then(getpid),
            list: Mutex::new(List::default()),
        }
    }

    /// Rule 1.
    fn take(&self) -> Option<Lent<'_>> {
        if self.owner != Some(getpid()) {
            return None;
        }
        let mut list = self.list.lock();
        let idle = list.idle.pop();
        if idle.is_none() && list.alive >= RINGS_MAX {
            return None;
        }
        list.alive += usize::from(idle.is_none());
        drop(list);
        let ring = idle.or_else(|| Ring::new().ok());
        // Dropped without a ring, it is no longer counted.
        let lent = Lent { rings: self, ring };
        lent.ring.is_some().then_some(lent)
    }

    /// [`File::read_many`](crate::File::read_many).
    pub(super) fn read_many(&self, file: BorrowedFd<'_>, reads: &mut [ReadAt<'_>]) {
        let begun = self.begin(file, reads);
        let begun = begun.into_iter().chain(std::iter::repeat(None));
        for (read, begun) in reads.iter_mut().zip(begun) {
            let (buf, offset) = (&mut *read.buf, read.offset);
            read.outcome = finish(buf.len(), begun, |at| {
                let rest = buf.get_mut(at..).unwrap_or_default();
                Ok(at + read_fully(file, rest, offset + at as u64)?)
            });
        }
    }

    /// What came of the parts that were begun (rule 2).
    fn begin(&self, file: BorrowedFd<'_>, reads: &mut [ReadAt<'_>]) -> Vec<Option<i32>> {
        let possible = |read: &ReadAt<'_>| end_of(read.offset, read.buf.len()).is_ok();
        if reads.len() < 2 || !reads.iter().all(possible) {
            return Vec::new();
        }
        let tried = reads.iter_mut().map(|read| try_read(file, read));
        let mut begun: Vec<_> = tried.collect();
        let parts = reads.iter_mut().zip(&mut begun);
        let waits = |(_, begun): &(_, &mut Option<i32>)| begun.is_none();
        let (mut parts, told): (Vec<_>, Vec<_>) = parts.filter(waits).unzip();
        if parts.len() >= RING_FROM
            && let Some(mut lent) = self.take()
            && let Some(ring) = &mut lent.ring
        {
            let results = ring.read(file, &mut parts);
            told.into_iter()
                .zip(results)
                .for_each(|(told, result)| *told = result);
        }
        begun
    }
}

/// Reads what can be read at once; `None` if that is not all of it.
fn try_read(file: BorrowedFd<'_>, read: &mut ReadAt<'_>) -> Option<i32> {
    let wanted = read.buf.len();
    let buf = &mut [IoSliceMut::new(read.buf)];
    let read = rustix::io::preadv2(file, buf, read.offset, ReadWriteFlags::NOWAIT);
    let read = read.ok().filter(|read| *read == wanted)?;
    i32::try_from(read).ok()
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let sound = self.ring.take().filter(Ring::is_sound);
        let mut list = self.rings.list.lock();
        list.alive -= usize::from(sound.is_none());
        list.idle.extend(sound);
    }
}

/// Rule 3: the outcome of a part of `len` bytes of which a ring said `begun`; `rest` does what is
/// left from a place on, and tells how many bytes are done then.
fn finish(
    len: usize,
    begun: Option<i32>,
    rest: impl FnOnce(usize) -> io::Result<usize>,
) -> io::Result<usize> {
    let Some(told) = begun else {
        return rest(0);
    };
    let Ok(done) = usize::try_from(told) else {
        let error = io::Error::from_raw_os_error(told.saturating_neg());
        let again = [Errno::INTR, Errno::AGAIN, Errno::CANCELED].map(io::Error::from);
        let again = again
            .iter()
            .any(|again| again.raw_os_error() == error.raw_os_error());
        return match again || is_refusal(&error) {
            true => rest(0),
            false => Err(error),
        };
    };
    match done < len {
        true => rest(done),
        false => Ok(done),
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::os::fd::AsFd;

    use rustix::process::Pid;

    use super::*;

    #[test]
    fn a_part_that_was_not_done_in_the_ring_is_finished_by_calls() {
        let run = |begun, rest: Result<usize, ErrorKind>| {
            let mut from = None;
            let outcome = finish(100, begun, |at| {
                from = Some(at);
                rest.map_err(io::Error::from)
            });
            (from, outcome.map_err(|error| error.raw_os_error()))
        };
        assert_eq!(run(Some(100), Ok(0)), (None, Ok(100)));
        assert_eq!(run(Some(30), Ok(100)), (Some(30), Ok(100)), "short");
        assert_eq!(run(Some(0), Ok(0)), (Some(0), Ok(0)), "the end");
        assert_eq!(run(None, Ok(100)), (Some(0), Ok(100)), "not begun");
        let again = [Errno::INTR, Errno::AGAIN, Errno::CANCELED];
        for errno in again.into_iter().chain([Errno::INVAL, Errno::OPNOTSUPP]) {
            let told = Some(-errno.raw_os_error());
            assert_eq!(run(told, Ok(100)), (Some(0), Ok(100)), "{errno:?}");
        }
        for errno in [Errno::IO, Errno::NOMEM] {
            let (from, outcome) = run(Some(-errno.raw_os_error()), Ok(100));
            assert_eq!((from, outcome), (None, Err(Some(errno.raw_os_error()))));
        }
        assert!(run(Some(i32::MIN), Ok(100)).1.is_err());
    }

    /// Our own memory as a file: the first page cannot be read, which is an error of the device
    /// (`EIO`), and a part that reaches beyond what is mapped comes back short.
    fn own_memory() -> std::fs::File {
        std::fs::File::open("/proc/self/mem").unwrap()
    }

    fn each_has_its_own(rings: &Rings) {
        let seen: Vec<u8> = (0..=255).collect();
        let there = seen.as_ptr().addr() as u64;
        for len in [2, 3, 4, 31, 100] {
            let mut bufs = vec![[0; 256]; len];
            let place = |at: usize| if at % 3 == 1 { 8 } else { there };
            let reads = bufs.iter_mut().enumerate();
            let mut reads: Vec<_> = reads.map(|(at, buf)| ReadAt::new(buf, place(at))).collect();
            rings.read_many(own_memory().as_fd(), &mut reads);
            for (at, read) in reads.iter().enumerate() {
                match &read.outcome {
                    Ok(read) => assert!(at % 3 != 1 && *read == 256),
                    Err(error) => assert!(at % 3 == 1 && error.raw_os_error() == Some(5)),
                }
                assert!(at % 3 == 1 || *read.buf == *seen, "part {at} of {len}");
            }
        }
    }

    #[test]
    fn each_part_has_its_own_outcome() {
        each_has_its_own(&Rings::new(false));
        each_has_its_own(&Rings::new(Ring::works()));
    }

    #[test]
    fn a_ring_reads_what_calls_read() {
        let Ok(mut ring) = Ring::new() else {
            return;
        };
        let mut file = tempfile::tempfile().unwrap();
        let held: Vec<u8> = (0..300_000_u32).map(|at| (at / 7) as u8).collect();
        std::io::Write::write_all(&mut file, &held).unwrap();
        let mut bufs = vec![vec![0; 20_000]; 100];
        let reads = bufs.iter_mut().enumerate();
        let reads = reads.map(|(at, buf)| ReadAt::new(&mut buf[at * 50..], at as u64 * 3100));
        let mut reads: Vec<_> = reads.collect();
        let mut parts: Vec<_> = reads.iter_mut().collect();
        let told = ring.read(file.as_fd(), &mut parts);
        for (read, told) in reads.iter().zip(told) {
            let there = &held[held.len().min(read.offset as usize)..];
            let there = &there[..there.len().min(read.buf.len())];
            assert_eq!(told, Some(there.len() as i32));
            assert!(read.buf[..there.len()] == *there);
        }
    }

    #[test]
    fn rings_are_kept_and_bounded_and_everybody_reads() {
        if !Ring::works() {
            return;
        }
        let rings = Rings::new(true);
        for _ in 0..2 * RINGS_MAX {
            each_has_its_own(&rings);
            let list = rings.list.lock();
            assert_eq!((list.idle.len(), list.alive), (1, 1));
        }
        let all: Vec<_> = (0..RINGS_MAX).map(|_| rings.take().unwrap()).collect();
        assert!(rings.take().is_none());
        each_has_its_own(&rings);
        drop(all);
        assert_eq!(rings.list.lock().idle.len(), RINGS_MAX);
    }

    #[test]
    fn a_ring_that_may_have_something_left_is_closed() {
        if !Ring::works() {
            return;
        }
        let rings = Rings::new(true);
        let mut lent = rings.take().unwrap();
        lent.ring.as_mut().unwrap().spoil();
        drop(lent);
        let list = rings.list.lock();
        assert_eq!((list.idle.len(), list.alive), (0, 0));
    }

    #[test]
    fn a_forked_child_uses_no_ring() {
        let mut rings = Rings::new(true);
        rings.owner = Pid::from_raw(1);
        assert!(rings.take().is_none());
        each_has_its_own(&rings);
    }
}
