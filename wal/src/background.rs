//! The log's own threads: one writes full chunks and what was asked for, one prepares segments.
//!
//! Started and stopped by [`crate::Wal`]. Whatever they do, a thread that needs it does itself when
//! it finds it undone; so the log works the same without them.
//!
//! 1. The flusher writes groups that fill a chunk, and, when asked, the open one. It leaves the
//!    open group of waiting committers to them.
//! 2. The preparer keeps a few chunks ready ahead of the log's end. After an error it sleeps until
//!    the next chunk begins: whoever needs the space meets the error himself.

use std::sync::Arc;

use vellum_sync::thread::{Builder, JoinHandle};

use crate::error::WalError;
use crate::state::Shared;

/// How far segments are prepared ahead, in tails.
const AHEAD_TAILS: u64 = 2;

/// What a thread does until it is told to stop.
type Body = fn(&Shared);

/// The running threads.
pub(crate) struct Threads(Vec<JoinHandle<()>>);

impl Threads {
    pub(crate) fn none() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn start(shared: &Arc<Shared>) -> Result<Self, WalError> {
        let mut threads = Self(Vec::new());
        let bodies: [(&str, Body); 2] = [
            ("vellum-flusher", flush_loop),
            ("vellum-preparer", prepare_loop),
        ];
        let starter = Arc::clone(shared);
        for (name, body) in bodies {
            let shared = Arc::clone(shared);
            let thread = Builder::new().name(name).spawn(move || body(&shared));
            match thread {
                Ok(thread) => threads.0.push(thread),
                Err(error) => {
                    threads.stop(&starter);
                    return Err(WalError::io("starting a thread", error));
                }
            }
        }
        Ok(threads)
    }

    /// Ends the threads and waits for them.
    pub(crate) fn stop(&mut self, shared: &Shared) {
        if self.0.is_empty() {
            return;
        }
        shared.state.lock().stopping = true;
        shared.flusher.notify_all();
        shared.preparing.notify_all();
        for thread in self.0.drain(..) {
            // A panic there was reported by the thread itself.
            let _ = thread.join();
        }
    }
}

fn flush_loop(shared: &Shared) {
    let mut state = shared.state.lock();
    loop {
        if state.stopping || state.failed.is_some() {
            return;
        }
        // What is sealed goes first; the request stands until the open group's turn.
        if state.next_unwritten().is_none() && shared.words.take_flush_wanted() {
            state.seal();
        }
        if state.in_flight < shared.in_flight_max && state.next_unwritten().is_some() {
            match shared.write_next(state) {
                Ok(locked) => state = locked,
                Err(_) => return, // The log is poisoned; everyone was told.
            }
            continue;
        }
        shared.flusher.wait(&mut state);
    }
}

fn prepare_loop(shared: &Shared) {
    loop {
        let target = {
            let mut state = shared.state.lock();
            loop {
                if state.stopping || state.closed || state.failed.is_some() {
                    return;
                }
                let target = state.end.0 + AHEAD_TAILS * shared.geometry.tail_bytes();
                if state.prepared.0 < target {
                    break target;
                }
                shared.preparing.wait(&mut state);
            }
        };
        if shared.prepare_to(target).is_err() {
            let mut state = shared.state.lock();
            if !state.stopping && state.failed.is_none() {
                shared.preparing.wait(&mut state);
            }
        }
    }
}
