//! A door, for disks that keep chosen calls waiting.

use vellum_sync::{Condvar, Mutex};

/// Lets calls through while it is open, as it is at first.
#[derive(Debug, Default)]
pub struct Door {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_closed: bool,
    waiting: usize,
}

impl Door {
    /// Returns once it is open.
    pub fn pass(&self) {
        let mut state = self.state.lock();
        state.waiting += 1;
        self.changed.notify_all();
        while state.is_closed {
            self.changed.wait(&mut state);
        }
        state.waiting -= 1;
    }

    /// Whoever comes from now on waits.
    pub fn close(&self) {
        self.state.lock().is_closed = true;
    }

    /// Lets all through.
    pub fn open(&self) {
        self.state.lock().is_closed = false;
        self.changed.notify_all();
    }

    /// Returns when somebody stands before it.
    pub fn await_caller(&self) {
        let mut state = self.state.lock();
        while state.waiting == 0 {
            self.changed.wait(&mut state);
        }
    }
}
