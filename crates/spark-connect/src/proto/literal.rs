//! Values as they come in observed metrics.

/// One value.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Literal {
    #[prost(oneof = "LiteralKind", tags = "1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 16, 17, 18, 22, 25")]
    pub kind: Option<LiteralKind>,
}

/// The kinds of values that are known here.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum LiteralKind {
    #[prost(message, tag = "1")]
    Null(Empty),
    #[prost(bytes = "vec", tag = "2")]
    Binary(Vec<u8>),
    #[prost(bool, tag = "3")]
    Boolean(bool),
    #[prost(int32, tag = "4")]
    Byte(i32),
    #[prost(int32, tag = "5")]
    Short(i32),
    #[prost(int32, tag = "6")]
    Integer(i32),
    #[prost(int64, tag = "7")]
    Long(i64),
    #[prost(float, tag = "10")]
    Float(f32),
    #[prost(double, tag = "11")]
    Double(f64),
    #[prost(message, tag = "12")]
    Decimal(Decimal),
    #[prost(string, tag = "13")]
    Text(String),
    #[prost(int32, tag = "16")]
    Date(i32),
    #[prost(int64, tag = "17")]
    Timestamp(i64),
    #[prost(int64, tag = "18")]
    TimestampNtz(i64),
    #[prost(message, tag = "22")]
    Array(Array),
    #[prost(message, tag = "25")]
    Packed(PackedArray),
}

/// A message whose fields do not matter here.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Empty {}

/// A decimal number as text.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Decimal {
    #[prost(string, tag = "1")]
    pub value: String,
}

/// A list of values.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Array {
    #[prost(message, repeated, tag = "2")]
    pub elements: Vec<Literal>,
}

/// A list of values of one plain type.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PackedArray {
    #[prost(oneof = "PackedKind", tags = "1, 2, 3, 4, 5, 6")]
    pub kind: Option<PackedKind>,
}

/// The plain types of lists.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum PackedKind {
    #[prost(message, tag = "1")]
    Booleans(Booleans),
    #[prost(message, tag = "2")]
    Integers(Integers),
    #[prost(message, tag = "3")]
    Longs(Longs),
    #[prost(message, tag = "4")]
    Floats(Floats),
    #[prost(message, tag = "5")]
    Doubles(Doubles),
    #[prost(message, tag = "6")]
    Texts(Texts),
}

/// A list of booleans.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Booleans {
    #[prost(bool, repeated, tag = "1")]
    pub values: Vec<bool>,
}

/// A list of 32-bit integers.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Integers {
    #[prost(int32, repeated, tag = "1")]
    pub values: Vec<i32>,
}

/// A list of 64-bit integers.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Longs {
    #[prost(int64, repeated, tag = "1")]
    pub values: Vec<i64>,
}

/// A list of 32-bit floats.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Floats {
    #[prost(float, repeated, tag = "1")]
    pub values: Vec<f32>,
}

/// A list of 64-bit floats.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Doubles {
    #[prost(double, repeated, tag = "1")]
    pub values: Vec<f64>,
}

/// A list of texts.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Texts {
    #[prost(string, repeated, tag = "1")]
    pub values: Vec<String>,
}
