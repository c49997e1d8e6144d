//! Every adapter does what the trait says, so that all are measured at the same task.

#![expect(
    clippy::unwrap_used,
    reason = "the lint's exception for tests misses their helpers"
)]

use std::collections::BTreeMap;

use clap::ValueEnum;
use vellum_compare::data::{Key, KeyKind, LEAST, Records};
use vellum_compare::engine::{
    Attempt, Body, Budget, Durability, Engine, Isolation, Record, Snapshot,
};
use vellum_compare::engines::EngineName;

type Model = BTreeMap<Key, Vec<u8>>;

/// Runs `body` on a fresh store of every engine.
fn on_each(body: impl Fn(&mut dyn Engine, &str)) {
    for &name in EngineName::value_variants() {
        let directory = tempfile::tempdir().unwrap();
        let mut engine = name.open(directory.path()).unwrap();
        body(engine.as_mut(), name.label());
        engine.close().unwrap();
    }
}

fn model_of(records: &Records, numbers: impl Iterator<Item = u64>) -> Model {
    let record = |number| (records.key(number), records.value(number).to_vec());
    numbers.map(record).collect()
}

/// The store holds what the model does, and none of these keys.
fn assert_holds(engine: &dyn Engine, model: &Model, absent: &[Key], name: &str) {
    engine
        .read(&mut |snapshot| {
            assert_same(snapshot, model, name);
            let all = snapshot.range(LEAST, usize::MAX, &mut |_, _| ())?;
            assert_eq!(all, model.len(), "{name}");
            let found = snapshot.get_many(absent, &mut |_, _| ())?;
            assert_eq!(found, 0, "{name}");
            Ok(())
        })
        .unwrap();
}

fn best(engine: &dyn Engine) -> Durability {
    if engine.supports(Durability::Buffered) {
        Durability::Buffered
    } else {
        Durability::Sync
    }
}

