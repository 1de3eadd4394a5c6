//! The supervisor: recovers what is durable, starts the stages of a pipeline, joins every task and reads its result.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use millstream_core::config::Config;
use millstream_core::dedup::Deduplicator;
use millstream_core::ids::{Offset, StreamId, Topic, TopicPartition};
use millstream_core::plan::KnownSchema;
use millstream_core::progress::{FilePhase, Offsets};
use millstream_core::status::{ArchiveVersion, Ledger, PipelineState};
use serde::Serialize;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{mpsc, watch};
use tracing::{error, info};

use crate::archive::run::Archiver;
use crate::archive::{self, ArchiveError, ArchiveSettings, ArchiveTable, Loaded};
use crate::board::{self, Board};
use crate::clean::Cleaner;
use crate::clean::datafusion::DataFusionCleaner;
use crate::receive::Receiver;
use crate::source::SourceError;
use crate::source::find::Finder;
use crate::source::list::Listing;
use crate::source::plan::Planner;
use crate::stop::{Phase, StopSender, StopToken, stop_channel};
use crate::stream::embedded::{self, EmbeddedLog, Retention};
use crate::stream::publish::Publisher;
use crate::stream::{Log, LogError, Recovered};
use crate::supervise::{TaskEnd, TaskError, Tasks, tasks};
use crate::table::{ArchiveState, LiveTable, Seqs, TableLimits};
use crate::view::{Queries, QueryError};

/// Accepted files that the finder may be ahead of the planner.
const FILES_AHEAD: usize = 256;

/// Pieces of work that the planner may be ahead of the publisher.
const WORK_AHEAD: usize = 32;

/// How a run ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// When it is told to stop.
    Stopped,
    /// When the source is at its end and all of it is archived.
    Done,
}

/// What a run did; printed by `run --until-done`, as JSON with `--json`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Summary {
    /// `done` or `draining` (told to stop, nothing lost).
    pub(crate) state: PipelineState,
    /// How long the run took, seconds.
    pub(crate) seconds: f64,
    /// The ledger at its end.
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
}

/// The shares of `limits.memory`; the rest is for batches on their way and the writers.
struct Shares {
    table: u64,
    queries: usize,
    dedup: u64,
}

