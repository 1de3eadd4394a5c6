//! The keeper: one task that does what upkeep is due, one piece after the other, beside the pipeline.

use std::sync::Arc;
use std::time::Duration;

use millstream_core::ids::{Topic, TopicPartition};
use millstream_core::status::MessageLevel;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use super::super::{ArchiveError, ArchiveTable, ArchivedTable, Loaded};
use super::{Manner, Pace, expire, groups};
use crate::board::Board;
use crate::chain::chain;
use crate::stop::{Phase, StopToken};
use crate::table::LiveTable;

/// Bounds of the time between two looks.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);
const LONGEST_INTERVAL: Duration = Duration::from_secs(10);

/// Bounds of the time between two looks at what is old.
const SHORTEST_ROUND: Duration = Duration::from_secs(1);
const LONGEST_ROUND: Duration = Duration::from_hours(1);

/// The real-time table has more than this part of its limit waiting for the archive: the pipeline is busy.
const BUSY_PART: u64 = 8;

/// So many small files are put together however busy it is, and before a run ends by itself. Fewer are left to the next run.
const MANY_FILES: u64 = 500;

/// How long nothing is tried after something failed.
const REST_AFTER_FAILURE: Duration = Duration::from_secs(10);

/// The process that receives this partition keeps the archive.
const KEEPS: TopicPartition = TopicPartition { topic: Topic::Rows, partition: 0 };

/// The keeper.
#[derive(Debug)]
pub(crate) struct Keeper {
    /// Table of clean rows, then of rejects.
    pub(crate) tables: [ArchiveTable; 2],
    /// What is told about new versions.
    pub(crate) live: Arc<LiveTable>,
    /// Where numbers go.
    pub(crate) board: Arc<Board>,
    /// Longest time between commits while rows come: so often something may be due.
    pub(crate) commit_interval: Duration,
    /// `limits.memory`.
    pub(crate) memory: u64,
}

/// What was done last for a table.
#[derive(Debug, Default)]
struct Done {
    /// Version that was looked at for small files.
    planned: Option<u64>,
    /// Version of the newest checkpoint.
    checkpoint: Option<u64>,
    are_properties_set: bool,
    followed: Option<Instant>,
    vacuumed: Option<Instant>,
    expired: Option<Instant>,
    /// What people were told last.
    told: String,
}

