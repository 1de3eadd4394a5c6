//! Parity: cleans the same files with both engines and compares row by row: clean rows value by value, rejects with their rules,
//! reasons and originals. Changes nothing.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Float32Type, Float64Type, Int64Type};
use arrow::util::display::array_value_to_string;
use millstream_core::config::Config;
use millstream_core::plan::{FilePlan, KnownSchema};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::chain::chain;
use crate::clean::{Cleaner, Job, SplitEvent};
use crate::pipeline::PipelineError;
use crate::source::FoundFile;
use crate::source::list::Listing;
use crate::source::read::{self, OpenFile, Split};
use crate::source::untrusted::Guard;
use crate::stop::stop_channel;

/// Differences that are shown.
const EXAMPLES: usize = 20;

/// Batches that an engine may be ahead.
const BATCHES_AHEAD: usize = 4;

/// What parity found.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// Files that both engines cleaned.
    pub(crate) files: u64,
    /// Rows of them.
    pub(crate) rows: u64,
    /// Rows that both delivered.
    pub(crate) clean: u64,
    /// Rows that both rejected.
    pub(crate) rejected: u64,
    /// Values, reasons or fates that differ.
    pub(crate) differences: u64,
    /// The first of them.
    pub(crate) examples: Vec<Difference>,
    /// Files that are not compared, and why: no engine takes them, or Spark would not.
    pub(crate) refused: Vec<Refused>,
}

/// Something that the engines do not agree on.
#[derive(Debug, Serialize)]
pub(crate) struct Difference {
    /// The file.
    pub(crate) file: String,
    /// Number of the row.
    pub(crate) row: u64,
    /// The column, or `fate`.
    pub(crate) what: String,
    /// What DataFusion makes of it.
    pub(crate) datafusion: String,
    /// What Spark makes of it.
    pub(crate) spark: String,
}

/// A file that is not compared.
#[derive(Debug, Serialize)]
pub(crate) struct Refused {
    /// The file.
    pub(crate) file: String,
    /// Why.
    pub(crate) reason: String,
}

/// How much is compared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// Files at most, in their order.
    pub(crate) files: usize,
    /// Rows of each at most, its first ones.
    pub(crate) rows: u64,
}

/// The two engines.
pub(crate) struct Engines {
    /// The one in this process.
    pub(crate) datafusion: Arc<dyn Cleaner>,
    /// The one on the cluster.
    pub(crate) spark: Arc<dyn Cleaner>,
}

/// Compares what the engines make of files; `tell` hears of each file before it is cleaned.
pub(crate) async fn parity(
    config: &Config,
    listing: &Listing,
    found: &[FoundFile],
    engines: &Engines,
    sample: Sample,
    tell: impl Fn(&str),
) -> Result<Report, PipelineError> {
    let mut report = Report::default();
    let mut known = KnownSchema::default();
    let guard = Guard::of(config);
    for file in found.iter().take(sample.files) {
        tell(&file.file);
        let refused = |reason: String| Refused { file: file.file.to_string(), reason };
        let open = match read::open(listing.store(), file.clone(), &guard).await {
            Ok(open) => Arc::new(open),
            Err(error) => {
                report.refused.push(refused(error.reason()));
                continue;
            }
        };
        let event_time = config.source.event_time.as_deref();
        let plan = match FilePlan::new(&config.clean, event_time, &known, open.metadata.schema()) {
            Ok(plan) => Arc::new(plan),
            Err(error) => {
                report.refused.push(refused(error.to_string()));
                continue;
            }
        };
        known = plan.known.clone();
        if let Some(reason) = engines.spark.refuses(&open, &plan) {
            report.refused.push(refused(reason));
            continue;
        }
        let rows = 0..open.rows().min(sample.rows);
        if rows.is_empty() {
            continue;
        }
        let (left, right) = tokio::join!(
            clean(&engines.datafusion, &open, &plan, rows.clone()),
            clean(&engines.spark, &open, &plan, rows.clone())
        );
        compare(&mut report, &file.file, rows, &left?, &right?)?;
    }
    engines.spark.close().await;
    Ok(report)
}

/// What an engine makes of rows of a file.
struct Outcome {
    clean: Table,
    rejects: Table,
    /// Why it did not go on, if it did not.
    failed: Option<String>,
}

/// Rows by their numbers.
struct Table {
    rows: Option<RecordBatch>,
    places: BTreeMap<u64, usize>,
}

impl Table {
    fn new(batches: &[RecordBatch]) -> Result<Self, PipelineError> {
        let Some(first) = batches.first() else { return Ok(Self { rows: None, places: BTreeMap::new() }) };
        let all = concat_batches(&first.schema(), batches).map_err(|error| PipelineError::Failed(chain(&error)))?;
        let numbers = all.column_by_name("_row").and_then(|rows| rows.as_primitive_opt::<Int64Type>());
        let numbers = numbers.map(|numbers| numbers.values().to_vec()).unwrap_or_default();
        let places = numbers.iter().enumerate().map(|(place, number)| (number.cast_unsigned(), place)).collect();
        Ok(Self { rows: Some(all), places })
    }
}

