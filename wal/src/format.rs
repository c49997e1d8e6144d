//! The bytes of the log: segment header, group header, record header. `docs/format.md` has the
//! diagrams and a worked example, which `tests/format.rs` checks.
//!
//! Used by the writer, the walker and recovery; encodes and decodes, knows no files.
//!
//! 1. All integers are little-endian. The checksum everywhere is XXH3-64.
//! 2. A group header checks itself: its checksum is seeded by the incarnation's salt and covers its
//!    own LSN, so neither stale bytes nor bytes of another place pass for one [6].
//! 3. A record is checked by the chain: XXH3-64 over its header, seeded by the chain's value
//!    before it and its LSN. So a record is valid only behind exactly the records that were before
//!    it when it was written [8]. Its payload has a digest of its own, which the header holds.
//! 4. A group header repeats the chain's value. Bytes between a group's last record and the next
//!    group's header are padding only if that value agrees: nothing is skipped silently [6].
//! 5. What every version of the format keeps: magic, version and the place of the segment header's
//!    checksum. So a newer format is told from damage.

use std::mem::size_of;

use vellum_base::{Lsn, Timestamp, checksum, checksum_seeded};

/// The version that this crate writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 1;

/// A segment's file begins with a block for its header.
pub const SEGMENT_HEADER_BYTES: usize = 4096;

pub(crate) const SEGMENT_MAGIC: [u8; 8] = *b"VELLWAL\0";
pub(crate) const LARGE_MAGIC: [u8; 8] = *b"VELLBIG\0";

const MAGIC_AT: usize = 0;
const VERSION_AT: usize = MAGIC_AT + size_of::<[u8; 8]>();
const FLAGS_AT: usize = VERSION_AT + size_of::<u32>();
const UUID_AT: usize = FLAGS_AT + size_of::<u32>();
const SEQUENCE_AT: usize = UUID_AT + size_of::<u128>();
const INCARNATION_AT: usize = SEQUENCE_AT + size_of::<u64>();
const SALT_AT: usize = INCARNATION_AT + size_of::<u64>();
const TIMESTAMP_LIMIT_AT: usize = SALT_AT + size_of::<u64>();
const CHUNK_BYTES_AT: usize = TIMESTAMP_LIMIT_AT + size_of::<u64>();
const SEGMENT_BYTES_AT: usize = CHUNK_BYTES_AT + size_of::<u64>();
const BASE_LSN_AT: usize = SEGMENT_BYTES_AT + size_of::<u64>();
const BASE_CHAIN_AT: usize = BASE_LSN_AT + size_of::<u64>();
const DURABLE_AT: usize = BASE_CHAIN_AT + size_of::<u64>();
const CHECKSUM_AT: usize = DURABLE_AT + size_of::<u64>();
/// Bytes of a segment header that mean something; the rest of its block is zero.
pub const SEGMENT_HEADER_USED: usize = CHECKSUM_AT + size_of::<u64>();

const FLAG_BASE: u32 = 1;

const GROUP_MAGIC: u32 = u32::from_le_bytes(*b"VGRP");
const GROUP_MAGIC_AT: usize = 0;
const GROUP_ZERO_AT: usize = GROUP_MAGIC_AT + size_of::<u32>();
const GROUP_LSN_AT: usize = GROUP_ZERO_AT + size_of::<u32>();
const GROUP_DURABLE_AT: usize = GROUP_LSN_AT + size_of::<u64>();
const GROUP_CHAIN_AT: usize = GROUP_DURABLE_AT + size_of::<u64>();
const GROUP_CHECKSUM_AT: usize = GROUP_CHAIN_AT + size_of::<u64>();
/// Bytes of a group's header.
pub const GROUP_HEADER_BYTES: usize = GROUP_CHECKSUM_AT + size_of::<u64>();

const RECORD_LEN_AT: usize = 0;
const RECORD_KIND_AT: usize = RECORD_LEN_AT + size_of::<u32>();
const RECORD_ZERO_AT: usize = RECORD_KIND_AT + size_of::<u8>();
const RECORD_TIMESTAMP_AT: usize = RECORD_ZERO_AT + 3 * size_of::<u8>();
const RECORD_DIGEST_AT: usize = RECORD_TIMESTAMP_AT + size_of::<u64>();
const RECORD_CHAIN_AT: usize = RECORD_DIGEST_AT + size_of::<u64>();
/// Bytes of a record's header.
pub const RECORD_HEADER_BYTES: usize = RECORD_CHAIN_AT + size_of::<u64>();

