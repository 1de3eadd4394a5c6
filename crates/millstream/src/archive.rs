//! The archive: two Delta tables, `rows` and `rejects`, that hold each record of the log once.
//!
//! The offsets up to which a table holds the log stand in the table itself, as application transactions of the same commits
//! that brought the rows. Nothing else decides where archiving goes on.

pub(crate) mod commit;
pub(crate) mod encode;
pub(crate) mod follow;
pub(crate) mod foreign;
pub(crate) mod history;
pub(crate) mod run;
pub(crate) mod stage;
pub(crate) mod upkeep;

use std::path::Path;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use deltalake::kernel::transaction::CommitProperties;
use deltalake::kernel::{Action, StructField};
use deltalake::operations::create::CreateBuilder;
use deltalake::{DeltaTable, DeltaTableBuilder, DeltaTableError};
use futures::TryStreamExt;
use millstream_core::config::{Location, PartitionBy, Upkeep};
use millstream_core::ids::{Offset, StreamId, Topic, TopicPartition};
use millstream_core::progress::Offsets;
use millstream_core::status::ArchiveVersion;
use object_store::ObjectStoreExt;
use object_store::path::Path as StorePath;
use parquet::errors::ParquetError;
use tracing::debug;
use url::Url;

use self::foreign::OfForeign;
use crate::chain::chain;
use crate::disk;
use crate::store::{self, StoreError};
use crate::table::Seqs;

/// Table property that holds the stream id.
const STREAM_PROPERTY: &str = "millstream.streamId";

/// How often a table that cannot be opened is opened once more at once.
const LOADS: u32 = 2;

/// Column that the tables are partitioned by.
pub(crate) const PARTITION_COLUMN: &str = "_partition";

/// Why the archive could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    /// The path of the archive is no usable URL.
    #[error("`archive.path` = `{path}` is no usable path")]
    Path {
        /// The path.
        path: String,
    },
    /// A folder of the archive could not be made.
    #[error("cannot make the folder `{path}`")]
    Folder {
        /// The folder.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A Delta operation failed.
    #[error("cannot {operation} the archive table `{table}`")]
    Delta {
        /// What was tried.
        operation: &'static str,
        /// The table.
        table: String,
        /// Why.
        source: Box<DeltaTableError>,
    },
    /// The bucket cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Keys could not be listed or deleted.
    #[error("cannot look through `{table}`")]
    List {
        /// Where.
        table: String,
        /// Why.
        source: object_store::Error,
    },
    /// There is something else.
    #[error("`{table}` does not look like a table of the archive (no `_delta_log`)")]
    NotOurs {
        /// Where.
        table: String,
    },
    /// There is too little room for files of the table.
    #[error("cannot write to the archive table for now")]
    Full(#[from] crate::disk::Full),
    /// A data file of the table could not be read.
    #[error("cannot read the file `{file}` of the archive table `{table}`")]
    ReadFile {
        /// The table.
        table: String,
        /// The file, relative to it.
        file: String,
        /// Why.
        source: ParquetError,
    },
    /// Work on files ended by a panic.
    #[error("work on files of the archive ended by a panic")]
    Panicked(#[source] tokio::task::JoinError),
    /// A file could not be forced to disk.
    #[error("cannot force `{path}` to disk")]
    Sync {
        /// The file or folder.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The table is of another stream.
    #[error(
        "the archive table `{table}` belongs to stream {found}, and the log is stream {expected}: was `data_dir` deleted or the \
         log made anew? Name another `archive.path`, bring the old `data_dir` back, or start over with `millstream reset --archive`"
    )]
    OtherStream {
        /// The table.
        table: String,
        /// Stream id in the table.
        found: String,
        /// Stream id of the log.
        expected: StreamId,
    },
    /// The table holds more than the log ever had.
    #[error(
        "the archive table `{table}` holds partition {at} up to offset {archived}, but the log of the same stream ends at {end}: \
         the end of the log was lost (an old copy of `data_dir`?). Bring the newer `data_dir` back, or start over with \
         `millstream reset --archive`"
    )]
    AheadOfLog {
        /// The table.
        table: String,
        /// Partition.
        at: TopicPartition,
        /// Offset that the table holds.
        archived: Offset,
        /// End of the log.
        end: Offset,
    },
    /// Another writer moved the table on: the window is not ours to write any more.
    #[error(
        "the archive table `{table}` was written by another process (partition {at} is at offset {found}, not {expected})"
    )]
    Conflict {
        /// The table.
        table: String,
        /// Partition.
        at: TopicPartition,
        /// Offset found.
        found: Offset,
        /// Offset expected.
        expected: Offset,
    },
    /// Records of another program are in one table, cleaned by other rules than those of now, and not yet in the other.
    #[error(
        "records of partition {partition} are archived in part, under other rules than those of the pipeline file now: bring the earlier \
         `[clean]` back, start once until rows come in again, and change it then"
    )]
    HalfUnderOtherRules {
        /// The partition.
        partition: u32,
    },
    /// A column has another type than the table.
    #[error(
        "column `{column}` is {found} and the archive table `{table}` has it as {expected}; types of archived columns never change"
    )]
    TypeChanged {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Type in the rows.
        found: String,
        /// Type in the table.
        expected: String,
    },
    /// Putting rows together for a file failed.
    #[error("cannot arrange rows for the archive table `{table}`")]
    Arrange {
        /// The table.
        table: String,
        /// Why.
        source: arrow::error::ArrowError,
    },
    /// The query side could not be set up over a version.
    #[error("cannot read version {version} of the archive table `{table}`")]
    Provider {
        /// The table.
        table: String,
        /// The version.
        version: u64,
        /// Why.
        source: Box<datafusion::error::DataFusionError>,
    },
}

