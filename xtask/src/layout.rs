//! Where things are: the workspace's root, its target directory and its packages.
//!
//! 1. The target directory of a mode is its own, so that the checkers' flags never rebuild the
//!    ordinary build, and the scratch copy of `teeth` never shares one with the tree: cargo judges
//!    freshness by time, and would take a mutant's build for the tree's.

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Context, Error, Result};

/// The places of one checkout.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The workspace's root.
    pub root: PathBuf,
    /// Where ordinary builds go.
    pub target: PathBuf,
}

impl Layout {
    /// The checkout that this program was built from.
    ///
    /// # Errors
    ///
    /// When there is no checkout there any more.
    pub fn discover() -> Result<Self> {
        let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let root = here.parent().unwrap_or(&here).to_path_buf();
        if !root.join("Cargo.toml").is_file() {
            return Err(Error::new(format!("no workspace at {}", root.display())));
        }
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(given) => root.join(given),
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }

    /// The same target directory, seen from a copy of the tree at `root`.
    #[must_use]
    pub fn at(&self, root: &Path, target: &Path) -> Self {
        Self {
            root: root.to_path_buf(),
            target: target.to_path_buf(),
        }
    }

    /// A cargo command in this checkout, building into `target`.
    #[must_use]
    pub fn cargo(&self, target: &Path) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", target);
        for inherited in [
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_MANIFEST_DIR",
            "CARGO_MANIFEST_PATH",
        ] {
            command.env_remove(inherited);
        }
        command
    }

    /// The files that git would commit: tracked ones, and new ones that are not ignored.
    ///
    /// # Errors
    ///
    /// When git is missing, or this is no repository.
    pub fn files(&self) -> Result<BTreeSet<String>> {
        let mut git = self.git();
        git.args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]);
        let output = git.output().during(|| "cannot run git".into())?;
        if !output.status.success() {
            return Err(Error::new("git cannot list the tree"));
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let exists = |file: &&str| !file.is_empty() && self.root.join(file).is_file();
        Ok(text.split('\0').filter(exists).map(str::to_owned).collect())
    }

    /// A git command in this checkout.
    #[must_use]
    pub fn git(&self) -> Command {
        let mut command = Command::new("git");
        command.current_dir(&self.root);
        command
    }
}
