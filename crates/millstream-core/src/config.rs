//! The pipeline file: read, checked as a whole, turned into types that cannot be wrong.

mod changed;
pub mod clean;
mod columns;
mod contradictions;
mod environment;
pub mod error;
mod kafka;
mod kept;
mod location;
mod nearest;
pub mod place;
mod read_clean;
mod reader;
mod references;
mod rules;
mod secrets;
mod sections;
mod spark;
#[cfg(test)]
mod tests;
mod upkeep;
mod views;
pub mod written;

use std::fmt;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeTable;

use self::clean::Clean;
use self::error::{ConfigErrors, Mistake, locate};
pub use self::kafka::{Kafka, Sasl, SaslMechanism, SecretSource, Tls};
pub use self::location::{Location, StoreUrl};
use self::read_clean::Mentions;
use self::reader::Reader;
use self::sections::Items;
use self::spark::read_spark;
pub use self::spark::{Spark, SparkMode};
pub use self::upkeep::{Retention, RetentionBy, Upkeep};
use crate::ids::TopicPartition;
use crate::plan::check::{Problem, check_config};
use crate::units;

/// Batches a second that a slow pace is cut into.
const PACED_BATCHES_PER_SECOND: u64 = 20;

/// A pipeline file, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The pipeline file as written, `${NAME}` not replaced, but without comments and with `***` for passwords and the token: what is
    /// kept of it may be read by others. It can be parsed again.
    pub text: String,
    /// The pipeline file, in full.
    pub file: PathBuf,
    /// Folder of the pipeline file; relative paths start here, and `_file` is relative to it.
    pub base_dir: PathBuf,
    /// `[pipeline]`
    pub pipeline: Pipeline,
    /// `[source]`
    pub source: Source,
    /// `[clean]`
    pub clean: Clean,
    /// `[clean.spark]`; none cleans with DataFusion. Not a part of [`Config::clean`], which means the same for all engines.
    pub spark: Option<Spark>,
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

/// What [`Config::parse_with`] is told of the world outside of the file.
pub struct Outside<'o> {
    /// What is wrong with the SQL of a view, as far as that can be told without columns.
    pub view_problem: &'o dyn Fn(&str) -> Option<String>,
    /// Whether somebody may log in by the file `server.users`.
    pub has_users: &'o dyn Fn(&Path) -> bool,
}

impl Config {
    /// Reads the text of the pipeline file `file`, `environment` giving the values of `${NAME}`.
    ///
    /// Reads no file and no variable itself; a relative `file` is taken from the working directory.
    ///
    /// # Errors
    /// All mistakes of the text at once, in its order; when it is not valid TOML, those against TOML.
    pub fn parse(text: &str, file: &Path, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        Self::parse_with(text, file, environment, &Outside { view_problem: &|_| None, has_users: &|_| true })
    }

    /// As [`Config::parse`], with what is known of the world outside of the file.
    ///
    /// # Errors
    /// As [`Config::parse`].
    pub fn parse_with(
        text: &str,
        file: &Path,
        environment: &dyn Fn(&str) -> Option<String>,
        outside: &Outside<'_>,
    ) -> Result<Self, ConfigErrors> {
        let (document, syntax_errors) = DeTable::parse_recoverable(text);
        let mut hidden = secrets::find_in_document(document.get_ref());
        hidden.extend(secrets::find_in_comments(text));
        if !syntax_errors.is_empty() {
            hidden.extend(secrets::find_in_text(text));
            let mistakes = syntax_errors.iter().map(|error| syntax_mistake(error, text)).collect();
            return Err(locate(file, text, mistakes, &hidden));
        }
        let reader = Reader::new(environment);
        let absolute = std::path::absolute(file).unwrap_or_default();
        let base_dir = absolute.parent().map(Path::to_owned);
        if base_dir.is_none() {
            reader
                .report(Mistake::of_whole_file("the folder of the pipeline file is not known; name the file in full"));
        }
        let config = Self::read(&reader, document.get_ref(), base_dir.unwrap_or_default(), outside);
        let mut mistakes = reader.into_mistakes();
        let mut problems = check_config(&config.clean, config.source.event_time.as_deref());
        for (number, view) in views::texts(document.get_ref()) {
            let problem = (outside.view_problem)(view).map(|text| Problem { key: format!("view[{number}].sql"), text });
            problems.extend(problem);
        }
        for problem in problems {
            // What was told of a rule, a column or a view already need not be told in other words.
            let entry = match problem.key.rsplit_once('.') {
                Some((entry, _)) if entry.contains(['.', '[']) => entry,
                Some(_) | None => &problem.key,
            };
            let is_told = |mistake: &Mistake| {
                mistake.key.strip_prefix(entry).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            };
            if !mistakes.iter().any(is_told) {
                mistakes.push(place::mistake(text, document.get_ref(), &problem));
            }
        }
        if !mistakes.is_empty() {
            return Err(locate(file, text, mistakes, &hidden));
        }
        Ok(Self { text: kept::without_secrets(text, document.get_ref()), file: absolute, ..config })
    }

