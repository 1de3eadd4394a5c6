//! Claimed keys as they are kept: packed in chunks by slice of time, so that a slice is forgotten as a whole.
//!
//! A slice is a 64th of the window; a file with `within = "file"`; everything with `within = "source"`. The value of a chunk is one
//! byte, the width of a claim (16, or 24 with a window), and the claims: hash, and event time in microseconds; all little-endian.

use std::collections::BTreeMap;

use super::{Claim, DedupError, KeyHash};
use crate::config::clean::DedupWithin;

/// Bytes of claims in a chunk at most: whole claims of either width. Fits the smallest record that can be set.
const CHUNK_BYTES: usize = 48 << 10;

/// Slices of a window.
const SLICES: i64 = 64;

/// Name of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChunkId {
    /// Its slice.
    pub slice: i64,
    /// Its number within the slice, from 0.
    pub number: u64,
}

impl ChunkId {
    /// As bytes, which sort as ids do.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        let slice = self.slice.cast_unsigned() ^ (1 << 63);
        ((u128::from(slice) << 64) | u128::from(self.number)).to_be_bytes()
    }

    /// From these bytes.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "each half has 64 bits")]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let both = u128::from_be_bytes(bytes);
        Self { slice: ((both >> 64) as u64 ^ (1 << 63)).cast_signed(), number: both as u64 }
    }
}

/// Claims that are kept as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyChunk {
    /// Its name.
    pub id: ChunkId,
    /// What is kept.
    pub value: Vec<u8>,
}

impl KeyChunk {
    /// Its claims.
    pub(super) fn claims(&self) -> Result<impl Iterator<Item = Claim>, DedupError> {
        let damaged = DedupError::Damaged { slice: self.id.slice, number: self.id.number };
        let Some((&width, claims)) = self.value.split_first() else { return Err(damaged) };
        let width = usize::from(width);
        if !matches!(width, Claim::KEY_BYTES | Claim::BYTES) || !claims.len().is_multiple_of(width) {
            return Err(damaged);
        }
        Ok(claims.chunks_exact(width).map(Claim::read))
    }

    /// How many claims it has.
    fn len(&self) -> u64 {
        let width = self.value.first().copied().map_or(1, usize::from).max(1);
        (self.value.len().saturating_sub(1) / width) as u64
    }
}

/// What is to be kept of a slice that is forgotten: nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForgottenSlice {
    /// The slice.
    pub slice: i64,
    /// How many chunks it has, numbered from 0.
    pub chunks: u64,
}

impl ForgottenSlice {
    /// Names of its chunks.
    pub fn ids(self) -> impl Iterator<Item = ChunkId> {
        (0..self.chunks).map(move |number| ChunkId { slice: self.slice, number })
    }
}

/// What is to be kept together with the rows that were observed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Chunks that come.
    pub chunks: Vec<KeyChunk>,
    /// Slices that go.
    pub forgotten: Vec<ForgottenSlice>,
}

/// What was kept, as it is read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptKeys {
    /// A chunk.
    Chunk(KeyChunk),
    /// That a slice, whose chunks may have come before, was forgotten.
    Forgotten(i64),
    /// Keys that an earlier version kept one by one.
    Single(Vec<Claim>),
}

/// Claims by slice, packed, that are not in chunks yet.
#[derive(Debug, Clone, Default)]
pub struct Claimed(BTreeMap<i64, Vec<u8>>);

impl Claimed {
    /// Size of what will be kept.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// Takes in what was claimed after it.
    pub fn append(&mut self, later: Self) {
        for (slice, mut claims) in later.0 {
            self.0.entry(slice).or_default().append(&mut claims);
        }
    }

    /// Begins a slice, which is kept even if it stays empty.
    pub(super) fn begin(&mut self, slice: i64) {
        self.0.entry(slice).or_default();
    }

    pub(super) fn put(&mut self, slice: i64, claim: Claim, width: usize) {
        self.0.entry(slice).or_default().extend_from_slice(&claim.to_bytes()[..width]);
    }
}

/// Which chunks are kept.
#[derive(Debug)]
pub(super) struct Slices {
    within: DedupWithin,
    kept: BTreeMap<i64, Slice>,
    /// The slice of the file at hand, with `within = "file"`.
    file: i64,
    /// Keys that an earlier version kept one by one.
    single_keys: u64,
}

#[derive(Debug, Default)]
struct Slice {
    chunks: u64,
    keys: u64,
}

impl Slices {
    pub(super) fn new(within: DedupWithin) -> Self {
        Self { within, kept: BTreeMap::new(), file: 0, single_keys: 0 }
    }