/// Bytes of an encoded [`LargeRef`].
pub const LARGE_REF_BYTES: usize = 4 * size_of::<u64>();

const _: () = assert!(SEGMENT_HEADER_USED == 112 && SEGMENT_HEADER_USED <= SEGMENT_HEADER_BYTES);
const _: () = assert!(GROUP_HEADER_BYTES == 40 && GROUP_HEADER_BYTES.is_multiple_of(8));
const _: () = assert!(RECORD_HEADER_BYTES == 32 && RECORD_HEADER_BYTES.is_multiple_of(8));

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut value = [0; 4];
    value.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(value)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(value)
}

fn put(out: &mut [u8], at: usize, bytes: &[u8]) {
    out[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Up to where the previous incarnation counts, and the chain's value there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    pub(crate) lsn: Lsn,
    pub(crate) chain: u64,
}

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) uuid: u128,
    pub(crate) sequence: u64,
    /// Counts the openings for writing.
    pub(crate) incarnation: u64,
    /// Seeds the group checksums of this incarnation.
    pub(crate) salt: u64,
    /// No record in this segment or before it has a timestamp above this.
    pub(crate) timestamp_limit: u64,
    pub(crate) chunk_bytes: u64,
    pub(crate) segment_bytes: u64,
    /// In the first segment of an incarnation.
    pub(crate) base: Option<Base>,
    /// Everything in this incarnation up to here was durable before the header was written.
    pub(crate) durable: Lsn,
}

/// What the first block of a file turned out to be.
pub(crate) enum HeaderCheck<T> {
    Valid(T),
    /// A later version of the format.
    Newer(u32),
    /// Something else's file.
    Foreign,
    /// Ours once.
    Damaged,
}

fn seal(out: &mut [u8]) {
    let sum = checksum(&out[..CHECKSUM_AT]);
    put(out, CHECKSUM_AT, &sum.to_le_bytes());
}

/// Checks magic, checksum and version (rule 5).
fn check(bytes: &[u8], magic: [u8; 8]) -> HeaderCheck<()> {
    if bytes.len() < SEGMENT_HEADER_USED {
        return HeaderCheck::Damaged;
    }
    let stated = u64_at(bytes, CHECKSUM_AT);
    if bytes[..VERSION_AT] != magic {
        // A flipped bit in the magic is damage to our file, not somebody else's file.
        let mut mended = bytes[..CHECKSUM_AT].to_vec();
        put(&mut mended, MAGIC_AT, &magic);
        let ours = checksum(&mended) == stated || bytes[..VERSION_AT] == [0; 8];
        return if ours {
            HeaderCheck::Damaged
        } else {
            HeaderCheck::Foreign
        };
    }
    if checksum(&bytes[..CHECKSUM_AT]) != stated {
        return HeaderCheck::Damaged;
    }
    match u32_at(bytes, VERSION_AT) {
        FORMAT_VERSION => HeaderCheck::Valid(()),
        0 => HeaderCheck::Damaged,
        version => HeaderCheck::Newer(version),
    }
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; SEGMENT_HEADER_BYTES];
        put(&mut out, MAGIC_AT, &SEGMENT_MAGIC);
        put(&mut out, VERSION_AT, &FORMAT_VERSION.to_le_bytes());
        let flags = if self.base.is_some() { FLAG_BASE } else { 0 };
        put(&mut out, FLAGS_AT, &flags.to_le_bytes());
        put(&mut out, UUID_AT, &self.uuid.to_le_bytes());
        put(&mut out, SEQUENCE_AT, &self.sequence.to_le_bytes());
        put(&mut out, INCARNATION_AT, &self.incarnation.to_le_bytes());
        put(&mut out, SALT_AT, &self.salt.to_le_bytes());
        put(
            &mut out,
            TIMESTAMP_LIMIT_AT,
            &self.timestamp_limit.to_le_bytes(),
        );
        put(&mut out, CHUNK_BYTES_AT, &self.chunk_bytes.to_le_bytes());
        put(
            &mut out,
            SEGMENT_BYTES_AT,
            &self.segment_bytes.to_le_bytes(),
        );
        let base = self.base.unwrap_or(Base {
            lsn: Lsn(0),
            chain: 0,
        });
        put(&mut out, BASE_LSN_AT, &base.lsn.0.to_le_bytes());
        put(&mut out, BASE_CHAIN_AT, &base.chain.to_le_bytes());
        put(&mut out, DURABLE_AT, &self.durable.0.to_le_bytes());
        seal(&mut out);
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> HeaderCheck<Self> {
        match check(bytes, SEGMENT_MAGIC) {
            HeaderCheck::Valid(()) => HeaderCheck::Valid(Self::fields(bytes)),
            HeaderCheck::Newer(version) => HeaderCheck::Newer(version),
            HeaderCheck::Foreign => HeaderCheck::Foreign,
            HeaderCheck::Damaged => HeaderCheck::Damaged,
        }
    }

    fn fields(bytes: &[u8]) -> Self {
        let base = Base {
            lsn: Lsn(u64_at(bytes, BASE_LSN_AT)),
            chain: u64_at(bytes, BASE_CHAIN_AT),
        };
        let uuid =
            u128::from(u64_at(bytes, UUID_AT)) | u128::from(u64_at(bytes, UUID_AT + 8)) << 64;
        Self {
            uuid,
            sequence: u64_at(bytes, SEQUENCE_AT),
            incarnation: u64_at(bytes, INCARNATION_AT),
            salt: u64_at(bytes, SALT_AT),
            timestamp_limit: u64_at(bytes, TIMESTAMP_LIMIT_AT),
            chunk_bytes: u64_at(bytes, CHUNK_BYTES_AT),
            segment_bytes: u64_at(bytes, SEGMENT_BYTES_AT),
            base: (u32_at(bytes, FLAGS_AT) & FLAG_BASE != 0).then_some(base),
            durable: Lsn(u64_at(bytes, DURABLE_AT)),
        }
    }

    /// The chain's value before the first record of the incarnation that begins here.
    pub(crate) fn chain_start(&self) -> Option<u64> {
        self.base
            .map(|base| checksum_seeded(self.salt, &base.chain.to_le_bytes()))
    }
}

