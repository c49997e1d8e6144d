//! Who committed, what was read, and in which order the versions of each list stand: rules 1 and 2.

use super::anomaly::{Findings, describe_list};
use super::hash::NumberMap;
use super::{Kind, Op, Outcome, Transaction};

/// No append, no place.
pub(super) const NONE: u32 = u32::MAX;

/// An append of any transaction.
pub(super) struct Append {
    pub(super) transaction: u32,
    pub(super) key: u32,
    pub(super) value: u32,
    /// Whether it is its transaction's last to this list.
    pub(super) is_final: bool,
    /// Where its value stands in the list's order, if anywhere.
    pub(super) place: u32,
}

/// A list that a committed transaction read.
pub(super) struct Observed<'a> {
    pub(super) transaction: u32,
    pub(super) key: u32,
    pub(super) list: &'a [u32],
    /// Whether the transaction had neither read nor written the list before.
    pub(super) is_first: bool,
}

/// A list, by the number of its key.
#[derive(Default)]
pub(super) struct Key<'a> {
    pub(super) name: u32,
    /// The longest that was read, and who read it.
    pub(super) order: &'a [u32],
    pub(super) reader: u32,
    /// The append behind each value of the order.
    pub(super) appends: Vec<u32>,
    /// Committed transactions whose appends to it nobody read.
    pub(super) unseen: Vec<u32>,
    /// A value is twice in the order: nothing is inferred from it.
    pub(super) is_twisted: bool,
}

/// What the checks go by.
pub(super) struct Versions<'a> {
    pub(super) history: &'a [Transaction],
    pub(super) keys: Vec<Key<'a>>,
    pub(super) appends: Vec<Append>,
    pub(super) observed: Vec<Observed<'a>>,
    pub(super) committed: Vec<bool>,
    names: NumberMap<u32, u32>,
    by_value: NumberMap<(u32, u32), u32>,
    /// Found committed, reads not looked at yet.
    waiting: Vec<u32>,
}

impl<'a> Versions<'a> {
    pub(super) fn of(history: &'a [Transaction], findings: &mut Findings) -> Self {
        let mut versions = Self {
            history,
            keys: Vec::new(),
            appends: Vec::new(),
            observed: Vec::new(),
            committed: vec![false; history.len()],
            names: NumberMap::default(),
            by_value: NumberMap::default(),
            waiting: Vec::new(),
        };
        for (number, transaction) in history.iter().enumerate() {
            versions.note_appends(number as u32, transaction, findings);
        }
        for (number, transaction) in history.iter().enumerate() {
            if transaction.outcome == Outcome::Ok {
                versions.committed[number] = true;
                versions.note_reads(number as u32, findings);
            }
        }
        while let Some(number) = versions.waiting.pop() {
            versions.note_reads(number, findings);
        }
        versions.note_unseen();
        versions
    }

    pub(super) fn committed_count(&self) -> usize {
        self.committed
            .iter()
            .filter(|committed| **committed)
            .count()
    }

    fn key(&mut self, name: u32) -> u32 {
        let next = self.keys.len() as u32;
        let number = *self.names.entry(name).or_insert(next);
        if number == next {
            self.keys.push(Key {
                name,
                reader: NONE,
                ..Key::default()
            });
        }
        number
    }

    fn note_appends(&mut self, number: u32, transaction: &Transaction, findings: &mut Findings) {
        let begin = self.appends.len();
        for op in &transaction.ops {
            let Op::Append { key: name, value } = *op else {
                continue;
            };
            let key = self.key(name);
            for earlier in &mut self.appends[begin..] {
                earlier.is_final &= earlier.key != key;
            }
            let append = self.appends.len() as u32;
            if let Some(other) = self.by_value.insert((key, value), append) {
                let other = self.appends[other as usize].transaction as usize;
                let what = format!("{value} was appended twice to list {name}");
                let whose = [other, number as usize];
                findings.add(self.history, Kind::DuplicateAppend, &whose, vec![what]);
            }
            self.appends.push(Append {
                transaction: number,
                key,
                value,
                is_final: true,
                place: NONE,
            });
        }
    }