    /// Source rows cleaned as one batch: `stream.batch_rows`, or fewer where `source.pace` is slow, so that rows arrive evenly.
    #[must_use]
    pub fn batch_rows(&self) -> NonZeroUsize {
        let Pace::RowsPerSecond(pace) = self.source.pace else { return self.stream.batch_rows };
        let by_pace = usize::try_from(pace.get() / PACED_BATCHES_PER_SECOND).unwrap_or(usize::MAX);
        NonZeroUsize::new(by_pace).unwrap_or(NonZeroUsize::MIN).min(self.stream.batch_rows)
    }

    /// Whether another program writes the topic.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        self.stream.kafka.as_ref().is_some_and(|kafka| kafka.foreign)
    }

    /// Every partition that is received. Of a topic that another program writes, each gives rows and rejects.
    #[must_use]
    pub fn partitions(&self) -> Vec<TopicPartition> {
        let partitions = self.stream.partitions.get();
        if self.is_foreign() {
            TopicPartition::rows(partitions).flat_map(|at| [at, at.rejects()]).collect()
        } else {
            TopicPartition::all(partitions).collect()
        }
    }

    /// What the document says, defaults for what is absent or was reported.
    fn read<'d>(reader: &'d Reader<'d>, document: &'d DeTable<'d>, base_dir: PathBuf, outside: &Outside<'_>) -> Self {
        let mut root = reader.root(document);
        let [pipeline, source, mut clean, stream] =
            ["pipeline", "source", "clean", "stream"].map(|key| root.section(key));
        let pipeline = sections::read_pipeline(pipeline, &base_dir);
        let stream = sections::read_stream(stream, &base_dir, &pipeline.name);
        let processors = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let mut source = sections::read_source(source, processors, !stream.items.kafka.receives_only);
        let is_foreign = stream.value.kafka.as_ref().is_some_and(|kafka| kafka.foreign);
        let mentions = Mentions {
            event_time: source.items.event_time.as_ref(),
            key: &stream.items.key,
            foreign: stream.items.kafka.foreign.as_ref().filter(|_| is_foreign),
        };
        let spark_item = clean.take("spark");
        let spark = spark_item.as_ref().and_then(|item| read_spark(item, &base_dir, &pipeline.data_dir));
        let clean = read_clean::read_clean(clean, &mentions);
        let table = sections::read_table(root.section("table"));
        let archive = sections::read_archive(root.section("archive"), &base_dir, &pipeline.data_dir);
        let views = views::read_views(root.take("view"));
        let limits = sections::read_limits(root.section("limits"));
        let server = sections::read_server(root.section("server"), &base_dir, &pipeline.data_dir);
        root.finish();
        if source.items.parallel_splits.is_none() {
            let fitting = limits.value.memory / 2 / stream.value.batch_bytes.max(1);
            let fitting =
                NonZeroUsize::new(usize::try_from(fitting).unwrap_or(usize::MAX)).unwrap_or(NonZeroUsize::MIN);
            source.value.parallel_splits = source.value.parallel_splits.min(fitting);
        }
        let items = Items {
            event_time: source.items.event_time,
            parallel_splits: source.items.parallel_splits,
            of_files: source.items.of_files,
            partition_by: archive.items.partition_by,
            archive_path: archive.items.archive_path,
            upkeep: archive.items.upkeep,
            memory: limits.items.memory,
            query_timeout: limits.items.query_timeout,
            http: server.items.http,
            token: server.items.token,
            spark: spark_item,
            ..stream.items
        };
        let config = Self {
            text: String::new(),
            file: PathBuf::new(),
            base_dir,
            pipeline,
            source: source.value,
            clean,
            spark,
            stream: stream.value,
            table,
            archive: archive.value,
            views,
            limits: limits.value,
            server: server.value,
        };
        contradictions::check(&config, &items, outside);
        config
    }
}

