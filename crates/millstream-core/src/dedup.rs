//! Dedup: rows with the same key are delivered once, in the order in which they are observed.
//!
//! Pure state in memory; whoever owns it keeps the changes of each [`Verdict`] durable together with the rows, and gives
//! them back by [`Deduplicator::restore`]. Keys are kept as 128-bit hashes (XXH3) of an encoding of our own, so what was
//! kept stays good whatever library reads the rows.
//!
//! # Windows
//! The highest event time is that of all rows observed so far, the row at hand included. A key is forgotten once the
//! highest event time is past the event time of the row that claimed it by more than the window. A row that is itself older
//! than that is delivered, counted as late, and claims no key. A row without an event time stands at the highest one.

mod key;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use thiserror::Error;

use self::key::KeyColumns;
use crate::config::clean::{Dedup, DedupWithin};

/// Hash of a key.
pub type KeyHash = [u8; 16];

/// Bytes that a key takes at most, its place in tables that have just grown included.
const KEY_BYTES: usize = 128;

/// Why rows cannot be told apart any more.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DedupError {
    /// More keys than memory holds.
    #[error(
        "dedup holds {keys} keys and may take {limit_bytes} bytes, no more; shorten `clean.dedup.within` or raise `limits.memory`"
    )]
    Full {
        /// Keys held.
        keys: usize,
        /// Its share of memory.
        limit_bytes: usize,
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
    /// Keys claimed, with the event time (0 without a window), microseconds. Put in place of what is kept for the same key.
    pub added: Vec<(KeyHash, i64)>,
    /// Keys forgotten; none of them is in `added`. A key that came and went within the batch may be among them.
    pub removed: Vec<KeyHash>,
    /// Highest event time so far.
    pub window_high: Option<i64>,
}

/// Tells repeated rows from new ones.
#[derive(Debug)]
pub struct Deduplicator {
    key: Vec<String>,
    within: DedupWithin,
    event_time: Option<String>,
    limit_bytes: usize,
    claimed: HashMap<KeyHash, i64, BuildHasherDefault<Passing>>,
    /// Keys by the slice of time in which they were claimed, so that whole slices are forgotten. May name keys that were
    /// claimed anew since.
    slices: BTreeMap<i64, Vec<KeyHash>>,
    high: Option<i64>,
}

impl Deduplicator {
    /// Without keys. `event_time` names the column of a window.
    #[must_use]
    pub fn new(spec: &Dedup, event_time: Option<&str>, limit_bytes: usize) -> Self {
        let windowed = matches!(spec.within, DedupWithin::Window { .. });
        Self {
            key: spec.key.clone(),
            within: spec.within,
            event_time: event_time.filter(|_| windowed).map(str::to_owned),
            limit_bytes,
            claimed: HashMap::default(),
            slices: BTreeMap::new(),
            high: None,
        }
    }

