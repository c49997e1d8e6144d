//! Building leaves from records in key order.
//!
//! 1. A builder owns copies of what was pushed, so that a stream's records need not outlive the push.
//! 2. What a builder refuses changes nothing in it.

use vellum_base::{KEY_BYTES_MAX, Timestamp};

use super::entry::{Body, Entry, must_be_large};
use super::keys::common;
use super::measure::{Measure, Weight};
use super::write::Writer;
use super::{TAG_LARGE, TAG_VECTORS, separator};
use crate::page::{HEADER, PageSize};

/// How full pages are to be, in bytes of the page per cent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill(u8);

impl Fill {
    /// As full as the records allow.
    pub const FULL: Self = Self(100);

    /// Up to so many per cent, 50 to 100; what lies outside is taken for the nearest.
    #[must_use]
    pub fn percent(percent: u8) -> Self {
        Self(percent.clamp(50, 100))
    }

    /// The most bytes of a page.
    pub(super) fn limit(self, size: PageSize) -> usize {
        size.bytes() * usize::from(self.0) / 100
    }
}

/// Whether a page of `used` bytes is so empty that it should be joined with a neighbour: a third.
pub(super) fn is_underfull(size: PageSize, used: usize) -> bool {
    used - HEADER < (size.bytes() - HEADER) / 3
}

/// What became of an item that was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Pushed {
    /// It is in the page.
    Taken,
    /// The page has no room for it: finish it, and push again.
    Full,
}

/// What cannot be pushed into any page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not after all that was pushed before, into earlier pages too.
    #[error("a key that is not after the one before")]
    OutOfOrder,
    /// Longer than [`KEY_BYTES_MAX`].
    #[error("a key longer than {KEY_BYTES_MAX} bytes")]
    KeyTooLong,
    /// [`must_be_large`] holds of it.
    #[error("a record of more than a quarter page that is not large")]
    MustBeLarge,
}

/// What is to be known of a page that was finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The key that separates it from the page finished before by the same builder: the left bound
    /// of its keys. Empty for the first one.
    pub separator: Vec<u8>,
    /// Records of a leaf, children of an inner page.
    pub items: usize,
    /// Bytes that are used.
    pub used: usize,
    /// Whether it should be joined with a neighbour.
    pub is_underfull: bool,
}

/// Refuses what no leaf may hold.
pub(super) fn examine(size: PageSize, entry: &Entry<'_>) -> Result<(), Refused> {
    if entry.key.len() > KEY_BYTES_MAX {
        return Err(Refused::KeyTooLong);
    }
    match entry.body {
        Body::Inline { value, vectors }
            if must_be_large(size, entry.key.len(), value.len(), vectors.len()) =>
        {
            Err(Refused::MustBeLarge)
        }
        _ => Ok(()),
    }
}

/// The weight of a leaf's record.
pub(super) fn weight(entry: &Entry<'_>) -> Weight {
    Weight {
        key: entry.key.len(),
        at: entry.at.0,
        body: entry.body.bytes(),
    }
}

/// Writes a leaf's record.
pub(super) fn write_entry(writer: &mut Writer<'_>, entry: &Entry<'_>) {
    let flags = match entry.body {
        Body::Large(_) => TAG_LARGE,
        Body::Inline { vectors: [], .. } => 0,
        Body::Inline { .. } => TAG_VECTORS,
    };
    writer.key(entry.key, flags);
    writer.stamp(entry.at.0);
    match entry.body {
        Body::Large(large) => {
            writer.bytes(&large.value_len.to_le_bytes());
            writer.bytes(&large.vectors_len.to_le_bytes());
            writer.bytes(&large.root.stored());
        }
        Body::Inline { value, vectors } => {
            if vectors.is_empty() {
                return writer.bytes(value);
            }
            writer.bytes(&(vectors.len() as u16).to_le_bytes());
            writer.bytes(value);
            writer.bytes(vectors);
        }
    }
}

/// Begins a leaf of a measure.
pub(super) fn begin_leaf<'p>(page: &'p mut [u8], measure: &Measure, first: &[u8]) -> Writer<'p> {
    let numbers = [measure.base(), 0];
    Writer::begin(page, measure, first, 0, numbers, std::iter::empty())
}

/// A body whose bytes are in the builder.
#[derive(Clone, Copy, Debug)]
enum Kept {
    Inline { value: usize, vectors: usize },
    Large(super::Large),
}

#[derive(Clone, Copy, Debug)]
struct Item {
    start: usize,
    key: usize,
    at: Timestamp,
    body: Kept,
}

