//! Rows as JSON, the same in every answer and on the command line.
//!
//! Integers and finite floats are numbers; decimals, infinities and NaN are text (a number would change them); timestamps
//! are RFC 3339 in UTC with as many digits as they need, dates ISO 8601, binary is hexadecimal; lists, structs and maps are
//! JSON of their own.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, Schema, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{DateTime, Days, NaiveDate, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use super::plain::{plain_batch, plain_schema};

/// Head of a column in an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ColumnHead {
    /// Name.
    pub(crate) name: String,
    /// Arrow type as text.
    pub(crate) data_type: String,
}

/// Heads of the columns of a query's schema, with the types that the answer has.
pub(crate) fn heads(schema: &Schema) -> Vec<ColumnHead> {
    let plain = plain_schema(schema);
    let head = |field: &arrow::datatypes::FieldRef| ColumnHead {
        name: field.name().clone(),
        data_type: field.data_type().to_string(),
    };
    plain.fields().iter().map(head).collect()
}

/// All rows of a batch.
///
/// # Errors
/// A column has a type that cannot be cast to a plain one.
pub(crate) fn rows(batch: &RecordBatch) -> Result<Vec<Vec<Value>>, ArrowError> {
    let plain = plain_batch(batch, &plain_schema(&batch.schema()))?;
    Ok(plain_rows(&plain))
}

/// All rows of a batch of plain types.
pub(super) fn plain_rows(batch: &RecordBatch) -> Vec<Vec<Value>> {
    (0..batch.num_rows()).map(|row| batch.columns().iter().map(|column| cell(column, row)).collect()).collect()
}

/// The values of a column of a plain type as texts; what is no text is as its JSON.
pub(super) fn text_cells(array: &ArrayRef) -> Vec<Option<String>> {
    let text = |row| match cell(array, row) {
        Value::Null => None,
        Value::String(text) => Some(text),
        value @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => Some(value.to_string()),
    };
    (0..array.len()).map(text).collect()
}

/// One value of a column of a plain type.
fn cell(array: &ArrayRef, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => Value::Bool(array.as_boolean().value(row)),
        DataType::Int8 => array.as_primitive::<Int8Type>().value(row).into(),
        DataType::Int16 => array.as_primitive::<Int16Type>().value(row).into(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).into(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).into(),
        DataType::UInt8 => array.as_primitive::<UInt8Type>().value(row).into(),
        DataType::UInt16 => array.as_primitive::<UInt16Type>().value(row).into(),
        DataType::UInt32 => array.as_primitive::<UInt32Type>().value(row).into(),
        DataType::UInt64 => array.as_primitive::<UInt64Type>().value(row).into(),
        DataType::Float16 => float(f64::from(array.as_primitive::<Float16Type>().value(row).to_f32())),
        DataType::Float32 => float32(array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(..) => array.as_primitive::<Decimal128Type>().value_as_string(row).into(),
        DataType::Decimal256(..) => array.as_primitive::<Decimal256Type>().value_as_string(row).into(),
        DataType::Utf8 => array.as_string::<i32>().value(row).into(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).into(),
        DataType::Binary => hexadecimal(array.as_binary::<i32>().value(row)),
        DataType::LargeBinary => hexadecimal(array.as_binary::<i64>().value(row)),
        DataType::FixedSizeBinary(_) => hexadecimal(array.as_fixed_size_binary().value(row)),
        DataType::Date32 => date(i64::from(array.as_primitive::<Date32Type>().value(row))),
        DataType::Date64 => date(array.as_primitive::<Date64Type>().value(row).div_euclid(86_400_000)),
        DataType::Timestamp(unit, _) => timestamp(array, *unit, row),
        DataType::List(_) => list(&array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => list(&array.as_list::<i64>().value(row)),
        DataType::FixedSizeList(..) => list(&array.as_fixed_size_list().value(row)),
        DataType::Struct(_) => structure(array, row),
        DataType::Map(..) => map(array, row),
        DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Duration(_)
        | DataType::Interval(_)
        | DataType::BinaryView
        | DataType::Utf8View
        | DataType::ListView(_)
        | DataType::LargeListView(_)
        | DataType::Union(..)
        | DataType::Dictionary(..)
        | DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::RunEndEncoded(..) => text(array, row),
    }
}

fn float(value: f64) -> Value {
    Number::from_f64(value).map_or_else(|| float_name(value), Value::Number)
}

/// By its shortest text: 0.1 stays 0.1, not 0.10000000149011612.
fn float32(value: f32) -> Value {
    let shortest = value.to_string().parse().unwrap_or_else(|_| f64::from(value));
    float(shortest)
}

fn float_name(value: f64) -> Value {
    let name = if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    };
    name.into()
}

fn hexadecimal(bytes: &[u8]) -> Value {
    use std::fmt::Write;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.into()
}

fn date(days: i64) -> Value {
    let epoch = NaiveDate::default();
    let date = if days >= 0 {
        epoch.checked_add_days(Days::new(days.unsigned_abs()))
    } else {
        epoch.checked_sub_days(Days::new(days.unsigned_abs()))
    };
    date.map_or_else(|| format!("{days} days since 1970-01-01").into(), |date| date.to_string().into())
}

fn timestamp(array: &ArrayRef, unit: TimeUnit, row: usize) -> Value {
    let (value, time) = match unit {
        TimeUnit::Second => {
            let value = array.as_primitive::<TimestampSecondType>().value(row);
            (value, DateTime::<Utc>::from_timestamp_secs(value))
        }
        TimeUnit::Millisecond => {
            let value = array.as_primitive::<TimestampMillisecondType>().value(row);
            (value, DateTime::<Utc>::from_timestamp_millis(value))
        }
        TimeUnit::Microsecond => {
            let value = array.as_primitive::<TimestampMicrosecondType>().value(row);
            (value, DateTime::<Utc>::from_timestamp_micros(value))
        }
        TimeUnit::Nanosecond => {
            let value = array.as_primitive::<TimestampNanosecondType>().value(row);
            (value, Some(DateTime::<Utc>::from_timestamp_nanos(value)))
        }
    };
    match time {
        Some(time) => time.to_rfc3339_opts(SecondsFormat::AutoSi, true).into(),
        // Past the years that RFC 3339 has.
        None => format!("{value} {unit:?} since 1970-01-01").into(),
    }
}

fn list(items: &ArrayRef) -> Value {
    (0..items.len()).map(|item| cell(items, item)).collect()
}

fn structure(array: &ArrayRef, row: usize) -> Value {
    let fields = array.as_struct();
    let names = fields.column_names();
    let values = fields.columns();
    Value::Object(names.into_iter().zip(values).map(|(name, value)| (name.to_owned(), cell(value, row))).collect())
}

/// An object: keys that are not text are written as their JSON.
fn map(array: &ArrayRef, row: usize) -> Value {
    let entries = array.as_map().value(row);
    let mut object = Map::new();
    for entry in 0..entries.len() {
        let key = match cell(entries.column(0), entry) {
            Value::String(key) => key,
            key @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                key.to_string()
            }
        };
        object.insert(key, cell(entries.column(1), entry));
    }
    Value::Object(object)
}

fn text(array: &ArrayRef, row: usize) -> Value {
    let options = FormatOptions::default();
    let formatted = ArrayFormatter::try_new(array, &options).and_then(|it| it.value(row).try_to_string());
    // Only a type that Arrow itself cannot print ends here: its name is more than nothing.
    formatted.map_or_else(|_| array.data_type().to_string().into(), Value::String)
}

#[cfg(test)]
mod tests;
