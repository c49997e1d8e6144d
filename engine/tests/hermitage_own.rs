//! Those of our own schedules that are more than a few reads and writes, in all modes of `sessions`:
//! pages that split, versions that are merged away, real time, crashes, searches. The others are in
//! `hermitage`, and H23 is in `locks`.
//!
//! A schedule is told how the commit that decides it must end at either level; from that follows its
//! row in the table of `docs/guarantees.md`.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod common;
mod sessions;

use common::put;
use sessions::{Mode, Open, Players, Session};
use vellum::{Database, Durability, Exact, Metric, Options, Record, Table};
use vellum_sync::atomic::{AtomicU64, Ordering};
use vellum_sync::{Arc, thread};
use vellum_testkit::schedules::End;
use vellum_testkit::{Budget, Crash, SimDisk};

/// How the commit that decides a schedule ends: in snapshot isolation, and serializable.
type Ends = [End; 2];

fn large(number: u32) -> (String, String) {
    (format!("k{number:05}"), "v".repeat(200))
}

/// Inserts enough between two scans for leaves to split, merged into pages meanwhile.
fn h19(ends: Ends) {
    for mode in Mode::all() {
        let mut players = Players::new(mode, 3, |db, table| {
            for (key, value) in [10, 20].map(large) {
                put(db, table, &key, &value);
            }
            db.checkpoint().unwrap();
        });
        players.step(0, Session::begin);
        players.step(1, Session::begin_read);
        let two = move |one: &mut Session| assert_eq!(one.records("k00010").len(), 2, "{mode:?}");
        players.step(0, two);
        players.step(2, |other| {
            other.begin();
            for (key, value) in (100..1_000).map(large) {
                other.insert(&key, &value);
            }
        });
        players.step(0, two);
        players.step(2, |other| assert_eq!(other.commit(), End::Ok));
        players.db.checkpoint().unwrap();
        players.step(0, two);
        players.step(1, two);
        players.step(0, move |one| {
            one.insert("a", "own");
            assert_eq!(one.commit(), ends[mode.level()], "{mode:?}");
        });
        let own = usize::from(ends[mode.level()] == End::Ok);
        assert_eq!(players.end().len(), 902 + own, "{mode:?}");
    }
}

/// An old snapshot, beside ten thousand overwrites, the merges that take their versions away, and a
/// vacuum of the pages. Whoever has such a snapshot cannot write what was overwritten; who checks
/// what it read is told that, and not who else wrote the key.
fn h20(ends: Ends) {
    for mode in Mode::all() {
        let mut players = Players::new(mode, 3, |db, table| {
            put(db, table, "1", "10");
            put(db, table, "2", "20");
        });
        let old = move |one: &mut Session| {
            assert_eq!(one.get("1").unwrap(), "10", "{mode:?}");
            let all = [("1", "10"), ("2", "20")].map(|(key, value)| (key.into(), value.into()));
            assert_eq!(one.records(""), all, "{mode:?}");
        };
        players.step(0, Session::begin);
        players.step(1, Session::begin_read);
        players.step(0, old);
        for round in 0..10u32 {
            players.step(2, move |other| {
                for number in 0..1_000 {
                    other.begin();
                    other.insert("1", &(round * 1_000 + number).to_string());
                    assert_eq!(other.commit_with(Durability::Buffered), End::Ok);
                }
            });
            players.db.checkpoint().unwrap();
            players.step(0, old);
            players.step(1, old);
        }
        players.step(2, |other| {
            other.db.vacuum().unwrap();
        });
        players.step(0, old);
        players.step(1, old);
        players.step(0, move |one| {
            one.insert("1", "own");
            assert_eq!(one.commit(), ends[mode.level()], "{mode:?}");
        });
        players.step(1, old);
        assert_eq!(players.end()[0].1, "9999", "{mode:?}");
    }
}

/// What a commit returned to one is seen by whoever begins after, in any kind of transaction.
fn h21(ends: Ends) {
    for mode in Mode::all() {
        let mut players = Players::new(mode, 3, |_, _| {});
        for round in 0..20u32 {
            let durability = [Durability::Sync, Durability::Buffered][round as usize % 2];
            players.step(0, move |one| {
                one.begin();
                one.insert("1", &round.to_string());
                assert_eq!(one.commit_with(durability), ends[mode.level()], "{mode:?}");
            });
            let seen = move |other: &mut Session| {
                assert_eq!(other.get("1").unwrap(), round.to_string(), "{mode:?}");
            };
            players.step(1, Session::begin);
            players.step(2, Session::begin_read);
            players.step(1, seen);
            players.step(2, seen);
        }
    }
}

/// The number of the last commit that returned, and of the last one that was waited for.
#[derive(Default)]
struct Told {
    committed: AtomicU64,
    settled: AtomicU64,
    reads: AtomicU64,
    over: AtomicU64,
}

