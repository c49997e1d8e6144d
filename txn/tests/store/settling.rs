//! Snapshots where the settled watermark lags: behind seals [2], and for whoever only reads [16].

use std::sync::Arc;

use crate::common::{Base, Columns, Snap, TABLE, begin, merge, read, read_all, snapshot};
use vellum_base::Timestamp;
use vellum_sync::Mutex;
use vellum_sync::atomic::{AtomicU64, Ordering};
use vellum_txn::{
    Appended, CommitLog, Durability, LogError, Prepared, Sequenced, Store, StoreOptions,
};

/// A log that settles when the test says so.
struct Lagging {
    last: Mutex<Timestamp>,
    settled: AtomicU64,
}

impl CommitLog for Lagging {
    fn prepare(&self, _: &[&[u8]]) -> Result<Prepared, LogError> {
        Ok(Prepared::default())
    }

    fn cancel(&self, _: Prepared) {}

    fn park(&self, _: &Prepared) {}

    fn resume(&self, parked: Prepared) -> Result<Prepared, LogError> {
        Ok(parked)
    }

    fn give_up(&self, _: Prepared) {}

    fn append(
        &self,
        _: Prepared,
        _: &[&[u8]],
        _: Durability,
        steps: &mut dyn Sequenced,
    ) -> Result<Appended, LogError> {
        let mut last = self.last.lock();
        *last = last.next();
        steps.stamp(*last);
        Ok(Appended::At(*last))
    }

    fn position(&self) -> u64 {
        self.last.lock().0
    }

    fn settled(&self) -> Timestamp {
        Timestamp(self.settled.load(Ordering::Acquire))
    }

    fn wait_settled(&self, _: Timestamp) -> Result<(), LogError> {
        Ok(())
    }
}

fn value(snapshot: &Snap) -> Option<Vec<u8>> {
    let by_get = read(snapshot.reader(), b"k");
    let by_range = read_all(snapshot.reader()).remove(&b"k"[..]);
    assert_eq!(by_get, by_range);
    by_range
}

#[test]
fn a_snapshot_at_settled_finds_its_version_behind_any_number_of_seals() {
    let log = Arc::new(Lagging {
        last: Mutex::new(Timestamp::ZERO),
        settled: AtomicU64::new(0),
    });
    let options = StoreOptions {
        generation_bytes: 16 << 10,
        ..StoreOptions::default()
    };
    let columns = Columns::default();
    let store = Store::new(
        log.clone(),
        columns,
        Base::default(),
        Timestamp::ZERO,
        options,
    )
    .unwrap();
    let db = Arc::new(store);
    for number in 1u64..=500 {
        let mut txn = begin(&db);
        // A read-write transaction builds on what is visible, settled or not.
        let seen = read(txn.reader(), b"k").map(|value| value[..8].to_vec());
        assert_eq!(
            seen,
            (number > 1).then(|| (number - 1).to_le_bytes().to_vec())
        );
        let value = [&number.to_le_bytes()[..], &[0; 200]].concat();
        txn.put(TABLE, b"k", &value, &[]).unwrap();
        assert_eq!(txn.commit(Durability::Sync), Ok(Timestamp(number)));
    }
    assert!(db.stats().generations > 5);
    for settled in [0, 1, 17, 250, 499, 500] {
        log.settled.store(settled, Ordering::Release);
        let snapshot = snapshot(&db);
        assert_eq!(snapshot.at(), Timestamp(settled));
        let expected = (settled > 0).then(|| settled.to_le_bytes().to_vec());
        let seen = value(&snapshot).map(|value| value[..8].to_vec());
        assert_eq!(seen, expected);
        drop(snapshot);
        // Nothing that is not settled is merged: the next snapshot may begin where this one did.
        merge(&db);
        let snapshot = super::common::snapshot(&db);
        assert_eq!(snapshot.at(), Timestamp(settled));
        let seen = value(&snapshot).map(|value| value[..8].to_vec());
        assert_eq!(seen, expected);
    }
    assert!(db.stats().generations < 5);
}
