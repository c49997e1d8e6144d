//! The log from outside, on disks in memory, simulated and real.

#[cfg(test)]
mod common;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod format;
#[cfg(test)]
mod reopen;
#[cfg(test)]
mod threads;
