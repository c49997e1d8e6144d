//! Vector indexes: what a user asks for, which plugins there are, and what the catalog keeps.
//!
//! The engine owns durability and visibility, a plugin owns structure. Rules:
//!
//! 1. An index is on one vector column of one table; a column has at most one live index.
//! 2. The catalog stores a plugin's name; opening a database asks for the plugin of that name, and
//!    fails, naming it, where there is none.
//! 3. An index is made with all rows that stand, or not at all: see [`crate::building`].

use std::fmt;
use std::sync::Arc;

use vellum_base::{IndexId, Timestamp};
use vellum_exact::Exact as ExactPlugin;
use vellum_index::{IndexPlugin, IndexSpec, KeyExtractor, Metric, VectorIndex};
use vellum_txn::Column;

use crate::argument::{InvalidArgument, check_dimension, check_name};
use crate::change::Definition;

/// The exact index: searches compare the query with every vector, at the speed of memory.
///
/// Right for some hundred thousand vectors, and as the measure of approximate ones. It needs no
/// memory beside the vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exact {
    dimension: usize,
    metric: Metric,
}

impl Exact {
    /// An exact index of vectors with `dimension` components, 1 to 65,536.
    #[must_use]
    pub fn new(dimension: usize, metric: Metric) -> Self {
        Self { dimension, metric }
    }
}

impl From<Exact> for NewIndex {
    fn from(exact: Exact) -> Self {
        Self::new(Exact::KIND, exact.dimension, exact.metric)
    }
}

impl Exact {
    const KIND: &str = "exact";
}

/// An index to be made: which plugin, dimension and metric. Usually made from [`Exact`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewIndex {
    plugin: String,
    dimension: usize,
    metric: Metric,
}

impl NewIndex {
    /// An index of the plugin of that name, which [`crate::Options::index_plugin`] has registered.
    #[must_use]
    pub fn new(plugin: &str, dimension: usize, metric: Metric) -> Self {
        Self {
            plugin: plugin.to_owned(),
            dimension,
            metric,
        }
    }

    /// What the catalog keeps of it.
    pub(crate) fn define(self, column: &str) -> Result<Definition, InvalidArgument> {
        check_name(column)?;
        check_dimension(column, self.dimension)?;
        let spec = IndexSpec::new(column, self.dimension, self.metric);
        let definition = Definition {
            kind: self.plugin,
            spec,
        };
        if definition.is_known() {
            return Ok(definition);
        }
        let why = format!("metric {} cannot be stored", self.metric);
        Err(InvalidArgument::Index {
            column: column.to_owned(),
            why,
        })
    }
}

/// What an index is, from `list_indexes`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IndexInfo {
    /// The vector column, which names the index.
    pub column: String,
    /// The plugin's name.
    pub plugin: String,
    /// Components of each vector.
    pub dimension: usize,
    /// What "near" means.
    pub metric: Metric,
}

impl IndexInfo {
    pub(crate) fn of(entry: &IndexEntry) -> Self {
        let Definition { kind, spec } = &*entry.definition;
        Self {
            column: spec.column.clone(),
            plugin: kind.clone(),
            dimension: spec.dimension,
            metric: spec.metric,
        }
    }
}

/// The plugins of a database: the exact index, and those that the user registered.
pub(crate) struct Plugins {
    registered: Vec<Arc<dyn IndexPlugin>>,
    extractors: Vec<Arc<dyn KeyExtractor>>,
    exact: ExactPlugin,
}

impl Plugins {
    pub(crate) fn new(
        registered: Vec<Arc<dyn IndexPlugin>>,
        extractors: Vec<Arc<dyn KeyExtractor>>,
    ) -> Self {
        Self {
            registered,
            extractors,
            exact: ExactPlugin::new(),
        }
    }

    /// The extractor of this name.
    pub(crate) fn extractor(&self, name: &str) -> Option<&Arc<dyn KeyExtractor>> {
        self.extractors.iter().find(|one| one.name() == name)
    }

