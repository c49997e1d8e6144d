//! Which mutants a bounded run tries.
//!
//! 1. Those that touch a changed file come first, then some others; both in an order that begins at
//!    a place given by the commit, so that one commit always tries the same ones, and many commits
//!    all of them.
//! 2. Changed is what differs from where the work began: the place where this branch left the main
//!    one; on the main branch itself, the last commit that is half a day older than the newest; the
//!    empty tree if there is none.
//! 3. They are tried in batches of one mode and one package, each where the first of its mutants
//!    stood: so they share builds. A batch is small, for what a bounded run prepares in vain when its
//!    time is over; and whichever mutant the rotation begins with is the first to be tried.
//! 4. All batches of one mode follow one another, the modes in the order of their first mutants: the
//!    first build in a mode costs as much as dozens of mutants.

use std::collections::BTreeSet;

use super::mutant::Mutant;
use crate::error::{Context, Error, Result};
use crate::layout::Layout;
use crate::mode::Mode;

const HALF_A_DAY: u64 = 12 * 60 * 60;
const BATCH: usize = 12;

/// Why a mutant is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    Asked,
    Changed,
    Rotation,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Asked => "asked for",
            Self::Changed => "touches changed files",
            Self::Rotation => "in rotation",
        })
    }
}

/// A mutant to try.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) mutant: Mutant,
    pub(super) reason: Reason,
}

/// The mutants to try, in order.
#[derive(Debug)]
pub(super) struct Selection {
    pub(super) choices: Vec<Choice>,
    /// Everything that was asked for: no time limit applies.
    pub(super) is_whole: bool,
}

/// What has changed, and where the rotation stands.
#[derive(Debug, Default)]
pub(super) struct Change {
    pub(super) files: BTreeSet<String>,
    pub(super) turn: u64,
}

impl Selection {
    /// All of `mutants`.
    pub(super) fn whole(mutants: Vec<Mutant>) -> Self {
        let choice = |mutant| Choice {
            mutant,
            reason: Reason::Asked,
        };
        Self {
            choices: mutants.into_iter().map(choice).collect(),
            is_whole: true,
        }
    }

    /// Those that touch changed files, and `others` more.
    pub(super) fn bounded(mut mutants: Vec<Mutant>, change: &Change, others: usize) -> Self {
        if let Some(start) = change.turn.checked_rem(mutants.len() as u64) {
            mutants.rotate_left(usize::try_from(start).unwrap_or(0));
        }
        let is_changed =
            |mutant: &Mutant| mutant.files.iter().any(|file| change.files.contains(file));
        let (changed, rest): (Vec<_>, Vec<_>) = mutants.into_iter().partition(is_changed);
        let changed = changed.into_iter().map(|mutant| Choice {
            mutant,
            reason: Reason::Changed,
        });
        let rest = rest.into_iter().map(|mutant| Choice {
            mutant,
            reason: Reason::Rotation,
        });
        Self {
            choices: changed.chain(rest.take(others)).collect(),
            is_whole: false,
        }
    }

    /// The mutants in batches, by rules 3 and 4.
    pub(super) fn into_batches(self) -> Vec<Vec<Choice>> {
        let mut batches: Vec<Vec<Choice>> = Vec::new();
        for choice in self.choices {
            // The last of its kind is the one that has room, if one has.
            let kin = batches
                .iter_mut()
                .rfind(|batch| batch[0].kind() == choice.kind());
            match kin {
                Some(batch) if batch.len() < BATCH => batch.push(choice),
                _ => batches.push(vec![choice]),
            }
        }
        let mut modes: Vec<(Reason, Mode)> = Vec::new();
        for batch in &batches {
            if !modes.contains(&batch[0].mode()) {
                modes.push(batch[0].mode());
            }
        }
        batches.sort_by_key(|batch| modes.iter().position(|mode| *mode == batch[0].mode()));
        batches
    }
}

impl Choice {
    fn mode(&self) -> (Reason, Mode) {
        (self.reason, self.mutant.mode)
    }

    fn kind(&self) -> (Reason, Mode, &str) {
        (self.reason, self.mutant.mode, &self.mutant.package)
    }
}

impl Change {
    /// What git says, against `since` or the place of rule 2.
    pub(super) fn find(layout: &Layout, since: Option<&str>) -> Result<Self> {
        let head = git(layout, &["rev-parse", "HEAD"])?;
        let base = match since {
            Some(given) => git(layout, &["rev-parse", "--verify", given])?,
            None => base(layout, &head)?,
        };
        let changed = git(layout, &["diff", "--name-only", &base])?;
        let new = git(layout, &["ls-files", "--others", "--exclude-standard"])?;
        let files = changed
            .lines()
            .chain(new.lines())
            .map(str::to_owned)
            .collect();
        Ok(Self {
            files,
            turn: turn(&head),
        })
    }
}

