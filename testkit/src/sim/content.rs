//! A file's bytes, shared between the states that hold them unchanged. Plain data.
//!
//! 1. Blocks are immutable once shared: a write copies the block it changes, so that a state costs
//!    what differs in it.
//! 2. Bytes beyond the length are zero, except while a state is being put together
//!    ([`Content::set_sector`]), which ends with [`Content::set_len`].
//! 3. A block of zeroes holds no memory; it counts as used space once it was written or reserved.

use std::sync::Arc;

use vellum_base::checksum_seeded;

/// The unit in which a disk keeps or loses what was written.
pub(crate) const SECTOR_BYTES: usize = 512;

/// The unit of sharing and of space.
pub(crate) const BLOCK_BYTES: usize = vellum_disk::BLOCK_BYTES;

/// A sector's bytes; `None` is zeroes.
pub(crate) type Sector = Option<Arc<[u8; SECTOR_BYTES]>>;

#[derive(Clone, Debug)]
enum Block {
    Hole,
    Zero,
    Data(Arc<[u8; BLOCK_BYTES]>),
}

/// A sparse, shared array of bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    blocks: Vec<Block>,
    len: u64,
}

/// The parts of `len` bytes at `offset` by units of `unit`: the unit, the place in it, the bytes.
pub(crate) fn parts(
    offset: u64,
    len: usize,
    unit: usize,
) -> impl Iterator<Item = (u64, usize, usize)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let place = (at % unit as u64) as usize;
        let part = (len - done).min(unit - place);
        done += part;
        (part > 0).then_some((at / unit as u64, place, part))
    })
}

impl Content {
    /// The length.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Blocks that were written or reserved.
    pub(crate) fn blocks_used(&self) -> u64 {
        self.blocks
            .iter()
            .filter(|block| !matches!(block, Block::Hole))
            .count() as u64
    }

    /// Blocks that `write` of `len` bytes at `offset` would use anew.
    pub(crate) fn blocks_needed(&self, offset: u64, len: usize) -> u64 {
        let is_hole = |at: u64| matches!(self.blocks.get(at as usize), None | Some(Block::Hole));
        parts(offset, len, BLOCK_BYTES)
            .filter(|(at, ..)| is_hole(*at))
            .count() as u64
    }

    /// Reads what there is at `offset`; returns how many bytes.
    pub(crate) fn read(&self, buf: &mut [u8], offset: u64) -> usize {
        let left = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let len = left.min(buf.len());
        self.copy_out(&mut buf[..len], offset);
        len
    }

    fn copy_out(&self, buf: &mut [u8], offset: u64) {
        let mut rest = buf;
        for (block, place, part) in parts(offset, rest.len(), BLOCK_BYTES) {
            let (head, tail) = rest.split_at_mut(part);
            match self.blocks.get(block as usize) {
                Some(Block::Data(bytes)) => head.copy_from_slice(&bytes[place..place + part]),
                _ => head.fill(0),
            }
            rest = tail;
        }
    }

    /// Writes `bytes` at `offset`, growing as needed.
    pub(crate) fn write(&mut self, bytes: &[u8], offset: u64) {
        self.copy_in(bytes, offset);
        if !bytes.is_empty() {
            self.len = self.len.max(offset + bytes.len() as u64);
        }
    }

    fn copy_in(&mut self, bytes: &[u8], offset: u64) {
        let mut rest = bytes;
        for (block, place, part) in parts(offset, bytes.len(), BLOCK_BYTES) {
            let (head, tail) = rest.split_at(part);
            self.change_block(block as usize, place, head);
            rest = tail;
        }
    }

    fn change_block(&mut self, block: usize, place: usize, bytes: &[u8]) {
        if self.blocks.len() <= block {
            self.blocks.resize(block + 1, Block::Hole);
        }
        let slot = &mut self.blocks[block];
        let zeroes = bytes.iter().all(|byte| *byte == 0);
        match slot {
            Block::Data(_) if zeroes && bytes.len() == BLOCK_BYTES => *slot = Block::Zero,
            Block::Data(data) => {
                Arc::make_mut(data)[place..place + bytes.len()].copy_from_slice(bytes);
            }
            Block::Hole | Block::Zero if zeroes => *slot = Block::Zero,
            Block::Hole | Block::Zero => {
                let mut data = [0; BLOCK_BYTES];
                data[place..place + bytes.len()].copy_from_slice(bytes);
                *slot = Block::Data(Arc::new(data));
            }
        }
    }

    /// Cuts or grows.
    pub(crate) fn set_len(&mut self, len: u64) {
        self.blocks
            .truncate(usize::try_from(len.div_ceil(BLOCK_BYTES as u64)).unwrap_or(usize::MAX));
        let place = (len % BLOCK_BYTES as u64) as usize;
        let last = (len / BLOCK_BYTES as u64) as usize;
        if let Some(Block::Data(data)) = self.blocks.get_mut(last)
            && data[place..].iter().any(|byte| *byte != 0)
        {
            Arc::make_mut(data)[place..].fill(0);
        }
        self.len = len;
    }

    /// Reserves the blocks of the first `len` bytes, and grows to that.
    pub(crate) fn reserve(&mut self, len: u64) {
        let count = usize::try_from(len.div_ceil(BLOCK_BYTES as u64)).unwrap_or(0);
        if self.blocks.len() < count {
            self.blocks.resize(count, Block::Hole);
        }
        for block in &mut self.blocks[..count] {
            if matches!(block, Block::Hole) {
                *block = Block::Zero;
            }
        }
        self.len = self.len.max(len);
    }

    /// A sector's bytes.
    pub(crate) fn sector(&self, at: u64) -> Sector {
        let place = at * SECTOR_BYTES as u64;
        match self.blocks.get((place / BLOCK_BYTES as u64) as usize) {
            Some(Block::Data(_)) => {}
            _ => return None,
        }
        let mut bytes = [0; SECTOR_BYTES];
        self.copy_out(&mut bytes, place);
        bytes.iter().any(|byte| *byte != 0).then(|| Arc::new(bytes))
    }

    /// Replaces a sector's bytes, whatever the length is (rule 2).
    pub(crate) fn set_sector(&mut self, at: u64, sector: &Sector) {
        let zeroes = [0; SECTOR_BYTES];
        let bytes = sector.as_deref().unwrap_or(&zeroes);
        self.copy_in(bytes, at * SECTOR_BYTES as u64);
    }

    /// The sectors at or beyond `len` that hold anything but zeroes.
    pub(crate) fn sectors_beyond(&self, len: u64) -> Vec<u64> {
        let per_block = (BLOCK_BYTES / SECTOR_BYTES) as u64;
        let first = len / SECTOR_BYTES as u64;
        let blocks = self
            .blocks
            .iter()
            .enumerate()
            .skip((first / per_block) as usize);
        blocks
            .filter(|(_, block)| matches!(block, Block::Data(_)))
            .flat_map(|(at, _)| at as u64 * per_block..(at as u64 + 1) * per_block)
            .filter(|sector| *sector >= first && self.sector(*sector).is_some())
            .collect()
    }

    /// A hash of length and bytes.
    pub(crate) fn hash(&self) -> u64 {
        let mut hash = self.len;
        for (at, block) in self.blocks.iter().enumerate() {
            if let Block::Data(data) = block
                && data.iter().any(|byte| *byte != 0)
            {
                hash = checksum_seeded(hash ^ crate::random::mix(at as u64 + 1), &data[..]);
            }
        }
        hash
    }
}
