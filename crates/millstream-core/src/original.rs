//! Values as text: the `original` of a reject (a JSON object) and the values in its reasons.
//!
//! Deterministic, and the same behind every engine. In JSON:
//! - integers are numbers, all of their digits; floats are the shortest numbers that read back as the same float, NaN and the
//!   infinities are the strings `"NaN"`, `"Infinity"`, `"-Infinity"`;
//! - decimals are strings with all digits of their scale (`"12.50"`), for readers of JSON round numbers;
//! - dates are `"2019-02-03"`, times RFC 3339 in UTC (`"2019-02-03T04:05:06Z"`, with six digits of a fraction if it is not
//!   zero), times without a zone the same without the `Z`;
//! - binary is a string of hexadecimal digits;
//! - lists are arrays, structs are objects, maps are arrays of `{"key":…,"value":…}`; NULL is `null`.

use std::fmt::Write;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use chrono::{DateTime, NaiveDate};

const MICROS_PER_SECOND: i64 = 1_000_000;

/// The row as a JSON object, its columns in order.
#[must_use]
pub fn row_json(batch: &RecordBatch, row: usize) -> String {
    let mut json = String::with_capacity(64 * batch.num_columns());
    json.push('{');
    for (index, (field, column)) in batch.schema_ref().fields().iter().zip(batch.columns()).enumerate() {
        if index > 0 {
            json.push(',');
        }
        push_string(&mut json, field.name());
        json.push(':');
        push_value(&mut json, column, row);
    }
    json.push('}');
    json
}

/// The value as people read it in a reason: a text in backticks, cut at 80 characters; all else as in JSON, without quotes.
#[must_use]
pub fn readable(array: &ArrayRef, row: usize) -> String {
    if array.is_null(row) {
        return "null".to_owned();
    }
    let mut json = String::new();
    push_value(&mut json, array, row);
    let quoted = serde_json::from_str::<String>(&json).ok();
    let text = quoted.as_ref().unwrap_or(&json);
    let cut: String = text.chars().take(80).collect();
    let dots = if cut.len() < text.len() { "…" } else { "" };
    match array.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => format!("`{cut}{dots}`"),
        _ => format!("{cut}{dots}"),
    }
}

/// The shortest text that reads back as the same float.
#[must_use]
pub fn float_text(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
    } else if value.fract() == 0.0 && value.abs() < 1e15 && (value != 0.0 || value.is_sign_positive()) {
        format!("{value:.0}")
    } else {
        format!("{value:?}")
    }
}

