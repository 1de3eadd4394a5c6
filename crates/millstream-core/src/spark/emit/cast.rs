//! Bare casts, each with the result that the tree gives it.

use super::type_name;
use crate::types::ColumnType;

/// Digits of a decimal whose digits a float64 holds exactly.
const EXACT_DIGITS: u8 = 15;
/// Powers of ten that a float64 holds exactly.
const EXACT_POWER: u8 = 22;

/// `sql`, of type `from`, in type `to`.
pub(super) fn cast(sql: &str, from: Option<ColumnType>, to: ColumnType) -> String {
    use ColumnType as C;
    let name = type_name(to);
    match (from, to) {
        (Some(from), _) if from == to => sql.to_owned(),
        (Some(C::Float32 | C::Float64), C::Decimal { scale, .. }) => float_to_decimal(sql, scale, &name),
        (Some(C::Decimal { precision, scale }), C::Float64) => decimal_to_float(sql, precision, scale),
        (Some(C::Decimal { precision, scale }), C::Float32) => {
            format!("CAST({} AS FLOAT)", decimal_to_float(sql, precision, scale))
        }
        // Spark takes integer to FLOAT to DOUBLE for integer to DOUBLE, and does not round in between. What is no widening is left alone.
        (Some(C::Int32), C::Float32) => format!("CAST(CAST({sql} AS DOUBLE) AS FLOAT)"),
        (Some(C::Int64), C::Float32) => format!("CAST(CAST({sql} AS STRING) AS FLOAT)"),
        // Spark takes bytes for text as they are.
        (Some(C::Binary), C::Text) => format!("try_validate_utf8(CAST({sql} AS STRING))"),
        (Some(C::Text), C::Binary) | (Some(C::Timestamp), C::Date) | (_, C::Text) => format!("CAST({sql} AS {name})"),
        _ => format!("try_cast({sql} AS {name})"),
    }
}

/// A float times 10^scale, rounded half away from zero, as digits. (Spark's own cast rounds the shortest text of the float.)
fn float_to_decimal(sql: &str, scale: u8, name: &str) -> String {
    let scaled = if scale == 0 { format!("CAST({sql} AS DOUBLE)") } else { format!("({sql} * {})", power(scale)) };
    let digits = format!("try_cast(round({scaled}, 0) AS BIGINT)");
    match scale {
        0 => format!("try_cast({digits} AS {name})"),
        // 19 digits, the digits of the factor and one more are at most 38.
        1..=18 => {
            let factor = format!("CAST('1e-{scale}' AS DECIMAL({scale},{scale}))");
            format!("try_cast(CAST({digits} AS DECIMAL(19,0)) * {factor} AS {name})")
        }
        _ => format!("try_cast(CAST({digits} AS STRING) || 'e-{scale}' AS {name})"),
    }
}

/// The digits of a decimal as a float, divided by 10^scale. (Spark's own cast takes the nearest float, which is the same only
/// where both are exact.)
fn decimal_to_float(sql: &str, precision: u8, scale: u8) -> String {
    if scale == 0 || (precision <= EXACT_DIGITS && scale <= EXACT_POWER) {
        return format!("CAST({sql} AS DOUBLE)");
    }
    format!("(CAST(replace(CAST({sql} AS STRING), '.', '') AS DOUBLE) / {})", power(scale))
}

/// 10^scale as float64, calculated as Arrow does.
fn power(scale: u8) -> String {
    format!("{:e}D", 10_f64.powi(i32::from(scale)))
}
