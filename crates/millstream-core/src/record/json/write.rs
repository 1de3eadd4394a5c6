//! Columns as JSON. What a column is gets looked at once, then its rows are written one by one.

use std::io::Write;

use arrow::array::{
    Array, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array,
    Int16Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, TimeUnit};
use arrow::record_batch::RecordBatch;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;

use super::super::RecordError;
use super::scalar::{write_date, write_decimal, write_timestamp};

/// A row, or a value of a struct: `{"a":…,"b":…}`.
pub(super) struct Object<'a> {
    /// What goes before a value (`{"a":` and `,"b":`), and the values.
    fields: Vec<(Vec<u8>, Column<'a>)>,
}

/// The columns of a key.
pub(in crate::record) struct Key<'a> {
    columns: Vec<Column<'a>>,
}

struct Column<'a> {
    nulls: Option<NullBuffer>,
    values: Values<'a>,
}

enum Values<'a> {
    Boolean(&'a BooleanArray),
    Int8(&'a Int8Array),
    Int16(&'a Int16Array),
    Int32(&'a Int32Array),
    Int64(&'a Int64Array),
    Float32(&'a Float32Array),
    Float64(&'a Float64Array),
    Decimal(&'a Decimal128Array, u8),
    Text(&'a StringArray),
    /// For each row the place of its text.
    Dictionary(Vec<usize>, &'a StringArray),
    Binary(&'a BinaryArray),
    Date(&'a Date32Array),
    Timestamp(&'a TimestampMicrosecondArray),
    /// Offsets of the items; a map is a list of objects.
    List(&'a [i32], Box<Column<'a>>),
    Object(Object<'a>),
}

impl<'a> Object<'a> {
    pub(super) fn of_batch(batch: &'a RecordBatch) -> Result<Self, RecordError> {
        let names = batch.schema_ref().fields().iter().map(|field| field.name().as_str());
        Self::new("", names.zip(batch.columns().iter().map(|column| column.as_ref() as &dyn Array)))
    }

    fn new(parent: &str, columns: impl Iterator<Item = (&'a str, &'a dyn Array)>) -> Result<Self, RecordError> {
        let mut fields = Vec::new();
        for (name, array) in columns {
            let path = if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") };
            let mut before = vec![if fields.is_empty() { b'{' } else { b',' }];
            write_text(&mut before, name);
            before.push(b':');
            fields.push((before, Column::new(&path, array)?));
        }
        Ok(Self { fields })
    }

    pub(super) fn write(&self, row: usize, out: &mut Vec<u8>) {
        if self.fields.is_empty() {
            out.push(b'{');
        }
        for (before, column) in &self.fields {
            out.extend_from_slice(before);
            column.write(row, out);
        }
        out.push(b'}');
    }
}

impl<'a> Key<'a> {
    /// Looks for the columns by their names.
    ///
    /// # Errors
    /// When one is not there, or has a type that tables do not have.
    pub(in crate::record) fn new(batch: &'a RecordBatch, names: &[String]) -> Result<Self, RecordError> {
        let column = |name: &String| {
            let array = batch.column_by_name(name).ok_or_else(|| RecordError::NoKeyColumn { column: name.clone() })?;
            Column::new(name, array)
        };
        Ok(Self { columns: names.iter().map(column).collect::<Result<_, _>>()? })
    }

    /// Appends the text of a row's key; nothing, and `false`, if all of it is NULL.
    pub(in crate::record) fn write(&self, row: usize, out: &mut Vec<u8>) -> bool {
        if self.columns.iter().all(|column| column.is_null(row)) {
            return false;
        }
        if let [column] = self.columns.as_slice() {
            column.write_plain(row, out);
            return true;
        }
        for (index, column) in self.columns.iter().enumerate() {
            out.push(if index == 0 { b'[' } else { b',' });
            column.write(row, out);
        }
        out.push(b']');
        true
    }
}

impl<'a> Column<'a> {
    fn new(path: &str, array: &'a dyn Array) -> Result<Self, RecordError> {
        Ok(Self { nulls: array.logical_nulls(), values: Values::new(path, array)? })
    }

    fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    fn write(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            out.extend_from_slice(b"null");
        } else {
            self.values.write(row, out);
        }
    }

    /// As in JSON, without quotes and escapes.
    fn write_plain(&self, row: usize, out: &mut Vec<u8>) {
        if let Some(text) = self.values.text(row) {
            out.extend_from_slice(text.as_bytes());
            return;
        }
        let start = out.len();
        self.write(row, out);
        if out.get(start) == Some(&b'"') {
            out.pop();
            out.remove(start);
        }
    }
}

impl<'a> Values<'a> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are refused alike")]
    fn new(path: &str, array: &'a dyn Array) -> Result<Self, RecordError> {
        let refuse =
            || Err(RecordError::UnsupportedType { column: path.to_owned(), data_type: array.data_type().clone() });
        Ok(match array.data_type() {
            DataType::Boolean => Self::Boolean(array.as_boolean()),
            DataType::Int8 => Self::Int8(array.as_primitive()),
            DataType::Int16 => Self::Int16(array.as_primitive()),
            DataType::Int32 => Self::Int32(array.as_primitive()),
            DataType::Int64 => Self::Int64(array.as_primitive()),
            DataType::Float32 => Self::Float32(array.as_primitive()),
            DataType::Float64 => Self::Float64(array.as_primitive()),
            DataType::Decimal128(precision, scale) => match u8::try_from(*scale) {
                Ok(scale) if scale <= *precision => Self::Decimal(array.as_primitive(), scale),
                _ => return refuse(),
            },
            DataType::Utf8 => Self::Text(array.as_string()),
            DataType::Dictionary(_, values) if **values == DataType::Utf8 => {
                let dictionary = array.as_any_dictionary();
                // Without a text every row is NULL, and Arrow's normalized keys would fail.
                let places = if dictionary.values().is_empty() { Vec::new() } else { dictionary.normalized_keys() };
                Self::Dictionary(places, dictionary.values().as_string())
            }
            DataType::Binary => Self::Binary(array.as_binary()),
            DataType::Date32 => Self::Date(array.as_primitive()),
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => Self::Timestamp(array.as_primitive()),
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                Self::List(list.value_offsets(), Box::new(Column::new(path, list.values())?))
            }
            DataType::Map(..) => {
                let map = array.as_map();
                let entry = [("key", map.keys().as_ref()), ("value", map.values().as_ref())];
                let entry = Values::Object(Object::new(path, entry.into_iter())?);
                Self::List(map.value_offsets(), Box::new(Column { nulls: None, values: entry }))
            }
            DataType::Struct(fields) => {
                let names = fields.iter().map(|field| field.name().as_str());
                let columns = array.as_struct().columns().iter().map(|column| column.as_ref() as &dyn Array);
                Self::Object(Object::new(path, names.zip(columns))?)
            }
            _ => return refuse(),
        })
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are no texts")]
    fn text(&self, row: usize) -> Option<&str> {
        match self {
            Self::Text(texts) => Some(texts.value(row)),
            Self::Dictionary(places, texts) => Some(texts.value(places[row])),
            _ => None,
        }
    }

    fn write(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Self::Boolean(values) => write_display(out, values.value(row)),
            Self::Int8(values) => write_display(out, values.value(row)),
            Self::Int16(values) => write_display(out, values.value(row)),
            Self::Int32(values) => write_display(out, values.value(row)),
            Self::Int64(values) => write_display(out, values.value(row)),
            Self::Float32(values) => {
                let value = values.value(row);
                write_float(out, value.into(), format_args!("{value:?}"));
            }
            Self::Float64(values) => {
                let value = values.value(row);
                write_float(out, value, format_args!("{value:?}"));
            }
            Self::Decimal(values, scale) => quoted(out, |out| write_decimal(out, values.value(row), *scale)),
            Self::Text(texts) => write_text(out, texts.value(row)),
            Self::Dictionary(places, texts) => write_text(out, texts.value(places[row])),
            Self::Binary(values) => {
                quoted(out, |out| write_display(out, Base64Display::new(values.value(row), &STANDARD)));
            }
            Self::Date(values) => quoted(out, |out| write_date(out, values.value(row))),
            Self::Timestamp(values) => quoted(out, |out| write_timestamp(out, values.value(row))),
            Self::List(offsets, items) => {
                out.push(b'[');
                for (index, item) in (offsets[row]..offsets[row + 1]).enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    items.write(usize::try_from(item).unwrap_or_default(), out);
                }
                out.push(b']');
            }
            Self::Object(object) => object.write(row, out),
        }
    }
}

fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}

fn write_display(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    // Writing to a Vec does not fail.
    let _ = write!(out, "{value}");
}

/// JSON has no numbers for NaN and the infinities.
fn write_float(out: &mut Vec<u8>, value: f64, shortest: std::fmt::Arguments<'_>) {
    if value.is_finite() {
        write_display(out, shortest);
    } else {
        quoted(out, |out| write_display(out, crate::original::float_text(value)));
    }
}

/// A JSON string; only what must be escaped is (RFC 8259, section 7).
fn write_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\') {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control if control < 0x20 => write_display(out, format_args!("\\u{control:04x}")),
            other => out.extend_from_slice(&[b'\\', other]),
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}
