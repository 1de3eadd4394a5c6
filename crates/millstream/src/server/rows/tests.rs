use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array, Float64Array,
    Int64Array, Int64Builder, ListArray, MapBuilder, StringArray, StringViewArray, StringViewBuilder, StructArray,
    TimestampMicrosecondArray, TimestampNanosecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Int32Type};
use arrow::record_batch::RecordBatch;
use serde_json::{Value, json};

use super::{heads, rows};

/// The values of one column as JSON.
fn values(array: impl arrow::array::Array + 'static) -> Value {
    let array: ArrayRef = Arc::new(array);
    let batch = RecordBatch::try_from_iter([("it", array)]).unwrap();
    rows(&batch).unwrap().into_iter().map(|mut row| row.remove(0)).collect()
}

#[test]
fn numbers_are_numbers_and_what_json_cannot_say_is_text() {
    assert_eq!(values(Int64Array::from(vec![Some(i64::MAX), None])), json!([i64::MAX, null]));
    assert_eq!(values(UInt64Array::from(vec![u64::MAX])), json!([u64::MAX]));
    let floats = vec![1.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    assert_eq!(values(Float64Array::from(floats)), json!([1.5, "NaN", "Infinity", "-Infinity"]));
    assert_eq!(values(Float32Array::from(vec![0.1])), json!([0.1]));
    let decimals = Decimal128Array::from(vec![12_345, -5]).with_precision_and_scale(10, 2).unwrap();
    assert_eq!(values(decimals), json!(["123.45", "-0.05"]));
    assert_eq!(values(BooleanArray::from(vec![true])), json!([true]));
}

#[test]
fn times_are_rfc_3339_in_utc_with_the_digits_that_they_need() {
    let micros = vec![0, 1_500_000, 1_546_300_800_000_001];
    let expected = json!(["1970-01-01T00:00:00Z", "1970-01-01T00:00:01.500Z", "2019-01-01T00:00:00.000001Z"]);
    assert_eq!(values(TimestampMicrosecondArray::from(micros.clone()).with_timezone("UTC")), expected);
    assert_eq!(values(TimestampMicrosecondArray::from(micros)), expected);
    assert_eq!(values(TimestampNanosecondArray::from(vec![1])), json!(["1970-01-01T00:00:00.000000001Z"]));
    assert_eq!(values(Date32Array::from(vec![0, -1, 17_897])), json!(["1970-01-01", "1969-12-31", "2019-01-01"]));
    let past_all_years = values(TimestampMicrosecondArray::from(vec![i64::MAX]));
    assert_eq!(past_all_years, json!(["9223372036854775807 Microsecond since 1970-01-01"]));
}

#[test]
fn views_and_dictionaries_become_plain_text() {
    assert_eq!(values(StringViewArray::from(vec![Some("a long text that is not kept inline"), None])), {
        json!(["a long text that is not kept inline", null])
    });
    let dictionary: DictionaryArray<Int32Type> = vec!["b", "a", "b"].into_iter().collect();
    assert_eq!(values(dictionary), json!(["b", "a", "b"]));
    assert_eq!(values(BinaryArray::from(vec![b"\x00\xff".as_slice()])), json!(["00ff"]));
}

#[test]
fn nested_values_are_json_of_their_own() {
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1), None]), None]);
    assert_eq!(values(list), json!([[1, null], null]));
    let structure = StructArray::from(vec![(
        Arc::new(Field::new("name", DataType::Utf8, true)),
        Arc::new(StringArray::from(vec!["x"])) as ArrayRef,
    )]);
    assert_eq!(values(structure), json!([{ "name": "x" }]));
    let mut map = MapBuilder::new(None, StringViewBuilder::new(), Int64Builder::new());
    map.keys().append_value("a key");
    map.values().append_value(5);
    map.append(true).unwrap();
    assert_eq!(values(map.finish()), json!([{ "a key": 5 }]));
}

#[test]
fn heads_tell_the_types_that_the_answer_has() {
    let array: ArrayRef = Arc::new(StringViewArray::from(vec!["x"]));
    let batch = RecordBatch::try_from_iter([("it", array)]).unwrap();
    assert_eq!(heads(&batch.schema())[0].data_type, "Utf8");
}
