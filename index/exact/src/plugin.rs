//! The exact index as a plugin.
//!
//! The engine registers it by itself; a user names it when creating an index. Its name and version
//! are in catalogues on disk: neither changes.

use vellum_distance::Kernels;
use vellum_index::{IndexError, IndexPlugin, IndexSpec, VectorIndex};

use crate::ExactIndex;

/// Makes exact indexes.
#[derive(Clone, Copy, Debug)]
pub struct Exact {
    kernels: Kernels,
}

impl Exact {
    /// With the fastest kernels of this processor.
    #[must_use]
    pub fn new() -> Self {
        Self::with_kernels(Kernels::detect())
    }

    /// With the kernels given, to compare paths.
    #[must_use]
    pub fn with_kernels(kernels: Kernels) -> Self {
        Self { kernels }
    }

    /// The index that `spec` describes, as the type it is.
    ///
    /// # Errors
    /// As [`IndexPlugin::open`].
    pub fn open_exact(&self, spec: &IndexSpec) -> Result<ExactIndex, IndexError> {
        ExactIndex::new(spec, self.kernels)
    }
}

impl Default for Exact {
    fn default() -> Self {
        Self::new()
    }
}

impl IndexPlugin for Exact {
    fn name(&self) -> &str {
        "exact"
    }

    fn version(&self) -> u32 {
        1
    }

    fn open(&self, spec: &IndexSpec) -> Result<Box<dyn VectorIndex>, IndexError> {
        Ok(Box::new(self.open_exact(spec)?))
    }
}
