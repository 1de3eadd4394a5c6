//! Dedup: rows with the same key are delivered once, in the order in which they are observed.
//!
//! Pure state: the keys that were claimed last are in a table in memory; when it is full they are handed to [`Older`]. Neither is
//! durable: whoever owns it keeps [`Changes`] together with the rows, and gives them back by [`Deduplicator::restore`]. Keys are
//! 128-bit hashes (XXH3) of an encoding of our own, so what was kept stays good whatever library reads the rows.
//!
//! # Windows
//! The highest event time is that of all rows observed so far, the row at hand included. A key is forgotten once the
//! highest event time is past the event time of the row that claimed it by more than the window. A row that is itself older
//! than that is delivered, counted as late, and claims no key. A row without an event time stands at the highest one. Since the
//! highest time never goes back, a claim that is too old stays so: it is let go of when that is cheap, and counts for nothing before.

mod chunks;
mod key;
mod table;

use std::error::Error;
use std::fmt::Debug;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use thiserror::Error;

pub use self::chunks::{Changes, ChunkId, Claimed, ForgottenSlice, KeptKeys, KeyChunk};
use self::chunks::{Noted, Slices};
use self::key::KeyColumns;
use self::table::Table;
use crate::config::clean::{Dedup, DedupWithin};

/// Rows that are looked up together at most.
const PIECE_ROWS: usize = 8192;

/// Hash of a key; never zero. Ordered by `high`, so that a part of that order has a part of all numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash {
    /// The upper half.
    pub high: u64,
    /// The lower half.
    pub low: u64,
}

impl KeyHash {
    /// From its bytes; zero counts as one.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self::of(u128::from_le_bytes(bytes))
    }

    /// Its bytes, little-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        ((u128::from(self.high) << 64) | u128::from(self.low)).to_le_bytes()
    }

    #[expect(clippy::cast_possible_truncation, reason = "each half has 64 bits")]
    fn of(hash: u128) -> Self {
        let hash = hash.max(1);
        Self { high: (hash >> 64) as u64, low: hash as u64 }
    }
}

/// That a row has claimed its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The key.
    pub key: KeyHash,
    /// Event time of the row, microseconds; 0 without a window.
    pub time: i64,
}

/// Why older keys cannot be reached.
pub type OlderError = Box<dyn Error + Send + Sync>;

/// Keys that do not fit in memory any more. After an error it is of no more use.
pub trait Older: Debug + Send {
    /// Takes claims: ascending, one for each key.
    ///
    /// # Errors
    /// If they cannot be kept.
    fn take(&mut self, claims: &[Claim]) -> Result<(), OlderError>;

    /// Puts the newest time of each key that it has into `newest`, in the order of `keys`. Claims that were forgotten may still
    /// be there.
    ///
    /// # Errors
    /// If they cannot be read.
    fn find(&mut self, keys: &[KeyHash], newest: &mut Vec<Option<i64>>) -> Result<(), OlderError>;

    /// Claims that are older than this are of no more use.
    fn forget(&mut self, oldest: i64);

    /// Lets all go.
    fn clear(&mut self);
}

/// Why rows cannot be told apart any more.
#[derive(Debug, Error)]
pub enum DedupError {
    /// More keys than memory holds, and nobody to take them.
    #[error("more than {keys} keys do not fit in the share that dedup has of `limits.memory`; raise it")]
    Full {
        /// Keys held.
        keys: usize,
    },
    /// Keys that were handed over cannot be kept or found.
    #[error("keys of dedup that do not fit in memory")]
    Older(#[source] OlderError),
    /// A chunk is not what this program writes.
    #[error(
        "the keys of dedup in the log are damaged (chunk {number} of slice {slice}); they may be of a newer version of millstream"
    )]
    Damaged {
        /// Its slice.
        slice: i64,
        /// Its number there.
        number: u64,
    },
    /// A column of the key, or the event time, is not in the rows.
    #[error("column `{name}` of `clean.dedup` is not in the rows")]
    NoColumn {
        /// The column.
        name: String,
    },
    /// A column has a type that keys cannot have.
    #[error("column `{name}` of type {data_type} cannot be part of `clean.dedup.key`")]
    Unsupported {
        /// The column.
        name: String,
        /// Its Arrow type.
        data_type: DataType,
    },
}

