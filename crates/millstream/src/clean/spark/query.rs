//! What Spark is asked for a file, and whether its answer agrees with the counts that it made on the way.

use std::ops::Range;
use std::path::PathBuf;

use arrow::datatypes::DataType;
use millstream_core::config::Spark;
use millstream_core::plan::FilePlan;
use millstream_core::spark::Refusal;
use millstream_core::spark::query::{
    Layer, METRIC_DELIVERED, METRIC_FAIL_ROW, METRIC_FAIL_WHAT, METRIC_FILTERED, METRIC_MODIFIED, METRIC_REJECTED,
    METRIC_ROWS, METRIC_SIZES, Named, OBSERVED, OBSERVED_FILE, Query, ROW,
};
use millstream_core::spark::schema::{Leaf, Physical};
use parquet::basic::Type;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use spark_connect::{Execution, Expression, Metrics, Order, Plan, Relation, SaveMode};
use uuid::Uuid;

use super::error::SparkError;
use super::spool::Spooled;
use crate::clean::{CleanError, Job};
use crate::source::read::OpenFile;
use crate::source::{FoundFile, SourceError};

/// The query of a file.
pub(super) struct Ask {
    /// The file as the cluster sees it.
    pub(super) path: String,
    /// About how many bytes the answer has as Arrow batches.
    pub(super) bytes: u64,
    /// Whether the cluster has the file at the path that it has here.
    is_same_path: bool,
    /// Whether Spark must bring the rows in order. It reads a file in order by itself, unless it packs the pieces of one otherwise,
    /// and ordering them takes reading the file twice.
    pub(super) is_sorted: bool,
    /// The session in which it is asked; empty before there is one.
    pub(super) session: String,
    /// Makes the names of the counts its own: Spark mixes up those of queries at one time that have one name.
    observation: Uuid,
    query: Query,
}

impl Ask {
    /// The query for a job.
    pub(super) fn new(job: &Job, settings: &Spark) -> Result<Self, SparkError> {
        let found = &job.split.file.found;
        let here = found.url().map_or_else(|| found.path(), PathBuf::from);
        let path = settings.on_cluster(&here);
        let is_same_path = here.as_os_str() == path.as_str();
        // Hadoop's name of S3.
        let path = if path.starts_with("s3://") { path.replacen("s3:", "s3a:", 1) } else { path };
        let query = query(&job.split.file, &job.plan, job.split.rows.clone())?;
        let (bytes, session, observation) = (bytes(job), String::new(), Uuid::nil());
        Ok(Self { path, bytes, is_same_path, is_sorted: false, session, observation, query })
    }

    /// Asks for the rows.
    pub(super) fn answer(&mut self) -> Plan {
        Plan::from(self.relation())
    }

    /// Has the rows written to a folder.
    pub(super) fn stage(&mut self, folder: String) -> Plan {
        Plan::write_parquet(self.relation(), folder, SaveMode::ErrorIfExists, [("compression", "zstd")])
    }

    /// What Spark counted, when it has answered.
    pub(super) fn counts(&self, execution: &Execution) -> Result<Counts, SparkError> {
        Counts::of(execution.metrics().get(&self.observed(OBSERVED)))
    }

    /// That Spark read the file in the state in which its footer was read.
    pub(super) fn check_file(&self, execution: &Execution, found: &FoundFile) -> Result<(), SparkError> {
        let metrics = execution.metrics().get(&self.observed(OBSERVED_FILE));
        let number = |name: &str| metrics?.get(name)?.as_integer();
        let mut known = vec![(METRIC_SIZES, "bytes", i64::try_from(found.size).unwrap_or(i64::MAX))];
        // A copy elsewhere may have a time of its own.
        if self.is_same_path
            && let Ok(micros) = found.tag.parse::<i64>()
        {
            known.push((METRIC_MODIFIED, "as time of modification", micros.div_euclid(1000)));
        }
        for (names, what, expected) in known {
            for name in names {
                let read = number(name);
                if read != Some(expected) {
                    let read = read.map_or_else(|| "nothing".to_owned(), |read| read.to_string());
                    return Err(SparkError::Untrue(format!(
                        "it is of another state of the file: {read} {what}, expected {expected}"
                    )));
                }
            }
        }
        Ok(())
    }

    fn observed(&self, name: &str) -> String {
        format!("{name}-{}", self.observation)
    }

