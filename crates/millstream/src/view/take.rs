//! What takes the rows of a query.

use std::sync::Arc;
use std::time::Instant;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use millstream_core::record::memory_of;

use super::{QueryError, QueryResult};

/// Takes the rows of a query as they come, on the threads for queries.
pub(crate) trait Take: Send + 'static {
    /// The columns, once, before any rows.
    fn begin(&mut self, schema: &SchemaRef) -> Result<(), QueryError>;
    /// The next rows; false when no more are wanted.
    fn rows(&mut self, batch: &RecordBatch) -> Result<bool, QueryError>;
}

/// Keeps the first rows in memory, and counts them against the share of queries.
pub(super) struct Keep {
    schema: Option<SchemaRef>,
    batches: Vec<RecordBatch>,
    truncated: bool,
    memory: MemoryReservation,
    left: usize,
}

impl Keep {
    /// The first `limit` rows.
    pub(super) fn first(limit: usize, pool: &Arc<dyn MemoryPool>) -> Self {
        let memory = MemoryConsumer::new("rows of the answer").register(pool);
        Self { schema: None, batches: Vec::new(), truncated: false, memory, left: limit }
    }

    /// What a query that began then gave.
    pub(super) fn result(self, started: Instant) -> Result<QueryResult, QueryError> {
        let Some(schema) = self.schema else { return Err(QueryError::Failed("it has no columns".to_owned())) };
        let Self { batches, truncated, memory, .. } = self;
        let memory = Some(Arc::new(memory));
        Ok(QueryResult { schema, batches, truncated, elapsed: started.elapsed(), memory })
    }
}

impl Take for Keep {
    fn begin(&mut self, schema: &SchemaRef) -> Result<(), QueryError> {
        self.schema = Some(Arc::clone(schema));
        Ok(())
    }

    fn rows(&mut self, batch: &RecordBatch) -> Result<bool, QueryError> {
        let is_last = batch.num_rows() > self.left;
        let batch = if is_last { batch.slice(0, self.left) } else { batch.clone() };
        self.memory.try_grow(memory_of(&batch))?;
        self.left -= batch.num_rows();
        self.truncated = is_last;
        self.batches.push(batch);
        Ok(!is_last)
    }
}
