//! The owner's bytes that a checkpoint carries: a chain of pages of kind `Meta`. Plain functions.
//!
//! | bytes | page |
//! |---|---|
//! | 0–39 | the header of every page; tree 0 |
//! | 40–47 | place of the next page; 0 in the last |
//! | 48–51 | how many of the owner's bytes it holds |
//! | 52–55 | its number in the chain, from 0 |
//! | 56–63 | zero |
//! | 64– | the owner's bytes, then zeroes |
//!
//! 1. All pages but the last are of 64 KiB and full; none is compressed.
//! 2. What is read ends when the superblock's length is reached, and is never more; each page must be
//!    of the superblock's epoch and have its number.

use vellum_base::Corruption;

use crate::file::{FILE_NAME, PageFile};
use crate::page::{HEADER, OWN, PageHeader};
use crate::superblock::Superblock;
use crate::{Epoch, PageError, PageKind, PageRef, PageSize, TreeId};

/// The owner's bytes in a page of the largest size.
const FULL: usize = (64 << 10) - HEADER;

fn size_for(bytes: usize) -> PageSize {
    let sizes = PageSize::ALL.into_iter();
    let mut enough = sizes.filter(|size| size.bytes() >= HEADER + bytes);
    enough.next().unwrap_or(PageSize::K64)
}

/// Steps of each page for so many bytes.
pub(super) fn steps(bytes: usize) -> Vec<u8> {
    let mut steps = vec![PageSize::K64.steps(); bytes / FULL];
    if !bytes.is_multiple_of(FULL) {
        steps.push(size_for(bytes % FULL).steps());
    }
    steps
}

/// The pages for `bytes` at `places`, as many as [`steps`] says.
pub(super) fn pages<'a>(
    bytes: &'a [u8],
    places: &'a [PageRef],
    epoch: Epoch,
) -> impl Iterator<Item = (PageRef, Vec<u8>)> + 'a {
    let chunks = bytes.chunks(FULL).zip(places);
    chunks.enumerate().map(move |(number, (chunk, at))| {
        let mut page = vec![0; at.stored_bytes()];
        let header = PageHeader {
            at: *at,
            epoch,
            salt: 0,
            kind: PageKind::Meta,
            size: size_for(chunk.len()),
            tree: TreeId(0),
        };
        header.write(&mut page);
        let next = places.get(number + 1).map_or(0, |next| next.bits());
        page[OWN..48].copy_from_slice(&next.to_le_bytes());
        page[48..52].copy_from_slice(&(chunk.len() as u32).to_le_bytes());
        page[52..56].copy_from_slice(&(number as u32).to_le_bytes());
        page[HEADER..HEADER + chunk.len()].copy_from_slice(chunk);
        (*at, page)
    })
}

/// The owner's bytes that a superblock names, and their places.
pub(super) fn read(
    file: &PageFile,
    superblock: &Superblock,
) -> Result<(Vec<u8>, Vec<PageRef>), PageError> {
    let (mut bytes, mut places) = (Vec::new(), Vec::new());
    let mut next = superblock.meta;
    let mut page = vec![0; PageSize::K64.bytes()];
    while (bytes.len() as u64) < superblock.meta_bytes {
        let at = next.ok_or_else(|| damage(superblock.offset(), "the chain ends too early"))?;
        let size = PageSize::ALL
            .into_iter()
            .find(|size| size.steps() == at.steps());
        let size = size.ok_or_else(|| damage(at.offset(), "a place that cannot be"))?;
        file.read(at, size, &mut page)?;
        let part = part(&page[..size.bytes()], superblock, places.len());
        let (part, following) = part.ok_or_else(|| damage(at.offset(), "another page"))?;
        bytes.extend_from_slice(part);
        places.push(at);
        next = following;
    }
    if bytes.len() as u64 != superblock.meta_bytes || next.is_some() {
        return Err(damage(superblock.offset(), "the chain ends too late"));
    }
    Ok((bytes, places))
}

/// The owner's bytes in a page, and the next one's place.
fn part<'a>(
    page: &'a [u8],
    superblock: &Superblock,
    number: usize,
) -> Option<(&'a [u8], Option<PageRef>)> {
    let header = PageHeader::read(page)?;
    let word = |at: usize| {
        page.get(at..at + 4)?
            .try_into()
            .ok()
            .map(u32::from_le_bytes)
    };
    let next = u64::from_le_bytes(*page.get(OWN..)?.first_chunk()?);
    let following = PageRef::from_bits(next);
    let sound = header.kind == PageKind::Meta
        && header.epoch == superblock.epoch
        && word(52)? as usize == number
        && word(48)? > 0
        && (following.is_some() || next == 0);
    let part = page.get(HEADER..)?.get(..word(48)? as usize)?;
    sound.then_some((part, following))
}

fn damage(offset: u64, what: &str) -> PageError {
    let what = format!("the checkpoint's list of roots: {what}; all that is in pages is lost");
    Corruption::new(FILE_NAME, offset, what).into()
}