/// What became of a batch of rows.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// TRUE for rows that are delivered.
    pub keep: BooleanArray,
    /// Rows that are not.
    pub duplicates: u64,
    /// Delivered rows that are older than the window.
    pub late: u64,
    /// Keys claimed, for [`Deduplicator::changes`].
    pub claimed: Claimed,
    /// Highest event time so far.
    pub window_high: Option<i64>,
}

/// Tells repeated rows from new ones.
#[derive(Debug)]
pub struct Deduplicator {
    key: Vec<String>,
    within: DedupWithin,
    event_time: Option<String>,
    recent: Table,
    older: Option<Box<dyn Older>>,
    slices: Slices,
    high: Option<i64>,
}

impl Deduplicator {
    /// Without keys. `event_time` names the column of a window. The table of keys takes `limit_bytes` at most; what does not fit
    /// goes to `older`.
    #[must_use]
    pub fn new(spec: &Dedup, event_time: Option<&str>, limit_bytes: usize, older: Option<Box<dyn Older>>) -> Self {
        let windowed = matches!(spec.within, DedupWithin::Window { .. });
        Self {
            key: spec.key.clone(),
            within: spec.within,
            event_time: event_time.filter(|_| windowed).map(str::to_owned),
            recent: Table::new(limit_bytes),
            older,
            slices: Slices::new(spec.within),
            high: None,
        }
    }

    /// Keys that are kept, as of the last call of [`Self::changes`].
    #[must_use]
    pub fn keys(&self) -> u64 {
        self.slices.keys()
    }

    /// Goes on from the last highest event time. To be called before [`Self::restore`].
    pub fn restore_high(&mut self, window_high: Option<i64>) {
        self.high = window_high;
    }

    /// Takes in what was kept, piece by piece, each behind those that were kept before it or in the order of their ids.
    ///
    /// # Errors
    /// If it cannot be understood, or does not fit.
    pub fn restore(&mut self, kept: &KeptKeys) -> Result<(), DedupError> {
        match kept {
            KeptKeys::Forgotten(slice) => self.slices.forgotten(*slice),
            KeptKeys::Single(claims) => {
                if self.slices.note_single(claims.len()) {
                    self.claim_all(claims.iter().copied())?;
                }
            }
            KeptKeys::Chunk(chunk) => match self.slices.note(chunk) {
                Noted::Counts => self.claim_all(chunk.claims()?)?,
                Noted::CountsAlone => {
                    self.clear();
                    self.claim_all(chunk.claims()?)?;
                }
                Noted::Forgotten => {}
            },
        }
        Ok(())
    }

    /// Tells which rows are new. `starts_new_file` says that they are the first of another file than the rows before.
    ///
    /// # Errors
    /// If the key does not fit the rows, or claims cannot be kept or found; the state is then of no more use and has to be restored.
    pub fn observe(&mut self, starts_new_file: bool, batch: &RecordBatch) -> Result<Verdict, DedupError> {
        let mut claimed = Claimed::default();
        if starts_new_file && self.within == DedupWithin::File {
            self.clear();
            claimed.begin(self.slices.next_file());
        }
        let columns = KeyColumns::new(&self.key, batch)?;
        let times = Times::new(self.event_time.as_deref(), batch)?;
        let mut buffer = Vec::new();
        let keys: Vec<KeyHash> = (0..batch.num_rows()).map(|row| columns.hash(row, &mut buffer)).collect();
        let mut keep = Vec::with_capacity(keys.len());
        let mut late = 0;
        let mut older = Vec::new();
        while keep.len() < keys.len() {
            let first = keep.len();
            let piece = first..keys.len().min(first + PIECE_ROWS.min(self.make_room()?));
            if let Some(found) = &mut self.older {
                found.find(&keys[piece.clone()], &mut older).map_err(DedupError::Older)?;
            }
            for row in piece {
                let key = keys[row];
                let (time, oldest) = self.advance(times.at(row));
                let known = self.recent.time_of(key).max(older.get(row - first).copied().flatten());
                let is_new = known.is_none_or(|known| known < oldest);
                keep.push(is_new);
                if is_new && time < oldest {
                    late += 1;
                } else if is_new {
                    let claim = Claim { key, time };
                    self.recent.put(claim);
                    claimed.put(self.slices.of(time), claim, self.slices.width());
                }
            }
        }
        let keep = BooleanArray::new(BooleanBuffer::from(keep), None);
        let duplicates = (batch.num_rows() - keep.true_count()) as u64;
        Ok(Verdict { keep, duplicates, late, claimed, window_high: self.high })
    }