/// The digits with the point in its place.
#[must_use]
pub fn decimal_text(digits: i128, scale: u8) -> String {
    let sign = if digits < 0 { "-" } else { "" };
    let scale = usize::from(scale);
    let text = format!("{:0>width$}", digits.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = text.split_at(text.len() - scale);
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// `2019-02-03`.
#[must_use]
pub fn date_text(days: i32) -> String {
    NaiveDate::default()
        .checked_add_signed(chrono::TimeDelta::days(i64::from(days)))
        .map_or_else(|| format!("day {days}"), |date| date.format("%Y-%m-%d").to_string())
}

/// `2019-02-03T04:05:06Z`.
#[must_use]
pub fn timestamp_text(micros: i64) -> String {
    let Some(time) = DateTime::from_timestamp_micros(micros) else { return format!("microsecond {micros}") };
    let format = if micros % MICROS_PER_SECOND == 0 { "%Y-%m-%dT%H:%M:%SZ" } else { "%Y-%m-%dT%H:%M:%S%.6fZ" };
    time.format(format).to_string()
}

fn push_string(json: &mut String, text: &str) {
    json.push('"');
    for char in text.chars() {
        match char {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            control if u32::from(control) < 0x20 => push_display(json, format_args!("\\u{:04x}", u32::from(control))),
            other => json.push(other),
        }
    }
    json.push('"');
}

fn push_display(json: &mut String, value: impl std::fmt::Display) {
    // Writing to a String does not fail.
    let _ = write!(json, "{value}");
}

fn push_float(json: &mut String, value: f64, shortest: String) {
    if value.is_finite() { json.push_str(&shortest) } else { push_string(json, &shortest) }
}

fn push_time(json: &mut String, micros: Option<i64>, zoned: bool) {
    let text = micros.map_or_else(|| "out of range".to_owned(), timestamp_text);
    push_string(json, if zoned { &text } else { text.trim_end_matches('Z') });
}

#[expect(clippy::too_many_lines, reason = "one arm a type")]
fn push_value(json: &mut String, array: &dyn Array, row: usize) {
    if array.is_null(row) {
        json.push_str("null");
        return;
    }
    match array.data_type() {
        DataType::Boolean => push_display(json, array.as_boolean().value(row)),
        DataType::Int8 => push_display(json, array.as_primitive::<Int8Type>().value(row)),
        DataType::Int16 => push_display(json, array.as_primitive::<Int16Type>().value(row)),
        DataType::Int32 => push_display(json, array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => push_display(json, array.as_primitive::<Int64Type>().value(row)),
        DataType::UInt8 => push_display(json, array.as_primitive::<UInt8Type>().value(row)),
        DataType::UInt16 => push_display(json, array.as_primitive::<UInt16Type>().value(row)),
        DataType::UInt32 => push_display(json, array.as_primitive::<UInt32Type>().value(row)),
        DataType::UInt64 => {
            let text = array.as_primitive::<UInt64Type>().value(row).to_string();
            push_string(json, &text);
        }
        DataType::Float32 => {
            let value = array.as_primitive::<Float32Type>().value(row);
            let shortest = if value.is_finite() && value.fract() != 0.0 {
                format!("{value:?}")
            } else {
                float_text(f64::from(value))
            };
            push_float(json, f64::from(value), shortest);
        }
        DataType::Float64 => {
            let value = array.as_primitive::<Float64Type>().value(row);
            push_float(json, value, float_text(value));
        }
        DataType::Decimal128(_, scale) => {
            let digits = array.as_primitive::<Decimal128Type>().value(row);
            push_string(json, &decimal_text(digits, scale.unsigned_abs()));
        }
        DataType::Utf8 => push_string(json, array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => push_string(json, array.as_string::<i64>().value(row)),
        DataType::Utf8View => push_string(json, array.as_string_view().value(row)),
        DataType::Binary => push_hex(json, array.as_binary::<i32>().value(row)),
        DataType::LargeBinary => push_hex(json, array.as_binary::<i64>().value(row)),
        DataType::BinaryView => push_hex(json, array.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) => push_hex(json, array.as_fixed_size_binary().value(row)),
        DataType::Date32 => push_string(json, &date_text(array.as_primitive::<Date32Type>().value(row))),
        DataType::Date64 => {
            let days = array.as_primitive::<Date64Type>().value(row).div_euclid(86_400_000);
            push_string(json, &i32::try_from(days).map_or_else(|_| format!("day {days}"), date_text));
        }
        DataType::Timestamp(unit, zone) => {
            let micros = match unit {
                TimeUnit::Second => {
                    array.as_primitive::<TimestampSecondType>().value(row).checked_mul(MICROS_PER_SECOND)
                }
                TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().value(row).checked_mul(1000),
                TimeUnit::Microsecond => Some(array.as_primitive::<TimestampMicrosecondType>().value(row)),
                TimeUnit::Nanosecond => {
                    Some(array.as_primitive::<TimestampNanosecondType>().value(row).div_euclid(1000))
                }
            };
            push_time(json, micros, zone.is_some());
        }
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let keys = dictionary.normalized_keys();
            push_value(json, dictionary.values(), keys[row]);
        }
        DataType::List(_) => push_list(json, &array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => push_list(json, &array.as_list::<i64>().value(row)),
        DataType::FixedSizeList(..) => push_list(json, &array.as_fixed_size_list().value(row)),
        DataType::Map(..) => {
            let entries: ArrayRef = std::sync::Arc::new(array.as_map().value(row));
            push_list(json, &entries);
        }
        DataType::Struct(fields) => {
            json.push('{');
            for (index, (field, column)) in fields.iter().zip(array.as_struct().columns()).enumerate() {
                if index > 0 {
                    json.push(',');
                }
                push_string(json, field.name());
                json.push(':');
                push_value(json, column, row);
            }
            json.push('}');
        }
        // Rare types: as Arrow shows them.
        _ => {
            let text = arrow::util::display::array_value_to_string(array, row).unwrap_or_default();
            push_string(json, &text);
        }
    }
}

fn push_list(json: &mut String, items: &ArrayRef) {
    json.push('[');
    for row in 0..items.len() {
        if row > 0 {
            json.push(',');
        }
        push_value(json, items, row);
    }
    json.push(']');
}

fn push_hex(json: &mut String, bytes: &[u8]) {
    json.push('"');
    for byte in bytes {
        push_display(json, format_args!("{byte:02x}"));
    }
    json.push('"');
}
