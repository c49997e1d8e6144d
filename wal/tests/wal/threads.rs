//! Many threads on real time, on a real directory: nothing is lost, nobody waits for ever.

use std::sync::Arc;

use vellum_disk::{DirDisk, Disk, MemoryDisk};
use vellum_sync::Mutex;
use vellum_sync::thread::spawn;
use vellum_wal::{Config, Durability, Wal};

use super::common::{append, commit, commit_large, open, payload, small};

fn hammer(disk: &Arc<dyn Disk>, config: &Config, threads: u64, commits: u64) {
    let (wal, before) = open(disk, config).unwrap();
    let wal = Arc::new(wal);
    let all = Arc::new(Mutex::new(before));
    let running: Vec<_> = (0..threads)
        .map(|thread| {
            let (wal, all) = (Arc::clone(&wal), Arc::clone(&all));
            spawn(move || {
                for number in 0..commits {
                    let bytes = payload(thread << 32 | number, (number * 13 % 500) as usize);
                    let at = match number % 9 {
                        0..4 => commit(&wal, &bytes, Durability::Sync).unwrap(),
                        4 if number % 4 == 0 => commit_large(&wal, &[&bytes]).unwrap(),
                        _ => {
                            append(&wal, &bytes, Durability::Buffered)
                                .unwrap()
                                .timestamp
                        }
                    };
                    all.lock().push((at.0, bytes));
                }
            })
        })
        .collect();
    for thread in running {
        thread.join().unwrap();
    }
    let stats = wal.stats();
    assert!(stats.groups > 0 && stats.commits == threads * commits);
    drop(wal);
    let mut expected = all.lock().clone();
    expected.sort();
    let (wal, found) = open(disk, config).unwrap();
    assert!(found == expected);
    wal.close().unwrap();
}

#[test]
fn many_threads_in_memory() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    for in_flight_max in [1, 2, 8] {
        hammer(
            &disk,
            &Config {
                background: true,
                in_flight_max,
                ..small()
            },
            6,
            300,
        );
        hammer(
            &disk,
            &Config {
                in_flight_max,
                ..small()
            },
            6,
            300,
        );
    }
}

#[test]
fn many_threads_in_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(DirDisk::open(directory.path()).unwrap());
    let config = Config {
        background: true,
        in_flight_max: 4,
        ..small()
    };
    hammer(&disk, &config, 4, 150);
    hammer(&disk, &config, 4, 150);
}

#[test]
fn a_requested_flush_happens_without_a_waiter() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let (wal, _) = open(
        &disk,
        &Config {
            background: true,
            ..small()
        },
    )
    .unwrap();
    for _ in 0..200 {
        let at = append(&wal, b"handle", Durability::Sync).unwrap().timestamp;
        wal.request_flush();
        while wal.settled() < at {
            vellum_sync::thread::yield_now();
        }
    }
}

#[test]
fn threads_end_with_the_log() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    for _ in 0..50 {
        let (wal, _) = open(
            &disk,
            &Config {
                background: true,
                ..small()
            },
        )
        .unwrap();
        append(&wal, b"x", Durability::Sync).unwrap();
    }
}

fn is_shareable<T: Send + Sync>() {}

#[test]
fn a_log_is_shared_between_threads() {
    is_shareable::<Wal>();
}
