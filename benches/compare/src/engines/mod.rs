//! The engines that take part, one file each, and how they are opened by name.

mod canopydb;
mod fjall;
mod lmdb;
mod redb;
#[cfg(feature = "rocksdb")]
mod rocksdb;
mod surrealkv;
#[cfg(feature = "vellum")]
mod vellum;

use std::path::Path;

use crate::Result;
use crate::engine::{Budget, Engine};

/// An engine by name.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    clap::ValueEnum,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum EngineName {
    /// This project's.
    #[cfg(feature = "vellum")]
    Vellum,
    /// fjall's optimistic transactions.
    Fjall,
    /// surrealkv.
    Surrealkv,
    /// LMDB, by heed.
    Lmdb,
    /// redb.
    Redb,
    /// canopydb's exclusive transactions.
    Canopydb,
    /// RocksDB's `OptimisticTransactionDB`.
    #[cfg(feature = "rocksdb")]
    Rocksdb,
    /// RocksDB's plain write batches: atomic, without transactions.
    #[cfg(feature = "rocksdb")]
    RocksdbWb,
}

impl EngineName {
    /// The name as it is typed and shown.
    pub fn label(self) -> &'static str {
        match self {
            #[cfg(feature = "vellum")]
            Self::Vellum => "vellum",
            Self::Fjall => "fjall",
            Self::Surrealkv => "surrealkv",
            Self::Lmdb => "lmdb",
            Self::Redb => "redb",
            Self::Canopydb => "canopydb",
            #[cfg(feature = "rocksdb")]
            Self::Rocksdb => "rocksdb",
            #[cfg(feature = "rocksdb")]
            Self::RocksdbWb => "rocksdb-wb",
        }
    }

    /// Whether it is one of those that this project is measured against.
    pub fn is_peer(self) -> bool {
        match self {
            #[cfg(feature = "vellum")]
            Self::Vellum => false,
            _ => true,
        }
    }

    /// Opens or creates a store in `directory`, which exists, with all the memory it wants.
    pub fn open(self, directory: &Path) -> Result<Box<dyn Engine>> {
        self.open_within(directory, Budget::Ample)
    }

    /// The same within a budget.
    pub fn open_within(self, directory: &Path, budget: Budget) -> Result<Box<dyn Engine>> {
        Ok(match self {
            #[cfg(feature = "vellum")]
            Self::Vellum => Box::new(vellum::Vellum::open(directory, budget)?),
            Self::Fjall => Box::new(fjall::Fjall::open(directory, budget)?),
            Self::Surrealkv => Box::new(surrealkv::SurrealKv::open(directory, budget)?),
            Self::Lmdb => Box::new(lmdb::Lmdb::open(directory)?),
            Self::Redb => Box::new(redb::Redb::open(directory, budget)?),
            Self::Canopydb => Box::new(canopydb::Canopydb::open(directory, budget)?),
            #[cfg(feature = "rocksdb")]
            Self::Rocksdb => Box::new(rocksdb::RocksDb::open_transactional(directory, budget)?),
            #[cfg(feature = "rocksdb")]
            Self::RocksdbWb => Box::new(rocksdb::RocksDb::open_plain(directory, budget)?),
        })
    }
}
