//! Literals, exactly.

use std::fmt::Write as _;

use super::type_name;
use crate::expr::literal::{Literal, Value};
use crate::original::decimal_text;
use crate::types::ColumnType;

/// A literal as Spark SQL, of exactly its type.
pub(in crate::spark) fn literal(literal: &Literal) -> String {
    let name = type_name(literal.column_type);
    match (&literal.value, literal.column_type) {
        (Value::Null, _) => format!("CAST(NULL AS {name})"),
        (Value::Boolean(value), _) => value.to_string(),
        (Value::Text(value), ColumnType::Binary) => format!("X'{}'", hexadecimal(value)),
        (Value::Text(value), _) => text(value),
        (Value::Days(days), _) => format!("date_from_unix_date({days})"),
        (Value::Micros(micros), _) => format!("timestamp_micros({micros}L)"),
        (Value::Decimal(digits), of) => {
            let (_, scale) = of.decimal_digits().unwrap_or((38, 0));
            format!("CAST('{}' AS {name})", decimal_text(*digits, scale))
        }
        (Value::Float(value), ColumnType::Float32) => format!("CAST({} AS FLOAT)", float(*value)),
        (Value::Float(value), _) => float(*value),
        (Value::Integer(value), ColumnType::Int8) => format!("{value}Y"),
        (Value::Integer(value), ColumnType::Int16) => format!("{value}S"),
        (Value::Integer(value), ColumnType::Int32) => value.to_string(),
        (Value::Integer(value), _) => format!("{value}L"),
    }
}

/// A text. What could be read as something else (a quote, a backslash before the closing one, a control character, `${`) is given
/// by its bytes.
pub(in crate::spark) fn text(text: &str) -> String {
    if text.contains('\'') || text.ends_with('\\') || text.contains("${") || text.contains(char::is_control) {
        format!("CAST(X'{}' AS STRING)", hexadecimal(text))
    } else {
        format!("'{text}'")
    }
}

fn hexadecimal(text: &str) -> String {
    text.bytes().fold(String::new(), |mut digits, byte| {
        // Writing to a string does not fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

fn float(value: f64) -> String {
    if value.is_nan() {
        "CAST('NaN' AS DOUBLE)".to_owned()
    } else if value.is_infinite() {
        format!("CAST('{}Infinity' AS DOUBLE)", if value < 0.0 { "-" } else { "" })
    } else {
        format!("{value:e}D")
    }
}
