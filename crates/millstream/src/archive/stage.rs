//! Staging: writes the rows of a window as Parquet files of the table, where nothing refers to them yet.

#![allow(clippy::wildcard_enum_match_arm, reason = "matches over enums of Arrow and DataFusion, which grow")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, AsArray, TimestampMicrosecondArray, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use chrono::{DateTime, Datelike};
use deltalake::kernel::{Action, Add};
use deltalake::operations::get_num_idx_cols_and_stats_columns;
use deltalake::operations::write::writer::{PartitionWriter, PartitionWriterConfig};
use millstream_core::config::PartitionBy;
use object_store::ObjectStoreExt;
use object_store::path::Path as StorePath;
use parquet::file::properties::WriterProperties;
use tokio::task::JoinSet;

use super::{ArchiveError, ArchiveTable, Loaded, PARTITION_COLUMN, Staged, encode};
use crate::clock::now_micros;
use crate::table::Window;
use crate::table::segment::{Segment, conform, plain};

/// Partition of rows without a time.
const UNKNOWN: &str = "unknown";

/// Files of the table's log that are forced to disk after a commit: more than one commit can make (its own, the one that made
/// the table or added columns, a checkpoint and what points to it).
const SYNCED_LOG_FILES: usize = 8;

/// Rows handed to the Parquet writer at once.
const WRITE_ROWS: usize = 32_768;

/// Rows below which a file is not worth a thread of its own.
const LANE_ROWS: usize = 65_536;

/// Size of Parquet files past which a new one is begun.
const FILE_BYTES: u64 = 256 * 1024 * 1024;

/// The columns of a table for these rows: theirs, in the order in which they were first seen, plain, and the partition.
pub(crate) fn table_schema(segments: &[Arc<Segment>], partitioned: bool) -> SchemaRef {
    let mut fields: Vec<Arc<Field>> = Vec::new();
    for segment in segments {
        for field in segment.batch.schema_ref().fields() {
            if !fields.iter().any(|known| known.name() == field.name()) {
                fields.push(Arc::new(Field::new(field.name(), plain(field.data_type()), true)));
            }
        }
    }
    if partitioned {
        fields.push(Arc::new(Field::new(PARTITION_COLUMN, DataType::Utf8, true)));
    }
    Arc::new(Schema::new(fields))
}

impl ArchiveTable {
    /// Writes the rows of `window` with the columns of `schema`, and forces the files to disk.
    pub(crate) async fn stage(
        &self,
        store: Arc<dyn object_store::ObjectStore>,
        window: &Window,
        schema: &SchemaRef,
    ) -> Result<Staged, ArchiveError> {
        let began_micros = now_micros();
        let fields = schema.fields().iter().filter(|field| field.name() != PARTITION_COLUMN).cloned();
        let file_schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let mut parts: BTreeMap<Option<String>, Vec<Part>> = BTreeMap::new();
        for segment in window.segments.iter().filter(|segment| segment.batch.num_rows() > 0) {
            for (value, rows) in self.split(segment).map_err(self.arrange())? {
                parts.entry(value).or_default().push(Part { segment: Arc::clone(segment), rows });
            }
        }
        let mut staged = Staged { rows: window.rows(), began_micros, ..Staged::default() };
        for (value, parts) in parts {
            match self.write_parts(&store, &file_schema, value.as_deref(), parts).await {
                Ok(adds) => staged.take(value.as_deref(), adds),
                Err(error) => {
                    remove(&*store, &staged.paths).await;
                    return Err(error);
                }
            }
        }
        if let Err(error) = self.sync(staged.paths.clone()).await {
            remove(&*store, &staged.paths).await;
            return Err(error);
        }
        Ok(staged)
    }

