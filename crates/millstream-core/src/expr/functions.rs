//! The closed list of functions: those that every engine computes alike.

use super::build::{self, scalar};
use super::convert::in_calendar;
use super::literal::{Literal, Value};
use super::pattern::Pattern;
use super::{ArithmeticOp, Expr, SqlRefusal};
use crate::config::clean::CompareOp;
use crate::types::{ColumnType, ValueType};

/// What may be written, for messages.
pub const NAMES: &str = "abs, char_length, coalesce, concat_ws, date_trunc, day, extract, hour, length, lower, lpad, ltrim, minute, month, nullif, regexp_like, replace, rpad, rtrim, split_part, trim, upper, year";

/// A function of the tree. Text functions give NULL if an operand is NULL, except for [`Function::ConcatWs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// Lower case of a text.
    Lower,
    /// Upper case of a text.
    Upper,
    /// The text without spaces (U+0020) at both ends.
    Trim,
    /// The text without spaces at its start.
    TrimStart,
    /// The text without spaces at its end.
    TrimEnd,
    /// Characters of a text, int32.
    Length,
    /// Text, length, filler: filled at the start, or cut, to that many characters.
    PadStart,
    /// Text, length, filler: filled at the end, or cut.
    PadEnd,
    /// Text, delimiter, n: the n-th part, from 1; empty past the end.
    SplitPart,
    /// Text, what, by what: all occurrences replaced.
    Replace,
    /// Two texts joined.
    Concat,
    /// Delimiter and texts: those that are not NULL joined.
    ConcatWs,
    /// The first operand that is not NULL.
    Coalesce,
    /// Year of a date or timestamp in UTC, int32.
    Year,
    /// Month, 1 to 12, int32.
    Month,
    /// Day of the month, int32.
    Day,
    /// Hour of a timestamp in UTC, int32.
    Hour,
    /// Minute of a timestamp in UTC, int32.
    Minute,
    /// A timestamp cut to the minute.
    TruncateMinute,
    /// A timestamp cut to the hour.
    TruncateHour,
    /// A timestamp cut to the day.
    TruncateDay,
    /// A timestamp cut to the month.
    TruncateMonth,
    /// A timestamp cut to the year.
    TruncateYear,
}

impl Function {
    /// Type of the result.
    #[must_use]
    pub fn value_type(self, args: &[Expr]) -> ValueType {
        ValueType::Scalar(match self {
            Self::Lower
            | Self::Upper
            | Self::Trim
            | Self::TrimStart
            | Self::TrimEnd
            | Self::PadStart
            | Self::PadEnd
            | Self::SplitPart
            | Self::Replace
            | Self::Concat
            | Self::ConcatWs => ColumnType::Text,
            Self::Length | Self::Year | Self::Month | Self::Day | Self::Hour | Self::Minute => ColumnType::Int32,
            Self::TruncateMinute
            | Self::TruncateHour
            | Self::TruncateDay
            | Self::TruncateMonth
            | Self::TruncateYear => ColumnType::Timestamp,
            Self::Coalesce => {
                return args
                    .iter()
                    .map(Expr::value_type)
                    .find(|value_type| *value_type != ValueType::Null)
                    .unwrap_or(ValueType::Null);
            }
        })
    }
}

