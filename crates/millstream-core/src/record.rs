//! What the log carries: a header of facts and a value that is a self-contained Arrow IPC stream (schema and one batch,
//! LZ4 buffers), which any Arrow library reads by itself.

pub mod json;
pub mod partition;

use std::io::Cursor;
use std::ops::Range;

use arrow::datatypes::DataType;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::CompressionType;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow::record_batch::RecordBatch;
use serde::{Deserialize, Serialize};

use crate::ids::StreamId;

/// Version of the record format.
pub const RECORD_FORMAT: u16 = 1;

/// Column with the file of a row.
pub const FILE: &str = "_file";

/// Column with the number of a row in its file, from 0.
pub const ROW: &str = "_row";

/// Column with the time at which the log took the row in. It is not in the value: the receiver adds it.
pub const INGESTED_AT: &str = "ingested_at";

/// Why a batch could not become a record or a record a batch.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Writing the Arrow IPC stream failed.
    #[error("cannot encode a batch as an Arrow stream")]
    Encode(#[source] ArrowError),
    /// The value is not an Arrow IPC stream.
    #[error("cannot decode a record as an Arrow stream")]
    Decode(#[source] ArrowError),
    /// The value is an Arrow IPC stream without a batch.
    #[error("a record holds no batch")]
    Empty,
    /// A column has a type without a form in JSON.
    #[error("column `{column}` is of type {data_type}, which has no form in JSON records")]
    UnsupportedType {
        /// Its name, dotted if it is inside of another.
        column: String,
        /// Its type.
        data_type: DataType,
    },
    /// A column of the key is not in the batch.
    #[error("there is no column `{column}` for the key of records")]
    NoKeyColumn {
        /// Its name.
        column: String,
    },
    /// JSON values together are too large for the offsets of a batch.
    #[error("JSON records of {bytes} bytes are too many for one batch; read fewer at once")]
    TooLarge {
        /// Bytes in all.
        bytes: usize,
    },
    /// Rows that were read from JSON do not make a batch.
    #[error("cannot put rows from JSON records together as a batch")]
    Assemble(#[source] ArrowError),
}

/// The facts of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordHeader {
    /// Version of the record format.
    pub format: u16,
    /// Stream that it belongs to.
    pub stream: StreamId,
    /// Number of the publisher that wrote it.
    pub publisher: u32,
    /// Consecutive for each publisher and partition, from 0.
    pub seq: u64,
    /// File that its rows are from.
    pub file: String,
    /// Rows of the file that were looked at for the batch that this record is a part of: first.
    pub first_row: u64,
    /// Behind the last of them.
    pub end_row: u64,
    /// Rows in the value.
    pub rows: u64,
    /// When the file was found, microseconds since 1970.
    pub found_at_micros: i64,
    /// Lowest and highest event time, microseconds since 1970; none without any.
    pub event_time_micros: Option<(i64, i64)>,
    /// Hash of the rules that the rows went through.
    pub rules_hash: String,
    /// Which schema the value has; none where the value tells its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
}

/// The columns of rows whose values do not tell them, with a name that is the same for the same columns.
///
/// # Errors
/// When Arrow refuses the schema.
pub fn encode_schema(schema: &Schema) -> Result<(String, Vec<u8>), RecordError> {
    let mut bytes = Vec::new();
    let mut writer = StreamWriter::try_new(&mut bytes, schema).map_err(RecordError::Encode)?;
    writer.finish().map_err(RecordError::Encode)?;
    drop(writer);
    Ok((format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&bytes)), bytes))
}

/// The columns that [`encode_schema`] wrote.
///
/// # Errors
/// When they are not what it writes.
pub fn decode_schema(bytes: &[u8]) -> Result<SchemaRef, RecordError> {
    StreamReader::try_new(Cursor::new(bytes), None).map(|reader| reader.schema()).map_err(RecordError::Decode)
}

