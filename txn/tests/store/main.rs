//! The store through its public face: snapshots, conflicts, seals, threads.

#![cfg(test)]

mod append;
mod common;
mod hooked;
mod locks;
mod merging;
mod operators;
mod order;
mod settling;
mod snapshots;
mod threads;
mod trail;
mod validation;
