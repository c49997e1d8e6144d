//! A log in memory that tells before a commit is prepared and sequenced.

use vellum_base::Timestamp;
use vellum_txn::{Appended, CommitLog, Durability, LogError, NoLog, Prepared, Sequenced};

/// What is told.
pub(crate) trait Hook: Send + Sync + 'static {
    fn prepared(&self) {}

    fn cancelled(&self) {}

    fn parked(&self) {}

    /// Comes before a commit of this payload is sequenced; whether it is refused once.
    fn is_refused(&self, _payload: &[u8]) -> bool {
        false
    }
}

pub(crate) struct Hooked<H> {
    inner: NoLog,
    pub(crate) hook: H,
}

impl<H> Hooked<H> {
    pub(crate) fn new(hook: H) -> Self {
        let inner = NoLog::new(Timestamp::ZERO);
        Self { inner, hook }
    }
}

impl<H: Hook> CommitLog for Hooked<H> {
    fn prepare(&self, payload: &[&[u8]]) -> Result<Prepared, LogError> {
        self.hook.prepared();
        self.inner.prepare(payload)
    }

    fn cancel(&self, prepared: Prepared) {
        self.hook.cancelled();
        self.inner.cancel(prepared);
    }

    fn park(&self, prepared: &Prepared) {
        self.hook.parked();
        self.inner.park(prepared);
    }

    fn resume(&self, parked: Prepared) -> Result<Prepared, LogError> {
        self.inner.resume(parked)
    }

    fn give_up(&self, parked: Prepared) {
        self.inner.give_up(parked);
    }

    fn append(
        &self,
        prepared: Prepared,
        payload: &[&[u8]],
        durability: Durability,
        steps: &mut dyn Sequenced,
    ) -> Result<Appended, LogError> {
        match self.hook.is_refused(&payload.concat()) {
            true => Ok(Appended::Refused(prepared)),
            false => self.inner.append(prepared, payload, durability, steps),
        }
    }

    fn position(&self) -> u64 {
        self.inner.position()
    }

    fn settled(&self) -> Timestamp {
        self.inner.settled()
    }

    fn wait_settled(&self, at: Timestamp) -> Result<(), LogError> {
        self.inner.wait_settled(at)
    }
}