    /// Writes the rows of one partition. One partition is open at a time: its rows are at hand already. Where they are many, every
    /// processor writes a file: encoding is the dearest part of the whole way. All of them come to their end; when one failed, nothing
    /// of the others stays.
    #[allow(clippy::disallowed_methods, reason = "joined at once: they only move the work to other threads")]
    async fn write_parts(
        &self,
        store: &Arc<dyn object_store::ObjectStore>,
        schema: &SchemaRef,
        value: Option<&str>,
        parts: Vec<Part>,
    ) -> Result<Vec<Add>, ArchiveError> {
        let mut lanes = JoinSet::new();
        for lane in lanes_of(parts) {
            let (table, store, schema) = (self.clone(), Arc::clone(store), Arc::clone(schema));
            let value = value.map(str::to_owned);
            lanes.spawn(async move { table.write_lane(store, &schema, value.as_deref(), &lane).await });
        }
        let (mut adds, mut failed) = (Vec::new(), None);
        while let Some(written) = lanes.join_next().await {
            match written.map_err(ArchiveError::Panicked).flatten() {
                Ok(written) => adds.extend(written),
                Err(error) => drop(failed.get_or_insert(error)),
            }
        }
        let Some(error) = failed else { return Ok(adds) };
        let paths: Vec<String> = adds.into_iter().map(|add: Add| add.path).collect();
        remove(&**store, &paths).await;
        Err(error)
    }

    async fn write_lane(
        &self,
        store: Arc<dyn object_store::ObjectStore>,
        schema: &SchemaRef,
        value: Option<&str>,
        parts: &[Part],
    ) -> Result<Vec<Add>, ArchiveError> {
        let sample = parts.iter().max_by_key(|part| part.num_rows()).map(|part| &part.segment.batch);
        let properties = encode::properties(schema, sample, None);
        let mut writer = self.writer(store, schema, value, properties, FILE_BYTES)?;
        if let Err(error) = self.write(&mut writer, schema, parts).await {
            // An upload that nobody ends would stay where no vacuum sees it.
            let _ = writer.abort().await;
            return Err(error);
        }
        writer.close().await.map_err(self.delta("write files of"))
    }

    async fn write(
        &self,
        writer: &mut PartitionWriter,
        schema: &SchemaRef,
        parts: &[Part],
    ) -> Result<(), ArchiveError> {
        for part in parts {
            let batch = part.batch(schema).map_err(self.arrange())?;
            writer.write(&batch).await.map_err(self.delta("write files of"))?;
        }
        Ok(())
    }

    /// Removes files that no version has and none will have.
    pub(super) async fn take_back(&self, loaded: &Loaded, paths: &[String]) {
        remove(&*loaded.table.object_store(), paths).await;
    }

    /// A writer of files of one partition. It does not put the partition's value into what it adds.
    pub(super) fn writer(
        &self,
        store: Arc<dyn object_store::ObjectStore>,
        schema: &SchemaRef,
        value: Option<&str>,
        properties: WriterProperties,
        file_bytes: u64,
    ) -> Result<PartitionWriter, ArchiveError> {
        let prefix =
            value.map_or_else(StorePath::default, |value| StorePath::from(format!("{PARTITION_COLUMN}={value}")));
        let (indexed, _) = get_num_idx_cols_and_stats_columns(None, HashMap::new());
        let config = PartitionWriterConfig::try_new(
            Arc::clone(schema),
            // The value stands in the folder's name and is added to the action by those who commit it.
            std::iter::empty().collect(),
            Some(properties),
            NonZeroU64::new(file_bytes),
            Some(WRITE_ROWS),
            None,
            Some(prefix),
        )
        .map_err(self.delta("write files of"))?;
        let writer = PartitionWriter::try_with_config(store, config, indexed, None);
        writer.map_err(self.delta("write files of"))
    }

    /// The rows of a segment by partition value; no rows named means all.
    fn split(&self, segment: &Segment) -> Result<Vec<OfPartition>, ArrowError> {
        let Some((unit, times)) = self.partition_times(segment)? else { return Ok(vec![(None, None)]) };
        if let Some((low, _)) = times.range.filter(|(low, high)| unit.number(*low) == unit.number(*high)) {
            return Ok(vec![(Some(unit.text(unit.number(low))), None)]);
        }
        let Some(column) = &times.column else { return Ok(vec![(Some(UNKNOWN.to_owned()), None)]) };
        let mut rows: BTreeMap<Option<i64>, Vec<u32>> = BTreeMap::new();
        for (row, time) in (0u32..).zip(column) {
            rows.entry(time.map(|time| unit.number(time))).or_default().push(row);
        }
        let part = |(number, rows): (Option<i64>, Vec<u32>)| {
            let value = number.map_or_else(|| UNKNOWN.to_owned(), |number| unit.text(number));
            (Some(value), Some(UInt32Array::from(rows)))
        };
        Ok(rows.into_iter().map(part).collect())
    }