impl Keeper {
    /// Keeps the archive until `stop` says so, or once more after everything is archived (`archived` is dropped).
    pub(crate) async fn run(self, mut archived: watch::Receiver<()>, mut stop: StopToken) -> Result<(), ArchiveError> {
        let mut done = [Done::default(), Done::default()];
        let interval = self.commit_interval.clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL);
        let mut is_last = false;
        loop {
            let mut rest = interval;
            for side in 0..self.tables.len() {
                let (table, done) = (&self.tables[side], &mut done[side]);
                if stop.is(Phase::Drain) {
                    return Ok(());
                }
                if let Err(error) = self.keep(table, done, is_last, &stop).await {
                    self.tell(table, done, &error);
                    rest = REST_AFTER_FAILURE;
                }
            }
            if is_last {
                return Ok(());
            }
            tokio::select! {
                () = stop.reached(Phase::Drain) => return Ok(()),
                // An error is what is waited for: nothing is ever sent.
                _ = archived.changed() => is_last = true,
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    /// Does what is due for a table: each step by itself, and first what makes room. What keeps one from being done (a full disk, a
    /// file that cannot be read) keeps no other. Nobody waits for more than that when it `is_last`. Tells the first error.
    async fn keep(
        &self,
        table: &ArchiveTable,
        done: &mut Done,
        is_last: bool,
        stop: &StopToken,
    ) -> Result<(), ArchiveError> {
        let Some(mut archived) = self.archived(table) else { return Ok(()) };
        if is_due(done.followed, (table.upkeep.history / 4).clamp(SHORTEST_ROUND, LONGEST_INTERVAL)) {
            // Others may have replaced files: a version that is older than the history cannot be read any more.
            done.followed = Some(Instant::now());
            if table.is_newer_than(archived.version).await?
                && let Some(loaded) = table.load().await?
            {
                archived = self.swap_in(table, loaded).await?;
            }
        }
        if !self.live.archived_offsets().contains_key(&KEEPS) {
            return Ok(());
        }
        let steps = [
            self.vacuum(table, done).await,
            self.set_properties(table, done).await,
            self.expire(table, done, stop).await,
            self.compact(table, done, &archived, is_last, stop).await,
            self.checkpoint(table, done, &archived).await,
        ];
        steps.into_iter().collect::<Result<(), _>>()?;
        done.told.clear();
        Ok(())
    }

    async fn set_properties(&self, table: &ArchiveTable, done: &mut Done) -> Result<(), ArchiveError> {
        if !done.are_properties_set {
            let checkpoints = table.upkeep.checkpoint_versions.get();
            done.are_properties_set = table.set_properties(table.upkeep.history, checkpoints).await?;
        }
        Ok(())
    }

    fn archived(&self, table: &ArchiveTable) -> Option<Arc<ArchivedTable>> {
        let archive = self.live.snapshot_of_state().archive;
        match table.topic {
            Topic::Rows => archive.rows,
            Topic::Rejects => archive.rejects,
        }
    }

    async fn swap_in(&self, table: &ArchiveTable, loaded: Loaded) -> Result<Arc<ArchivedTable>, ArchiveError> {
        let archived = Arc::new(table.for_queries(loaded).await?);
        self.live.archived(table.topic, Arc::clone(&archived));
        Ok(archived)
    }

    fn manner(&self, stop: &StopToken) -> Manner {
        Manner {
            memory: self.memory,
            pace: Pace::beside(stop.clone()),
            everything: false,
            dry_run: false,
            live: Some(Arc::clone(&self.live)),
        }
    }

    /// Puts small files together, unless that has to wait.
    async fn compact(
        &self,
        table: &ArchiveTable,
        done: &mut Done,
        archived: &ArchivedTable,
        is_last: bool,
        stop: &StopToken,
    ) -> Result<(), ArchiveError> {
        if done.planned == Some(archived.version) {
            return Ok(());
        }
        let policy = table.policy(self.memory, false);
        let files = table.files(&archived.table)?;
        let small = files.iter().filter(|file| policy.is_small(file)).count() as u64;
        self.board.upkeep(|upkeep| upkeep.small_files[side(table)] = small);
        if !table.upkeep.compact || groups(&files, &policy).is_empty() {
            done.planned = Some(archived.version);
            return Ok(());
        }
        // Rows come first, unless files pile up meanwhile, and a run whose rows are archived is done.
        let is_busy = self.live.bytes_not_archived() > self.live.limits().bytes / BUSY_PART;
        if small < MANY_FILES && (is_busy || is_last) {
            return Ok(());
        }
        let (board, name) = (Arc::clone(&self.board), folder_name(table));
        let told = move |number: usize, count: usize| {
            let doing = format!("putting small files of `{name}` together ({} of {count})", number + 1);
            board.upkeep(|upkeep| upkeep.doing = Some(doing));
        };
        let compacted = table.compact(&mut self.manner(stop), &told).await;
        self.board.upkeep(|upkeep| upkeep.doing = None);
        let compacted = compacted?;
        if compacted.files_before > 0 {
            self.board.upkeep(|upkeep| upkeep.compacted(compacted));
            let (files, into) = (compacted.files_before, compacted.files_after);
            info!(table = %table.name(), files, into, bytes = compacted.bytes_after, "small files put together");
        }
        done.planned = Some(archived.version);
        Ok(())
    }

    async fn expire(&self, table: &ArchiveTable, done: &mut Done, stop: &StopToken) -> Result<(), ArchiveError> {
        if !is_due(done.expired, expire_round(table)) {
            return Ok(());
        }
        let expired = table.expire(&mut self.manner(stop), &|_, _| {}).await?;
        if expired.rows > 0 {
            info!(table = %table.name(), rows = expired.rows, "rows past their retention deleted");
        }
        done.expired = Some(Instant::now());
        Ok(())
    }

    async fn checkpoint(
        &self,
        table: &ArchiveTable,
        done: &mut Done,
        archived: &ArchivedTable,
    ) -> Result<(), ArchiveError> {
        if done.checkpoint.is_none() {
            done.checkpoint = Some(table.checkpointed(&archived.table).await.unwrap_or_default());
        }
        let since = done.checkpoint.map_or(0, |checkpoint| archived.version.saturating_sub(checkpoint));
        if since < u64::from(table.upkeep.checkpoint_versions.get()) {
            return Ok(());
        }
        let Some((version, removed)) = table.checkpoint(table.upkeep.history).await? else { return Ok(()) };
        done.checkpoint = Some(version);
        self.board.upkeep(|upkeep| upkeep.checkpointed(table.topic, version));
        info!(table = %table.name(), version, log_files_removed = removed, "checkpoint written");
        Ok(())
    }

    async fn vacuum(&self, table: &ArchiveTable, done: &mut Done) -> Result<(), ArchiveError> {
        let history = table.upkeep.history;
        if !is_due(done.vacuumed, (history / 4).clamp(SHORTEST_ROUND, LONGEST_ROUND)) {
            return Ok(());
        }
        let Some(vacuumed) = table.vacuum(history, false).await? else { return Ok(()) };
        self.board.upkeep(|upkeep| upkeep.vacuumed(vacuumed, side(table)));
        let files = vacuumed.replaced_files + vacuumed.unknown_files;
        if files > 0 {
            info!(table = %table.name(), files, bytes = vacuumed.bytes, "files that nobody can read any more removed");
        }
        done.vacuumed = Some(Instant::now());
        Ok(())
    }

    /// Upkeep that fails stops nothing: it is tried again.
    fn tell(&self, table: &ArchiveTable, done: &mut Done, error: &ArchiveError) {
        let text = chain(error);
        if done.told != text {
            warn!(table = %table.name(), error = text, "the archive cannot be kept in shape; trying again");
            self.board.message(
                MessageLevel::Warn,
                format!("the archive cannot be kept in shape for now, and this is tried again: {text}"),
            );
            done.told = text;
        }
    }
}

fn is_due(last: Option<Instant>, every: Duration) -> bool {
    last.is_none_or(|last| last.elapsed() >= every)
}

fn expire_round(table: &ArchiveTable) -> Duration {
    let age = table.upkeep.retention.map_or(LONGEST_ROUND, |retention| expire::step(retention.age) / 2);
    age.clamp(SHORTEST_ROUND, LONGEST_ROUND)
}

fn folder_name(table: &ArchiveTable) -> &'static str {
    match table.topic {
        Topic::Rows => "rows",
        Topic::Rejects => "rejects",
    }
}

fn side(table: &ArchiveTable) -> usize {
    match table.topic {
        Topic::Rows => 0,
        Topic::Rejects => 1,
    }
}