/// The header block of a file of large payloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LargeHeader {
    pub(crate) uuid: u128,
    pub(crate) sequence: u64,
}

impl LargeHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; SEGMENT_HEADER_BYTES];
        put(&mut out, MAGIC_AT, &LARGE_MAGIC);
        put(&mut out, VERSION_AT, &FORMAT_VERSION.to_le_bytes());
        put(&mut out, UUID_AT, &self.uuid.to_le_bytes());
        put(&mut out, SEQUENCE_AT, &self.sequence.to_le_bytes());
        seal(&mut out);
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> HeaderCheck<Self> {
        match check(bytes, LARGE_MAGIC) {
            HeaderCheck::Valid(()) => {
                let uuid = u128::from(u64_at(bytes, UUID_AT))
                    | u128::from(u64_at(bytes, UUID_AT + 8)) << 64;
                HeaderCheck::Valid(Self {
                    uuid,
                    sequence: u64_at(bytes, SEQUENCE_AT),
                })
            }
            HeaderCheck::Newer(version) => HeaderCheck::Newer(version),
            HeaderCheck::Foreign => HeaderCheck::Foreign,
            HeaderCheck::Damaged => HeaderCheck::Damaged,
        }
    }
}

/// What stands at the beginning of everything that one flush writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupHeader {
    /// Its own position.
    pub(crate) lsn: Lsn,
    /// The end of the last record that was known to be durable when the group began.
    pub(crate) durable: Lsn,
    /// The chain's value before the group's first record.
    pub(crate) chain: u64,
}

impl GroupHeader {
    pub(crate) fn encode(&self, salt: u64) -> [u8; GROUP_HEADER_BYTES] {
        let mut out = [0; GROUP_HEADER_BYTES];
        put(&mut out, GROUP_MAGIC_AT, &GROUP_MAGIC.to_le_bytes());
        put(&mut out, GROUP_LSN_AT, &self.lsn.0.to_le_bytes());
        put(&mut out, GROUP_DURABLE_AT, &self.durable.0.to_le_bytes());
        put(&mut out, GROUP_CHAIN_AT, &self.chain.to_le_bytes());
        let sum = checksum_seeded(salt, &out[..GROUP_CHECKSUM_AT]);
        put(&mut out, GROUP_CHECKSUM_AT, &sum.to_le_bytes());
        out
    }

