//! Values of observed metrics.

use crate::proto::literal::{Literal, LiteralKind, PackedKind};

/// A value that an observation came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value, as the greatest of no rows.
    Null,
    /// True or false.
    Boolean(bool),
    /// An integer of any width.
    Integer(i64),
    /// A floating-point number of any width.
    Float(f64),
    /// A decimal number, as text.
    Decimal(String),
    /// A text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since 1970-01-01, in UTC or without a zone.
    Timestamp(i64),
    /// A list.
    List(Vec<Value>),
    /// A value of a type that this crate does not read (intervals, structs, maps, times of day).
    Unread,
}

impl Value {
    /// The integer, if it is one.
    #[must_use]
    pub fn as_integer(&self) -> Option<i64> {
        if let Self::Integer(value) = self { Some(*value) } else { None }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(value) = self { Some(value) } else { None }
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    pub(crate) fn from_proto(literal: Literal) -> Self {
        match literal.kind {
            Some(LiteralKind::Null(_)) => Self::Null,
            Some(LiteralKind::Binary(value)) => Self::Binary(value),
            Some(LiteralKind::Boolean(value)) => Self::Boolean(value),
            Some(LiteralKind::Byte(value) | LiteralKind::Short(value) | LiteralKind::Integer(value)) => {
                Self::Integer(value.into())
            }
            Some(LiteralKind::Long(value)) => Self::Integer(value),
            Some(LiteralKind::Float(value)) => Self::Float(value.into()),
            Some(LiteralKind::Double(value)) => Self::Float(value),
            Some(LiteralKind::Decimal(value)) => Self::Decimal(value.value),
            Some(LiteralKind::Text(value)) => Self::Text(value),
            Some(LiteralKind::Date(value)) => Self::Date(value),
            Some(LiteralKind::Timestamp(value) | LiteralKind::TimestampNtz(value)) => Self::Timestamp(value),
            Some(LiteralKind::Array(value)) => Self::List(value.elements.into_iter().map(Self::from_proto).collect()),
            Some(LiteralKind::Packed(value)) => value.kind.map_or(Self::List(Vec::new()), Self::from_packed),
            None => Self::Unread,
        }
    }

    fn from_packed(kind: PackedKind) -> Self {
        match kind {
            PackedKind::Booleans(list) => Self::list(list.values, Self::Boolean),
            PackedKind::Integers(list) => Self::list(list.values, |value| Self::Integer(value.into())),
            PackedKind::Longs(list) => Self::list(list.values, Self::Integer),
            PackedKind::Floats(list) => Self::list(list.values, |value| Self::Float(value.into())),
            PackedKind::Doubles(list) => Self::list(list.values, Self::Float),
            PackedKind::Texts(list) => Self::list(list.values, Self::Text),
        }
    }

    fn list<T>(values: Vec<T>, value: impl FnMut(T) -> Self) -> Self {
        Self::List(values.into_iter().map(value).collect())
    }
}
