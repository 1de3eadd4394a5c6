//! The layers of the query that cleans a file.
//!
//! Columns by layer: `s0…` as read, `r0…` base types, `l0…` lost on the way there; `p0…` prepared; `v0…` typed, `x0…` bad; `c0…`
//! filled, `f0…` whether filled; `d0…` derived as calculated, `w0…` typed, `y0…` bad; `t0…` whether a rule is broken; `m0…`
//! whether its action applies; `a0_0…` after actions; `o0…` output. They mean what the cleaner behind DataFusion does, step by
//! step; the plan's documentation has the order.

mod columns;
mod outcome;
#[cfg(test)]
mod tests;

use std::ops::Range;

use super::Refusal;
use super::schema::Leaf;
use crate::plan::FilePlan;

/// Settings of the session in which queries run; results are only equal with them.
pub const SESSION: &[(&str, &str)] = &[
    ("spark.sql.ansi.enabled", "true"),
    ("spark.sql.session.timeZone", "UTC"),
    ("spark.sql.timestampType", "TIMESTAMP_LTZ"),
    ("spark.sql.caseSensitive", "true"),
    ("spark.sql.parser.escapedStringLiterals", "true"),
    ("spark.sql.variable.substitute", "false"),
    ("spark.sql.ansi.doubleQuotedIdentifiers", "false"),
    ("spark.sql.decimalOperations.allowPrecisionLoss", "true"),
    ("spark.sql.icu.caseMappings.enabled", "true"),
    ("spark.sql.files.ignoreCorruptFiles", "false"),
    ("spark.sql.files.ignoreMissingFiles", "false"),
    ("spark.sql.sources.useV1SourceList", "avro,csv,json,kafka,orc,parquet,text"),
    ("spark.sql.parquet.enableVectorizedReader", "true"),
    ("spark.sql.parquet.enableNestedColumnVectorizedReader", "true"),
    ("spark.sql.parquet.binaryAsString", "false"),
    ("spark.sql.parquet.mergeSchema", "false"),
    ("spark.sql.parquet.fieldId.read.enabled", "false"),
    ("spark.sql.parquet.int96TimestampConversion", "false"),
    ("spark.sql.parquet.int96RebaseModeInRead", "CORRECTED"),
    ("spark.sql.parquet.datetimeRebaseModeInRead", "CORRECTED"),
    ("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS"),
    ("spark.sql.parquet.datetimeRebaseModeInWrite", "CORRECTED"),
    ("spark.sql.parquet.int96RebaseModeInWrite", "CORRECTED"),
    ("spark.sql.files.maxPartitionBytes", "8388608"),
    ("spark.sql.adaptive.coalescePartitions.enabled", "false"),
    ("spark.sql.shuffle.partitions", "32"),
    ("spark.sql.execution.arrow.maxRecordsPerBatch", "10000"),
];

/// Name of the observed metrics.
pub const OBSERVED: &str = "millstream";
/// Metric: rows that were looked at.
pub const METRIC_ROWS: &str = "rows";
/// Metric: rows that are delivered.
pub const METRIC_DELIVERED: &str = "delivered";
/// Metric: rows that are rejected.
pub const METRIC_REJECTED: &str = "rejected";
/// Metric: rows that the filter leaves out.
pub const METRIC_FILTERED: &str = "filtered";
/// Metric: number of the first row that stops the run, NULL if none does.
pub const METRIC_FAIL_ROW: &str = "fail_row";
/// Metric: what that row broke, numbered as in [`BROKEN`].
pub const METRIC_FAIL_WHAT: &str = "fail_what";

/// Name of the observed metrics of the file that was read; NULL if it has no rows.
pub const OBSERVED_FILE: &str = "millstream-file";
/// Metric of the file: its least and its largest size, bytes, by the pieces that were read.
pub const METRIC_SIZES: [&str; 2] = ["size_least", "size_most"];
/// Metric of the file: its earliest and its latest time of modification, milliseconds since 1970.
pub const METRIC_MODIFIED: [&str; 2] = ["modified_least", "modified_most"];

/// Result column: number of the row in its file, bigint.
pub const ROW: &str = "_row";
/// Result column: what a rejected row broke, in the order in which it is told, as array of int; NULL for delivered rows.
///
/// The number is the place of a typed column whose value was bad; behind those, the place of a derived column whose value was
/// bad; behind those, the place of a rule.
pub const BROKEN: &str = "_broken";
/// Result column: names of marks of a delivered row, as array of string; NULL if it has none.
pub const MARKS: &str = "_marks";

/// The query of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Schema with which the Parquet file is read, as JSON.
    pub schema: String,
    /// What is done to the rows that were read, in order. The result has [`ROW`], [`BROKEN`], the columns of the plan's output
    /// as `o0`, `o1`, …, and [`MARKS`]: rows that are delivered or rejected, in no promised order.
    pub layers: Vec<Layer>,
}

/// One step over all rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layer {
    /// These columns take the place of those before.
    Project(Vec<Named>),
    /// Only rows for which this condition is TRUE go on.
    Filter(String),
    /// Aggregates over the rows at this point, told with the result.
    Observe {
        /// Name of the observation.
        name: String,
        /// The aggregates.
        metrics: Vec<Named>,
    },
}

/// An expression with the name of its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Spark SQL.
    pub sql: String,
    /// Name of the result.
    pub alias: String,
}

impl Query {
    /// The query that cleans these rows of a file; `leaves` are all leaf columns of the file, in its order.
    ///
    /// # Errors
    /// Names the first column or rule that Spark would not treat as the tree says.
    pub fn new(plan: &FilePlan, leaves: &[Leaf], rows: Range<u64>) -> Result<Self, Refusal> {
        let columns::Typing { schema, mut layers, bad } = columns::typed(plan, leaves, &rows)?;
        layers.extend(outcome::layers(plan, &bad)?);
        Ok(Self { schema, layers })
    }
}

impl Named {
    fn new(sql: impl Into<String>, alias: impl Into<String>) -> Self {
        Self { sql: sql.into(), alias: alias.into() }
    }

    /// A column as it is.
    fn same(name: impl Into<String>) -> Self {
        let name = name.into();
        Self { sql: name.clone(), alias: name }
    }
}
