//! Who ended before whom began, in few words: rule 3's real time.
//!
//! 1. An edge leads to a transaction from each that had ended when it began, except from those that had ended
//!    when one of these began: that follows. So a transaction has as many edges as transactions overlap.
//! 2. What ends in the tick in which another begins overlaps with it.

use super::Transaction;

/// Calls `edge` with the earlier and the later of each such pair of committed transactions.
pub(super) fn edges(history: &[Transaction], committed: &[bool], mut edge: impl FnMut(u32, u32)) {
    let mut events: Vec<(u64, bool, u32)> = Vec::new();
    for (number, transaction) in history.iter().enumerate() {
        if committed[number] {
            events.push((transaction.began, false, number as u32));
            if transaction.ended < u64::MAX {
                events.push((transaction.ended, true, number as u32));
            }
        }
    }
    events.sort_unstable();
    let mut frontier: Vec<u32> = Vec::new();
    // Those in the frontier when each began, while it lasts.
    let mut before: Vec<Vec<u32>> = vec![Vec::new(); history.len()];
    let mut is_covered = vec![false; history.len()];
    for (_, is_end, number) in events {
        if !is_end {
            frontier.iter().for_each(|earlier| edge(*earlier, number));
            before[number as usize] = frontier.clone();
            continue;
        }
        for earlier in std::mem::take(&mut before[number as usize]) {
            is_covered[earlier as usize] = true;
        }
        frontier.retain(|earlier| !is_covered[*earlier as usize]);
        frontier.push(number);
    }
}
