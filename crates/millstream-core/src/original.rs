//! Values as text: the `original` of a reject (a JSON object) and the values in its reasons.
//!
//! Deterministic, and the same behind every engine. In JSON:
//! - integers are numbers, all of their digits (uint64 is a decimal); floats are the shortest numbers that read back as the same float, NaN and the
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
const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

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
#[expect(clippy::wildcard_enum_match_arm, reason = "all others are treated alike")]
pub fn readable(array: &ArrayRef, row: usize) -> String {
    if array.is_null(row) {
        return "null".to_owned();
    }
    let text = match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row),
        DataType::Utf8View => array.as_string_view().value(row),
        _ => {
            let mut json = String::new();
            push_value(&mut json, array, row);
            return shortened(json.trim_matches('"'));
        }
    };
    format!("`{}`", shortened(text))
}

/// Cut at 80 characters.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
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

/// `2019-02-03`. Years outside of 0 to 9999 have a sign.
#[must_use]
pub fn date_text(days: i32) -> String {
    let (year, month, day) = civil(i64::from(days));
    let sign = if (0..=9999).contains(&year) {
        ""
    } else if year < 0 {
        "-"
    } else {
        "+"
    };
    format!("{sign}{:04}-{month:02}-{day:02}", year.abs())
}

/// `2019-02-03T04:05:06Z`.
#[must_use]
pub fn timestamp_text(micros: i64) -> String {
    let days = micros.div_euclid(MICROS_PER_DAY);
    let of_day = micros.rem_euclid(MICROS_PER_DAY);
    let (seconds, fraction) = (of_day / MICROS_PER_SECOND, of_day % MICROS_PER_SECOND);
    let date = i32::try_from(days).map_or_else(|_| format!("day {days}"), date_text);
    let time = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if fraction == 0 { format!("{date}T{time}Z") } else { format!("{date}T{time}.{fraction:06}Z") }
}

/// Year, month and day of the days since 1970-01-01 in the Gregorian calendar (Howard Hinnant, "chrono-Compatible Low-Level
/// Date Algorithms": eras of 400 years that begin on 1 March).
pub(crate) fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
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

fn push_float(json: &mut String, value: f64, shortest: &str) {
    if value.is_finite() { json.push_str(shortest) } else { push_string(json, shortest) }
}

fn push_time(json: &mut String, micros: Option<i64>, zoned: bool) {
    let text = micros.map_or_else(|| "out of range".to_owned(), timestamp_text);
    push_string(json, if zoned { &text } else { text.trim_end_matches('Z') });
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all others are treated alike")]
fn push_value(json: &mut String, array: &dyn Array, row: usize) {
    if array.is_null(row) || *array.data_type() == DataType::Null {
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
            push_float(json, f64::from(value), &shortest);
        }
        DataType::Float64 => {
            let value = array.as_primitive::<Float64Type>().value(row);
            push_float(json, value, &float_text(value));
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        BinaryArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array, Float64Array, Int64Array, ListArray,
        NullArray, StringArray, StructArray, TimestampNanosecondArray, UInt64Array,
    };
    use arrow::datatypes::{Field, Int8Type};
    use proptest::prelude::*;

    use super::*;

    fn json(array: impl Array + 'static) -> String {
        let array: ArrayRef = Arc::new(array);
        let batch = RecordBatch::try_from_iter_with_nullable(vec![("x", array, true)]).unwrap();
        (0..batch.num_rows()).map(|row| row_json(&batch, row)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_type_has_its_own_text() {
        let nested = StructArray::from(vec![(
            Arc::new(Field::new("b", DataType::Utf8, true)),
            Arc::new(StringArray::from(vec![Some("c"), None])) as ArrayRef,
        )]);
        let lists = ListArray::from_iter_primitive::<Int8Type, _, _>(vec![Some(vec![Some(1), None]), None]);
        let cases = [
            (json(Int64Array::from(vec![Some(i64::MIN), None])), r#"{"x":-9223372036854775808} {"x":null}"#),
            (json(UInt64Array::from(vec![u64::MAX])), r#"{"x":"18446744073709551615"}"#),
            (
                json(Float64Array::from(vec![1.0, 0.1, -0.0, 1e20, 1e-7])),
                r#"{"x":1} {"x":0.1} {"x":-0.0} {"x":1e20} {"x":1e-7}"#,
            ),
            (json(Float64Array::from(vec![f64::NAN, f64::NEG_INFINITY])), r#"{"x":"NaN"} {"x":"-Infinity"}"#),
            (json(Float32Array::from(vec![0.1])), r#"{"x":0.1}"#),
            (
                json(Decimal128Array::from(vec![-5, 1250]).with_precision_and_scale(10, 2).unwrap()),
                r#"{"x":"-0.05"} {"x":"12.50"}"#,
            ),
            (json(StringArray::from(vec!["a\"\\\n\u{1}é"])), "{\"x\":\"a\\\"\\\\\\n\\u0001é\"}"),
            (json(BinaryArray::from(vec![b"\x00\xff".as_slice()])), r#"{"x":"00ff"}"#),
            (json(Date32Array::from(vec![-1, 18_000])), r#"{"x":"1969-12-31"} {"x":"2019-04-14"}"#),
            (
                json(TimestampNanosecondArray::from(vec![1_500_000_999]).with_timezone("UTC")),
                r#"{"x":"1970-01-01T00:00:01.500000Z"}"#,
            ),
            (json(TimestampNanosecondArray::from(vec![0])), r#"{"x":"1970-01-01T00:00:00"}"#),
            (json(["a", "b"].into_iter().collect::<DictionaryArray<Int8Type>>()), r#"{"x":"a"} {"x":"b"}"#),
            (json(nested), r#"{"x":{"b":"c"}} {"x":{"b":null}}"#),
            (json(lists), r#"{"x":[1,null]} {"x":null}"#),
            (json(NullArray::new(1)), r#"{"x":null}"#),
        ];
        for (found, expected) in cases {
            assert_eq!(found, expected);
            for object in found.split(' ') {
                assert!(serde_json::from_str::<serde_json::Value>(object).is_ok(), "{object}");
            }
        }
    }

    #[test]
    fn long_texts_are_cut_where_people_read_them() {
        let long: ArrayRef = Arc::new(StringArray::from(vec!["é".repeat(100)]));
        assert_eq!(readable(&long, 0), format!("`{}…`", "é".repeat(80)));
    }

    proptest! {
        #[test]
        fn dates_and_times_are_those_of_the_calendar(micros in -62_167_219_200_000_000_i64..253_402_300_800_000_000) {
            let time = chrono::DateTime::from_timestamp_micros(micros).unwrap();
            let format = if micros % MICROS_PER_SECOND == 0 { "%Y-%m-%dT%H:%M:%SZ" } else { "%Y-%m-%dT%H:%M:%S%.6fZ" };
            prop_assert_eq!(timestamp_text(micros), time.format(format).to_string());
        }

        #[test]
        fn floats_read_back_as_they_were(value in any::<f64>()) {
            let read: f64 = float_text(value).parse().unwrap();
            prop_assert!(read.to_bits() == value.to_bits() || (read.is_nan() && value.is_nan()));
        }
    }
}
