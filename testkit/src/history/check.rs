//! The check itself; its rules are in [`super`]. Plain data.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Bound;

use super::indexed::{Indexed, Lookup};
use super::own::{Own, Written, own_after, take};
use super::{Step, Transaction};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Two transactions wrote a key, neither having seen the other's.
    LostUpdate,
    /// A key was read twice, with two values.
    NonRepeatableRead,
    /// The values read were never there together.
    ReadSkew,
    /// A value that no committed transaction wrote, but one that was rolled back did.
    AbortedRead,
    /// A value that its writer replaced before it committed.
    IntermediateRead,
    /// A value that was committed after the snapshot.
    FutureRead,
    /// A value that was replaced before the snapshot.
    StaleRead,
    /// A range or an index lacks a key, has one too many, or is out of order.
    Phantom,
    /// A value that lacks what was merged into it.
    LostMerge,
    /// A value that nobody wrote.
    GarbageRead,
    /// A transaction did not read what it had written itself.
    OwnWriteMissed,
    /// A snapshot lacks a commit that had returned before.
    StaleSnapshot,
    /// A commit's timestamp is another's, or not later than its snapshot.
    CommitOrder,
    /// What was read was otherwise at the reader's place in the order of commits.
    NotSerial,
}

/// Something that snapshot isolation does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// What is wrong.
    pub kind: Kind,
    /// Whose: an index into the history.
    pub transaction: usize,
    /// What was expected, and what was seen instead.
    pub what: String,
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} in transaction {}: {}",
            self.kind, self.transaction, self.what
        )
    }
}

/// What was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Transactions.
    pub transactions: usize,
    /// Of them committed with writes.
    pub committed: usize,
    /// Keys read, those of ranges included.
    pub reads: usize,
}

/// Checks a whole history.
///
/// # Errors
/// Every anomaly found.
pub fn check(history: &[Transaction]) -> Result<Summary, Vec<Anomaly>> {
    let mut checker = Checker::new(history);
    checker.check_commit_order();
    checker.check_first_committer();
    checker.check_real_time();
    for transaction in 0..history.len() {
        checker.check_reads(transaction);
    }
    if checker.anomalies.is_empty() {
        Ok(checker.summary)
    } else {
        Err(checker.anomalies)
    }
}

type Value = Option<Vec<u8>>;

/// A committed version of a key.
struct Version {
    commit: u64,
    /// Without what was there before.
    written: Written,
    value: Value,
    writer: usize,
}

struct Checker<'a> {
    history: &'a [Transaction],
    versions: BTreeMap<&'a [u8], Vec<Version>>,
    /// Who wrote a value, and whether that write was its last of the key.
    writers: HashMap<(&'a [u8], &'a Value), (usize, bool)>,
    /// What was merged into a key, and by whom.
    operands: HashMap<&'a [u8], Vec<(&'a [u8], usize)>>,
    anomalies: Vec<Anomaly>,
    summary: Summary,
}

impl<'a> Checker<'a> {
    fn new(history: &'a [Transaction]) -> Self {
        let mut versions: BTreeMap<&[u8], Vec<Version>> = BTreeMap::new();
        let mut writers = HashMap::new();
        let mut operands: HashMap<&[u8], Vec<_>> = HashMap::new();
        let mut summary = Summary {
            transactions: history.len(),
            ..Summary::default()
        };
        for (number, transaction) in history.iter().enumerate() {
            let last = own_after(&transaction.steps);
            for step in &transaction.steps {
                match step {
                    Step::Write { key, value } => {
                        let stands = last.get(key.as_slice());
                        let is_last = matches!(stands, Some(Written::Value(last)) if last == value);
                        writers.insert((key.as_slice(), value), (number, is_last));
                    }
                    Step::Merge { key, operand } => {
                        let of_key = operands.entry(key.as_slice()).or_default();
                        of_key.push((operand.as_slice(), number));
                    }
                    _ => {}
                }
            }
            let Some(commit) = transaction.commit else {
                continue;
            };
            summary.committed += 1;
            for (key, written) in last {
                let version = Version {
                    commit,
                    written,
                    value: None,
                    writer: number,
                };
                versions.entry(key).or_default().push(version);
            }
        }
        for versions in versions.values_mut() {
            versions.sort_by_key(|version| version.commit);
            let mut before: Value = None;
            for version in versions {
                version.value = version.written.over(before.as_deref());
                before.clone_from(&version.value);
            }
        }
        Self {
            history,
            versions,
            writers,
            operands,
            anomalies: Vec::new(),
            summary,
        }
    }

    fn report(&mut self, kind: Kind, transaction: usize, what: String) {
        self.anomalies.push(Anomaly {
            kind,
            transaction,
            what,
        });
    }