/// One of the two Delta tables.
#[derive(Debug, Clone)]
pub(crate) struct ArchiveTable {
    pub(crate) topic: Topic,
    /// Where it is.
    pub(crate) location: Location,
    url: Url,
    app: String,
    stream: StreamId,
    partitions: Vec<TopicPartition>,
    pub(crate) partition_by: PartitionBy,
    pub(crate) event_time: Option<String>,
    is_shared: bool,
    /// The rules of a topic that another program writes: it is cleaned while it is received.
    rules: Option<u64>,
    upkeep: Upkeep,
}

/// A version of a table, ready for queries.
#[derive(Debug)]
pub(crate) struct ArchivedTable {
    /// Delta version.
    pub(crate) version: u64,
    /// Rows that it ever got, by the table's own counter.
    pub(crate) rows: u64,
    /// Those of them that were deleted because they were past their retention.
    pub(crate) expired: u64,
    /// Live files.
    pub(crate) files: u64,
    /// Their size, bytes.
    pub(crate) bytes: u64,
    /// Offsets that it holds.
    pub(crate) offsets: Offsets,
    /// Seqs that are due behind them.
    pub(crate) seqs: Seqs,
    /// What it keeps of a topic that another program writes.
    pub(crate) foreign: OfForeign,
    /// Reads this version.
    pub(crate) provider: Arc<dyn TableProvider>,
    /// Makes a session able to read it.
    pub(crate) table: DeltaTable,
}

/// What a loaded table says of itself.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The table at its newest version.
    pub(crate) table: DeltaTable,
    /// Offsets that it holds.
    pub(crate) offsets: Offsets,
    /// Seqs that are due next.
    pub(crate) seqs: Seqs,
    /// Rows that it ever got, by its own counter.
    pub(crate) rows: u64,
    /// Those of them that were deleted because they were past their retention.
    pub(crate) expired: u64,
    /// Publishers whose records it may hold: those with numbers below.
    pub(crate) publishers: u32,
    /// What it keeps of a topic that another program writes.
    pub(crate) foreign: OfForeign,
}

/// What an [`ArchiveTable`] is made from.
#[derive(Debug, Clone)]
pub(crate) struct ArchiveSettings {
    /// Where the archive is.
    pub(crate) path: Location,
    /// Name of the pipeline.
    pub(crate) pipeline: String,
    /// Stream that is archived.
    pub(crate) stream: StreamId,
    /// Partitions that are archived, of both topics.
    pub(crate) partitions: Vec<TopicPartition>,
    /// How clean rows are partitioned.
    pub(crate) partition_by: PartitionBy,
    /// Column with the time of the event.
    pub(crate) event_time: Option<String>,
    /// Whether other processes may archive the same stream.
    pub(crate) is_shared: bool,
    /// Hash of the rules, for a topic that another program writes.
    pub(crate) rules: Option<u64>,
    /// How it looks after itself.
    pub(crate) upkeep: Upkeep,
}

