//! Times moved by an interval.

use sqlparser::ast::{self, BinaryOperator};

use super::convert::shift;
use super::literal::Literal;
use super::{Expr, SqlRefusal};
use crate::types::{ColumnType, ValueType};

/// The longest interval that a time is moved by: 36,500 days.
const MOST_MICROS: i64 = 36_500 * 86_400_000_000;

/// A time and `INTERVAL '12' HOUR`, both ways; NULL where that leaves the range of times.
#[expect(clippy::wildcard_enum_match_arm, reason = "all others are treated alike")]
pub(super) fn shifted(time: Expr, op: &BinaryOperator, interval: &ast::Interval) -> Result<Expr, SqlRefusal> {
    use ast::DateTimeField as Field;
    let refuse = |way_out| SqlRefusal::Unsupported { what: interval.to_string(), way_out };
    let form = "an interval is written `INTERVAL '12' HOUR`, with DAY, HOUR, MINUTE or SECOND, up to 36500 days";
    let unit = match &interval.leading_field {
        Some(Field::Day | Field::Days) => 86_400_000_000,
        Some(Field::Hour | Field::Hours) => 3_600_000_000,
        Some(Field::Minute | Field::Minutes) => 60_000_000,
        Some(Field::Second | Field::Seconds) => 1_000_000,
        _ => return Err(refuse(form)),
    };
    let number = match interval.value.as_ref() {
        ast::Expr::Value(value) => match &value.value {
            ast::Value::SingleQuotedString(text) | ast::Value::Number(text, _) => text.parse::<u32>().ok(),
            _ => None,
        },
        _ => None,
    };
    let micros = number.and_then(|number| i64::from(number).checked_mul(unit)).filter(|micros| *micros <= MOST_MICROS);
    let micros = micros.ok_or_else(|| refuse(form))?;
    let time = match time.value_type() {
        // Without its columns an expression is read for its form.
        ValueType::Null => Expr::Literal(Literal::null(ColumnType::Timestamp)),
        ValueType::Scalar(ColumnType::Timestamp) => time,
        _ => return Err(refuse("an interval goes with a timestamp")),
    };
    match op {
        BinaryOperator::Plus => Ok(shift(time, micros)),
        BinaryOperator::Minus => Ok(shift(time, -micros)),
        _ => Err(refuse("an interval is added to a time, or taken from it")),
    }
}
