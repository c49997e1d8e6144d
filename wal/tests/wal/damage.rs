//! Damaged and foreign files: a named error, or the right data; never anything else.

use std::sync::Arc;

use vellum_base::Lsn;
use vellum_disk::{Disk, MemoryDisk, OpenMode};
use vellum_wal::{Durability, WalError, read, verify};

use super::common::{Commits, append, commit, commit_large, open, open_at, payload, small};

type Files = Vec<(String, Vec<u8>)>;

fn files(disk: &Arc<dyn Disk>) -> Files {
    let mut names = disk.list().unwrap();
    names.sort();
    names
        .into_iter()
        .map(|name| {
            let file = disk.open(&name, OpenMode::Read).unwrap();
            let mut bytes = vec![0; file.len().unwrap() as usize];
            file.read_at(&mut bytes, 0).unwrap();
            (name, bytes)
        })
        .collect()
}

fn disk_of(files: &Files) -> Arc<dyn Disk> {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    for (name, bytes) in files {
        disk.open(name, OpenMode::CreateNew)
            .unwrap()
            .write_at(bytes, 0)
            .unwrap();
    }
    disk
}

/// Three openings, several segments, a large payload; closed at the end, or not.
fn history(closed: bool) -> (Files, Commits) {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    for round in 0..3u64 {
        let (wal, _) = open(&disk, &small()).unwrap();
        for number in 0..40 {
            append(
                &wal,
                &payload(round * 100 + number, 500),
                Durability::Buffered,
            )
            .unwrap();
            if number % 4 == 0 {
                commit(&wal, &payload(number, 20), Durability::Sync).unwrap();
            }
        }
        commit_large(&wal, &[&payload(round, 5000)]).unwrap();
        commit(&wal, b"last", Durability::Sync).unwrap();
        if closed {
            wal.close().unwrap();
        }
    }
    let files = files(&disk);
    let (_, commits) = open(&disk, &small()).unwrap();
    (files, commits)
}

/// Opens read-only, which reads as an opening for writing does.
fn contents(files: &Files) -> Result<Commits, WalError> {
    let mut commits = Commits::new();
    read::<WalError>(disk_of(files).as_ref(), Some(7), Lsn(0), &mut |replayed| {
        commits.push((replayed.timestamp.0, replayed.payload.to_vec()));
        Ok(())
    })?;
    Ok(commits)
}

#[test]
fn reading_changes_nothing_and_shows_what_an_opening_shows() {
    for closed in [false, true] {
        let (files_before, commits) = history(closed);
        let disk = disk_of(&files_before);
        let report = verify(disk.as_ref(), None, None, None).unwrap();
        assert_eq!(report.damage, None);
        assert_eq!(report.commits, commits.len() as u64);
        assert_eq!(report.large, 3);
        assert_eq!(report.contents.unwrap().closed, closed);
        assert_eq!(contents(&files_before).unwrap(), commits);
        assert!(files(&disk) == files_before);
    }
}

/// Who writes the log itself judges what was durable, and nothing behind that.
#[test]
fn what_lies_behind_a_given_end_is_not_judged() {
    let (mut files, commits) = history(true);
    let seen = |files: &Files, until| {
        let report = verify(disk_of(files).as_ref(), None, None, Some(until)).unwrap();
        (report.damage.is_none(), report.commits)
    };
    let mut positions = Vec::new();
    read::<WalError>(disk_of(&files).as_ref(), Some(7), Lsn(0), &mut |replayed| {
        positions.push(replayed.lsn);
        Ok(())
    })
    .unwrap();
    let (middle, last) = (positions.len() / 2, positions.len() - 1);
    assert_eq!(seen(&files, positions[middle]), (true, middle as u64));
    assert!(seen(&files, positions[last]).0);
    // The newest segment goes.
    let newest = files
        .iter()
        .rposition(|(name, _)| name.starts_with("wal-0"));
    files[newest.unwrap()].1[4096..].fill(0xFF);
    assert_eq!(seen(&files, positions[middle]), (true, middle as u64));
    assert!(!seen(&files, positions[last]).0);
    let all = verify(disk_of(&files).as_ref(), None, None, None).unwrap();
    assert!(all.damage.is_some() && all.commits < commits.len() as u64);
}

