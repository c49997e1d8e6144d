//! Asking, waiting, releasing: where the table, the graph and the sleepers meet.
//!
//! 1. What is decided, is decided in one go under the mutexes; nobody sleeps under one of them but
//!    its own sleeper's.
//! 2. A latch goes from its shard to the graph when somebody queues, and back as soon as both
//!    mutexes are held and nobody is in the queue.

use vellum_sync::clock;

use super::Latches;
use super::error::LatchError;
use super::graph::{Graph, Waiter};
use super::holders::Ask;
use super::resource::{Age, Resource};
use super::sleeper::{Awoken, Sleeper, Verdict};
use super::table::{Asked, Shard};

impl Latches {
    /// Makes the asker a holder, if its shard alone can.
    #[must_use]
    pub(super) fn ask(&self, resource: Resource, ask: Ask) -> bool {
        self.table.lock(resource).ask(resource, ask) == Asked::Granted
    }

    /// Makes the asker a holder, if nobody excludes it and nobody waits.
    #[must_use]
    pub(super) fn try_ask(&self, resource: Resource, ask: Ask) -> bool {
        let mut shard = self.table.lock(resource);
        let asked = shard.ask(resource, ask);
        if asked == Asked::Granted {
            return true;
        }
        let mut graph = self.graph.lock();
        let granted = asked == Asked::Queued && ask_graph(&mut shard, &mut graph, resource, ask);
        if !granted {
            graph.refused(resource.class());
        }
        granted
    }

    /// Waits for a latch. `may_close`: the asker holds something, so that others may wait for it;
    /// without, its wait is in no cycle.
    pub(super) fn wait(
        &self,
        resource: Resource,
        waiter: Waiter,
        may_close: bool,
    ) -> Result<(), LatchError> {
        let (ask, sleeper) = (waiter.ask, vellum_sync::Arc::clone(&waiter.sleeper));
        if self.begin_wait(resource, waiter, may_close) {
            return Ok(());
        }
        let begun = clock::now();
        let verdict = sleeper.sleep(self.timeout);
        let verdict = verdict.map_or_else(|| self.give_up(resource, ask, &sleeper), Ok);
        let waited = clock::now().saturating_sub(begun);
        self.waits.add(resource.class(), waited);
        match verdict? {
            Verdict::Granted => Ok(()),
            Verdict::Deadlock(cycle) => Err(LatchError::Deadlock { cycle }),
        }
    }

    /// Queues for a latch, and breaks the cycles which that closes. True if the latch was to be had
    /// at once after all; otherwise the sleeper will have a verdict.
    #[must_use]
    pub(super) fn begin_wait(&self, resource: Resource, waiter: Waiter, may_close: bool) -> bool {
        let unit = waiter.ask.unit;
        let mut shard = self.table.lock(resource);
        // The shard once more: the latch may have been released since it was asked.
        if shard.ask(resource, waiter.ask) == Asked::Granted {
            return true;
        }
        let mut graph = self.graph.lock();
        if ask_graph(&mut shard, &mut graph, resource, waiter.ask) {
            return true;
        }
        if let Some(holders) = shard.give(resource) {
            graph.adopt(resource, holders);
        }
        graph.enqueue(resource, waiter);
        drop(shard);
        let mut awoken = Awoken::default();
        if may_close {
            graph.break_cycles(unit, &mut awoken);
        }
        drop(graph);
        awoken.wake_all();
        false
    }

    /// Ends a wait that took too long, unless it has ended in the meantime.
    fn give_up(
        &self,
        resource: Resource,
        ask: Ask,
        sleeper: &Sleeper,
    ) -> Result<Verdict, LatchError> {
        let mut graph = self.graph.lock();
        if let Some(verdict) = sleeper.take() {
            return Ok(verdict);
        }
        let mut awoken = Awoken::default();
        let behind = graph.give_up(ask.unit, &mut awoken);
        drop(graph);
        awoken.wake_all();
        Err(LatchError::Timeout {
            resource,
            mode: ask.mode,
            waited: self.timeout.unwrap_or_default(),
            behind,
        })
    }

    /// Takes a holder out, and makes those holders that may then be.
    pub(super) fn release(&self, resource: Resource, unit: Age) {
        let mut shard = self.table.lock(resource);
        if shard.release(resource, unit) {
            return;
        }
        let mut awoken = Awoken::default();
        let mut graph = self.graph.lock();
        graph.release(resource, unit, &mut awoken);
        hand_back(&mut shard, &mut graph, resource);
        drop(graph);
        drop(shard);
        awoken.wake_all();
    }
}

/// Asks the graph for a latch that may have no queue there any more.
fn ask_graph(shard: &mut Shard, graph: &mut Graph, resource: Resource, ask: Ask) -> bool {
    let granted = graph.admit(resource, ask);
    if granted {
        shard.acquired(resource);
    }
    hand_back(shard, graph, resource);
    granted
}

fn hand_back(shard: &mut Shard, graph: &mut Graph, resource: Resource) {
    if let Some(holders) = graph.hand_back(resource) {
        shard.take_back(resource, holders);
    }
}
