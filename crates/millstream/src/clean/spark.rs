//! The engine of a cluster: Apache Spark, driven over Spark Connect.
//!
//! Spark cleans a file with one query and says which rows break what. Its answer is spooled whole and checked against the
//! query's own counts before a row of it goes on, so that a result that was cut short cannot pass for a whole one. Why rows are
//! rejects, and what they held, is told here, from the file itself.

mod deliver;
pub(crate) mod error;
mod held;
mod query;
mod session;
mod spool;
mod staged;
mod version;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use millstream_core::config::{Spark, SparkMode};
use millstream_core::plan::FilePlan;
use millstream_core::status::MessageLevel;
use object_store::ObjectStore;
use tokio::time::Instant;
use tracing::{info, warn};

use self::deliver::deliver;
use self::error::SparkError;
use self::held::Held;
use self::query::Ask;
use self::session::Sessions;
use self::spool::{Spool, Spooled};
use self::staged::{StagedFolder, Staging};
use super::batch::BatchCleaner;
use super::{CleanError, Cleaner, Engine, Job, SplitEvent};
use crate::chain::chain;
use crate::clock::pause;
use crate::source::SourceError;
use crate::source::read::{OpenFile, as_it_is_now};
use crate::stop::{Phase, StopToken};
use crate::stream::kafka::Tell;

/// Shortest and longest pause before Spark is asked again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

/// A file over which the server was lost this often is staged.
const LOSSES: u32 = 2;

/// How long a query that is not wanted any more holds its file up.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);

/// Cleans with Spark.
pub(crate) struct SparkCleaner {
    settings: Spark,
    store: Arc<dyn ObjectStore>,
    sessions: Sessions,
    staging: Staging,
    spool_dir: PathBuf,
    spool_bytes: usize,
    batch_rows: NonZeroUsize,
    tell: Tell,
}

/// What a cleaner is made of.
pub(crate) struct Place<'a> {
    /// The store that files are in.
    pub(crate) store: Arc<dyn ObjectStore>,
    /// Folder for answers that are larger than `spool_bytes`.
    pub(crate) spool_dir: PathBuf,
    /// File for the ids of sessions, which whoever comes after a killed process ends; none keeps none.
    pub(crate) sessions_file: Option<PathBuf>,
    /// Bytes of an answer that are kept in memory.
    pub(crate) spool_bytes: usize,
    /// Rows of a batch that is handed on.
    pub(crate) batch_rows: NonZeroUsize,
    /// Stands for this publisher among those that share a staging folder.
    pub(crate) owner: &'a str,
    /// Hears of trouble.
    pub(crate) tell: Tell,
}

impl SparkCleaner {
    /// Takes the settings; the first file connects. What an earlier process of this owner left in the staging folder is removed.
    pub(crate) fn new(settings: Spark, place: Place<'_>) -> Result<Self, SparkError> {
        let Place { store, spool_dir, sessions_file, spool_bytes, batch_rows, owner, tell } = place;
        let sessions = Sessions::new(&settings, Held::read(sessions_file), Arc::clone(&tell))?;
        let staging = Staging::new(&settings, owner)?;
        std::fs::create_dir_all(&spool_dir).map_err(|source| SparkError::spool(&spool_dir)(source.into()))?;
        Ok(Self { settings, store, sessions, staging, spool_dir, spool_bytes, batch_rows, tell })
    }

    /// What Spark answers, checked; none if the answer is not wanted any more.
    async fn ask(&self, job: &Job, stop: &mut StopToken) -> Result<Option<Spooled>, CleanError> {
        let began = Instant::now();
        let (mut tries, mut losses) = (0, 0);
        let file = &job.split.file.found.file;
        let mut ask = Ask::new(job, &self.settings)?;
        let mut is_staged = self.settings.mode == SparkMode::Staged || ask.bytes > self.settings.direct_bytes;
        loop {
            let answer = self.once(&mut ask, is_staged, job, stop).await;
            let error = match answer {
                Ok(spooled) => {
                    if tries > 0 {
                        let text = format!("Spark answers again, after {} s", began.elapsed().as_secs());
                        (self.tell)(MessageLevel::Info, text);
                    }
                    return Ok(spooled);
                }
                Err(CleanError::Spark(error)) => error,
                Err(error) => return Err(error),
            };
            // One that changed or is gone is that file's trouble, whatever Spark makes of it.
            check_unchanged(&*self.store, job).await?;
            if is_lost(&error, &ask) {
                losses += 1;
                if losses >= LOSSES {
                    // A driver that cannot carry the answer takes its sessions along.
                    is_staged = true;
                }
            }
            if matches!(error, SparkError::Unordered { .. }) && !ask.is_sorted {
                info!(%file, "the answer is not in the order of rows; asking for that");
                ask.is_sorted = true;
                continue;
            }
            if !is_staged && query::lacks_memory(&error) {
                info!(%file, error = chain(&error), "the answer is more than Spark's driver carries; staging it");
                is_staged = true;
                continue;
            }
            if !error.is_passing() {
                return Err(query::whose_fault(error, &ask.path, file));
            }
            let waited = began.elapsed();
            if waited > self.settings.patience {
                return Err(SparkError::GaveUp { waited, losses, source: Box::new(error) }.into());
            }
            warn!(%file, error = chain(&error), "Spark did not clean a file; trying again");
            if tries == 0 {
                let text = format!("Spark did not clean `{file}`, which is tried again: {}", chain(&error));
                (self.tell)(MessageLevel::Warn, text);
            }
            self.sessions.forget(&ask.session).await;
            tries += 1;
            tokio::select! {
                () = stop.reached(Phase::Drain) => return Ok(None),
                () = job.batches.closed() => return Ok(None),
                () = tokio::time::sleep(pause(PAUSES, tries)) => {}
            }
        }
    }

