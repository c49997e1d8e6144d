//! Building inner pages.

use std::ops::Range;

use vellum_base::KEY_BYTES_MAX;

use super::build::{Fill, Finished, Pushed, Refused, is_underfull};
use super::keys::common;
use super::measure::{Measure, Weight};
use super::write::Writer;
use crate::page::{PageRef, PageSize};

/// What is below an inner page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Below {
    /// Records in all leaves below.
    pub records: u64,
    /// Leaves.
    pub leaves: u64,
}

/// A page and the left bound of its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Child<'a> {
    /// The left bound; what it is of a tree's first page does not matter.
    pub separator: &'a [u8],
    /// The page.
    pub at: PageRef,
}

/// The weight of a separator.
pub(super) fn weight(key: usize) -> Weight {
    Weight {
        key,
        at: 0,
        body: 0,
    }
}

fn write_inner<'c>(
    page: &mut [u8],
    measure: &Measure,
    level: u8,
    below: Below,
    children: impl Iterator<Item = Child<'c>> + Clone,
) {
    let numbers = [below.records, below.leaves];
    let mut keys = children.clone().skip(1).peekable();
    let first = keys.peek().map_or(&[][..], |child| child.separator);
    let places = children.map(|child| child.at);
    let mut writer = Writer::begin(page, measure, first, level, numbers, places);
    for child in keys {
        writer.key(child.separator, 0);
    }
    writer.finish(measure);
}

/// Builds one inner page after the other from a stream of children, each as full as asked for.
#[derive(Debug)]
pub struct InnerBuilder {
    size: PageSize,
    level: u8,
    limit: usize,
    bytes: Vec<u8>,
    children: Vec<(Range<usize>, PageRef)>,
    measure: Measure,
    last: Option<Vec<u8>>,
}

impl InnerBuilder {
    /// A builder of inner pages of a size at a level, which is at least 1.
    #[must_use]
    pub fn new(size: PageSize, level: u8, fill: Fill) -> Self {
        Self {
            size,
            level: level.max(1),
            limit: fill.limit(size),
            bytes: Vec::new(),
            children: Vec::new(),
            measure: Measure::new(0),
            last: None,
        }
    }

    /// Adds a child behind all others.
    ///
    /// # Errors
    /// If its separator is too long, or not after the one before.
    pub fn push(&mut self, child: Child<'_>) -> Result<Pushed, Refused> {
        if child.separator.len() > KEY_BYTES_MAX {
            return Err(Refused::KeyTooLong);
        }
        if self
            .last
            .as_deref()
            .is_some_and(|last| last >= child.separator)
        {
            return Err(Refused::OutOfOrder);
        }
        if self.children.is_empty() {
            self.measure = Measure::new(1);
        } else {
            let first = self
                .children
                .get(1)
                .map(|(first, _)| &self.bytes[first.clone()]);
            // Two children are taken whatever the fill: they fit by rule 7 of the module.
            let limit = if first.is_none() {
                self.size.bytes()
            } else {
                self.limit
            };
            let first = first.unwrap_or(child.separator);
            let common = common(first, child.separator);
            let keys = self.children.get(1..).unwrap_or_default();
            let lengths = keys.iter().map(|(key, _)| key.len());
            let weight = weight(child.separator.len());
            if !self.measure.add(common, weight, true, limit, lengths) {
                return Ok(Pushed::Full);
            }
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(child.separator);
        self.children.push((start..self.bytes.len(), child.at));
        let last = self.last.get_or_insert_default();
        last.clear();
        last.extend_from_slice(child.separator);
        Ok(Pushed::Taken)
    }

    /// The places of the children that were pushed since the last page was finished.
    pub fn places(&self) -> impl Iterator<Item = PageRef> {
        self.children.iter().map(|(_, at)| *at)
    }

    /// Takes back the child that was pushed last, with its separator, if two are left.
    pub fn pop(&mut self) -> Option<(Vec<u8>, PageRef)> {
        if self.children.len() < 3 {
            return None;
        }
        let (key, at) = self.children.pop()?;
        let separator = self.bytes[key.clone()].to_vec();
        self.bytes.truncate(key.start);
        let keys = &self.children[1..];
        let (first, last) = (&keys[0].0, &keys[keys.len() - 1].0);
        let prefix = common(&self.bytes[first.clone()], &self.bytes[last.clone()]);
        let weights = keys.iter().map(|(key, _)| weight(key.len()));
        self.measure = Measure::of(1, true, prefix, weights);
        self.last = Some(self.bytes[last.clone()].to_vec());
        Some((separator, at))
    }

    /// Whether nothing was pushed since the last page was finished.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    /// Writes the page, all but the page's header, and begins the next one. Its separator is that of
    /// its first child.
    ///
    /// # Panics
    /// If `page` has not the builder's size, or no child was pushed.
    pub fn finish(&mut self, page: &mut [u8], below: Below) -> Finished {
        assert_eq!(
            page.len(),
            self.size.bytes(),
            "a page of the builder's size"
        );
        assert!(!self.children.is_empty(), "an inner page has a child");
        let children = self.children.iter().map(|(range, at)| Child {
            separator: &self.bytes[range.clone()],
            at: *at,
        });
        write_inner(page, &self.measure, self.level, below, children);
        let used = self.measure.bytes();
        let finished = Finished {
            separator: self.bytes[self.children[0].0.clone()].to_vec(),
            items: self.children.len(),
            used,
            is_underfull: is_underfull(self.size, used),
        };
        self.children.clear();
        self.bytes.clear();
        finished
    }
}
