//! The copy of the tree in which mutants are tried.
//!
//! 1. The copy holds what git would commit: tracked files and new ones that are not ignored.
//! 2. A refresh rewrites only files that differ, so that what stands keeps its time and cargo its
//!    work; each application and each reversal rewrites the files it changes, so cargo sees both.
//!    Only where nothing is built in between, to see whether a mutant applies, files get their old
//!    times back: else every run would begin with building every crate that has a mutant.
//! 3. The copy's builds go to directories of their own (see [`crate::layout`], rule 1).
//! 4. A mutation is taken back when it is dropped, whatever happened in between.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use super::mutant::Mutant;
use crate::error::{Context, Error, Result};
use crate::layout::Layout;

/// The copy.
#[derive(Debug)]
pub(super) struct Scratch {
    layout: Layout,
}

/// A mutant in force; dropping it takes it back.
#[derive(Debug)]
#[must_use]
pub(super) struct Mutation {
    originals: Vec<(PathBuf, Vec<u8>)>,
}

impl Scratch {
    /// Brings the copy up to date with the tree.
    pub(super) fn refresh(layout: &Layout) -> Result<Self> {
        let place = layout.target.join("teeth");
        let copy = layout.at(&place.join("tree"), &place.join("target"));
        copy_tree(&layout.root, &copy.root, &layout.files()?)?;
        Ok(Self { layout: copy })
    }

    /// The copy as a checkout.
    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Whether a mutant applies. Nothing has happened afterwards, not even for cargo.
    pub(super) fn try_on(&self, mutant: &Mutant) -> Result<()> {
        let times = mutant
            .files
            .iter()
            .filter_map(|file| {
                let path = self.layout.root.join(file);
                let time = fs::metadata(&path).and_then(|data| data.modified()).ok()?;
                Some((path, time))
            })
            .collect::<Vec<_>>();
        let tried = self.mutate(mutant).and_then(Mutation::revert);
        for (path, time) in times {
            set_time(&path, time).during(|| format!("cannot touch {}", path.display()))?;
        }
        tried
    }

    /// Applies a mutant.
    pub(super) fn mutate(&self, mutant: &Mutant) -> Result<Mutation> {
        let root = &self.layout.root;
        let mut originals = Vec::new();
        for file in &mutant.files {
            let path = root.join(file);
            let bytes = fs::read(&path).during(|| format!("cannot read {file}"))?;
            originals.push((path, bytes));
        }
        let mutation = Mutation { originals };
        apply(root, &mutant.patch)?;
        mutation.check_changed()?;
        Ok(mutation)
    }
}

impl Mutation {
    /// Takes the mutant back, and says so if that fails.
    pub(super) fn revert(mut self) -> Result<()> {
        self.restore()
    }

    fn restore(&mut self) -> Result<()> {
        while let Some((path, bytes)) = self.originals.last() {
            fs::write(path, bytes).during(|| format!("cannot restore {}", path.display()))?;
            self.originals.pop();
        }
        Ok(())
    }

    /// git skips what lies outside the folder it believes to be in, without an error.
    fn check_changed(&self) -> Result<()> {
        for (path, before) in &self.originals {
            let after = fs::read(path).during(|| format!("cannot read {}", path.display()))?;
            if after == *before {
                return Err(Error::new(format!("left {} as it was", path.display())));
            }
        }
        Ok(())
    }
}

impl Drop for Mutation {
    fn drop(&mut self) {
        if let Err(error) = self.restore() {
            eprintln!("teeth: {error}");
        }
    }
}

fn set_time(path: &Path, time: SystemTime) -> std::io::Result<()> {
    fs::File::options()
        .write(true)
        .open(path)?
        .set_modified(time)
}

fn copy_tree(from: &Path, to: &Path, files: &BTreeSet<String>) -> Result<()> {
    for file in files {
        let (source, target) = (from.join(file), to.join(file));
        let bytes = fs::read(&source).during(|| format!("cannot read {}", source.display()))?;
        if fs::read(&target).is_ok_and(|old| old == bytes) {
            continue;
        }
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).during(|| format!("cannot create {}", folder.display()))?;
        }
        fs::write(&target, bytes).during(|| format!("cannot write {}", target.display()))?;
    }
    let mut stale = Vec::new();
    collect_stale(to, to, files, &mut stale)?;
    for path in stale {
        fs::remove_file(&path).during(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

fn collect_stale(
    root: &Path,
    folder: &Path,
    files: &BTreeSet<String>,
    stale: &mut Vec<PathBuf>,
) -> Result<()> {
    let entries = fs::read_dir(folder).during(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let path = entry
            .during(|| format!("cannot list {}", folder.display()))?
            .path();
        if path.is_dir() {
            collect_stale(root, &path, files, stale)?;
            continue;
        }
        let relative = path
            .strip_prefix(root)
            .unwrap_or(&path)
            .to_string_lossy()
            .into_owned();
        if !files.contains(&relative) {
            stale.push(path);
        }
    }
    Ok(())
}

fn apply(root: &Path, patch: &str) -> Result<()> {
    let mut command = Command::new("git");
    command
        .current_dir(root)
        // The copy lies inside the tree's repository, but is not part of it: without this git
        // would take the patch's paths from the repository's root.
        .env("GIT_CEILING_DIRECTORIES", root.parent().unwrap_or(root))
        .args(["apply", "--whitespace=nowarn", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().during(|| "cannot run git".into())?;
    if let Some(input) = child.stdin.take() {
        // If git ends early the pipe breaks; its exit code tells why.
        let _ = std::io::Write::write_all(&mut &input, patch.as_bytes());
    }
    let output = child
        .wait_with_output()
        .during(|| "cannot wait for git".into())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr)
        .trim()
        .replace('\n', "; ");
    Err(Error::new(format!("does not apply: {said}")))
}

#[cfg(test)]
mod tests;
