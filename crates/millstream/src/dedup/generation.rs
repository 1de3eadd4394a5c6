//! A generation: runs, and one filter over all of them.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use millstream_core::dedup::{Claim, KeyHash};

use super::SpillError;
use super::filter::Filter;
use super::merge::Merge;
use super::run::{Run, RunWriter};
use crate::disk;

/// Runs of one level that become one of the next.
const FAN: usize = 4;

/// Claims that are merged at each level for each claim that comes. A level gets as many as come, so that a merge is over before there are enough runs
/// for the next: a level has fewer than twice `FAN`.
const MERGED_PER_CLAIM: usize = 4;

/// Claims of about one time.
#[derive(Debug)]
pub(super) struct Generation {
    /// Highest event time when it was begun.
    pub(super) began: i64,
    /// Highest event time of its claims.
    pub(super) newest: i64,
    filter: Filter,
    /// The largest first: it is most likely to have a key.
    runs: Vec<Arc<Run>>,
    /// By the level of their inputs: a large one must not hold up the small ones.
    merges: BTreeMap<u32, Merge>,
    /// Only there to be used again.
    page: Vec<u8>,
}

impl Generation {
    pub(super) fn new(filter_bytes: usize, began: i64) -> Self {
        let filter = Filter::new(filter_bytes);
        Self { began, newest: i64::MIN, filter, runs: Vec::new(), merges: BTreeMap::new(), page: Vec::new() }
    }

    /// How many runs it has.
    pub(super) fn runs(&self) -> usize {
        self.runs.len()
    }

    /// Takes claims: ascending, one for each key.
    pub(super) fn take(&mut self, folder: &Path, claims: &[Claim], has_times: bool) -> Result<(), SpillError> {
        let write = || {
            let mut writer = RunWriter::new(folder, has_times, 0)?;
            claims.iter().try_for_each(|claim| writer.put(*claim))?;
            writer.finish()
        };
        let run = write().map_err(SpillError::write(folder))?;
        for claim in claims {
            self.filter.put(claim.key);
            self.newest = self.newest.max(claim.time);
        }
        self.put(run);
        Ok(())
    }

    /// Goes on with merging, for so many claims that came.
    pub(super) fn merge(&mut self, folder: &Path, came: usize, oldest: i64) -> Result<(), SpillError> {
        let failed = SpillError::write(folder);
        for level in 0..=self.runs.iter().map(|run| run.level).max().unwrap_or_default() {
            let mut merge = match self.merges.remove(&level) {
                Some(merge) => merge,
                None => match self.begin_merge(folder, level).map_err(&failed)? {
                    Some(merge) => merge,
                    None => continue,
                },
            };
            if merge.advance(came * MERGED_PER_CLAIM, oldest).map_err(&failed)? {
                self.runs.retain(|run| !merge.reads(run));
                self.put(merge.finish().map_err(&failed)?);
            } else {
                self.merges.insert(level, merge);
            }
        }
        Ok(())
    }

    /// A merge of runs of a level, if there are enough of them.
    fn begin_merge(&self, folder: &Path, level: u32) -> io::Result<Option<Merge>> {
        let inputs: Vec<Arc<Run>> = self.runs.iter().filter(|run| run.level == level).take(FAN).cloned().collect();
        let bytes: u64 = inputs.iter().map(|run| run.bytes()).sum();
        // Where there is no room, more runs are only slower, and the log needs the room more.
        if inputs.len() < FAN || disk::check(folder, bytes + disk::LOG_RESERVE_BYTES).is_err() {
            return Ok(None);
        }
        let has_times = inputs.iter().any(|run| run.has_times());
        Merge::new(folder, &inputs, has_times, level + 1).map(Some)
    }

    /// Raises `newest` to the times of the keys that it has.
    pub(super) fn find(&mut self, keys: &[KeyHash], newest: &mut [Option<i64>]) -> io::Result<()> {
        let mut candidates: Vec<usize> = (0..keys.len()).filter(|&at| self.filter.may_have(keys[at])).collect();
        // Pages are read in their order.
        candidates.sort_unstable_by_key(|&at| keys[at]);
        for run in &self.runs {
            let mut failed = Ok(());
            candidates.retain(|&at| match run.find(keys[at], &mut self.page) {
                Ok(Some(time)) => {
                    newest[at] = newest[at].max(Some(time));
                    // Without times, one run is as good as another.
                    run.has_times()
                }
                Ok(None) => true,
                Err(error) => {
                    failed = Err(error);
                    true
                }
            });
            failed?;
        }
        Ok(())
    }

    fn put(&mut self, run: Run) {
        if run.claims > 0 {
            self.runs.push(Arc::new(run));
            self.runs.sort_by_key(|run| Reverse(run.claims));
        }
    }
}
