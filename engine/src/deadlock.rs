//! A cycle of transactions that wait for each other's locks, spelled out.

use std::fmt;

use crate::quoted::QuotedKey;

/// Transactions of which each waits for the next, and the last for the first: what
/// [`crate::Error::Deadlock`] tells. Begins with the one whose wait closed the cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deadlock {
    pub(crate) waits: Vec<DeadlockWait>,
}

/// One transaction of a [`Deadlock`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadlockWait {
    /// Its number among those that lock; the greater, the younger.
    pub transaction: u64,
    /// The table of the key that it waits for.
    pub table: String,
    /// The key; `None` if its wait ended before this could be told.
    pub key: Option<QuotedKey>,
    /// The key's hash, which is what is locked.
    pub hash: u64,
    /// Whether it wants to lock the key exclusively.
    pub exclusive: bool,
    /// The transaction that has the key, or is before it in the queue.
    pub next: u64,
}

impl Deadlock {
    /// Who waits for what.
    #[must_use]
    pub fn waits(&self) -> &[DeadlockWait] {
        &self.waits
    }
}

impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, wait) in self.waits.iter().enumerate() {
            let separator = if number == 0 { "" } else { "; " };
            write!(f, "{separator}transaction {} waits for ", wait.transaction)?;
            match &wait.key {
                Some(key) => write!(f, "key {key}")?,
                None => write!(f, "a key with hash {:#018x}", wait.hash)?,
            }
            let mode = if wait.exclusive {
                "exclusive"
            } else {
                "shared"
            };
            let (table, next) = (&wait.table, wait.next);
            write!(f, " of table `{table}` ({mode}) behind transaction {next}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_is_told_in_one_line() {
        let wait = |transaction, key: Option<&[u8]>, next| DeadlockWait {
            transaction,
            table: "t".into(),
            key: key.map(QuotedKey::new),
            hash: 0xAB,
            exclusive: key.is_some(),
            next,
        };
        let waits = vec![wait(1, Some(b"a\n"), 2), wait(2, None, 1)];
        assert_eq!(
            Deadlock { waits }.to_string(),
            "transaction 1 waits for key \"a\\n\" of table `t` (exclusive) behind transaction 2; \
             transaction 2 waits for a key with hash 0x00000000000000ab of table `t` (shared) \
             behind transaction 1"
        );
    }
}
