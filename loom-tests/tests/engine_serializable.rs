//! Serializable transactions of the whole engine under shuttle: the schedules of Hermitage, freely
//! interleaved, and random ones, held to what is forbidden at each level.

#![cfg(vellum_shuttle)]

mod outcomes;

use outcomes::{both_were_seen, outcomes};
use vellum::{Database, Durability, Error, Isolation, Options, Table};
use vellum_loom_tests::Model;
use vellum_sync::{random_u64, thread};
use vellum_testkit::Random;
use vellum_testkit::history::{Recorder, Transaction, check, check_serial};
use vellum_testkit::schedules::{Act, SCHEDULES};

fn database() -> (Database, Table) {
    let options = Options::new().background(false).memory_budget(8 << 20);
    let db = options.in_memory().unwrap();
    let table = db.table("t").unwrap();
    (db, table)
}

/// Plays one transaction's part, whatever the others do; whether its commit was refused.
fn play(
    db: &Database,
    table: &Table,
    recorder: &Recorder,
    isolation: Isolation,
    acts: &[Act],
    id: usize,
) -> bool {
    let mut recording = recorder.begin();
    if acts[0] == (Act::Begin { read_only: true }) {
        let read = db.begin_read().unwrap();
        recording.snapshot(read.timestamp().0);
        recording.range(b"", None, all(read.iter(table).unwrap()));
        recording.ended();
        return false;
    }
    let mut txn = db.begin_with(isolation).unwrap();
    recording.snapshot(txn.timestamp().0);
    for act in acts {
        match act {
            Act::Begin { .. } => {}
            Act::Read { key, .. } => {
                recording.read(key.as_bytes(), txn.get(table, key).unwrap().as_deref());
            }
            Act::Scan { .. } => recording.range(b"", None, all(txn.iter(table).unwrap())),
            Act::Write { key, value: None } => {
                txn.remove(table, key).unwrap();
                recording.write(key.as_bytes(), None);
            }
            Act::Write {
                key,
                value: Some(value),
            } => {
                // Values tell versions apart.
                let value = format!("{value} of {id}").into_bytes();
                txn.insert(table, key, &value).unwrap();
                recording.write(key.as_bytes(), Some(&value));
            }
            Act::Rollback => {
                recording.ended();
                return false;
            }
            Act::Commit(_) => break,
        }
    }
    let wrote = recording.wrote();
    match txn.commit_with(Durability::Buffered) {
        Ok(handle) => {
            if wrote {
                recording.committed(handle.timestamp().0);
            } else {
                recording.ended();
            }
            false
        }
        Err(Error::Conflict { .. } | Error::ReadConflict { .. }) => {
            recording.ended();
            true
        }
        Err(error) => panic!("{error}"),
    }
}

fn all(range: vellum::Range<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let records = range.map(|entry| {
        let (key, value) = entry.unwrap();
        (key.to_vec(), value.to_vec())
    });
    records.collect()
}

fn hold(history: &[Transaction], isolation: Isolation) {
    let checked = check(history).and_then(|_| match isolation {
        Isolation::Snapshot => check(history),
        Isolation::Serializable => check_serial(history),
    });
    if let Err(anomalies) = checked {
        panic!("{anomalies:#?}");
    }
}

/// Every schedule of Hermitage, its transactions in whatever order, shows nothing that its level
/// forbids. Those of write skew end in both ways where they are serializable: all commit, or somebody
/// is refused.
#[test]
fn hermitage_in_any_order() {
    let (told, all) = outcomes();
    let model = Model::new("engine_serializable::hermitage_in_any_order");
    model.schedules(3_000).check(move || {
        let mut random = Random::new(random_u64());
        let schedule = SCHEDULES[random.index(SCHEDULES.len())];
        let isolation = [Isolation::Snapshot, Isolation::Serializable][random.index(2)];
        let (db, table) = database();
        let recorder = Recorder::new();
        let write = |key: &str, value| Act::Write {
            key: key.to_owned(),
            value: Some(value),
        };
        let setup = [
            Act::Begin { read_only: false },
            write("1", 10),
            write("2", 20),
        ];
        play(&db, &table, &recorder, isolation, &setup, 9);
        let steps = schedule.steps();
        let transactions = steps.iter().map(|(number, _)| number + 1).max().unwrap();
        let players: Vec<_> = (0..transactions)
            .map(|number| {
                let own = steps.iter().filter(|(other, _)| *other == number);
                let acts: Vec<_> = own.map(|(_, act)| act.clone()).collect();
                let (db, table, recorder) = (db.clone(), table.clone(), recorder.clone());
                thread::spawn(move || play(&db, &table, &recorder, isolation, &acts, number))
            })
            .collect();
        let refused = players.into_iter().map(|player| player.join().unwrap());
        let refused = refused.filter(|is_refused| *is_refused).count();
        let is_skew = schedule.ends[0] != schedule.ends[1];
        if is_skew && isolation == Isolation::Serializable {
            assert!(refused <= 1, "{}: {refused} were refused", schedule.name);
            told.send((schedule.name, refused == 1)).unwrap();
        }
        hold(&recorder.history(), isolation);
    });
    both_were_seen(&all);
}

/// Random serializable transactions on few keys, beside seals and merges.
#[test]
fn histories_are_serializable() {
    let model = Model::new("engine_serializable::histories_are_serializable");
    model.schedules(1_500).check(|| {
        let (db, table) = database();
        let recorder = Recorder::new();
        let workers: Vec<_> = (0..3)
            .map(|worker| {
                let (db, table, recorder) = (db.clone(), table.clone(), recorder.clone());
                thread::spawn(move || {
                    let mut random = Random::new(random_u64());
                    for round in 0..3 {
                        let mut acts = vec![Act::Begin {
                            read_only: random.one_in(6),
                        }];
                        for step in 0..1 + random.below(4) {
                            let key = format!("{}", random.below(3));
                            acts.push(match random.below(4) {
                                0 => Act::Read { key, value: None },
                                1 => Act::Scan {
                                    predicate: vellum_testkit::schedules::Predicate::Any,
                                    found: Vec::new(),
                                },
                                2 => Act::Write { key, value: None },
                                _ => Act::Write {
                                    key,
                                    value: Some(10 * round + step),
                                },
                            });
                        }
                        let isolation = Isolation::Serializable;
                        play(&db, &table, &recorder, isolation, &acts, worker);
                        if random.one_in(6) {
                            db.checkpoint().unwrap();
                        }
                    }
                })
            })
            .collect();
        workers
            .into_iter()
            .for_each(|worker| worker.join().unwrap());
        hold(&recorder.history(), Isolation::Serializable);
    });
}
