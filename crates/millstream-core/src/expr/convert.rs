//! Conversion of values from one type to another: NULL where a value does not fit.
//!
//! Casts of engines accept different texts (`'1e2'` as a decimal, `'on'` as a boolean, `'2026-01'` as a date), so the form of
//! a text is gated by a pattern, booleans by a list, and numbers by their range, before a bare cast does the rest.

use std::ops::RangeInclusive;

use thiserror::Error;

use super::Expr;
use super::formats::{TimeForm, TimeForms};
use super::functions::Function;
use super::literal::{Literal, Value};
use super::pattern::Pattern;
use crate::config::clean::CompareOp;
use crate::types::{ColumnType, ValueType};

/// There is no way from one type to the other.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("values of type `{from}` cannot become `{to}`")]
pub struct NoConversion {
    from: ValueType,
    to: ColumnType,
}

/// Days since 1970 that the calendars of all engines have, about 259,000 years to both sides. A date outside of them is a bad value.
pub const CALENDAR_DAYS: RangeInclusive<i32> = -94_900_000..=94_900_000;
/// Whole numbers.
const INTEGER: &str = r"^[+-]?[0-9]+\z";
/// Numbers with or without a point; of more digits some engine would lose track.
const DECIMAL: &str = r"^[+-]?(?:0*[0-9]{1,38}(?:\.[0-9]{0,76})?|\.[0-9]{1,76})\z";
/// The same, maybe with an exponent.
const FLOAT: &str = r"^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?\z";
const TRUE: [&str; 5] = ["true", "t", "yes", "y", "1"];
const FALSE: [&str; 5] = ["false", "f", "no", "n", "0"];
/// 2^53: below it a float64 tells whole numbers apart.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The expression in type `to`, NULL where it does not fit.
///
/// # Errors
/// If engines have no agreed way, such as from a float or a time to text.
pub fn convert(expr: Expr, to: ColumnType, forms: &TimeForms) -> Result<Expr, NoConversion> {
    use ColumnType as C;
    let refuse = |from| NoConversion { from, to };
    let from = match expr.value_type() {
        ValueType::Null => return Ok(Expr::Literal(Literal::null(to))),
        ValueType::Scalar(from) => from,
        nested @ (ValueType::List(_) | ValueType::Struct(_) | ValueType::Map(..)) => return Err(refuse(nested)),
    };
    if from == to {
        return Ok(expr);
    }
    match (from, to) {
        (C::Text, _) => Ok(from_text(expr, to, forms)),
        (C::Binary | C::Boolean | C::Date, C::Text) if from != C::Date => Ok(expr.cast(to)),
        (C::Date, C::Text) => {
            let in_range = within(
                &expr,
                (Value::Days(-719_162), CompareOp::GreaterOrEqual),
                (Value::Days(2_932_896), CompareOp::LessOrEqual),
            );
            Ok(expr.cast(to).only_if(in_range))
        }
        (C::Date, C::Timestamp) | (C::Timestamp, C::Date) => {
            let is_known = in_calendar(&expr);
            Ok(expr.cast(to).only_if(is_known))
        }
        (C::Boolean, _) if to.is_integer() => Ok(expr.cast(to)),
        (_, C::Boolean) if from.is_integer() => Ok(to_boolean(&expr, from)),
        (_, C::Text) if from.decimal_digits().is_some() => Ok(expr.cast(to)),
        _ if from.is_integer() && to.is_number() => Ok(expr.cast(to)),
        _ if from.is_float() && to.is_number() => Ok(from_float(expr, from, to)),
        (C::Decimal { .. }, _) if to.is_integer() => {
            let whole = expr.clone().cast(to);
            let same = Expr::compare(CompareOp::Equal, whole.clone().cast(from), expr);
            Ok(whole.only_if(same))
        }
        (C::Decimal { .. }, C::Float32) => Ok(from_float(expr.cast(C::Float64), C::Float64, to)),
        (C::Decimal { .. }, C::Float64 | C::Decimal { .. }) => Ok(expr.cast(to)),
        _ => Err(refuse(ValueType::Scalar(from))),
    }
}

fn from_text(expr: Expr, to: ColumnType, forms: &TimeForms) -> Expr {
    match to {
        ColumnType::Int8 | ColumnType::Int16 | ColumnType::Int32 | ColumnType::Int64 => gated(expr, INTEGER, to),
        ColumnType::Decimal { .. } => gated(expr, DECIMAL, to),
        ColumnType::Float64 => {
            let value = expr.clone().cast(to);
            let finite = within(
                &value,
                (Value::Float(f64::MIN), CompareOp::GreaterOrEqual),
                (Value::Float(f64::MAX), CompareOp::LessOrEqual),
            );
            value.only_if(Expr::And(vec![matches(&expr, &Pattern::portable(FLOAT)), finite]))
        }
        ColumnType::Float32 => from_float(from_text(expr, ColumnType::Float64, forms), ColumnType::Float64, to),
        ColumnType::Boolean => {
            let lower = Expr::Call { function: Function::Lower, args: vec![expr] };
            let one_of = |words: [&str; 5]| Expr::InList {
                expr: Box::new(lower.clone()),
                list: words.iter().map(|word| Literal::text(word)).collect(),
            };
            Expr::Case {
                branches: vec![
                    (one_of(TRUE), Expr::Literal(Literal::boolean(true))),
                    (one_of(FALSE), Expr::Literal(Literal::boolean(false))),
                ],
                otherwise: None,
            }
        }
        ColumnType::Date => by_form(&expr, to, forms.dates()),
        ColumnType::Timestamp => by_form(&expr, to, forms.timestamps()),
        ColumnType::Text | ColumnType::Binary => expr.cast(to),
    }
}

