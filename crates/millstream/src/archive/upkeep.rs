//! Upkeep: what the archive needs besides rows. Small files are put together, checkpoints written, rows past their retention
//! deleted, and files and log entries removed that nobody can read any more.
//!
//! Any number of processes may do this at once, and beside those that archive: what makes it right is that every commit is made
//! against the snapshot in which its condition was found true. That one process at a time does it only saves work.

mod expire;
pub(crate) mod log;
mod pace;
mod plan;
mod replace;
mod rewrite;
pub(crate) mod run;
mod vacuum;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use deltalake::DeltaTable;
use deltalake::kernel::LogicalFileView;
use millstream_core::config::RetentionBy;
use millstream_core::ids::Topic;
use millstream_core::record::INGESTED_AT;
use serde::Serialize;

use self::expire::Expiry;
pub(crate) use self::pace::Pace;
use self::plan::{DataFile, Policy, groups};
use self::replace::{Reason, Replaced};
use self::rewrite::{Keep, Rewritten, Sizes};
pub(crate) use self::vacuum::Vacuumed;
use super::{ArchiveError, ArchiveTable, Loaded, PARTITION_COLUMN};
use crate::clock::now_micros;
use crate::disk;
use crate::failpoint;
use crate::table::LiveTable;

/// Without a row for this long, a partition is taken to be complete.
const QUIET: Duration = Duration::from_hours(1);

/// Files below this part of `archive.target_file_bytes` are small.
const SMALL_PART: u64 = 8;
const SMALL_PART_BY_HAND: u64 = 2;

/// Parts of `limits.memory`: the row group that is being written, and the file that is being read.
const ROW_GROUP_PART: u64 = 32;
const INPUT_PART: u64 = 16;

/// What putting files together came to, or would come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Compacted {
    /// Small files that were put together.
    pub(crate) files_before: u64,
    /// What they became; 0 in a dry run.
    pub(crate) files_after: u64,
    /// Bytes before.
    pub(crate) bytes_before: u64,
    /// Bytes after; 0 in a dry run.
    pub(crate) bytes_after: u64,
}

/// What deleting rows came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Expired {
    /// Rows that were deleted; in a dry run those of files that would go as a whole.
    pub(crate) rows: u64,
    /// Files that went as a whole.
    pub(crate) whole_files: u64,
    /// Files that were rewritten without some of their rows.
    pub(crate) rewritten_files: u64,
}

impl Compacted {
    fn add(&mut self, other: Self) {
        self.files_before += other.files_before;
        self.files_after += other.files_after;
        self.bytes_before += other.bytes_before;
        self.bytes_after += other.bytes_after;
    }
}

impl Expired {
    fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.whole_files += other.whole_files;
        self.rewritten_files += other.rewritten_files;
    }
}

/// How a piece of upkeep is done.
#[derive(Debug)]
pub(crate) struct Manner {
    /// `limits.memory`.
    pub(crate) memory: u64,
    /// How fast.
    pub(crate) pace: Pace,
    /// All that can be done, not only what is worth it by itself.
    pub(crate) everything: bool,
    /// Only tell.
    pub(crate) dry_run: bool,
    /// What is told about new versions.
    pub(crate) live: Option<Arc<LiveTable>>,
}

impl ArchiveTable {
    /// Puts small files together. `step` is told which of how many groups is next. A group with a file that cannot be read keeps the
    /// others from nothing; it is told when they are done.
    pub(crate) async fn compact(
        &self,
        manner: &mut Manner,
        step: &(dyn Fn(usize, usize) + Send + Sync),
    ) -> Result<Compacted, ArchiveError> {
        let mut compacted = Compacted::default();
        let Some(loaded) = self.load().await? else { return Ok(compacted) };
        let policy = self.policy(manner.memory, manner.everything);
        let groups = groups(&self.files(&loaded.table)?, &policy);
        let count = groups.len();
        let mut unreadable = None;
        for (number, group) in groups.into_iter().enumerate() {
            step(number, count);
            match self.compact_group(&loaded, &group, policy.target_bytes, manner).await {
                Ok(Some(done)) => compacted.add(done),
                Ok(None) => break,
                Err(error) if self.is_of_one_file(&error) => drop(unreadable.get_or_insert(error)),
                Err(error) => return Err(error),
            }
        }
        unreadable.map_or(Ok(compacted), Err)
    }