impl ArchivedTable {
    /// How far it is, and by which rules.
    pub(crate) fn held(&self) -> (&Offsets, &OfForeign) {
        (&self.offsets, &self.foreign)
    }
}

impl Loaded {
    /// How far it is, and by which rules.
    pub(crate) fn held(&self) -> (&Offsets, &OfForeign) {
        (&self.offsets, &self.foreign)
    }
}

impl ArchiveTable {
    /// The table of a topic. Makes its folder.
    pub(crate) fn new(settings: &ArchiveSettings, topic: Topic) -> Result<Self, ArchiveError> {
        let location = location(&settings.path, topic);
        if let Some(folder) = location.folder() {
            std::fs::create_dir_all(folder)
                .map_err(|source| ArchiveError::Folder { path: folder.display().to_string(), source })?;
        }
        Ok(Self {
            topic,
            url: table_url(&location)?,
            location,
            app: format!("millstream/{}/{}", settings.pipeline, settings.stream),
            stream: settings.stream,
            partitions: settings.partitions.iter().filter(|at| at.topic == topic).copied().collect(),
            partition_by: if topic == Topic::Rows { settings.partition_by } else { PartitionBy::None },
            event_time: settings.event_time.clone(),
            is_shared: settings.is_shared,
            rules: settings.rules,
            upkeep: settings.upkeep,
        })
    }

    /// Opens the table anew, at its newest version; none when it does not exist.
    pub(crate) async fn load(&self) -> Result<Option<Loaded>, ArchiveError> {
        for _ in 0..LOADS {
            match self.load_once().await {
                // Between listing the log and reading it, what was listed may have been cleaned away: there is a newer checkpoint.
                Err(ArchiveError::Delta { source, .. }) => {
                    debug!(table = %self.name(), error = chain(&source), "the table is opened once more");
                }
                loaded => return loaded,
            }
        }
        self.load_once().await
    }

    async fn load_once(&self) -> Result<Option<Loaded>, ArchiveError> {
        let mut table = builder(&self.url).map_err(self.delta("open"))?.build().map_err(self.delta("open"))?;
        if !table.verify_deltatable_existence().await.map_err(self.delta("look for"))? {
            return Ok(None);
        }
        table.load().await.map_err(self.delta("open"))?;
        self.loaded(table).await.map(Some)
    }

    /// Whether there is a version behind `known`.
    pub(crate) async fn is_newer_than(&self, known: u64) -> Result<bool, ArchiveError> {
        let store = builder(&self.url).map_err(self.delta("open"))?.build_storage().map_err(self.delta("open"))?;
        let latest = store.get_latest_version(known).await.map_err(self.delta("look for new versions of"))?;
        Ok(latest > known)
    }

    /// Reads what a table says of itself.
    async fn loaded(&self, table: DeltaTable) -> Result<Loaded, ArchiveError> {
        let state = table.snapshot().map_err(self.delta("read"))?;
        let found = state.metadata().configuration().get(STREAM_PROPERTY).cloned().unwrap_or_default();
        if found != self.stream.to_string() {
            return Err(ArchiveError::OtherStream { table: self.name(), found, expected: self.stream });
        }
        let mut offsets = Offsets::new();
        let mut seqs = Seqs::new();
        let log_store = table.log_store();
        let version = async |app_id: String| {
            let version = state.transaction_version(&*log_store, app_id).await.map_err(self.delta("read"))?;
            Ok::<u64, ArchiveError>(unsigned(version))
        };
        let publishers = u32::try_from(version(self.publishers_id()).await?).unwrap_or(u32::MAX).max(1);
        for &at in &self.partitions {
            offsets.insert(at, Offset(version(self.app_id(at)).await?));
            for publisher in 0..publishers {
                seqs.insert((at, publisher), version(self.seq_id(at, publisher)).await?);
            }
        }
        let rows = version(self.rows_id()).await?;
        let foreign = self.of_foreign(&table).await?;
        let expired = version(self.expired_id()).await?;
        Ok(Loaded { table, offsets, seqs, rows, expired, publishers, foreign })
    }