    /// The header at the beginning of `bytes`, if it is one of this incarnation.
    pub(crate) fn decode(bytes: &[u8], salt: u64) -> Option<Self> {
        let bytes = bytes.get(..GROUP_HEADER_BYTES)?;
        if u32_at(bytes, GROUP_MAGIC_AT) != GROUP_MAGIC {
            return None;
        }
        let sum = checksum_seeded(salt, &bytes[..GROUP_CHECKSUM_AT]);
        if sum != u64_at(bytes, GROUP_CHECKSUM_AT) {
            return None;
        }
        Some(Self {
            lsn: Lsn(u64_at(bytes, GROUP_LSN_AT)),
            durable: Lsn(u64_at(bytes, GROUP_DURABLE_AT)),
            chain: u64_at(bytes, GROUP_CHAIN_AT),
        })
    }
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A commit; the payload is its bytes.
    Commit,
    /// A commit whose bytes are in a large file; the payload is a [`LargeRef`].
    Large,
    /// The log was closed here; nothing of this incarnation follows.
    Close,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Self::Commit => 1,
            Self::Large => 2,
            Self::Close => 3,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Commit),
            2 => Some(Self::Large),
            3 => Some(Self::Close),
            _ => None,
        }
    }
}

/// A record without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) len: u32,
    pub(crate) kind: Kind,
    pub(crate) timestamp: Timestamp,
    /// XXH3-64 of the payload.
    pub(crate) digest: u64,
}

impl RecordHeader {
    /// The header's bytes, and the chain's value behind it.
    pub(crate) fn encode(&self, lsn: Lsn, chain: u64) -> ([u8; RECORD_HEADER_BYTES], u64) {
        let mut out = [0; RECORD_HEADER_BYTES];
        put(&mut out, RECORD_LEN_AT, &self.len.to_le_bytes());
        out[RECORD_KIND_AT] = self.kind.code();
        put(
            &mut out,
            RECORD_TIMESTAMP_AT,
            &self.timestamp.0.to_le_bytes(),
        );
        put(&mut out, RECORD_DIGEST_AT, &self.digest.to_le_bytes());
        let next = checksum_seeded(chain ^ lsn.0, &out[..RECORD_CHAIN_AT]);
        put(&mut out, RECORD_CHAIN_AT, &next.to_le_bytes());
        (out, next)
    }

    /// The header at the beginning of `bytes`, if it is the one that continues `chain` at `lsn`,
    /// and the chain's value behind it.
    pub(crate) fn decode(bytes: &[u8], lsn: Lsn, chain: u64) -> Option<(Self, u64)> {
        let bytes = bytes.get(..RECORD_HEADER_BYTES)?;
        let kind = Kind::from_code(bytes[RECORD_KIND_AT])?;
        let next = checksum_seeded(chain ^ lsn.0, &bytes[..RECORD_CHAIN_AT]);
        if next != u64_at(bytes, RECORD_CHAIN_AT) {
            return None;
        }
        let header = Self {
            len: u32_at(bytes, RECORD_LEN_AT),
            kind,
            timestamp: Timestamp(u64_at(bytes, RECORD_TIMESTAMP_AT)),
            digest: u64_at(bytes, RECORD_DIGEST_AT),
        };
        Some((header, next))
    }
}

/// Where a large payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LargeRef {
    /// Number of the large file.
    pub file: u64,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// Bytes of the payload.
    pub len: u64,
    /// XXH3-64 over its pieces of 1 MiB, each seeded by the one before, the first by zero.
    pub digest: u64,
}

impl LargeRef {
    pub(crate) fn encode(&self) -> [u8; LARGE_REF_BYTES] {
        let mut out = [0; LARGE_REF_BYTES];
        put(&mut out, 0, &self.file.to_le_bytes());
        put(&mut out, 8, &self.offset.to_le_bytes());
        put(&mut out, 16, &self.len.to_le_bytes());
        put(&mut out, 24, &self.digest.to_le_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == LARGE_REF_BYTES).then(|| Self {
            file: u64_at(bytes, 0),
            offset: u64_at(bytes, 8),
            len: u64_at(bytes, 16),
            digest: u64_at(bytes, 24),
        })
    }
}
