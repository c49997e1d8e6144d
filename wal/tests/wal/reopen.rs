//! What was appended is there after every kind of reopening, in order, with its timestamps.

use std::sync::Arc;

use super::common::{append, commit, commit_large, open, open_at, payload, small};
use vellum_base::{Lsn, Timestamp};
use vellum_disk::{Disk, MemoryDisk};
use vellum_wal::{Durability, Payload, Sequenced, Wal, WalError};

fn memory() -> Arc<dyn Disk> {
    Arc::new(MemoryDisk::new())
}

#[test]
fn commits_survive_a_clean_close_and_timestamps_go_on() {
    let disk = memory();
    let mut expected = Vec::new();
    for round in 0..5 {
        let (wal, commits) = open(&disk, &small()).unwrap();
        assert_eq!(commits, expected);
        for number in 0..20u64 {
            let bytes = payload(round * 100 + number, number as usize * 11);
            let at = commit(&wal, &bytes, Durability::Sync).unwrap();
            assert_eq!(at.0, expected.len() as u64 + 1, "dense after a clean close");
            expected.push((at.0, bytes));
        }
        wal.close().unwrap();
        assert!(matches!(
            append(&wal, b"late", Durability::Buffered),
            Err(WalError::Closed)
        ));
    }
}

#[test]
fn buffered_commits_survive_without_a_close_and_timestamps_are_not_reused() {
    let disk = memory();
    let mut expected: super::common::Commits = Vec::new();
    for round in 0..6 {
        let (wal, commits) = open(&disk, &small()).unwrap();
        assert_eq!(commits, expected, "round {round}");
        for number in 0..70u64 {
            let bytes = payload(round * 100 + number, number as usize * 7);
            let at = append(&wal, &bytes, Durability::Buffered)
                .unwrap()
                .timestamp;
            assert!(expected.last().is_none_or(|last| last.0 < at.0));
            assert_eq!(wal.settled(), at);
            expected.push((at.0, bytes));
        }
    }
}

#[test]
fn the_log_runs_over_many_segments() {
    let disk = memory();
    let (wal, _) = open(&disk, &small()).unwrap();
    let mut expected = Vec::new();
    for number in 0..2000u64 {
        let bytes = payload(number, (number as usize * 37) % 512);
        let durability = if number % 3 == 0 {
            Durability::Sync
        } else {
            Durability::Buffered
        };
        let at = if number % 50 == 0 {
            commit(&wal, &bytes, durability).unwrap()
        } else {
            append(&wal, &bytes, durability).unwrap().timestamp
        };
        expected.push((at.0, bytes));
    }
    assert!(wal.end() > Lsn(8 * (64 << 10)));
    drop(wal);
    let (_, commits) = open(&disk, &small()).unwrap();
    assert!(commits == expected);
}

#[test]
fn settled_stops_before_the_first_commit_that_is_not_durable() {
    let disk = memory();
    let (wal, _) = open(&disk, &small()).unwrap();
    let first = append(&wal, b"a", Durability::Buffered).unwrap().timestamp;
    assert_eq!(wal.settled(), first);
    let second = append(&wal, b"b", Durability::Sync).unwrap().timestamp;
    let third = append(&wal, b"c", Durability::Buffered).unwrap().timestamp;
    assert_eq!(wal.settled(), first, "the third waits for the second");
    wal.wait_settled(second).unwrap();
    assert_eq!(wal.settled(), third);
}

#[test]
fn a_refused_commit_leaves_no_trace() {
    struct Refuse;
    impl Sequenced for Refuse {
        fn validate(&mut self) -> bool {
            false
        }
        fn stamp(&mut self, _at: Timestamp) {
            panic!("stamped after a refusal");
        }
    }
    let disk = memory();
    let (wal, _) = open(&disk, &small()).unwrap();
    append(&wal, b"a", Durability::Buffered).unwrap();
    let end = wal.end();
    for _ in 0..1000 {
        let payload = Payload::inline(b"refused");
        let reservation = wal.reserve(7).unwrap();
        assert_eq!(
            wal.append(reservation, payload, Durability::Sync, &mut Refuse)
                .unwrap(),
            None
        );
    }
    assert_eq!(wal.end(), end);
    assert_eq!(
        append(&wal, b"b", Durability::Buffered).unwrap().timestamp,
        Timestamp(2)
    );
}

