//! The text files of a checkout, in memory.

use std::collections::BTreeMap;
use std::fs;

use super::source::Source;
use crate::error::{Context, Result};
use crate::layout::Layout;

const TEXT: [&str; 7] = ["rs", "md", "toml", "patch", "sh", "yml", "yaml"];

/// File names and texts, relative to the root.
#[derive(Debug, Default)]
pub(super) struct Tree {
    texts: BTreeMap<String, String>,
    /// All files, texts or not: links may lead to them.
    names: Vec<String>,
}

impl Tree {
    /// Reads what git would commit.
    pub(super) fn read(layout: &Layout) -> Result<Self> {
        let mut tree = Self::default();
        for name in layout.files()? {
            if is_text(&name) {
                let bytes =
                    fs::read(layout.root.join(&name)).during(|| format!("cannot read {name}"))?;
                tree.texts
                    .insert(name.clone(), String::from_utf8_lossy(&bytes).into_owned());
            }
            tree.names.push(name);
        }
        Ok(tree)
    }

    /// A tree for tests.
    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let texts = files
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        let names = files.iter().map(|(name, _)| (*name).to_owned()).collect();
        Self {
            texts: texts.collect(),
            names,
        }
    }

    /// How many files there are.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// All texts.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// The texts whose names end in `.ending`.
    pub(super) fn ending(&self, ending: &str) -> impl Iterator<Item = (&str, &str)> {
        let ending = format!(".{ending}");
        self.texts()
            .filter(move |(name, _)| name.ends_with(&ending))
    }

    /// The Rust sources, read.
    pub(super) fn sources(&self) -> impl Iterator<Item = (&str, Source)> {
        self.ending("rs")
            .map(|(name, text)| (name, Source::parse(text)))
    }

    /// One text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.texts.get(name).map(String::as_str)
    }

    /// Whether there is such a file, or a folder that holds one.
    pub(super) fn has(&self, name: &str) -> bool {
        let name = name.trim_end_matches('/');
        let inside = format!("{name}/");
        name.is_empty()
            || self
                .names
                .iter()
                .any(|file| file == name || file.starts_with(&inside))
    }

    /// Packages by name, with their folders.
    pub(super) fn packages(&self) -> BTreeMap<String, String> {
        let manifests = self.texts().filter_map(|(name, text)| {
            let folder = name.strip_suffix("/Cargo.toml")?;
            Some((crate::sweep::package_name(text)?, folder.to_owned()))
        });
        manifests.collect()
    }
}

fn is_text(name: &str) -> bool {
    name.starts_with(".ci/")
        || name
            .rsplit_once('.')
            .is_some_and(|(_, ending)| TEXT.contains(&ending))
}
