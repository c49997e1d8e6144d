//! What a snapshot sees, and that it never changes.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::common::{Db, Snap, TABLE, begin, commit, live, read, snapshot, store};
use vellum_base::{TableId, Timestamp};
use vellum_txn::CommitError;

fn put(db: &Db, key: &[u8], value: &[u8]) -> Result<Timestamp, CommitError> {
    let mut txn = begin(db);
    txn.put(TABLE, key, value, &[])?;
    commit(txn)
}

fn get(snapshot: &Snap, key: &[u8]) -> Option<Vec<u8>> {
    read(snapshot.reader(), key)
}

#[test]
fn a_snapshot_sees_what_was_committed_before_it_and_nothing_else() {
    let db = store(1 << 20);
    put(&db, b"a", b"1").unwrap();
    let before = snapshot(&db);
    let mut txn = begin(&db);
    txn.put(TABLE, b"a", b"2", &[]).unwrap();
    txn.put(TABLE, b"b", b"2", &[]).unwrap();
    assert_eq!(
        get(&snapshot(&db), b"a"),
        Some(b"1".to_vec()),
        "not committed"
    );
    let at = commit(txn).unwrap();
    assert_eq!(get(&before, b"a"), Some(b"1".to_vec()));
    assert_eq!(get(&before, b"b"), None);
    let after = snapshot(&db);
    assert_eq!(after.at(), at);
    assert_eq!(get(&after, b"a"), Some(b"2".to_vec()));
    assert_eq!(get(&after, b"b"), Some(b"2".to_vec()));
}

#[test]
fn the_first_committer_wins_and_the_loser_leaves_no_trace() {
    let db = store(1 << 20);
    put(&db, b"k", b"0").unwrap();
    let mut first = begin(&db);
    let mut second = begin(&db);
    first.put(TABLE, b"k", b"1", &[]).unwrap();
    second.put(TABLE, b"a", b"2", &[]).unwrap();
    second.put(TABLE, b"k", b"2", &[]).unwrap();
    let winner = commit(first).unwrap();
    let lost = commit(second).unwrap_err();
    let expected = CommitError::Conflict {
        table: TABLE,
        key: b"k".to_vec(),
        winner: Some(winner),
    };
    assert_eq!(lost, expected);
    let after = snapshot(&db);
    assert_eq!(get(&after, b"k"), Some(b"1".to_vec()));
    assert_eq!(get(&after, b"a"), None, "taken back");
    // The key that was taken back is free at once.
    put(&db, b"a", b"3").unwrap();
    assert_eq!(get(&snapshot(&db), b"a"), Some(b"3".to_vec()));
}

#[test]
fn a_conflict_is_found_across_seals_and_deletions() {
    let db = store(8 << 10);
    let mut old = begin(&db);
    old.put(TABLE, b"k", b"old", &[]).unwrap();
    put(&db, b"k", b"1").unwrap();
    let mut txn = begin(&db);
    txn.delete(TABLE, b"k").unwrap();
    let deleted = commit(txn).unwrap();
    let generations = db.stats().generations;
    for round in 0u32..400 {
        put(&db, &round.to_be_bytes(), &[7; 100]).unwrap();
    }
    assert!(db.stats().generations > generations + 3, "several seals");
    let lost = commit(old).unwrap_err();
    let CommitError::Conflict { winner, .. } = lost else {
        panic!("{lost}")
    };
    assert_eq!(
        winner,
        Some(deleted),
        "the deletion is in a sealed generation"
    );
}

#[test]
fn snapshots_and_ranges_hold_over_many_seals() {
    let db = store(16 << 10);
    let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let mut held = Vec::new();
    for round in 0u32..2000 {
        let key = (round.wrapping_mul(2_654_435_761) % 97)
            .to_be_bytes()
            .to_vec();
        let mut txn = begin(&db);
        if round % 7 == 3 {
            txn.delete(TABLE, &key).unwrap();
            model.remove(&key);
        } else {
            let value = round.to_le_bytes().repeat(8);
            txn.put(TABLE, &key, &value, &[]).unwrap();
            model.insert(key, value);
        }
        commit(txn).unwrap();
        if round % 97 == 0 {
            held.push((snapshot(&db), model.clone()));
        }
    }
    assert!(db.stats().generations > 5);
    for (snapshot, model) in &held {
        let all = snapshot
            .reader()
            .range(TABLE, Bound::Unbounded, Bound::Unbounded);
        let seen: Vec<_> = live(all)
            .map(|(k, v)| (k.to_vec(), v.value().to_vec()))
            .collect();
        assert!(seen.iter().map(|(k, v)| (k, v)).eq(model.iter()));
        let back = snapshot
            .reader()
            .range(TABLE, Bound::Unbounded, Bound::Unbounded);
        let back = live(back).rev();
        assert!(
            back.map(|(k, _)| k.to_vec())
                .eq(model.keys().rev().cloned())
        );
        let (low, high) = (20u32.to_be_bytes(), 60u32.to_be_bytes());
        let part =
            snapshot
                .reader()
                .range(TABLE, Bound::Excluded(&low[..]), Bound::Included(&high[..]));
        let expected =
            model.range::<[u8], _>((Bound::Excluded(&low[..]), Bound::Included(&high[..])));
        assert!(
            live(part)
                .map(|(k, _)| k.to_vec())
                .eq(expected.map(|(k, _)| k.clone()))
        );
        for key in 0u32..97 {
            assert_eq!(
                get(snapshot, &key.to_be_bytes()).as_ref(),
                model.get(&key.to_be_bytes()[..])
            );
        }
        let keys: Vec<_> = (0u32..97).map(u32::to_be_bytes).collect();
        let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
        let many = snapshot.reader().get_many(TABLE, &keys);
        for (key, found) in keys.iter().zip(many) {
            let found = found.version().map(|v| v.value().to_vec());
            assert_eq!(found.as_ref(), model.get(*key));
        }
    }
}

