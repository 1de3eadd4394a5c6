//! Where one row is: in the real-time table, in which file and version of the archive, among the rejects.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Int64Type};
use deltalake::DeltaTableError;
use millstream_core::ids::{Topic, TopicPartition};
use millstream_core::record::{FILE, ROW};
use object_store::path::Path as StorePath;
use serde::Serialize;
use serde_json::Value;

use super::{Queries, QueryError};
use crate::archive::ArchivedTable;
use crate::clock::rfc3339;
use crate::table::Snapshot;

/// Offsets by partition.
type Ranges = Vec<(TopicPartition, Range<u64>)>;

/// Commits that are looked through for the one that brought a file.
const COMMITS: u64 = 1000;

/// Name of the column that tells which file of the archive a row is in.
const ARCHIVE_FILE: &str = "_archive_file";

/// What became of a row, as far as log and archive hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// It was delivered.
    Delivered,
    /// It is a reject.
    Rejected,
    /// It is neither: a duplicate, filtered, or not read yet.
    NotThere,
}

/// Where a row stands in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct InLog {
    /// `rows` or `rejects`.
    pub(crate) topic: Topic,
    /// Number of the partition.
    pub(crate) partition: u32,
    /// Offset of its record; none where only a range is known.
    pub(crate) offset: Option<u64>,
    /// Lowest offset that it can have.
    pub(crate) first_offset: u64,
    /// Behind the highest offset that it can have.
    pub(crate) end_offset: u64,
    /// Whether the real-time table holds it.
    pub(crate) in_live: bool,
}

/// Where a row is in the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct InArchive {
    /// File, relative to the table.
    pub(crate) file: String,
    /// The version that brought it; none when the log does not tell any more.
    pub(crate) version: Option<u64>,
    /// When that was committed.
    pub(crate) at: Option<String>,
}

/// A row that was looked for.
#[derive(Debug)]
pub(crate) struct Traced {
    /// What became of it.
    pub(crate) outcome: Outcome,
    /// The row; none when it is not there.
    pub(crate) batch: Option<RecordBatch>,
    /// Where the real-time table has it: its partition, and the offsets of its segment.
    pub(crate) live: Option<(TopicPartition, Range<u64>)>,
    /// Offsets of the commit that archived it, by partition.
    pub(crate) committed: Ranges,
    /// Where the archive has it.
    pub(crate) archive: Option<InArchive>,
}

impl Queries {
    /// Looks for a row by its name.
    pub(crate) async fn trace(&self, file: &str, row: u64) -> Result<Traced, QueryError> {
        self.check_whole()?;
        let what = format!("the way of row {row} of {file}");
        let (this, file) = (self.clone(), file.to_owned());
        self.bounded(&what, async move { this.trace_now(&file, row).await }).await
    }

    async fn trace_now(&self, file: &str, row: u64) -> Result<Traced, QueryError> {
        let snapshot = self.live.snapshot();
        let condition = format!("{FILE} = '{}' AND {ROW} = {row}", file.replace('\'', "''"));
        for (topic, table, outcome) in
            [(Topic::Rows, "events", Outcome::Delivered), (Topic::Rejects, "rejects", Outcome::Rejected)]
        {
            let found = self.collect(&format!("SELECT * FROM {table} WHERE {condition} LIMIT 1"), 1).await?;
            let batch =
                concat_batches(&found.schema, &found.batches).map_err(|error| QueryError::Failed(error.to_string()))?;
            if batch.num_rows() == 0 {
                continue;
            }
            let live = in_segments(&snapshot, topic, file, row);
            let archived = match topic {
                Topic::Rows => snapshot.archive.rows.clone(),
                Topic::Rejects => snapshot.archive.rejects.clone(),
            };
            let (archive, committed) = match archived {
                Some(table) => self.in_archive(&table, topic, &condition).await?,
                None => (None, Vec::new()),
            };
            return Ok(Traced { outcome, batch: Some(batch), live, committed, archive });
        }
        Ok(Traced { outcome: Outcome::NotThere, batch: None, live: None, committed: Vec::new(), archive: None })
    }

    /// The file of the archive that holds a row, and the commit that brought it.
    async fn in_archive(
        &self,
        archived: &Arc<ArchivedTable>,
        topic: Topic,
        condition: &str,
    ) -> Result<(Option<InArchive>, Ranges), QueryError> {
        let context = self.session();
        archived.table.update_datafusion_session(&context.state())?;
        let provider = archived.table.table_provider().with_file_column(ARCHIVE_FILE).await?;
        context.register_table("archive", provider)?;
        let sql = format!("SELECT CAST({ARCHIVE_FILE} AS VARCHAR) FROM archive WHERE {condition} LIMIT 1");
        let found = self.collect_in(&context, &sql, 1).await?;
        let path =
            found.batches.iter().find(|batch| batch.num_rows() > 0).and_then(|batch| text(batch.column(0).as_ref()));
        let Some(path) = path else { return Ok((None, Vec::new())) };
        let name = relative(&path, archived);
        let brought = commit_of(archived, &name, topic).await?;
        let (version, at, offsets) = match brought {
            Some(Brought { version, at, offsets }) => (Some(version), at, offsets),
            None => (None, None, Vec::new()),
        };
        Ok((Some(InArchive { file: name, version, at }), offsets))
    }
}

/// The commit that brought a file.
struct Brought {
    version: u64,
    at: Option<String>,
    offsets: Ranges,
}

