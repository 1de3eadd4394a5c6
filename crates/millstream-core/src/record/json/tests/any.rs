//! Batches of every type that tables have, from a seed.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array,
    Int16Array, Int32Array, Int64Array, ListArray, MapArray, StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use proptest::prelude::*;

use crate::types::{ColumnType, ValueType};

/// Up to six columns, each of any type, nested up to three deep; some take no NULL.
pub(super) fn any_schema() -> impl Strategy<Value = SchemaRef> {
    prop::collection::vec((any_type(), any::<bool>()), 0..6).prop_map(|columns| {
        let field = |(index, (value_type, nullable)): (usize, (ValueType, bool))| {
            Field::new(["a", "b", "\"ü\\", "d", "_file", "c"][index], value_type.arrow_type(), nullable)
        };
        Arc::new(Schema::new(columns.into_iter().enumerate().map(field).collect::<Vec<_>>()))
    })
}

fn any_type() -> impl Strategy<Value = ValueType> {
    let scalar = prop_oneof![
        prop::sample::select(vec![
            ColumnType::Int8,
            ColumnType::Int16,
            ColumnType::Int32,
            ColumnType::Int64,
            ColumnType::Float32,
            ColumnType::Float64,
            ColumnType::Boolean,
            ColumnType::Text,
            ColumnType::Binary,
            ColumnType::Date,
            ColumnType::Timestamp,
        ]),
        (1..=38_u8).prop_flat_map(|precision| {
            (0..=precision).prop_map(move |scale| ColumnType::Decimal { precision, scale })
        }),
    ];
    scalar.prop_map(ValueType::Scalar).prop_recursive(3, 8, 3, |inner| {
        let fields = prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            inner.clone().prop_map(|item| ValueType::List(Box::new(item))),
            (inner.clone(), inner).prop_map(|(key, value)| ValueType::Map(Box::new(key), Box::new(value))),
            fields.prop_map(|types| {
                ValueType::Struct(["a", "b.c", "\u{1}"].into_iter().map(str::to_owned).zip(types).collect())
            }),
        ]
    })
}

pub(super) fn any_batch(schema: &SchemaRef, rows: usize, seed: u64) -> RecordBatch {
    let mut random = Random(seed);
    let columns = schema.fields().iter().map(|field| column(field, rows, &mut random)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).unwrap()
}

/// `splitmix64`.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> usize {
        usize::try_from(self.next() % end).unwrap()
    }

    /// Often an end of the range, zero or a small number.
    fn integer(&mut self, bits: u32) -> i64 {
        let any = self.next().cast_signed() >> (64 - bits);
        let lowest = i64::MIN >> (64 - bits);
        [any, any, lowest, !lowest, 0, any % 100, -1][self.below(7)]
    }

    fn float(&mut self) -> f64 {
        let any = f64::from_bits(self.next());
        let any = if any.is_nan() { f64::NAN } else { any };
        [any, any, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, 1e300, 0.1][self.below(9)]
    }

    fn text(&mut self) -> String {
        let pieces = ["a", "é", "\"", "\\", "\u{0}", "\n", "\u{7f}", "\u{2028}", "😀", "\u{feff}", "null", "12", " "];
        (0..self.below(6)).map(|_| pieces[self.below(13)]).collect()
    }

    fn decimal(&mut self, precision: u8) -> i128 {
        let end = 10_i128.pow(precision.into());
        let any = (i128::from(self.next()) << 64 | i128::from(self.next())) % end;
        [any, end - 1, 1 - end, 0, any % 100, -1][self.below(6)]
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "no others are made")]
fn column(field: &FieldRef, rows: usize, random: &mut Random) -> ArrayRef {
    let nulls = field.is_nullable().then(|| (0..rows).map(|_| random.below(4) > 0).collect::<NullBuffer>());
    let nulls = nulls.filter(|nulls| nulls.null_count() > 0);
    macro_rules! values {
        ($value:expr) => {
            (0..rows).map(|_| $value).collect::<Vec<_>>()
        };
    }
    match field.data_type() {
        DataType::Boolean => Arc::new(BooleanArray::new(values!(random.below(2) == 0).into(), nulls)),
        DataType::Int8 => Arc::new(Int8Array::new(values!(random.integer(8).try_into().unwrap()).into(), nulls)),
        DataType::Int16 => Arc::new(Int16Array::new(values!(random.integer(16).try_into().unwrap()).into(), nulls)),
        DataType::Int32 => Arc::new(Int32Array::new(values!(random.integer(32).try_into().unwrap()).into(), nulls)),
        DataType::Int64 => Arc::new(Int64Array::new(values!(random.integer(64)).into(), nulls)),
        DataType::Date32 => Arc::new(Date32Array::new(values!(random.integer(32).try_into().unwrap()).into(), nulls)),
        DataType::Timestamp(..) => {
            let times = TimestampMicrosecondArray::new(values!(random.integer(64)).into(), nulls);
            Arc::new(times.with_timezone("UTC"))
        }
        DataType::Float32 => {
            #[expect(clippy::cast_possible_truncation, reason = "any float will do")]
            let values = values!(random.float() as f32);
            Arc::new(Float32Array::new(values.into(), nulls))
        }
        DataType::Float64 => Arc::new(Float64Array::new(values!(random.float()).into(), nulls)),
        DataType::Decimal128(precision, scale) => {
            let digits = Decimal128Array::new(values!(random.decimal(*precision)).into(), nulls);
            Arc::new(digits.with_precision_and_scale(*precision, *scale).unwrap())
        }
        DataType::Utf8 => {
            let texts = StringArray::from(values!(random.text()));
            let (offsets, bytes, _) = texts.into_parts();
            Arc::new(StringArray::new(offsets, bytes, nulls))
        }
        DataType::Binary => {
            let blobs = values!((0..random.below(5)).map(|_| random.next().to_le_bytes()[0]).collect::<Vec<u8>>());
            let (offsets, bytes, _) = blobs.iter().map(Some).collect::<BinaryArray>().into_parts();
            Arc::new(BinaryArray::new(offsets, bytes, nulls))
        }
        DataType::List(item) => {
            let offsets = OffsetBuffer::<i32>::from_lengths(values!(random.below(4)));
            let items = column(item, usize::try_from(offsets[rows]).unwrap(), random);
            Arc::new(ListArray::new(Arc::clone(item), offsets, items, nulls))
        }
        DataType::Struct(fields) => {
            let columns = fields.iter().map(|field| column(field, rows, random)).collect();
            Arc::new(StructArray::new(fields.clone(), columns, nulls))
        }
        DataType::Map(entry, sorted) => {
            let DataType::Struct(fields) = entry.data_type() else { panic!("a map has entries") };
            let offsets = OffsetBuffer::<i32>::from_lengths(values!(random.below(4)));
            let pairs = usize::try_from(offsets[rows]).unwrap();
            let columns = fields.iter().map(|field| column(field, pairs, random)).collect();
            let entries = StructArray::new(fields.clone(), columns, None);
            Arc::new(MapArray::new(Arc::clone(entry), offsets, entries, nulls, *sorted))
        }
        other => panic!("no table has {other}"),
    }
}
