//! From cleaned rows to the values of records.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Int32Array, Int64Array, ListBuilder, RecordBatch, StringArray,
    StringBuilder, TimestampMicrosecondArray, UInt32Array, new_null_array,
};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema};
use arrow::error::ArrowError;
use millstream_core::config::Format;
use millstream_core::record::json::{self, JsonRow};
use millstream_core::record::{Encoder, FILE, RESOLVED, RESOLVED_AT, ROW, RecordError, encode_schema, partition};

use crate::table::segment::{plain, time_range};

/// Rule name of a row that fits no record.
pub(crate) const TOO_LARGE: &str = "record:too_large";

/// Rows of one record.
#[derive(Debug)]
pub(crate) struct Part {
    /// Number of rows.
    pub(crate) rows: u64,
    /// What it is keyed by.
    pub(crate) key: Option<Vec<u8>>,
    /// Partition that its key wants.
    pub(crate) partition: Option<u32>,
    /// Value of the record.
    pub(crate) value: Vec<u8>,
    /// The rows that are in it, where they are at hand.
    pub(crate) batch: Option<RecordBatch>,
    /// Lowest and highest event time.
    pub(crate) event_time_micros: Option<(i64, i64)>,
}

/// How records look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Form<'a> {
    /// Arrow or JSON.
    pub(crate) format: Format,
    /// Columns that decide the partition of clean rows.
    pub(crate) key: &'a [String],
    /// Partitions of clean rows.
    pub(crate) partitions: u32,
    /// Largest value.
    pub(crate) max_bytes: u64,
}

/// Records of rows, and what does not fit one.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    /// The records, in the order of their rows within each partition.
    pub(crate) records: Vec<Part>,
    /// Name and bytes of the schema, where values do not tell it.
    pub(crate) schema: Option<(String, Vec<u8>)>,
    /// Numbers (in the batch) of rows that fit no record.
    too_large: Vec<usize>,
}

/// The records of clean rows, and the numbers (in the file) of rows that fit no record.
pub(crate) fn clean_records(
    rows: &RecordBatch,
    file: &str,
    event_time: Option<&str>,
    form: Form<'_>,
    encoder: &mut Encoder,
) -> Result<(Parts, Vec<i64>), RecordError> {
    let batch = with_file(rows, file).map_err(RecordError::Encode)?;
    let parts = match form.format {
        Format::Json => json_parts(&batch, event_time, form)?,
        Format::Arrow if form.key.is_empty() => arrow_parts(&batch, event_time, None, form.max_bytes, encoder)?,
        Format::Arrow => keyed_parts(&batch, event_time, form, encoder)?,
    };
    let numbers = batch.column_by_name(ROW).and_then(|column| column.as_primitive_opt::<Int64Type>());
    let too_large = parts.too_large.iter().filter_map(|&row| numbers.map(|numbers| numbers.value(row))).collect();
    Ok((parts, too_large))
}

/// The records of rejects, and how many rows each rule rejected. Rows that fit no record are among them, without their
/// original values: those are what is too large.
pub(crate) fn reject_records(
    rejects: &RecordBatch,
    file: &str,
    too_large: &[i64],
    form: Form<'_>,
) -> Result<(Parts, BTreeMap<String, u64>), RecordError> {
    let mut batch = rejects.clone();
    if !too_large.is_empty() {
        let more = too_large_rejects(too_large, form.max_bytes, rejects.schema_ref()).map_err(RecordError::Encode)?;
        batch = concat_batches(rejects.schema_ref(), [rejects, &more]).map_err(RecordError::Encode)?;
    }
    let by_rule = count_rules(&batch);
    if batch.num_rows() == 0 {
        return Ok((Parts::default(), by_rule));
    }
    let mut encoder = Encoder::default();
    let batch = with_file(&batch, file).map_err(RecordError::Encode)?;
    let mut records = |batch: &RecordBatch, max_bytes| match form.format {
        Format::Arrow => arrow_parts(batch, None, None, max_bytes, &mut encoder),
        Format::Json => json_parts(batch, None, Form { key: &[], max_bytes, ..form }),
    };
    let mut parts = records(&batch, form.max_bytes)?;
    for row in std::mem::take(&mut parts.too_large) {
        // The original values do not fit beside the reasons: the reasons go on alone.
        let bare = without_original(&batch.slice(row, 1)).map_err(RecordError::Encode)?;
        parts.records.extend(records(&bare, u64::MAX)?.records);
    }
    Ok((parts, by_rule))
}

