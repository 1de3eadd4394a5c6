//! What the program tells about itself: the bodies of `/api/status`, `/api/ledger` and `/api/tables`.
//!
//! These types are the contract between the server, the command line and the page. Rates are per second, counts are since
//! the stream began (not since the process started) unless a field says otherwise, times are RFC 3339 text in UTC.

use serde::{Deserialize, Serialize};

/// Where the pipeline is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PipelineState {
    /// Recovering the log, the archive and the live table.
    Starting,
    /// Rows flow, or can flow.
    Running,
    /// `watch = true` and every known file is done: waiting for files.
    Waiting,
    /// Told to stop; what is under way is being brought to an end.
    Draining,
    /// Ended, all of it archived.
    Done,
    /// Ended by an error; `messages` says which.
    Failed,
}

/// The whole state of a running pipeline, as `/api/status` gives it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Name of the pipeline.
    pub pipeline: String,
    /// Version of the program.
    pub version: String,
    /// Where the pipeline is in its life.
    pub state: PipelineState,
    /// Stages that this process carries: `publish` (with its number where there are several, `publish 0/2`), `receive`, `archive`,
    /// `serve`. Numbers of the others are 0, or those of all processes together.
    #[serde(default)]
    pub stages: Vec<String>,
    /// When this process started.
    pub started_at: String,
    /// Seconds since this process started.
    pub uptime_seconds: f64,
    /// Memory that the process holds, bytes.
    pub memory_bytes: u64,
    /// `[limits] memory`, bytes.
    pub memory_limit_bytes: u64,
    /// First stage: the files.
    pub source: SourceStatus,
    /// Second stage: types, filter, rules, dedup.
    pub clean: CleanStatus,
    /// Third stage: the log.
    pub stream: StreamStatus,
    /// Fourth stage: reading the log.
    pub receive: ReceiveStatus,
    /// Fifth stage: the real-time table.
    pub table: TableStatus,
    /// The archive.
    pub archive: ArchiveStatus,
    /// Rejected rows, by rule, most first.
    pub rejects_by_rule: Vec<RuleCount>,
    /// From "file found" to "row queryable", over the last minute.
    pub freshness: Freshness,
    /// How long the steps on the way took over the last minute, in their order.
    #[serde(default)]
    pub latencies: Vec<StepLatency>,
    /// Things that a person should know, newest first, at most 50.
    pub messages: Vec<Message>,
}

/// Files and rows of the source.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// As written in the pipeline file.
    pub path: Vec<String>,
    /// `max`, or rows per second as written.
    pub pace: String,
    /// Whether new files are awaited.
    pub watch: bool,
    /// Files found that no row was read from yet.
    pub files_waiting: u64,
    /// Files under way.
    pub files_reading: u64,
    /// Files whose rows all have an outcome in the log.
    pub files_done: u64,
    /// Files that could not be read, or changed midway.
    pub files_quarantined: u64,
    /// Rows in readable files, by their footers.
    pub rows_total: u64,
    /// Rows with an outcome in the log.
    pub rows_read: u64,
    /// Rows read a second, over the last seconds.
    pub rows_per_second: f64,
}

/// Counts of the cleaning stage.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CleanStatus {
    /// `datafusion` or `spark`.
    pub engine: String,
    /// Rows that passed.
    pub clean: u64,
    /// Rows that broke a rule.
    pub rejected: u64,
    /// Rows that were repeats.
    pub deduplicated: u64,
    /// Rows that the filter took out.
    pub filtered: u64,
    /// Rows delivered although their window had passed (dedup cannot vouch for them).
    pub late: u64,
    /// Rows in the dedup state.
    pub dedup_keys: u64,
    /// Splits that are being cleaned in this process.
    #[serde(default)]
    pub splits: Vec<SplitStatus>,
}

/// A split that is being cleaned.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitStatus {
    /// Its file.
    pub file: String,
    /// Its first row.
    pub first_row: u64,
    /// Behind its last row.
    pub end_row: u64,
    /// The row that is cleaned next.
    pub next_row: u64,
    /// When it began.
    pub since: String,
}

