//! Cleaning: from the rows of a split to clean rows and rejects. The rules are decided in `millstream_core::plan`; an engine
//! carries them out.

pub(crate) mod batch;
pub(crate) mod datafusion;
pub(crate) mod spark;

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use millstream_core::plan::FilePlan;
use tokio::sync::mpsc;

use crate::source::SourceError;
use crate::source::read::{OpenFile, Split};
use crate::stop::StopToken;

/// A split to clean.
#[derive(Debug)]
pub(crate) struct Job {
    /// Its rows.
    pub(crate) split: Split,
    /// What happens to them.
    pub(crate) plan: Arc<FilePlan>,
    /// Where the batches go, in the order of rows.
    pub(crate) batches: mpsc::Sender<SplitEvent>,
}

/// What a split sends. A channel that closes without `End` or `Failed` was interrupted: nothing is wrong with its file.
#[derive(Debug)]
pub(crate) enum SplitEvent {
    /// More rows.
    Batch(CleanedBatch),
    /// That was the last row.
    End,
    /// There will be no more.
    Failed(CleanError),
}

/// What became of consecutive rows of a file.
#[derive(Debug)]
pub(crate) struct CleanedBatch {
    /// The rows that were looked at.
    pub(crate) rows: Range<u64>,
    /// What became of them.
    pub(crate) cleaned: batch::Cleaned,
}

/// Why a split was not cleaned to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CleanError {
    /// Its file cannot be read (on): the file is quarantined.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A rule with the action `fail` was broken, or an expression could not be carried out: the run stops.
    #[error(transparent)]
    Rows(#[from] batch::CleanError),
    /// Spark could not clean it: the run stops.
    #[error(transparent)]
    Spark(#[from] spark::error::SparkError),
}

/// What an engine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Engine {
    /// `datafusion` or `spark`.
    pub(crate) name: &'static str,
    /// Compressed bytes of a file that are cleaned as one split, about.
    pub(crate) split_bytes: u64,
}

/// An engine that cleans.
#[async_trait]
pub(crate) trait Cleaner: Send + Sync {
    /// What it is.
    fn engine(&self) -> Engine;

    /// Why it would not clean a file as the plan says; the file is quarantined then.
    fn refuses(&self, file: &OpenFile, plan: &FilePlan) -> Option<String>;

    /// Cleans a split and sends what became of it. Ends early when nobody listens any more or `stop` says so. Where the plan
    /// has an action that stops the run, nothing is sent before the whole split was found to be free of such rows.
    async fn clean(&self, job: Job, stop: StopToken);

    /// Lets go of what it holds elsewhere; nothing is cleaned afterwards.
    async fn close(&self);
}
