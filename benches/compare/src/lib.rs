//! The same workloads over several embedded stores, in one run on one machine.
//!
//! A figure of one store means little: devices, kernels and neighbours differ. So every claim is a
//! ratio between engines that ran minutes apart, in turns, each in a fresh process and directory.
//!
//! - [`engine`]: what an engine must be able to do; [`engines`]: each of them, with its settings.
//! - [`workloads`]: what is measured; [`data`]: over which records; [`measure`]: with which clocks.
//! - [`probe`]: what the machine gives at that moment.
//! - [`runner`]: child processes in turns; [`report`]: medians, ranges and ratios.

pub mod data;
pub mod engine;
pub mod engines;
pub mod measure;
pub mod probe;
pub mod report;
pub mod runner;
pub mod workloads;

/// Any engine's error, and our own.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// The result of whatever may fail.
pub type Result<T> = std::result::Result<T, Error>;
