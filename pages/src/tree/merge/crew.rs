//! Several who merge at once.
//!
//! # Rules
//! 1. The top pages are gone through, without changing anything, until there are some children for
//!    each worker; each child with its updates is a task. Workers take tasks as they come to them, so
//!    that a heavy range does not keep the others waiting.
//! 2. Nobody reads what another makes before all are done: no latch is needed. Then one joins and
//!    cuts the pages above, with what was made of each child at hand.
//! 3. After an error no further task is begun.

use std::collections::VecDeque;

use vellum_sync::Mutex;
use vellum_sync::atomic::{AtomicUsize, Ordering};

use super::work::{Ready, Work};
use super::{Made, Outcome};
use crate::error::PageError;
use crate::page::PageRef;
use crate::pool::Hint;
use crate::tree::making::Making;
use crate::tree::node::Update;
use crate::tree::{Root, Tree};

/// Tasks for each worker, at least: the last ones to be done are short, then.
const TASKS: usize = 4;

/// Updates for each worker, at least; a thread is not worth its start for fewer.
const UPDATES: usize = 256;

/// Threads that work together for a while. Who has threads implements it.
pub trait Crew {
    /// How many there are.
    fn workers(&self) -> usize;

    /// Has `work` called by each of them, all at once if possible, and returns when all calls have.
    fn run(&self, work: &(dyn Fn() + Sync));
}

/// The calling thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Crew for Alone {
    fn workers(&self) -> usize {
        1
    }

    fn run(&self, work: &(dyn Fn() + Sync)) {
        work();
    }
}

/// A page and all the updates that go below it.
struct Task<'u> {
    at: PageRef,
    updates: &'u [Update<'u>],
    /// Nothing of the tree lies behind it.
    last: bool,
}

/// What a worker has done when it finds no more tasks.
struct Done {
    outcome: Outcome,
    made: Vec<(usize, Vec<Made>)>,
    error: Option<PageError>,
}

impl Tree {
    /// What the crew makes of a level's pages; `None` if that is not worth while.
    pub(super) fn share<M: Making + ?Sized>(
        &self,
        root: &Root,
        updates: &[Update<'_>],
        making: &M,
        crew: &dyn Crew,
        outcome: &mut Outcome,
    ) -> Result<Option<Ready>, PageError> {
        let workers = crew.workers().min(updates.len() / UPDATES);
        if workers < 2 {
            return Ok(None);
        }
        let (level, tasks) = self.tasks(root, updates, workers * TASKS)?;
        if tasks.len() < 2 {
            return Ok(None);
        }
        let made = self.run_tasks(level, &tasks, making, crew, outcome)?;
        Ok(Some(Ready { level, made }))
    }

    /// Rule 1: `wanted` tasks or more, if there are so many leaves to be changed, and their level.
    fn tasks<'u>(
        &self,
        root: &Root,
        updates: &'u [Update<'u>],
        wanted: usize,
    ) -> Result<(u8, Vec<Task<'u>>), PageError> {
        let Some((at, mut level)) = root.top else {
            return Ok((0, Vec::new()));
        };
        let mut tasks = vec![Task {
            at,
            updates,
            last: true,
        }];
        while level > 0 && tasks.len() < wanted {
            let mut below = Vec::new();
            for task in &tasks {
                let page = self.fetch(task.at, level, Hint::Normal)?;
                let inner = self.inner(&page, task.at, level)?;
                for share in self.shares(&inner, task.at, task.updates)? {
                    let child = inner.child(share.child);
                    below.push(Task {
                        at: child.map_err(|damage| self.damage(task.at, damage))?,
                        updates: share.updates,
                        last: task.last && share.child + 1 == inner.len(),
                    });
                }
            }
            (tasks, level) = (below, level - 1);
        }
        Ok((level, tasks))
    }

    /// What is made of each task, in their order.
    fn run_tasks<M: Making + ?Sized>(
        &self,
        level: u8,
        tasks: &[Task<'_>],
        making: &M,
        crew: &dyn Crew,
        outcome: &mut Outcome,
    ) -> Result<VecDeque<Vec<Made>>, PageError> {
        let next = AtomicUsize::new(0);
        let all_done = Mutex::new(Vec::new());
        let work = || {
            let done = self.take_tasks(level, tasks, &next, making);
            all_done.lock().push(done);
        };
        crew.run(&work);
        // Whatever the crew has left.
        work();
        let mut made = Vec::with_capacity(tasks.len());
        let mut error = None;
        for done in std::mem::take(&mut *all_done.lock()) {
            outcome.absorb(done.outcome);
            made.extend(done.made);
            error = error.or(done.error);
        }
        made.sort_by_key(|(task, _)| *task);
        match error {
            Some(error) => Err(error),
            None => Ok(made.into_iter().map(|(_, made)| made).collect()),
        }
    }

    /// Does tasks until there are no more.
    fn take_tasks<M: Making + ?Sized>(
        &self,
        level: u8,
        tasks: &[Task<'_>],
        next: &AtomicUsize,
        making: &M,
    ) -> Done {
        let mut work = Work::new(self, making, None);
        let (mut made, mut error) = (Vec::new(), None);
        loop {
            // Relaxed: the tasks were there before the crew was asked; each number is had once.
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(task) = tasks.get(number) else {
                break;
            };
            match work.page(task.at, level, task.updates, task.last) {
                Ok(pages) => made.push((number, pages)),
                Err(why) => {
                    // Rule 3. Relaxed: a task more or less does not matter.
                    next.store(tasks.len(), Ordering::Relaxed);
                    error = Some(why);
                    break;
                }
            }
        }
        Done {
            outcome: work.outcome,
            made,
            error,
        }
    }
}
