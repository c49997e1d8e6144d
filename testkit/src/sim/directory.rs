//! The names of a simulated disk. Owned by [`super::world`].
//!
//! 1. `live` is what callers see; `certain` is what a synced directory holds; `pending` lies
//!    between them, in order.
//! 2. Any set of pending changes may have reached the disk that holds, with each change, all
//!    earlier ones that touch one of its names.
//! 3. A sync makes what it covers certain, and what that rests on. Changes that a failed sync
//!    covered are never covered again.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::event::Node;

/// The names of files.
pub(crate) type Names = BTreeMap<Arc<str>, Node>;

/// One change of a name.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// When it was made.
    pub(crate) sequence: u64,
    kind: Kind,
    abandoned: bool,
}

#[derive(Clone, Debug)]
enum Kind {
    Create {
        name: Arc<str>,
        node: Node,
    },
    Remove {
        name: Arc<str>,
    },
    Rename {
        from: Arc<str>,
        to: Arc<str>,
        node: Node,
    },
}

impl Change {
    /// Whether both touch the same name.
    fn shares_name(&self, other: &Self) -> bool {
        self.touched()
            .iter()
            .flatten()
            .any(|name| other.touched().contains(&Some(name)))
    }

    fn touched(&self) -> [Option<&Arc<str>>; 2] {
        match &self.kind {
            Kind::Create { name, .. } | Kind::Remove { name } => [Some(name), None],
            Kind::Rename { from, to, .. } => [Some(from), Some(to)],
        }
    }

    fn apply(&self, names: &mut Names) {
        match &self.kind {
            Kind::Create { name, node } => drop(names.insert(name.clone(), *node)),
            Kind::Remove { name } => drop(names.remove(name)),
            Kind::Rename { from, to, node } => {
                names.remove(from);
                names.insert(to.clone(), *node);
            }
        }
    }
}

/// The names of a simulated disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory {
    pub(crate) live: Names,
    certain: Names,
    pub(crate) pending: Vec<Change>,
}

impl Directory {
    /// A directory that is on the disk as it is.
    pub(crate) fn settled(live: Names) -> Self {
        Self {
            certain: live.clone(),
            live,
            pending: Vec::new(),
        }
    }

    /// Enters a name.
    pub(crate) fn create(&mut self, name: &Arc<str>, node: Node, sequence: u64) {
        self.change(
            Kind::Create {
                name: name.clone(),
                node,
            },
            sequence,
        );
    }

    /// Removes a name.
    pub(crate) fn remove(&mut self, name: &Arc<str>, sequence: u64) {
        self.change(Kind::Remove { name: name.clone() }, sequence);
    }

    /// Renames, replacing.
    pub(crate) fn rename(&mut self, from: &Arc<str>, to: &Arc<str>, sequence: u64) {
        if let Some(node) = self.live.get(from).copied()
            && from != to
        {
            self.change(
                Kind::Rename {
                    from: from.clone(),
                    to: to.clone(),
                    node,
                },
                sequence,
            );
        }
    }

    fn change(&mut self, kind: Kind, sequence: u64) {
        let change = Change {
            sequence,
            kind,
            abandoned: false,
        };
        change.apply(&mut self.live);
        self.pending.push(change);
    }

    /// A sync that began at `covers` returned (rule 3).
    pub(crate) fn sync(&mut self, covers: u64, ok: bool) {
        if !ok {
            for change in self.pending.iter_mut().filter(|c| c.sequence <= covers) {
                change.abandoned = true;
            }
            return;
        }
        let wanted = |change: &Change| change.sequence <= covers && !change.abandoned;
        let mut durable: Vec<bool> = self.pending.iter().map(wanted).collect();
        for at in (0..durable.len()).rev() {
            let (earlier, rest) = durable.split_at_mut(at);
            if rest[0] {
                for (reached, change) in earlier.iter_mut().zip(&self.pending) {
                    *reached |= self.pending[at].shares_name(change);
                }
            }
        }
        self.certain = self.names_with(&durable);
        let mut durable = durable.into_iter();
        self.pending.retain(|_| !durable.next().unwrap_or(false));
    }

    /// What the disk holds if of the pending changes those in `reached` have reached it, and none
    /// that rests on another that has not (rule 2).
    pub(crate) fn names_with(&self, reached: &[bool]) -> Names {
        let mut names = self.certain.clone();
        let mut missing: Vec<&Change> = Vec::new();
        for (change, reached) in self.pending.iter().zip(reached) {
            if *reached && !missing.iter().any(|earlier| earlier.shares_name(change)) {
                change.apply(&mut names);
            } else {
                missing.push(change);
            }
        }
        names
    }

    /// Every file that bears a name now or may bear one after a crash.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = Node> {
        let pending = self.pending.iter().filter_map(|change| match &change.kind {
            Kind::Create { node, .. } | Kind::Rename { node, .. } => Some(*node),
            Kind::Remove { .. } => None,
        });
        self.live
            .values()
            .chain(self.certain.values())
            .copied()
            .chain(pending)
    }
}