/// What became of a row that was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// It passed, and is delivered.
    Delivered,
    /// It passed, and repeats a row that was delivered.
    Duplicate,
    /// The filter left it out.
    Filtered,
}

impl Resolution {
    /// As the column [`RESOLVED`] has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Duplicate => "duplicate",
            Self::Filtered => "filtered",
        }
    }
}

/// The records that say what became of rejects: of rows with these numbers in the file, ascending.
pub(crate) fn resolution_records(
    resolved: &[(u64, Resolution)],
    file: &str,
    at_micros: i64,
    form: Form<'_>,
) -> Result<Parts, RecordError> {
    let numbers = resolved.iter().map(|(row, _)| i64::try_from(*row).unwrap_or(i64::MAX));
    let names = StringArray::from_iter_values(resolved.iter().map(|(_, resolution)| resolution.name()));
    let times = TimestampMicrosecondArray::from_value(at_micros, resolved.len()).with_timezone("UTC");
    let columns: [(&str, ArrayRef); 3] = [
        (ROW, Arc::new(Int64Array::from_iter_values(numbers))),
        (RESOLVED, Arc::new(names)),
        (RESOLVED_AT, Arc::new(times)),
    ];
    let batch = RecordBatch::try_from_iter(columns).and_then(|rows| with_file(&rows, file));
    let batch = batch.map_err(RecordError::Encode)?;
    match form.format {
        Format::Arrow => arrow_parts(&batch, None, None, form.max_bytes, &mut Encoder::default()),
        Format::Json => json_parts(&batch, None, Form { key: &[], ..form }),
    }
}

/// Batches as records.
fn arrow_parts(
    batch: &RecordBatch,
    event_time: Option<&str>,
    partition: Option<u32>,
    max_bytes: u64,
    encoder: &mut Encoder,
) -> Result<Parts, RecordError> {
    let cut = encoder.encode_within(batch, max_bytes)?;
    let times = event_time.and_then(|name| batch.column_by_name(name));
    let part = |record: millstream_core::record::Encoded| Part {
        rows: record.rows.len() as u64,
        key: None,
        partition,
        event_time_micros: times.and_then(|times| time_range(&times.slice(record.rows.start, record.rows.len()))),
        value: record.value,
        batch: Some(record.batch),
    };
    Ok(Parts { records: cut.records.into_iter().map(part).collect(), schema: None, too_large: cut.too_large })
}

/// Batches as records, rows with the same key in the same partition.
fn keyed_parts(
    batch: &RecordBatch,
    event_time: Option<&str>,
    form: Form<'_>,
    encoder: &mut Encoder,
) -> Result<Parts, RecordError> {
    let mut groups: BTreeMap<Option<u32>, Vec<u32>> = BTreeMap::new();
    for (row, partition) in (0u32..).zip(partition::keys(batch, form.key, form.partitions)?) {
        groups.entry(partition).or_default().push(row);
    }
    let mut all = Parts::default();
    for (partition, rows) in groups {
        let rows = UInt32Array::from(rows);
        let group = take_record_batch(batch, &rows).map_err(RecordError::Encode)?;
        let Parts { records, too_large, .. } = arrow_parts(&group, event_time, partition, form.max_bytes, encoder)?;
        all.records.extend(records);
        all.too_large.extend(too_large.into_iter().map(|row| rows.value(row) as usize));
    }
    Ok(all)
}

/// A record for each row.
fn json_parts(batch: &RecordBatch, event_time: Option<&str>, form: Form<'_>) -> Result<Parts, RecordError> {
    let times = event_time.and_then(|name| batch.column_by_name(name));
    let mut all = Parts { schema: Some(encode_schema(&plain_schema(batch.schema_ref()))?), ..Parts::default() };
    for (row, JsonRow { key, value }) in json::encode_rows(batch, form.key)?.into_iter().enumerate() {
        if value.len() as u64 > form.max_bytes {
            all.too_large.push(row);
            continue;
        }
        let partition = key.as_ref().map(|key| partition::murmur2_partition(key, form.partitions));
        let event_time_micros = times.and_then(|times| time_range(&times.slice(row, 1)));
        all.records.push(Part { rows: 1, key, partition, value, batch: None, event_time_micros });
    }
    Ok(all)
}

