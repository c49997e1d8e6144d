//! The store through its public face: snapshots, conflicts, seals, threads.

#![cfg(test)]

mod common;
mod order;
mod settling;
mod snapshots;
mod threads;
