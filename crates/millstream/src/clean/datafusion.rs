//! The engine at hand: reads a split with the Parquet library and cleans it batch by batch with DataFusion's expressions.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use futures::StreamExt;
use millstream_core::plan::FilePlan;
use object_store::ObjectStore;

use super::batch::BatchCleaner;
use super::{CleanError, CleanedBatch, Cleaner, Engine, Job, SplitEvent};
use crate::board::gauges::{Gauges, Step};
use crate::source::SourceError;
use crate::source::read::{self, OpenFile};
use crate::source::untrusted::quiet::caught;
use crate::stop::{Phase, StopToken};

/// Compressed bytes of the row groups that make a split.
const SPLIT_BYTES: u64 = 64 * 1024 * 1024;

/// Cleans in this process.
#[derive(Debug)]
pub(crate) struct DataFusionCleaner {
    /// The store that files are in.
    pub(crate) store: Arc<dyn ObjectStore>,
    /// Rows of a batch.
    pub(crate) batch_rows: NonZeroUsize,
    /// Bytes past which a batch is cut.
    pub(crate) batch_bytes: u64,
    /// Hears what is at work and how long it takes.
    pub(crate) gauges: Arc<Gauges>,
}

#[async_trait]
impl Cleaner for DataFusionCleaner {
    fn engine(&self) -> Engine {
        Engine { name: "datafusion", split_bytes: SPLIT_BYTES }
    }

    fn refuses(&self, _file: &OpenFile, _plan: &FilePlan) -> Option<String> {
        None
    }

    async fn close(&self) {}

    async fn clean(&self, job: Job, mut stop: StopToken) {
        let passes: &[bool] = if job.plan.can_fail() { &[false, true] } else { &[true] };
        for &sends in passes {
            let ended = tokio::select! {
                () = stop.reached(Phase::Abort) => return,
                ended = caught(self.pass(&job, sends)) => ended,
            };
            // A panic of the Parquet library over the pages of a file is the file's fault.
            let ended = ended.unwrap_or_else(|panic| Err(SourceError::panicked(&job.split.file.found, panic).into()));
            if let Err(error) = ended {
                // Nobody listens when the publisher has given the file up.
                let _ = job.batches.send(SplitEvent::Failed(error)).await;
                return;
            }
        }
        let _ = job.batches.send(SplitEvent::End).await;
    }
}

impl DataFusionCleaner {
    /// One pass over the split; sends what became of the rows only if `sends`.
    async fn pass(&self, job: &Job, sends: bool) -> Result<(), CleanError> {
        let rules = BatchCleaner::new(Arc::clone(&job.plan))?;
        let batch_rows = self.rows_of_a_batch(job);
        let mut rows = read::rows(Arc::clone(&self.store), &job.split, &job.plan.source_columns(), batch_rows);
        let mut expected = job.split.rows.start;
        let at_work = self.gauges.split(&job.split.file.found.file, job.split.rows.clone());
        let mut began = Instant::now();
        while let Some(next) = rows.next().await {
            let (first_row, raw) = next?;
            self.gauges.took(Step::Read, began.elapsed());
            expected += raw.num_rows() as u64;
            began = Instant::now();
            let cleaned = rules.clean(first_row, &raw)?;
            self.gauges.took(Step::Clean, began.elapsed());
            at_work.reached(expected);
            if sends
                && job
                    .batches
                    .send(SplitEvent::Batch(CleanedBatch { rows: first_row..expected, cleaned }))
                    .await
                    .is_err()
            {
                return Ok(());
            }
            began = Instant::now();
        }
        if expected != job.split.rows.end {
            let reason = format!("its footer tells of {} rows, and it ended at row {expected}", job.split.rows.end);
            return Err(SourceError::Read { file: job.split.file.found.file.to_string(), reason }.into());
        }
        Ok(())
    }

    /// Fewer rows where they are wide, by what the footer says of their size.
    fn rows_of_a_batch(&self, job: &Job) -> usize {
        let groups = &job.split.file.metadata.metadata().row_groups()[job.split.row_groups.clone()];
        let bytes: u64 = groups.iter().map(|group| u64::try_from(group.total_byte_size()).unwrap_or(0)).sum();
        let rows: u64 = groups.iter().map(|group| u64::try_from(group.num_rows()).unwrap_or(0)).sum();
        let row_bytes = (bytes / rows.max(1)).max(1);
        let by_bytes = usize::try_from(self.batch_bytes / row_bytes).unwrap_or(usize::MAX).max(1);
        self.batch_rows.get().min(by_bytes)
    }
}
