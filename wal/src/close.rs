//! Closing.
//!
//! 1. First everything is made durable; then the closing record is written, in a group of its own,
//!    whose header states just that.
//! 2. No commit is appended behind a closing record, so the timestamp it repeats is the last one
//!    ever used.

use vellum_base::checksum;

use crate::error::WalError;
use crate::format::Kind;
use crate::state::Shared;

impl Shared {
    pub(crate) fn close(&self) -> Result<(), WalError> {
        self.state.lock().check()?;
        let claim = self.geometry.claim_bytes(0);
        self.reserve(claim)?;
        {
            let mut state = self.state.lock();
            if let Err(error) = state.check() {
                drop(state);
                self.cancel(claim);
                return Err(error);
            }
            state.closed = true;
        }
        self.sync()?;
        let stored = {
            let mut state = self.state.lock();
            let before = state.end;
            let last = state.last;
            let stored = self.store_close(&mut state, last);
            self.words.convert_claim(claim, state.end.0 - before.0);
            stored
        };
        self.guard(stored)?;
        self.sync()
    }

    fn store_close(
        &self,
        state: &mut crate::state::State,
        last: vellum_base::Timestamp,
    ) -> Result<(), WalError> {
        state.seal();
        let entry = crate::append::Entry {
            kind: Kind::Close,
            payload: &[],
            digest: checksum(&[]),
        };
        let stored = self.store(state, entry, last);
        stored
            .map(|_| ())
            .map_err(|f| WalError::Poisoned(std::sync::Arc::new(f)))
    }
}