    /// Makes the table, empty, with these columns. When another process makes it at the same moment this is an error.
    pub(crate) async fn create(&self, columns: Vec<StructField>) -> Result<Loaded, ArchiveError> {
        let partition_columns: &[&str] = if self.partition_by == PartitionBy::None { &[] } else { &[PARTITION_COLUMN] };
        let stream = (STREAM_PROPERTY.to_owned(), self.stream.to_string());
        let upkeep = upkeep::log::properties(self.upkeep.history, self.upkeep.checkpoint_versions.get());
        let properties = upkeep.into_iter().chain([stream]).map(|(key, value)| (key, Some(value)));
        let table = CreateBuilder::new()
            .with_location(self.url.to_string())
            .with_columns(columns)
            .with_partition_columns(partition_columns.iter().copied())
            .with_raise_if_key_not_exists(false)
            .with_configuration(properties)
            .with_commit_properties(CommitProperties::default().with_max_retries(0))
            .await
            .map_err(self.delta("make"))?;
        self.loaded(table).await
    }

    /// A loaded table as queries see it.
    pub(crate) async fn for_queries(&self, loaded: Loaded) -> Result<ArchivedTable, ArchiveError> {
        let version = loaded.table.version().unwrap_or_default();
        let state = loaded.table.snapshot().map_err(self.delta("read"))?;
        let files = state.log_data();
        let bytes = files.iter().map(|file| u64::try_from(file.size()).unwrap_or(0)).sum();
        let provider = loaded.table.table_provider().await.map_err(|source| ArchiveError::Provider {
            table: self.name(),
            version,
            source: Box::new(source),
        })?;
        Ok(ArchivedTable {
            version,
            rows: loaded.rows,
            expired: loaded.expired,
            files: files.num_files() as u64,
            bytes,
            offsets: loaded.offsets,
            seqs: loaded.seqs,
            foreign: loaded.foreign,
            provider,
            table: loaded.table,
        })
    }

    /// The newest versions, newest first.
    pub(crate) async fn history(&self, table: &DeltaTable, limit: usize) -> Result<Vec<ArchiveVersion>, ArchiveError> {
        let commits = history::commits(table, limit).await.map_err(self.delta("read the history of"))?;
        Ok(commits.into_iter().map(|(version, _)| version).collect())
    }

    /// Where it is on this machine; none when it is elsewhere.
    fn local_folder(&self) -> Option<&Path> {
        self.location.folder()
    }

    /// Whether an error is that one file of the table cannot be read: others can. A bucket that is away is no such error.
    fn is_of_one_file(&self, error: &ArchiveError) -> bool {
        let ArchiveError::ReadFile { source, .. } = error else { return false };
        let ParquetError::External(source) = source else { return true };
        self.local_folder().is_some() || matches!(source.downcast_ref(), Some(object_store::Error::NotFound { .. }))
    }

    /// Bytes that are free on its disk, where it has one that tells.
    fn room(&self) -> Option<u64> {
        self.local_folder().and_then(disk::free)
    }

    /// Whether so many bytes fit on its disk.
    fn check_room(&self, bytes: u64) -> Result<(), ArchiveError> {
        self.local_folder().map_or(Ok(()), |folder| disk::check(folder, bytes)).map_err(ArchiveError::from)
    }

    /// Name of the table, for messages.
    pub(crate) fn name(&self) -> String {
        self.location.to_string()
    }

    /// App id whose version is the next offset of a partition.
    fn app_id(&self, at: TopicPartition) -> String {
        format!("{}/{at}", self.app)
    }

    /// App id whose version is the seq that is due next from a publisher in a partition.
    fn seq_id(&self, at: TopicPartition, publisher: u32) -> String {
        format!("{}/{at}/seq/{publisher}", self.app)
    }

    /// App id whose version is the number behind the highest of a publisher whose records are in the table.
    fn publishers_id(&self) -> String {
        format!("{}/publishers", self.app)
    }

    /// App id whose version is the number of rows in the table.
    fn rows_id(&self) -> String {
        format!("{}/rows", self.app)
    }

    /// App id whose version is the number of rows that were deleted because they were past their retention.
    fn expired_id(&self) -> String {
        format!("{}/expired", self.app)
    }