    /// Rule 3.
    fn check_commit_order(&mut self) {
        let mut by_commit: BTreeMap<u64, usize> = BTreeMap::new();
        for (number, transaction) in self.history.iter().enumerate() {
            let Some(commit) = transaction.commit else {
                continue;
            };
            if commit <= transaction.snapshot {
                let what = format!("commit {commit} on a snapshot at {}", transaction.snapshot);
                self.report(Kind::CommitOrder, number, what);
            }
            if let Some(other) = by_commit.insert(commit, number) {
                let what = format!("commit {commit} is also transaction {other}'s");
                self.report(Kind::CommitOrder, number, what);
            }
        }
    }

    /// Rule 2.
    fn check_first_committer(&mut self) {
        let mut lost = Vec::new();
        for (key, versions) in &self.versions {
            for pair in versions.windows(2) {
                let [earlier, later] = pair else { continue };
                let snapshot = self.history[later.writer].snapshot;
                if snapshot < earlier.commit && matches!(later.written, Written::Value(_)) {
                    let what = format!(
                        "key {key:?} was committed at {} by transaction {}, after the snapshot at \
                         {snapshot}, and again at {}",
                        earlier.commit, earlier.writer, later.commit
                    );
                    lost.push((later.writer, what));
                }
            }
        }
        for (transaction, what) in lost {
            self.report(Kind::LostUpdate, transaction, what);
        }
    }

    /// Rule 4.
    fn check_real_time(&mut self) {
        let mut ends: Vec<(u64, u64)> = self
            .history
            .iter()
            .filter_map(|transaction| Some((transaction.ended, transaction.commit?)))
            .collect();
        ends.sort_unstable();
        let mut begins: Vec<usize> = (0..self.history.len()).collect();
        begins.sort_by_key(|number| self.history[*number].began);
        let mut ends = ends.into_iter().peekable();
        let mut newest = 0;
        for number in begins {
            let Transaction {
                began, snapshot, ..
            } = self.history[number];
            while let Some((_, commit)) = ends.next_if(|(ended, _)| *ended < began) {
                newest = newest.max(commit);
            }
            if snapshot < newest {
                let what = format!("commit {newest} had returned; the snapshot is at {snapshot}");
                self.report(Kind::StaleSnapshot, number, what);
            }
        }
    }

    /// Rule 1.
    fn check_reads(&mut self, number: usize) {
        let history = self.history;
        let snapshot = history[number].snapshot;
        let mut own = Own::new();
        let mut wrong = Vec::new();
        let mut seen = Vec::new();
        let steps = &history[number].steps;
        for (at, step) in steps.iter().enumerate() {
            take(&mut own, steps, at);
            match step {
                Step::Read { key, value } => {
                    self.summary.reads += 1;
                    let Some(written) = own.get(key.as_slice()) else {
                        seen.push((key.as_slice(), value));
                        if self.visible(key, snapshot) != value.as_ref() {
                            wrong.push((key.as_slice(), value));
                        }
                        continue;
                    };
                    let below = self.visible(key, snapshot).map(Vec::as_slice);
                    let own = written.over(below);
                    if own != *value {
                        let what = format!("key {key:?}: wrote {own:?}, read {value:?}");
                        self.report(Kind::OwnWriteMissed, number, what);
                    }
                }
                Step::Standing { key, value } => {
                    self.summary.reads += 1;
                    seen.push((key.as_slice(), value));
                    if self.visible(key, snapshot) != value.as_ref() {
                        wrong.push((key.as_slice(), value));
                    }
                }
                Step::Range { from, to, found } => {
                    self.check_range(number, &own, from, to.as_deref(), found);
                }
                Step::Index { lookup, found } => {
                    self.check_index(number, &own, lookup, found);
                }
                Step::Write { .. } | Step::Merge { .. } | Step::RollBack { .. } => {}
            }
        }
        for (key, value) in &wrong {
            let kind = self.name_wrong_read(key, value, snapshot, &seen);
            let expected = self.visible(key, snapshot);
            let what = format!("key {key:?} at {snapshot}: expected {expected:?}, read {value:?}");
            self.report(kind, number, what);
        }
    }

    fn visible(&self, key: &[u8], snapshot: u64) -> Option<&Vec<u8>> {
        let versions = self.versions.get(key)?;
        let count = versions.partition_point(|version| version.commit <= snapshot);
        versions.get(count.checked_sub(1)?)?.value.as_ref()
    }