/// Builds one leaf after the other.
#[derive(Debug)]
pub struct LeafBuilder {
    size: PageSize,
    limit: usize,
    bytes: Vec<u8>,
    items: Vec<Item>,
    measure: Measure,
    separator: Vec<u8>,
    last: Option<Vec<u8>>,
}

impl LeafBuilder {
    /// A builder of leaves of a size.
    #[must_use]
    pub fn new(size: PageSize, fill: Fill) -> Self {
        Self {
            size,
            limit: fill.limit(size),
            bytes: Vec::with_capacity(size.bytes()),
            items: Vec::new(),
            measure: Measure::new(0),
            separator: Vec::new(),
            last: None,
        }
    }

    /// Adds a record behind all others.
    ///
    /// # Errors
    /// If no leaf may hold it, or it is out of order.
    pub fn push(&mut self, entry: &Entry<'_>) -> Result<Pushed, Refused> {
        examine(self.size, entry)?;
        if self.last.as_deref().is_some_and(|last| last >= entry.key) {
            return Err(Refused::OutOfOrder);
        }
        // The first record of a leaf is taken whatever the fill: it fits by rule 7 of the module.
        let limit = if self.items.is_empty() {
            self.size.bytes()
        } else {
            self.limit
        };
        let first = self
            .items
            .first()
            .map_or(entry.key, |item| &self.bytes[..item.key]);
        let common = common(first, entry.key);
        let lengths = self.items.iter().map(|item| item.key);
        let weight = weight(entry);
        if !self.measure.add(common, weight, false, limit, lengths) {
            return Ok(Pushed::Full);
        }
        let last = self.last.get_or_insert_default();
        if self.items.is_empty() && !(last.is_empty() && self.separator.is_empty()) {
            self.separator.clear();
            self.separator.extend_from_slice(separator(last, entry.key));
        }
        last.clear();
        last.extend_from_slice(entry.key);
        self.keep(entry);
        Ok(Pushed::Taken)
    }

    fn keep(&mut self, entry: &Entry<'_>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(entry.key);
        let body = match entry.body {
            Body::Inline { value, vectors } => {
                self.bytes.extend_from_slice(value);
                self.bytes.extend_from_slice(vectors);
                Kept::Inline {
                    value: value.len(),
                    vectors: vectors.len(),
                }
            }
            Body::Large(large) => Kept::Large(large),
        };
        self.items.push(Item {
            start,
            key: entry.key.len(),
            at: entry.at,
            body,
        });
    }

    /// Whether nothing was pushed since the last page was finished.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Writes the leaf, all but the page's header, and begins the next one.
    ///
    /// # Panics
    /// If `page` has not the builder's size.
    pub fn finish(&mut self, page: &mut [u8]) -> Finished {
        assert_eq!(
            page.len(),
            self.size.bytes(),
            "a page of the builder's size"
        );
        let bytes = &self.bytes;
        let entry = |item: &Item| {
            let (key, rest) = bytes[item.start..].split_at(item.key);
            let body = match item.body {
                Kept::Inline { value, vectors } => Body::Inline {
                    value: &rest[..value],
                    vectors: &rest[value..value + vectors],
                },
                Kept::Large(large) => Body::Large(large),
            };
            Entry {
                key,
                at: item.at,
                body,
            }
        };
        let first = self
            .items
            .first()
            .map_or(&[][..], |item| &bytes[..item.key]);
        let mut writer = begin_leaf(page, &self.measure, first);
        for item in &self.items {
            write_entry(&mut writer, &entry(item));
        }
        writer.finish(&self.measure);
        let used = self.measure.bytes();
        let finished = Finished {
            separator: self.separator.clone(),
            items: self.items.len(),
            used,
            is_underfull: is_underfull(self.size, used),
        };
        self.measure = Measure::new(0);
        self.items.clear();
        self.bytes.clear();
        finished
    }
}

/// Cuts a stream of records in key order into leaves, each written into `page` and handed to `emit`.
///
/// # Errors
/// What the stream or `emit` says, and what [`LeafBuilder::push`] refuses.
pub fn cut_leaves<'e, E: From<Refused>>(
    size: PageSize,
    fill: Fill,
    stream: impl IntoIterator<Item = Result<Entry<'e>, E>>,
    page: &mut [u8],
    mut emit: impl FnMut(Finished, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut builder = LeafBuilder::new(size, fill);
    for entry in stream {
        let entry = entry?;
        if builder.push(&entry)? == Pushed::Full {
            emit(builder.finish(page), page)?;
            // An empty leaf takes whatever is not refused.
            let _ = builder.push(&entry)?;
        }
    }
    if builder.is_empty() {
        return Ok(());
    }
    emit(builder.finish(page), page)
}