    /// Keys held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.claimed.len()
    }

    /// Whether no key is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.claimed.is_empty()
    }

    /// Starts over from what was kept: all of the keys added and not removed, and the last highest event time.
    ///
    /// # Errors
    /// If they are more than memory holds.
    pub fn restore(
        &mut self,
        entries: impl IntoIterator<Item = (KeyHash, i64)>,
        window_high: Option<i64>,
    ) -> Result<(), DedupError> {
        self.claimed.clear();
        self.slices.clear();
        self.high = window_high;
        for (key, time) in entries {
            self.claim(key, time)?;
        }
        Ok(())
    }

    /// Tells which rows are new. `starts_new_file` says that they are the first of another file than the rows before.
    ///
    /// # Errors
    /// If the key does not fit the rows, or memory is full; the state is then of no more use and has to be restored.
    pub fn observe(&mut self, starts_new_file: bool, batch: &RecordBatch) -> Result<Verdict, DedupError> {
        let mut removed = Vec::new();
        if starts_new_file && self.within == DedupWithin::File {
            removed.extend(self.claimed.drain().map(|(key, _)| key));
        }
        let columns = KeyColumns::new(&self.key, batch)?;
        let times = Times::new(self.event_time.as_deref(), batch)?;
        let mut keep = Vec::with_capacity(batch.num_rows());
        let mut added: Vec<(KeyHash, i64)> = Vec::new();
        let mut late = 0;
        let mut buffer = Vec::new();
        for row in 0..batch.num_rows() {
            let key = columns.hash(row, &mut buffer);
            let (time, oldest) = self.advance(times.at(row));
            if self.claimed.get(&key).is_some_and(|claimed| *claimed >= oldest) {
                keep.push(false);
                continue;
            }
            keep.push(true);
            if time < oldest {
                late += 1;
            } else {
                self.claim(key, time)?;
                added.push((key, time));
            }
        }
        let forgotten = self.forget();
        settle(&mut added, &mut removed, forgotten, &self.claimed);
        let keep = BooleanArray::new(BooleanBuffer::from(keep), None);
        let duplicates = (batch.num_rows() - keep.true_count()) as u64;
        Ok(Verdict { keep, duplicates, late, added, removed, window_high: self.high })
    }

    /// Takes in the event time of a row: its time, and the oldest time whose keys are still held.
    fn advance(&mut self, time: Option<i64>) -> (i64, i64) {
        let DedupWithin::Window { length_micros } = self.within else { return (0, i64::MIN) };
        if let Some(time) = time {
            self.high = Some(self.high.map_or(time, |high| high.max(time)));
        }
        let high = self.high.unwrap_or(i64::MIN);
        (time.unwrap_or(high), high.saturating_sub(length_micros))
    }

    fn claim(&mut self, key: KeyHash, time: i64) -> Result<(), DedupError> {
        if (self.claimed.len() + 1).saturating_mul(KEY_BYTES) > self.limit_bytes {
            return Err(DedupError::Full { keys: self.claimed.len(), limit_bytes: self.limit_bytes });
        }
        self.claimed.insert(key, time);
        if let Some(length) = self.slice_length() {
            self.slices.entry(time.div_euclid(length)).or_default().push(key);
        }
        Ok(())
    }

    fn slice_length(&self) -> Option<i64> {
        match self.within {
            DedupWithin::Window { length_micros } => Some((length_micros / 64).max(1)),
            DedupWithin::File | DedupWithin::Source => None,
        }
    }

    /// Forgets slices that lie wholly outside of the window.
    fn forget(&mut self) -> Vec<KeyHash> {
        let mut forgotten = Vec::new();
        let (DedupWithin::Window { length_micros }, Some(high), Some(slice)) =
            (self.within, self.high, self.slice_length())
        else {
            return forgotten;
        };
        let oldest = high.saturating_sub(length_micros);
        while let Some(entry) = self.slices.first_entry() {
            if *entry.key() >= oldest.div_euclid(slice) {
                break;
            }
            for key in entry.remove() {
                if self.claimed.get(&key).is_some_and(|claimed| *claimed < oldest) {
                    self.claimed.remove(&key);
                    forgotten.push(key);
                }
            }
        }
        forgotten
    }
}

/// Brings both lists to the state at the end of the batch: what was claimed and forgotten is not added, what was forgotten and
/// claimed anew is not removed.
fn settle(
    added: &mut Vec<(KeyHash, i64)>,
    removed: &mut Vec<KeyHash>,
    forgotten: Vec<KeyHash>,
    claimed: &HashMap<KeyHash, i64, BuildHasherDefault<Passing>>,
) {
    removed.extend(forgotten);
    if removed.is_empty() {
        return;
    }
    added.retain(|(key, time)| claimed.get(key) == Some(time));
    let now: HashSet<KeyHash> = added.iter().map(|(key, _)| *key).collect();
    removed.retain(|key| !now.contains(key));
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

/// Hash of a hash: its first bytes.
#[derive(Debug, Default)]
pub(crate) struct Passing(u64);

impl Hasher for Passing {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // A key is an array, which hashes its length first and then its bytes.
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 ^= u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _length: usize) {}
}

#[cfg(test)]
mod tests;
