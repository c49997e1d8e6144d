//! The log from outside, on disks in memory, simulated and real.

#[cfg(test)]
#[path = "../base/mod.rs"]
mod base;
#[cfg(test)]
mod common;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod fallbacks;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod format;
#[cfg(test)]
mod huge;
#[cfg(test)]
mod reopen;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod threads;
