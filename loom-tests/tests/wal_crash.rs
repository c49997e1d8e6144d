//! The log on the simulated disk, under random schedules, with a crash: one seed fixes schedule,
//! order of I/O and what the crash left.

#![cfg(vellum_shuttle)]

use std::collections::BTreeMap;
use std::sync::Arc;

use vellum_base::{Lsn, Timestamp};
use vellum_loom_tests::Model;
use vellum_sync::{Mutex, random_u64, thread};
use vellum_testkit::{Budget, Crash, SimDisk};
use vellum_wal::{Config, Durability, Payload, Sequenced, Wal, WalError};

struct Accept;

impl Sequenced for Accept {
    fn validate(&mut self) -> bool {
        true
    }
    fn stamp(&mut self, _: Timestamp) {}
}

fn config(background: bool) -> Config {
    Config {
        chunk_bytes: 8 << 10,
        segment_bytes: 64 << 10,
        in_flight_max: 2,
        background,
        uuid: Some(1),
        ..Config::default()
    }
}

fn open(sim: &SimDisk, background: bool) -> (Wal, BTreeMap<u64, u64>) {
    let mut found = BTreeMap::new();
    let wal = Wal::open::<WalError>(sim.disk(), &config(background), Lsn(0), &mut |replayed| {
        let id = u64::from_le_bytes(replayed.payload[..8].try_into().unwrap());
        assert!(found.insert(replayed.timestamp.0, id).is_none());
        Ok(())
    });
    (wal.unwrap(), found)
}

type Order = Arc<Mutex<BTreeMap<u64, u64>>>;

/// Commits; marks `id` when it was appended and `100 + id` when it is durable.
fn commit(wal: &Wal, sim: &SimDisk, order: &Order, id: u64) {
    let durability = if id % 3 == 0 {
        Durability::Buffered
    } else {
        Durability::Sync
    };
    let mut bytes = id.to_le_bytes().to_vec();
    bytes.resize(8 + (id as usize * 173) % 500, 7);
    let payload = Payload::inline(&bytes);
    let reservation = wal.reserve(bytes.len()).unwrap();
    let appended = wal
        .append(reservation, payload, durability, &mut Accept)
        .unwrap()
        .unwrap();
    order.lock().insert(appended.timestamp.0, id);
    sim.mark(id);
    wal.wait_settled(appended.timestamp).unwrap();
    if durability == Durability::Sync {
        sim.mark(100 + id);
    }
}

/// What a crash leaves is a prefix of the commit order that holds all that was acknowledged.
fn check(found: &BTreeMap<u64, u64>, order: &BTreeMap<u64, u64>, needed: &[u64]) {
    let kept: Vec<_> = found.iter().collect();
    let all: Vec<_> = order.iter().collect();
    assert!(all.starts_with(&kept), "{kept:?} is no prefix of {all:?}");
    for id in needed {
        assert!(
            found.values().any(|found| found == id),
            "commit {id} was acknowledged"
        );
    }
}

fn crash(sim: &SimDisk, order: &BTreeMap<u64, u64>) {
    for cut in sim.trace().cuts() {
        for (crash, budget) in [(Crash::Power, 8), (Crash::Process, 2)] {
            let needed: Vec<u64> = match crash {
                Crash::Power => cut
                    .marks()
                    .iter()
                    .filter(|m| **m >= 100)
                    .map(|m| m - 100)
                    .collect(),
                Crash::Process => cut.marks().iter().filter(|m| **m < 100).copied().collect(),
            };
            for state in cut.states(crash, Budget::per_cut(budget)) {
                let (wal, found) = open(&state.disk(), false);
                check(&found, order, &needed);
                drop(wal);
            }
        }
    }
}

fn run(name: &str, background: bool) {
    Model::new(format!("wal_crash::{name}"))
        .schedules(300)
        .check(move || {
            let sim = SimDisk::new(random_u64());
            let order = Order::default();
            let wal = Arc::new(open(&sim, background).0);
            let threads: Vec<_> = (0..3)
                .map(|thread| {
                    let (wal, sim, order) = (Arc::clone(&wal), sim.clone(), Arc::clone(&order));
                    thread::spawn(move || {
                        for number in 0..4 {
                            commit(&wal, &sim, &order, thread * 4 + number);
                        }
                    })
                })
                .collect();
            for thread in threads {
                thread.join().unwrap();
            }
            drop(wal);
            let order = order.lock().clone();
            let (wal, found) = open(&sim, false);
            assert_eq!(found, order);
            drop(wal);
            crash(&sim, &order);
        });
}

/// Committers that do everything themselves.
#[test]
fn what_committers_were_told_survives() {
    run("what_committers_were_told_survives", false);
}

/// The same beside the log's own threads.
#[test]
fn what_committers_were_told_survives_beside_the_threads() {
    run(
        "what_committers_were_told_survives_beside_the_threads",
        true,
    );
}
