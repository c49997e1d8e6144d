//! The log of Vellum: segments, records, group commit, reading back.
//!
//! To the log a commit is bytes with a timestamp, which the log itself hands out: its append mutex
//! is the *sequencer* of the whole database. `docs/format.md` has the format byte by byte; the
//! rules that keep it honest stand in the modules:
//!
//! | module | rules of |
//! |---|---|
//! | `geometry`, `format`, `names` | where everything is, what the bytes mean, what files are called |
//! | `state`, `append` | the sequencer: timestamps, order, stamping |
//! | `space`, `prepare` | reserving space; segments made, zeroed ahead, recycled |
//! | `flush`, `background` | group commit, waiting, the log's threads |
//! | `large` | payloads too long for a record |
//! | `directory`, `walk`, `history` | reading; torn tail or damage |
//! | `recover`, `copy`, `close` | opening for writing, incarnations, closing |
//! | `read` | the read-only opening, verification |

#![forbid(unsafe_code)]

mod append;
mod background;
mod close;
mod config;
mod copy;
mod directory;
mod error;
mod flush;
mod format;
mod geometry;
mod group;
mod history;
mod large;
mod log;
mod names;
mod prepare;
mod read;
mod recover;
mod space;
mod state;
mod stats;
mod walk;

pub use append::{Appended, Durability, Sequenced};
pub use config::Config;
pub use error::{Failure, WalError};
pub use format::{
    FORMAT_VERSION, GROUP_HEADER_BYTES, LARGE_REF_BYTES, LargeRef, RECORD_HEADER_BYTES,
    SEGMENT_HEADER_BYTES, SEGMENT_HEADER_USED,
};
pub use geometry::Geometry;
pub use log::{LARGE_RECORD_LEN, Payload, Reservation, Wal};
pub use names::is_log_file;
pub use read::{Contents, Report, SegmentReport, read, verify};
pub use recover::{Replay, Replayed};
pub use stats::{GROUP_BUCKETS, Stats};
