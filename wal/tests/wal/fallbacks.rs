//! However a disk writes, the log's answers are the same.

use std::sync::Arc;

use tempfile::tempdir;
use vellum_base::Lsn;
use vellum_disk::{DirDisk, Disk, DurableWrites, MappedWrites, MemoryDisk, Probe};
use vellum_wal::{Config, Contents, Durability, WalError, read};

use super::common::{Commits, append, commit, commit_large, open_at, payload, small};

/// Chunks long enough for records that are stored piece by piece.
fn config() -> Config {
    Config {
        chunk_bytes: 32 << 10,
        segment_bytes: 256 << 10,
        ..small()
    }
}

/// What each opening of a log found, and where it ended.
#[derive(Debug, Default, PartialEq)]
struct Answers(Vec<(Commits, Lsn)>);

impl Answers {
    fn round(&mut self, disk: &Arc<dyn Disk>, round: u64, start: &mut Lsn) -> Result<(), WalError> {
        let (wal, found) = open_at(disk, &config(), *start)?;
        self.0.push((found, wal.end()));
        for number in 0..60 {
            let bytes = payload(round << 8 | number, (number as usize * 1013) % 8192);
            let durability = if number % 5 == 0 {
                Durability::Sync
            } else {
                Durability::Buffered
            };
            append(&wal, &bytes, durability)?;
            if number % 15 == 7 {
                commit(&wal, b"waited for", Durability::Sync)?;
                commit_large(&wal, &[&bytes, &payload(number, 20_000)])?;
            }
        }
        if round % 3 == 1 {
            wal.sync()?;
            *start = wal.end();
            wal.truncate_before(*start)?;
            append(&wal, &payload(round, 8000), Durability::Buffered)?;
        }
        if round % 3 == 2 {
            wal.close()?;
        }
        Ok(())
    }

    fn of(disk: &Arc<dyn Disk>) -> Self {
        let (mut answers, mut start) = (Self::default(), Lsn(0));
        for round in 0..7 {
            answers.round(disk, round, &mut start).unwrap();
        }
        let mut last = Commits::new();
        let contents: Contents = read::<WalError>(disk.as_ref(), Some(7), start, &mut |replayed| {
            last.push((replayed.timestamp.0, replayed.payload.to_vec()));
            Ok(())
        })
        .unwrap();
        answers.0.push((last, contents.end));
        answers
    }
}

#[test]
fn every_way_of_writing_gives_the_same_answers() {
    let memory: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let expected = Answers::of(&memory);
    let last = &expected.0.last().unwrap().0;
    assert!(last.len() > 60 && expected.0.len() == 8);
    for (direct, mapped) in [(true, true), (true, false), (false, true), (false, false)] {
        let directory = tempdir().unwrap();
        let probe = Probe {
            direct,
            mapped,
            ..Probe::default()
        };
        let disk: Arc<dyn Disk> = Arc::new(DirDisk::open_with(directory.path(), probe).unwrap());
        let (wal, _) = open_at(&disk, &config(), Lsn(0)).unwrap();
        let stats = wal.stats();
        assert!(mapped || stats.mapped_writes == Some(MappedWrites::Written));
        assert!(direct || stats.durable_writes == Some(DurableWrites::Synced));
        drop(wal);
        drop(disk);
        let directory = tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(DirDisk::open_with(directory.path(), probe).unwrap());
        assert!(Answers::of(&disk) == expected, "{probe:?}");
    }
}