/// As [`h21`], with the writer and the readers at the same time: a read-write transaction sees each
/// commit that returned before it began, a read-only one each that was waited for.
#[test]
fn h21_real_time_beside_a_writer() {
    for (mode, durability) in Mode::all()
        .filter(|mode| mode.threads)
        .flat_map(|mode| [Durability::Sync, Durability::Buffered].map(|how| (mode, how)))
    {
        let place = common::Place::new();
        let db = match mode.pages {
            true => place.open(),
            false => Database::in_memory().unwrap(),
        };
        let table = db.table("t").unwrap();
        put(&db, &table, "1", "0");
        let told = Arc::new(Told::default());
        let readers = [false, true].map(|read_only| {
            let (db, table, told) = (db.clone(), table.clone(), Arc::clone(&told));
            thread::spawn(move || {
                let mut reader = Session {
                    db,
                    table,
                    mode,
                    open: None,
                };
                while told.over.load(Ordering::Acquire) == 0 {
                    let at_least = if read_only {
                        let settled = told.settled.load(Ordering::Acquire);
                        reader.begin_read();
                        settled
                    } else {
                        let committed = told.committed.load(Ordering::Acquire);
                        reader.begin();
                        committed
                    };
                    let found: u64 = reader.get("1").unwrap().parse().unwrap();
                    if found < at_least {
                        told.over.store(1, Ordering::Release);
                        panic!("{found}, not {at_least}: {mode:?}, {durability:?}");
                    }
                    told.reads.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        let mut round = 0;
        while told.over.load(Ordering::Acquire) == 0
            && (round < 50 || told.reads.load(Ordering::Relaxed) < 100)
        {
            round += 1;
            let mut txn = db.begin_with(mode.isolation).unwrap();
            txn.insert(&table, "1", round.to_string()).unwrap();
            let handle = txn.commit_with(durability).unwrap();
            told.committed.store(round, Ordering::Release);
            handle.wait().unwrap();
            told.settled.store(round, Ordering::Release);
        }
        told.over.store(1, Ordering::Release);
        readers.into_iter().for_each(|one| one.join().unwrap());
    }
}

/// Who built on a commit that was not durable yet, and was acknowledged as durable, does not survive
/// a power cut without it.
fn h22(ends: Ends) {
    for mode in Mode::all().filter(|mode| !mode.threads && mode.pages) {
        let sim = SimDisk::new(22);
        let options = || {
            let options = Options::new().background(false);
            options.log_segment_bytes(64 << 10).memory_budget(8 << 20)
        };
        let db = options().open_on(sim.disk()).unwrap();
        let table = db.table("t").unwrap();
        put(&db, &table, "1", "10");
        let mut first = db.begin_with(mode.isolation).unwrap();
        first.insert(&table, "1", "11").unwrap();
        let first = first.commit_with(Durability::Buffered).unwrap();
        let mut second = Session {
            db: db.clone(),
            table,
            mode,
            open: None,
        };
        second.begin();
        assert_eq!(second.get("1").unwrap(), "11");
        second.insert("2", "from 11");
        assert_eq!(second.commit_with(Durability::Sync), ends[mode.level()]);
        sim.mark(1);
        drop((db, second, first));
        let mut acknowledged = 0;
        for cut in sim.trace().cuts() {
            for state in cut.states(Crash::Power, Budget::per_cut(4)) {
                let db = options().open_on(state.disk().disk()).unwrap();
                let value = |key| {
                    let table = db.open_table("t").ok()?;
                    common::now(&db, &table, key)
                };
                if value("2").is_some() {
                    assert_eq!(value("1").unwrap(), "11", "{cut:?}");
                }
                if cut.marks().contains(&1) {
                    assert!(value("2").is_some(), "{cut:?}");
                    acknowledged += 1;
                }
            }
        }
        assert!(acknowledged > 0);
    }
}

/// Keys 0 to 7, each at its own place.
fn vectors(db: &Database, table: &Table) {
    let index = Exact::new(1, Metric::L2);
    db.create_index(table, "v", index).unwrap();
    db.transact(|txn| {
        for key in 0..8u8 {
            let vector = [f32::from(key)];
            txn.insert_record(table, [key], Record::new("").vector("v", &vector))?;
        }
        Ok(())
    })
    .unwrap();
}

/// The keys of the nearest records.
fn nearest(session: &Session, query: f32, k: usize) -> Vec<u8> {
    let query = [query];
    let search = match session.open.as_ref().unwrap() {
        Open::Write(txn) => txn.search(&session.table, "v", &query),
        Open::Read(read) => read.search(&session.table, "v", &query),
    };
    let hits = search.unwrap().k(k).run().unwrap();
    hits.iter().map(|hit| hit.key()[0]).collect()
}

fn place(session: &mut Session, key: u8, at: f32) {
    let (table, vector) = (session.table.clone(), [at]);
    let record = Record::new("").vector("v", &vector);
    session.txn().insert_record(&table, [key], record).unwrap();
}

/// A search inside a snapshot returns what the snapshot has: nothing later, nothing removed, nothing
/// pending, all of it.
fn h24(ends: Ends) {
    for mode in Mode::all() {
        let mut players = Players::new(mode, 5, vectors);
        let old = move |one: &mut Session| assert_eq!(nearest(one, 3.0, 5), [3, 2, 4, 1, 5]);
        players.step(0, Session::begin_read);
        players.step(1, Session::begin);
        players.step(2, |pending| {
            pending.begin();
            place(pending, 100, 3.0);
        });
        players.step(0, old);
        players.step(1, old);
        players.step(3, |other| {
            other.begin();
            let table = other.table.clone();
            other.txn().remove(&table, [3]).unwrap();
            place(other, 4, 900.0);
            place(other, 99, 3.1);
            assert_eq!(other.commit(), End::Ok);
        });
        players.step(0, old);
        players.step(1, old);
        let new = move |one: &mut Session| assert_eq!(nearest(one, 3.0, 4), [99, 2, 1, 5]);
        players.step(4, Session::begin_read);
        players.step(4, new);
        players.step(2, Session::rollback);
        players.step(4, new);
        players.step(0, old);
        players.step(1, move |one| {
            old(one);
            assert_eq!(one.commit(), ends[mode.level()], "{mode:?}");
        });
    }
}

/// A search in a serializable transaction is a read of the whole table.
fn h25(ends: Ends) {
    for mode in Mode::all() {
        let mut players = Players::new(mode, 2, vectors);
        for number in 0..2 {
            players.step(number, |one| {
                one.begin();
                assert_eq!(nearest(one, 50.2, 1), [7], "nobody near");
            });
        }
        players.step(0, |one| place(one, 50, 50.0));
        players.step(1, |other| place(other, 51, 50.5));
        players.step(0, |one| assert_eq!(one.commit(), End::Ok));
        players.step(1, move |other| {
            assert_eq!(other.commit(), ends[mode.level()], "{mode:?}");
        });
        let committed = 1 + usize::from(ends[mode.level()] == End::Ok);
        assert_eq!(players.end().len(), 8 + committed, "{mode:?}");
    }
}

/// Name, what it would show, and the ends that it is played with.
const SCHEDULES: [(&str, &str, Ends); 6] = [
    (
        "H19",
        "a phantom where pages split between two scans",
        [End::Ok, End::Stale],
    ),
    (
        "H20",
        "an old snapshot beside ten thousand overwrites and merges",
        [End::Conflict, End::Stale],
    ),
    ("H21", "real time between threads", [End::Ok, End::Ok]),
    (
        "H22",
        "a durable commit survives without what it was built on",
        [End::Ok, End::Ok],
    ),
    (
        "H24",
        "a search sees what its snapshot does not have",
        [End::Ok, End::Ok],
    ),
    (
        "H25",
        "two searches find nothing near, and both insert",
        [End::Ok, End::Stale],
    ),
];

fn ends(name: &str) -> Ends {
    let found = SCHEDULES.iter().find(|(one, ..)| *one == name);
    found.unwrap().2
}

#[test]
fn h19_phantom_by_range_split() {
    h19(ends("H19"));
}

#[test]
fn h20_snapshot_beside_merges() {
    h20(ends("H20"));
}

#[test]
fn h21_real_time() {
    h21(ends("H21"));
}

#[test]
fn h22_durable_in_the_order_of_visibility() {
    h22(ends("H22"));
}

#[test]
fn h24_search_inside_a_snapshot() {
    h24(ends("H24"));
}

#[test]
fn h25_search_is_a_predicate_read() {
    h25(ends("H25"));
}

/// What the document says of a schedule at a level, from how the commit that decides it ends there.
fn cell(name: &str, end: End) -> &'static str {
    match (name, end) {
        ("H19", End::Ok) => "unseen; both commit",
        ("H19", End::Stale) => "unseen; one commits",
        ("H20", End::Conflict) => "unchanged; a writer of it gets `Conflict`",
        ("H20", End::Stale) => "unchanged; a writer of it gets `ReadConflict`",
        ("H21", End::Ok) => "kept",
        ("H22" | "H24", End::Ok) | ("H25", End::Stale) => "prevented",
        ("H25", End::Ok) => "**allowed**",
        _ => unreachable!("{name} does not end so: {end:?}"),
    }
}

#[test]
fn the_document_has_a_row_for_each() {
    let document = include_str!("../../docs/guarantees.md");
    for (name, what, ends) in SCHEDULES {
        let [snapshot, serializable] = ends.map(|end| cell(name, end));
        let row = format!("| {name} | {what} | {snapshot} | {serializable} |\n");
        assert_eq!(document.matches(&row).count(), 1, "{row}");
        let played = format!("ends(\"{name}\")");
        assert!(include_str!("hermitage_own.rs").contains(&played), "{name}");
    }
    let rows = (19..=25).flat_map(|number| {
        let begins = format!("| H{number} ");
        document
            .lines()
            .filter(move |line| line.starts_with(&begins))
    });
    assert_eq!(rows.count(), SCHEDULES.len(), "none but these");
    let h23 = "h23_each_cycle_of_locks_has_one_victim_and_is_spelled_out";
    assert!(document.contains(&format!("`locks::{h23}`")));
    assert!(include_str!("locks.rs").contains(&format!("fn {h23}()")));
}
