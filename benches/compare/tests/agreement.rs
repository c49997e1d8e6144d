//! Every adapter does what the trait says, so that all are measured at the same task.

#![expect(
    clippy::unwrap_used,
    reason = "the lint's exception for tests misses their helpers"
)]

use std::collections::BTreeMap;

use clap::ValueEnum;
use vellum_compare::data::{KEY_BYTES, KeyKind, Records};
use vellum_compare::engine::{Durability, Engine, Record, Snapshot};
use vellum_compare::engines::EngineName;

type Model = BTreeMap<[u8; KEY_BYTES], Vec<u8>>;

/// Runs `body` on a fresh store of every engine.
fn on_each(body: impl Fn(&dyn Engine, &str)) {
    for &name in EngineName::value_variants() {
        let directory = tempfile::tempdir().unwrap();
        let engine = name.open(directory.path()).unwrap();
        body(engine.as_ref(), name.label());
        engine.close().unwrap();
    }
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
    for kind in [KeyKind::Random, KeyKind::Prefixed] {
        let records = Records::new(kind);
        let model: Model = (0..2_000)
            .map(|n| (records.key(n), records.value(n).to_vec()))
            .collect();
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
        let model: Model = (0..500)
            .map(|n| (records.key(n), records.value(n).to_vec()))
            .collect();
        engine
            .read(&mut |snapshot| {
                assert_same(snapshot, &model, name);
                Ok(())
            })
            .unwrap();
    });
}