fn by_form(expr: &Expr, to: ColumnType, forms: Vec<TimeForm>) -> Expr {
    let branch = |form: TimeForm| {
        let condition = matches(expr, &form.pattern);
        let text = match form.template {
            None => expr.clone(),
            Some(template) => Expr::Rewrite { expr: Box::new(expr.clone()), pattern: form.pattern, template },
        };
        (condition, text.cast(to))
    };
    Expr::Case { branches: forms.into_iter().map(branch).collect(), otherwise: None }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all others are treated alike")]
fn from_float(expr: Expr, from: ColumnType, to: ColumnType) -> Expr {
    use CompareOp::{Greater, GreaterOrEqual, Less};
    match to {
        ColumnType::Float64 => expr.cast(to),
        ColumnType::Float32 => {
            // Half a step past the largest float32, from where the nearest one is infinite.
            let largest = 3.402_823_567_797_336_6e38;
            let fits = within(&expr, (Value::Float(-largest), Greater), (Value::Float(largest), Less));
            let infinite = [f64::INFINITY, f64::NEG_INFINITY]
                .map(|value| Expr::compare(CompareOp::Equal, expr.clone(), Expr::Literal(Literal::float(value))));
            let number = within(
                &expr,
                (Value::Float(f64::NEG_INFINITY), GreaterOrEqual),
                (Value::Float(f64::INFINITY), CompareOp::LessOrEqual),
            );
            let mut passes = vec![fits, number.negated()];
            passes.extend(infinite);
            expr.cast(to).only_if(Expr::Or(passes))
        }
        ColumnType::Decimal { scale, .. } => {
            let double = if from == ColumnType::Float64 { expr } else { expr.cast(ColumnType::Float64) };
            let limit = EXACT / 10_f64.powi(i32::from(scale));
            let fits = within(&double, (Value::Float(-limit), Greater), (Value::Float(limit), Less));
            double.cast(to).only_if(fits)
        }
        _ => {
            let whole = expr.clone().cast(to);
            let mut passes = vec![Expr::compare(CompareOp::Equal, whole.clone().cast(from), expr.clone())];
            if to == ColumnType::Int64 || from == ColumnType::Float32 {
                let bits = match to {
                    ColumnType::Int8 => 7,
                    ColumnType::Int16 => 15,
                    ColumnType::Int32 => 31,
                    _ => 63,
                };
                let limit = 2_f64.powi(bits);
                passes.push(within(&expr, (Value::Float(-limit), GreaterOrEqual), (Value::Float(limit), Less)));
            }
            whole.only_if(Expr::And(passes))
        }
    }
}

fn to_boolean(expr: &Expr, from: ColumnType) -> Expr {
    let branch = |number: i64, value: bool| {
        let number = Expr::Literal(Literal::new(Value::Integer(number), from));
        (Expr::compare(CompareOp::Equal, expr.clone(), number), Expr::Literal(Literal::boolean(value)))
    };
    Expr::Case { branches: vec![branch(0, false), branch(1, true)], otherwise: None }
}

fn gated(expr: Expr, pattern: &'static str, to: ColumnType) -> Expr {
    let condition = matches(&expr, &Pattern::portable(pattern));
    expr.cast(to).only_if(condition)
}

fn matches(expr: &Expr, pattern: &Pattern) -> Expr {
    Expr::Matches { expr: Box::new(expr.clone()), pattern: pattern.clone() }
}

/// A time moved by microseconds; NULL where that leaves the range of times.
pub(crate) fn shift(time: Expr, micros: i64) -> Expr {
    const DAY_MICROS: i64 = 86_400_000_000;
    let room = micros.abs().max(DAY_MICROS);
    let fits = within(
        &time,
        (Value::Micros(i64::MIN + room), CompareOp::GreaterOrEqual),
        (Value::Micros(i64::MAX - room), CompareOp::LessOrEqual),
    );
    Expr::Shift { expr: Box::new(time), micros }.only_if(fits)
}

/// Whether a date or timestamp is within [`CALENDAR_DAYS`].
pub(crate) fn in_calendar(expr: &Expr) -> Expr {
    const DAY_MICROS: i64 = 86_400_000_000;
    let end = |days: i32| match expr.value_type().scalar() {
        Some(ColumnType::Date) => Value::Days(days),
        _ => Value::Micros(i64::from(days) * DAY_MICROS),
    };
    within(
        expr,
        (end(*CALENDAR_DAYS.start()), CompareOp::GreaterOrEqual),
        (end(*CALENDAR_DAYS.end()), CompareOp::LessOrEqual),
    )
}

/// Whether the expression lies between two values of its own type.
pub(crate) fn within(expr: &Expr, low: (Value, CompareOp), high: (Value, CompareOp)) -> Expr {
    let of = expr.value_type().scalar().unwrap_or(ColumnType::Float64);
    let side =
        |(value, op): (Value, CompareOp)| Expr::compare(op, expr.clone(), Expr::Literal(Literal::new(value, of)));
    Expr::And(vec![side(low), side(high)])
}
