//! The supervisor: recovers what is durable, starts the stages of a pipeline, joins every task and reads its result.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use millstream_core::config::{Config, Table};
use millstream_core::ids::StreamId;
use millstream_core::progress::Offsets;
use millstream_core::status::{Ledger, PipelineState};
use object_store::ObjectStore;
use serde::Serialize;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{Semaphore, watch};
use tracing::error;

use crate::archive::follow::Follower;
use crate::archive::run::Archiver;
use crate::archive::upkeep::run::Keeper;
use crate::archive::{self, ArchiveError, ArchiveTable};
use crate::board::{Board, Work};
use crate::chain::chain;
use crate::clean::Cleaner;
use crate::clean::datafusion::DataFusionCleaner;
use crate::clean::spark::{Place, SparkCleaner};
use crate::durable::{Durable, OpenArchive, open_archive};
use crate::publishing::Publishing;
use crate::receive::{Member, Receiver};
use crate::redrive::Redriver;
use crate::source::SourceError;
use crate::source::list::Listing;
use crate::source::retry::Retries;
use crate::stop::{Phase, StopSender, StopToken, stop_channel};
use crate::stream::kafka::{KafkaLogError, Tell};
use crate::stream::{Access, Log, LogError, PublisherId, Recovered, Retention};
use crate::supervise::{TaskEnd, TaskError, Tasks, tasks};
use crate::survey::Survey;
use crate::table::{LiveTable, Seqs, TableLimits};
use crate::view::{Queries, QueryError};

/// How long a record may seem to be missing where others archive and trim.
const GAP_PATIENCE: Duration = Duration::from_secs(10);

/// How long calls that do not end are waited for at the very end.
const RUNTIME_DEADLINE: Duration = Duration::from_secs(1);

/// Which stages a process carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// All of them.
    Run,
    /// Finding, cleaning, publishing.
    Publish(PublisherId),
    /// The same, as the only publisher, unless there are several.
    PublishAlone,
    /// Receiving and archiving, as one of several.
    Receive,
    /// Receiving, page and SQL; others archive.
    Serve,
}

impl Role {
    /// Whether the process publishes, and as whom.
    fn publisher(self) -> Option<PublisherId> {
        self.access().publisher()
    }

    /// What it wants of the log.
    fn access(self) -> Access {
        match self {
            Self::Run => Access::Publish(PublisherId::ONLY),
            Self::Publish(id) => Access::Publish(id),
            Self::PublishAlone => Access::PublishAlone,
            Self::Receive | Self::Serve => Access::Receive,
        }
    }

    /// The stages that the process carries, in words.
    fn stages(self) -> Vec<String> {
        let stages: &[&str] = match self {
            Self::Run => &["publish", "receive", "archive", "serve"],
            Self::Publish(PublisherId { index, count }) if count > 1 => {
                return vec![format!("publish {index}/{count}")];
            }
            Self::Publish(_) | Self::PublishAlone => &["publish"],
            Self::Receive => &["receive", "archive"],
            Self::Serve => &["receive", "serve"],
        };
        stages.iter().map(|&stage| stage.to_owned()).collect()
    }
}

/// How a run ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// When it is told to stop.
    Stopped,
    /// When the source is at its end and all of it is archived.
    Done,
    /// When it is told to stop; it looks for no files, and only does what it is asked for.
    Asked,
}

/// What a run did; printed by `run --until-done`, as JSON with `--json`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Summary {
    /// `done` or `draining` (told to stop, nothing lost).
    pub(crate) state: PipelineState,
    /// How long the run took, seconds.
    pub(crate) seconds: f64,
    /// Stages that this process carried.
    pub(crate) stages: Vec<String>,
    /// What they did in this run.
    pub(crate) work: Work,
    /// The ledger at its end: that of all processes, as of the last look at it where the stages are apart.
    pub(crate) ledger: Ledger,
    /// Version of the archive.
    pub(crate) archive_version: Option<u64>,
}

/// A started pipeline: what the server and the terminal hold.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    /// Status and ledger.
    pub(crate) board: Arc<Board>,
    /// SQL.
    pub(crate) queries: Queries,
    /// Files that are to be taken again; none where another process publishes.
    pub(crate) retries: Option<Arc<Retries>>,
    /// Cleans rejects again; none where another process publishes.
    pub(crate) redriver: Option<Arc<Redriver>>,
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PipelineError {
    /// Exit code 2: nothing matches `source.path`, the archive is of another stream, the log is in use, …
    #[error("{0}")]
    Refused(String),
    /// Exit code 1.
    #[error("{0}")]
    Failed(String),
    /// Exit code 0: told to stop before anything was under way.
    #[error("told to stop before it had started")]
    Stopped,
}