    fn find(&self, kind: &str) -> Option<&dyn IndexPlugin> {
        let registered = self.registered.iter().find(|plugin| plugin.name() == kind);
        match registered {
            Some(plugin) => Some(&**plugin),
            None if kind == self.exact.name() => Some(&self.exact),
            None => None,
        }
    }

    fn open(&self, definition: &Definition) -> Result<Box<dyn VectorIndex>, InvalidArgument> {
        let plugin = self.find(&definition.kind).ok_or_else(|| {
            refuse(
                definition,
                format!("there is no index plugin called `{}`", definition.kind),
            )
        })?;
        plugin
            .open(&definition.spec)
            .map_err(|error| refuse(definition, error.to_string()))
    }

    /// An exact index of the same specification: for vectors that no index holds.
    fn open_exact(&self, definition: &Definition) -> Result<Box<dyn VectorIndex>, InvalidArgument> {
        self.exact
            .open(&definition.spec)
            .map_err(|error| refuse(definition, error.to_string()))
    }
}

fn refuse(definition: &Definition, why: String) -> InvalidArgument {
    InvalidArgument::Index {
        column: definition.spec.column.clone(),
        why,
    }
}

impl fmt::Debug for Plugins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.registered.iter().map(|plugin| plugin.name()))
            .finish()
    }
}

/// An index in the catalog, live or not quite gone.
#[derive(Clone)]
pub(crate) struct IndexEntry {
    pub(crate) id: IndexId,
    pub(crate) definition: Arc<Definition>,
    pub(crate) column: Arc<Column>,
    pub(crate) searchers: Result<Searchers, InvalidArgument>,
    pub(crate) created_at: Timestamp,
    pub(crate) dropped_at: Timestamp,
}

/// What answers searches.
#[derive(Clone)]
pub(crate) struct Searchers {
    /// The plugin's, for the column's rows.
    pub(crate) index: Arc<dyn VectorIndex>,
    /// For vectors that no index holds: own writes, and those of chosen keys.
    pub(crate) exact: Arc<dyn VectorIndex>,
}

impl Searchers {
    fn open(definition: &Definition, plugins: &Plugins) -> Result<Self, InvalidArgument> {
        let index = Arc::from(plugins.open(definition)?);
        let exact = Arc::from(plugins.open_exact(definition)?);
        Ok(Self { index, exact })
    }
}

impl IndexEntry {
    /// A new index, without rows; [`IndexEntry::made_at`] tells since when it is there.
    pub(crate) fn new(
        id: IndexId,
        definition: Definition,
        plugins: &Plugins,
    ) -> Result<Self, InvalidArgument> {
        let entry = Self::of_log(id, definition, plugins);
        entry.searchers.clone().map(|_| entry)
    }

    /// An index that the log tells of. Its plugin may be missing: then it must have been dropped
    /// by the end of the log.
    pub(crate) fn of_log(id: IndexId, definition: Definition, plugins: &Plugins) -> Self {
        let column = Column::new(&definition.spec.column, definition.spec.dimension);
        Self {
            id,
            searchers: Searchers::open(&definition, plugins),
            definition: Arc::new(definition),
            column: Arc::new(column),
            created_at: Timestamp::MAX,
            dropped_at: Timestamp::MAX,
        }
    }

    pub(crate) fn numbered(mut self, id: IndexId) -> Self {
        self.id = id;
        self
    }

    pub(crate) fn made_at(mut self, at: Timestamp) -> Self {
        self.created_at = at;
        self
    }

    pub(crate) fn column_name(&self) -> &str {
        &self.definition.spec.column
    }

    pub(crate) fn is_at(&self, at: Timestamp) -> bool {
        self.created_at <= at && at < self.dropped_at
    }

    pub(crate) fn is_live(&self) -> bool {
        self.dropped_at == Timestamp::MAX
    }
}

impl fmt::Debug for IndexEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexEntry")
            .field("id", &self.id)
            .field("definition", &self.definition)
            .field("created_at", &self.created_at)
            .field("dropped_at", &self.dropped_at)
            .finish_non_exhaustive()
    }
}