/// Looks for the commit that added a file, from the newest back. A file that a compaction wrote has no offsets of its own.
async fn commit_of(archived: &ArchivedTable, file: &str, topic: Topic) -> Result<Option<Brought>, DeltaTableError> {
    let store = archived.table.log_store();
    let oldest = archived.version.saturating_sub(COMMITS);
    for version in (oldest..=archived.version).rev() {
        let Some(bytes) = store.read_commit_entry(version).await? else { return Ok(None) };
        let actions = actions(&bytes);
        if !actions.iter().any(|action| action["add"]["path"].as_str().is_some_and(|path| is_path(path, file))) {
            continue;
        }
        let at = actions.iter().find_map(|action| action["commitInfo"]["timestamp"].as_i64());
        let ends = offsets(&actions, topic);
        let mut ranges: Ranges = ends.iter().map(|&(at, end)| (at, 0..end)).collect();
        // Where each partition began: the offsets of the commit before that had some.
        for before in (oldest..version).rev() {
            let Some(bytes) = store.read_commit_entry(before).await? else { break };
            let starts = offsets(&self::actions(&bytes), topic);
            if !starts.is_empty() {
                for (at, range) in &mut ranges {
                    range.start = starts.iter().find(|(of, _)| of == at).map_or(0, |(_, start)| *start);
                }
                break;
            }
        }
        ranges.retain(|(_, range)| !range.is_empty());
        return Ok(Some(Brought {
            version,
            at: at.map(|millis| rfc3339(millis.saturating_mul(1000))),
            offsets: ranges,
        }));
    }
    Ok(None)
}

fn actions(bytes: &[u8]) -> Vec<Value> {
    bytes.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

/// Offsets in the application transactions of a commit: `millstream/<pipeline>/<stream id>/<partition>`.
fn offsets(actions: &[Value], topic: Topic) -> Vec<(TopicPartition, u64)> {
    let offset = |action: &Value| {
        let id = action["txn"]["appId"].as_str()?;
        let mut parts: Vec<&str> = id.rsplit('/').collect();
        let partition = parts.first()?.parse().ok()?;
        parts.remove(0);
        let fits = match topic {
            Topic::Rows => parts.first().is_some_and(|part| uuid::Uuid::parse_str(part).is_ok()),
            Topic::Rejects => parts.first() == Some(&"rejects"),
        };
        let end = action["txn"]["version"].as_u64()?;
        fits.then_some((TopicPartition { topic, partition }, end))
    };
    actions.iter().filter_map(offset).collect()
}

/// Whether the path of an action, in which special characters are escaped, is this file.
fn is_path(path: &str, file: &str) -> bool {
    path == file || percent_decoded(path) == percent_decoded(file)
}

fn percent_decoded(text: &str) -> String {
    StorePath::from_url_path(text).map_or_else(|_| text.to_owned(), |path| path.to_string())
}

/// The path below the table.
fn relative(path: &str, archived: &ArchivedTable) -> String {
    let root = archived.table.table_url().as_str();
    let path = path.strip_prefix(root).unwrap_or(path);
    percent_decoded(path.trim_start_matches('/'))
}

/// The segment that holds a row.
fn in_segments(snapshot: &Snapshot, topic: Topic, file: &str, row: u64) -> Option<(TopicPartition, Range<u64>)> {
    let segment =
        snapshot.segments.iter().find(|segment| segment.at.topic == topic && holds(&segment.batch, file, row))?;
    Some((segment.at, segment.first.0..segment.end.0))
}

/// Whether a batch has a row of this name.
pub(crate) fn holds(batch: &RecordBatch, file: &str, row: u64) -> bool {
    let (Some(files), Some(rows)) = (batch.column_by_name(FILE), batch.column_by_name(ROW)) else { return false };
    let (Ok(files), Ok(rows)) = (cast(files, &DataType::Utf8), cast(rows, &DataType::Int64)) else { return false };
    let (Some(files), Some(rows)) = (files.as_string_opt::<i32>(), rows.as_primitive_opt::<Int64Type>()) else {
        return false;
    };
    let row = i64::try_from(row).unwrap_or(i64::MAX);
    (0..batch.num_rows())
        .any(|at| rows.is_valid(at) && rows.value(at) == row && files.is_valid(at) && files.value(at) == file)
}

fn text(array: &dyn Array) -> Option<String> {
    let texts = cast(array, &DataType::Utf8).ok()?;
    let texts = texts.as_string_opt::<i32>()?;
    (!texts.is_empty() && texts.is_valid(0)).then(|| texts.value(0).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_of_a_commit_are_those_of_partitions_and_not_of_counters() {
        let stream = "5f0c2a1e-8f0e-4b1c-9a35-0d9e6c1f7b42";
        let action = |id: &str, version: u64| serde_json::json!({ "txn": { "appId": format!("millstream/taxi/{stream}/{id}"), "version": version } });
        let actions =
            [action("0", 12), action("1", 15), action("rows", 900), action("0/seq/0", 12), action("rejects/0", 3)];
        let at = |topic, partition| TopicPartition { topic, partition };
        assert_eq!(offsets(&actions, Topic::Rows), [(at(Topic::Rows, 0), 12), (at(Topic::Rows, 1), 15)]);
        assert_eq!(offsets(&actions, Topic::Rejects), [(at(Topic::Rejects, 0), 3)]);
    }

    #[test]
    fn a_path_is_the_same_however_it_is_escaped() {
        assert!(is_path("_partition=2020%2D04/part-1.parquet", "_partition=2020-04/part-1.parquet"));
        assert!(!is_path("part-1.parquet", "part-2.parquet"));
    }
}
