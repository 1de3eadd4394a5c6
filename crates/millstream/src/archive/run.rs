//! The archiver: one task that brings what the real-time table holds into the archive, window by window, and then lets go of
//! what nobody needs any more.

use std::sync::Arc;
use std::time::Duration;

use millstream_core::ids::Topic;
use millstream_core::status::ArchiveVersion;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use super::commit::Outcome;
use super::{ArchiveError, ArchiveTable, Loaded};
use crate::board::Board;
use crate::chain::chain;
use crate::clock::{now_micros, rfc3339};
use crate::disk;
use crate::failpoint;
use crate::stop::{Phase, StopToken};
use crate::stream::{Log, LogError, Retention};
use crate::table::{LiveTable, Window};

/// How often old rows and records are looked for while nothing is archived.
const TIDY_INTERVAL: Duration = Duration::from_secs(1);

/// How long is waited before a full disk is written to again.
const FULL_PAUSE: Duration = Duration::from_secs(1);

/// The archiver.
#[derive(Debug)]
pub(crate) struct Archiver {
    /// Table of clean rows, then of rejects.
    pub(crate) tables: [ArchiveTable; 2],
    /// Where rows come from and what is told about the new version.
    pub(crate) live: Arc<LiveTable>,
    /// The log, to trim.
    pub(crate) log: Arc<dyn Log>,
    /// When records may leave the log.
    pub(crate) retention: Retention,
    /// Longest time between commits while rows come.
    pub(crate) commit_interval: Duration,
    /// Bytes waiting at which a commit is made at once.
    pub(crate) target_bytes: u64,
    /// Where numbers go.
    pub(crate) board: Arc<Board>,
    /// Ticks when somebody cannot wait for the interval.
    pub(crate) hurry: watch::Receiver<u64>,
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
        mut self,
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
            let hurried = self.hurry.has_changed().unwrap_or(false);
            let urgent = hurried || size.bytes_not_archived >= self.target_bytes.min(self.live.limits().bytes / 4);
            self.hurry.mark_unchanged();
            if waiting && (last || urgent || due.is_some_and(|due| due <= Instant::now())) {
                tokio::select! {
                    () = stop.reached(Phase::Abort) => return Ok(()),
                    // Dropped in the middle, a commit either landed or did not: the next start reads which.
                    archived = self.archive() => {
                        match archived {
                            Err(ArchiverError::Archive(error)) if disk::is_full(&error) => {
                                self.full(&error);
                                // What the archive holds already may leave the log, which may be on the same disk.
                                self.tidy().await?;
                            }
                            archived => {
                                archived?;
                                self.board.archive_waits(None);
                                due = None;
                                continue;
                            }
                        }
                    }
                }
                tokio::select! {
                    () = stop.reached(Phase::Abort) => return Ok(()),
                    () = tokio::time::sleep(FULL_PAUSE) => continue,
                }
            }
            let timer = due.unwrap_or_else(|| Instant::now() + self.commit_interval.min(TIDY_INTERVAL));
            let hurry = self.hurry.clone();
            let idle = tokio::select! {
                () = stop.reached(Phase::Abort) => return Ok(()),
                () = hurried_by(hurry) => false,
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

    /// A full disk is waited out: rows stay in the log meanwhile.
    fn full(&self, error: &ArchiveError) {
        let text = chain(error);
        if self.board.archive_waits(Some(&text)) {
            warn!(error = text, "the disk of the archive is full; trying again until there is room");
        }
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
        // As much of it as there is room for: the log may wait for what leaves it once it is archived. Compressed rows are smaller.
        let window = match table.room() {
            Some(room) => window.within(room.saturating_sub(disk::ARCHIVE_RESERVE_BYTES)),
            None => window,
        };
        table.check_room(disk::ARCHIVE_RESERVE_BYTES + window.bytes())?;
        let (loaded, staged) = match table.commit(&window).await? {
            Outcome::Landed { loaded, staged } => (loaded, staged),
            Outcome::Moved(loaded) => return self.moved(table, &window, loaded).await,
        };
        failpoint::hit("archive.before_swap");
        let archived = Arc::new(table.for_queries(loaded).await?);
        let version = ArchiveVersion {
            version: archived.version,
            at: rfc3339(now_micros()),
            rows: staged.rows,
            files: staged.paths.len() as u64,
            bytes: staged.bytes,
        };
        self.live.archived(table.topic, Arc::clone(&archived));
        self.board.committed(table.topic, window.rows());
        self.board.archived(table.topic, &window, &archived, (table.topic == Topic::Rows).then_some(version));
        info!(table = %table.name(), version = archived.version, rows = window.rows(), "batch archived");
        Ok(())
    }

    /// Another process archived rows of the window: those are not ours any more, the others are tried again.
    async fn moved(&self, table: &ArchiveTable, window: &Window, loaded: Loaded) -> Result<(), ArchiveError> {
        let archived = Arc::new(table.for_queries(loaded).await?);
        info!(table = %table.name(), version = archived.version, "another process archived rows that were held here; going on behind them");
        let held = window.below(&archived.offsets);
        self.live.archived(table.topic, Arc::clone(&archived));
        self.board.archived(table.topic, &held, &archived, None);
        Ok(())
    }
}

/// Waits until somebody cannot wait. Cancel safe.
async fn hurried_by(mut hurry: watch::Receiver<u64>) {
    if hurry.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