/// The parser's own words, but for two that say too little.
fn syntax_mistake(error: &toml::de::Error, text: &str) -> Mistake {
    let key = error.span().and_then(|span| text.get(span)).unwrap_or_default();
    let problem = match error.message() {
        "duplicate key" => format!("`{}` is there twice; take one out or rename it", key.trim()),
        message if message.starts_with("invalid boolean") => format!("{message}; a text stands in quotes"),
        message => message.lines().collect::<Vec<_>>().join("; "),
    };
    Mistake { span: error.span(), ..Mistake::of_whole_file(&problem) }
}

/// `[pipeline]`
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// `name`: 1 to 100 letters (a-z, A-Z), digits, `_`, `-`; fixed at the first run.
    pub name: String,
    /// `data_dir`: embedded log, state; absolute. Default `./millstream-data`.
    pub data_dir: PathBuf,
    /// `drain_deadline`: how long a stop may take before it is an abort. Default 30 s; 1 s to 1 h.
    pub drain_deadline: Duration,
}

/// `[source]`
#[derive(Debug, Clone)]
pub struct Source {
    /// `path`: files, globs or directories as written, at least one; none if another program writes the topic
    /// (`stream.kafka.foreign`). All on this machine, or all in one bucket of an object store.
    pub path: Vec<String>,
    /// `recursive`: whether directories are searched to any depth. Default false.
    pub recursive: bool,
    /// `watch`: go on with files that appear. Default false.
    pub watch: bool,
    /// `event_time`: output column with the time of the event; fixed at the first run.
    pub event_time: Option<String>,
    /// `pace`: `"max"` (default) or `"50000 rows/s"`.
    pub pace: Pace,
    /// `list_interval`: how often the source is listed while files are awaited. Default 500 ms, for a bucket 10 s; 10 ms to 1 d.
    pub list_interval: Duration,
    /// `settle`: how long a file without a valid footer gets before it is quarantined. Default 2 s; 0 to 1 h.
    pub settle: Duration,
    /// `parallel_splits`: splits read and cleaned at once. Default: the number of processors, at most 8
    /// and as many as `[limits] memory` allows; 1 to 64.
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

/// As it is written in a pipeline file.
impl fmt::Display for Pace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Max => formatter.write_str("max"),
            Self::RowsPerSecond(rows) => formatter.write_str(&units::format_rows_per_second(*rows)),
        }
    }
}

/// `[stream]`
#[derive(Debug, Clone)]
pub struct Stream {
    /// `topic`: default the pipeline's name; 1 to 200 letters, digits, `.`, `_`, `-`.
    pub topic: String,
    /// `partitions`: 1 to 1024, default 2; fixed at the first run.
    pub partitions: NonZeroU32,
    /// `format`: what the records of clean rows are. Default Arrow; JSON only with `kafka`.
    pub format: Format,
    /// `key`: output columns; rows that are equal in them go to the same partition, in their order. Default none: partitions
    /// take turns. Only with `kafka`.
    pub key: Vec<String>,
    /// `flush_interval`: longest wait before collected records are appended. Default 20 ms; 1 ms to 10 s.
    pub flush_interval: Duration,
    /// `flush_bytes`: collected bytes that are appended at once. Default 8 MiB; 64 KiB to 1 GiB, at most a quarter of `[limits] memory`.
    pub flush_bytes: u64,
    /// `batch_rows`: source rows cleaned as one batch, 1 to 1,000,000. Default 8192.
    pub batch_rows: NonZeroUsize,
    /// `batch_bytes`: Arrow bytes of a batch past which it is cut. Default 4 MiB; 64 KiB to 1 GiB; `parallel_splits` of them are at
    /// most half of `[limits] memory`.
    pub batch_bytes: u64,
    /// `max_record_bytes`: largest record; default and largest 900 KiB, at least 16 KiB.
    pub max_record_bytes: u64,
    /// `retention`: age at which archived records leave the log. Default 1 h; 0 to 10 years.
    pub retention: Duration,
    /// `retention_bytes`: size past which the oldest archived records leave the embedded log. Default 1 GiB; 0 to 1024 TiB.
    pub retention_bytes: u64,
    /// `[stream.kafka]`: the cluster that is the log; none is the embedded log.
    pub kafka: Option<Kafka>,
}