fn assert_same(snapshot: &dyn Snapshot, model: &Model, name: &str) {
    for (key, value) in model {
        let mut found = Vec::new();
        assert!(
            snapshot.get(key, &mut |v| found = v.to_vec()).unwrap(),
            "{name}"
        );
        assert_eq!(&found, value, "{name}");
    }
    let keys: Vec<Key> = model.keys().copied().collect();
    for some in keys.chunks(16) {
        let mut found = vec![Vec::new(); some.len()];
        let mut see = |place: usize, value: &[u8]| found[place] = value.to_vec();
        assert_eq!(
            snapshot.get_many(some, &mut see).unwrap(),
            some.len(),
            "{name}"
        );
        assert!(some.iter().map(|key| &model[key]).eq(&found), "{name}");
    }
    for from in model.keys().step_by(37) {
        let mut found = Vec::new();
        let mut see = |key: &[u8], value: &[u8]| found.push((key.to_vec(), value.to_vec()));
        let count = snapshot.range(from, 10, &mut see).unwrap();
        let expected: Vec<_> = model
            .range(*from..)
            .take(10)
            .map(|(k, v)| (k.to_vec(), v.clone()))
            .collect();
        assert_eq!(count, expected.len(), "{name}");
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn gets_and_ranges_agree_with_a_map_before_and_after_settling() {
    for kind in KeyKind::ALL {
        let records = Records::new(kind);
        let model = model_of(&records, 0..2_000);
        on_each(|engine, name| {
            let durability = best(engine);
            let mut batch = (0..1_950).map(|number| records.record(number));
            engine.put_batch(&mut batch, durability).unwrap();
            for number in 1_950..2_000 {
                engine.put(records.record(number), durability).unwrap();
            }
            for settle in [false, true] {
                if settle {
                    engine.settle().unwrap();
                }
                engine
                    .read(&mut |snapshot| {
                        assert_same(snapshot, &model, name);
                        assert!(!snapshot.get(&records.key(9_999), &mut |_| ())?, "{name}");
                        Ok(())
                    })
                    .unwrap();
            }
        });
    }
}

#[test]
fn a_snapshot_does_not_see_later_commits() {
    let records = Records::new(KeyKind::Random);
    on_each(|engine, name| {
        let durability = best(engine);
        let put = |number: u64, value: &[u8]| {
            engine
                .put(
                    Record {
                        key: records.key(number),
                        value,
                    },
                    durability,
                )
                .unwrap();
        };
        put(1, b"old");
        engine
            .read(&mut |snapshot| {
                // Another thread: LMDB allows no write transaction beside a read transaction of
                // the same thread in every configuration.
                std::thread::scope(|scope| {
                    scope.spawn(|| {
                        put(1, b"new");
                        put(2, b"new");
                    });
                });
                let mut seen = Vec::new();
                snapshot.get(&records.key(1), &mut |value| seen = value.to_vec())?;
                assert_eq!(seen, b"old", "{name}");
                assert!(!snapshot.get(&records.key(2), &mut |_| ())?, "{name}");
                Ok(())
            })
            .unwrap();
    });
}

#[test]
fn commits_in_flight_are_all_there_when_acknowledged() {
    let records = Records::new(KeyKind::Random);
    on_each(|engine, name| {
        let mut given = (0..500).map(|number| records.record(number));
        if !engine.put_in_flight(&mut given, 64).unwrap() {
            return;
        }
        let model = model_of(&records, 0..500);
        engine
            .read(&mut |snapshot| {
                assert_same(snapshot, &model, name);
                Ok(())
            })
            .unwrap();
    });
}

#[test]
fn loads_hold_everything_whether_sorted_or_not() {
    const COUNT: u64 = 25_000;
    let records = Records::new(KeyKind::Random);
    let model = model_of(&records, 0..COUNT);
    let mut numbers: Vec<u64> = (0..COUNT).collect();
    for sorted in [false, true] {
        if sorted {
            numbers.sort_unstable_by_key(|&number| records.key(number));
        }
        on_each(|engine, name| {
            let mut all = numbers.iter().map(|&number| records.record(number));
            engine.load(&mut all, sorted).unwrap();
            assert_holds(engine, &model, &[records.key(COUNT)], name);
        });
    }
}

#[test]
fn what_is_removed_is_gone_also_after_compaction() {
    let records = Records::new(KeyKind::Random);
    let left = model_of(&records, (0..3_000).step_by(3));
    let removed = || (0..3_000).filter(|number| number % 3 != 0);
    let gone: Vec<Key> = removed().map(|number| records.key(number)).collect();
    on_each(|engine, name| {
        let durability = best(engine);
        let mut batch = (0..3_000).map(|number| records.record(number));
        engine.put_batch(&mut batch, durability).unwrap();
        engine
            .remove_batch(&mut gone.iter().copied(), durability)
            .unwrap();
        assert_holds(engine, &left, &gone, name);
        engine.settle().unwrap();
        assert_holds(engine, &left, &gone, name);
        engine.compact().unwrap();
        assert_holds(engine, &left, &gone, name);
    });
}

#[test]
fn transactions_agree_with_a_map_and_see_their_own_writes() {
    let records = Records::new(KeyKind::Random);
    let model = model_of(&records, 0..300);
    on_each(|engine, name| {
        for &isolation in engine.isolations() {
            for (&key, value) in &model {
                let committed = engine.transact(isolation, best(engine), &mut |attempt| {
                    let mut seen = None;
                    attempt.put(&key, b"before")?;
                    assert!(attempt.get(&key, &mut |v| seen = Some(v.to_vec()))?);
                    assert_eq!(seen.as_deref(), Some(&b"before"[..]), "{name}");
                    attempt.put(&key, value)
                });
                assert_eq!(committed.unwrap(), 0, "{name}: nobody else was there");
            }
            assert_holds(engine, &model, &[records.key(300)], name);
        }
    });
}

#[test]
fn a_transaction_that_meets_an_error_leaves_nothing_and_is_not_repeated() {
    let records = Records::new(KeyKind::Random);
    on_each(|engine, name| {
        for &isolation in engine.isolations() {
            let mut attempts = 0;
            let outcome = engine.transact(isolation, best(engine), &mut |attempt| {
                attempts += 1;
                attempt.put(&records.key(1), b"never")?;
                Err("enough".into())
            });
            assert!(
                outcome.unwrap_err().to_string().contains("enough"),
                "{name}"
            );
            assert_eq!(attempts, 1, "{name}");
            assert_holds(engine, &Model::new(), &[records.key(1)], name);
        }
    });
}

/// The counter of a key: none is zero.
fn count(attempt: &mut dyn Attempt, key: &[u8]) -> vellum_compare::Result<u64> {
    let mut bytes = [0; 8];
    attempt.get(key, &mut |value| bytes.copy_from_slice(value))?;
    Ok(u64::from_le_bytes(bytes))
}

fn stored_count(engine: &dyn Engine, key: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    engine
        .read(&mut |snapshot| {
            snapshot.get(key, &mut |value| bytes.copy_from_slice(value))?;
            Ok(())
        })
        .unwrap();
    u64::from_le_bytes(bytes)
}

/// Both counters are always written together: who sees them differ has no snapshot.
#[test]
fn transactions_of_several_threads_lose_no_update_and_read_one_snapshot() {
    let (records, threads, each) = (Records::new(KeyKind::Random), 3, 150);
    let (left, right) = (records.key(1), records.key(2));
    on_each(|engine, name| {
        for (past, &isolation) in engine.isolations().iter().enumerate() {
            let work = || {
                for _ in 0..each {
                    let add = &mut |attempt: &mut dyn Attempt| {
                        let one = count(attempt, &left)?;
                        std::thread::yield_now();
                        let other = count(attempt, &right)?;
                        if one != other {
                            return Err(format!("{one} beside {other}").into());
                        }
                        attempt.put(&left, &(one + 1).to_le_bytes())?;
                        attempt.put(&right, &(other + 1).to_le_bytes())
                    };
                    let lost = engine.transact(isolation, best(engine), add);
                    assert!(lost.is_ok(), "{name}: {lost:?}");
                }
            };
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(work);
                }
            });
            let expected = (past as u64 + 1) * threads * each;
            assert_eq!(stored_count(engine, &left), expected, "{name}");
            assert_eq!(stored_count(engine, &right), expected, "{name}");
        }
    });
}

