//! What came of the runs of a model: a model that always ends alike shows less than it seems to.
//!
//! Outcomes leave a run through a channel and are looked at when all runs are over: no run sees
//! anything of another.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Where a run tells by which name it goes, and whether somebody was refused.
pub(crate) type Outcomes = Sender<(&'static str, bool)>;

pub(crate) fn outcomes() -> (Outcomes, Receiver<(&'static str, bool)>) {
    channel()
}

/// Under each of the names that were told of often enough (a replay runs once), both were seen.
pub(crate) fn both_were_seen(told: &Receiver<(&'static str, bool)>) {
    let mut seen = BTreeMap::<_, [usize; 2]>::new();
    for (name, is_refused) in told.try_iter() {
        seen.entry(name).or_default()[usize::from(is_refused)] += 1;
    }
    println!("outcomes (all committed, somebody was refused): {seen:?}");
    for (name, [committed, refused]) in seen {
        let enough = committed + refused < 50 || (committed > 0 && refused > 0);
        assert!(enough, "{name}: {committed} committed, {refused} refused");
    }
}