/// The shares of `limits.memory`; the rest is for batches on their way and the writers.
pub(crate) struct Shares {
    table: u64,
    queries: usize,
    /// Keys of dedup: the table of those claimed last, filters and indexes of the others.
    pub(crate) dedup: u64,
    spools: u64,
    /// Rows on their way from the publisher to the receiver.
    pub(crate) handed: u64,
}

impl Shares {
    /// The shares of a budget.
    pub(crate) fn of(memory: u64) -> Self {
        let share = |percent: u64| memory / 100 * percent;
        Self {
            table: share(30),
            queries: usize::try_from(share(20)).unwrap_or(usize::MAX),
            dedup: share(15),
            spools: share(10),
            handed: share(5),
        }
    }
}

/// The runtimes: one waits, one computes, one answers queries, so that none starves another.
struct Runtimes {
    io: Runtime,
    work: Runtime,
    queries: Runtime,
}

impl Runtimes {
    fn new(config: &Config) -> std::io::Result<Self> {
        let processors = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let runtime = |name: &str, threads: usize| {
            Builder::new_multi_thread().thread_name(name).worker_threads(threads).enable_all().build()
        };
        Ok(Self {
            io: runtime("millstream-io", 2)?,
            work: runtime("millstream-work", config.source.parallel_splits.get().max(2))?,
            queries: runtime("millstream-query", processors)?,
        })
    }
}

/// Runs the stages of a role to their end. `started` is called once, when rows can be queried. Drains when `stop` says so, and
/// aborts when it says that; nothing is lost by either. The caller holds the lock of the data folder.
pub(crate) fn run(
    config: Arc<Config>,
    role: Role,
    until: Until,
    mut stop: StopToken,
    started: impl FnOnce(Running),
) -> Result<Summary, PipelineError> {
    let runtimes = Runtimes::new(&config).map_err(|error| PipelineError::Failed(format!("cannot start: {error}")))?;
    let work = runtimes.work.handle().clone();
    let queries = runtimes.queries.handle().clone();
    let ended = runtimes.io.block_on(async move {
        let clock = Instant::now();
        let mut carried = role.stages();
        carried.retain(|stage| stage != "publish" || !config.is_foreign());
        let board = Arc::new(Board::new(Arc::clone(&config), carried));
        let stages = tokio::select! {
            stages = Stages::open(&config, role, until, &board) => stages?,
            () = stop.reached(Phase::Drain) => return Err(PipelineError::Stopped),
        };
        let memory = Shares::of(config.limits.memory).queries;
        let is_whole = matches!(role, Role::Run | Role::Serve);
        let queries = Queries::new(Arc::clone(&config), Arc::clone(&stages.live), memory, queries, is_whole)?;
        let retries = stages.publishing.as_ref().map(|(publishing, _)| Arc::clone(&publishing.retries));
        let redriver = stages.publishing.as_ref().map(|(publishing, _)| Redriver {
            config: Arc::clone(&config),
            listing: Arc::clone(&publishing.listing),
            queries: queries.clone(),
            board: Arc::clone(&board),
            asks: Arc::clone(&publishing.asks),
            rejects: stages.rejects.clone(),
            hurry: stages.hurry.clone(),
            one: Semaphore::new(1),
        });
        let redriver = redriver.map(Arc::new);
        started(Running { board: Arc::clone(&board), queries, retries, redriver });
        let state = supervise(stages, &board, stop, work).await?;
        let status = board.status();
        let summary = Summary {
            state,
            seconds: clock.elapsed().as_secs_f64(),
            stages: status.stages,
            work: board.work(),
            ledger: board.ledger(),
            archive_version: status.archive.version,
        };
        Ok(summary)
    });
    // A call to a log that does not answer must not hold up the end.
    runtimes.io.shutdown_timeout(RUNTIME_DEADLINE);
    runtimes.work.shutdown_timeout(RUNTIME_DEADLINE);
    ended
}

