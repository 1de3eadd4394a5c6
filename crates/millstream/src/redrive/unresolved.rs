//! Rejects of which nothing more is known, file by file, in the order of their rows.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use millstream_core::record::{FILE, ROW};

use super::RedriveError;
use crate::archive::ArchivedTable;
use crate::view::{Queries, QueryError};

/// Rows of one file that are handed on together at most.
const CHUNK_ROWS: usize = 262_144;

/// Which rejects.
#[derive(Debug, Default)]
pub(super) struct Which {
    /// Of these files.
    pub(super) files: Option<Vec<String>>,
    /// Rejected by one of these rules.
    pub(super) rules: Option<Vec<String>>,
}

/// Rejects of one file, and the rules that rejected each.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) file: String,
    pub(super) rows: BTreeMap<u64, Arc<[String]>>,
}

/// Reads them.
pub(super) struct Unresolved {
    batches: SendableRecordBatchStream,
    which: Option<HashSet<String>>,
    /// Rows are rejected for few different reasons.
    known: HashMap<Vec<String>, Arc<[String]>>,
    /// Rows of the next chunk.
    ahead: Option<Chunk>,
    /// Rows that were read and not looked at.
    batch: Option<(RecordBatch, usize)>,
}

impl Unresolved {
    /// Those of a version of the archive.
    pub(super) async fn of_archive(
        queries: &Queries,
        table: Arc<ArchivedTable>,
        which: Which,
    ) -> Result<Self, RedriveError> {
        let batches = queries.rejects_of(table, &sql(which.files.as_deref())).await?;
        Ok(Self::new(batches, which.rules))
    }

    /// Those that archive and real-time table hold now.
    pub(super) async fn of_now(queries: &Queries, which: Which) -> Result<Self, RedriveError> {
        let batches = queries.stream(&sql(which.files.as_deref())).await?;
        Ok(Self::new(batches, which.rules))
    }

    fn new(batches: SendableRecordBatchStream, rules: Option<Vec<String>>) -> Self {
        let which = rules.map(|rules| rules.into_iter().collect());
        Self { batches, which, known: HashMap::new(), ahead: None, batch: None }
    }

    /// The next rows of one file. Cancel safe only in that a dropped one ends it all.
    pub(super) async fn next(&mut self) -> Result<Option<Chunk>, RedriveError> {
        loop {
            if let Some((batch, from)) = self.batch.take()
                && let Some(full) = self.take(&batch, from)?
            {
                return Ok(Some(full));
            }
            match self.batches.next().await {
                Some(batch) => self.batch = Some((batch.map_err(QueryError::from)?, 0)),
                None => return Ok(self.ahead.take()),
            }
        }
    }

    /// Takes in rows of a batch, until a chunk is full.
    fn take(&mut self, batch: &RecordBatch, from: usize) -> Result<Option<Chunk>, RedriveError> {
        let failed = |error: arrow::error::ArrowError| QueryError::Failed(error.to_string());
        let files = cast(batch.column(0), &DataType::Utf8).map_err(failed)?;
        let numbers = cast(batch.column(1), &DataType::Int64).map_err(failed)?;
        let rules = cast(batch.column(2), &millstream_core::lists::text_list_type()).map_err(failed)?;
        let (files, numbers) = (files.as_string::<i32>(), numbers.as_primitive::<Int64Type>());
        let rules = rules.as_list::<i32>();
        for at in from..batch.num_rows() {
            let names: Vec<String> = if rules.is_valid(at) {
                rules.value(at).as_string::<i32>().iter().flatten().map(str::to_owned).collect()
            } else {
                Vec::new()
            };
            if self.which.as_ref().is_some_and(|which| !names.iter().any(|name| which.contains(name))) {
                continue;
            }
            let file = files.value(at);
            let is_full = |ahead: &Chunk| ahead.file != file || ahead.rows.len() >= CHUNK_ROWS;
            if self.ahead.as_ref().is_some_and(is_full) {
                self.batch = Some((batch.clone(), at));
                return Ok(self.ahead.take());
            }
            let names = self.known.entry(names).or_insert_with_key(|names| names.as_slice().into());
            let chunk = self.ahead.get_or_insert_with(|| Chunk { file: file.to_owned(), rows: BTreeMap::new() });
            chunk.rows.insert(numbers.value(at).cast_unsigned(), Arc::clone(names));
        }
        Ok(None)
    }
}

fn sql(files: Option<&[String]>) -> String {
    let quoted = |file: &String| format!("'{}'", file.replace('\'', "''"));
    let named = files.map(|files| files.iter().map(quoted).collect::<Vec<_>>().join(", "));
    let condition = match named.as_deref() {
        None => String::new(),
        Some("") => " WHERE false".to_owned(),
        Some(named) => format!(" WHERE {FILE} IN ({named})"),
    };
    format!("SELECT {FILE}, {ROW}, rules FROM rejects{condition} ORDER BY {FILE}, {ROW}")
}
