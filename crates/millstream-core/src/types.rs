//! The column types that users write, their Arrow form, and what the types of source files become.
//!
//! Everything behind the reader works on few types: signed integers, two floats, decimals of up to 38 digits, booleans,
//! text, binary, days, microseconds in UTC, and lists, structs and maps of them. A source type that has no place here is
//! refused; nothing is cast on the quiet.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Type of a column after cleaning. Text form as in `type = "decimal(10,2)"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ColumnType {
    /// `int8`
    Int8,
    /// `int16`
    Int16,
    /// `int32`
    Int32,
    /// `int64`
    Int64,
    /// `float32`
    Float32,
    /// `float64`
    Float64,
    /// `decimal(p,s)`
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u8,
        /// Digits behind the point, 0 to `precision`.
        scale: u8,
    },
    /// `boolean`
    Boolean,
    /// `string`
    Text,
    /// `binary`
    Binary,
    /// `date`
    Date,
    /// `timestamp`: microseconds, UTC
    Timestamp,
}

/// A text that names no column type.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{text}` is no column type; allowed: int8, int16, int32, int64, float32, float64, decimal(p,s) with p 1 to 38 and s 0 to p, boolean, string, binary, date, timestamp"
)]
pub struct UnknownType {
    /// As the user wrote it.
    text: String,
}

impl FromStr for ColumnType {
    type Err = UnknownType;

    fn from_str(text: &str) -> Result<Self, UnknownType> {
        let simple = match text.trim() {
            "int8" => Some(Self::Int8),
            "int16" => Some(Self::Int16),
            "int32" => Some(Self::Int32),
            "int64" => Some(Self::Int64),
            "float32" => Some(Self::Float32),
            "float64" => Some(Self::Float64),
            "boolean" => Some(Self::Boolean),
            "string" => Some(Self::Text),
            "binary" => Some(Self::Binary),
            "date" => Some(Self::Date),
            "timestamp" => Some(Self::Timestamp),
            other => parse_decimal_type(other),
        };
        simple.ok_or_else(|| UnknownType { text: text.to_owned() })
    }
}

fn parse_decimal_type(text: &str) -> Option<ColumnType> {
    let (precision, scale) = text.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
    let precision = precision.trim().parse().ok().filter(|precision| (1..=38).contains(precision))?;
    let scale = scale.trim().parse().ok().filter(|scale| *scale <= precision)?;
    Some(ColumnType::Decimal { precision, scale })
}

impl fmt::Display for ColumnType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::Decimal { precision, scale } => return write!(formatter, "decimal({precision},{scale})"),
            Self::Boolean => "boolean",
            Self::Text => "string",
            Self::Binary => "binary",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
        };
        formatter.write_str(name)
    }
}

impl TryFrom<String> for ColumnType {
    type Error = UnknownType;

    fn try_from(text: String) -> Result<Self, UnknownType> {
        text.parse()
    }
}

impl From<ColumnType> for String {
    fn from(column_type: ColumnType) -> Self {
        column_type.to_string()
    }
}

impl ColumnType {
    /// The Arrow type that holds it.
    #[must_use]
    pub fn arrow_type(self) -> DataType {
        match self {
            Self::Int8 => DataType::Int8,
            Self::Int16 => DataType::Int16,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
            Self::Decimal { precision, scale } => DataType::Decimal128(precision, scale.cast_signed()),
            Self::Boolean => DataType::Boolean,
            Self::Text => DataType::Utf8,
            Self::Binary => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Timestamp => timestamp_type(),
        }
    }

    /// Whether it is one of the four integer types.
    #[must_use]
    pub fn is_integer(self) -> bool {
        matches!(self, Self::Int8 | Self::Int16 | Self::Int32 | Self::Int64)
    }

