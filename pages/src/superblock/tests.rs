//! Tests of which superblock counts, and of what is refused.

use std::sync::Arc;

use vellum_disk::{Disk, MemoryDisk, OpenMode};

use super::*;

const DATABASE: [u8; 16] = [7; 16];

fn superblock(sequence: u64) -> Superblock {
    Superblock {
        database: DATABASE,
        salt: 99,
        sequence,
        epoch: Epoch(sequence * 3),
        timestamp: Timestamp(sequence * 10),
        lsn: Lsn(sequence * 100),
        meta: PageRef::new(sequence + 5, 1),
        meta_bytes: 17,
        map: PageRef::new(sequence + 9, 2),
        steps: 400,
    }
}

fn file_with(superblocks: &[&Superblock]) -> Arc<dyn File> {
    let file = MemoryDisk::new()
        .open(FILE_NAME, OpenMode::CreateNew)
        .unwrap();
    file.set_len(2 * STEP as u64).unwrap();
    for superblock in superblocks {
        superblock.write(&*file).unwrap();
    }
    file
}

#[test]
fn the_newer_valid_one_counts() {
    let (a, b) = (superblock(4), superblock(5));
    assert_eq!((a.offset(), b.offset()), (0, 4096));
    let file = file_with(&[&a, &b]);
    assert_eq!(newest(&*file, Some(DATABASE), None).unwrap(), b);
    assert_eq!(newest(&*file, Some(DATABASE), Some(5)).unwrap(), b);
    superblock(6).write(&*file).unwrap();
    assert_eq!(
        newest(&*file, Some(DATABASE), Some(5)).unwrap(),
        superblock(6)
    );
    // Its writing was interrupted, at any byte.
    for bytes in [0, 1, 8, 64, 103, 104, 111] {
        let file = file_with(&[&a, &b]);
        file.write_at(&superblock(6).encode()[..bytes], 0).unwrap();
        let found = newest(&*file, Some(DATABASE), Some(5)).unwrap();
        assert_eq!(found, b, "{bytes}");
    }
    let file = file_with(&[&superblock(1)]);
    assert_eq!(newest(&*file, Some(DATABASE), None).unwrap(), superblock(1));
}

#[test]
fn an_older_state_than_is_known_is_damage() {
    let (a, b) = (superblock(4), superblock(5));
    let file = file_with(&[&a, &b]);
    for byte in (0..112).chain([111]) {
        let mut block = b.encode();
        block[byte] ^= 0x10;
        file.write_at(&block, b.offset()).unwrap();
        assert_eq!(newest(&*file, Some(DATABASE), None).unwrap(), a);
        let refused = newest(&*file, Some(DATABASE), Some(5)).unwrap_err();
        let PageError::Corrupt(damage) = refused else {
            panic!("{refused}");
        };
        assert_eq!(damage.offset, 4096);
        assert!(damage.what.contains("checkpoint 5"), "{damage}");
    }
}

fn refusal(file: &Arc<dyn File>) -> PageError {
    newest(&**file, Some(DATABASE), None).unwrap_err()
}

#[test]
fn what_cannot_come_of_a_crash_is_damage() {
    let is_damage = |file| matches!(refusal(&file), PageError::Corrupt(_));
    assert!(is_damage(file_with(&[])));
    // Not neighbours; of different salts; in the other's slot.
    assert!(is_damage(file_with(&[&superblock(4), &superblock(7)])));
    let mut other = superblock(5);
    other.salt = 1;
    assert!(is_damage(file_with(&[&superblock(4), &other])));
    let file = file_with(&[]);
    file.write_at(&superblock(4).encode(), 4096).unwrap();
    assert!(is_damage(file));
    let file = MemoryDisk::new()
        .open(FILE_NAME, OpenMode::CreateNew)
        .unwrap();
    assert!(is_damage(file));
}

#[test]
fn other_databases_and_newer_formats_are_told_from_damage() {
    let mut other = superblock(4);
    other.database = [8; 16];
    assert!(matches!(refusal(&file_with(&[&other])), PageError::Foreign));
    let file = file_with(&[&superblock(4), &superblock(5)]);
    let mut newer = superblock(6).encode();
    newer[8] = 9;
    let sum = checksum(&newer[..SUMMED]);
    newer[SUMMED..SUMMED + 8].copy_from_slice(&sum.to_le_bytes());
    file.write_at(&newer, 0).unwrap();
    let refused = refusal(&file);
    assert!(
        matches!(
            refused,
            PageError::NewerFormat {
                found: 9,
                known: VERSION
            }
        ),
        "{refused}"
    );
}