/// Encodes a batch as the value of a record.
///
/// # Errors
/// When Arrow refuses the batch.
pub fn encode(batch: &RecordBatch) -> Result<Vec<u8>, RecordError> {
    let options = IpcWriteOptions::default()
        .try_with_compression(Some(CompressionType::LZ4_FRAME))
        .map_err(RecordError::Encode)?;
    // Of these rows alone: a batch may be a slice of a far larger one.
    let bytes =
        batch.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or(0)).sum::<usize>();
    let mut value = Vec::with_capacity(bytes / 2 + 1024);
    let mut writer =
        StreamWriter::try_new_with_options(&mut value, batch.schema_ref(), options).map_err(RecordError::Encode)?;
    writer.write(batch).map_err(RecordError::Encode)?;
    writer.finish().map_err(RecordError::Encode)?;
    drop(writer);
    Ok(value)
}

/// Decodes the value of a record.
///
/// # Errors
/// When it is not an Arrow IPC stream with one batch.
pub fn decode(value: &[u8]) -> Result<RecordBatch, RecordError> {
    let mut reader = StreamReader::try_new(Cursor::new(value), None).map_err(RecordError::Decode)?;
    reader.next().ok_or(RecordError::Empty)?.map_err(RecordError::Decode)
}

/// A batch that fits a record, with its value.
#[derive(Debug)]
pub struct Encoded {
    /// Rows of the batch that are in it.
    pub rows: Range<usize>,
    /// The value.
    pub value: Vec<u8>,
}

/// The result of cutting a batch into records.
#[derive(Debug, Default)]
pub struct Cut {
    /// Records that fit, in the order of their rows.
    pub records: Vec<Encoded>,
    /// Rows that do not fit even alone.
    pub too_large: Vec<usize>,
}

/// Encodes a batch as records of at most `max_bytes`, by halving what is larger.
///
/// # Errors
/// When Arrow refuses the batch.
pub fn encode_within(batch: &RecordBatch, max_bytes: u64) -> Result<Cut, RecordError> {
    let mut cut = Cut::default();
    let mut open: Vec<Range<usize>> = std::iter::once(0..batch.num_rows()).collect();
    while let Some(rows) = open.pop() {
        let length = rows.end - rows.start;
        if length == 0 {
            continue;
        }
        let value = encode(&batch.slice(rows.start, length))?;
        if value.len() as u64 <= max_bytes {
            cut.records.push(Encoded { rows, value });
        } else if length == 1 {
            cut.too_large.push(rows.start);
        } else {
            let middle = rows.start + length / 2;
            open.push(middle..rows.end);
            open.push(rows.start..middle);
        }
    }
    Ok(cut)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};

    use super::*;

    fn batch(texts: &[&str]) -> RecordBatch {
        let numbers: Vec<i64> = (0..).take(texts.len()).collect();
        RecordBatch::try_from_iter([
            ("n", Arc::new(Int64Array::from(numbers)) as _),
            ("t", Arc::new(StringArray::from(texts.to_vec())) as _),
        ])
        .unwrap()
    }

    #[test]
    fn a_batch_comes_back_as_it_was() {
        let before = batch(&["a", "b", ""]);
        assert_eq!(decode(&encode(&before).unwrap()).unwrap(), before);
    }

    #[test]
    fn a_large_batch_is_cut_into_records_that_fit_and_lose_nothing() {
        let texts: Vec<String> = (0..500u64).map(|n| format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
        let whole = batch(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        let cut = encode_within(&whole, 2_000).unwrap();
        assert!(cut.records.len() > 3 && cut.too_large.is_empty());
        let parts: Vec<RecordBatch> = cut.records.iter().map(|record| decode(&record.value).unwrap()).collect();
        assert!(cut.records.iter().all(|record| record.value.len() <= 2_000));
        assert_eq!(arrow::compute::concat_batches(&whole.schema(), &parts).unwrap(), whole);
    }

    #[test]
    fn a_row_that_fits_no_record_is_named_and_the_others_go_on() {
        let numbers = (1..800u64).map(|n| (n * n).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_string());
        let huge = numbers.collect::<String>();
        let cut = encode_within(&batch(&["a", &huge, "b"]), 1_500).unwrap();
        assert_eq!(cut.too_large, [1]);
        assert_eq!(cut.records.iter().map(|record| record.rows.len()).sum::<usize>(), 2);
    }
}