    /// The times that decide the partition; none when the table has no partitions.
    fn partition_times(&self, segment: &Segment) -> Result<Option<(Unit, Times)>, ArrowError> {
        let unit = match self.partition_by {
            PartitionBy::None => return Ok(None),
            PartitionBy::ArrivalDay => {
                let times = Times { range: Some(segment.ingested_at_micros), column: None };
                return Ok(Some((Unit::Day, times)));
            }
            PartitionBy::Day => Unit::Day,
            PartitionBy::Month => Unit::Month,
        };
        let column = self.event_time.as_deref().and_then(|name| segment.batch.column_by_name(name));
        let Some(column) = column else { return Ok(Some((unit, Times { range: None, column: None }))) };
        let times = column.as_primitive_opt::<TimestampMicrosecondType>().cloned();
        let times = times.ok_or_else(|| ArrowError::SchemaError("the event time column holds no times".to_owned()))?;
        let range = segment.event_time_micros.filter(|_| times.null_count() == 0);
        Ok(Some((unit, Times { range, column: Some(times) })))
    }

    pub(super) fn arrange(&self) -> impl Fn(ArrowError) -> ArchiveError + '_ {
        |source| ArchiveError::Arrange { table: self.name(), source }
    }
}

/// A partition and the rows of a segment that belong to it; none named means all.
type OfPartition = (Option<String>, Option<UInt32Array>);

/// Rows of one segment that belong to one partition; none named means all.
struct Part {
    segment: Arc<Segment>,
    rows: Option<UInt32Array>,
}

/// The rows in order, for one file each: as many as there are processors, but none of less than [`LANE_ROWS`].
fn lanes_of(parts: Vec<Part>) -> Vec<Vec<Part>> {
    let rows: usize = parts.iter().map(Part::num_rows).sum();
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let wanted = rows.div_ceil((rows / LANE_ROWS).clamp(1, processors)).max(1);
    let mut lanes: Vec<Vec<Part>> = Vec::new();
    let mut filled = wanted;
    for part in parts {
        if filled >= wanted {
            lanes.push(Vec::new());
            filled = 0;
        }
        filled += part.num_rows();
        if let Some(lane) = lanes.last_mut() {
            lane.push(part);
        }
    }
    lanes
}

impl Part {
    fn num_rows(&self) -> usize {
        self.rows.as_ref().map_or(self.segment.batch.num_rows(), Array::len)
    }

    /// The rows with the columns of the files. Made when they are written, so that a window is not held twice.
    fn batch(&self, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
        match &self.rows {
            Some(rows) => conform(&take_record_batch(&self.segment.batch, rows)?, schema),
            None => conform(&self.segment.batch, schema),
        }
    }
}

impl Staged {
    fn take(&mut self, value: Option<&str>, adds: Vec<Add>) {
        for mut add in adds {
            put_into_partition(&mut add, value);
            self.paths.push(add.path.clone());
            self.bytes += u64::try_from(add.size).unwrap_or(0);
            self.actions.push(Action::Add(add));
        }
    }
}

/// Removes files that no version has and none will have. Those that stay are removed when they are old enough.
async fn remove(store: &dyn object_store::ObjectStore, paths: &[String]) {
    for path in paths {
        if let Err(error) = store.delete(&StorePath::from(path.as_str())).await {
            tracing::debug!(file = path, %error, "a file that is not needed stays for a while");
        }
    }
}

/// Gives an added file the value of its partition.
pub(super) fn put_into_partition(add: &mut Add, value: Option<&str>) {
    if let Some(value) = value {
        add.partition_values.insert(PARTITION_COLUMN.to_owned(), Some(value.to_owned()));
    }
}

