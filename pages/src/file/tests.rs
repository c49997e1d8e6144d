//! Tests of reading, writing and compressing, and of what damage is reported as.

use std::sync::Arc;

use vellum_disk::{Disk, File, MemoryDisk, OpenMode};
use vellum_testkit::{CallKind, Fault, Lasting, SimDisk, Trouble};

use super::*;
use crate::page::{OWN, PageHeader};
use crate::{Epoch, PageKind, TreeId};

const SALT: u64 = 0x5A17;

fn file_of(disk: &dyn Disk) -> (PageFile, Arc<dyn File>) {
    let file = disk.open(FILE_NAME, OpenMode::CreateNew).unwrap();
    (PageFile::new(Arc::clone(&file), SALT), file)
}

fn at(step: u64, steps: u8) -> PageRef {
    PageRef::new(step, steps).unwrap()
}

/// A page of `size` whose own bytes and body are `byte`s, or noise.
fn image(size: PageSize, byte: Option<u8>) -> Vec<u8> {
    let mut image = vec![0; size.bytes()];
    let header = PageHeader {
        at: at(2, 1),
        epoch: Epoch(12),
        salt: 0,
        kind: PageKind::Inner,
        size,
        tree: TreeId(7),
    };
    header.write(&mut image);
    let mut noise = 1u64;
    for out in &mut image[OWN..] {
        noise = noise
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        *out = byte.unwrap_or((noise >> 56) as u8);
    }
    image
}

fn assert_same(file: &PageFile, place: PageRef, size: PageSize, image: &[u8]) {
    let mut read = vec![0xEE; size.bytes()];
    file.read(place, size, &mut read).unwrap();
    let header = PageHeader::read(&read).unwrap();
    assert_eq!((header.at, header.salt), (place, SALT));
    assert_eq!(read[16..24], image[16..24]);
    assert_eq!(read[32..], image[32..]);
}

#[test]
fn pages_come_back_plain_and_compressed_and_neighbours_are_written_together() {
    let sim = SimDisk::new(1);
    let (file, _) = file_of(&sim);
    let mut pages = Vec::new();
    let mut step = 2;
    for size in PageSize::ALL {
        for byte in [Some(3), None] {
            let image = image(size, byte);
            let stored = compress(&image).unwrap_or(image.clone());
            let compresses = byte.is_some() && size != PageSize::K4;
            assert_eq!(stored.len() == 4096, compresses || size == PageSize::K4);
            assert!(stored.len() <= image.len());
            let place = at(step, (stored.len() / STEP) as u8);
            step += u64::from(place.steps());
            pages.push((place, size, image, stored));
        }
    }
    let before = sim.call_count();
    file.write(
        pages
            .iter()
            .rev()
            .map(|(place, _, _, stored)| (*place, stored)),
    )
    .unwrap();
    assert_eq!(sim.call_count() - before, 1);
    for (place, size, image, _) in &pages {
        assert_same(&file, *place, *size, image);
    }
}

#[test]
fn batches_are_bounded_and_may_have_gaps() {
    let disk = MemoryDisk::new();
    let (file, _) = file_of(&disk);
    let image = image(PageSize::K64, None);
    let places: Vec<PageRef> = (0..40)
        .map(|page| at(2 + page * 16 + page / 7, 16))
        .collect();
    file.write(places.iter().map(|place| (*place, &image)))
        .unwrap();
    for place in places {
        assert_same(&file, place, PageSize::K64, &image);
    }
}

#[test]
fn what_does_not_fit_its_place_is_not_written() {
    let disk = MemoryDisk::new();
    let (file, raw) = file_of(&disk);
    for place in [at(2, 1), at(2, 4), at(1, 2)] {
        let wrong = file.write([(place, image(PageSize::K8, None))]);
        assert!(matches!(wrong, Err(PageError::Write { .. })), "{place:?}");
    }
    assert_eq!(raw.len().unwrap(), 0);
    let short = file.read(at(2, 2), PageSize::K8, &mut [0; 4096]);
    assert!(matches!(short, Err(PageError::Corrupt(_))));
}

