//! Values written in SQL or in the pipeline file, and how they take on the type that a place asks for.
//!
//! A literal only becomes what it is exactly: `6.5` is no integer, `500` fits `decimal(5,2)` but not `decimal(4,2)`.

use std::fmt;

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime};

use crate::config::clean::Literal as Written;
use crate::types::ColumnType;

/// A value of a column type.
#[derive(Debug, Clone, PartialEq)]
pub struct Literal {
    /// The value.
    pub value: Value,
    /// Its type.
    pub column_type: ColumnType,
}

/// The value of a literal.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// NULL.
    Null,
    /// Of type boolean.
    Boolean(bool),
    /// Of an integer type.
    Integer(i64),
    /// Of a float type.
    Float(f64),
    /// Of a decimal type: the digits without the point.
    Decimal(i128),
    /// Of type text.
    Text(String),
    /// Of type date: days since 1970-01-01.
    Days(i32),
    /// Of type timestamp: microseconds since 1970-01-01, UTC.
    Micros(i64),
}

impl fmt::Display for Literal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Value::Null => formatter.write_str("NULL"),
            Value::Boolean(value) => value.fmt(formatter),
            Value::Integer(value) => value.fmt(formatter),
            Value::Float(value) => formatter.write_str(&crate::original::float_text(*value)),
            Value::Decimal(digits) => formatter.write_str(&crate::original::decimal_text(*digits, self.scale())),
            Value::Text(text) => text.fmt(formatter),
            Value::Days(days) => formatter.write_str(&crate::original::date_text(*days)),
            Value::Micros(micros) => formatter.write_str(&crate::original::timestamp_text(*micros)),
        }
    }
}

impl Literal {
    /// A literal.
    #[must_use]
    pub fn new(value: Value, column_type: ColumnType) -> Self {
        Self { value, column_type }
    }

    /// NULL of a type.
    #[must_use]
    pub fn null(column_type: ColumnType) -> Self {
        Self::new(Value::Null, column_type)
    }

