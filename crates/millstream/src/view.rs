//! Queries: `live`, `archive`, `events`, `rejects` and the views over them, each row once.
//!
//! A query works on one snapshot: a version of the archive, the offsets that it holds, and the segments of the real-time
//! table. `events` takes rows below those offsets from the archive and the rest from the segments.

#![allow(clippy::wildcard_enum_match_arm, reason = "matches over enums of Arrow and DataFusion, which grow")]

mod activity;
mod cooperative;
pub(crate) mod explain;
mod interruptible;
mod lake;
mod profile;
mod provider;
pub(crate) mod row;
mod tables;
pub(crate) mod take;

use std::collections::HashSet;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::memory_pool::{FairSpillPool, MemoryReservation};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SendableRecordBatchStream, SessionStateBuilder};
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt;
use millstream_core::config::Config;
use millstream_core::record::INGESTED_AT;
use millstream_core::status::{ChartInfo, ColumnInfo, QueriesInfo, TableInfo, ViewInfo};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tracing::debug;

use self::activity::Activity;
use self::cooperative::with_pauses;
use self::explain::{Place, explain};
use self::interruptible::Interruptible;
use self::take::{Keep, Take};
use crate::archive::ArchivedTable;
use crate::table::{ArchiveState, LiveTable, Snapshot};

/// Name of the view that a pipeline without views has.
const STANDARD_VIEW: &str = "rows_per_minute";

/// Its SQL: when rows came in.
const STANDARD_SQL: &str =
    "SELECT date_bin(interval '1 minute', ingested_at) AS minute, count(*) AS rows FROM live GROUP BY 1 ORDER BY 1";

/// So many times their share of memory all queries may put on disk.
const SPILL_TIMES: u64 = 32;

/// How long after its time a query is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Tables that are always there.
const TABLES: [&str; 5] = ["live", "archive", "unarchived", "events", "rejects"];

/// Runs queries; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Queries {
    config: Arc<Config>,
    live: Arc<LiveTable>,
    runtime: Arc<RuntimeEnv>,
    on: Handle,
    views: Arc<Vec<ViewInfo>>,
    /// Whether every partition is received here: otherwise rows would be missing without a word.
    is_whole: bool,
    /// Most memory of all queries, bytes.
    memory: usize,
    activity: Arc<Activity>,
}

/// What a query gave.
#[derive(Debug)]
pub(crate) struct QueryResult {
    /// Columns, also when there are no rows.
    pub(crate) schema: SchemaRef,
    /// Rows, at most the limit.
    pub(crate) batches: Vec<RecordBatch>,
    /// Whether the limit cut rows off.
    pub(crate) truncated: bool,
    /// How long it took.
    pub(crate) elapsed: Duration,
    /// The share of memory that the rows hold; hold it for as long as them.
    pub(crate) memory: Option<Arc<MemoryReservation>>,
}

/// Why a query gave nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QueryError {
    /// The user's mistake: syntax, unknown names, or a statement that writes. HTTP 400.
    #[error("{text}")]
    Refused {
        /// What is wrong.
        text: String,
        /// Where in the SQL, if that is known.
        place: Option<Place>,
    },
    /// It ran longer than `limits.query_timeout`. HTTP 408.
    #[error("the query took longer than {0:?}; narrow it or raise `limits.query_timeout`")]
    TimedOut(Duration),
    /// It wanted more memory than queries may take. HTTP 413.
    #[error("the query needs more memory than its share of `limits.memory`: {0}")]
    TooLarge(String),
    /// It has more rows or bytes than may leave at once. HTTP 413.
    #[error("{0}")]
    TooLong(String),
    /// There is no room on disk for what it gives. HTTP 507.
    #[error("{0}")]
    NoRoom(String),
    /// The process ends. HTTP 503.
    #[error("the pipeline is stopping")]
    Stopping,
    /// Reading failed. HTTP 500.
    #[error("running the query failed: {0}")]
    Failed(String),
}