    fn check_range(
        &mut self,
        number: usize,
        own: &Own<'_>,
        from: &[u8],
        to: Option<&[u8]>,
        found: &[(Vec<u8>, Vec<u8>)],
    ) {
        self.summary.reads += found.len();
        let bounds = (
            Bound::Included(from),
            to.map_or(Bound::Unbounded, Bound::Excluded),
        );
        if to.is_some_and(|to| to <= from) {
            return;
        }
        let expected = self.within(self.history[number].snapshot, own, bounds);
        let found: Vec<(&[u8], &[u8])> = found
            .iter()
            .map(|(key, value)| (key.as_slice(), value.as_slice()))
            .collect();
        if !expected
            .iter()
            .map(|(key, value)| (*key, value.as_ref()))
            .eq(found.iter().copied())
        {
            let what = format!("{from:?}..{to:?}: expected {expected:?}, found {found:?}");
            self.report(Kind::Phantom, number, what);
        }
    }

    fn check_index(&mut self, number: usize, own: &Own<'_>, lookup: &Lookup, found: &[Indexed]) {
        self.summary.reads += found.len();
        let all = (Bound::Unbounded, Bound::Unbounded);
        let records = self.within(self.history[number].snapshot, own, all);
        let expected = lookup.among(records.iter().map(|(key, value)| (*key, &value[..])));
        if expected != found {
            let what = format!("{lookup:?}: expected {expected:?}, found {found:?}");
            self.report(Kind::Phantom, number, what);
        }
    }

    /// What is there in a snapshot with own writes over it.
    fn within<'k>(
        &'k self,
        snapshot: u64,
        own: &Own<'k>,
        bounds: (Bound<&[u8]>, Bound<&[u8]>),
    ) -> BTreeMap<&'k [u8], Cow<'k, [u8]>> {
        let committed = self.versions.range::<[u8], _>(bounds);
        let mut there: BTreeMap<&[u8], Cow<'_, [u8]>> = committed
            .filter_map(|(key, _)| {
                let value = self.visible(key, snapshot)?;
                Some((*key, Cow::Borrowed(value.as_slice())))
            })
            .collect();
        for (key, written) in own.range::<[u8], _>(bounds) {
            there.remove(key);
            let value = written.over(self.visible(key, snapshot).map(Vec::as_slice));
            there.extend(value.map(|value| (*key, Cow::Owned(value))));
        }
        there
    }

    /// Finds the best name for a read that is wrong.
    fn name_wrong_read(
        &self,
        key: &[u8],
        value: &Value,
        snapshot: u64,
        seen: &[(&[u8], &Value)],
    ) -> Kind {
        let twice = seen
            .iter()
            .any(|(other, seen)| *other == key && *seen != value);
        let valid = self.valid(key, value);
        match valid {
            _ if twice => Kind::NonRepeatableRead,
            None => match self.writers.get(&(key, value)) {
                Some((writer, _)) if self.history[*writer].commit.is_none() => Kind::AbortedRead,
                Some((_, false)) => Kind::IntermediateRead,
                _ => self.name_wrong_merge(key, value, snapshot),
            },
            Some((from, until)) => {
                let together = seen
                    .iter()
                    .filter_map(|(key, value)| self.valid(key, value));
                let together = together.fold((from, until), |(from, until), (first, end)| {
                    (from.max(first), until.min(end))
                });
                match together {
                    (first, end) if first >= end => Kind::ReadSkew,
                    _ if from > snapshot => Kind::FutureRead,
                    _ => Kind::StaleRead,
                }
            }
        }
    }

    /// The same for a value that no commit left and nobody wrote as it is.
    fn name_wrong_merge(&self, key: &[u8], value: &Value, snapshot: u64) -> Kind {
        let operands = self.operands.get(key).map_or(&[][..], Vec::as_slice);
        let commit = |writer: usize| self.history[writer].commit;
        let has = |value: Option<&Vec<u8>>, operand: &[u8]| {
            value.is_some_and(|value| value.windows(operand.len()).any(|part| part == operand))
        };
        let expected = self.visible(key, snapshot);
        let mut in_it = operands
            .iter()
            .filter(|(operand, _)| has(value.as_ref(), operand));
        if in_it.any(|(_, writer)| commit(*writer).is_none()) {
            return Kind::AbortedRead;
        }
        let mut due = operands
            .iter()
            .filter(|(operand, _)| has(expected, operand));
        match due.any(|(operand, _)| !has(value.as_ref(), operand)) {
            true => Kind::LostMerge,
            false => Kind::GarbageRead,
        }
    }

    /// From which commit on, and before which, the key had that value.
    fn valid(&self, key: &[u8], value: &Value) -> Option<(u64, u64)> {
        let versions = self.versions.get(key).map_or(&[][..], Vec::as_slice);
        let end = |at: usize| versions.get(at).map_or(u64::MAX, |version| version.commit);
        match versions.iter().rposition(|version| version.value == *value) {
            Some(at) => Some((versions[at].commit, end(at + 1))),
            None => value.is_none().then(|| (0, end(0))),
        }
    }
}
