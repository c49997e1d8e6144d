//! The worked example of `docs/format.md`, byte by byte.

use std::sync::Arc;

use vellum_base::{Lsn, checksum, checksum_seeded};
use vellum_disk::{Disk, MemoryDisk, OpenMode};
use vellum_wal::{Config, Durability, Wal, WalError};

use super::common::{append, commit};

const SPECIFICATION: &str = include_str!("../../../docs/format.md");

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn read(disk: &Arc<dyn Disk>, name: &str) -> Vec<u8> {
    let file = disk.open(name, OpenMode::Read).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(&mut bytes, 0).unwrap();
    bytes
}

/// The rows of the example's table: name, place in the file, length.
fn rows() -> Vec<(String, usize, usize)> {
    let example = SPECIFICATION
        .split("## Worked example")
        .nth(1)
        .expect("an example");
    let cells = |line: &str| {
        line.split('|')
            .map(|cell| cell.trim().to_owned())
            .collect::<Vec<_>>()
    };
    example
        .lines()
        .map(cells)
        .filter_map(|row| {
            Some((
                row.get(3)?.clone(),
                row[1].parse().ok()?,
                row[2].parse().ok()?,
            ))
        })
        .collect()
}

#[test]
fn the_worked_example_is_what_is_written() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let config = Config {
        background: false,
        uuid: Some(7),
        ..Config::default()
    };
    let wal = Wal::open::<WalError>(Arc::clone(&disk), &config, Lsn(0), &mut |_| Ok(())).unwrap();
    append(&wal, b"blue", Durability::Buffered).unwrap();
    commit(&wal, b"red, 16 bytes...", Durability::Sync).unwrap();
    commit(&wal, b"", Durability::Sync).unwrap();
    let segment = read(&disk, "wal-0000000000000000.log");

    let header = &segment[..4096];
    assert_eq!(&header[..8], b"VELLWAL\0");
    assert_eq!(
        (u32_at(header, 8), u32_at(header, 12)),
        (1, 1),
        "version, has a base"
    );
    assert_eq!((u64_at(header, 16), u64_at(header, 24)), (7, 0), "database");
    assert_eq!(
        (u64_at(header, 32), u64_at(header, 40)),
        (0, 1),
        "sequence, incarnation"
    );
    let salt = u64_at(header, 48);
    assert_eq!(u64_at(header, 56), (16 << 20) / 32 + 1, "timestamp limit");
    assert_eq!(
        (u64_at(header, 64), u64_at(header, 72)),
        (1 << 20, 16 << 20),
        "sizes"
    );
    assert_eq!((u64_at(header, 80), u64_at(header, 88)), (0, 0), "base");
    assert_eq!(u64_at(header, 96), 0, "durable");
    assert_eq!(u64_at(header, 104), checksum(&header[..104]));
    assert!(header[112..].iter().all(|byte| *byte == 0));

    let mut chain = checksum_seeded(salt, &0u64.to_le_bytes());
    let (mut records, mut timestamp) = (0, 0);
    let mut covered = 4096;
    for (what, at, len) in rows().into_iter().filter(|(_, at, _)| *at >= 4096) {
        assert_eq!(at, covered, "the example leaves nothing out");
        covered += len;
        let lsn = (at - 4096) as u64;
        let bytes = &segment[at..at + len];
        match what.as_str() {
            "group header" => {
                assert_eq!(&bytes[..8], b"VGRP\0\0\0\0");
                let durable = if lsn == 0 { 0 } else { 40 + 40 + 48 };
                assert_eq!((u64_at(bytes, 8), u64_at(bytes, 16)), (lsn, durable));
                assert_eq!(u64_at(bytes, 24), chain);
                assert_eq!(u64_at(bytes, 32), checksum_seeded(salt, &bytes[..32]));
            }
            "record header" => {
                timestamp += 1;
                let payload: &[u8] = [&b"blue"[..], b"red, 16 bytes...", b""][records];
                records += 1;
                assert_eq!(u32_at(bytes, 0), payload.len() as u32);
                assert_eq!(&bytes[4..8], [1, 0, 0, 0]);
                assert_eq!(
                    (u64_at(bytes, 8), u64_at(bytes, 16)),
                    (timestamp, checksum(payload))
                );
                assert_eq!(&segment[at + 32..at + 32 + payload.len()], payload);
                chain = checksum_seeded(chain ^ lsn, &bytes[..24]);
                assert_eq!(u64_at(bytes, 24), chain);
            }
            "padding" => assert!(bytes.iter().all(|byte| *byte == 0)),
            _ => assert!(what.starts_with("payload"), "{what}"),
        }
    }
    assert_eq!((records, covered), (3, 4096 + 2 * 4096));
    let tail = read(&disk, "wal-tail");
    assert_eq!(tail.len(), 4 << 20);
    assert_eq!(tail[..8192], segment[4096..4096 + 8192]);
}

#[test]
fn the_specification_names_every_constant() {
    let constants = [
        ("segment header", vellum_wal::SEGMENT_HEADER_BYTES),
        ("segment header, used", vellum_wal::SEGMENT_HEADER_USED),
        ("group header", vellum_wal::GROUP_HEADER_BYTES),
        ("record header", vellum_wal::RECORD_HEADER_BYTES),
        ("large reference", vellum_wal::LARGE_REF_BYTES),
    ];
    for (name, bytes) in constants {
        let row = format!("| {name} | {bytes} |");
        assert!(SPECIFICATION.contains(&row), "{row}");
    }
}