    /// Whether it is one of the two float types.
    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(self, Self::Float32 | Self::Float64)
    }

    /// Whether it can be calculated with.
    #[must_use]
    pub fn is_number(self) -> bool {
        self.is_integer() || self.is_float() || matches!(self, Self::Decimal { .. })
    }

    /// Digits of the decimal that holds every value of an integer type, and of a decimal itself with its scale.
    #[must_use]
    pub fn decimal_digits(self) -> Option<(u8, u8)> {
        match self {
            Self::Int8 => Some((3, 0)),
            Self::Int16 => Some((5, 0)),
            Self::Int32 => Some((10, 0)),
            Self::Int64 => Some((19, 0)),
            Self::Decimal { precision, scale } => Some((precision, scale)),
            Self::Float32
            | Self::Float64
            | Self::Boolean
            | Self::Text
            | Self::Binary
            | Self::Date
            | Self::Timestamp => None,
        }
    }

    /// Whether every value of this type is a value of `wider`, so that a column may become it without a bad value.
    /// Integers count as held by `float64`, whose nearest value is taken above 2^53.
    #[must_use]
    pub fn widens_to(self, wider: Self) -> bool {
        if self == wider {
            return true;
        }
        match (self, wider) {
            (Self::Float32, Self::Float64) | (Self::Int8 | Self::Int16, Self::Float32) => true,
            (from, Self::Float64) if from.is_integer() => true,
            (from, Self::Int8 | Self::Int16 | Self::Int32 | Self::Int64) if from.is_integer() => {
                from.decimal_digits() <= wider.decimal_digits()
            }
            (from, Self::Decimal { precision, scale }) => {
                from.decimal_digits().is_some_and(|(p, s)| s <= scale && p - s <= precision - scale)
            }
            _ => false,
        }
    }
}

/// Microseconds in UTC, the one form of a time.
#[must_use]
pub fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// Type of a value, nested or not, as it is kept with the stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueType {
    /// Only NULL is known of it; fits everywhere, never stored.
    Null,
    /// Not nested.
    Scalar(ColumnType),
    /// A list.
    List(Box<ValueType>),
    /// A struct: names and types in order.
    Struct(Vec<(String, ValueType)>),
    /// A map from key to value.
    Map(Box<ValueType>, Box<ValueType>),
}

impl fmt::Display for ValueType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => formatter.write_str("null"),
            Self::Scalar(scalar) => scalar.fmt(formatter),
            Self::List(item) => write!(formatter, "list<{item}>"),
            Self::Struct(fields) => {
                formatter.write_str("struct<")?;
                for (index, (name, value)) in fields.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(formatter, "{comma}{name}: {value}")?;
                }
                formatter.write_str(">")
            }
            Self::Map(key, value) => write!(formatter, "map<{key}, {value}>"),
        }
    }
}

impl ValueType {
    /// The Arrow type that holds it; names inside of lists and maps are those that Delta Lake uses.
    #[must_use]
    pub fn arrow_type(&self) -> DataType {
        match self {
            Self::Null => DataType::Null,
            Self::Scalar(scalar) => scalar.arrow_type(),
            Self::List(item) => DataType::List(Arc::new(Field::new("element", item.arrow_type(), true))),
            Self::Struct(fields) => DataType::Struct(
                fields.iter().map(|(name, value)| Field::new(name, value.arrow_type(), true)).collect::<Fields>(),
            ),
            Self::Map(key, value) => {
                let entry = Fields::from(vec![
                    Field::new("key", key.arrow_type(), false),
                    Field::new("value", value.arrow_type(), true),
                ]);
                DataType::Map(Arc::new(Field::new("key_value", DataType::Struct(entry), false)), false)
            }
        }
    }

    /// The scalar type, unless nested or null.
    #[must_use]
    pub fn scalar(&self) -> Option<ColumnType> {
        match self {
            Self::Scalar(scalar) => Some(*scalar),
            Self::Null | Self::List(_) | Self::Struct(_) | Self::Map(..) => None,
        }
    }
}

/// What a source type becomes once it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceType {
    /// The type of its values from then on.
    pub becomes: ValueType,
    /// Whether it is a time that carries no zone: read as if it were UTC, and moved by the column's `time_zone`.
    pub local_time: bool,
}