    /// A text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::new(Value::Text(text.to_owned()), ColumnType::Text)
    }

    /// A float64.
    #[must_use]
    pub fn float(value: f64) -> Self {
        Self::new(Value::Float(value), ColumnType::Float64)
    }

    /// A boolean.
    #[must_use]
    pub fn boolean(value: bool) -> Self {
        Self::new(Value::Boolean(value), ColumnType::Boolean)
    }

    /// An int64.
    #[must_use]
    pub fn integer(value: i64) -> Self {
        Self::new(Value::Integer(value), ColumnType::Int64)
    }

    /// A value of the pipeline file in the type that it has by itself: int64, decimal (or float64 if it has too many
    /// digits), boolean, text.
    #[must_use]
    pub fn written(written: &Written) -> Self {
        match written {
            Written::Integer(value) => Self::integer(*value),
            Written::Float(value) => number(&value.to_string()).unwrap_or_else(|| Self::float(*value)),
            Written::Boolean(value) => Self::boolean(*value),
            Written::Text(text) => Self::text(text),
        }
    }

    fn scale(&self) -> u8 {
        self.column_type.decimal_digits().map_or(0, |(_, scale)| scale)
    }

    /// The same value in another type; none if that type does not hold it exactly. (A float64 takes the nearest value, for
    /// that is what writing `0.1` there means.)
    #[must_use]
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are treated alike")]
    pub fn fold(&self, to: ColumnType) -> Option<Self> {
        if self.column_type == to || self.value == Value::Null {
            return Some(Self::new(self.value.clone(), to));
        }
        let value = match to {
            ColumnType::Int8 => Value::Integer(i64::from(i8::try_from(self.as_integer()?).ok()?)),
            ColumnType::Int16 => Value::Integer(i64::from(i16::try_from(self.as_integer()?).ok()?)),
            ColumnType::Int32 => Value::Integer(i64::from(i32::try_from(self.as_integer()?).ok()?)),
            ColumnType::Int64 => Value::Integer(i64::try_from(self.as_integer()?).ok()?),
            ColumnType::Float64 => Value::Float(self.as_float()?),
            ColumnType::Float32 => {
                let value = self.as_float()?;
                #[expect(clippy::cast_possible_truncation, reason = "compared right below")]
                let single = value as f32;
                #[expect(clippy::float_cmp, reason = "whether the value is held exactly")]
                let exact = f64::from(single) == value;
                Value::Float(exact.then_some(value)?)
            }
            ColumnType::Decimal { precision, scale } => {
                let digits = rescale(self.as_decimal()?, scale)?;
                Value::Decimal((digits.unsigned_abs() < 10_u128.pow(u32::from(precision))).then_some(digits)?)
            }
            ColumnType::Date => match &self.value {
                Value::Text(text) => Value::Days(parse_date(text)?),
                _ => return None,
            },
            ColumnType::Timestamp => match &self.value {
                Value::Text(text) => Value::Micros(parse_timestamp(text)?),
                Value::Days(days) => Value::Micros(i64::from(*days) * 86_400_000_000),
                _ => return None,
            },
            ColumnType::Boolean | ColumnType::Text | ColumnType::Binary => return None,
        };
        Some(Self::new(value, to))
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are treated alike")]
    fn as_integer(&self) -> Option<i128> {
        match &self.value {
            Value::Integer(value) => Some(i128::from(*value)),
            Value::Decimal(_) => rescale(self.as_decimal()?, 0),
            _ => None,
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are treated alike")]
    fn as_decimal(&self) -> Option<(i128, u8)> {
        match &self.value {
            Value::Integer(value) => Some((i128::from(*value), 0)),
            Value::Decimal(digits) => Some((*digits, self.scale())),
            _ => None,
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are treated alike")]
    fn as_float(&self) -> Option<f64> {
        match &self.value {
            #[expect(clippy::cast_precision_loss, reason = "the nearest float is meant")]
            Value::Integer(value) => Some(*value as f64),
            Value::Decimal(_) => self.to_string().parse().ok(),
            Value::Float(value) => Some(*value),
            _ => None,
        }
    }
}

fn rescale((digits, from): (i128, u8), to: u8) -> Option<i128> {
    if to >= from {
        return digits.checked_mul(10_i128.checked_pow(u32::from(to - from))?);
    }
    let factor = 10_i128.checked_pow(u32::from(from - to))?;
    (digits % factor == 0).then_some(digits / factor)
}

/// A number as SQL writes it: int64 without a point, decimal with one, float64 with an exponent. None if it is no number or
/// has more than 38 digits.
#[must_use]
pub fn number(text: &str) -> Option<Literal> {
    if text.contains(['e', 'E']) {
        return text.parse().ok().filter(|value: &f64| value.is_finite()).map(Literal::float);
    }
    let (negative, unsigned) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: i128 = digits.parse().ok()?;
    let value = if negative { -value } else { value };
    if !unsigned.contains('.')
        && let Ok(value) = i64::try_from(value)
    {
        return Some(Literal::integer(value));
    }
    let scale = u8::try_from(fraction.len()).ok()?;
    let precision = u8::try_from(digits.trim_start_matches('0').len()).ok()?.max(scale).max(1);
    (precision <= 38).then(|| Literal::new(Value::Decimal(value), ColumnType::Decimal { precision, scale }))
}

/// Days of `YYYY-MM-DD`.
#[must_use]
pub fn parse_date(text: &str) -> Option<i32> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == 10)?;
    i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).ok()
}

/// Microseconds of `YYYY-MM-DD[ HH:MM:SS[.ffffff]][Z|+HH:MM]`, `T` in place of the space; without a zone UTC.
#[must_use]
pub fn parse_timestamp(text: &str) -> Option<i64> {
    if let Some(days) = parse_date(text) {
        return Some(i64::from(days) * 86_400_000_000);
    }
    let normal = text.replacen('T', " ", 1);
    let zoned = normal.strip_suffix('Z').map_or_else(|| normal.clone(), |local| format!("{local}+00:00"));
    for format in ["%Y-%m-%d %H:%M:%S%.f%:z", "%Y-%m-%d %H:%M:%S%.f %:z"] {
        if let Ok(time) = DateTime::<FixedOffset>::parse_from_str(&zoned, format) {
            return Some(time.timestamp_micros());
        }
    }
    let local = NaiveDateTime::parse_from_str(&normal, "%Y-%m-%d %H:%M:%S%.f").ok()?;
    Some(local.and_utc().timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_the_type_that_they_are_written_in() {
        for (text, shown) in [
            ("500", "int64"),
            ("0.5", "decimal(1,1)"),
            ("-12.50", "decimal(4,2)"),
            ("1e3", "float64"),
            ("9223372036854775808", "decimal(19,0)"),
        ] {
            assert_eq!(number(text).map(|literal| literal.column_type.to_string()).as_deref(), Some(shown), "{text}");
        }
        assert_eq!(number("x"), None);
        assert_eq!(number("."), None);
    }

    #[test]
    fn a_literal_only_becomes_what_it_is_exactly() {
        let decimal = |precision, scale| ColumnType::Decimal { precision, scale };
        let fold =
            |text: &str, to| number(text).and_then(|literal| literal.fold(to)).map(|literal| literal.to_string());
        assert_eq!(fold("500", decimal(5, 2)).as_deref(), Some("500.00"));
        assert_eq!(fold("500", decimal(4, 2)), None);
        assert_eq!(fold("6.5", ColumnType::Int32), None);
        assert_eq!(fold("6.0", ColumnType::Int32).as_deref(), Some("6"));
        assert_eq!(fold("300", ColumnType::Int8), None);
        assert_eq!(fold("0.1", ColumnType::Float64).as_deref(), Some("0.1"));
        assert_eq!(fold("0.1", ColumnType::Float32), None);
    }

    #[test]
    fn times_are_read_in_utc_unless_they_say_otherwise() {
        assert_eq!(parse_timestamp("1970-01-02"), Some(86_400_000_000));
        assert_eq!(parse_timestamp("1970-01-01 00:00:01.5Z"), Some(1_500_000));
        assert_eq!(parse_timestamp("1970-01-01T02:00:00+02:00"), Some(0));
        assert_eq!(parse_timestamp("1970-01-01 00:00:00"), Some(0));
        assert_eq!(parse_timestamp("12:30"), None);
        assert_eq!(parse_timestamp("2019-02-30"), None);
    }
}
