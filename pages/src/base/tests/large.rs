//! Large values: of every length about the bounds, damaged, in a small pool.

use vellum_disk::{Disk, OpenMode};
use vellum_testkit::{Random, SimOptions};

use super::*;
use crate::base::lists::{FAN, PIECE, Part, Shape};
use crate::file::FILE_NAME;
use crate::tree::node::Large;

const ID: TreeId = TreeId(5);

fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut bytes = vec![0; len];
    for chunk in bytes.chunks_mut(8) {
        let word = random.next_u64().to_le_bytes();
        chunk.copy_from_slice(&word[..chunk.len()]);
    }
    bytes
}

#[test]
fn values_of_all_lengths_come_back() {
    let sim = SimDisk::new(1);
    let (base, _found) = open(&sim, SMALL);
    let work = base.work();
    let mut made = Vec::new();
    let lengths = [
        (0, 0),
        (1, 0),
        (0, 1),
        (4032, 0),
        (4032, 1),
        (8128, 0),
        (40_000, 25_472),
        (PIECE, 0),
        (PIECE, 1),
        (0, PIECE + 1),
        (PIECE - 1, 3),
        (3 * PIECE, 0),
        (3 * PIECE - 7, 8),
        (1_000_000, 100_000),
    ];
    for (seed, (value, vectors)) in (0..).zip(lengths) {
        let (value, vectors) = (bytes(value, seed), bytes(vectors, seed + 99));
        let large = work.write_large(ID, &value, &vectors).unwrap();
        made.push((large, value, vectors));
    }
    let alive = work.publish().unwrap();
    let all = |base: &Base| {
        for (large, value, vectors) in &made {
            let read = base.read_large(large).unwrap();
            assert_eq!((read.value(), read.vectors()), (&value[..], &vectors[..]));
        }
    };
    all(&base);
    base.write_out(0).unwrap();
    all(&base);
    checkpoint(&base, &alive, b"").unwrap();
    drop((base, alive));
    let (base, _found) = open(&sim, SMALL);
    all(&base);
    let before = used(&base);
    let work = base.work();
    for (large, ..) in &made {
        work.drop_large(ID, large).unwrap();
        assert!(work.drop_large(TreeId(6), large).is_err());
    }
    let alive = work.publish().unwrap();
    assert_eq!(used(&base), before, "the checkpoint names them");
    checkpoint(&base, &alive, b"").unwrap();
    drop((alive, _found));
    // The map's root, its group and region, and nothing else.
    assert!(used(&base) < 10, "{}", used(&base));
}

#[test]
fn a_value_of_two_levels_of_lists_needs_no_room_in_the_pool() {
    let quiet = SimOptions {
        record: false,
        ..SimOptions::default()
    };
    let sim = SimDisk::with_options(2, quiet);
    let (base, _found) = open(&sim, SMALL);
    let value = bytes(FAN * PIECE + 12_345, 7);
    let work = base.work();
    let large = work.write_large(ID, &value, b"the vectors").unwrap();
    assert_eq!(base.pool().stats().resident_bytes, 0);
    let pages = base.large_pages(&large).unwrap();
    assert_eq!((pages.lists.len(), pages.pieces.len()), (3, FAN + 1));
    let read = base.read_large(&large).unwrap();
    assert!(read.value() == value && read.vectors() == b"the vectors");
    let before = used(&base);
    work.drop_large(ID, &large).unwrap();
    assert_eq!(before - used(&base), 16 * FAN as u64 + 4 + 3);
}

#[test]
fn shapes_hold_together() {
    let full = (FAN * FAN) as u64;
    for pieces in [1, 2, 671, 672, 673, 1344, 1345, full - 1, full, full + 1] {
        let shape = Shape {
            bytes: pieces * PIECE as u64,
            pieces,
            levels: (0..)
                .find(|level| (FAN as u64).pow(*level) >= pieces)
                .unwrap() as u8,
        };
        let mut level = vec![shape.root()];
        while let Some(Part::List(..)) = level.first() {
            let below = level.iter().flat_map(|part| match *part {
                Part::List(first, height) => shape.below(first, height).collect::<Vec<_>>(),
                Part::Piece(_) => panic!("levels are mixed"),
            });
            level = below.collect();
        }
        assert!(level.into_iter().eq((0..pieces).map(Part::Piece)));
    }
    assert_eq!(Shape::new(u64::MAX, 2), None);
    assert_eq!(Shape::new(super::LARGE_BYTES_MAX, 1), None);
    assert_eq!(Shape::new(super::LARGE_BYTES_MAX, 0).unwrap().levels, 2);
}

#[test]
fn lengths_and_places_of_others_are_damage() {
    let (base, _found) = open(&SimDisk::new(3), SMALL);
    let work = base.work();
    let small = work.write_large(ID, &[1; 9000], &[]).unwrap();
    let wide = work.write_large(ID, &[2; 300_000], &[3; 50]).unwrap();
    let _alive = work.publish().unwrap();
    let wrong = [
        Large {
            value_len: u64::MAX,
            ..small
        },
        Large {
            value_len: 1 << 31,
            ..wide
        },
        Large {
            value_len: 1 << 40,
            ..wide
        },
        Large {
            value_len: 9001,
            ..small
        },
        Large {
            value_len: 300_001,
            ..wide
        },
        Large {
            vectors_len: 51,
            ..wide
        },
        Large {
            root: wide.root,
            ..small
        },
        Large {
            root: small.root,
            ..wide
        },
    ];
    for large in wrong {
        let error = base.read_large(&large).unwrap_err();
        assert!(matches!(error, PageError::Corrupt(_)), "{large:?}: {error}");
        let work = base.work();
        work.drop_large(ID, &large).unwrap_err();
    }
}

#[test]
fn every_damaged_page_is_found() {
    let sim = SimDisk::new(4);
    let (base, _found) = open(&sim, SMALL);
    let work = base.work();
    let large = work.write_large(ID, &bytes(200_000, 1), &[]).unwrap();
    let _alive = work.publish().unwrap();
    let file = sim.open(FILE_NAME, OpenMode::Write).unwrap();
    let pages: Vec<PageRef> = base.large_pages(&large).unwrap().all().collect();
    assert_eq!(pages.len(), 5);
    for at in pages {
        for place in [0, 33, 45, 59, 80, 4000] {
            let mut byte = [0];
            file.read_at(&mut byte, at.offset() + place).unwrap();
            file.write_at(&[byte[0] ^ 16], at.offset() + place).unwrap();
            let error = base.read_large(&large).unwrap_err();
            let named = error.to_string().contains(&at.offset().to_string());
            assert!(matches!(error, PageError::Corrupt(_)) && named, "{error}");
            file.write_at(&byte, at.offset() + place).unwrap();
        }
    }
    base.read_large(&large).unwrap();
}