    /// What is to be kept together with the rows of which all this was claimed: to be called for all claims in their order.
    pub fn changes(&mut self, claimed: Claimed) -> Changes {
        let oldest = self.oldest();
        if let Some(older) = &mut self.older {
            older.forget(oldest);
        }
        self.slices.changes(claimed, oldest)
    }

    /// Takes in the event time of a row: its time, and the oldest time whose keys still count.
    fn advance(&mut self, time: Option<i64>) -> (i64, i64) {
        if !matches!(self.within, DedupWithin::Window { .. }) {
            return (0, i64::MIN);
        }
        self.high = self.high.max(time);
        (time.or(self.high).unwrap_or(i64::MIN), self.oldest())
    }

    /// The oldest time whose keys still count.
    fn oldest(&self) -> i64 {
        match (self.within, self.high) {
            (DedupWithin::Window { length_micros }, Some(high)) => high.saturating_sub(length_micros),
            (DedupWithin::Window { .. }, None) | (DedupWithin::File | DedupWithin::Source, _) => i64::MIN,
        }
    }

    fn claim_all(&mut self, claims: impl Iterator<Item = Claim>) -> Result<(), DedupError> {
        let oldest = self.oldest();
        for claim in claims.filter(|claim| claim.time >= oldest) {
            self.make_room()?;
            self.recent.put(claim);
        }
        Ok(())
    }

    /// Sees that there is room in the table. Gives how much.
    fn make_room(&mut self) -> Result<usize, DedupError> {
        if self.recent.room() > 0 {
            return Ok(self.recent.room());
        }
        let oldest = self.oldest();
        if oldest > i64::MIN {
            self.recent.forget(oldest);
            if self.recent.room() > self.recent.most_keys() / 2 {
                return Ok(self.recent.room());
            }
        }
        let Some(older) = &mut self.older else {
            return Err(DedupError::Full { keys: self.recent.most_keys() });
        };
        older.forget(oldest);
        self.recent.hand_over(|claims| older.take(claims)).map_err(DedupError::Older)?;
        Ok(self.recent.room())
    }

    fn clear(&mut self) {
        self.recent.clear();
        if let Some(older) = &mut self.older {
            older.clear();
        }
    }
}

/// The event times of a batch.
struct Times<'a>(Option<&'a arrow::array::TimestampMicrosecondArray>);

impl<'a> Times<'a> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are treated alike")]
    fn new(name: Option<&str>, batch: &'a RecordBatch) -> Result<Self, DedupError> {
        let Some(name) = name else { return Ok(Self(None)) };
        let column = batch.column_by_name(name).ok_or_else(|| DedupError::NoColumn { name: name.to_owned() })?;
        match column.data_type() {
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Ok(Self(Some(column.as_primitive::<TimestampMicrosecondType>())))
            }
            other => Err(DedupError::Unsupported { name: name.to_owned(), data_type: other.clone() }),
        }
    }

    fn at(&self, row: usize) -> Option<i64> {
        self.0.filter(|times| times.is_valid(row)).map(|times| times.value(row))
    }
}

#[cfg(test)]
mod tests;
