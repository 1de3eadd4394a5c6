//! The encoding of a key, version 1, and its hash.
//!
//! For each column in the order of the key: one byte, 0 for NULL and 1 for a value, then the value: integers, dates and
//! times as 8 bytes, decimals as 16 bytes of their digits, floats as the 8 bytes of the float64 (with one zero and one NaN),
//! booleans as one byte, texts and binary as 8 bytes of length and their bytes. All little-endian. The encoding begins with
//! its version. NULL equals NULL.

use arrow::array::{
    Array, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array,
    Int16Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, TimeUnit};
use xxhash_rust::xxh3::xxh3_128;

use super::{DedupError, KeyHash};

const VERSION: u8 = 1;

/// The key columns of a batch.
pub(super) struct KeyColumns<'a>(Vec<KeyColumn<'a>>);

enum KeyColumn<'a> {
    Int8(&'a Int8Array),
    Int16(&'a Int16Array),
    Int32(&'a Int32Array),
    Int64(&'a Int64Array),
    Float32(&'a Float32Array),
    Float64(&'a Float64Array),
    Decimal(&'a Decimal128Array),
    Boolean(&'a BooleanArray),
    Text(&'a StringArray),
    Binary(&'a BinaryArray),
    Date(&'a Date32Array),
    Timestamp(&'a TimestampMicrosecondArray),
}

impl<'a> KeyColumns<'a> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are treated alike")]
    pub(super) fn new(key: &[String], batch: &'a RecordBatch) -> Result<Self, DedupError> {
        let column = |name: &String| {
            let array = batch.column_by_name(name).ok_or_else(|| DedupError::NoColumn { name: name.clone() })?;
            Ok(match array.data_type() {
                DataType::Int8 => KeyColumn::Int8(array.as_primitive()),
                DataType::Int16 => KeyColumn::Int16(array.as_primitive()),
                DataType::Int32 => KeyColumn::Int32(array.as_primitive()),
                DataType::Int64 => KeyColumn::Int64(array.as_primitive()),
                DataType::Float32 => KeyColumn::Float32(array.as_primitive()),
                DataType::Float64 => KeyColumn::Float64(array.as_primitive()),
                DataType::Decimal128(..) => KeyColumn::Decimal(array.as_primitive()),
                DataType::Boolean => KeyColumn::Boolean(array.as_boolean()),
                DataType::Utf8 => KeyColumn::Text(array.as_string()),
                DataType::Binary => KeyColumn::Binary(array.as_binary()),
                DataType::Date32 => KeyColumn::Date(array.as_primitive()),
                DataType::Timestamp(TimeUnit::Microsecond, _) => KeyColumn::Timestamp(array.as_primitive()),
                other => return Err(DedupError::Unsupported { name: name.clone(), data_type: other.clone() }),
            })
        };
        key.iter().map(column).collect::<Result<_, _>>().map(Self)
    }

    /// The hash of the key of a row; `buffer` is only there to be used again.
    pub(super) fn hash(&self, row: usize, buffer: &mut Vec<u8>) -> KeyHash {
        buffer.clear();
        buffer.push(VERSION);
        for column in &self.0 {
            column.encode(row, buffer);
        }
        KeyHash::of(xxh3_128(buffer))
    }
}

impl KeyColumn<'_> {
    fn encode(&self, row: usize, buffer: &mut Vec<u8>) {
        match self {
            Self::Int8(array) => integer(array.is_valid(row).then(|| i64::from(array.value(row))), buffer),
            Self::Int16(array) => integer(array.is_valid(row).then(|| i64::from(array.value(row))), buffer),
            Self::Int32(array) => integer(array.is_valid(row).then(|| i64::from(array.value(row))), buffer),
            Self::Int64(array) => integer(array.is_valid(row).then(|| array.value(row)), buffer),
            Self::Date(array) => integer(array.is_valid(row).then(|| i64::from(array.value(row))), buffer),
            Self::Timestamp(array) => integer(array.is_valid(row).then(|| array.value(row)), buffer),
            Self::Float32(array) => float(array.is_valid(row).then(|| f64::from(array.value(row))), buffer),
            Self::Float64(array) => float(array.is_valid(row).then(|| array.value(row)), buffer),
            Self::Boolean(array) => value(array.is_valid(row).then(|| [u8::from(array.value(row))]), buffer),
            Self::Decimal(array) => value(array.is_valid(row).then(|| array.value(row).to_le_bytes()), buffer),
            Self::Text(array) => bytes(array.is_valid(row).then(|| array.value(row).as_bytes()), buffer),
            Self::Binary(array) => bytes(array.is_valid(row).then(|| array.value(row)), buffer),
        }
    }
}

fn value<const N: usize>(encoded: Option<[u8; N]>, buffer: &mut Vec<u8>) {
    match encoded {
        None => buffer.push(0),
        Some(encoded) => {
            buffer.push(1);
            buffer.extend_from_slice(&encoded);
        }
    }
}

fn integer(number: Option<i64>, buffer: &mut Vec<u8>) {
    value(number.map(i64::to_le_bytes), buffer);
}

fn float(number: Option<f64>, buffer: &mut Vec<u8>) {
    let one_form = |number: f64| if number.is_nan() { f64::NAN } else { number + 0.0 };
    value(number.map(|number| one_form(number).to_bits().to_le_bytes()), buffer);
}

fn bytes(text: Option<&[u8]>, buffer: &mut Vec<u8>) {
    value(text.map(|text| (text.len() as u64).to_le_bytes()), buffer);
    buffer.extend_from_slice(text.unwrap_or_default());
}
