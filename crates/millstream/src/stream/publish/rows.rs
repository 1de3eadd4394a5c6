//! From cleaned rows to the values of records.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Int32Array, Int64Array, ListBuilder, RecordBatch, StringArray,
    StringBuilder, new_null_array,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema};
use arrow::error::ArrowError;
use millstream_core::record::{Cut, FILE, ROW, RecordError, encode_within};

use crate::table::segment::time_range;

/// Rule name of a row that fits no record.
const TOO_LARGE: &str = "record:too_large";

/// Rows of one record.
#[derive(Debug)]
pub(crate) struct Part {
    /// Number of rows.
    pub(crate) rows: u64,
    /// Value of the record.
    pub(crate) value: Vec<u8>,
    /// Lowest and highest event time.
    pub(crate) event_time_micros: Option<(i64, i64)>,
}

/// The records of clean rows, and the numbers (in the file) of rows that fit no record.
pub(crate) fn clean_records(
    rows: &RecordBatch,
    file: &str,
    event_time: Option<&str>,
    max_bytes: u64,
) -> Result<(Vec<Part>, Vec<i64>), RecordError> {
    let batch = with_file(rows, file).map_err(RecordError::Encode)?;
    let cut = encode_within(&batch, max_bytes)?;
    let numbers = batch.column_by_name(ROW).and_then(|column| column.as_primitive_opt::<Int64Type>());
    let too_large = cut.too_large.iter().filter_map(|&row| numbers.map(|numbers| numbers.value(row))).collect();
    let times = event_time.and_then(|name| batch.column_by_name(name));
    Ok((parts(cut, times), too_large))
}

/// The records of rejects, and how many rows each rule rejected. Rows that fit no record are among them, without their
/// original values: those are what is too large.
pub(crate) fn reject_records(
    rejects: &RecordBatch,
    file: &str,
    too_large: &[i64],
    max_bytes: u64,
) -> Result<(Vec<Part>, BTreeMap<String, u64>), RecordError> {
    let mut batch = rejects.clone();
    if !too_large.is_empty() {
        let more = too_large_rejects(too_large, max_bytes, rejects.schema_ref()).map_err(RecordError::Encode)?;
        batch = concat_batches(rejects.schema_ref(), [rejects, &more]).map_err(RecordError::Encode)?;
    }
    let by_rule = count_rules(&batch);
    let batch = with_file(&batch, file).map_err(RecordError::Encode)?;
    let mut cut = encode_within(&batch, max_bytes)?;
    for row in std::mem::take(&mut cut.too_large) {
        // The original values do not fit beside the reasons: the reasons go on alone.
        let bare = without_original(&batch.slice(row, 1)).map_err(RecordError::Encode)?;
        cut.records.extend(encode_within(&bare, u64::MAX)?.records);
    }
    Ok((parts(cut, None), by_rule))
}

fn parts(cut: Cut, times: Option<&ArrayRef>) -> Vec<Part> {
    let part = |record: millstream_core::record::Encoded| Part {
        rows: record.rows.len() as u64,
        event_time_micros: times.and_then(|times| time_range(&times.slice(record.rows.start, record.rows.len()))),
        value: record.value,
    };
    cut.records.into_iter().map(part).collect()
}

/// The rows with `_file` in front of `_row`.
fn with_file(rows: &RecordBatch, file: &str) -> Result<RecordBatch, ArrowError> {
    let values: ArrayRef = Arc::new(StringArray::from(vec![file]));
    let keys = Int32Array::from_value(0, rows.num_rows());
    let column: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::try_new(keys, values)?);
    let position = rows.schema_ref().index_of(ROW)?;
    let mut fields: Vec<Arc<Field>> = rows.schema_ref().fields().iter().cloned().collect();
    let mut columns = rows.columns().to_vec();
    fields.insert(position, Arc::new(Field::new(FILE, column.data_type().clone(), false)));
    columns.insert(position, column);
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

fn count_rules(rejects: &RecordBatch) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    let rules = rejects.column_by_name("rules").and_then(|column| column.as_list_opt::<i32>());
    for row in rules.into_iter().flat_map(|rules| rules.iter().flatten()) {
        for rule in row.as_string_opt::<i32>().into_iter().flat_map(|names| names.iter().flatten()) {
            *counts.entry(rule.to_owned()).or_default() += 1;
        }
    }
    counts
}

/// Rejects for rows that fit no record, with the columns of other rejects.
fn too_large_rejects(rows: &[i64], max_bytes: u64, schema: &Arc<Schema>) -> Result<RecordBatch, ArrowError> {
    let list = |text: &str, item: &Arc<Field>| -> ArrayRef {
        let mut lists = ListBuilder::new(StringBuilder::new()).with_field(Arc::clone(item));
        for _ in rows {
            lists.values().append_value(text);
            lists.append(true);
        }
        Arc::new(lists.finish())
    };
    let reason = format!("the row is larger than `stream.max_record_bytes` ({max_bytes} bytes)");
    let column = |field: &Arc<Field>| -> ArrayRef {
        match (field.name().as_str(), field.data_type()) {
            (ROW, _) => Arc::new(Int64Array::from(rows.to_vec())),
            ("rules", DataType::List(item)) => list(TOO_LARGE, item),
            ("reasons", DataType::List(item)) => list(&reason, item),
            (_, other) => new_null_array(other, rows.len()),
        }
    };
    RecordBatch::try_new(Arc::clone(schema), schema.fields().iter().map(column).collect())
}

fn without_original(row: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let mut columns = row.columns().to_vec();
    if let Ok(position) = row.schema_ref().index_of("original") {
        columns[position] = new_null_array(columns[position].data_type(), row.num_rows());
    }
    RecordBatch::try_new(row.schema(), columns)
}