    fn note_reads(&mut self, number: u32, findings: &mut Findings) {
        let history = self.history;
        let mut touched: Vec<u32> = Vec::new();
        for op in &history[number as usize].ops {
            let (name, list) = match op {
                Op::Append { key, .. } => (*key, None),
                Op::Read { key, list } => (*key, list.as_deref()),
            };
            let key = self.key(name);
            let is_first = !touched.contains(&key);
            if let Some(list) = list {
                self.observed.push(Observed {
                    transaction: number,
                    key,
                    list,
                    is_first,
                });
                self.note_list(number, key, list, findings);
            }
            if is_first && !matches!(op, Op::Read { list: None, .. }) {
                touched.push(key);
            }
        }
    }

    /// Rule 2: a list that was read is the order's beginning, goes on from it, or contradicts it.
    fn note_list(&mut self, reader: u32, key: u32, list: &'a [u32], findings: &mut Findings) {
        let known = &self.keys[key as usize];
        let (order, other, name) = (known.order, known.reader, known.name);
        if order.starts_with(list) {
            return;
        }
        if list.starts_with(order) {
            let known = &mut self.keys[key as usize];
            (known.order, known.reader) = (list, reader);
            for (place, value) in list.iter().enumerate().skip(order.len()) {
                self.place(reader, key, *value, place as u32, findings);
            }
            return;
        }
        if findings.wants(Kind::IncompatibleOrder) {
            let what = format!(
                "of list {name}, {} and {} were read",
                describe_list(order),
                describe_list(list)
            );
            let whose = [other as usize, reader as usize];
            findings.add(self.history, Kind::IncompatibleOrder, &whose, vec![what]);
        }
        for value in list {
            let append = self.find(reader, key, *value, findings);
            self.admit(append);
        }
    }

    fn place(&mut self, reader: u32, key: u32, value: u32, place: u32, findings: &mut Findings) {
        let append = self.find(reader, key, value, findings);
        self.keys[key as usize].appends.push(append);
        self.admit(append);
        let Some(append) = self.appends.get_mut(append as usize) else {
            return;
        };
        if append.place == NONE {
            append.place = place;
            return;
        }
        let known = &mut self.keys[key as usize];
        known.is_twisted = true;
        let what = format!("list {} has {value} twice", known.name);
        let whose = [reader as usize];
        findings.add(self.history, Kind::DuplicateElement, &whose, vec![what]);
    }

    fn find(&self, reader: u32, key: u32, value: u32, findings: &mut Findings) -> u32 {
        let found = self.by_value.get(&(key, value)).copied();
        found.unwrap_or_else(|| {
            let name = self.keys[key as usize].name;
            let what = format!("list {name} has {value}, which nobody appended");
            let whose = [reader as usize];
            findings.add(self.history, Kind::GarbageRead, &whose, vec![what]);
            NONE
        })
    }

    /// Rule 1: what was read was committed, if it may have been.
    fn admit(&mut self, append: u32) {
        let Some(append) = self.appends.get(append as usize) else {
            return;
        };
        let writer = append.transaction as usize;
        if self.history[writer].outcome == Outcome::Info && !self.committed[writer] {
            self.committed[writer] = true;
            self.waiting.push(writer as u32);
        }
    }

    fn note_unseen(&mut self) {
        for append in &self.appends {
            let unseen = &mut self.keys[append.key as usize].unseen;
            let is_committed = self.committed[append.transaction as usize];
            if is_committed && append.place == NONE && unseen.last() != Some(&append.transaction) {
                unseen.push(append.transaction);
            }
        }
    }

    /// The committed transaction that made the version of this length; none of the empty list.
    pub(super) fn writer(&self, key: u32, length: usize) -> Option<u32> {
        let append = *self.keys[key as usize]
            .appends
            .get(length.checked_sub(1)?)?;
        let writer = self.appends.get(append as usize)?.transaction;
        self.committed[writer as usize].then_some(writer)
    }

    /// Whether the list is a beginning of its key's order, from which something can be inferred.
    pub(super) fn is_version(&self, key: u32, list: &[u32]) -> bool {
        let key = &self.keys[key as usize];
        !key.is_twisted && key.order.starts_with(list)
    }

    /// The append that has this value in this list.
    pub(super) fn append(&self, key: u32, value: u32) -> Option<&Append> {
        let append = *self.by_value.get(&(key, value))?;
        self.appends.get(append as usize)
    }
}