#[test]
fn dropped_reservations_give_their_space_back() {
    let disk = memory();
    let (wal, _) = open(&disk, &small()).unwrap();
    for _ in 0..1000 {
        drop(wal.reserve(500).unwrap());
    }
    assert!(matches!(
        wal.reserve(2049),
        Err(WalError::TooLarge {
            len: 2049,
            max: 2048
        })
    ));
}

#[test]
fn large_payloads_come_back_and_keep_their_order() {
    let disk = memory();
    let (wal, _) = open(&disk, &small()).unwrap();
    let mut expected = Vec::new();
    for number in 0..8u64 {
        let bytes = payload(number, 3000 + number as usize * 40_000);
        let (head, tail) = bytes.split_at(1234);
        let at = commit_large(&wal, &[head, tail]).unwrap();
        expected.push((at.0, bytes));
        let bytes = payload(number, 30);
        let at = append(&wal, &bytes, Durability::Buffered)
            .unwrap()
            .timestamp;
        expected.push((at.0, bytes));
    }
    drop(wal);
    for _ in 0..3 {
        let (_, commits) = open(&disk, &small()).unwrap();
        assert!(commits == expected);
    }
}

#[test]
fn an_empty_log_reopens() {
    let disk = memory();
    for _ in 0..4 {
        let (wal, commits) = open(&disk, &small()).unwrap();
        assert!(commits.is_empty());
        wal.sync().unwrap();
    }
    let (wal, _) = open(&disk, &small()).unwrap();
    wal.close().unwrap();
    drop(wal);
    let (_, commits) = open(&disk, &small()).unwrap();
    assert!(commits.is_empty());
}

#[test]
fn truncated_segments_are_recycled_and_the_rest_stays() {
    let disk = memory();
    let mut start = Lsn(0);
    let mut first_kept = 1;
    let mut last = 0;
    for round in 0..6u64 {
        let (wal, commits) = open_at(&disk, &small(), start).unwrap();
        let kept: Vec<u64> = commits.iter().map(|commit| commit.0).collect();
        assert!(
            kept.contains(&first_kept) || last == 0,
            "round {round}: {kept:?}"
        );
        assert_eq!(kept.last().copied().unwrap_or(0), last);
        for number in 0..600u64 {
            let bytes = payload(number, 400);
            if number % 100 == 0 {
                commit_large(&wal, &[&payload(number, 9000)]).unwrap();
            }
            let appended = append(&wal, &bytes, Durability::Buffered).unwrap();
            if number == 300 {
                wal.sync().unwrap();
                start = appended.lsn;
                first_kept = appended.timestamp.0;
                wal.truncate_before(start).unwrap();
            }
            last = appended.timestamp.0;
        }
        assert!(round == 0 || wal.stats().segments_recycled > 0);
        drop(wal);
        assert!(
            disk.list().unwrap().len() < 16,
            "{:?}",
            disk.list().unwrap()
        );
    }
}

#[test]
fn a_start_at_the_end_finds_nothing_and_one_behind_it_is_refused() {
    let disk = memory();
    let (wal, _) = open(&disk, &small()).unwrap();
    for number in 0..200 {
        append(&wal, &payload(number, 300), Durability::Buffered).unwrap();
    }
    wal.sync().unwrap();
    let end = wal.end();
    wal.truncate_before(end).unwrap();
    drop(wal);
    let refused = open_at(&disk, &small(), Lsn(end.0 + 8));
    assert!(
        matches!(refused, Err(WalError::Corrupt(_))),
        "{:?}",
        refused.err()
    );
    let (_, commits) = open_at(&disk, &small(), end).unwrap();
    assert_eq!(commits, []);
}

#[test]
fn the_error_of_a_replay_is_returned() {
    let disk = memory();
    let (wal, _) = open(&disk, &small()).unwrap();
    append(&wal, b"a", Durability::Buffered).unwrap();
    drop(wal);
    let refused = Wal::open::<WalError>(Arc::clone(&disk), &small(), Lsn(0), &mut |_| {
        Err(WalError::InvalidConfig("mine"))
    });
    assert!(matches!(refused, Err(WalError::InvalidConfig("mine"))));
    assert_eq!(open(&disk, &small()).unwrap().1.len(), 1);
}