/// A call as SQL writes it.
///
/// # Errors
/// If the function is not in the list, or its operands are not what it takes.
pub fn call(name: &str, args: Vec<Expr>) -> Result<Expr, SqlRefusal> {
    let one_text = match name {
        "lower" => Some(Function::Lower),
        "upper" => Some(Function::Upper),
        "trim" | "btrim" => Some(Function::Trim),
        "ltrim" => Some(Function::TrimStart),
        "rtrim" => Some(Function::TrimEnd),
        "length" | "char_length" | "character_length" => Some(Function::Length),
        _ => None,
    };
    if let Some(function) = one_text {
        let [arg] = exactly(name, args)?;
        return Ok(Expr::Call { function, args: vec![build::text(arg)?] });
    }
    match name {
        "year" | "month" | "day" | "hour" | "minute" => {
            let [arg] = exactly(name, args)?;
            part(name, arg)
        }
        "lpad" => pad(name, Function::PadStart, args),
        "rpad" => pad(name, Function::PadEnd, args),
        "split_part" => {
            let [text, delimiter, index] = exactly(name, args)?;
            let args = vec![build::text(text)?, fixed_text(name, delimiter)?, fixed_count(name, index)?];
            Ok(Expr::Call { function: Function::SplitPart, args })
        }
        "replace" => {
            let [text, what, by] = exactly(name, args)?;
            let args = vec![build::text(text)?, fixed_text(name, what)?, build::text(by)?];
            Ok(Expr::Call { function: Function::Replace, args })
        }
        "concat_ws" => {
            let mut args = args.into_iter();
            let delimiter = args.next().ok_or_else(|| count_wrong(name, "at least 2"))?;
            let mut parts = vec![text_literal(name, delimiter)?];
            for arg in args {
                parts.push(build::text(arg)?);
            }
            if parts.len() < 2 {
                return Err(count_wrong(name, "at least 2"));
            }
            Ok(Expr::Call { function: Function::ConcatWs, args: parts })
        }
        "coalesce" => coalesce(&args),
        "nullif" => {
            let [value, not] = exactly(name, args)?;
            let (left, right) = build::unify(value, not)?;
            let equal = build::compare(CompareOp::Equal, left.clone(), right)?;
            build::case(vec![(equal, Expr::Null)], Some(left))
        }
        "abs" => {
            let [value] = exactly(name, args)?;
            if build::scalar(&value)?.is_some_and(ColumnType::is_float) {
                let zero = Expr::Literal(Literal::float(0.0));
                let positive = build::arithmetic(ArithmeticOp::Add, value.clone(), zero)?;
                let below = build::compare(CompareOp::Less, value.clone(), Expr::Literal(Literal::integer(0)))?;
                return build::case(vec![(below, build::negate(value)?)], Some(positive));
            }
            let below = build::compare(CompareOp::Less, value.clone(), Expr::Literal(Literal::integer(0)))?;
            build::case(vec![(below, build::negate(value.clone())?)], Some(value))
        }
        "regexp_like" => {
            let [text, pattern] = exactly(name, args)?;
            let Expr::Literal(Literal { value: Value::Text(pattern), .. }) = pattern else {
                return Err(SqlRefusal::Types(format!("`{name}` takes its pattern as a literal")));
            };
            let pattern = Pattern::parse(&pattern).map_err(|refusal| SqlRefusal::Types(refusal.to_string()))?;
            Ok(Expr::Matches { expr: Box::new(build::text(text)?), pattern })
        }
        "date_trunc" => {
            let [unit, value] = exactly(name, args)?;
            truncate(name, &unit, value)
        }
        "concat" => Err(SqlRefusal::Unsupported { what: name.to_owned(), way_out: "write `a || b`, or concat_ws" }),
        _ => Err(SqlRefusal::UnknownFunction { name: name.to_owned() }),
    }
}

/// Part of a date or timestamp, as `extract` and the functions of the same name give it.
///
/// # Errors
/// If the part is not in the list or the operand has none.
pub fn part(name: &str, value: Expr) -> Result<Expr, SqlRefusal> {
    let function = match name {
        "year" => Function::Year,
        "month" => Function::Month,
        "day" => Function::Day,
        "hour" => Function::Hour,
        "minute" => Function::Minute,
        _ => {
            return Err(SqlRefusal::Unsupported {
                what: format!("extract({name})"),
                way_out: "year, month, day, hour and minute are",
            });
        }
    };
    let timed = matches!(function, Function::Hour | Function::Minute);
    match scalar(&value)? {
        Some(ColumnType::Timestamp) => Ok(over_time(function, value)),
        Some(ColumnType::Date) if !timed => Ok(over_time(function, value)),
        None => Ok(Expr::Literal(Literal::null(ColumnType::Int32))),
        Some(other) => Err(SqlRefusal::Types(format!("`{other}` has no {name}"))),
    }
}