/// How long one step on the way took; none when it was not taken in the last minute.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StepLatency {
    /// `read` and `clean` (a batch), `append` (until it is durable); then, from durable in the log: `receive` (taken out of it),
    /// `visible` (queryable), `archived` (held by the archive).
    pub step: String,
    /// Median, seconds.
    pub p50_seconds: Option<f64>,
    /// 99th percentile, seconds.
    pub p99_seconds: Option<f64>,
}

/// The log.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StreamStatus {
    /// `embedded` or `kafka`.
    pub log: String,
    /// Topic name.
    pub topic: String,
    /// Stream id.
    pub stream_id: String,
    /// What keeps the log from working at the moment; none when it works.
    pub trouble: Option<LogTrouble>,
    /// Every partition of the topic and of `<topic>.rejects`.
    pub partitions: Vec<PartitionStatus>,
    /// Appends since this process started.
    pub appends: u64,
    /// Records (batches) appended since this process started.
    pub records: u64,
    /// Bytes of record values appended since this process started.
    pub bytes: u64,
    /// Mean rows of a record since this process started.
    pub rows_per_record: f64,
    /// Records appended a second, over the last seconds.
    pub records_per_second: f64,
    /// Bytes that the log holds on disk.
    pub disk_bytes: u64,
}

/// What keeps the log from working.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogTrouble {
    /// Since when.
    pub since: String,
    /// What, in words.
    pub what: String,
}

/// One partition of the log.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PartitionStatus {
    /// `taxi` or `taxi.rejects`.
    pub topic: String,
    /// Number of the partition, from 0.
    pub partition: u32,
    /// Lowest offset that the log still has.
    pub begin_offset: u64,
    /// Offset that the next record gets.
    pub end_offset: u64,
    /// Offset that is received next.
    pub received_offset: u64,
    /// Offset below which the archive holds everything.
    pub archived_offset: u64,
}

/// The receiver.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReceiveStatus {
    /// Rows received since this process started.
    pub rows: u64,
    /// Rows received a second, over the last seconds.
    pub rows_per_second: f64,
    /// Rows in the log that are not received yet.
    pub lag_rows: u64,
    /// Age of the oldest record that is not received yet, seconds; 0 when there is none.
    pub lag_seconds: f64,
    /// Records dropped because their seq was seen before.
    pub repeats: u64,
    /// Holes in seq: each is an error.
    pub gaps: u64,
    /// Lowest and highest event time of the records of the last seconds.
    #[serde(default)]
    pub event_times: Option<[String; 2]>,
}

/// The real-time table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TableStatus {
    /// Rows in `live`.
    pub rows: u64,
    /// Their memory, bytes.
    pub bytes: u64,
    /// Share of the memory budget that the table may take, bytes.
    pub limit_bytes: u64,
    /// Segments that hold them.
    pub segments: u64,
    /// Rows of `live` that the archive does not hold yet.
    pub rows_not_archived: u64,
    /// `ingested_at` of the oldest row.
    pub oldest_ingested_at: Option<String>,
    /// Highest event time seen.
    pub newest_event_time: Option<String>,
    /// What of it is of which partition.
    #[serde(default)]
    pub partitions: Vec<TablePartition>,
}

/// What the real-time table holds of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TablePartition {
    /// `taxi` or `taxi.rejects`.
    pub topic: String,
    /// Number of the partition.
    pub partition: u32,
    /// Segments.
    pub segments: u64,
    /// Rows.
    pub rows: u64,
    /// Their memory, bytes.
    pub bytes: u64,
    /// Rows that the archive does not hold yet.
    pub rows_not_archived: u64,
}