/// A source type that has no place in the tables.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("type {0} has no place in the tables")]
pub struct UnsupportedType(DataType);

/// What a source type becomes:
///
/// | source | becomes |
/// |---|---|
/// | uint8, uint16, uint32 | int16, int32, int64 |
/// | uint64 | decimal(20,0) |
/// | timestamp of any unit | microseconds; digits beyond are cut off |
/// | timestamp with any zone | the same instant, in UTC |
/// | date64 | date |
/// | time of day | int64, microseconds since midnight (Delta has no time of day) |
/// | dictionary, run-end encoded, large and view types | their plain form |
/// | binary of fixed size | binary |
/// | decimal32, decimal64, decimal128 | decimal, if the scale is 0 to precision |
/// | null | takes the declared type |
/// | list, struct, map | the same, with inner types by this table |
///
/// # Errors
/// Of decimal256, decimals with a scale outside of 0 to precision, float16, interval, duration, union, and nested types
/// that hold one of them, a null type, or fields that have no name or one that differs from another's by case only.
pub fn source_type(arrow: &DataType) -> Result<SourceType, UnsupportedType> {
    use ColumnType as C;
    let scalar = match arrow {
        DataType::Null => return Ok(SourceType { becomes: ValueType::Null, local_time: false }),
        DataType::Boolean => C::Boolean,
        DataType::Int8 => C::Int8,
        DataType::Int16 | DataType::UInt8 => C::Int16,
        DataType::Int32 | DataType::UInt16 => C::Int32,
        DataType::Int64 | DataType::UInt32 | DataType::Time32(_) | DataType::Time64(_) => C::Int64,
        DataType::UInt64 => C::Decimal { precision: 20, scale: 0 },
        DataType::Float32 => C::Float32,
        DataType::Float64 => C::Float64,
        DataType::Timestamp(_, zone) => {
            return Ok(SourceType { becomes: ValueType::Scalar(C::Timestamp), local_time: zone.is_none() });
        }
        DataType::Date32 | DataType::Date64 => C::Date,
        DataType::Binary | DataType::FixedSizeBinary(_) | DataType::LargeBinary | DataType::BinaryView => C::Binary,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => C::Text,
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale) => match u8::try_from(*scale) {
            Ok(scale) if scale <= *precision => C::Decimal { precision: *precision, scale },
            _ => return Err(UnsupportedType(arrow.clone())),
        },
        DataType::Dictionary(_, value) => return source_type(value),
        DataType::RunEndEncoded(_, value) => return source_type(value.data_type()),
        DataType::List(_)
        | DataType::ListView(_)
        | DataType::FixedSizeList(..)
        | DataType::LargeList(_)
        | DataType::LargeListView(_)
        | DataType::Struct(_)
        | DataType::Map(..) => {
            return Ok(SourceType { becomes: nested_type(arrow)?, local_time: false });
        }
        DataType::Float16
        | DataType::Duration(_)
        | DataType::Interval(_)
        | DataType::Union(..)
        | DataType::Decimal256(..) => return Err(UnsupportedType(arrow.clone())),
    };
    Ok(SourceType { becomes: ValueType::Scalar(scalar), local_time: false })
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all others are treated alike")]
fn nested_type(arrow: &DataType) -> Result<ValueType, UnsupportedType> {
    match arrow {
        DataType::List(item)
        | DataType::ListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::LargeList(item)
        | DataType::LargeListView(item) => Ok(ValueType::List(Box::new(nested_type(item.data_type())?))),
        DataType::Struct(fields) if !fields.is_empty() && are_apart(fields) => fields
            .iter()
            .map(|field| Ok((field.name().clone(), nested_type(field.data_type())?)))
            .collect::<Result<_, _>>()
            .map(ValueType::Struct),
        DataType::Map(entry, _) => match entry.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => Ok(ValueType::Map(
                Box::new(nested_type(fields[0].data_type())?),
                Box::new(nested_type(fields[1].data_type())?),
            )),
            _ => Err(UnsupportedType(arrow.clone())),
        },
        // A time of day inside of a nested type cannot be turned to a number by one cast of the whole.
        DataType::Null | DataType::Struct(_) | DataType::Time32(_) | DataType::Time64(_) => {
            Err(UnsupportedType(arrow.clone()))
        }
        other => source_type(other).map(|source| source.becomes),
    }
}