/// The archive of a pipeline that does not run, for queries. The caller keeps `on` alive.
pub(crate) async fn archive_only(config: Arc<Config>, on: Handle) -> Result<Queries, PipelineError> {
    let stream = archive::stream_of(&config.archive.path).await?;
    let Some(stream) = stream else {
        let path = &config.archive.path;
        return Err(PipelineError::Refused(format!(
            "there is no archive in `{path}` yet; start the pipeline with `millstream run`"
        )));
    };
    let OpenArchive { archive, archived, .. } = open_archive(&config, stream).await?;
    let shares = Shares::of(config.limits.memory);
    let live = Arc::new(LiveTable::new(table_limits(&config, shares.table), archive, &archived));
    Ok(Queries::new(Arc::clone(&config), live, shares.queries, on, true)?)
}

/// The stages of a role, ready to start.
struct Stages {
    live: Arc<LiveTable>,
    /// The archive's table of rejects.
    rejects: ArchiveTable,
    /// Has the archiver of this process commit at once.
    hurry: watch::Sender<u64>,
    publishing: Option<(Publishing, Recovered)>,
    receiving: Option<Receiving>,
    archiver: Option<Archiver>,
    keeper: Option<Keeper>,
    follower: Option<Follower>,
    survey: Option<Survey>,
}

/// How records are received.
enum Receiving {
    /// All partitions, from these offsets and seqs on.
    All(Box<Receiver>, Offsets, Seqs),
    /// Those that a group gives.
    Some(Box<Member>),
}

impl Stages {
    async fn open(config: &Arc<Config>, role: Role, until: Until, board: &Arc<Board>) -> Result<Self, PipelineError> {
        let publisher = role.publisher().filter(|_| !config.is_foreign());
        let access = if publisher.is_some() { role.access() } else { Access::Receive };
        let durable = Durable::open(config, access, teller(board)).await?;
        let (recovered, pending) = match role {
            Role::Run => durable.books().await?,
            Role::Publish(_) | Role::PublishAlone => (durable.recover().await?, Vec::new()),
            Role::Receive | Role::Serve => (Recovered::default(), Vec::new()),
        };
        let membership = if role == Role::Receive { Some(durable.log.join()?) } else { None };
        let log = if config.is_foreign() {
            Some(Arc::clone(&durable.log))
        } else if role == Role::Run {
            None
        } else {
            // One who only looks has a log of its own: it must not take the publisher's place.
            Some(Durable::open(config, Access::Look, Arc::new(|_, _| {})).await?.log)
        };
        let survey =
            log.map(|log| Survey { config: Arc::clone(config), log, board: Arc::clone(board), told: Mutex::default() });
        let Durable { log, stream, tables, archive, archived, seqs, versions } = durable;
        let shares = Shares::of(config.limits.memory);
        let owned = if role == Role::Receive { Offsets::new() } else { archived.clone() };
        let live = Arc::new(LiveTable::new(table_limits(config, shares.table), archive, &owned));
        let own = publisher.map_or(u32::MAX, |id| id.index);
        board.connect(Arc::clone(&log), Arc::clone(&live), own, &recovered, &pending, versions);
        if let Some(survey) = &survey {
            // The first status is as true as any other.
            survey.look().await;
        }
        let publishing = match publisher {
            Some(id) => Some((publishing(config, &log, stream, id, board, until, &shares)?, recovered)),
            None => None,
        };
        let (hurry, hurried) = watch::channel(0);
        let receiver = Receiver {
            log: Arc::clone(&log),
            live: Arc::clone(&live),
            board: Arc::clone(board),
            stream,
            patience: if role == Role::Run { Duration::ZERO } else { GAP_PATIENCE },
            ends_at: if publishing.is_some() { Phase::Abort } else { Phase::Drain },
        };
        let receiving = match (role, membership) {
            (Role::Publish(_) | Role::PublishAlone, _) => None,
            (_, Some(membership)) => {
                let member = Member { receiver, tables: tables.clone(), membership, hurry: hurry.clone() };
                Some(Receiving::Some(Box::new(member)))
            }
            (_, None) => Some(Receiving::All(Box::new(receiver), archived, seqs)),
        };
        let archiver = matches!(role, Role::Run | Role::Receive).then(|| Archiver {
            tables: tables.clone(),
            live: Arc::clone(&live),
            log,
            retention: Retention { age: config.stream.retention, bytes: config.stream.retention_bytes },
            commit_interval: config.archive.commit_interval,
            target_bytes: config.archive.commit_bytes,
            board: Arc::clone(board),
            hurry: hurried,
        });
        let keeper = matches!(role, Role::Run | Role::Receive).then(|| Keeper {
            tables: tables.clone(),
            live: Arc::clone(&live),
            board: Arc::clone(board),
            commit_interval: config.archive.commit_interval,
            memory: config.limits.memory,
        });
        let rejects = tables[1].clone();
        let follower = (role == Role::Serve).then(|| Follower { tables, live: Arc::clone(&live) });
        Ok(Self { live, rejects, hurry, publishing, receiving, archiver, keeper, follower, survey })
    }

