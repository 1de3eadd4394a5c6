//! The pipeline file: read, checked as a whole, turned into types that cannot be wrong.

pub mod clean;

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use self::clean::Clean;

/// A pipeline file, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder of the pipeline file; relative paths start here, and `_file` is relative to it.
    pub base_dir: PathBuf,
    /// `[pipeline]`
    pub pipeline: Pipeline,
    /// `[source]`
    pub source: Source,
    /// `[clean]`
    pub clean: Clean,
    /// `[stream]`
    pub stream: Stream,
    /// `[table]`
    pub table: Table,
    /// `[archive]`
    pub archive: Archive,
    /// `[[view]]`
    pub views: Vec<View>,
    /// `[limits]`
    pub limits: Limits,
    /// `[server]`
    pub server: Server,
}

/// `[pipeline]`
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// `name`: letters, digits, `_` and `-`; fixed at the first run.
    pub name: String,
    /// `data_dir`: embedded log, state; absolute. Default `./millstream-data`.
    pub data_dir: PathBuf,
    /// `drain_deadline`: how long a stop may take before it is an abort. Default 30 s.
    pub drain_deadline: Duration,
}

/// `[source]`
#[derive(Debug, Clone)]
pub struct Source {
    /// `path`: files, globs or directories as written, at least one.
    pub path: Vec<String>,
    /// `recursive`: whether directories are searched to any depth. Default false.
    pub recursive: bool,
    /// `watch`: go on with files that appear. Default false.
    pub watch: bool,
    /// `event_time`: output column with the time of the event; fixed at the first run.
    pub event_time: Option<String>,
    /// `pace`: `"max"` (default) or `"50000 rows/s"`.
    pub pace: Pace,
    /// `settle`: how long a file without a valid footer gets before it is quarantined. Default 2 s.
    pub settle: Duration,
    /// `parallel_splits`: splits read and cleaned at once. Default: the number of processors, at most 8; 1 to 64.
    pub parallel_splits: NonZeroUsize,
}

/// How fast rows are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As fast as the slowest stage takes them.
    Max,
    /// Rows per second.
    RowsPerSecond(NonZeroU64),
}

/// `[stream]`
#[derive(Debug, Clone)]
pub struct Stream {
    /// `topic`: default the pipeline's name; letters, digits, `.`, `_`, `-`.
    pub topic: String,
    /// `partitions`: 1 to 1024, default 2; fixed at the first run.
    pub partitions: NonZeroU32,
    /// `flush_interval`: longest wait before collected records are appended. Default 20 ms.
    pub flush_interval: Duration,
    /// `flush_bytes`: collected bytes that are appended at once. Default 8 MiB.
    pub flush_bytes: u64,
    /// `batch_rows`: source rows cleaned as one batch, 1 to 1,000,000. Default 8192.
    pub batch_rows: NonZeroUsize,
    /// `batch_bytes`: Arrow bytes of a batch past which it is cut. Default 4 MiB.
    pub batch_bytes: u64,
    /// `max_record_bytes`: largest record; default and largest 900 KiB, at least 16 KiB.
    pub max_record_bytes: u64,
    /// `retention`: age at which archived records leave the log. Default 1 h.
    pub retention: Duration,
    /// `retention_bytes`: size past which the oldest archived records leave the log. Default 1 GiB.
    pub retention_bytes: u64,
}

/// `[table]`
#[derive(Debug, Clone)]
pub struct Table {
    /// `retention`: age, by `ingested_at`, at which archived rows leave the table. Default 24 h.
    pub retention: Duration,
    /// `max_rows`: rows past which the oldest archived ones leave; none means only memory bounds it.
    pub max_rows: Option<NonZeroU64>,
}

/// `[archive]`
#[derive(Debug, Clone)]
pub struct Archive {
    /// `path`: folder of the archive, absolute. Default `<data_dir>/archive`. Clean rows are in `<path>/rows`, rejects in
    /// `<path>/rejects`.
    pub path: PathBuf,
    /// `partition_by`: default `arrival_day`; fixed at the first run.
    pub partition_by: PartitionBy,
    /// `commit_interval`: longest time between commits while rows come. Default 10 s.
    pub commit_interval: Duration,
    /// `target_file_bytes`: Arrow bytes waiting for a commit at which it is made at once. Default 128 MiB.
    pub target_file_bytes: u64,
}

/// `partition_by`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionBy {
    /// By the day of `ingested_at`.
    ArrivalDay,
    /// Not at all.
    None,
    /// By the day of the event time.
    Day,
    /// By the month of the event time.
    Month,
}

/// `[[view]]`
#[derive(Debug, Clone)]
pub struct View {
    /// SQL name.
    pub name: String,
    /// A `SELECT` over `live`, `archive`, `events`, `rejects` and the views before it.
    pub sql: String,
    /// How it is drawn; none means as a table.
    pub chart: Option<crate::status::ChartInfo>,
}

/// `[limits]`
#[derive(Debug, Clone)]
pub struct Limits {
    /// `memory`: the one budget that queues, table, dedup, queries and writers share, bytes. Default 512 MiB, at least 64 MiB.
    pub memory: u64,
    /// `query_timeout`: longest time of a query. Default 30 s.
    pub query_timeout: Duration,
    /// `query_rows`: most rows that a query returns. Default 100,000.
    pub query_rows: NonZeroUsize,
}

/// `[server]`
#[derive(Debug, Clone)]
pub struct Server {
    /// `http`: address of the page and the API. Default `127.0.0.1:8080`; port 0 takes a free one. Another address than
    /// loopback needs `token`.
    pub http: SocketAddr,
    /// `token`: what clients must show as `Authorization: Bearer …`.
    pub token: Option<Secret>,
}

/// A value that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(value: String) -> Self {
        Self(value)
    }

    /// The secret itself, to compare or send; never to print.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("***")
    }
}