impl Shares {
    fn of(memory: u64) -> Self {
        let share = |percent: u64| memory / 100 * percent;
        Self { table: share(40), queries: usize::try_from(share(20)).unwrap_or(usize::MAX), dedup: share(15) }
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

/// Runs the pipeline to its end. `started` is called once, when rows can be queried. Drains when `stop` says so, and aborts when
/// it says that; nothing is lost by either. The caller holds the lock of the data folder.
pub(crate) fn run(
    config: Arc<Config>,
    until: Until,
    stop: StopToken,
    started: impl FnOnce(Running),
) -> Result<Summary, PipelineError> {
    let runtimes = Runtimes::new(&config).map_err(|error| PipelineError::Failed(format!("cannot start: {error}")))?;
    let work = runtimes.work.handle().clone();
    let queries = runtimes.queries.handle().clone();
    runtimes.io.block_on(async move {
        let clock = Instant::now();
        let board = Arc::new(Board::new(Arc::clone(&config)));
        let recovered = recover(&config).await?;
        let stages = Stages::new(Arc::clone(&config), &board, recovered)?;
        let memory = Shares::of(config.limits.memory).queries;
        let queries = Queries::new(Arc::clone(&config), Arc::clone(&stages.live), memory, queries)?;
        started(Running { board: Arc::clone(&board), queries });
        let state = supervise(stages, &board, until, stop, work).await?;
        let status = board.status();
        let summary = Summary {
            state,
            seconds: clock.elapsed().as_secs_f64(),
            ledger: board.ledger(),
            archive_version: status.archive.version,
        };
        Ok(summary)
    })
}

/// The archive of a pipeline that does not run, for queries. The caller keeps `on` alive.
pub(crate) async fn archive_only(config: Arc<Config>, on: Handle) -> Result<Queries, PipelineError> {
    let stream = archive::stream_of(&config.archive.path).await?;
    let Some(stream) = stream else {
        let path = config.archive.path.display();
        return Err(PipelineError::Refused(format!(
            "there is no archive in `{path}` yet; start the pipeline with `millstream run`"
        )));
    };
    let (_, state, offsets, _) = open_archive(&config, stream).await?;
    let shares = Shares::of(config.limits.memory);
    let live = Arc::new(LiveTable::new(table_limits(&config, shares.table), state, &offsets));
    Ok(Queries::new(Arc::clone(&config), live, shares.queries, on)?)
}

/// The ledger of a pipeline that does not run, as log and archive hold it.
pub(crate) async fn ledger_at_rest(config: &Config) -> Result<Ledger, PipelineError> {
    let durable = recover(config).await?;
    Ok(board::ledger_at_rest(&durable.recovered, &durable.archive))
}

/// What is durable, read at the start.
pub(crate) struct Durable {
    pub(crate) log: EmbeddedLog,
    pub(crate) stream: StreamId,
    pub(crate) tables: [ArchiveTable; 2],
    pub(crate) archive: ArchiveState,
    pub(crate) archived: Offsets,
    pub(crate) seqs: Seqs,
    pub(crate) recovered: Recovered,
    pub(crate) versions: Vec<ArchiveVersion>,
}

pub(crate) async fn recover(config: &Config) -> Result<Durable, PipelineError> {
    let folder = embedded::folder(&config.pipeline.data_dir);
    let log = EmbeddedLog::open(&folder, config.stream.partitions.get())?;
    let (stream, bounds) = log.bounds();
    let (tables, archive, archived, seqs) = open_archive(config, stream).await?;
    let ends: Offsets = bounds.iter().map(|bounds| (bounds.at, bounds.end)).collect();
    for table in &tables {
        let of_table: Offsets =
            archived.iter().filter(|(at, _)| at.topic == table.topic).map(|(&at, &offset)| (at, offset)).collect();
        archive::check_not_ahead(table, &of_table, &ends)?;
    }
    for bounds in &bounds {
        let asked = archived.get(&bounds.at).copied().unwrap_or_default();
        if asked < bounds.begin {
            return Err(LogError::OutOfRange { at: bounds.at, asked, begin: bounds.begin, end: bounds.end }.into());
        }
    }
    let recovered = log.recover(&archived).await?;
    let versions = match &archive.rows {
        Some(table) => tables[0].history(&table.table, 20).await?,
        None => Vec::new(),
    };
    info!(%stream, files = recovered.files.len(), pending_records = recovered.pending.len(), "recovered");
    Ok(Durable { log, stream, tables, archive, archived, seqs, recovered, versions })
}

type OpenArchive = ([ArchiveTable; 2], ArchiveState, Offsets, Seqs);

async fn open_archive(config: &Config, stream: StreamId) -> Result<OpenArchive, PipelineError> {
    let settings = ArchiveSettings {
        path: config.archive.path.clone(),
        pipeline: config.pipeline.name.clone(),
        stream,
        partitions: config.stream.partitions.get(),
        partition_by: config.archive.partition_by,
        event_time: config.source.event_time.clone(),
    };
    let tables = [ArchiveTable::new(&settings, Topic::Rows)?, ArchiveTable::new(&settings, Topic::Rejects)?];
    let mut state = ArchiveState::default();
    let mut offsets: Offsets =
        TopicPartition::all(config.stream.partitions.get()).map(|at| (at, Offset::default())).collect();
    let mut seqs = Seqs::new();
    for table in &tables {
        let Some(loaded) = table.load().await? else { continue };
        let Loaded { offsets: held, seqs: due, .. } = &loaded;
        offsets.extend(held);
        seqs.extend(due);
        let archived = Some(Arc::new(table.for_queries(loaded).await?));
        match table.topic {
            Topic::Rows => state.rows = archived,
            Topic::Rejects => state.rejects = archived,
        }
    }
    Ok((tables, state, offsets, seqs))
}

/// The stages, ready to start.
struct Stages {
    config: Arc<Config>,
    listing: Arc<Listing>,
    planner: Planner,
    publisher: Publisher,
    receiver: Receiver,
    archiver: Archiver,
    live: Arc<LiveTable>,
    archived: Offsets,
    seqs: Seqs,
    known_files: Vec<millstream_core::progress::FileProgress>,
}

impl Stages {
    fn new(config: Arc<Config>, board: &Arc<Board>, durable: Durable) -> Result<Self, PipelineError> {
        let Durable { log, stream, tables, archive, archived, seqs, recovered, versions } = durable;
        let shares = Shares::of(config.limits.memory);
        let live = Arc::new(LiveTable::new(table_limits(&config, shares.table), archive, &archived));
        let contract: Arc<dyn Log> = Arc::new(log.clone());
        board.connect(Arc::clone(&contract), Box::new(log.clone()), Arc::clone(&live), &recovered, versions);
        let excluded = [config.pipeline.data_dir.clone(), config.archive.path.clone()];
        let listing =
            Arc::new(Listing::new(&config.source.path, config.source.recursive, &config.base_dir, &excluded)?);
        let known = known_schema(&recovered)?;
        let dedup = dedup(&config, &recovered, shares.dedup)?;
        let cleaner: Arc<dyn Cleaner> = Arc::new(DataFusionCleaner {
            store: listing.store(),
            batch_rows: config.batch_rows(),
            batch_bytes: config.stream.batch_bytes,
        });
        let planner = Planner {
            config: Arc::clone(&config),
            earlier: earlier_rules(&config, &recovered)?,
            known,
            cleaner,
            store: listing.store(),
        };
        let open = recovered.files.iter().filter(|file| !file.is_over());
        let files: BTreeMap<_, _> = open.map(|file| (file.sequence, file.clone())).collect();
        let publisher = Publisher {
            config: Arc::clone(&config),
            log: Arc::clone(&contract),
            stream,
            board: Arc::clone(board),
            progress: recovered.publisher,
            files,
            dedup,
        };
        let receiver = Receiver { log: contract, live: Arc::clone(&live), board: Arc::clone(board), stream };
        let retention = Retention { age: config.stream.retention, bytes: config.stream.retention_bytes };
        let archiver = Archiver {
            tables,
            live: Arc::clone(&live),
            log,
            retention,
            commit_interval: config.archive.commit_interval,
            target_bytes: config.archive.target_file_bytes,
            board: Arc::clone(board),
        };
        let known_files = recovered.files;
        Ok(Self { config, listing, planner, publisher, receiver, archiver, live, archived, seqs, known_files })
    }

    fn start(self, board: &Arc<Board>, until: Until, stop: &StopToken, tasks: &Tasks) {
        let (accept, accepting) = mpsc::channel(1);
        let (files, accepted) = mpsc::channel(FILES_AHEAD);
        let (work, working) = mpsc::channel(WORK_AHEAD);
        let (published, publishing) = watch::channel(false);
        let (received, receiving) = watch::channel(false);
        let finder = Finder {
            listing: self.listing,
            watch: self.config.source.watch && until == Until::Stopped,
            settle: self.config.source.settle,
            known: self.known_files,
            board: Arc::clone(board),
        };
        tasks.spawn("find", finder.run(accept, files, stop.clone()));
        tasks.spawn("plan", self.planner.run(accepted, work, stop.clone(), tasks.clone()));
        tasks.spawn_work("publish", self.publisher.run(accepting, working, published, stop.clone()));
        tasks.spawn_work("receive", self.receiver.run(self.archived, self.seqs, publishing, received, stop.clone()));
        tasks.spawn_work("archive", self.archiver.run(receiving, stop.clone()));
    }
}

/// Starts the stages and waits for all of them. The first error stops the others.
async fn supervise(
    stages: Stages,
    board: &Arc<Board>,
    until: Until,
    mut told: StopToken,
    work: Handle,
) -> Result<PipelineState, PipelineError> {
    let (sender, stop) = stop_channel();
    let (tasks, mut ends) = tasks(work);
    stages.start(board, until, &stop, &tasks);
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
    if let Some(TaskEnd { name, result: Err(error) }) = first {
        let text = chain(&error);
        error!(task = name, error = %text, "pipeline failed");
        board.set_state(PipelineState::Failed);
        board.message_error(text.clone());
        let nothing = matches!(error, TaskError::Source(SourceError::Nothing { .. }));
        return Err(if nothing { PipelineError::Refused(text) } else { PipelineError::Failed(text) });
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

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

fn table_limits(config: &Config, bytes: u64) -> TableLimits {
    TableLimits { bytes, retention: config.table.retention, max_rows: config.table.max_rows }
}

fn known_schema(recovered: &Recovered) -> Result<KnownSchema, PipelineError> {
    let Some(value) = &recovered.publisher.known_schema else { return Ok(KnownSchema::default()) };
    serde_json::from_value(value.clone())
        .map_err(|error| PipelineError::Failed(format!("the columns kept in the log cannot be understood: {error}")))
}

fn dedup(config: &Config, recovered: &Recovered, limit_bytes: u64) -> Result<Option<Deduplicator>, PipelineError> {
    let Some(spec) = &config.clean.dedup else { return Ok(None) };
    let event_time = config.source.event_time.as_deref();
    let mut dedup = Deduplicator::new(spec, event_time, usize::try_from(limit_bytes).unwrap_or(usize::MAX));
    dedup
        .restore(recovered.dedup.iter().copied(), recovered.publisher.dedup_high_micros)
        .map_err(|error| PipelineError::Failed(chain(&error)))?;
    Ok(Some(dedup))
}

/// The pipeline file under which a file began that is under way.
fn earlier_rules(config: &Config, recovered: &Recovered) -> Result<Option<Arc<Config>>, PipelineError> {
    let under_way = recovered.files.iter().any(|file| file.phase == FilePhase::Started);
    let Some(rules) = recovered.publisher.started_rules.as_ref().filter(|_| under_way) else { return Ok(None) };
    if rules.pipeline == config.text {
        return Ok(None);
    }
    let file = config.base_dir.join("pipeline.toml");
    let earlier = Config::parse(&rules.pipeline, &file, &crate::environment::variable);
    let earlier = earlier.map_err(|errors| {
        PipelineError::Refused(format!(
            "a file is under way that began with an earlier pipeline file, which cannot be read any more: {errors}"
        ))
    })?;
    Ok(Some(Arc::new(earlier)))
}

impl From<LogError> for PipelineError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::InUse { .. } | LogError::OutOfRange { .. } => Self::Refused(chain(&error)),
            LogError::Create { .. }
            | LogError::Open { .. }
            | LogError::Append { .. }
            | LogError::Read { .. }
            | LogError::Damaged { .. }
            | LogError::Panicked(_) => Self::Failed(chain(&error)),
        }
    }
}

impl From<ArchiveError> for PipelineError {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::OtherStream { .. } | ArchiveError::AheadOfLog { .. } | ArchiveError::Path { .. } => {
                Self::Refused(chain(&error))
            }
            ArchiveError::Folder { .. }
            | ArchiveError::Delta { .. }
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