    /// Keys that are kept.
    pub(super) fn keys(&self) -> u64 {
        self.single_keys + self.kept.values().map(|slice| slice.keys).sum::<u64>()
    }

    /// Bytes of a claim that are kept: without a window its time tells nothing.
    pub(super) fn width(&self) -> usize {
        match self.within {
            DedupWithin::Window { .. } => Claim::BYTES,
            DedupWithin::File | DedupWithin::Source => Claim::KEY_BYTES,
        }
    }

    /// Begins the slice of another file.
    pub(super) fn next_file(&mut self) -> i64 {
        self.file += 1;
        self.single_keys = 0;
        self.file
    }

    /// The slice in which a claim of this time is kept.
    pub(super) fn of(&self, time: i64) -> i64 {
        match self.within {
            DedupWithin::Window { length_micros } => time.div_euclid((length_micros / SLICES).max(1)),
            DedupWithin::File => self.file,
            DedupWithin::Source => 0,
        }
    }

    /// Puts claims in chunks, and lets slices go that lie wholly behind `oldest`.
    pub(super) fn changes(&mut self, claimed: Claimed, oldest: i64) -> Changes {
        let first = self.of(oldest);
        let kept = self.kept.split_off(&first);
        let gone = std::mem::replace(&mut self.kept, kept).into_iter();
        let forgotten = gone.map(|(slice, Slice { chunks, .. })| ForgottenSlice { slice, chunks }).collect();
        let mut chunks = Vec::new();
        let width = self.width();
        for (slice, claims) in claimed.0.into_iter().filter(|(slice, _)| *slice >= first) {
            let known = self.kept.entry(slice).or_default();
            let mut rest = claims.as_slice();
            loop {
                let (piece, behind) = rest.split_at(rest.len().min(CHUNK_BYTES));
                let mut value = Vec::with_capacity(1 + piece.len());
                value.push(u8::try_from(width).unwrap_or_default());
                value.extend_from_slice(piece);
                chunks.push(KeyChunk { id: ChunkId { slice, number: known.chunks }, value });
                known.chunks += 1;
                rest = behind;
                if rest.is_empty() {
                    break;
                }
            }
            known.keys += (claims.len() / width) as u64;
        }
        Changes { chunks, forgotten }
    }

    /// Takes in a chunk that is kept. Tells whether its keys still count, and whether all that came before do not.
    pub(super) fn note(&mut self, chunk: &KeyChunk) -> Noted {
        let ChunkId { slice, number } = chunk.id;
        let known = self.kept.entry(slice).or_default();
        known.chunks = known.chunks.max(number + 1);
        known.keys += chunk.len();
        if self.within != DedupWithin::File || slice == self.file {
            return Noted::Counts;
        }
        if slice < self.file {
            return Noted::Forgotten;
        }
        self.file = slice;
        self.single_keys = 0;
        Noted::CountsAlone
    }

    /// Takes in that a slice was forgotten.
    pub(super) fn forgotten(&mut self, slice: i64) {
        self.kept.remove(&slice);
    }

    /// Takes in keys that an earlier version kept. Tells whether they still count.
    pub(super) fn note_single(&mut self, keys: usize) -> bool {
        // With a window nobody lets go of them by number; they count by their times.
        if matches!(self.within, DedupWithin::Window { .. }) {
            return true;
        }
        // Files that were begun since have slices from 1 on.
        let count = self.within == DedupWithin::Source || self.file == 0;
        self.single_keys += if count { keys as u64 } else { 0 };
        count
    }
}

/// What becomes of the keys of a chunk that is read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noted {
    /// They count.
    Counts,
    /// They count, and none that came before.
    CountsAlone,
    /// They do not.
    Forgotten,
}

impl Claim {
    /// Bytes of a claim without its time.
    pub const KEY_BYTES: usize = 16;
    /// Bytes of a whole claim.
    pub const BYTES: usize = 24;

    /// Hash and time.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..Self::KEY_BYTES].copy_from_slice(&self.key.to_bytes());
        bytes[Self::KEY_BYTES..].copy_from_slice(&self.time.to_le_bytes());
        bytes
    }

    /// From the bytes of a claim; one without a time is of the time 0.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let key = bytes.first_chunk::<16>().map_or(KeyHash { high: 0, low: 1 }, |key| KeyHash::from_bytes(*key));
        let time = bytes.get(Self::KEY_BYTES..).and_then(<[u8]>::first_chunk::<8>);
        Self { key, time: time.map_or(0, |time| i64::from_le_bytes(*time)) }
    }
}
