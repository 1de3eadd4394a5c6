//! How columns are written as Parquet: a dictionary where values repeat, differences where they count on.
//!
//! The library begins a dictionary for every column and gives it up when it has grown too large: until then it hashes every
//! value, which for a column of distinct values is the dearest thing that can be done with it.

#![allow(clippy::wildcard_enum_match_arm, reason = "matches over enums of Arrow, which grow")]

use std::hash::{BuildHasher, RandomState};
use std::{collections::HashSet, num::NonZeroUsize};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Float32Type, Float64Type, Int32Type, Int64Type, Schema,
    TimestampMicrosecondType,
};
use arrow::record_batch::RecordBatch;
use millstream_core::record::{INGESTED_AT, ROW};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

/// Values of a column that are looked at.
const SAMPLE_ROWS: usize = 2_048;

/// Distinct values among them, in hundredths, at which a dictionary does not pay.
const DISTINCT_PERCENT: usize = 60;

/// The properties for files whose rows look like `sample`. `row_group_bytes` bounds a row group; none leaves it to the library.
pub(crate) fn properties(
    schema: &Schema,
    sample: Option<&RecordBatch>,
    row_group_bytes: Option<NonZeroUsize>,
) -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_bytes(row_group_bytes.map(NonZeroUsize::get));
    for field in schema.fields() {
        let values = sample.and_then(|sample| sample.column_by_name(field.name()));
        builder = match field.name().as_str() {
            // They count on, or stay as they are.
            ROW | INGESTED_AT => differences(builder, field.name()),
            _ if !values.is_some_and(is_distinct) => builder,
            name => match field.data_type() {
                DataType::Int32 | DataType::Int64 | DataType::Timestamp(_, _) | DataType::Date32 => {
                    differences(builder, name)
                }
                _ => builder.set_column_dictionary_enabled(path(name), false),
            },
        };
    }
    builder.build()
}

fn differences(builder: WriterPropertiesBuilder, name: &str) -> WriterPropertiesBuilder {
    builder
        .set_column_dictionary_enabled(path(name), false)
        .set_column_encoding(path(name), Encoding::DELTA_BINARY_PACKED)
}

/// A column at the root, whatever its name.
fn path(name: &str) -> ColumnPath {
    ColumnPath::new(vec![name.to_owned()])
}

/// Whether most values of a sample are different ones. Types that are not looked at count as not distinct.
fn is_distinct(values: &ArrayRef) -> bool {
    let sample = values.slice(0, values.len().min(SAMPLE_ROWS));
    let (distinct, valid) = (distinct(&sample), sample.len() - sample.null_count());
    valid >= SAMPLE_ROWS / 4 && distinct.is_some_and(|distinct| distinct * 100 >= valid * DISTINCT_PERCENT)
}

fn distinct(values: &ArrayRef) -> Option<usize> {
    match values.data_type() {
        DataType::Int32 => Some(distinct_of::<Int32Type, _>(values, |value| value)),
        DataType::Date32 => Some(distinct_of::<Date32Type, _>(values, |value| value)),
        DataType::Int64 => Some(distinct_of::<Int64Type, _>(values, |value| value)),
        DataType::Float32 => Some(distinct_of::<Float32Type, _>(values, f32::to_bits)),
        DataType::Float64 => Some(distinct_of::<Float64Type, _>(values, f64::to_bits)),
        DataType::Timestamp(_, _) => {
            values.as_primitive_opt::<TimestampMicrosecondType>()?;
            Some(distinct_of::<TimestampMicrosecondType, _>(values, |value| value))
        }
        DataType::Utf8 => {
            let state = RandomState::new();
            let hashes = values.as_string::<i32>().iter().flatten().map(|text| state.hash_one(text));
            Some(hashes.collect::<HashSet<u64>>().len())
        }
        _ => None,
    }
}

fn distinct_of<T: ArrowPrimitiveType, K: std::hash::Hash + Eq>(
    values: &ArrayRef,
    key: impl Fn(T::Native) -> K,
) -> usize {
    values.as_primitive::<T>().iter().flatten().map(key).collect::<HashSet<K>>().len()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int64Array, StringArray};
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    fn rows() -> RecordBatch {
        let scattered = |row: i64| row.wrapping_mul(0x1e37_79b9_7f4a_7c15);
        let numbers =
            |of: &dyn Fn(i64) -> i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values((0..5_000).map(of))) };
        #[allow(clippy::cast_precision_loss, reason = "any number will do")]
        let floats: ArrayRef = Arc::new(Float64Array::from_iter_values((0..5_000).map(|row| scattered(row) as f64)));
        let texts: ArrayRef =
            Arc::new((0..5_000).map(|row| Some(format!("{}", scattered(row)))).collect::<StringArray>());
        RecordBatch::try_from_iter([
            ("few.of them", numbers(&|row| row % 7)),
            ("many", numbers(&scattered)),
            ("floats", floats),
            ("texts", texts),
            (ROW, numbers(&|row| row)),
        ])
        .unwrap()
    }

    #[test]
    fn only_columns_that_repeat_have_a_dictionary_and_all_read_back() {
        let rows = rows();
        let properties = properties(&rows.schema(), Some(&rows), None);
        let has = |name: &str| properties.dictionary_enabled(&path(name));
        assert_eq!(["few.of them", "many", "floats", "texts", ROW].map(has), [true, false, false, false, false]);
        let mut file = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut file, rows.schema(), Some(properties)).unwrap();
        writer.write(&rows).unwrap();
        writer.close().unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file)).unwrap().with_batch_size(5_000);
        assert_eq!(reader.build().unwrap().next().unwrap().unwrap(), rows);
    }
}