    /// Asks once.
    async fn once(
        &self,
        ask: &mut Ask,
        is_staged: bool,
        job: &Job,
        stop: &mut StopToken,
    ) -> Result<Option<Spooled>, CleanError> {
        ask.session.clear();
        let session = tokio::select! {
            biased;
            () = stop.reached(Phase::Drain) => return Ok(None),
            () = job.batches.closed() => return Ok(None),
            session = self.sessions.get() => session?,
        };
        session.id().clone_into(&mut ask.session);
        let staged = is_staged.then(|| self.staging.folder());
        let plan = match &staged {
            None => ask.answer(),
            Some(folder) => ask.stage(self.settings.on_cluster(folder.path())),
        };
        let mut spool = Spool::new(&self.spool_dir, self.spool_bytes);
        let mut execution = session.execute(plan);
        let limit = self.settings.query_timeout;
        let deadline = Instant::now() + limit;
        loop {
            let next = tokio::select! {
                biased;
                () = stop.reached(Phase::Drain) => Err(Ok(None)),
                () = job.batches.closed() => Err(Ok(None)),
                () = tokio::time::sleep_until(deadline) => Err(Err(SparkError::Slow { limit }.into())),
                next = execution.next() => Ok(next),
            };
            let next = match next {
                Ok(next) => next,
                Err(ended) => {
                    if tokio::time::timeout(CANCEL_TIMEOUT, execution.cancel()).await.is_err() {
                        warn!("Spark was not told in time that a query is not wanted any more");
                    }
                    return ended;
                }
            };
            match next.map_err(|source| self.sessions.error(source))? {
                Some(batch) if staged.is_none() => spool.put(&batch)?,
                // A command answers with nothing of interest.
                Some(_) => {}
                None => break,
            }
        }
        ask.check_file(&execution, &job.split.file.found)?;
        let metrics = ask.counts(&execution)?;
        if let Some(folder) = staged {
            spool = tokio::select! {
                biased;
                () = stop.reached(Phase::Drain) => return Ok(None),
                () = job.batches.closed() => return Ok(None),
                () = tokio::time::sleep_until(deadline) => return Err(SparkError::Slow { limit }.into()),
                spool = unstaged(folder, spool) => spool?,
            };
        }
        let spooled = spool.finish()?;
        query::check(job, &metrics, &spooled)?;
        if let Some((row, kind)) = metrics.fails {
            return Err(deliver::fail(&self.store, job, row, kind).await?);
        }
        Ok(Some(spooled))
    }

    async fn cleaned(&self, job: &Job, mut stop: StopToken) -> Result<(), CleanError> {
        let Some(spooled) = self.ask(job, &mut stop).await? else { return Ok(()) };
        let rules = BatchCleaner::new(Arc::clone(&job.plan))?;
        tokio::select! {
            () = stop.reached(Phase::Abort) => Ok(()),
            delivered = deliver(&self.store, job, &rules, spooled.in_batches(self.batch_rows)) => delivered,
        }
    }
}

/// The spool with the staged answer in it, which is read on a thread of its own; that ends soon after nobody waits for it.
async fn unstaged(folder: StagedFolder, mut spool: Spool) -> Result<Spool, SparkError> {
    let wrong = SparkError::spool(folder.path());
    let waiting = Arc::new(());
    let is_wanted = Arc::downgrade(&waiting);
    let reading = tokio::task::spawn_blocking(move || {
        folder.read(|batch| {
            if is_wanted.strong_count() == 0 {
                return Err(SparkError::spool(folder.path())("nobody wants it any more".into()));
            }
            spool.put(batch)
        })?;
        Ok(spool)
    });
    let read = reading.await.map_err(|error| wrong(error.into()))?;
    drop(waiting);
    read
}

#[async_trait]
impl Cleaner for SparkCleaner {
    fn engine(&self) -> Engine {
        // A query is for a whole file: Spark divides it among its executors.
        Engine { name: "spark", split_bytes: u64::MAX }
    }

    fn refuses(&self, file: &OpenFile, plan: &FilePlan) -> Option<String> {
        refusal(file, plan)
    }

    async fn clean(&self, job: Job, stop: StopToken) {
        if let Err(error) = self.cleaned(&job, stop).await {
            // Nobody listens when the publisher has given the file up.
            let _ = job.batches.send(SplitEvent::Failed(error)).await;
        }
    }

    async fn close(&self) {
        self.sessions.close().await;
    }
}

/// Whether the server was lost while it had the query.
fn is_lost(error: &SparkError, ask: &Ask) -> bool {
    let SparkError::Spark { source, .. } = error else { return false };
    let is_away = matches!(source, spark_connect::Error::Unreachable { .. });
    matches!(source, spark_connect::Error::SessionLost { .. }) || (is_away && !ask.session.is_empty())
}

/// Why Spark would not clean a file as its plan says.
pub(crate) fn refusal(file: &OpenFile, plan: &FilePlan) -> Option<String> {
    query::query(file, plan, 0..file.rows()).err().map(|refusal| refusal.to_string())
}

/// Whether the address of Spark, and what it is reached with, can be used at all; does not connect.
pub(crate) fn check_address(settings: &Spark) -> Result<(), SparkError> {
    session::connection(settings).map(|_| ())
}

/// That the file was in the state in which its footer was read all the while that Spark read it.
async fn check_unchanged(store: &dyn ObjectStore, job: &Job) -> Result<(), SourceError> {
    let file = &job.split.file.found;
    let now = as_it_is_now(store, file.clone()).await?;
    if now == *file { Ok(()) } else { Err(SourceError::Changed { file: file.file.to_string() }) }
}
