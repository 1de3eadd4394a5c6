mod any;

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array, Float64Array, Int64Array,
    ListArray, MapBuilder, StringArray, StringBuilder, StructArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use proptest::prelude::*;

use self::any::{any_batch, any_schema};
use super::*;

fn batch_of(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn texts(rows: &[JsonRow]) -> Vec<&str> {
    rows.iter().map(|row| std::str::from_utf8(&row.value).unwrap()).collect()
}

fn round_trip(batch: &RecordBatch) -> Decoded {
    let rows = encode_rows(batch, &[]).unwrap();
    let values: Vec<&[u8]> = rows.iter().map(|row| row.value.as_slice()).collect();
    decode_rows(&values, &batch.schema()).unwrap()
}

/// Decodes values of one column `x`.
fn decode_as(wanted: &str, values: &[&str]) -> Decoded {
    let data_type = match wanted {
        "list<int32>" => DataType::List(Arc::new(Field::new("element", DataType::Int32, true))),
        "struct<a: int32>" => DataType::Struct(vec![Field::new("a", DataType::Int32, true)].into()),
        "map<string, int32>" => map_type(DataType::Utf8),
        "map<int32, int32>" => map_type(DataType::Int32),
        scalar => scalar.parse::<crate::types::ColumnType>().unwrap().arrow_type(),
    };
    let schema = Arc::new(Schema::new(vec![Field::new("x", data_type, true)]));
    let objects: Vec<String> = values.iter().map(|value| format!(r#"{{"x":{value}}}"#)).collect();
    decode_rows(&objects.iter().map(String::as_bytes).collect::<Vec<_>>(), &schema).unwrap()
}

fn map_type(key: DataType) -> DataType {
    let entry = vec![Field::new("key", key, false), Field::new("value", DataType::Int32, true)];
    DataType::Map(Arc::new(Field::new("key_value", DataType::Struct(entry.into()), false)), false)
}

/// What a value reads as, written again; or why it does not fit.
fn read_as(wanted: &str, value: &str) -> Result<String, String> {
    let decoded = decode_as(wanted, &[value]);
    match decoded.bad.into_iter().next() {
        Some((_, reason)) => Err(reason),
        None => Ok(texts(&encode_rows(&decoded.batch, &[]).unwrap())[0][5..].trim_end_matches('}').to_owned()),
    }
}

fn taxi_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int32, false),
        Field::new("fare", DataType::Decimal128(10, 2), true),
        Field::new("note", DataType::Utf8, true),
    ]))
}