    fn relation(&mut self) -> Relation {
        self.observation = Uuid::new_v4();
        let no_options: [(&str, &str); 0] = [];
        let read = Relation::read_parquet([escaped(&self.path)], Some(&self.query.schema), no_options);
        let layered = self.query.layers.iter().fold(read, |relation, layer| match layer {
            Layer::Project(columns) => relation.project(columns.iter().map(named)),
            Layer::Filter(condition) => relation.filter(condition.as_str()),
            Layer::Observe { name, metrics } => relation.observe(self.observed(name), metrics.iter().map(named)),
        });
        if self.is_sorted { layered.sort([Order::ascending(ROW)]) } else { layered }
    }
}

/// The query of rows of a file, or why there is none.
pub(super) fn query(file: &OpenFile, plan: &FilePlan, rows: Range<u64>) -> Result<Query, Refusal> {
    check_name(&file.found.file)?;
    let parquet = file.metadata.parquet_schema();
    let leaves: Vec<Leaf> = (0..parquet.num_columns())
        .map(|leaf| {
            let physical = match parquet.column(leaf).physical_type() {
                Type::INT32 => Physical::Int32,
                Type::INT64 => Physical::Int64,
                Type::INT96 => Physical::Int96,
                Type::BOOLEAN | Type::FLOAT | Type::DOUBLE | Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY => {
                    Physical::Other
                }
            };
            Leaf { root: parquet.get_column_root_idx(leaf), physical }
        })
        .collect();
    Query::new(plan, &leaves, rows)
}

/// That Spark reads a file of this name at all.
fn check_name(file: &str) -> Result<(), Refusal> {
    let refuse = |reason: &str| Err(Refusal { what: "the file".to_owned(), reason: format!("{reason}: rename it") });
    let name = file.rsplit('/').next().unwrap_or(file);
    if name.contains(':') {
        return refuse("its name has a `:`, which Hadoop's paths do not take");
    }
    if name.ends_with("._COPYING_") {
        return refuse("its name ends in `._COPYING_`, and Spark passes such files over");
    }
    Ok(())
}

fn named(column: &Named) -> Expression {
    Expression::sql(&column.sql).named(&column.alias)
}

