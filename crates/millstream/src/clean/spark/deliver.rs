//! From a checked answer of Spark to what every engine hands on.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{cast, concat_batches, filter_record_batch};
use arrow::datatypes::Int64Type;
use futures::StreamExt;
use millstream_core::plan::{FilePlan, PlannedColumn};
use millstream_core::spark::query::{BROKEN, MARKS, ROW};
use object_store::ObjectStore;

use super::check_unchanged;
use super::error::SparkError;
use super::spool::{Spooled, kinds};
use crate::clean::batch::{self, BatchCleaner, Cleaned};
use crate::clean::{CleanError, CleanedBatch, Job, SplitEvent};
use crate::source::read::{self, RawRows};

/// Sends the batches of an answer, then `End`.
pub(super) async fn deliver(
    store: &Arc<dyn ObjectStore>,
    job: &Job,
    rules: &BatchCleaner,
    mut spooled: Spooled,
) -> Result<(), CleanError> {
    check_unchanged(&**store, job).await?;
    let rejected = std::mem::take(&mut spooled.seen.rejected);
    let mut originals = Originals::new(store, job, &rejected)?;
    let mut next_row = job.split.rows.start;
    while let Some(answer) = spooled.next()? {
        let rows = next_row..last_row(&answer)? + 1;
        next_row = rows.end;
        let cleaned = cleaned(rules, &answer, rows.clone(), &mut originals).await?;
        if !send(job, rows, cleaned).await {
            return Ok(());
        }
    }
    let rest = next_row..job.split.rows.end;
    if !rest.is_empty() {
        // All of it was filtered.
        let mut nothing = rules.clean(next_row, &originals.none())?;
        nothing.filtered = rest.end - rest.start;
        if !send(job, rest, nothing).await {
            return Ok(());
        }
    }
    let _ = job.batches.send(SplitEvent::End).await;
    Ok(())
}

/// Nobody listens when the publisher has given the file up.
async fn send(job: &Job, rows: Range<u64>, cleaned: Cleaned) -> bool {
    job.batches.send(SplitEvent::Batch(CleanedBatch { rows, cleaned })).await.is_ok()
}

fn last_row(answer: &RecordBatch) -> Result<u64, SparkError> {
    let rows = answer.column_by_name(ROW).and_then(|rows| rows.as_primitive_opt::<Int64Type>());
    let last = rows.and_then(|rows| rows.values().last().copied());
    last.map(i64::cast_unsigned).ok_or_else(|| SparkError::Untrue(format!("it has no column `{ROW}`")))
}

async fn cleaned(
    rules: &BatchCleaner,
    answer: &RecordBatch,
    rows: Range<u64>,
    originals: &mut Originals<'_>,
) -> Result<Cleaned, CleanError> {
    let column = |name: &str| {
        answer.column_by_name(name).ok_or_else(|| SparkError::Untrue(format!("it has no column `{name}`")))
    };
    let broken = column(BROKEN)?;
    let delivered: BooleanArray = (0..answer.num_rows()).map(|row| Some(broken.is_null(row))).collect();
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(answer.num_columns());
    let schema = rules.clean_schema();
    let outputs = schema.fields().len() - 2;
    let names = (0..outputs).map(|place| format!("o{place}")).chain([ROW.to_owned(), MARKS.to_owned()]);
    for (name, field) in names.zip(schema.fields()) {
        let arranged = cast(column(&name)?, field.data_type());
        columns.push(arranged.map_err(batch::CleanError::arrange(field.name()))?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(answer.num_rows()));
    let all = RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options);
    let all = all.map_err(batch::CleanError::arrange("clean rows"))?;
    let clean = filter_record_batch(&all, &delivered).map_err(batch::CleanError::arrange("clean rows"))?;
    let rejected = (0..answer.num_rows()).filter(|&row| !broken.is_null(row));
    let lists = rejected.map(|row| kinds(broken, row)).collect::<Result<Vec<_>, _>>()?;
    let (numbers, raw) = originals.take(lists.len()).await?;
    let rejects = rules.explain(&raw, &numbers, &lists)?;
    let filtered = rows.end - rows.start - (clean.num_rows() + rejects.num_rows()) as u64;
    Ok(Cleaned { clean, rejects, filtered })
}

/// The rejected rows as they are in the file, read in their order.
struct Originals<'a> {
    numbers: &'a [u64],
    rows: RawRows,
    ahead: RecordBatch,
}

impl<'a> Originals<'a> {
    fn new(store: &Arc<dyn ObjectStore>, job: &Job, numbers: &'a [u64]) -> Result<Self, CleanError> {
        let (rows, schema) = read::rows_at(Arc::clone(store), &job.split, &job.plan.source_columns(), numbers)?;
        Ok(Self { numbers, rows, ahead: RecordBatch::new_empty(schema) })
    }

    fn none(&self) -> RecordBatch {
        self.ahead.slice(0, 0)
    }

    /// The next so many rows.
    async fn take(&mut self, count: usize) -> Result<(Vec<u64>, RecordBatch), CleanError> {
        let mut parts = vec![self.ahead.clone()];
        let mut have = self.ahead.num_rows();
        while have < count {
            let Some(next) = self.rows.next().await.transpose()? else {
                return Err(SparkError::Untrue(format!("it rejects {count} rows more than the file has")).into());
            };
            have += next.num_rows();
            parts.push(next);
        }
        let all = concat_batches(&self.ahead.schema(), &parts).map_err(batch::CleanError::arrange("rejected rows"))?;
        self.ahead = all.slice(count, have - count);
        let (numbers, rest) = self.numbers.split_at(count);
        self.numbers = rest;
        Ok((numbers.to_vec(), all.slice(0, count)))
    }
}

/// The error of a row that breaks what must not be broken.
pub(super) async fn fail(
    store: &Arc<dyn ObjectStore>,
    job: &Job,
    row: u64,
    kind: usize,
) -> Result<CleanError, CleanError> {
    let rules = BatchCleaner::new(Arc::clone(&job.plan))?;
    let numbers = [row];
    let (_, raw) = Originals::new(store, job, &numbers)?.take(1).await?;
    match rules.clean(row, &raw) {
        Err(error) => Ok(error.into()),
        Ok(_) => Ok(SparkError::Untrue(format!(
            "row {row} breaks {} by Spark and not by DataFusion, which is a defect of millstream",
            name(&job.plan, kind)
        ))
        .into()),
    }
}

fn name(plan: &FilePlan, kind: usize) -> String {
    let derived = plan.columns.len();
    let rules = derived + plan.derived.len();
    let name = match kind {
        kind if kind < derived => plan.columns.get(kind).map(PlannedColumn::bad_rule),
        kind if kind < rules => plan.derived.get(kind - derived).map(|derived| format!("type:{}", derived.name)),
        kind => plan.rules.get(kind - rules).map(|rule| rule.name.clone()),
    };
    name.map_or_else(|| format!("rule number {kind}"), |name| format!("`{name}`"))
}