/// Each of two reads both keys and writes one: in a serializable engine only one sees none written.
#[test]
fn serializable_transactions_have_no_write_skew() {
    let records = Records::new(KeyKind::Random);
    on_each(|engine, name| {
        if !engine.isolations().contains(&Isolation::Serializable) {
            return;
        }
        for pair in 0..50 {
            let keys = [records.key(2 * pair), records.key(2 * pair + 1)];
            let start = std::sync::Barrier::new(2);
            let claim = |own: usize| {
                start.wait();
                let claim: &mut Body<'_> = &mut |attempt| {
                    let taken = count(attempt, &keys[0])? + count(attempt, &keys[1])?;
                    std::thread::yield_now();
                    match taken {
                        0 => attempt.put(&keys[own], &1u64.to_le_bytes()),
                        _ => Ok(()),
                    }
                };
                engine
                    .transact(Isolation::Serializable, best(engine), claim)
                    .unwrap();
            };
            std::thread::scope(|scope| {
                scope.spawn(|| claim(0));
                scope.spawn(|| claim(1));
            });
            let taken: u64 = keys.iter().map(|key| stored_count(engine, key)).sum();
            assert_eq!(taken, 1, "{name}");
        }
    });
}

#[test]
fn merged_counters_of_several_threads_lose_nothing() {
    let (records, threads, each) = (Records::new(KeyKind::Random), 3, 150);
    let key = records.key(1);
    on_each(|engine, name| {
        if engine.increment(key, best(engine)).unwrap().is_none() {
            return;
        }
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    for _ in 0..each {
                        engine.increment(key, best(engine)).unwrap();
                    }
                });
            }
        });
        assert_eq!(stored_count(engine, &key), 1 + threads * each, "{name}");
        engine.settle().unwrap();
        assert_eq!(stored_count(engine, &key), 1 + threads * each, "{name}");
    });
}

#[test]
fn a_small_budget_holds_more_than_fits_it() {
    const COUNT: u64 = 100_000;
    let records = Records::new(KeyKind::Random);
    for &name in EngineName::value_variants() {
        let directory = tempfile::tempdir().unwrap();
        let mut engine = name
            .open_within(directory.path(), Budget::Bytes(16 << 20))
            .unwrap();
        let mut all = (0..COUNT).map(|number| records.record(number));
        engine.load(&mut all, false).unwrap();
        engine.settle().unwrap();
        let model = model_of(&records, (0..COUNT).step_by(10));
        engine
            .read(&mut |snapshot| {
                for (key, value) in &model {
                    let mut found = Vec::new();
                    snapshot.get(key, &mut |v| found = v.to_vec())?;
                    assert_eq!(&found, value, "{}", name.label());
                }
                Ok(())
            })
            .unwrap();
        engine.close().unwrap();
    }
}