/// A path in which nothing stands for something else.
fn escaped(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for letter in path.chars() {
        if "{}[]*?\\".contains(letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

/// Arrow bytes of the clean rows of a file, by its footer: fixed widths as they are, others as they are packed in the file.
fn bytes(job: &Job) -> u64 {
    let rows = job.split.rows.end - job.split.rows.start;
    let file = job.split.file.metadata.metadata();
    // A dictionary makes texts that repeat far smaller in the file than they are.
    let texts = |column: &ColumnChunkMetaData| {
        column.unencoded_byte_array_data_bytes().unwrap_or(0).max(column.uncompressed_size())
    };
    let packed = file.row_groups().iter().flat_map(RowGroupMetaData::columns).map(texts);
    let packed: u64 = packed.map(|bytes| u64::try_from(bytes).unwrap_or_default()).sum();
    let width = |of: &DataType| of.primitive_width().map_or(8, |width| width as u64);
    let fixed: u64 = job.plan.output.fields().iter().map(|field| width(field.data_type())).sum();
    let varies = job.plan.output.fields().iter().any(|field| field.data_type().primitive_width().is_none());
    rows.saturating_mul(fixed + 8) + if varies { packed } else { 0 }
}

/// What Spark counted on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    /// Rows read.
    pub(super) rows: u64,
    /// Rows that passed.
    pub(super) delivered: u64,
    /// Rows that did not.
    pub(super) rejected: u64,
    /// Rows that the filter left out.
    pub(super) filtered: u64,
    /// The first row that breaks what must not be broken, and what that is.
    pub(super) fails: Option<(u64, usize)>,
}

impl Counts {
    fn of(metrics: Option<&Metrics>) -> Result<Self, SparkError> {
        let number = |name: &str| metrics?.get(name)?.as_integer();
        let count = |name: &str| {
            let count = number(name).and_then(|number| u64::try_from(number).ok());
            count.ok_or_else(|| SparkError::Untrue(format!("it does not tell `{name}`")))
        };
        let fails = number(METRIC_FAIL_ROW).zip(number(METRIC_FAIL_WHAT));
        Ok(Self {
            rows: count(METRIC_ROWS)?,
            delivered: count(METRIC_DELIVERED)?,
            rejected: count(METRIC_REJECTED)?,
            filtered: count(METRIC_FILTERED)?,
            fails: fails.map(|(row, kind)| (row.cast_unsigned(), usize::try_from(kind).unwrap_or(usize::MAX))),
        })
    }
}

/// That an answer is whole: all rows of the file were looked at, and those that arrived are those that were counted.
pub(super) fn check(job: &Job, counts: &Counts, spooled: &Spooled) -> Result<(), SparkError> {
    let wanted = &job.split.rows;
    let untrue = |text: String| Err(SparkError::Untrue(text));
    let seen = &spooled.seen;
    let rejected = seen.rejected.len() as u64;
    if counts.rows != wanted.end - wanted.start {
        return untrue(format!("{} rows were read, the footer tells of {}", counts.rows, wanted.end - wanted.start));
    }
    if counts.rows != counts.delivered + counts.rejected + counts.filtered {
        return untrue(format!("its counts do not add up: {counts:?}"));
    }
    if (seen.delivered, rejected) != (counts.delivered, counts.rejected) {
        let Counts { delivered, rejected: counted, .. } = counts;
        return untrue(format!(
            "{} clean rows and {rejected} rejects arrived, {delivered} and {counted} were counted",
            seen.delivered
        ));
    }
    let is_inside = |row: Option<u64>| row.is_none_or(|row| wanted.contains(&row));
    if !is_inside(seen.first) || !is_inside(seen.last) {
        return untrue(format!("rows {:?} to {:?} arrived, {wanted:?} were asked for", seen.first, seen.last));
    }
    Ok(())
}

/// What Spark says when a driver or an executor lacks memory; 52 is the code with which an executor ends then.
const MEMORY: [&str; 7] = [
    "spark.driver.maxResultSize",
    "OutOfMemoryError",
    "Java heap space",
    "GC overhead limit",
    "UNABLE_TO_ACQUIRE_MEMORY",
    "exited with code 52",
    "running beyond physical memory limits",
];

/// Whether Spark has too little memory for a query: its driver for the answer, or an executor for its part of the work.
pub(super) fn lacks_memory(error: &SparkError) -> bool {
    matches!(error, SparkError::Spark { source: spark_connect::Error::Query { message, .. }, .. }
        if MEMORY.iter().any(|text| message.contains(text)))
}

/// An error for good: of the file, if Spark cannot read its pages, or of the run.
pub(super) fn whose_fault(error: SparkError, path: &str, file: &str) -> CleanError {
    let SparkError::Spark { source, .. } = &error else { return error.into() };
    if lacks_memory(&error) {
        return SparkError::Memory { source: Box::new(error) }.into();
    }
    let class = source.class().unwrap_or_default().to_owned();
    if class == "PATH_NOT_FOUND" || class.ends_with(".FILE_NOT_EXIST") {
        return SparkError::Unseen { path: path.to_owned(), class }.into();
    }
    if class.starts_with("FAILED_READ_FILE") {
        return SourceError::Read { file: file.to_owned(), reason: format!("Spark cannot read it: {source}") }.into();
    }
    error.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_spark_does_not_read_are_refused() {
        let refused = |file: &str| check_name(file).unwrap_err().to_string();
        insta::assert_snapshot!(refused("data/a:b.parquet"), @"the file cannot be cleaned by Spark: its name has a `:`, which Hadoop's paths do not take: rename it");
        insta::assert_snapshot!(refused("a.parquet._COPYING_"), @"the file cannot be cleaned by Spark: its name ends in `._COPYING_`, and Spark passes such files over: rename it");
        for taken in ["at=12:30/a.parquet", "a b%20#ä.parquet", "x._COPYING_.parquet"] {
            assert_eq!(check_name(taken), Ok(()));
        }
    }

    #[test]
    fn what_spark_says_of_memory_is_understood() {
        let error = |message: &str| {
            let (class, sql_state, message) = (None, None, message.to_owned());
            let source = spark_connect::Error::Query { class, sql_state, message };
            SparkError::Spark { endpoint: "sc://host:1".to_owned(), source }
        };
        // As Spark 4.3 says it of an executor, of a driver, and of an executor that ended.
        for message in [
            "Job aborted due to stage failure: Task 0 in stage 0.0 failed 4 times, most recent failure: Lost task 0.5 in stage 0.0 \
             (TID 5) (127.0.0.1 executor 3): java.lang.OutOfMemoryError: Java heap space",
            "Total size of serialized results of 9 tasks (1056.1 MiB) is bigger than spark.driver.maxResultSize (1024.0 MiB)",
            "ExecutorLostFailure (executor 1 exited caused by one of the running tasks) Reason: Command exited with code 52",
        ] {
            assert!(lacks_memory(&error(message)), "{message}");
            let told = crate::chain::chain(&whose_fault(error(message), "/a", "a"));
            assert!(told.contains("spark.executor.memory"), "{told}");
        }
        assert!(!lacks_memory(&error("Permission denied")));
    }

    #[test]
    fn a_path_is_only_itself() {
        assert_eq!(escaped("/data/a{1,2}/[b]*?.parquet"), "/data/a\\{1,2\\}/\\[b\\]\\*\\?.parquet");
    }
}