/// The archive: the Delta table of clean rows and the one of rejects.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ArchiveStatus {
    /// Where it is.
    pub path: String,
    /// Newest version of the table of clean rows; none before it is created.
    pub version: Option<u64>,
    /// Rows in it.
    pub rows: u64,
    /// Live data files.
    pub files: u64,
    /// Their size, bytes.
    pub bytes: u64,
    /// Rows in the table of rejects.
    pub reject_rows: u64,
    /// Its live data files.
    pub reject_files: u64,
    /// Their size, bytes.
    pub reject_bytes: u64,
    /// Rows that were deleted because they were past `archive.retention`.
    pub expired_rows: u64,
    /// Rejects that were.
    pub expired_rejects: u64,
    /// How it looks after itself.
    pub upkeep: UpkeepStatus,
    /// What keeps rows from being archived at the moment.
    pub trouble: Option<LogTrouble>,
    /// Commits that this process made.
    pub commits: u64,
    /// When the newest commit landed.
    pub last_commit_at: Option<String>,
    /// The newest versions, newest first, at most 20.
    pub versions: Vec<ArchiveVersion>,
}

/// How the archive looks after itself: both tables, since this process started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpkeepStatus {
    /// What is under way, in words.
    pub doing: Option<String>,
    /// Live files that are small enough to be put together with others.
    pub small_files: u64,
    /// Small files that were put together.
    pub compacted_files: u64,
    /// What they became.
    pub compacted_into: u64,
    /// Their size, bytes.
    pub compacted_bytes: u64,
    /// When the last were.
    pub last_compaction_at: Option<String>,
    /// Version of the last checkpoint of the table of clean rows.
    pub last_checkpoint_version: Option<u64>,
    /// When the last checkpoint of either was written.
    pub last_checkpoint_at: Option<String>,
    /// When files that nobody can read any more were looked for last.
    pub last_vacuum_at: Option<String>,
    /// Such files that were removed.
    pub removed_files: u64,
    /// Their size, bytes.
    pub removed_bytes: u64,
    /// Files that were replaced and stay for the history, as of the last look.
    pub replaced_files: u64,
    /// Their size, bytes.
    pub replaced_bytes: u64,
}

/// One version of the archive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArchiveVersion {
    /// Delta version.
    pub version: u64,
    /// When it was committed.
    pub at: String,
    /// Rows that it added.
    pub rows: u64,
    /// Files that it added.
    pub files: u64,
    /// Bytes that it added.
    pub bytes: u64,
}

/// Rows that one rule touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleCount {
    /// Name of the rule; `type:<column>` for a value that does not fit its type.
    pub rule: String,
    /// Rows.
    pub rows: u64,
}

/// From "file found" to "row queryable"; none without rows in the last minute.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Freshness {
    /// Median, seconds.
    pub p50_seconds: Option<f64>,
    /// 99th percentile, seconds.
    pub p99_seconds: Option<f64>,
    /// From durable in the log to queryable: median, seconds.
    pub visible_p50_seconds: Option<f64>,
    /// From durable in the log to queryable: 99th percentile, seconds.
    pub visible_p99_seconds: Option<f64>,
}

/// How loud a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageLevel {
    /// A state changed.
    Info,
    /// Odd, went on.
    Warn,
    /// A person must act, or data is at risk.
    Error,
}

/// Something that a person should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// When.
    pub at: String,
    /// How loud.
    pub level: MessageLevel,
    /// One sentence that names the thing and the way out.
    pub text: String,
}

/// Where a source file is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileState {
    /// Found; no row has an outcome yet.
    Waiting,
    /// Some rows have an outcome.
    Reading,
    /// Every row has an outcome in the log; some are still on their way to the archive.
    Published,
    /// Every row has its outcome and is archived where it belongs.
    Done,
    /// Could not be read, or changed midway.
    Quarantined,
}