/// The columns as JSON has them: how texts are held in memory is no matter of other programs.
fn plain_schema(schema: &Schema) -> Schema {
    let plain = |field: &Arc<Field>| Field::new(field.name(), plain(field.data_type()), field.is_nullable());
    Schema::new(schema.fields().iter().map(plain).collect::<Vec<_>>())
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

#[cfg(test)]
mod tests {
    use millstream_core::record::{decode, json};

    use super::*;

    fn rows(count: i64) -> RecordBatch {
        let keys: ArrayRef =
            Arc::new((0..count).map(|n| (n % 5 != 0).then(|| format!("k{}", n % 7))).collect::<StringArray>());
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(100..100 + count));
        RecordBatch::try_from_iter([("key", keys), (ROW, numbers)]).unwrap()
    }

    fn numbers(batch: &RecordBatch) -> Vec<i64> {
        batch.column_by_name(ROW).unwrap().as_primitive::<Int64Type>().values().to_vec()
    }

    #[test]
    fn rows_with_a_key_are_in_the_partition_of_their_key_and_none_is_lost() {
        let key = ["key".to_owned()];
        let form = Form { format: Format::Arrow, key: &key, partitions: 3, max_bytes: 1_500 };
        let (parts, too_large) = clean_records(&rows(500), "f", None, form, &mut Encoder::default()).unwrap();
        assert!(too_large.is_empty() && parts.records.len() > 4);
        let mut all = Vec::new();
        for part in &parts.records {
            let batch = decode(&part.value).unwrap();
            let wanted = partition::keys(&batch, &key, 3).unwrap();
            assert!(wanted.iter().all(|wanted| *wanted == part.partition), "{wanted:?}");
            all.extend(numbers(&batch));
        }
        all.sort_unstable();
        assert_eq!(all, (100..600).collect::<Vec<_>>());
    }

    #[test]
    fn json_has_one_row_a_record_and_its_schema_reads_it_back() {
        let key = ["key".to_owned()];
        let form = Form { format: Format::Json, key: &key, partitions: 3, max_bytes: 1_500 };
        let (parts, _) = clean_records(&rows(50), "f", None, form, &mut Encoder::default()).unwrap();
        let (_, schema) = parts.schema.as_ref().unwrap();
        let schema = millstream_core::record::decode_schema(schema).unwrap();
        let values: Vec<&[u8]> = parts.records.iter().map(|part| part.value.as_slice()).collect();
        let decoded = json::decode_rows(&values, &schema).unwrap();
        assert!(decoded.bad.is_empty());
        assert_eq!(numbers(&decoded.batch), (100..150).collect::<Vec<_>>());
        assert_eq!(parts.records[1].key.as_deref(), Some(b"k1".as_slice()));
        assert!(parts.records[0].key.is_none() && parts.records[0].partition.is_none());
    }

    #[test]
    fn a_row_that_fits_no_record_is_told_by_its_number_in_the_file() {
        let huge = (0..40_000u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_string()).collect::<String>();
        let keys: ArrayRef = Arc::new(StringArray::from(vec!["a", &huge, "b"]));
        let batch =
            RecordBatch::try_from_iter([("key", keys), (ROW, Arc::new(Int64Array::from(vec![7, 8, 9])) as ArrayRef)])
                .unwrap();
        for (format, key) in [(Format::Arrow, vec![]), (Format::Arrow, vec![ROW.to_owned()]), (Format::Json, vec![])] {
            let form = Form { format, key: &key, partitions: 3, max_bytes: 16_384 };
            let (parts, too_large) = clean_records(&batch, "f", None, form, &mut Encoder::default()).unwrap();
            assert_eq!(too_large, [8], "{format:?}");
            assert_eq!(parts.records.iter().map(|part| part.rows).sum::<u64>(), 2);
        }
    }
}