#[test]
fn a_transaction_reads_its_own_writes_together_with_its_snapshot() {
    let db = store(1 << 20);
    for key in [b"a", b"c", b"e", b"g"] {
        put(&db, key, b"old").unwrap();
    }
    let mut txn = begin(&db);
    txn.put(TABLE, b"b", b"new", &[]).unwrap();
    txn.put(TABLE, b"c", b"new", &[]).unwrap();
    txn.delete(TABLE, b"e").unwrap();
    txn.delete(TABLE, b"x").unwrap();
    txn.put(TableId(2), b"d", b"elsewhere", &[]).unwrap();
    let range = || {
        let (lower, upper) = (Bound::Unbounded, Bound::Unbounded);
        txn.range_over(txn.reader().range(TABLE, lower, upper), TABLE, lower, upper)
    };
    let all: Vec<_> = range()
        .filter_map(|(key, found)| Some((key.to_vec(), found?.at().is_some())))
        .collect();
    let expected = [("a", true), ("b", false), ("c", false), ("g", true)];
    assert!(
        all.iter()
            .map(|(k, c)| (&k[..], *c))
            .eq(expected.iter().map(|(k, c)| (k.as_bytes(), *c)))
    );
    let mut both = range().filter(|(_, found)| found.is_some());
    let key = |item: Option<(&[u8], Option<vellum_txn::Found<'_>>)>| item.map(|(key, _)| key[0]);
    assert_eq!(key(both.next_back()), Some(b'g'));
    assert_eq!(key(both.next()), Some(b'a'));
    assert_eq!(key(both.next_back()), Some(b'c'));
    assert_eq!(key(both.next()), Some(b'b'));
    assert_eq!(key(both.next()), None);
    assert_eq!(key(both.next_back()), None);
    drop(both);
    assert!(matches!(txn.own_write(TABLE, b"e"), Some(None)));
    assert_eq!(
        txn.reader()
            .get(TABLE, b"a")
            .version()
            .map(|found| found.at()),
        Some(Timestamp(1))
    );
}

#[test]
fn write_sets_of_every_size_keep_one_write_for_each_key() {
    for count in [1u32, 2, 63, 64, 65, 66, 3000] {
        let db = store(1 << 22);
        let mut txn = begin(&db);
        for pass in 0..2u32 {
            for n in 0..count {
                let key = n.wrapping_mul(2_654_435_761).to_be_bytes();
                txn.put(TABLE, &key, &(n + pass).to_le_bytes(), &[])
                    .unwrap();
            }
        }
        let own = txn.own_writes(TABLE).count();
        assert_eq!(own, count as usize);
        let at = commit(txn).unwrap();
        assert_eq!(at, Timestamp(1));
        let after = snapshot(&db);
        let all = after
            .reader()
            .range(TABLE, Bound::Unbounded, Bound::Unbounded);
        assert_eq!(
            live(all).inspect(|(_, v)| assert_eq!(v.at(), at)).count(),
            count as usize
        );
        for n in 0..count {
            let key = n.wrapping_mul(2_654_435_761).to_be_bytes();
            assert_eq!(get(&after, &key), Some((n + 1).to_le_bytes().to_vec()));
        }
    }
}

#[test]
fn a_write_set_larger_than_a_generation_gets_one_of_its_own() {
    let db = store(16 << 10);
    let mut txn = begin(&db);
    for n in 0u32..2000 {
        txn.put(TABLE, &n.to_be_bytes(), &[1; 100], &[]).unwrap();
    }
    txn.put(TABLE, b"large", &vec![5; 1 << 20], &[]).unwrap();
    commit(txn).unwrap();
    let after = snapshot(&db);
    assert_eq!(
        after
            .reader()
            .range(TABLE, Bound::Unbounded, Bound::Unbounded)
            .count(),
        2001
    );
    assert_eq!(get(&after, b"large"), Some(vec![5; 1 << 20]));
}

#[test]
fn a_dropped_table_takes_no_commit() {
    let db = store(1 << 20);
    let mut txn = begin(&db);
    txn.put(TableId(9), b"k", b"v", &[]).unwrap();
    assert_eq!(commit(txn), Err(CommitError::TableDropped(TableId(9))));
}