    /// Puts the files of a group together; none when it was told to stop.
    async fn compact_group(
        &self,
        loaded: &Loaded,
        group: &[DataFile],
        target_bytes: u64,
        manner: &mut Manner,
    ) -> Result<Option<Compacted>, ArchiveError> {
        let bytes: u64 = group.iter().map(|file| file.bytes).sum();
        let mut compacted = Compacted { files_before: group.len() as u64, bytes_before: bytes, ..Compacted::default() };
        if manner.dry_run {
            return Ok(Some(compacted));
        }
        self.check_room(disk::LOG_RESERVE_BYTES + 2 * bytes)?;
        let sizes = Sizes { file: target_bytes.saturating_mul(2), row_group: row_group(manner.memory) };
        let Some(rewritten) = self.rewrite(loaded, group, None, sizes, &mut manner.pace).await? else {
            return Ok(None);
        };
        assert!(rewritten.rows == rewritten.rows_read, "rewritten files have the rows of those that they replace");
        failpoint::hit("upkeep.rewritten");
        let reason = Reason::Compact { target_bytes };
        let Some(newer) = self.put_in_place(loaded, group, &rewritten, reason).await? else {
            return Ok(Some(Compacted::default()));
        };
        compacted.files_after = rewritten.adds.len() as u64;
        compacted.bytes_after = rewritten.bytes();
        self.swap_in(manner, newer).await?;
        Ok(Some(compacted))
    }

    /// Deletes the rows that are past their retention; whole files first, for that needs no room. A file that cannot be read keeps the
    /// others from nothing; it is told when they are done.
    pub(crate) async fn expire(
        &self,
        manner: &mut Manner,
        step: &(dyn Fn(usize, usize) + Send + Sync),
    ) -> Result<Expired, ArchiveError> {
        let mut expired = Expired::default();
        let Some((keep, age)) = self.keep() else { return Ok(expired) };
        let Some(loaded) = self.load().await? else { return Ok(expired) };
        let late = if manner.everything { Duration::ZERO } else { expire::step(age) };
        let (found, mut unreadable) = self.expired(&loaded, &keep, late).await?;
        let count = found.len();
        for (number, expiry) in found.into_iter().enumerate() {
            step(number, count);
            match self.expire_file(&loaded, expiry, &keep, manner).await {
                Ok(Some(done)) => expired.add(done),
                Ok(None) => break,
                Err(error) if self.is_of_one_file(&error) => drop(unreadable.get_or_insert(error)),
                Err(error) => return Err(error),
            }
        }
        unreadable.map_or(Ok(expired), Err)
    }

    /// Takes what is past its retention out of a file; none when it was told to stop.
    async fn expire_file(
        &self,
        loaded: &Loaded,
        expiry: Expiry,
        keep: &Keep,
        manner: &mut Manner,
    ) -> Result<Option<Expired>, ArchiveError> {
        let (file, rewritten, rows) = match expiry {
            Expiry::Whole(file, rows) => (file, Rewritten { began_micros: now_micros(), ..Rewritten::default() }, rows),
            Expiry::Part(_) if manner.dry_run => return Ok(Some(Expired { rewritten_files: 1, ..Expired::default() })),
            Expiry::Part(file) => {
                let inputs = std::slice::from_ref(&file);
                self.check_room(disk::LOG_RESERVE_BYTES + 2 * file.bytes)?;
                let sizes = Sizes { file: u64::MAX, row_group: row_group(manner.memory) };
                let rewritten = self.rewrite(loaded, inputs, Some(keep), sizes, &mut manner.pace).await?;
                let Some(rewritten) = rewritten else { return Ok(None) };
                let rows = rewritten.rows_read - rewritten.rows;
                failpoint::hit("upkeep.rewritten");
                (file, rewritten, rows)
            }
        };
        if !manner.dry_run {
            let inputs = std::slice::from_ref(&file);
            let newer = self.put_in_place(loaded, inputs, &rewritten, Reason::Expire { rows }).await?;
            let Some(newer) = newer else { return Ok(Some(Expired::default())) };
            self.swap_in(manner, newer).await?;
        }
        let is_whole = rewritten.adds.is_empty();
        let (whole_files, rewritten_files) = (u64::from(is_whole), u64::from(!is_whole));
        Ok(Some(Expired { rows, whole_files, rewritten_files }))
    }

