//! The values of a column that grows: plain vectors, which can be cut again, and arrays in the end.

use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, ListArray, MapArray, PrimitiveArray, StringArray,
    StructArray,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Fields, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimeUnit, TimestampMicrosecondType,
};
use arrow::error::ArrowError;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::super::super::RecordError;
use super::super::object::Token;
use super::super::scalar::{parse_date, parse_decimal, parse_timestamp};
use super::{Column, Columns};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

const NUMBER: &str = "a number is expected";

/// One for each row, also where it is NULL.
pub(super) enum Values {
    Boolean(Vec<bool>),
    Int8(Vec<i8>),
    Int16(Vec<i16>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float32(Vec<f32>),
    Float64(Vec<f64>),
    /// With precision and scale.
    Decimal(Vec<i128>, u8, u8),
    Text(Bytes),
    Binary(Bytes),
    Date(Vec<i32>),
    Timestamp(Vec<i64>),
    List(Ends, Box<Column>),
    Struct(Columns),
    /// With the columns key and value.
    Map(Ends, Columns),
}

/// Texts, one behind the other.
#[derive(Default)]
pub(super) struct Bytes {
    bytes: Vec<u8>,
    ends: Ends,
}

/// Where the values of rows end in what holds them all.
#[derive(Default)]
pub(super) struct Ends(Vec<i32>);

impl Values {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are refused alike")]
    pub(super) fn new(path: &str, data_type: &DataType) -> Result<Self, RecordError> {
        let refuse = || Err(RecordError::UnsupportedType { column: path.to_owned(), data_type: data_type.clone() });
        Ok(match data_type {
            DataType::Boolean => Self::Boolean(Vec::new()),
            DataType::Int8 => Self::Int8(Vec::new()),
            DataType::Int16 => Self::Int16(Vec::new()),
            DataType::Int32 => Self::Int32(Vec::new()),
            DataType::Int64 => Self::Int64(Vec::new()),
            DataType::Float32 => Self::Float32(Vec::new()),
            DataType::Float64 => Self::Float64(Vec::new()),
            DataType::Decimal128(precision, scale) => match u8::try_from(*scale) {
                Ok(scale) if scale <= *precision => Self::Decimal(Vec::new(), *precision, scale),
                _ => return refuse(),
            },
            DataType::Utf8 => Self::Text(Bytes::default()),
            DataType::Binary => Self::Binary(Bytes::default()),
            DataType::Date32 => Self::Date(Vec::new()),
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => Self::Timestamp(Vec::new()),
            DataType::List(item) => Self::List(Ends::default(), Box::new(Column::new(path, item)?)),
            DataType::Struct(fields) => Self::Struct(Columns::within(path, fields)?),
            DataType::Map(entry, _) => match entry.data_type() {
                DataType::Struct(fields) if fields.len() == 2 => {
                    Self::Map(Ends::default(), Columns::within(path, fields)?)
                }
                _ => return refuse(),
            },
            _ => return refuse(),
        })
    }

    /// Adds a value that is not nested.
    ///
    /// # Errors
    /// Tells why it does not fit.
    pub(super) fn push(&mut self, token: &Token<'_>) -> Result<(), &'static str> {
        match self {
            Self::Boolean(values) => values.push(boolean(token)?),
            Self::Int8(values) => values.push(integer(token)?),
            Self::Int16(values) => values.push(integer(token)?),
            Self::Int32(values) => values.push(integer(token)?),
            Self::Int64(values) => values.push(integer(token)?),
            Self::Float32(values) => values.push(float(token)?),
            Self::Float64(values) => values.push(float(token)?),
            Self::Decimal(values, precision, scale) => values.push(decimal(token, *precision, *scale)?),
            Self::Text(values) => {
                values.bytes.extend_from_slice(text(token)?.as_bytes());
                values.ends.push(values.bytes.len())?;
            }
            Self::Binary(values) => {
                BASE64.decode_vec(text(token)?, &mut values.bytes).map_err(|_| "it is not base64")?;
                values.ends.push(values.bytes.len())?;
            }
            Self::Date(values) => values.push(parse_date(text(token)?)?),
            Self::Timestamp(values) => values.push(parse_timestamp(text(token)?)?),
            Self::List(..) => return Err("a list is expected"),
            Self::Struct(_) => return Err("an object is expected"),
            Self::Map(..) => return Err("a list of keys and values is expected"),
        }
        Ok(())
    }

    /// Adds some value, for a row that is NULL.
    pub(super) fn push_any(&mut self) {
        match self {
            Self::Boolean(values) => values.push(false),
            Self::Int8(values) => values.push(0),
            Self::Int16(values) => values.push(0),
            Self::Int32(values) | Self::Date(values) => values.push(0),
            Self::Int64(values) | Self::Timestamp(values) => values.push(0),
            Self::Float32(values) => values.push(0.0),
            Self::Float64(values) => values.push(0.0),
            Self::Decimal(values, ..) => values.push(0),
            Self::Text(values) | Self::Binary(values) => values.ends.push_empty(),
            Self::List(ends, _) | Self::Map(ends, _) => ends.push_empty(),
            Self::Struct(columns) => columns.push_null(),
        }
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        match self {
            Self::Boolean(values) => values.truncate(rows),
            Self::Int8(values) => values.truncate(rows),
            Self::Int16(values) => values.truncate(rows),
            Self::Int32(values) | Self::Date(values) => values.truncate(rows),
            Self::Int64(values) | Self::Timestamp(values) => values.truncate(rows),
            Self::Float32(values) => values.truncate(rows),
            Self::Float64(values) => values.truncate(rows),
            Self::Decimal(values, ..) => values.truncate(rows),
            Self::Text(values) | Self::Binary(values) => values.bytes.truncate(values.ends.truncate(rows)),
            Self::List(ends, item) => item.truncate(ends.truncate(rows)),
            Self::Map(ends, pairs) => pairs.truncate(ends.truncate(rows)),
            Self::Struct(columns) => columns.truncate(rows),
        }
    }

    pub(super) fn finish(self, data_type: &DataType, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::Boolean(values) => Arc::new(BooleanArray::new(BooleanBuffer::from(values), nulls)),
            Self::Int8(values) => primitive::<Int8Type>(values, data_type, nulls)?,
            Self::Int16(values) => primitive::<Int16Type>(values, data_type, nulls)?,
            Self::Int32(values) => primitive::<Int32Type>(values, data_type, nulls)?,
            Self::Int64(values) => primitive::<Int64Type>(values, data_type, nulls)?,
            Self::Float32(values) => primitive::<Float32Type>(values, data_type, nulls)?,
            Self::Float64(values) => primitive::<Float64Type>(values, data_type, nulls)?,
            Self::Decimal(values, ..) => primitive::<Decimal128Type>(values, data_type, nulls)?,
            Self::Date(values) => primitive::<Date32Type>(values, data_type, nulls)?,
            Self::Timestamp(values) => primitive::<TimestampMicrosecondType>(values, data_type, nulls)?,
            Self::Text(values) => {
                Arc::new(StringArray::try_new(values.ends.finish(), Buffer::from_vec(values.bytes), nulls)?)
            }
            Self::Binary(values) => {
                Arc::new(BinaryArray::try_new(values.ends.finish(), Buffer::from_vec(values.bytes), nulls)?)
            }
            Self::List(ends, item) => {
                let field = Arc::clone(&item.field);
                Arc::new(ListArray::try_new(field, ends.finish(), item.finish()?, nulls)?)
            }
            Self::Struct(columns) => Arc::new(structs(columns, nulls)?),
            Self::Map(ends, pairs) => {
                let DataType::Map(entry, sorted) = data_type else {
                    return Err(ArrowError::SchemaError(format!("{data_type} is no map")));
                };
                Arc::new(MapArray::try_new(Arc::clone(entry), ends.finish(), structs(pairs, None)?, nulls, *sorted)?)
            }
        })
    }
}