fn base(layout: &Layout, head: &str) -> Result<String> {
    if let Ok(fork) = git(layout, &["merge-base", "HEAD", "origin/main"])
        && fork != head
    {
        return Ok(fork);
    }
    let time = git(layout, &["show", "--no-patch", "--format=%ct", "HEAD"])?;
    let time: u64 = time.parse().during(|| "git gives no commit time".into())?;
    let before = format!("--before={}", time.saturating_sub(HALF_A_DAY));
    let older = git(layout, &["rev-list", "-1", &before, "HEAD"])?;
    if older.is_empty() {
        git(layout, &["hash-object", "-t", "tree", "/dev/null"])
    } else {
        Ok(older)
    }
}

fn turn(commit: &str) -> u64 {
    let digits: String = commit.chars().take(12).collect();
    u64::from_str_radix(&digits, 16).unwrap_or(0)
}

fn git(layout: &Layout, arguments: &[&str]) -> Result<String> {
    let output = layout
        .git()
        .args(arguments)
        .output()
        .during(|| "cannot run git".into())?;
    if !output.status.success() {
        return Err(Error::new(format!("git {} failed", arguments.join(" "))));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutant(name: &str, file: &str) -> Mutant {
        let text = format!(
            "# rule: r\n# mode: std\n# test: p - t\n--- a/{file}\n+++ b/{file}\n@@ -1 +1 @@\n-a\n+b\n"
        );
        Mutant::parse(name, &text).unwrap()
    }

    fn mutants() -> Vec<Mutant> {
        (0..6)
            .map(|n| mutant(&format!("m{n}"), &format!("f{n}.rs")))
            .collect()
    }

    fn names(selection: &Selection) -> Vec<&str> {
        selection
            .choices
            .iter()
            .map(|choice| choice.mutant.name.as_str())
            .collect()
    }

    #[test]
    fn changed_files_come_first_and_then_the_rotation() {
        let change = Change {
            files: ["f4.rs".to_owned()].into(),
            turn: 1,
        };
        let selection = Selection::bounded(mutants(), &change, 2);
        assert_eq!(names(&selection), ["m4", "m1", "m2"]);
        assert_eq!(selection.choices[0].reason, Reason::Changed);
        assert_eq!(selection.choices[1].reason, Reason::Rotation);
        assert!(!selection.is_whole);
    }

    #[test]
    fn the_rotation_reaches_every_mutant() {
        let mut seen = BTreeSet::new();
        for turn in 0..6 {
            let change = Change {
                files: BTreeSet::new(),
                turn,
            };
            let selection = Selection::bounded(mutants(), &change, 1);
            seen.extend(names(&selection).into_iter().map(str::to_owned));
        }
        assert_eq!(seen.len(), 6);
    }

    #[test]
    fn batches_gather_what_shares_builds_by_mode_and_begin_where_the_rotation_does() {
        let chosen = |name: &str, mode: &str, package: &str| {
            let text = mutant(name, "f.rs")
                .patch
                .replace("mode: std", &format!("mode: {mode}"))
                .replace("test: p", &format!("test: {package}"));
            Choice {
                mutant: Mutant::parse(name, &text).unwrap(),
                reason: Reason::Rotation,
            }
        };
        let mut choices = vec![
            chosen("a", "loom", "p"),
            chosen("b", "std", "p"),
            chosen("c", "loom", "q"),
            chosen("d", "loom", "p"),
            chosen("e", "std", "p"),
        ];
        choices.push(Choice {
            reason: Reason::Changed,
            ..chosen("f", "std", "p")
        });
        let numbers = (0..=BATCH).map(|n| n.to_string());
        choices.extend(numbers.map(|name| chosen(&name, "loom", "q")));
        let is_whole = false;
        let batches = Selection { choices, is_whole }.into_batches();
        let names: Vec<Vec<&str>> = batches
            .iter()
            .map(|batch| batch.iter().map(|one| one.mutant.name.as_str()).collect())
            .collect();
        assert_eq!(names[0], ["a", "d"]);
        assert_eq!((names[1][0], names[1].len()), ("c", BATCH));
        assert_eq!(names[2..], [vec!["11", "12"], vec!["b", "e"], vec!["f"]]);
    }

    #[test]
    fn without_mutants_nothing_is_chosen() {
        assert!(
            Selection::bounded(Vec::new(), &Change::default(), 3)
                .choices
                .is_empty()
        );
    }

    #[test]
    fn a_commit_gives_its_turn() {
        assert_eq!(turn("00000000000a5555"), 10);
        assert_eq!(turn("not hexadecimal"), 0);
    }
}