fn damage(file: &PageFile, place: PageRef, size: PageSize) -> String {
    match file.read(place, size, &mut vec![0; size.bytes()]) {
        Err(PageError::Corrupt(corruption)) => {
            assert_eq!(
                (corruption.file.as_str(), corruption.offset),
                (FILE_NAME, place.offset())
            );
            corruption.what
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_bit_that_flips_is_reported_with_what_is_lost() {
    let disk = MemoryDisk::new();
    let (file, raw) = file_of(&disk);
    let plain = image(PageSize::K8, None);
    let packed = compress(&image(PageSize::K16, Some(9))).unwrap();
    let (plain_at, packed_at) = (at(2, 2), at(4, 1));
    file.write([(plain_at, &plain), (packed_at, &packed)])
        .unwrap();
    for (place, size) in [(plain_at, PageSize::K8), (packed_at, PageSize::K16)] {
        for byte in (0..place.stored_bytes() as u64).step_by(13) {
            let mut one = [0];
            raw.read_at(&mut one, place.offset() + byte).unwrap();
            raw.write_at(&[one[0] ^ 1 << (byte % 8)], place.offset() + byte)
                .unwrap();
            let what = damage(&file, place, size);
            assert!(what.contains("checksum"), "{what}");
            let told = what.contains("kind Inner of tree 7, made by epoch 12");
            assert!(told || (8..OWN as u64).contains(&byte), "{byte}: {what}");
            raw.write_at(&one, place.offset() + byte).unwrap();
        }
        file.read(place, size, &mut vec![0; size.bytes()]).unwrap();
    }
}

#[test]
fn sound_pages_of_other_places_sizes_and_databases_are_refused() {
    let disk = MemoryDisk::new();
    let (file, raw) = file_of(&disk);
    file.write([(at(2, 2), image(PageSize::K8, None))]).unwrap();
    let mut page = vec![0; 8192];
    raw.read_at(&mut page, 2 * 4096).unwrap();
    // Misdirected.
    raw.write_at(&page, 8 * 4096).unwrap();
    assert!(damage(&file, at(8, 2), PageSize::K8).contains("for offset 8192"));
    // Asked for as something else.
    assert!(damage(&file, at(2, 2), PageSize::K16).contains("a page of 8192 bytes"));
    assert!(damage(&file, at(2, 2), PageSize::K4).contains("too long"));
    // Of another database, at the same place.
    let other = PageFile::new(Arc::clone(&raw), SALT + 1);
    assert!(damage(&other, at(2, 2), PageSize::K8).contains("another database"));
    // Behind the end, and across it.
    assert!(damage(&file, at(99, 2), PageSize::K8).contains("ends"));
    raw.set_len(9 * 4096).unwrap();
    assert!(damage(&file, at(8, 2), PageSize::K8).contains("ends"));
    // Sound bytes that are no page.
    let sum = vellum_base::checksum(&[0xFF; 4088]);
    let mut page = vec![0xFF; 4096];
    page[..8].copy_from_slice(&sum.to_le_bytes());
    raw.write_at(&page, 2 * 4096).unwrap();
    assert!(damage(&file, at(2, 1), PageSize::K4).contains("no page"));
}

#[test]
fn blocks_of_nonsense_with_a_right_checksum_are_refused() {
    let disk = MemoryDisk::new();
    let (file, raw) = file_of(&disk);
    let packed = compress(&image(PageSize::K32, Some(1))).unwrap();
    for round in 0..500u64 {
        let mut wrong = packed.clone();
        let which = (round * 7919) as usize % 200;
        wrong[OWN + which] ^= (round % 255 + 1) as u8;
        file.write([(at(2, 1), &wrong)]).unwrap();
        // The bytes around the block mean nothing; anything else must not expand to another length.
        let mut read = vec![0; 32 << 10];
        if let Err(error) = file.read(at(2, 1), PageSize::K32, &mut read) {
            assert!(matches!(error, PageError::Corrupt(_)), "{error}");
        }
    }
    for len in [0, 1, 4033, u32::MAX] {
        let mut wrong = packed.clone();
        wrong[OWN..OWN + 4].copy_from_slice(&len.to_le_bytes());
        file.write([(at(2, 1), &wrong)]).unwrap();
        assert!(damage(&file, at(2, 1), PageSize::K32).contains("expand"));
    }
    assert!(raw.len().unwrap() == 3 * 4096);
}

/// Shows other bytes at the first read of a place.
struct Flaky {
    inner: Arc<dyn File>,
    reads: vellum_sync::atomic::AtomicUsize,
}

impl File for Flaky {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = self.inner.read_at(buf, offset)?;
        if self
            .reads
            .fetch_add(1, vellum_sync::atomic::Ordering::Relaxed)
            == 0
        {
            buf[100] ^= 1;
        }
        Ok(read)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.inner.write_at(bytes, offset)
    }
    fn write_durable(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.inner.write_durable(bytes, offset)
    }
    fn sync(&self) -> io::Result<()> {
        self.inner.sync()
    }
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }
    fn allocate(&self, len: u64) -> io::Result<()> {
        self.inner.allocate(len)
    }
}

#[test]
fn a_mismatch_is_read_again_before_it_is_reported() {
    let disk = MemoryDisk::new();
    let (file, raw) = file_of(&disk);
    let page = image(PageSize::K8, None);
    file.write([(at(2, 2), &page)]).unwrap();
    let flaky = Flaky {
        inner: raw,
        reads: vellum_sync::atomic::AtomicUsize::new(0),
    };
    let file = PageFile::new(Arc::new(flaky), SALT);
    assert_same(&file, at(2, 2), PageSize::K8, &page);
}

#[test]
fn failed_calls_are_named_and_nothing_is_damage() {
    let sim = SimDisk::new(3);
    let (file, _) = file_of(&sim);
    let page = image(PageSize::K8, None);
    let fail = |trouble, only| {
        sim.fail(Fault {
            at: 0,
            trouble,
            lasting: Lasting::Once,
            only: Some(only),
        });
    };
    fail(Trouble::Full, CallKind::Write);
    assert!(matches!(
        file.write([(at(2, 2), &page)]),
        Err(PageError::DiskFull { .. })
    ));
    fail(Trouble::Io, CallKind::Write);
    assert!(matches!(
        file.write([(at(2, 2), &page)]),
        Err(PageError::Write { .. })
    ));
    file.write([(at(2, 2), &page)]).unwrap();
    fail(Trouble::Io, CallKind::Read);
    let read = file.read(at(2, 2), PageSize::K8, &mut [0; 8192]);
    assert!(matches!(read, Err(PageError::Read { .. })));
    assert_same(&file, at(2, 2), PageSize::K8, &page);
}

/// Pages of 16 KiB, plain and compressed in turn, at every third place.
fn several(file: &PageFile) -> Vec<(PageRef, Vec<u8>)> {
    let mut pages = Vec::new();
    for number in 0..10 {
        let image = image(PageSize::K16, (number % 2 == 0).then_some(number as u8));
        let stored = compress(&image).unwrap_or(image.clone());
        let place = at(2 + number * 12, (stored.len() / STEP) as u8);
        file.write([(place, stored)]).unwrap();
        pages.push((place, image));
    }
    pages
}

#[test]
fn many_are_read_together_and_each_is_checked() {
    let disk = MemoryDisk::new();
    let (file, raw) = file_of(&disk);
    let pages = several(&file);
    // One of each form is damaged, one is asked for where another is, one is behind the end.
    raw.write_at(&[9], pages[4].0.offset() + 100).unwrap();
    raw.write_at(&[9], pages[5].0.offset() + 100).unwrap();
    let mut places: Vec<_> = pages.iter().map(|(place, _)| *place).collect();
    places[6] = at(pages[6].0.step() + 1, 4);
    places[7] = at(9999, 4);
    places[8] = at(pages[8].0.step(), 5);
    let mut frames = vec![vec![0xEE; 16 << 10]; places.len()];
    frames[9].truncate(8192);
    let mut reads: Vec<_> = places
        .iter()
        .zip(&mut frames)
        .map(|(place, frame)| PageRead::new(*place, frame))
        .collect();
    file.read_many(PageSize::K16, &mut reads);
    let outcomes: Vec<_> = reads.into_iter().map(|read| read.outcome).collect();
    for (number, outcome) in outcomes.iter().enumerate() {
        if number >= 4 {
            let Err(PageError::Corrupt(corruption)) = outcome else {
                panic!("{number}: {outcome:?}");
            };
            assert_eq!(corruption.offset, places[number].offset());
        } else {
            assert!(outcome.is_ok(), "{number}: {outcome:?}");
            assert_eq!(frames[number][32..], pages[number].1[32..]);
        }
    }
}

#[test]
fn a_failed_read_among_many_is_its_own() {
    let sim = SimDisk::new(3);
    let (file, _) = file_of(&sim);
    let pages = several(&file);
    for fails in 0..10 {
        sim.fail(Fault {
            at: sim.call_count() + fails,
            trouble: Trouble::Io,
            lasting: Lasting::Once,
            only: Some(CallKind::Read),
        });
        let mut frames = vec![vec![0xEE; 16 << 10]; pages.len()];
        let reads = pages.iter().zip(&mut frames);
        let mut reads: Vec<_> = reads
            .map(|((place, _), frame)| PageRead::new(*place, frame))
            .collect();
        file.read_many(PageSize::K16, &mut reads);
        for (number, read) in reads.iter().enumerate() {
            let failed = matches!(read.outcome, Err(PageError::Read { .. }));
            assert_eq!(failed, number as u64 == fails);
            assert!(failed || read.into[32..] == pages[number].1[32..]);
        }
    }
}

#[test]
fn a_mismatch_among_many_is_read_again() {
    let disk = MemoryDisk::new();
    let (file, raw) = file_of(&disk);
    let pages = several(&file);
    let flaky = Flaky {
        inner: raw,
        reads: vellum_sync::atomic::AtomicUsize::new(0),
    };
    let file = PageFile::new(Arc::new(flaky), SALT);
    let mut frames = vec![vec![0xEE; 16 << 10]; pages.len()];
    let reads = pages.iter().zip(&mut frames);
    let mut reads: Vec<_> = reads
        .map(|((place, _), frame)| PageRead::new(*place, frame))
        .collect();
    file.read_many(PageSize::K16, &mut reads);
    assert!(reads.iter().all(|read| read.outcome.is_ok()));
}

#[test]
fn runs_apart_are_written_at_their_places() {
    let sim = SimDisk::new(1);
    let (file, _) = file_of(&sim);
    let steps = [2, 4, 9, 11, 13, 40, 16];
    let images = steps.map(|step| image(PageSize::K8, Some(step as u8)));
    let before = sim.call_count();
    let pages = steps.iter().zip(&images);
    file.write(pages.map(|(step, image)| (at(*step, 2), image)))
        .unwrap();
    assert_eq!(sim.call_count() - before, 4, "2 to 5, 9 to 14, 16, 40");
    for (step, image) in steps.iter().zip(&images) {
        assert_same(&file, at(*step, 2), PageSize::K8, image);
    }
}
