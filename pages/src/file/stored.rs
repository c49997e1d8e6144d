//! A page as it stands in the file: sealed, checked, compressed, expanded. Plain functions.
//!
//! 1. The checksum is XXH3-64 of all bytes of the place after the first eight, so padding counts.
//! 2. A page whose place has as many steps as its size stands there as it is. In fewer steps it is
//!    compressed: bytes 8–39 of the header as they were, then
//!
//!    | bytes | compressed |
//!    |---|---|
//!    | 40–43 | length of the block |
//!    | 44–63 | zero |
//!    | 64– | LZ4 block of the page's bytes from 40 on |
//!    | | zeroes to the end of the place |
//!
//!    so the kind's own bytes are inside the block, and what tells one page from another is not.
//! 3. A page is compressed only where that saves a step: data that do not compress are never longer
//!    than they were.

use vellum_base::{Corruption, checksum};

use super::FILE_NAME;
use crate::page::{HEADER, OWN, PageHeader, STEP};
use crate::{PageRef, PageSize};

/// The compressed form of a page, as long as the place that it needs; `None` where no step would be
/// saved. Given to a place of fewer steps than the page's size, it is what is to be written there.
#[must_use]
pub fn compress(image: &[u8]) -> Option<Vec<u8>> {
    let size = *PageSize::ALL
        .iter()
        .find(|size| size.bytes() == image.len())?;
    if size.steps() == 1 {
        return None;
    }
    let body = image.get(OWN..)?;
    let most = lz4_flex::block::get_maximum_output_size(body.len());
    let mut out = vec![0; HEADER + most];
    let len = lz4_flex::block::compress_into(body, out.get_mut(HEADER..)?).ok()?;
    let stored = (HEADER + len).next_multiple_of(STEP);
    if stored >= image.len() {
        return None;
    }
    out[8..OWN].copy_from_slice(&image[8..OWN]);
    out[OWN..OWN + 4].copy_from_slice(&u32::try_from(len).ok()?.to_le_bytes());
    out.resize(stored, 0);
    Some(out)
}

/// The page of a stored form that was [`check`]ed.
pub(super) fn expand(stored: &[u8], into: &mut [u8]) -> Result<(), Wrong> {
    let len = stored.get(OWN..OWN + 4).and_then(|len| len.try_into().ok());
    let len = len.map_or(0, u32::from_le_bytes) as usize;
    let block = stored.get(HEADER..).and_then(|rest| rest.get(..len));
    let block = block.ok_or(Wrong::Block)?;
    let wanted = into.len() - OWN;
    match lz4_flex::block::decompress_into(block, &mut into[OWN..]) {
        Ok(len) if len == wanted => {}
        _ => return Err(Wrong::Block),
    }
    into[..8].fill(0);
    into[8..OWN].copy_from_slice(&stored[8..OWN]);
    Ok(())
}

/// Fills in what writing fills in.
pub(super) fn seal(page: &mut [u8], at: PageRef, salt: u64) {
    page[8..16].copy_from_slice(&at.bits().to_le_bytes());
    page[24..32].copy_from_slice(&salt.to_le_bytes());
    debug_assert!(PageHeader::read(page).is_some());
    let sum = checksum(&page[8..]);
    page[..8].copy_from_slice(&sum.to_le_bytes());
}

/// Why bytes are not the page that was asked for.
#[derive(Debug)]
pub(super) enum Wrong {
    /// The place cannot hold a page of that size.
    Place,
    /// The file ends.
    Short,
    /// The checksum, and what the header claims.
    Checksum(Option<PageHeader>),
    /// Sound bytes that are no page of this format.
    NoPage,
    /// Another page.
    Another(PageHeader),
    /// A page of another database.
    Foreign(PageHeader),
    /// Sound bytes that are no compressed page.
    Block,
}

/// Whether `bytes`, of which `read` were read, are the page at `at` of size `size`.
pub(super) fn check(
    bytes: &[u8],
    read: usize,
    (at, size, salt): (PageRef, PageSize, u64),
) -> Result<(), Wrong> {
    let said = bytes.first_chunk().map(|sum| u64::from_le_bytes(*sum));
    let header = PageHeader::read(bytes);
    if read < bytes.len() {
        return Err(Wrong::Short);
    }
    if said != bytes.get(8..).map(checksum) {
        return Err(Wrong::Checksum(header));
    }
    let header = header.ok_or(Wrong::NoPage)?;
    if header.salt != salt {
        return Err(Wrong::Foreign(header));
    }
    if header.at != at || header.size != size {
        return Err(Wrong::Another(header));
    }
    Ok(())
}

impl Wrong {
    /// The report: what was found, and what is lost.
    pub(super) fn report(&self, at: PageRef, size: PageSize) -> Corruption {
        let (found, header) = match self {
            Self::Place => ("a place too long for its page".to_owned(), None),
            Self::Short => ("the file ends within the page".to_owned(), None),
            Self::Checksum(header) => ("the checksum does not fit".to_owned(), header.as_ref()),
            Self::NoPage => ("sound bytes that are no page".to_owned(), None),
            Self::Another(other) => {
                let (at, bytes) = (other.at, other.size.bytes());
                (format!("a page of {bytes} bytes for {at}"), Some(other))
            }
            Self::Foreign(other) => ("a page of another database".to_owned(), Some(other)),
            Self::Block => ("a compressed page that does not expand".to_owned(), None),
        };
        let lost = match header {
            Some(PageHeader {
                kind, tree, epoch, ..
            }) => format!(
                "by its header, if that can be believed, a page of kind {kind:?} of tree {}, made by epoch {}",
                tree.0, epoch.0
            ),
            None => "what it held and what it belonged to cannot be told".to_owned(),
        };
        let bytes = size.bytes();
        let what = format!("{found}; a page of {bytes} bytes is lost: {lost}");
        Corruption::new(FILE_NAME, at.offset(), what)
    }
}
