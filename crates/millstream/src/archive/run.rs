//! The archiver: one task that brings what the real-time table holds into the archive, window by window, and then lets go of
//! what nobody needs any more.

use std::sync::Arc;
use std::time::Duration;

use millstream_core::ids::Topic;
use millstream_core::progress::Offsets;
use millstream_core::status::ArchiveVersion;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::info;

use super::{ArchiveError, ArchiveTable};
use crate::board::Board;
use crate::clock::{now_micros, rfc3339};
use crate::failpoint;
use crate::stop::{Phase, StopToken};
use crate::stream::LogError;
use crate::stream::embedded::{EmbeddedLog, Retention};
use crate::table::LiveTable;

/// How often old rows and records are looked for while nothing is archived.
const TIDY_INTERVAL: Duration = Duration::from_secs(1);

/// The archiver.
#[derive(Debug)]
pub(crate) struct Archiver {
    /// Table of clean rows, then of rejects.
    pub(crate) tables: [ArchiveTable; 2],
    /// Where rows come from and what is told about the new version.
    pub(crate) live: Arc<LiveTable>,
    /// The log, to trim.
    pub(crate) log: EmbeddedLog,
    /// When records may leave the log.
    pub(crate) retention: Retention,
    /// Longest time between commits while rows come.
    pub(crate) commit_interval: Duration,
    /// Bytes waiting at which a commit is made at once.
    pub(crate) target_bytes: u64,
    /// Where numbers go.
    pub(crate) board: Arc<Board>,
}

/// Why archiving ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiverError {
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Trimming the log.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl Archiver {
    /// Archives until everything is received (`received` turns true) and archived, or `stop` says abort.
    pub(crate) async fn run(
        self,
        mut received: watch::Receiver<bool>,
        mut stop: StopToken,
    ) -> Result<(), ArchiverError> {
        let mut changed = self.live.changed();
        let mut due: Option<Instant> = None;
        let mut last = false;
        loop {
            let size = self.live.size();
            let waiting = self.waiting();
            if last && !waiting {
                return Ok(());
            }
            if !waiting {
                due = None;
            } else if due.is_none() {
                due = Some(Instant::now() + self.commit_interval);
            }
            let urgent = size.bytes_not_archived >= self.target_bytes.min(self.live.limits().bytes / 4);
            if waiting && (last || urgent || due.is_some_and(|due| due <= Instant::now())) {
                tokio::select! {
                    () = stop.reached(Phase::Abort) => return Ok(()),
                    // Dropped in the middle, a commit either landed or did not: the next start reads which.
                    archived = self.archive() => archived?,
                }
                due = None;
                continue;
            }
            let timer = due.unwrap_or_else(|| Instant::now() + self.commit_interval.min(TIDY_INTERVAL));
            let idle = tokio::select! {
                () = stop.reached(Phase::Abort) => return Ok(()),
                () = tokio::time::sleep_until(timer) => due.is_none(),
                // The table lives as long as this task does.
                _ = changed.changed() => false,
                _ = received.wait_for(|&done| done), if !last => {
                    last = true;
                    false
                }
            };
            if idle {
                // Rows grow old without commits, too.
                self.tidy().await?;
            }
        }
    }

    /// Whether there are records that the archive does not hold.
    fn waiting(&self) -> bool {
        self.live.high() != self.live.archived_offsets()
    }

    /// Brings everything that is waiting into both tables.
    async fn archive(&self) -> Result<(), ArchiverError> {
        for table in &self.tables {
            self.archive_table(table).await?;
        }
        failpoint::hit("archive.before_trim");
        self.tidy().await
    }

    /// Lets go of rows and records that are past their retention.
    async fn tidy(&self) -> Result<(), ArchiverError> {
        self.live.tidy(now_micros());
        let trimmed = self.log.trim(self.live.archived_offsets(), self.retention).await?;
        if trimmed > 0 {
            info!(records = trimmed, "log trimmed");
        }
        Ok(())
    }

    async fn archive_table(&self, table: &ArchiveTable) -> Result<(), ArchiveError> {
        let window = self.live.window(table.topic);
        if window.start == window.end {
            return Ok(());
        }
        let committed = table.commit(&window).await?;
        failpoint::hit("archive.before_swap");
        let offsets: Offsets = committed.loaded.offsets.clone();
        let archived = Arc::new(table.for_queries(committed.loaded).await?);
        let version = ArchiveVersion {
            version: archived.version,
            at: rfc3339(now_micros()),
            rows: committed.staged.rows,
            files: committed.staged.paths.len() as u64,
            bytes: committed.staged.bytes,
        };
        self.live.archived(table.topic, Arc::clone(&archived), &offsets);
        self.board.archived(table.topic, &window, &archived, (table.topic == Topic::Rows).then_some(version));
        info!(table = %table.name(), version = archived.version, rows = window.rows(), "batch archived");
        Ok(())
    }
}