    fn start(self, stop: &StopToken, tasks: &Tasks) {
        let (tell_published, published) = watch::channel(false);
        let (tell_end, all_received) = watch::channel(false);
        let unpublished = if let Some((stage, recovered)) = self.publishing {
            tasks.spawn_work("publish", stage.run(recovered, tell_published, stop.clone(), tasks.clone()));
            None
        } else {
            Some(tell_published)
        };
        let mut membership = None;
        match self.receiving {
            Some(Receiving::All(receiver, from, seqs)) => {
                let (stop, published) = (stop.clone(), published.clone());
                tasks.spawn_work("receive", async move {
                    // Where others publish, nobody here is ever done with it.
                    let _unpublished = unpublished;
                    receiver.run(from, seqs, published, tell_end, stop).await
                });
            }
            Some(Receiving::Some(member)) => {
                let keeper = Arc::clone(&member.membership);
                membership = Some(Arc::clone(&keeper));
                tasks.spawn_blocking("group", move || keeper.keep().map_err(LogError::from));
                tasks.spawn_work("receive", member.run(tell_end, stop.clone()));
            }
            None => {}
        }
        let (archiving, archived) = watch::channel(());
        if let Some(archiver) = self.archiver {
            let stop = stop.clone();
            tasks.spawn_work("archive", async move {
                // When it is gone, everything is archived.
                let _archiving = archiving;
                let ended = archiver.run(all_received, stop).await;
                if let Some(membership) = membership {
                    // What is archived is archived: others may go on.
                    membership.settled(&std::collections::BTreeSet::new());
                    membership.end();
                }
                ended
            });
        }
        if let Some(keeper) = self.keeper {
            tasks.spawn_work("keep", keeper.run(archived, stop.clone()));
        }
        if let Some(follower) = self.follower {
            tasks.spawn("follow", follower.run(stop.clone()));
        }
        if let Some(survey) = self.survey {
            tasks.spawn("survey", survey.run(published, stop.clone()));
        }
    }
}

fn publishing(
    config: &Arc<Config>,
    log: &Arc<dyn Log>,
    stream: StreamId,
    id: PublisherId,
    board: &Arc<Board>,
    until: Until,
    shares: &Shares,
) -> Result<Publishing, PipelineError> {
    let listing = Arc::new(Listing::of(config)?);
    let cleaner = cleaner(config, listing.store(), stream, id, board)?;
    let (config, log, board) = (Arc::clone(config), Arc::clone(log), Arc::clone(board));
    let (retries, asks) = (Arc::default(), Arc::default());
    // Half of what the log keeps for the receiver: one append is collected while another is on its way.
    let handed_bytes = if config.stream.kafka.is_none() { shares.handed / 2 } else { 0 };
    let dedup_bytes = shares.dedup;
    Ok(Publishing { config, listing, cleaner, log, stream, id, board, until, dedup_bytes, retries, asks, handed_bytes })
}

/// Has people told on the page and by `status`.
fn teller(board: &Arc<Board>) -> Tell {
    let board = Arc::clone(board);
    Arc::new(move |level, text| board.message(level, text))
}

/// The engine that the pipeline file names.
fn cleaner(
    config: &Config,
    store: Arc<dyn ObjectStore>,
    stream: StreamId,
    id: PublisherId,
    board: &Arc<Board>,
) -> Result<Arc<dyn Cleaner>, PipelineError> {
    let Some(spark) = &config.spark else {
        let (batch_rows, batch_bytes) = (config.batch_rows(), config.stream.batch_bytes);
        return Ok(Arc::new(DataFusionCleaner { store, batch_rows, batch_bytes, gauges: Arc::clone(board.gauges()) }));
    };
    let spools = u64::try_from(config.source.parallel_splits.get()).unwrap_or(u64::MAX);
    let place = Place {
        store,
        spool_dir: config.pipeline.data_dir.join("spool"),
        sessions_file: Some(config.pipeline.data_dir.join("spark-sessions")),
        spool_bytes: usize::try_from(Shares::of(config.limits.memory).spools / spools).unwrap_or(usize::MAX),
        batch_rows: config.batch_rows(),
        owner: &format!("{stream}-{}", id.index),
        tell: teller(board),
    };
    let cleaner = SparkCleaner::new(spark.clone(), place);
    cleaner.map(|cleaner| Arc::new(cleaner) as Arc<dyn Cleaner>).map_err(|error| PipelineError::Refused(chain(&error)))
}