fn truncate(name: &str, unit: &Expr, value: Expr) -> Result<Expr, SqlRefusal> {
    let unit = if let Expr::Literal(Literal { value: Value::Text(unit), .. }) = unit { unit.as_str() } else { "" };
    let function = match unit {
        "minute" => Function::TruncateMinute,
        "hour" => Function::TruncateHour,
        "day" => Function::TruncateDay,
        "month" => Function::TruncateMonth,
        "year" => Function::TruncateYear,
        _ => return Err(SqlRefusal::Types(format!("`{name}` cuts to 'minute', 'hour', 'day', 'month' or 'year'"))),
    };
    match scalar(&value)? {
        Some(ColumnType::Timestamp) => Ok(over_time(function, value)),
        None => Ok(Expr::Literal(Literal::null(ColumnType::Timestamp))),
        Some(other) => Err(SqlRefusal::Types(format!("`{name}` takes a timestamp, here is `{other}`"))),
    }
}

/// A call over a date or timestamp; NULL where the calendar ends.
fn over_time(function: Function, value: Expr) -> Expr {
    let is_known = in_calendar(&value);
    Expr::Call { function, args: vec![value] }.only_if(is_known)
}

fn coalesce(args: &[Expr]) -> Result<Expr, SqlRefusal> {
    let last = args.last().cloned().ok_or_else(|| count_wrong("coalesce", "at least 1"))?;
    let branches =
        args[..args.len() - 1].iter().map(|arg| (arg.clone().is_null().negated(), arg.clone())).collect::<Vec<_>>();
    if branches.is_empty() {
        return Ok(last);
    }
    let Expr::Case { branches, otherwise } = build::case(branches, Some(last))? else { return Ok(Expr::Null) };
    let mut args: Vec<Expr> = branches.into_iter().map(|(_, result)| result).collect();
    args.extend(otherwise.map(|last| *last));
    Ok(Expr::Call { function: Function::Coalesce, args })
}

fn pad(name: &str, function: Function, args: Vec<Expr>) -> Result<Expr, SqlRefusal> {
    let mut args = args;
    if args.len() == 2 {
        args.push(Expr::Literal(Literal::text(" ")));
    }
    let [text, length, filler] = exactly(name, args)?;
    let args = vec![build::text(text)?, fixed_count(name, length)?, fixed_text(name, filler)?];
    Ok(Expr::Call { function, args })
}

fn exactly<const N: usize>(name: &str, args: Vec<Expr>) -> Result<[Expr; N], SqlRefusal> {
    args.try_into().map_err(|_| count_wrong(name, &N.to_string()))
}

fn count_wrong(name: &str, count: &str) -> SqlRefusal {
    SqlRefusal::Types(format!("`{name}` takes {count} operands"))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all others are treated alike")]
fn text_literal(name: &str, arg: Expr) -> Result<Expr, SqlRefusal> {
    match arg {
        Expr::Literal(Literal { value: Value::Text(_), .. }) => Ok(arg),
        _ => Err(SqlRefusal::Types(format!("`{name}` takes this operand as a text literal"))),
    }
}

/// A literal text that is not empty, for engines differ on empty ones.
#[expect(clippy::wildcard_enum_match_arm, reason = "all others are treated alike")]
fn fixed_text(name: &str, arg: Expr) -> Result<Expr, SqlRefusal> {
    match &arg {
        Expr::Literal(Literal { value: Value::Text(text), .. }) if !text.is_empty() => Ok(arg),
        _ => Err(SqlRefusal::Types(format!("`{name}` takes this operand as a text literal that is not empty"))),
    }
}

/// A literal of 1 to 10,000, as int64.
#[expect(clippy::wildcard_enum_match_arm, reason = "all others are treated alike")]
fn fixed_count(name: &str, arg: Expr) -> Result<Expr, SqlRefusal> {
    match &arg {
        Expr::Literal(Literal { value: Value::Integer(1..=10_000), .. }) => Ok(arg),
        _ => Err(SqlRefusal::Types(format!("`{name}` takes this operand as an integer literal of 1 to 10000"))),
    }
}
