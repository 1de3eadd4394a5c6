//! Planning: takes accepted files in order, reads their footers, decides how each is cleaned, and starts its splits, several
//! at a time. What it sends is in the order of files and rows.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use millstream_core::config::Config;
use millstream_core::plan::{FilePlan, KnownSchema, PlanRefusal};
use millstream_core::progress::FilePhase;
use tokio::sync::{Semaphore, mpsc};
use tracing::warn;

use super::find::AcceptedFile;
use super::read::{OpenFile, Split};
use super::untrusted::Guard;
use super::{SourceError, read};
use crate::clean::spark::refusal;
use crate::clean::{Cleaner, Job, SplitEvent};
use crate::publishing::rules::Rules;
use crate::stop::{Phase, StopToken};
use crate::supervise::{TaskError, Tasks};

/// Reasons that are told why Spark would not clean files.
const REASONS: usize = 20;

/// Cleaned batches that a split may be ahead of the publisher.
const BATCHES_AHEAD: usize = 2;

/// What the publisher gets, in the order of files and rows.
#[derive(Debug)]
pub(crate) enum Work {
    /// The rows that follow are of this file.
    Start(Box<Start>),
    /// A split of that file.
    Split(mpsc::Receiver<SplitEvent>),
    /// All splits of that file were sent.
    End,
    /// The file will not be read (on).
    Quarantine {
        /// Its number.
        sequence: u64,
        /// Why.
        reason: String,
    },
}

/// Facts of a file that is about to be published.
#[derive(Debug)]
pub(crate) struct Start {
    /// Its number.
    pub(crate) sequence: u64,
    /// Its size and tag, which may have changed while it waited.
    pub(crate) size: u64,
    /// Its modification tag.
    pub(crate) tag: String,
    /// Rows by its footer.
    pub(crate) rows: u64,
    /// How it is cleaned.
    pub(crate) plan: Arc<FilePlan>,
    /// Columns known from here on.
    pub(crate) known: KnownSchema,
    /// Name of the engine.
    pub(crate) engine: &'static str,
}

/// The planner.
pub(crate) struct Planner {
    /// The pipeline file.
    pub(crate) config: Arc<Config>,
    /// Rules of now, and those under which files began.
    pub(crate) rules: Arc<Rules>,
    /// Columns known so far.
    pub(crate) known: KnownSchema,
    /// The engine.
    pub(crate) cleaner: Arc<dyn Cleaner>,
    /// The store that files are in.
    pub(crate) store: Arc<dyn object_store::ObjectStore>,
    /// Why Spark would not clean what another engine cleans, as far as it was told.
    pub(crate) not_by_spark: HashSet<String>,
    /// What files are held to.
    pub(crate) guard: Arc<Guard>,
}

impl Planner {
    /// Plans files until there are no more, or `stop` says so.
    pub(crate) async fn run(
        mut self,
        mut files: mpsc::Receiver<AcceptedFile>,
        work: mpsc::Sender<Work>,
        mut stop: StopToken,
        tasks: Tasks,
    ) -> Result<(), SourceError> {
        let slots = Arc::new(Semaphore::new(self.config.source.parallel_splits.get()));
        loop {
            let file = tokio::select! {
                () = stop.reached(Phase::Drain) => return Ok(()),
                file = files.recv() => file,
            };
            let Some(file) = file else { return Ok(()) };
            let sequence = file.progress.sequence;
            match self.plan(file).await {
                Ok(planned) => {
                    if self.publish(planned, &work, &slots, &mut stop, &tasks).await? == Phase::Drain {
                        return Ok(());
                    }
                }
                Err(SourceError::Closed) => return Err(SourceError::Closed),
                Err(SourceError::Stop { file, reason }) => return Err(SourceError::Stop { file, reason }),
                Err(error) => {
                    warn!(sequence, %error, "file quarantined");
                    send(&work, Work::Quarantine { sequence, reason: error.reason() }).await?;
                }
            }
        }
    }