/// `format`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A record is a batch: an Arrow IPC stream of its own.
    Arrow,
    /// A record is a row: a JSON object.
    Json,
}

/// `[table]`
#[derive(Debug, Clone)]
pub struct Table {
    /// `retention`: age, by `ingested_at`, at which archived rows leave the table. Default 24 h; 0 to 10 years.
    pub retention: Duration,
    /// `max_rows`: rows past which the oldest archived ones leave; none means only memory bounds it. 1 to 10^12.
    pub max_rows: Option<NonZeroU64>,
    /// `max_bytes`: bytes of memory past which the oldest archived rows leave; none means the table's share of `[limits] memory`,
    /// which bounds it in any case. 64 KiB to 64 TiB.
    pub max_bytes: Option<NonZeroU64>,
}

/// `[archive]`
#[derive(Debug, Clone)]
pub struct Archive {
    /// `path`: folder of the archive, absolute, or a key of an object store. Default `<data_dir>/archive`. Clean rows are in
    /// `<path>/rows`, rejects in `<path>/rejects`.
    pub path: Location,
    /// `partition_by`: default `arrival_day`; fixed at the first run.
    pub partition_by: PartitionBy,
    /// `commit_interval`: longest time between commits while rows come. Default 10 s; 10 ms to 1 h.
    pub commit_interval: Duration,
    /// `commit_bytes`: Arrow bytes waiting for a commit at which it is made at once. Default 128 MiB; 64 KiB to 4 GiB.
    pub commit_bytes: u64,
    /// How it looks after itself.
    pub upkeep: Upkeep,
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
    /// `memory`: the one budget that queues, table, dedup, queries and writers share, bytes. Default 512 MiB; 64 MiB to 64 TiB.
    pub memory: u64,
    /// `query_timeout`: longest time of a query. Default 30 s; 10 ms to 1 h.
    pub query_timeout: Duration,
    /// `query_rows`: most rows that a query returns. Default 100,000; 1 to 10,000,000.
    pub query_rows: NonZeroUsize,
    /// What a source file may be; the keys `file_…` and `isolated_…`.
    pub files: FileLimits,
}

/// `[limits]`: what a source file may be
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileLimits {
    /// `file_footer`: largest footer, bytes. Default 32 MiB; 64 KiB to 1 GiB.
    pub footer: u64,
    /// `file_columns`: most columns, those inside of others counted. Default 10,000; 1 to 1,000,000.
    pub columns: u64,
    /// `file_row_groups`: most row groups. Default and most 32,767, what Parquet can number.
    pub row_groups: u64,
    /// `file_depth`: how deep columns may lie inside of each other. Default 32; 1 to 64.
    pub depth: u64,
    /// `file_unpacked`: bytes that a row group may unpack to and still be read in this process. Default 1 GiB; 1 MiB to 64 TiB.
    pub unpacked: u64,
    /// `file_expansion`: how many times its size on disk a row group past `unpacked` may unpack to. Default 10,000; 1 to 10^9.
    pub expansion: u64,
    /// `isolated_memory`: what a process that reads a file apart may take, bytes. Default 512 MiB; 64 MiB to 64 TiB.
    pub isolated_memory: u64,
    /// `isolated_time`: how long such a process may work from one batch to the next. Default 1 min; 1 s to 1 h.
    pub isolated_time: Duration,
}

/// `[server]`
#[derive(Debug, Clone)]
pub struct Server {
    /// `http`: address of the page and the API. Default `127.0.0.1:8080`; port 0 takes a free one. Another address than
    /// loopback needs users or `token`.
    pub http: SocketAddr,
    /// `token`: what programs may show as `Authorization: Bearer …`, which makes them operators.
    pub token: Option<Secret>,
    /// `users`: the file of those who may log in; absolute. Default `users.json` in `pipeline.data_dir`.
    pub users: PathBuf,
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

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}
