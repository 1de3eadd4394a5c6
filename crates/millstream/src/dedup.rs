//! Keys of dedup that do not fit in memory: sorted files, and filters that tell in memory that a key is in none of them.
//!
//! All of it is a scratch copy of what the log holds. The files have no names, so that nothing of them is left when the process
//! ends in any way; a start reads the log.
//!
//! # How it is found that a key is new
//! The table in memory hands over what it holds as a *run*: a file of claims in the order of keys. Runs of one size are merged to
//! a larger one, so that there are few. A *generation* has runs and one filter over all of them, which says for most keys that they
//! are not there; for others, one page of each run is read. Without a window there is one generation. With one, another is begun each time
//! that the highest event time has moved by a quarter of the window, and a generation is dropped as a whole once no claim of it counts.

mod filter;
mod generation;
mod merge;
mod run;

use std::io;
use std::path::{Path, PathBuf};

use millstream_core::config::clean::{Dedup, DedupWithin};
use millstream_core::dedup::{Claim, Deduplicator, KeyHash, Older, OlderError};
use tracing::debug;

use self::generation::Generation;
use crate::{disk, failpoint};

/// Generations of a window: how many parts of it one lasts, and how many there are at once.
const WINDOW_PARTS: i64 = 4;
const MOST_GENERATIONS: usize = 6;

/// Part of its share of memory that the table takes at most, in percent, and that filters take. The rest is for the indexes of
/// runs and for buffers.
const TABLE_PERCENT: u64 = 17;
const FILTER_PERCENT: u64 = 75;

/// The development build, which tests kill, goes to disk with little data.
const PART: u64 = if cfg!(debug_assertions) { 256 } else { 1 };

/// Why keys cannot be kept on disk or found there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpillError {
    /// There is no room for them.
    #[error("cannot keep them for now")]
    Full(#[from] disk::Full),
    /// They cannot be written.
    #[error("cannot write them to a file in `{}`", .folder.display())]
    Write {
        /// The data folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// They cannot be read.
    #[error("cannot read them back from a file in `{}`; a start makes it anew from the log, so nothing is lost", .folder.display())]
    Read {
        /// The data folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl SpillError {
    /// That a file in the folder cannot be written.
    fn write(folder: &Path) -> impl Fn(io::Error) -> Self + '_ {
        |source| {
            let path = folder.to_owned();
            if disk::is_full(&source) {
                disk::Full::Refused { path }.into()
            } else {
                Self::Write { folder: path, source }
            }
        }
    }
}

/// Dedup as a pipeline file wants it, that takes `share_bytes` of memory and goes to files in `folder` past it.
pub(crate) fn deduplicator(spec: &Dedup, event_time: Option<&str>, share_bytes: u64, folder: &Path) -> Deduplicator {
    let part = |percent: u64| usize::try_from(share_bytes / 100 * percent / PART).unwrap_or(usize::MAX);
    let spilled = Spilled::new(folder.to_owned(), spec.within, part(FILTER_PERCENT));
    Deduplicator::new(spec, event_time, part(TABLE_PERCENT), Some(Box::new(spilled)))
}

/// The keys on disk.
#[derive(Debug)]
struct Spilled {
    folder: PathBuf,
    /// Length of the window, microseconds.
    window: Option<i64>,
    filter_bytes: usize,
    /// The oldest first.
    generations: Vec<Generation>,
    /// Highest event time of any claim.
    high: i64,
    oldest: i64,
}

impl Spilled {
    fn new(folder: PathBuf, within: DedupWithin, share_bytes: usize) -> Self {
        let (window, filter_bytes) = match within {
            DedupWithin::Window { length_micros } => (Some(length_micros), share_bytes / MOST_GENERATIONS),
            DedupWithin::File | DedupWithin::Source => (None, share_bytes),
        };
        Self { folder, window, filter_bytes, generations: Vec::new(), high: i64::MIN, oldest: i64::MIN }
    }

    /// The generation that takes claims.
    fn newest(&mut self) -> &mut Generation {
        let (high, window) = (self.high, self.window);
        let is_over = |generation: &Generation| {
            window.is_some_and(|length| high.saturating_sub(generation.began) >= length / WINDOW_PARTS)
        };
        if self.generations.last().is_none_or(is_over) {
            self.generations.push(Generation::new(self.filter_bytes, high));
        }
        let last = self.generations.len() - 1;
        &mut self.generations[last]
    }

    fn put(&mut self, claims: &[Claim]) -> Result<(), SpillError> {
        disk::check(&self.folder, size_of_val(claims) as u64 + disk::SCRATCH_RESERVE_BYTES)?;
        self.high = claims.iter().map(|claim| claim.time).fold(self.high, i64::max);
        let (folder, has_times, oldest) = (self.folder.clone(), self.window.is_some(), self.oldest);
        self.newest().take(&folder, claims, has_times)?;
        failpoint::hit("dedup.spilled");
        // Merging is paid for by what comes: never long at once, and never behind.
        for generation in &mut self.generations {
            generation.merge(&folder, claims.len(), oldest)?;
        }
        debug!(
            claims = claims.len(),
            generations = self.generations.len(),
            runs = self.generations.iter().map(Generation::runs).sum::<usize>(),
            "keys of dedup went to disk"
        );
        Ok(())
    }
}

impl Older for Spilled {
    fn take(&mut self, claims: &[Claim]) -> Result<(), OlderError> {
        if claims.is_empty() {
            return Ok(());
        }
        Ok(self.put(claims)?)
    }

    fn find(&mut self, keys: &[KeyHash], newest: &mut Vec<Option<i64>>) -> Result<(), OlderError> {
        newest.clear();
        newest.resize(keys.len(), None);
        for generation in &mut self.generations {
            generation.find(keys, newest).map_err(|source| SpillError::Read { folder: self.folder.clone(), source })?;
        }
        Ok(())
    }

    fn forget(&mut self, oldest: i64) {
        self.oldest = oldest;
        self.generations.retain(|generation| generation.newest >= oldest);
    }

    fn clear(&mut self) {
        self.generations.clear();
    }
}

#[cfg(test)]
mod tests;