    async fn plan(&mut self, file: AcceptedFile) -> Result<Planned, SourceError> {
        let AcceptedFile { mut found, progress } = file;
        let name = found.file.to_string();
        if progress.phase == FilePhase::Accepted {
            // Nothing of it is published: it may still become another.
            found = read::as_it_is_now(&*self.store, found).await?;
        }
        let open = read::open(Arc::clone(&self.store), found, &self.guard).await?;
        let started = progress.phase == FilePhase::Started;
        let not_kept = || {
            SourceError::Refused {
            file: name.clone(),
            reason: "it is half published under other rules, which are not kept any more; bring the pipeline file of then back until it is \
                     finished"
                .to_owned(),
        }
        };
        let config = self.rules.of_file(&progress).ok_or_else(not_kept)?;
        let event_time = config.source.event_time.as_deref();
        let plan = FilePlan::new(&config.clean, event_time, &self.known, open.metadata.schema());
        let plan = plan.map_err(|refusal| match refusal {
            PlanRefusal::Quarantine(reason) => SourceError::Refused { file: name.clone(), reason },
            PlanRefusal::Fail(reason) => SourceError::Stop { file: name.clone(), reason },
        })?;
        if let Some(reason) = self.cleaner.refuses(&open, &plan) {
            if started {
                let reason =
                    format!("{reason}; it is half published by another engine: bring that back until it is finished");
                return Err(SourceError::Stop { file: name, reason });
            }
            return Err(SourceError::Refused { file: name, reason });
        }
        if self.config.spark.is_none() {
            self.tell_of_spark(&open, &plan);
        }
        if started && progress.rules_hash.as_ref().is_some_and(|hash| *hash != plan.rules_hash) {
            return Err(not_kept());
        }
        let known = plan.known.clone();
        self.known = known.clone();
        let rows = open.rows();
        let start = Start {
            sequence: progress.sequence,
            size: open.found.size,
            tag: open.found.tag.clone(),
            rows,
            plan: Arc::new(plan),
            known,
            engine: self.cleaner.engine().name,
        };
        Ok(Planned { open: Arc::new(open), start, next_row: progress.next_row })
    }

    /// A pipeline that moves to a cluster should not begin to fail there: what would keep it from that is told before.
    fn tell_of_spark(&mut self, open: &OpenFile, plan: &FilePlan) {
        if self.not_by_spark.len() < REASONS
            && let Some(reason) = refusal(open, plan)
            && self.not_by_spark.insert(reason.clone())
        {
            warn!(file = %open.found.file, reason, "with `[clean.spark]` this file would be quarantined");
        }
    }

    /// Sends a file: start, splits, end. Gives `Drain` when it was told to stop on the way.
    async fn publish(
        &self,
        planned: Planned,
        work: &mpsc::Sender<Work>,
        slots: &Arc<Semaphore>,
        stop: &mut StopToken,
        tasks: &Tasks,
    ) -> Result<Phase, SourceError> {
        let Planned { open, start, next_row } = planned;
        let plan = Arc::clone(&start.plan);
        send(work, Work::Start(Box::new(start))).await?;
        for split in splits(&open, next_row, self.cleaner.engine().split_bytes) {
            let slot = tokio::select! {
                () = stop.reached(Phase::Drain) => return Ok(Phase::Drain),
                slot = Arc::clone(slots).acquire_owned() => slot.map_err(|_| SourceError::Closed)?,
            };
            let (batches, receiver) = mpsc::channel(BATCHES_AHEAD);
            let job = Job { split, plan: Arc::clone(&plan), batches };
            let cleaner = Arc::clone(&self.cleaner);
            let stop = stop.clone();
            tasks.spawn_work("split", async move {
                cleaner.clean(job, stop).await;
                drop(slot);
                Ok::<(), TaskError>(())
            });
            send(work, Work::Split(receiver)).await?;
        }
        send(work, Work::End).await?;
        Ok(Phase::Run)
    }
}

/// A file that is ready to be published.
struct Planned {
    open: Arc<OpenFile>,
    start: Start,
    next_row: u64,
}

async fn send(work: &mpsc::Sender<Work>, item: Work) -> Result<(), SourceError> {
    work.send(item).await.map_err(|_| SourceError::Closed)
}

/// The splits of a file that hold rows at or above `next_row`.
fn splits(file: &Arc<OpenFile>, next_row: u64, split_bytes: u64) -> Vec<Split> {
    let mut splits = Vec::new();
    let groups = file.metadata.metadata().row_groups();
    let mut start = 0;
    let mut first = 0;
    let (mut rows, mut bytes) = (0, 0);
    for (index, group) in groups.iter().enumerate() {
        rows += u64::try_from(group.num_rows()).unwrap_or(0);
        bytes += u64::try_from(group.compressed_size()).unwrap_or(0);
        let next_bytes = groups.get(index + 1).map(|next| u64::try_from(next.compressed_size()).unwrap_or(0));
        if next_bytes.is_none_or(|next| bytes.saturating_add(next) > split_bytes) {
            if let Some(wanted) = wanted(start..start + rows, next_row) {
                splits.push(Split { file: Arc::clone(file), row_groups: first..index + 1, rows: wanted, start });
            }
            start += rows;
            first = index + 1;
            (rows, bytes) = (0, 0);
        }
    }
    splits
}

/// The rows of a split that are not done yet.
fn wanted(rows: Range<u64>, next_row: u64) -> Option<Range<u64>> {
    let wanted = rows.start.max(next_row)..rows.end;
    (!wanted.is_empty()).then_some(wanted)
}