/// In a log that was closed everything but the tail's copy counts: a damaged byte is found, or
/// means nothing.
#[test]
fn a_damaged_byte_is_reported_or_meaningless() {
    let (good, commits) = history(true);
    let mut reported = 0;
    for (index, (name, bytes)) in good.iter().enumerate() {
        let mut at = 0;
        while at < bytes.len() {
            let mut bad = good.clone();
            bad[index].1[at] ^= 1 << (at % 8);
            match contents(&bad) {
                Ok(found) => assert!(found == commits, "{name} at {at}"),
                Err(WalError::Corrupt(damage)) => {
                    reported += 1;
                    assert!(damage.file.ends_with(".log"), "{damage}");
                    let report = verify(disk_of(&bad).as_ref(), None, None, None).unwrap();
                    assert_eq!(report.damage, Some(damage));
                }
                Err(other) => panic!("{name} at {at}: {other}"),
            }
            // Primes: every place of a record and of a header comes up in one or another.
            at += if bytes[at] == 0 && at > 128 { 397 } else { 43 };
        }
    }
    assert!(reported > 400, "{reported}");
}

/// Whatever block is lost of an open log, what is left is a prefix, and what was stated durable is
/// either there or reported.
#[test]
fn a_lost_block_never_leaves_a_gap() {
    let (good, commits) = history(false);
    for (index, (name, bytes)) in good.iter().enumerate() {
        for at in (0..bytes.len()).step_by(512) {
            let mut bad = good.clone();
            let end = bytes.len().min(at + 512);
            bad[index].1[at..end].fill(0);
            match contents(&bad) {
                Ok(found) => assert!(commits.starts_with(&found), "{name} at {at}"),
                Err(WalError::Corrupt(_)) => {}
                Err(other) => panic!("{name} at {at}: {other}"),
            }
        }
    }
}

/// Only the last records may be taken for a torn tail; everything before is stated durable.
#[test]
fn damage_before_the_last_group_is_never_a_torn_tail() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let (wal, _) = open(&disk, &small()).unwrap();
    let mut places = Vec::new();
    for number in 0..60 {
        let appended = append(&wal, &payload(number, 100), Durability::Sync).unwrap();
        places.push(appended.lsn.0);
        wal.wait_settled(appended.timestamp).unwrap();
    }
    drop(wal);
    let good = files(&disk);
    let last = places.len() - 1;
    for (number, place) in places.iter().enumerate() {
        let mut bad = good.clone();
        bad.retain(|(name, _)| name != "wal-tail");
        let (segment, at) = ((place / (64 << 10)) as usize, 4096 + place % (64 << 10));
        bad[segment].1[at as usize + 40] ^= 4;
        let found = contents(&bad);
        if number == last {
            assert_eq!(found.unwrap().len(), last);
        } else {
            assert!(
                matches!(found, Err(WalError::Corrupt(_))),
                "record {number}"
            );
        }
    }
}

/// Two records in one block: the group's own end is what is stated, not its block's.
#[test]
fn damage_behind_the_first_record_of_a_block_is_found() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let (wal, _) = open(&disk, &small()).unwrap();
    append(&wal, b"one", Durability::Buffered).unwrap();
    let second = append(&wal, b"two", Durability::Buffered).unwrap();
    wal.sync().unwrap();
    append(&wal, b"three", Durability::Buffered).unwrap();
    wal.sync().unwrap();
    drop(wal);
    let mut bad = files(&disk);
    bad.retain(|(name, _)| name != "wal-tail");
    bad[0].1[4096 + second.lsn.0 as usize + 32] ^= 1;
    assert!(matches!(contents(&bad), Err(WalError::Corrupt(_))));
}

/// A group begins before the one in front of it is written: it proves what lies further in front, and
/// not that one.
#[test]
fn a_group_does_not_prove_the_one_in_front_of_it() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let (wal, _) = open(&disk, &small()).unwrap();
    let append = |number| append(&wal, &payload(number, 500), Durability::Buffered);
    // Three chunks, a group each.
    let places: Vec<_> = (0..40).map(|n| append(n).unwrap().lsn.0 as usize).collect();
    wal.sync().unwrap();
    drop(wal);
    let mut good = files(&disk);
    good.retain(|(name, _)| name != "wal-tail");
    assert_eq!(contents(&good).unwrap().len(), places.len());
    for (number, place) in places.iter().enumerate() {
        let mut bad = good.clone();
        bad[0].1[4096 + place + 32] ^= 1;
        match place / (8 << 10) {
            0 => assert!(matches!(contents(&bad), Err(WalError::Corrupt(_)))),
            1 | 2 => assert_eq!(contents(&bad).unwrap().len(), number, "record {number}"),
            chunk => panic!("record {number} in chunk {chunk}"),
        }
    }
}