#[test]
fn each_type_has_its_own_text() {
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1), None]), Some(vec![])]);
    let nested = StructArray::from(vec![(
        Arc::new(Field::new("b", DataType::Utf8, true)),
        Arc::new(StringArray::from(vec![Some("c"), None])) as ArrayRef,
    )]);
    let mut maps = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    maps.keys().append_value("k");
    maps.values().append_null();
    maps.append(true).unwrap();
    maps.append(false).unwrap();
    let cases: Vec<(ArrayRef, [&str; 2])> = vec![
        (Arc::new(Int64Array::from(vec![Some(i64::MIN), None])), ["-9223372036854775808", "null"]),
        (Arc::new(Float64Array::from(vec![-0.0, 1e-7])), ["-0.0", "1e-7"]),
        (Arc::new(Float64Array::from(vec![f64::NAN, f64::NEG_INFINITY])), [r#""NaN""#, r#""-Infinity""#]),
        (Arc::new(Float32Array::from(vec![0.1, f32::INFINITY])), ["0.1", r#""Infinity""#]),
        (
            Arc::new(Decimal128Array::from(vec![-5, 1250]).with_precision_and_scale(10, 2).unwrap()),
            [r#""-0.05""#, r#""12.50""#],
        ),
        (Arc::new(StringArray::from(vec!["a\"\\\n\u{1}é", ""])), ["\"a\\\"\\\\\\n\\u0001é\"", "\"\""]),
        (Arc::new(BinaryArray::from(vec![b"\x00\xff".as_slice(), b""])), [r#""AP8=""#, r#""""#]),
        (Arc::new(Date32Array::from(vec![-1, 18_000])), [r#""1969-12-31""#, r#""2019-04-14""#]),
        (
            Arc::new(TimestampMicrosecondArray::from(vec![1_546_300_800_000_000, 123_456]).with_timezone("UTC")),
            [r#""2019-01-01T00:00:00Z""#, r#""1970-01-01T00:00:00.123456Z""#],
        ),
        (Arc::new(vec!["f", "g"].into_iter().collect::<DictionaryArray<Int32Type>>()), [r#""f""#, r#""g""#]),
        (Arc::new(lists), ["[1,null]", "[]"]),
        (Arc::new(nested), [r#"{"b":"c"}"#, r#"{"b":null}"#]),
        (Arc::new(maps.finish()), [r#"[{"key":"k","value":null}]"#, "null"]),
    ];
    for (array, expected) in cases {
        let rows = encode_rows(&batch_of(vec![("x", array)]), &[]).unwrap();
        assert_eq!(texts(&rows), expected.map(|value| format!(r#"{{"x":{value}}}"#)));
        assert!(rows.iter().all(|row| row.key.is_none()));
    }
}

#[test]
fn keys_are_plain_texts_and_several_columns_a_list() {
    let batch = batch_of(vec![
        ("n", Arc::new(Int64Array::from(vec![Some(7), None, None])) as _),
        ("t", Arc::new(StringArray::from(vec![Some("a\"b"), Some(""), None])) as _),
        ("d", Arc::new(Date32Array::from(vec![Some(0), None, None])) as _),
    ]);
    let keys = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let rows = encode_rows(&batch, &names).unwrap();
        rows.into_iter().map(|row| row.key.map(|key| String::from_utf8(key).unwrap())).collect::<Vec<_>>()
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(keys(&["n"]), [some("7"), None, None]);
    assert_eq!(keys(&["t"]), [some("a\"b"), some(""), None]);
    assert_eq!(keys(&["d"]), [some("1970-01-01"), None, None]);
    assert_eq!(keys(&["n", "t"]), [some(r#"[7,"a\"b"]"#), some(r#"[null,""]"#), None]);
    assert_eq!(keys(&[]), [None, None, None]);
}

#[test]
fn what_has_no_form_is_refused_by_name() {
    let odd = batch_of(vec![("x", Arc::new(UInt64Array::from(vec![1])) as _)]);
    let refusal = encode_rows(&odd, &[]).unwrap_err().to_string();
    assert_eq!(refusal, "column `x` is of type UInt64, which has no form in JSON records");
    assert_eq!(decode_rows(&[], &odd.schema()).unwrap_err().to_string(), refusal);
    let batch = batch_of(vec![("x", Arc::new(Int64Array::from(vec![1])) as _)]);
    let refusal = encode_rows(&batch, &["y".to_owned()]).unwrap_err().to_string();
    assert_eq!(refusal, "there is no column `y` for the key of records");
}

#[test]
fn a_dictionary_without_texts_is_null_and_comes_back_as_plain_text() {
    let files: DictionaryArray<Int32Type> = vec![None::<&str>, None].into_iter().collect();
    let batch = batch_of(vec![("_file", Arc::new(files) as _)]);
    let rows = encode_rows(&batch, &["_file".to_owned()]).unwrap();
    assert_eq!(texts(&rows), [r#"{"_file":null}"#; 2]);
    assert!(rows.iter().all(|row| row.key.is_none()));
}

#[test]
fn bad_values_cost_only_themselves_and_say_why() {
    let values: Vec<&[u8]> = vec![
        br#"{"id":1,"fare":"12.50","note":"a"}"#,
        br#"{"id":2,"fare":"12.505","note":"b"}"#,
        br#"{"id":3,"fare":"1","note":5}"#,
        br#"{"fare":"1"}"#,
        br#"{"id":null}"#,
        br#"{"id":4,"note":"x","id":5}"#,
        br#"{"id":6,"note":"x""#,
        b"[1]",
        b"",
        b"\xff",
        br#"{"id":7} {"id":8}"#,
        br#"{"id":1e3}"#,
        br#"{"id":2147483648}"#,
        br#"{"id":9,"note":"\ud800"}"#,
        br#" { "note" : null , "id" : 10 } "#,
    ];
    let decoded = decode_rows(&values, &taxi_schema()).unwrap();
    let reasons: Vec<String> = decoded.bad.iter().map(|(index, reason)| format!("{index}: {reason}")).collect();
    insta::assert_snapshot!(reasons.join("\n"), @r#"
    1: column `fare`: `"12.505"` is not a value of type decimal(10,2): it has too many digits behind the point
    2: column `note`: `5` is not a value of type string: a text is expected
    3: column `id` is missing
    4: column `id` is null, which it must not be
    5: column `id` is there twice
    6: the value is not JSON: EOF while parsing an object at line 1 column 18
    7: the value is not a JSON object: `[1]`
    8: the value is empty
    9: the value is not UTF-8: invalid utf-8 sequence of 1 bytes from index 0
    10: the value is not JSON: trailing characters at line 1 column 10
    11: column `id`: `1e3` is not a value of type int32: a number without point and exponent is expected
    12: column `id`: `2147483648` is not a value of type int32: it is out of range
    13: column `note`: `"\ud800"` is not a value of type string: its escapes stand for no character
    "#);
    assert_eq!(decoded.rows, [0, 14]);
    let rows = encode_rows(&decoded.batch, &[]).unwrap();
    assert_eq!(texts(&rows), [r#"{"id":1,"fare":"12.50","note":"a"}"#, r#"{"id":10,"fare":null,"note":null}"#]);
}

#[test]
fn what_other_programs_write_is_taken_where_it_has_one_meaning() {
    let taken = [
        ("decimal(10,2)", "12.5", r#""12.50""#),
        ("decimal(38,2)", "123456789012345678901234567890123456.78", r#""123456789012345678901234567890123456.78""#),
        ("decimal(10,2)", "1.2e1", r#""12.00""#),
        ("int64", "9223372036854775807", "9223372036854775807"),
        ("int8", "-128", "-128"),
        ("float64", "5", "5.0"),
        ("float64", "9007199254740993.0", "9007199254740992.0"),
        ("float32", "16777217", "16777216.0"),
        ("float64", "-0", "-0.0"),
        ("timestamp", r#""2019-01-01T02:00:00+02:00""#, r#""2019-01-01T00:00:00Z""#),
        ("timestamp", r#""2019-01-01T02:00:00\u002b02:00""#, r#""2019-01-01T00:00:00Z""#),
        ("binary", r#""AP8""#, r#""AP8=""#),
        ("string", r#""\u00e9\ud83d\ude00""#, "\"é😀\""),
        ("list<int32>", " [ 1 , null ] ", "[1,null]"),
        ("map<string, int32>", r#"{"a":1,"b":null}"#, r#"[{"key":"a","value":1},{"key":"b","value":null}]"#),
        (
            "map<string, int32>",
            r#"[{"value":1,"key":"a"},{"key":"a"}]"#,
            r#"[{"key":"a","value":1},{"key":"a","value":null}]"#,
        ),
    ];
    for (wanted, value, expected) in taken {
        // The last brace of a nested value goes with that of the row.
        assert_eq!(read_as(wanted, value).as_deref(), Ok(expected.trim_end_matches('}')), "{wanted}");
    }
}

#[test]
fn what_has_no_one_meaning_is_refused() {
    let refused = [
        ("int32", "3.0"),
        ("int32", r#""3""#),
        ("int8", "128"),
        ("int64", "9223372036854775808"),
        ("float64", "1e999"),
        ("float32", "1e39"),
        ("float64", r#""1.5""#),
        ("float64", r#""inf""#),
        ("boolean", "1"),
        ("boolean", r#""true""#),
        ("string", "1"),
        ("string", "[]"),
        ("timestamp", r#""2019-01-01T00:00:00""#),
        ("timestamp", "1546300800"),
        ("date", r#""2019-02-29""#),
        ("binary", r#""a_b=""#),
        ("list<int32>", "1"),
        ("list<int32>", r#"[1,"a"]"#),
        ("struct<a: int32>", "[1]"),
        ("struct<a: int32>", r#"{"a":1,"a":1}"#),
        ("struct<a: int32>", r#"{"a":{"b":1}}"#),
        ("map<string, int32>", r#"{"a":1,"a":2}"#),
        ("map<string, int32>", r#"[{"value":1}]"#),
        ("map<string, int32>", r#"[{"key":null}]"#),
        ("map<string, int32>", "[[1,2]]"),
        ("map<int32, int32>", r#"{"1":2}"#),
    ];
    let reasons: Vec<String> = refused.iter().map(|(wanted, value)| read_as(wanted, value).expect_err(value)).collect();
    insta::assert_snapshot!(reasons.join("\n"), @r#"
    column `x`: `3.0` is not a value of type int32: a number without point and exponent is expected
    column `x`: `"3"` is not a value of type int32: a number is expected
    column `x`: `128` is not a value of type int8: it is out of range
    column `x`: `9223372036854775808` is not a value of type int64: it is out of range
    column `x`: `1e999` is not a value of type float64: it is out of range
    column `x`: `1e39` is not a value of type float32: it is out of range
    column `x`: `"1.5"` is not a value of type float64: a number is expected
    column `x`: `"inf"` is not a value of type float64: a number is expected
    column `x`: `1` is not a value of type boolean: true or false is expected
    column `x`: `"true"` is not a value of type boolean: true or false is expected
    column `x`: `1` is not a value of type string: a text is expected
    column `x`: `[]` is not a value of type string: a text is expected
    column `x`: `"2019-01-01T00:00:00"` is not a value of type timestamp: it has no zone, which is Z or a distance from UTC such as +02:00
    column `x`: `1546300800` is not a value of type timestamp: a text is expected
    column `x`: `"2019-02-29"` is not a value of type date: it is not a date such as 2019-01-31
    column `x`: `"a_b="` is not a value of type binary: it is not base64
    column `x`: `1` is not a value of type list<int32>: a list is expected
    column `x[1]`: `"a"` is not a value of type int32: a number is expected
    column `x`: `[1]` is not a value of type struct<a: int32>: an object is expected
    column `x.a` is there twice
    column `x.a`: `{"b":1}` is not a value of type int32: a number is expected
    column `x.a` is there twice
    column `x[0].key` is missing
    column `x[0].key` is null, which it must not be
    column `x[0]`: an object is expected
    column `x.1`: a map with keys that are no texts must be a list of keys and values
    "#);
}

#[test]
fn unknown_keys_are_told_once_and_what_they_hold_is_ignored() {
    let decoded = decode_as("struct<a: int32>", &[r#"{"a":1,"b":[{}]},"y":{"z":1}"#, r#"{"b":2},"y":"#]);
    assert_eq!(decoded.rows, [0]);
    assert_eq!(decoded.unknown.iter().map(String::as_str).collect::<Vec<_>>(), ["x.b", "y"]);
    let many: Vec<String> = (0..500).map(|n| format!(r#"null,"{}{n}":1"#, "k".repeat(300))).collect();
    let decoded = decode_as("string", &many.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(decoded.rows.len(), 500);
    assert!(decoded.unknown.len() <= 100 && decoded.unknown.iter().all(|name| name.chars().count() <= 81));
}

#[test]
fn depth_does_not_break_the_reader() {
    let deep = "[".repeat(1_000_000);
    let closed = format!("{deep}{}", "]".repeat(1_000_000));
    let objects = format!("{}1{}", r#"{"a":"#.repeat(300_000), "}".repeat(300_000));
    for wanted in ["list<int32>", "struct<a: int32>", "string", "map<string, int32>"] {
        let decoded = decode_as(wanted, &[&deep, &closed, &objects]);
        assert_eq!(decoded.bad.len(), 3, "{wanted}");
        assert!(decoded.bad.iter().all(|(_, reason)| reason.len() < 400));
    }
    let ignored = format!(r#"null,"y":{closed},"z":{objects}"#);
    assert_eq!(decode_as("string", &[&ignored]).rows, [0]);
}

#[test]
fn more_than_a_batch_can_hold_is_refused_at_once() {
    let value = vec![b' '; 64 << 20];
    let refusal = decode_rows(&[value.as_slice(); 32], &taxi_schema()).unwrap_err().to_string();
    assert_eq!(refusal, "JSON records of 2147483648 bytes are too many for one batch; read fewer at once");
}

#[test]
fn no_columns_and_no_values_are_no_special_case() {
    let empty: SchemaRef = Arc::new(Schema::empty());
    let decoded = decode_rows(&[b"{}", br#"{"a":1}"#, b"1"], &empty).unwrap();
    assert_eq!((decoded.batch.num_rows(), decoded.rows, decoded.bad.len()), (2, vec![0, 1], 1));
    assert_eq!(texts(&encode_rows(&decoded.batch, &[]).unwrap()), ["{}", "{}"]);
    assert_eq!(decode_rows(&[], &taxi_schema()).unwrap().batch, RecordBatch::new_empty(taxi_schema()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn rows_come_back_as_they_were(schema in any_schema(), seed in any::<u64>(), rows in 0..20_usize, cut in 0..20_usize) {
        let whole = any_batch(&schema, rows, seed);
        for batch in [whole.slice(cut.min(rows), rows - cut.min(rows)), whole] {
            let decoded = round_trip(&batch);
            prop_assert_eq!(&decoded.bad, &vec![]);
            prop_assert_eq!(&decoded.batch, &batch);
            prop_assert_eq!(decoded.rows, (0..batch.num_rows()).collect::<Vec<_>>());
            prop_assert!(decoded.unknown.is_empty());
        }
    }

    #[test]
    fn rows_are_objects_with_all_columns_in_order(schema in any_schema(), seed in any::<u64>()) {
        for row in encode_rows(&any_batch(&schema, 5, seed), &[]).unwrap() {
            let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&row.value).unwrap();
            prop_assert_eq!(object.len(), schema.fields().len());
            let entries: object::Entries<'_> = serde_json::from_slice(&row.value).unwrap();
            let names = schema.fields().iter().map(|field| field.name().as_str());
            prop_assert!(names.eq(entries.0.iter().map(|(key, _)| key.as_ref())));
        }
    }

    #[test]
    fn a_dictionary_is_written_as_its_texts(values in prop::collection::vec(prop::option::of("[ab]{0,2}"), 0..20)) {
        let files: ArrayRef = Arc::new(values.iter().map(Option::as_deref).collect::<DictionaryArray<Int32Type>>());
        let plain = cast(&files, &DataType::Utf8).unwrap();
        let key = ["x".to_owned()];
        let rows = encode_rows(&batch_of(vec![("x", files)]), &key).unwrap();
        prop_assert_eq!(rows, encode_rows(&batch_of(vec![("x", plain)]), &key).unwrap());
    }

    #[test]
    fn any_bytes_are_a_row_or_bad(
        schema in any_schema(),
        values in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..60),
                r#"(\{"[ab]":)?[\[\]{}:,"0-9.eE+\-a-z\\ ]{0,30}\}?"#.prop_map(String::into_bytes),
            ],
            0..10,
        ),
    ) {
        let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        each_is_a_row_or_bad(&values, &schema)?;
    }

    #[test]
    fn damaged_rows_are_a_row_or_bad_and_leave_the_others_whole(
        schema in any_schema(),
        seed in any::<u64>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let batch = any_batch(&schema, 6, seed);
        let mut rows = encode_rows(&batch, &[]).unwrap();
        for (at, byte) in damage {
            let value = &mut rows[at.index(3)].value;
            let at = at.index(value.len());
            if byte % 4 == 0 { value.truncate(at.max(1)) } else { value[at] = byte }
        }
        let values: Vec<&[u8]> = rows.iter().map(|row| row.value.as_slice()).collect();
        let decoded = each_is_a_row_or_bad(&values, &schema)?;
        prop_assert_eq!(decoded.batch.slice(decoded.batch.num_rows() - 3, 3), batch.slice(3, 3));
    }
}

fn each_is_a_row_or_bad(values: &[&[u8]], schema: &SchemaRef) -> Result<Decoded, TestCaseError> {
    let decoded = decode_rows(values, schema).unwrap();
    let mut seen: Vec<usize> =
        decoded.rows.iter().copied().chain(decoded.bad.iter().map(|(index, _)| *index)).collect();
    seen.sort_unstable();
    prop_assert_eq!(seen, (0..values.len()).collect::<Vec<_>>());
    prop_assert_eq!(decoded.batch.num_rows(), decoded.rows.len());
    for (index, reason) in &decoded.bad {
        prop_assert!(!reason.is_empty());
        let syntax = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(values[*index]);
        prop_assert!(syntax.is_err() || reason.contains("column `"), "{reason}");
    }
    // What was taken reads the same again.
    prop_assert_eq!(&round_trip(&decoded.batch).batch, &decoded.batch);
    Ok(decoded)
}
