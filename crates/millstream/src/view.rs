//! Queries: `live`, `archive`, `events`, `rejects` and the views over them, each row once.

use std::time::Duration;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use millstream_core::status::{TableInfo, ViewInfo};

/// Runs queries; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Queries {}

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
}

/// Why a query gave nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QueryError {
    /// The user's mistake: syntax, unknown names, or a statement that writes. HTTP 400.
    #[error("{0}")]
    Refused(String),
    /// It ran longer than `limits.query_timeout`. HTTP 408.
    #[error("the query took longer than {0:?}; narrow it or raise `limits.query_timeout`")]
    TimedOut(Duration),
    /// It wanted more memory than queries may take. HTTP 413.
    #[error("the query needs more memory than its share of `limits.memory`: {0}")]
    TooLarge(String),
    /// Reading failed. HTTP 500.
    #[error("running the query failed: {0}")]
    Failed(String),
}

impl Queries {
    /// Runs one statement that only reads; at most `limit` rows come back (and never more than `limits.query_rows`).
    pub(crate) async fn run(&self, sql: &str, limit: usize) -> Result<QueryResult, QueryError> {
        let _ = (sql, limit);
        unimplemented!("lead")
    }

    /// The newest `limit` rows of `live`, newest first (for the page; not a full scan).
    pub(crate) async fn newest(&self, limit: usize) -> Result<QueryResult, QueryError> {
        let _ = limit;
        unimplemented!("lead")
    }

    /// Tables and views with their columns.
    pub(crate) async fn tables(&self) -> Result<Vec<TableInfo>, QueryError> {
        unimplemented!("lead")
    }

    /// The views of the pipeline file; the standard one (rows per minute) when it has none.
    pub(crate) fn views(&self) -> Vec<ViewInfo> {
        unimplemented!("lead")
    }
}