/// What decides the partition of the rows of a segment.
struct Times {
    /// Lowest and highest, when every row has one.
    range: Option<(i64, i64)>,
    /// One for each row; none when the rows have no such column.
    column: Option<TimestampMicrosecondArray>,
}

/// What a partition spans.
#[derive(Debug, Clone, Copy)]
enum Unit {
    Day,
    Month,
}

impl Unit {
    /// Number of the day or month since 1970.
    fn number(self, micros: i64) -> i64 {
        let day = micros.div_euclid(86_400_000_000);
        match self {
            Self::Day => day,
            Self::Month => DateTime::from_timestamp_micros(micros)
                .map_or(day, |time| i64::from(time.year()) * 12 + i64::from(time.month0())),
        }
    }

    /// The value of the partition column.
    fn text(self, number: i64) -> String {
        match self {
            Self::Day => DateTime::from_timestamp_micros(number.saturating_mul(86_400_000_000))
                .map_or_else(|| UNKNOWN.to_owned(), |time| time.format("%Y-%m-%d").to_string()),
            Self::Month => format!("{:04}-{:02}", number.div_euclid(12), number.rem_euclid(12) + 1),
        }
    }
}

impl ArchiveTable {
    /// Forces data files and their folders to disk. What an object store took is safe.
    pub(super) async fn sync(&self, paths: Vec<String>) -> Result<(), ArchiveError> {
        let Some(folder) = self.local_folder().map(Path::to_owned) else { return Ok(()) };
        blocking(move || {
            let mut folders = BTreeSet::new();
            for path in paths.iter().map(|path| folder.join(path)) {
                sync(&path)?;
                folders
                    .extend(path.ancestors().skip(1).take_while(|above| above.starts_with(&folder)).map(PathBuf::from));
            }
            folders.iter().try_for_each(|folder| sync(folder))
        })
        .await
    }

    /// Forces the table's log to disk: the newest commits, checkpoints, and every folder above up to the archive's own parent.
    pub(crate) async fn sync_log(&self) -> Result<(), ArchiveError> {
        let Some(folder) = self.local_folder().map(Path::to_owned) else { return Ok(()) };
        blocking(move || {
            let log = folder.join("_delta_log");
            let list = |source| ArchiveError::Sync { path: log.display().to_string(), source };
            let mut newest: Vec<PathBuf> = Vec::new();
            for entry in std::fs::read_dir(&log).map_err(list)? {
                newest.push(entry.map_err(list)?.path());
            }
            newest.sort();
            // Names begin with the version: the newest are last, and `_last_checkpoint` is behind them.
            newest.iter().rev().take(SYNCED_LOG_FILES).try_for_each(|path| sync_if_there(path))?;
            [log.as_path()].into_iter().chain(folder.ancestors().take(3)).try_for_each(sync)
        })
        .await
    }
}

impl ArchiveTable {
    /// Forces checkpoints to disk: what they hold may leave the log.
    pub(super) async fn sync_checkpoints(&self) -> Result<(), ArchiveError> {
        let Some(log) = self.local_folder().map(|folder| folder.join("_delta_log")) else { return Ok(()) };
        blocking(move || {
            let list = |source| ArchiveError::Sync { path: log.display().to_string(), source };
            for entry in std::fs::read_dir(&log).map_err(list)? {
                let path = entry.map_err(list)?.path();
                if path.to_string_lossy().contains("checkpoint") {
                    sync_if_there(&path)?;
                }
            }
            sync(&log)
        })
        .await
    }
}

/// Runs what blocks where blocking is allowed.
async fn blocking(work: impl FnOnce() -> Result<(), ArchiveError> + Send + 'static) -> Result<(), ArchiveError> {
    tokio::task::spawn_blocking(work).await.map_err(ArchiveError::Panicked)?
}

/// What was cleaned away since it was listed is not needed: a checkpoint that is on disk stands for it.
fn sync_if_there(path: &Path) -> Result<(), ArchiveError> {
    match sync(path) {
        Err(ArchiveError::Sync { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(()),
        synced => synced,
    }
}

fn sync(path: &Path) -> Result<(), ArchiveError> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.map_err(|source| ArchiveError::Sync { path: path.display().to_string(), source })
}

#[cfg(test)]
mod tests;
