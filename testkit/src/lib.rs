//! What Vellum is tested with: a simulated disk, the states that a crash may leave of it, a model
//! database, and checkers of histories. Everything is decided by seeds; there are no clocks.
//!
//! | | |
//! |---|---|
//! | [`SimDisk`] | a disk in memory that records a trace, fails chosen calls, and fills up |
//! | [`Door`] | for disks that keep chosen calls waiting |
//! | [`Trace`], [`Cut`], [`State`] | every state that a crash may leave, at every point of the trace |
//! | [`Model`] | what Vellum promises, as an ordered map with all its versions |
//! | [`history`] | whether what many threads saw is snapshot isolation, or serializable |
//! | [`lists`] | the same of lists that only grow, as if nothing were known of the database |
//! | [`schedules`] | the schedules of Hermitage |

#![forbid(unsafe_code)]

mod crash;
mod door;
pub mod history;
pub mod lists;
mod model;
mod random;
pub mod schedules;
mod sim;
mod ticks;

pub use crash::{Budget, Crash, Cut, Cuts, Distinct, State, States, states_wanted};
pub use door::Door;
pub use model::{Conflict, Model, ModelTransaction, Record};
pub use random::Random;
pub use sim::{Call, CallKind, Fault, Lasting, SimDisk, SimOptions, Trace, Trouble};