/// The ledger of one file, or the sum over all files:
/// `rows = delivered + rejected + deduplicated + filtered + unread + in_flight`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerCounts {
    /// Rows of the file by its footer.
    pub rows: u64,
    /// Rows that the archive holds.
    pub delivered: u64,
    /// Rows that the archive's table of rejects holds.
    pub rejected: u64,
    /// Repeats.
    pub deduplicated: u64,
    /// Taken out by the filter.
    pub filtered: u64,
    /// The rest of a file that was quarantined midway.
    pub unread: u64,
    /// Not read yet, or on the way.
    pub in_flight: u64,
}

/// The ledger of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileLedger {
    /// Path relative to the pipeline file, or URL.
    pub file: String,
    /// Sequence number: the order in which files are published.
    pub sequence: u64,
    /// Where the file is in its life.
    pub state: FileState,
    /// Why it was quarantined.
    pub reason: Option<String>,
    /// Size, bytes.
    pub size_bytes: u64,
    /// Its counts.
    #[serde(flatten)]
    pub counts: LedgerCounts,
}

/// The body of `/api/ledger`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Whether the totals add up and agree with the counters in the archive's own commits.
    pub balanced: bool,
    /// What does not add up, when it does not.
    pub problems: Vec<String>,
    /// Sum over the readable files.
    pub total: LedgerCounts,
    /// Those of the delivered and rejected rows that were deleted since, because they were past `archive.retention`.
    pub expired: u64,
    /// Files, in the order of their sequence numbers.
    pub files: Vec<FileLedger>,
}

/// One column of a table, as `/api/tables` gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnInfo {
    /// Name.
    pub name: String,
    /// Arrow type as text.
    pub data_type: String,
    /// Whether it can be null.
    pub nullable: bool,
}

/// One table, as `/api/tables` gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableInfo {
    /// `live`, `archive`, `unarchived`, `events`, `rejects` or the name of a view.
    pub name: String,
    /// `table` or `view`.
    pub kind: String,
    /// Its columns.
    pub columns: Vec<ColumnInfo>,
    /// The column by which its rows stand in time: `source.event_time`, or `ingested_at` without one. None for a view.
    pub time: Option<String>,
}

/// What queries do, and what they may, as `/api/queries` gives it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueriesInfo {
    /// Those that run, the longest first.
    pub running: Vec<RunningQuery>,
    /// How the others ended, since the process started.
    pub ended: EndedQueries,
    /// Memory that they hold, bytes.
    pub memory_bytes: u64,
    /// Most memory of all queries: their share of `limits.memory`, bytes.
    pub memory_limit_bytes: u64,
    /// `limits.query_rows`.
    pub most_rows: u64,
    /// `limits.query_timeout`, seconds.
    pub most_seconds: f64,
}

/// A query that runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunningQuery {
    /// Its statement; a long one is cut.
    pub sql: String,
    /// Since it began, seconds.
    pub seconds: f64,
}

/// Queries of this process by how they ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedQueries {
    /// Their rows were handed on.
    pub answered: u64,
    /// The statement was wrong, or more than a reading one.
    pub refused: u64,
    /// Longer than `limits.query_timeout`.
    pub timed_out: u64,
    /// Over the share of memory, or an export over its bounds.
    pub too_large: u64,
    /// Whoever asked went away, or the process stopped.
    pub cancelled: u64,
    /// Reading failed.
    pub failed: u64,
}

/// One view, as `/api/views` gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewInfo {
    /// SQL name.
    pub name: String,
    /// Its SQL.
    pub sql: String,
    /// How to draw it; without one it is a table.
    pub chart: Option<ChartInfo>,
}

/// How a view is drawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChartInfo {
    /// `line`, `bar`, `area`, `scatter`, `heatmap`, `table` or `number`.
    pub kind: String,
    /// Column of the horizontal axis.
    pub x: Option<String>,
    /// Column of the values.
    pub y: Option<String>,
    /// Column that splits the rows into series.
    pub series: Option<String>,
    /// Column of the colours of a heat map.
    #[serde(default)]
    pub value: Option<String>,
    /// Whether a scatter has the line that fits its points best.
    #[serde(default)]
    pub fit: bool,
}