    /// Queries see a new version from now on.
    async fn swap_in(&self, manner: &Manner, loaded: Loaded) -> Result<(), ArchiveError> {
        let Some(live) = &manner.live else { return Ok(()) };
        live.archived(self.topic, Arc::new(self.for_queries(loaded).await?));
        Ok(())
    }

    /// Commits what was written in the place of others; none when they were gone.
    async fn put_in_place(
        &self,
        loaded: &Loaded,
        inputs: &[DataFile],
        rewritten: &Rewritten,
        reason: Reason,
    ) -> Result<Option<Loaded>, ArchiveError> {
        match self.replace(inputs, rewritten, reason).await? {
            Replaced::Landed(newer) => Ok(Some(*newer)),
            Replaced::Outdated { unused } => {
                if unused {
                    let paths: Vec<String> = rewritten.adds.iter().map(|add| add.path.clone()).collect();
                    self.take_back(loaded, &paths).await;
                }
                Ok(None)
            }
        }
    }

    /// Which files are worth putting together.
    fn policy(&self, memory: u64, everything: bool) -> Policy {
        let target_bytes = self.upkeep.target_file_bytes;
        // By itself it leaves files that are large enough to be read well: rows that come by the million are not written twice.
        let part = if everything { SMALL_PART_BY_HAND } else { SMALL_PART };
        Policy {
            target_bytes,
            // A row group is read as a whole, and a file may be one row group.
            small_bytes: (target_bytes / part).min(memory / INPUT_PART),
            quiet_since_micros: now_micros() - i64::try_from(QUIET.as_micros()).unwrap_or(i64::MAX),
            everything,
        }
    }

    /// Which rows stay, and the age at which they leave; none without a retention.
    fn keep(&self) -> Option<(Keep, Duration)> {
        let retention = self.upkeep.retention?;
        let by_event_time = retention.by == RetentionBy::EventTime && self.topic == Topic::Rows;
        let column = self.event_time.clone().filter(|_| by_event_time).unwrap_or_else(|| INGESTED_AT.to_owned());
        let age = i64::try_from(retention.age.as_micros()).unwrap_or(i64::MAX);
        Some((Keep { column, from_micros: now_micros().saturating_sub(age) }, retention.age))
    }

    /// The live files.
    fn files(&self, table: &DeltaTable) -> Result<Vec<DataFile>, ArchiveError> {
        let state = table.snapshot().map_err(self.delta("read"))?;
        Ok(state.log_data().iter().map(|view| data_file(&view)).collect())
    }

    /// The live files with what the log tells of their rows.
    fn files_with_stats(&self, loaded: &Loaded) -> Result<Vec<(DataFile, Option<String>)>, ArchiveError> {
        let state = loaded.table.snapshot().map_err(self.delta("read"))?;
        Ok(state.log_data().iter().map(|view| (data_file(&view), view.stats())).collect())
    }
}

fn data_file(view: &LogicalFileView) -> DataFile {
    DataFile {
        path: view.path().into_owned(),
        bytes: u64::try_from(view.size()).unwrap_or(0),
        partition: view.partition_values_map().remove(PARTITION_COLUMN).flatten(),
        modified_micros: view.modification_time().saturating_mul(1000),
    }
}

fn row_group(memory: u64) -> NonZeroUsize {
    usize::try_from(memory / ROW_GROUP_PART).ok().and_then(NonZeroUsize::new).unwrap_or(NonZeroUsize::MAX)
}
