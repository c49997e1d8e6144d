//! The engines that take part, one file each, and how they are opened by name.

mod fjall;
mod lmdb;
#[cfg(feature = "rocksdb")]
mod rocksdb;
mod surrealkv;
#[cfg(feature = "vellum")]
mod vellum;

use std::path::Path;

use crate::Result;
use crate::engine::Engine;

/// What every engine that has a cache is given: more than the data set.
const CACHE_BYTES: usize = 1 << 30;

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

    /// Opens or creates a store in `directory`, which exists.
    pub fn open(self, directory: &Path) -> Result<Box<dyn Engine>> {
        Ok(match self {
            #[cfg(feature = "vellum")]
            Self::Vellum => Box::new(vellum::Vellum::open(directory)?),
            Self::Fjall => Box::new(fjall::Fjall::open(directory)?),
            Self::Surrealkv => Box::new(surrealkv::SurrealKv::open(directory)?),
            Self::Lmdb => Box::new(lmdb::Lmdb::open(directory)?),
            #[cfg(feature = "rocksdb")]
            Self::Rocksdb => Box::new(rocksdb::RocksDb::open_transactional(directory)?),
            #[cfg(feature = "rocksdb")]
            Self::RocksdbWb => Box::new(rocksdb::RocksDb::open_plain(directory)?),
        })
    }
}