async fn clean(
    cleaner: &Arc<dyn Cleaner>,
    file: &Arc<OpenFile>,
    plan: &Arc<FilePlan>,
    rows: Range<u64>,
) -> Result<Outcome, PipelineError> {
    let (batches, mut events) = mpsc::channel(BATCHES_AHEAD);
    let row_groups = 0..file.metadata.metadata().num_row_groups();
    let split = Split { file: Arc::clone(file), row_groups, rows, start: 0 };
    let job = Job { split, plan: Arc::clone(plan), batches };
    let (_running, stop) = stop_channel();
    let (mut clean, mut rejects, mut failed) = (Vec::new(), Vec::new(), None);
    let taken = async {
        while let Some(event) = events.recv().await {
            match event {
                SplitEvent::Batch(batch) => {
                    clean.push(batch.cleaned.clean);
                    rejects.push(batch.cleaned.rejects);
                }
                SplitEvent::End => {}
                SplitEvent::Failed(error) => failed = Some(error),
            }
        }
    };
    tokio::join!(cleaner.clean(job, stop), taken);
    let failed = match failed {
        // Both engines must name the same row and reason.
        Some(crate::clean::CleanError::Rows(error)) => Some(chain(&error)),
        Some(error) => return Err(PipelineError::Failed(format!("{}: {}", file.found.file, chain(&error)))),
        None => None,
    };
    Ok(Outcome { clean: Table::new(&clean)?, rejects: Table::new(&rejects)?, failed })
}

fn compare(
    report: &mut Report,
    file: &str,
    rows: Range<u64>,
    left: &Outcome,
    right: &Outcome,
) -> Result<(), PipelineError> {
    report.files += 1;
    report.rows += rows.end - rows.start;
    let mut differ = |row: u64, what: &str, datafusion: String, spark: String| {
        report.differences += 1;
        if report.examples.len() < EXAMPLES {
            let (file, what) = (file.to_owned(), what.to_owned());
            report.examples.push(Difference { file, row, what, datafusion, spark });
        }
    };
    if left.failed.is_some() || right.failed.is_some() {
        if left.failed != right.failed {
            let text = |failed: &Option<String>| failed.clone().unwrap_or_else(|| "goes on".to_owned());
            differ(0, "fail", text(&left.failed), text(&right.failed));
        }
        return Ok(());
    }
    for row in rows {
        let fates = [fate(left, row), fate(right, row)];
        if fates[0] != fates[1] {
            differ(row, "fate", describe(left, row)?, describe(right, row)?);
        }
    }
    for (left, right) in [(&left.clean, &right.clean), (&left.rejects, &right.rejects)] {
        let (Some(left_rows), Some(right_rows)) = (&left.rows, &right.rows) else { continue };
        let in_step = left.places == right.places;
        for (column, field) in left_rows.schema().fields().iter().enumerate() {
            let (a, b) = (left_rows.column(column), right_rows.column(column));
            if in_step && a == b {
                continue;
            }
            let common = left.places.iter().filter_map(|(row, &at)| Some((*row, at, *right.places.get(row)?)));
            for (row, at, there) in common {
                if with_one_nan(&a.slice(at, 1)) != with_one_nan(&b.slice(there, 1)) {
                    differ(row, field.name(), shown(a, at)?, shown(b, there)?);
                }
            }
        }
    }
    report.clean += common(&left.clean, &right.clean);
    report.rejected += common(&left.rejects, &right.rejects);
    Ok(())
}

/// Floats in which all NaNs are the same: their bits mean nothing.
fn with_one_nan(values: &ArrayRef) -> ArrayRef {
    if let Some(doubles) = values.as_primitive_opt::<Float64Type>() {
        return Arc::new(doubles.unary::<_, Float64Type>(|value| if value.is_nan() { f64::NAN } else { value }));
    }
    if let Some(floats) = values.as_primitive_opt::<Float32Type>() {
        return Arc::new(floats.unary::<_, Float32Type>(|value| if value.is_nan() { f32::NAN } else { value }));
    }
    Arc::clone(values)
}

fn common(left: &Table, right: &Table) -> u64 {
    left.places.keys().filter(|row| right.places.contains_key(row)).count() as u64
}

fn fate(outcome: &Outcome, row: u64) -> &'static str {
    if outcome.clean.places.contains_key(&row) {
        "delivered"
    } else if outcome.rejects.places.contains_key(&row) {
        "rejected"
    } else {
        "filtered"
    }
}

/// The fate of a row, with the reasons of a reject.
fn describe(outcome: &Outcome, row: u64) -> Result<String, PipelineError> {
    let fate = fate(outcome, row);
    let (Some(rejects), Some(&at)) = (&outcome.rejects.rows, outcome.rejects.places.get(&row)) else {
        return Ok(fate.to_owned());
    };
    let reasons = rejects.column_by_name("reasons").map(|reasons| shown(reasons, at)).transpose()?;
    Ok(format!("{fate}: {}", reasons.unwrap_or_default()))
}

fn shown(values: &ArrayRef, at: usize) -> Result<String, PipelineError> {
    if values.is_null(at) {
        return Ok("NULL".to_owned());
    }
    array_value_to_string(values, at).map_err(|error| PipelineError::Failed(chain(&error)))
}