impl Queries {
    /// Queries over `live` and its archive, if `is_whole` says that no partition is missing. They run on the runtime `on`, with `memory` bytes together.
    pub(crate) fn new(
        config: Arc<Config>,
        live: Arc<LiveTable>,
        memory: usize,
        on: Handle,
        is_whole: bool,
    ) -> Result<Self, QueryError> {
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(memory)))
            .with_max_temp_directory_size((memory as u64).saturating_mul(SPILL_TIMES))
            .build_arc();
        let runtime = runtime.map_err(|error| QueryError::Failed(error.to_string()))?;
        let views = Arc::new(views(&config));
        Ok(Self { config, live, runtime, on, views, is_whole, memory, activity: Arc::default() })
    }

    /// Runs one statement that only reads; at most `limit` rows come back (and never more than `limits.query_rows`).
    ///
    /// Cancel safe: the work ends soon after the future is dropped.
    pub(crate) async fn run(&self, sql: &str, limit: usize) -> Result<QueryResult, QueryError> {
        let started = Instant::now();
        let limit = limit.min(self.config.limits.query_rows.get());
        let kept = self.run_into(sql, Keep::first(limit, &self.runtime.memory_pool)).await?;
        kept.result(started)
    }

    /// Runs one statement that only reads, and hands its rows on as they come. Cancel safe as [`Self::run`].
    pub(crate) async fn run_into<T: Take>(&self, sql: &str, mut taker: T) -> Result<T, QueryError> {
        self.check_whole()?;
        let (this, text) = (self.clone(), sql.to_owned());
        let work = async move {
            Self::hand_on(&this.context(&text).await?, &text, &mut taker).await?;
            Ok(taker)
        };
        self.bounded(sql, work).await
    }

    /// Does what was asked for by `what`, within `limits.query_timeout`, and counts it meanwhile. Cancel safe as [`Self::run`].
    async fn bounded<T: Send + 'static>(
        &self,
        what: &str,
        work: impl Future<Output = Result<T, QueryError>> + Send + 'static,
    ) -> Result<T, QueryError> {
        let timeout = self.config.limits.query_timeout;
        let place = self.activity.begin(what);
        let answer = self.on_runtime(async move {
            let result = tokio::time::timeout(timeout, work).await.unwrap_or(Err(QueryError::TimedOut(timeout)));
            place.end(&result);
            result
        });
        // Work that does not pause does not hear the time-out above: whoever asked need not wait for it.
        tokio::time::timeout(timeout + PATIENCE, answer).await.unwrap_or(Err(QueryError::TimedOut(timeout)))
    }

    /// Does other work on the threads of queries. Cancel safe as [`Self::run`].
    pub(crate) async fn lend<T, E>(&self, work: impl Future<Output = Result<T, E>> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<QueryError> + Send + 'static,
    {
        self.on_runtime(async move { Ok::<_, QueryError>(work.await) }).await?
    }

    /// As [`Self::lend`], as long as a query may take, and counted among them as `what`.
    pub(crate) async fn lend_bounded<T, E>(
        &self,
        what: &str,
        work: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<QueryError> + Send + 'static,
    {
        self.bounded(what, async move { Ok::<_, QueryError>(work.await) }).await?
    }

    /// Rows as they come; for work that runs on the threads of queries.
    pub(crate) async fn stream(&self, sql: &str) -> Result<SendableRecordBatchStream, QueryError> {
        self.check_whole()?;
        Ok(stream_in(&self.context(sql).await?, sql).await?)
    }

    /// Rows of `rejects` as one version of the archive has it, as they come.
    pub(crate) async fn rejects_of(
        &self,
        table: Arc<ArchivedTable>,
        sql: &str,
    ) -> Result<SendableRecordBatchStream, QueryError> {
        let context = self.session();
        let archive = ArchiveState { rejects: Some(table), ..ArchiveState::default() };
        let snapshot = Snapshot { archive, ..Snapshot::default() };
        tables::register(&context, &snapshot, &self.config)?;
        Ok(stream_in(&context, sql).await?)
    }

    /// Whether no partition is missing here.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// What queries do, and what they may.
    pub(crate) fn info(&self) -> QueriesInfo {
        let (running, ended) = self.activity.now();
        QueriesInfo {
            running,
            ended,
            memory_bytes: self.runtime.memory_pool.reserved() as u64,
            memory_limit_bytes: self.memory as u64,
            most_rows: self.config.limits.query_rows.get() as u64,
            most_seconds: self.config.limits.query_timeout.as_secs_f64(),
        }
    }

    /// Refuses where rows would be missing.
    fn check_whole(&self) -> Result<(), QueryError> {
        if self.is_whole {
            return Ok(());
        }
        Err(QueryError::refused(
            "this process does not receive every partition, so rows would be missing: ask the one of `millstream serve`".to_owned(),
        ))
    }

    /// The newest `limit` rows of `live`, newest first (for the page; not a full scan).
    pub(crate) async fn newest(&self, limit: usize) -> Result<QueryResult, QueryError> {
        let started = Instant::now();
        let segments = self.live.newest(limit);
        let newest = self.on_runtime(async move { tables::newest_rows(&segments, limit) }).await;
        let (schema, batches) = newest.map_err(|error| QueryError::Failed(error.to_string()))?;
        Ok(QueryResult { schema, batches, truncated: false, elapsed: started.elapsed(), memory: None })
    }

    /// Tables and views with their columns.
    pub(crate) async fn tables(&self) -> Result<Vec<TableInfo>, QueryError> {
        let names: Vec<String> =
            TABLES.iter().map(|&name| name.to_owned()).chain(self.views.iter().map(|view| view.name.clone())).collect();
        let this = self.clone();
        self.on_runtime(async move {
            let context = this.context(&names.join(" ")).await?;
            let mut tables = Vec::new();
            for name in names {
                let Ok(provider) = context.table_provider(name.as_str()).await else {
                    // A view over columns that no row has brought yet.
                    tables.push(TableInfo { name, kind: "view".to_owned(), columns: Vec::new(), time: None });
                    continue;
                };
                let column = |field: &Arc<arrow::datatypes::Field>| ColumnInfo {
                    name: field.name().clone(),
                    data_type: field.data_type().to_string(),
                    nullable: field.is_nullable(),
                };
                let kind = if TABLES.contains(&name.as_str()) { "table" } else { "view" };
                let columns = provider.schema().fields().iter().map(column).collect();
                let time = this.time_column(&name);
                tables.push(TableInfo { name, kind: kind.to_owned(), columns, time });
            }
            Ok::<_, QueryError>(tables)
        })
        .await
    }

    /// The column by which the rows of a table stand in time.
    fn time_column(&self, table: &str) -> Option<String> {
        match table {
            "rejects" => Some(INGESTED_AT.to_owned()),
            table if TABLES.contains(&table) => {
                Some(self.config.source.event_time.clone().unwrap_or_else(|| INGESTED_AT.to_owned()))
            }
            _ => None,
        }
    }

    /// Where the process keeps its data.
    pub(crate) fn data_dir(&self) -> &Path {
        &self.config.pipeline.data_dir
    }

    /// The views of the pipeline file; the standard one (rows per minute) when it has none.
    pub(crate) fn views(&self) -> Vec<ViewInfo> {
        self.views.to_vec()
    }

    async fn collect(&self, sql: &str, limit: usize) -> Result<QueryResult, QueryError> {
        self.collect_in(&self.context(sql).await?, sql, limit).await
    }

    /// Rows of a statement that only reads, in a session that is ready for it.
    async fn collect_in(&self, context: &SessionContext, sql: &str, limit: usize) -> Result<QueryResult, QueryError> {
        let started = Instant::now();
        let mut kept = Keep::first(limit, &self.runtime.memory_pool);
        Self::hand_on(context, sql, &mut kept).await?;
        kept.result(started)
    }

    async fn hand_on(context: &SessionContext, sql: &str, taker: &mut impl Take) -> Result<(), QueryError> {
        let mut stream = stream_in(context, sql).await?;
        taker.begin(&stream.schema())?;
        while let Some(batch) = stream.next().await {
            if !taker.rows(&batch?)? {
                break;
            }
        }
        Ok(())
    }

    /// A session without tables: how every query runs.
    fn session(&self) -> SessionContext {
        let config = SessionConfig::new()
            .with_information_schema(true)
            .with_target_partitions(std::thread::available_parallelism().map_or(2, std::num::NonZero::get))
            .set_bool("datafusion.sql_parser.collect_spans", true)
            .set_str("datafusion.execution.time_zone", "+00:00");
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(Arc::clone(&self.runtime))
            .with_default_features()
            .with_physical_optimizer_rule(Arc::new(Interruptible));
        SessionContext::new_with_state(state.build())
    }

    /// A session over one snapshot, with the views that `sql` may use.
    async fn context(&self, sql: &str) -> Result<SessionContext, DataFusionError> {
        let context = self.session();
        let snapshot = self.live.snapshot();
        tables::register(&context, &snapshot, &self.config)?;
        let lower = sql.to_lowercase();
        let mut wanted = HashSet::new();
        // From the last to the first, for a view may use those before it.
        for (index, view) in self.views.iter().enumerate().rev() {
            let uses = |text: &str| text.to_lowercase().contains(&view.name.to_lowercase());
            let wants = lower.contains("information_schema")
                || uses(sql)
                || self.views.iter().enumerate().any(|(other, text)| wanted.contains(&other) && uses(&text.sql));
            if wants {
                wanted.insert(index);
            }
        }
        for (index, view) in self.views.iter().enumerate().filter(|(index, _)| wanted.contains(index)) {
            // A view that cannot be planned is not there: it must not stop queries that only seem to name it.
            match context.sql_with_options(&view.sql, only_reads()).await {
                Ok(frame) => drop(context.register_table(view.name.as_str(), frame.into_view())?),
                Err(error) => debug!(view = %self.views[index].name, %error, "view cannot be planned"),
            }
        }
        Ok(context)
    }

    #[allow(clippy::disallowed_methods, reason = "joined at once: it only moves the work to the runtime for queries")]
    async fn on_runtime<T: Send + 'static, E: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, QueryError>
    where
        QueryError: From<E>,
    {
        match Work(self.on.spawn(work)).await {
            Ok(result) => result.map_err(QueryError::from),
            Err(error) if error.is_cancelled() => Err(QueryError::Stopping),
            Err(error) => Err(QueryError::Failed(format!("the query ended by a panic: {error}"))),
        }
    }
}

/// The rows of a statement that only reads.
async fn stream_in(context: &SessionContext, sql: &str) -> Result<SendableRecordBatchStream, DataFusionError> {
    let frame = context.sql_with_options(sql, only_reads()).await?;
    let task = Arc::new(frame.task_ctx());
    let plan = with_pauses(frame.create_physical_plan().await?)?;
    execute_stream(plan, task)
}

/// No statement that changes anything.
pub(crate) fn only_reads() -> SQLOptions {
    SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false)
}

impl QueryError {
    fn refused(text: String) -> Self {
        Self::Refused { text, place: None }
    }
}

impl From<DataFusionError> for QueryError {
    fn from(error: DataFusionError) -> Self {
        explain(&error)
    }
}

/// A task whose work ends when nobody waits for it any more.
struct Work<T>(JoinHandle<T>);

impl<T> Future for Work<T> {
    type Output = Result<T, tokio::task::JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl<T> Drop for Work<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn views(config: &Config) -> Vec<ViewInfo> {
    if config.views.is_empty() {
        let chart = ChartInfo {
            kind: "bar".to_owned(),
            x: Some("minute".to_owned()),
            y: Some("rows".to_owned()),
            series: None,
            value: None,
            fit: false,
        };
        return vec![ViewInfo { name: STANDARD_VIEW.to_owned(), sql: STANDARD_SQL.to_owned(), chart: Some(chart) }];
    }
    let view = |view: &millstream_core::config::View| ViewInfo {
        name: view.name.clone(),
        sql: view.sql.clone(),
        chart: view.chart.clone(),
    };
    config.views.iter().map(view).collect()
}