/// Whether fields have names, and no two the same but for case: other programs could not tell them apart.
fn are_apart(fields: &Fields) -> bool {
    let is_twin =
        |index: usize, name: &str| fields[..index].iter().any(|other| other.name().eq_ignore_ascii_case(name));
    fields.iter().enumerate().all(|(index, field)| !field.name().is_empty() && !is_twin(index, field.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_reads_back_from_its_text() {
        for text in [
            "int8",
            "int16",
            "int32",
            "int64",
            "float32",
            "float64",
            "decimal(10,2)",
            "decimal(38,38)",
            "boolean",
            "string",
            "binary",
            "date",
            "timestamp",
        ] {
            assert_eq!(text.parse::<ColumnType>().map(|parsed| parsed.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn texts_that_name_no_type_are_refused_by_name() {
        for text in ["int", "decimal(39,2)", "decimal(0,0)", "decimal(5,6)", "decimal(5)", "Timestamp", ""] {
            let refusal = text.parse::<ColumnType>().map_err(|error| error.to_string());
            assert!(refusal.is_err_and(|message| message.starts_with(&format!("`{text}` is no column type"))));
        }
    }

    #[test]
    fn source_types_become_what_the_table_says() {
        let cases = [
            (DataType::UInt8, "int16"),
            (DataType::UInt16, "int32"),
            (DataType::UInt32, "int64"),
            (DataType::UInt64, "decimal(20,0)"),
            (DataType::Date64, "date"),
            (DataType::Time32(TimeUnit::Millisecond), "int64"),
            (DataType::LargeUtf8, "string"),
            (DataType::BinaryView, "binary"),
            (DataType::FixedSizeBinary(4), "binary"),
            (DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8)), "string"),
            (DataType::Timestamp(TimeUnit::Nanosecond, Some("Europe/Berlin".into())), "timestamp"),
            (DataType::LargeList(Arc::new(Field::new("x", DataType::UInt8, false))), "list<int16>"),
        ];
        for (arrow, becomes) in cases {
            assert_eq!(source_type(&arrow).map(|source| source.becomes.to_string()).as_deref(), Ok(becomes), "{arrow}");
        }
    }

    #[test]
    fn types_without_a_place_are_refused() {
        for arrow in [
            DataType::Float16,
            DataType::Decimal256(40, 2),
            DataType::Decimal128(10, -2),
            DataType::Duration(TimeUnit::Second),
            DataType::Interval(arrow::datatypes::IntervalUnit::DayTime),
            DataType::List(Arc::new(Field::new("x", DataType::Float16, true))),
        ] {
            assert!(source_type(&arrow).is_err(), "{arrow}");
        }
    }

    #[test]
    fn widening_never_loses_a_value() {
        let yes = [
            ("int8", "int16"),
            ("int32", "int64"),
            ("int32", "float64"),
            ("float32", "float64"),
            ("int32", "decimal(12,2)"),
            ("decimal(8,2)", "decimal(10,3)"),
        ];
        let no = [
            ("int64", "int32"),
            ("float64", "int64"),
            ("float64", "decimal(38,2)"),
            ("int32", "decimal(10,2)"),
            ("string", "int32"),
            ("int32", "string"),
        ];
        let parse = |text: &str| text.parse::<ColumnType>().unwrap();
        for (from, to) in yes {
            assert!(parse(from).widens_to(parse(to)), "{from} to {to}");
        }
        for (from, to) in no {
            assert!(!parse(from).widens_to(parse(to)), "{from} to {to}");
        }
    }
}
