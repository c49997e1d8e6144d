//! Isolation levels, and what each forbids.

use super::{Class, Kind};

/// What a transaction asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// It reads one snapshot, and of two that overlap and write one key one commits.
    Snapshot,
    /// As if one ran after the other.
    Serializable,
}

/// What the order of transactions has to agree with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Order {
    /// Nothing.
    Free,
    /// The order in which each process does its own.
    Process,
    /// What ended before another began, whoever did it; and the processes' order.
    RealTime,
}

impl Order {
    pub(super) const ALL: [Self; 3] = [Self::Free, Self::Process, Self::RealTime];
}

/// What all transactions of a history are held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Level {
    /// What they asked for.
    pub isolation: Isolation,
    /// With what their order agrees.
    pub order: Order,
}

impl Level {
    /// Snapshot isolation, generalised: a snapshot may be old.
    pub const SNAPSHOT: Self = Self::new(Isolation::Snapshot, Order::Free);
    /// A snapshot has what its process did before.
    pub const STRONG_SESSION_SNAPSHOT: Self = Self::new(Isolation::Snapshot, Order::Process);
    /// A snapshot has everything that had ended.
    pub const STRONG_SNAPSHOT: Self = Self::new(Isolation::Snapshot, Order::RealTime);
    /// In some serial order.
    pub const SERIALIZABLE: Self = Self::new(Isolation::Serializable, Order::Free);
    /// In one that agrees with each process.
    pub const STRONG_SESSION_SERIALIZABLE: Self =
        Self::new(Isolation::Serializable, Order::Process);
    /// In one that agrees with real time.
    pub const STRICT_SERIALIZABLE: Self = Self::new(Isolation::Serializable, Order::RealTime);

    const fn new(isolation: Isolation, order: Order) -> Self {
        Self { isolation, order }
    }

    /// Whether an anomaly of this kind breaks the promise.
    #[must_use]
    pub fn forbids(self, kind: Kind) -> bool {
        match kind {
            Kind::Cycle(class, order) => {
                let allowed = self.isolation == Isolation::Snapshot && class == Class::G2Item;
                order <= self.order && !allowed
            }
            _ => true,
        }
    }
}