fn structs(columns: Columns, nulls: Option<NullBuffer>) -> Result<StructArray, ArrowError> {
    let fields = columns.list.iter().map(|column| Arc::clone(&column.field)).collect::<Fields>();
    let rows = columns.rows;
    StructArray::try_new_with_length(fields, columns.finish()?, nulls, rows)
}

fn primitive<T: ArrowPrimitiveType>(
    values: Vec<T::Native>,
    data_type: &DataType,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, ArrowError> {
    let array = PrimitiveArray::<T>::try_new(ScalarBuffer::from(values), nulls)?;
    Ok(Arc::new(array.with_data_type(data_type.clone())))
}

fn text<'a>(token: &'a Token<'_>) -> Result<&'a str, &'static str> {
    if let Token::Text(text) = token { Ok(text) } else { Err("a text is expected") }
}

fn boolean(token: &Token<'_>) -> Result<bool, &'static str> {
    if let Token::Boolean(value) = token { Ok(*value) } else { Err("true or false is expected") }
}

fn decimal(token: &Token<'_>, precision: u8, scale: u8) -> Result<i128, &'static str> {
    let digits = if let Token::Number(digits) = token {
        digits
    } else {
        text(token).map_err(|_| "a number, or a text of one, is expected")?
    };
    parse_decimal(digits, precision, scale)
}

fn integer<T: TryFrom<i64>>(token: &Token<'_>) -> Result<T, &'static str> {
    let Token::Number(digits) = token else { return Err(NUMBER) };
    if digits.contains(['.', 'e', 'E']) {
        return Err("a number without point and exponent is expected");
    }
    let number: Option<i64> = digits.parse().ok();
    number.and_then(|number| T::try_from(number).ok()).ok_or("it is out of range")
}

/// The nearest float to a number, as the standard library finds it from the digits.
fn float<T: FromStr + Copy + Into<f64>>(token: &Token<'_>) -> Result<T, &'static str> {
    match token {
        Token::Number(digits) => {
            let value: T = digits.parse().map_err(|_| NUMBER)?;
            if value.into().is_finite() { Ok(value) } else { Err("it is out of range") }
        }
        Token::Text(name) if matches!(name.as_ref(), "NaN" | "Infinity" | "-Infinity") => {
            name.parse().map_err(|_| NUMBER)
        }
        Token::Null | Token::Boolean(_) | Token::Text(_) | Token::List(_) | Token::Object(_) => Err(NUMBER),
    }
}

impl Ends {
    fn last(&self) -> i32 {
        self.0.last().copied().unwrap_or_default()
    }

    pub(super) fn push(&mut self, end: usize) -> Result<(), &'static str> {
        self.0.push(i32::try_from(end).map_err(|_| "there is too much of it for one batch")?);
        Ok(())
    }

    fn push_empty(&mut self) {
        self.0.push(self.last());
    }

    /// Where the last row that stays ends.
    fn truncate(&mut self, rows: usize) -> usize {
        self.0.truncate(rows);
        usize::try_from(self.last()).unwrap_or_default()
    }

    fn finish(mut self) -> OffsetBuffer<i32> {
        self.0.insert(0, 0);
        OffsetBuffer::new(ScalarBuffer::from(self.0))
    }
}