#[test]
fn a_missing_segment_is_reported() {
    let (good, commits) = history(true);
    for (index, (name, _)) in good.iter().enumerate() {
        let mut bad = good.clone();
        bad.remove(index);
        match contents(&bad) {
            Ok(found) => assert!(commits.starts_with(&found), "{name}"),
            Err(WalError::Corrupt(damage)) => assert!(!damage.what.is_empty()),
            Err(other) => panic!("{name}: {other}"),
        }
        let first = name == "wal-0000000000000000.log" || name.starts_with("big-");
        assert!(!first || contents(&bad).is_err(), "{name}");
    }
}

#[test]
fn large_files_without_a_log_are_reported() {
    let (mut bad, _) = history(true);
    bad.retain(|(name, _)| name.starts_with("big-"));
    assert!(matches!(contents(&bad), Err(WalError::Corrupt(_))));
}

fn reseal(header: &mut [u8]) {
    let sum = vellum_base::checksum(&header[..104]);
    header[104..112].copy_from_slice(&sum.to_le_bytes());
}

#[test]
fn strangers_are_refused_by_name() {
    let (good, _) = history(true);
    let with = |change: fn(&mut Files)| {
        let mut bad = good.clone();
        change(&mut bad);
        let disk = disk_of(&bad);
        let refused = open(&disk, &small()).map(|_| ()).unwrap_err();
        assert!(
            files(&disk) == {
                let mut bad = bad.clone();
                bad.sort();
                bad
            },
            "a refused opening changed something"
        );
        refused
    };
    let newer = with(|files| {
        files[3].1[8] = 2;
        reseal(&mut files[3].1);
    });
    assert!(
        matches!(
            newer,
            WalError::NewerFormat {
                found: 2,
                known: 1,
                ..
            }
        ),
        "{newer}"
    );
    let database = with(|files| {
        files[4].1[16] = 8;
        reseal(&mut files[4].1);
    });
    assert!(
        matches!(
            database,
            WalError::ForeignDatabase {
                found: 8,
                expected: 7,
                ..
            }
        ),
        "{database}"
    );
    let text = with(|files| files[4].1 = b"these are my notes, and nobody else's. ".repeat(200));
    assert!(matches!(text, WalError::ForeignFile { .. }), "{text}");
    let name = with(|files| files.push(("wal-backup".into(), b"x".to_vec())));
    assert!(matches!(name, WalError::ForeignFile { .. }), "{name}");
    let swapped = with(|files| {
        let other = files[4].1.clone();
        files[3].1 = other;
    });
    assert!(matches!(swapped, WalError::Corrupt(_)), "{swapped}");
}

/// A crash loses n+1 and keeps n+2 in the tail; the application repeats n+1 byte for byte [8].
#[test]
fn what_a_crash_lost_does_not_come_back() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let (wal, _) = open(&disk, &small()).unwrap();
    commit(&wal, b"n", Durability::Sync).unwrap();
    let lost = append(&wal, b"n+1", Durability::Buffered).unwrap();
    append(&wal, b"n+2", Durability::Buffered).unwrap();
    drop(wal);
    let mut crashed = files(&disk);
    let tail = crashed
        .iter_mut()
        .find(|(name, _)| name == "wal-tail")
        .unwrap();
    let kept = tail.1.clone();
    tail.1[lost.lsn.0 as usize..][..32].fill(0);
    let disk = disk_of(&crashed);
    let (wal, commits) = open(&disk, &small()).unwrap();
    assert_eq!(commits.len(), 1);
    let again = append(&wal, b"n+1", Durability::Buffered).unwrap();
    assert!(
        again.timestamp.0 > lost.timestamp.0 + 1,
        "timestamps are not used again"
    );
    drop(wal);
    let mut second = files(&disk);
    // The lost record reappears where it was, with its group and its successor.
    let tail = second
        .iter_mut()
        .find(|(name, _)| name == "wal-tail")
        .unwrap();
    let block = lost.lsn.0 as usize / 4096 * 4096;
    assert!(kept[block..block + 40] != [0; 40], "the group that held it");
    tail.1[block..block + 4096].copy_from_slice(&kept[block..block + 4096]);
    let (_, commits) = open_at(&disk_of(&second), &small(), Lsn(0)).unwrap();
    let found: Vec<_> = commits.iter().map(|commit| commit.1.as_slice()).collect();
    assert_eq!(found, [&b"n"[..], b"n+1"]);
    assert_eq!(commits[1].0, again.timestamp.0);
}