/// Starts the stages and waits for all of them. The first error stops the others.
async fn supervise(
    stages: Stages,
    board: &Arc<Board>,
    mut told: StopToken,
    work: Handle,
) -> Result<PipelineState, PipelineError> {
    let (sender, stop) = stop_channel();
    let (tasks, mut ends) = tasks(work);
    stages.start(&stop, &tasks);
    drop(tasks);
    let mut first: Option<TaskEnd> = None;
    let mut state = PipelineState::Done;
    let mut phase = Phase::Run;
    loop {
        let next = if phase == Phase::Run { Phase::Drain } else { Phase::Abort };
        tokio::select! {
            end = ends.recv() => match end {
                None => break,
                Some(end) => note(end, phase, &mut first, &sender),
            },
            () = told.reached(next), if phase < Phase::Abort => {
                phase = next;
                state = PipelineState::Draining;
                board.set_state(state);
                sender.raise(phase);
            }
        }
    }
    if let Some(TaskEnd { result: Err(TaskError::Start(error)), .. }) = first {
        return Err(error);
    }
    if let Some(TaskEnd { name, result: Err(error) }) = first {
        let text = chain(&error);
        error!(task = name, error = %text, "pipeline failed");
        board.set_state(PipelineState::Failed);
        board.message_error(text.clone());
        return Err(if error.is_refusal() { PipelineError::Refused(text) } else { PipelineError::Failed(text) });
    }
    board.set_state(state);
    Ok(state)
}

/// Keeps the first error, and has the other stages stop.
fn note(end: TaskEnd, phase: Phase, first: &mut Option<TaskEnd>, stop: &StopSender) {
    let Err(error) = &end.result else { return };
    if error.is_consequence() && phase >= Phase::Drain {
        // Told to stop, the publisher ends before those who feed it.
        return;
    }
    stop.raise(Phase::Abort);
    let replaces = first.as_ref().is_none_or(|first| matches!(&first.result, Err(known) if known.is_consequence()));
    if replaces && !(error.is_consequence() && first.is_some()) {
        *first = Some(end);
    }
}

fn table_limits(config: &Config, bytes: u64) -> TableLimits {
    let Table { retention, max_rows, max_bytes } = config.table;
    TableLimits { bytes, retention, max_rows, max_bytes }
}

impl From<LogError> for PipelineError {
    fn from(error: LogError) -> Self {
        if error.is_refusal() { Self::Refused(chain(&error)) } else { Self::Failed(chain(&error)) }
    }
}

impl From<KafkaLogError> for PipelineError {
    fn from(error: KafkaLogError) -> Self {
        LogError::from(error).into()
    }
}

impl From<ArchiveError> for PipelineError {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::OtherStream { .. }
            | ArchiveError::AheadOfLog { .. }
            | ArchiveError::HalfUnderOtherRules { .. }
            | ArchiveError::NotOurs { .. }
            | ArchiveError::Store(_)
            | ArchiveError::Path { .. } => Self::Refused(chain(&error)),
            ArchiveError::Folder { .. }
            | ArchiveError::List { .. }
            | ArchiveError::Delta { .. }
            | ArchiveError::ReadFile { .. }
            | ArchiveError::Full(_)
            | ArchiveError::Panicked(_)
            | ArchiveError::Sync { .. }
            | ArchiveError::Conflict { .. }
            | ArchiveError::TypeChanged { .. }
            | ArchiveError::Arrange { .. }
            | ArchiveError::Provider { .. } => Self::Failed(chain(&error)),
        }
    }
}

impl From<SourceError> for PipelineError {
    fn from(error: SourceError) -> Self {
        Self::Refused(chain(&error))
    }
}

impl From<QueryError> for PipelineError {
    fn from(error: QueryError) -> Self {
        Self::Failed(error.to_string())
    }
}
