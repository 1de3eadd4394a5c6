//! What the log carries: a header of facts and a value that is a self-contained Arrow IPC stream (schema and one batch,
//! LZ4 buffers), which any Arrow library reads by itself.

mod declared;
pub mod json;
pub mod partition;

use std::io::Cursor;
use std::ops::Range;
use std::panic::AssertUnwindSafe;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int64Type, Schema, SchemaRef};
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

/// Column of rejects, on rows that say what became of a row that was rejected earlier: `delivered`, `duplicate` or `filtered`.
pub const RESOLVED: &str = "resolved";

/// When that was.
pub const RESOLVED_AT: &str = "resolved_at";

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
    /// The value is damaged in a way over which the library panics.
    #[error("a record is damaged: it is no Arrow stream that can be read")]
    Damaged,
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
    /// Whether its rows are no rejects, but say what became of some ([`RESOLVED`]).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resolves: bool,
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
    caught(bytes, || {
        StreamReader::try_new(Cursor::new(bytes), None).map(|reader| reader.schema()).map_err(RecordError::Decode)
    })
}

/// The numbers that rows have in their file; none without such a column.
#[must_use]
pub fn row_numbers(rows: &RecordBatch) -> Vec<u64> {
    let column = rows.column_by_name(ROW).and_then(|column| column.as_primitive_opt::<Int64Type>());
    column.map_or_else(Vec::new, |column| column.values().iter().map(|row| row.cast_unsigned()).collect())
}

/// A number that almost certainly changes when a value does.
#[must_use]
pub fn checksum(value: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(value)
}

/// Encodes a batch as the value of a record.
///
/// # Errors
/// When Arrow refuses the batch.
pub fn encode(batch: &RecordBatch) -> Result<Vec<u8>, RecordError> {
    let options = IpcWriteOptions::default()
        .try_with_compression(Some(CompressionType::LZ4_FRAME))
        .map_err(RecordError::Encode)?;
    let mut value = Vec::with_capacity(memory_of(batch) / 2 + 1024);
    let mut writer =
        StreamWriter::try_new_with_options(&mut value, batch.schema_ref(), options).map_err(RecordError::Encode)?;
    writer.write(batch).map_err(RecordError::Encode)?;
    writer.finish().map_err(RecordError::Encode)?;
    drop(writer);
    value.shrink_to_fit();
    Ok(value)
}

/// Memory of the rows themselves, bytes; buffers that several arrays share count for their part.
#[must_use]
pub fn memory_of(batch: &RecordBatch) -> usize {
    let column =
        |array: &ArrayRef| array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size());
    batch.columns().iter().map(column).sum()
}

/// Decodes the value of a record.
///
/// # Errors
/// When it is not an Arrow IPC stream with one batch.
pub fn decode(value: &[u8]) -> Result<RecordBatch, RecordError> {
    caught(value, || {
        let mut reader = StreamReader::try_new(Cursor::new(value), None).map_err(RecordError::Decode)?;
        reader.next().ok_or(RecordError::Empty)?.map_err(RecordError::Decode)
    })
}

/// The library panics over some bytes that are no stream, and takes as much memory as they say.
fn caught<T>(value: &[u8], decode: impl FnOnce() -> Result<T, RecordError>) -> Result<T, RecordError> {
    if !declared::is_possible(value) {
        return Err(RecordError::Damaged);
    }
    std::panic::catch_unwind(AssertUnwindSafe(decode)).unwrap_or(Err(RecordError::Damaged))
}

/// A batch that fits a record, with its value.
#[derive(Debug)]
pub struct Encoded {
    /// Rows of the batch that are in it.
    pub rows: Range<usize>,
    /// These rows.
    pub batch: RecordBatch,
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

/// Share of the largest value that a record is cut for, in hundredths: rows differ in size.
const WANTED_PERCENT: u64 = 85;

/// Rows below which a record says too little of how large rows are.
const TELLING_ROWS: usize = 256;

/// Encodes batches of one topic as records. It remembers how large rows came out: encoding what turns out to be too large
/// costs as much as encoding what fits.
#[derive(Debug, Default)]
pub struct Encoder {
    /// Bytes of a row in the last records; none before the first.
    row_bytes: Option<usize>,
}

impl Encoder {
    /// Encodes a batch as records of at most `max_bytes`: cut by the size of the rows before, and halved where that was too much.
    ///
    /// # Errors
    /// When Arrow refuses the batch.
    pub fn encode_within(&mut self, batch: &RecordBatch, max_bytes: u64) -> Result<Cut, RecordError> {
        let mut cut = Cut::default();
        let mut open = self.pieces(batch.num_rows(), max_bytes);
        while let Some(rows) = open.pop() {
            let length = rows.end - rows.start;
            if length == 0 {
                continue;
            }
            let part = batch.slice(rows.start, length);
            let value = encode(&part)?;
            if length >= TELLING_ROWS {
                self.row_bytes = Some((value.len() / length).max(1));
            }
            if value.len() as u64 <= max_bytes {
                cut.records.push(Encoded { rows, batch: part, value });
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

    /// Pieces of one size that probably fit, the first one last.
    fn pieces(&self, rows: usize, max_bytes: u64) -> Vec<Range<usize>> {
        let wanted = usize::try_from(max_bytes / 100 * WANTED_PERCENT).unwrap_or(usize::MAX);
        let pieces = self.row_bytes.map_or(1, |row_bytes| row_bytes.saturating_mul(rows).div_ceil(wanted.max(1)));
        let length = rows.div_ceil(pieces.max(1)).max(1);
        (0..rows).step_by(length).rev().map(|start| start..rows.min(start + length)).collect()
    }
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
        let cut = Encoder::default().encode_within(&whole, 2_000).unwrap();
        assert!(cut.records.len() > 3 && cut.too_large.is_empty());
        let parts: Vec<RecordBatch> = cut.records.iter().map(|record| decode(&record.value).unwrap()).collect();
        assert!(cut.records.iter().all(|record| record.value.len() <= 2_000));
        assert_eq!(arrow::compute::concat_batches(&whole.schema(), &parts).unwrap(), whole);
    }

    #[test]
    fn what_was_encoded_tells_how_the_next_batch_is_cut() {
        let texts: Vec<String> =
            (0..4_000u64).map(|n| format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
        let whole = batch(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        let mut encoder = Encoder::default();
        encoder.encode_within(&whole, 20_000).unwrap();
        let pieces = encoder.pieces(whole.num_rows(), 20_000);
        let cut = encoder.encode_within(&whole, 20_000).unwrap();
        assert_eq!(cut.records.len(), pieces.len(), "every piece fits as it was cut");
        let rows: Vec<usize> = cut.records.iter().flat_map(|record| record.rows.clone()).collect();
        assert_eq!(rows, (0..4_000).collect::<Vec<_>>());
    }

    #[test]
    fn a_row_that_fits_no_record_is_named_and_the_others_go_on() {
        let numbers = (1..800u64).map(|n| (n * n).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_string());
        let huge = numbers.collect::<String>();
        let cut = Encoder::default().encode_within(&batch(&["a", &huge, "b"]), 1_500).unwrap();
        assert_eq!(cut.too_large, [1]);
        assert_eq!(cut.records.iter().map(|record| record.rows.len()).sum::<usize>(), 2);
    }
}