    fn delta(&self, operation: &'static str) -> impl Fn(DeltaTableError) -> ArchiveError + '_ {
        move |source| ArchiveError::Delta { operation, table: self.name(), source: Box::new(source) }
    }
}

/// Where the table of a topic is.
pub(crate) fn location(archive: &Location, topic: Topic) -> Location {
    archive.join(match topic {
        Topic::Rows => "rows",
        Topic::Rejects => "rejects",
    })
}

fn table_url(location: &Location) -> Result<Url, ArchiveError> {
    let url = match location {
        Location::Folder(folder) => Url::from_directory_path(folder).ok(),
        Location::Url(url) => Url::parse(&format!("{url}/")).ok(),
    };
    url.ok_or_else(|| ArchiveError::Path { path: location.to_string() })
}

/// Opens a table, wherever it is.
fn builder(url: &Url) -> Result<DeltaTableBuilder, DeltaTableError> {
    store::register();
    DeltaTableBuilder::from_url(url.clone())
}

fn unsigned(version: Option<i64>) -> u64 {
    version.and_then(|version| u64::try_from(version).ok()).unwrap_or_default()
}

/// Refuses an archive that holds more than the log ever had.
pub(crate) fn check_not_ahead(table: &ArchiveTable, archived: &Offsets, ends: &Offsets) -> Result<(), ArchiveError> {
    for (&at, &archived) in archived {
        let end = ends.get(&at).copied().unwrap_or_default();
        if archived > end {
            return Err(ArchiveError::AheadOfLog { table: table.name(), at, archived, end });
        }
    }
    Ok(())
}

/// Actions of a commit and what they add.
#[derive(Debug, Clone, Default)]
pub(crate) struct Staged {
    /// One `add` for each file.
    pub(crate) actions: Vec<Action>,
    /// Paths of the files, relative to the table.
    pub(crate) paths: Vec<String>,
    /// Rows in them.
    pub(crate) rows: u64,
    /// Their size, bytes.
    pub(crate) bytes: u64,
    /// When writing them began, microseconds since 1970.
    pub(crate) began_micros: i64,
}

/// The keys of an archive in a bucket; none when it is on this machine. What does not look like ours is refused.
pub(crate) async fn keys(archive: &Location) -> Result<Vec<StorePath>, ArchiveError> {
    let Location::Url(url) = archive else { return Ok(Vec::new()) };
    let store = store::open(url)?;
    let mut keys = Vec::new();
    for topic in [Topic::Rows, Topic::Rejects] {
        let name = location(archive, topic).to_string();
        let prefix = StorePath::from(name.strip_prefix(url.root()).unwrap_or(&name));
        let failed = |source| ArchiveError::List { table: name.clone(), source };
        let found: Vec<StorePath> =
            store.list(Some(&prefix)).map_ok(|meta| meta.location).try_collect().await.map_err(failed)?;
        let log = prefix.clone().join("_delta_log");
        if !found.is_empty() && !found.iter().any(|key| key.prefix_matches(&log)) {
            return Err(ArchiveError::NotOurs { table: name });
        }
        keys.extend(found);
    }
    Ok(keys)
}

/// Deletes keys of an archive in a bucket.
pub(crate) async fn delete(archive: &Location, keys: &[StorePath]) -> Result<(), ArchiveError> {
    let Location::Url(url) = archive else { return Ok(()) };
    let store = store::open(url)?;
    for key in keys {
        store.delete(key).await.map_err(|source| ArchiveError::List { table: key.to_string(), source })?;
    }
    Ok(())
}

/// The stream that an archive belongs to; none when there is no archive.
pub(crate) async fn stream_of(path: &Location) -> Result<Option<StreamId>, ArchiveError> {
    for topic in [Topic::Rows, Topic::Rejects] {
        let location = location(path, topic);
        let name = location.to_string();
        let delta = |operation| {
            let table = name.clone();
            move |source| ArchiveError::Delta { operation, table, source: Box::new(source) }
        };
        let mut table = builder(&table_url(&location)?).map_err(delta("open"))?.build().map_err(delta("open"))?;
        if table.verify_deltatable_existence().await.map_err(delta("look for"))? {
            table.load().await.map_err(delta("open"))?;
            let state = table.snapshot().map_err(delta("read"))?;
            let id = state.metadata().configuration().get(STREAM_PROPERTY).and_then(|id| id.parse().ok());
            return Ok(id.map(StreamId));
        }
    }
    Ok(None)
}
