//! The longest payload there may be: 1 GiB.

use std::sync::Arc;

use vellum_base::Lsn;
use vellum_disk::{Disk, MemoryDisk};
use vellum_wal::{Config, Durability, Wal, WalError};

use super::common::{append, commit_large, open, payload};

const HUGE: usize = 1 << 30;
/// The payload repeats a piece of this length, so that a test needs no second copy of it; no
/// power of two, so that nothing exchanged goes unseen.
const PIECE: usize = 1_000_003;

fn config() -> Config {
    Config {
        background: false,
        uuid: Some(7),
        ..Config::default()
    }
}

#[test]
fn a_payload_of_a_gibibyte_comes_back() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let piece = payload(5, PIECE);
    let (wal, _) = open(&disk, &config()).unwrap();
    append(&wal, b"before", Durability::Buffered).unwrap();
    let mut parts = vec![&piece[..]; HUGE / PIECE];
    parts.push(&piece[..HUGE % PIECE]);
    commit_large(&wal, &parts).unwrap();
    // The next one has a file of its own: this one is as long as its payload.
    commit_large(&wal, &[b"behind"]).unwrap();
    assert_eq!(wal.stats().large_bytes, HUGE as u64 + 6);
    drop(wal);
    let mut found = Vec::new();
    let check = &mut |replayed: vellum_wal::Replayed<'_>| {
        let huge = replayed.payload.len() == HUGE;
        let same = |(one, other): (&[u8], &&[u8])| one == *other;
        assert!(!huge || replayed.payload.chunks(PIECE).zip(&parts).all(same));
        found.push((replayed.timestamp.0, replayed.payload.len()));
        Ok(())
    };
    let wal = Wal::open::<WalError>(Arc::clone(&disk), &config(), Lsn(0), check).unwrap();
    assert_eq!(found, [(1, 6), (2, HUGE), (3, 6)]);
    let large = |name: &String| name.starts_with("big-");
    let left = || disk.list().unwrap().into_iter().filter(large).count();
    assert_eq!(left(), 2);
    wal.sync().unwrap();
    wal.truncate_before(wal.end()).unwrap();
    assert_eq!(left(), 1, "only what the new segment refers to stays");
}
