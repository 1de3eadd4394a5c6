//! What values become, and which are bad.

use arrow::array::{
    BinaryArray, BooleanArray as Booleans, Date32Array, Decimal128Array, DictionaryArray, Float32Array,
    Int64Array as Longs, NullArray, StructArray, Time32SecondArray, TimestampMillisecondArray,
    TimestampNanosecondArray, UInt64Array,
};
use arrow::datatypes::Int8Type;
use millstream_core::config::clean::TextCase;

use super::*;

const BAD: &str = "bad";

/// What each value becomes in a column declared so: its text, `null`, or `bad`.
fn become_in(column: Column, values: ArrayRef) -> Vec<String> {
    let name = column.name.clone();
    let clean = Clean { columns: vec![Column { on_bad: OnBad::Nullify, ..column }], ..Clean::default() };
    let cleaned = cleaned(&clean, &rows(vec![(&name, values)])).unwrap();
    assert_eq!(cleaned.rejects.num_rows(), 0);
    let marks = lists(&cleaned.clean, "_marks");
    let text = |(value, mark): (String, String)| if mark == format!("type:{name}") { BAD.to_owned() } else { value };
    shown(&cleaned, &name).into_iter().zip(marks).map(text).collect()
}

fn text_becomes(column: Column, cases: &[(&str, &str)]) {
    let values = texts(&cases.iter().map(|(text, _)| Some(*text)).collect::<Vec<_>>());
    let found = become_in(column, values);
    for ((text, expected), found) in cases.iter().zip(&found) {
        assert_eq!(found, expected, "{text:?}");
    }
}

#[test]
fn text_becomes_a_number_only_if_it_is_one_to_its_end() {
    text_becomes(
        column("x", "int32"),
        &[
            ("12", "12"),
            ("+5", "5"),
            ("-007", "-7"),
            ("2147483647", "2147483647"),
            ("2147483648", BAD),
            (" 12", BAD),
            ("12 ", BAD),
            ("12.0", BAD),
            ("1e2", BAD),
            ("", BAD),
            ("12\n", BAD),
            ("٣", BAD),
            ("99999999999999999999", BAD),
        ],
    );
    text_becomes(column("x", "int8"), &[("127", "127"), ("128", BAD), ("-128", "-128")]);
    text_becomes(
        column("x", "decimal(6,2)"),
        &[
            ("1.005", "1.01"),
            ("-1.005", "-1.01"),
            ("1.004", "1.00"),
            (".5", "0.50"),
            ("5.", "5.00"),
            ("+5", "5.00"),
            ("9999.99", "9999.99"),
            ("9999.999", BAD),
            ("10000", BAD),
            ("1e2", BAD),
            ("1,5", BAD),
            (".", BAD),
            ("NaN", BAD),
            ("1.5d", BAD),
        ],
    );
    text_becomes(
        column("x", "float64"),
        &[
            ("1.5", "1.5"),
            ("1e2", "100"),
            ("-.5E-1", "-0.05"),
            ("1.5d", BAD),
            ("1.5f", BAD),
            ("NaN", BAD),
            ("inf", BAD),
            ("1e999", BAD),
            ("0x10", BAD),
            ("", BAD),
        ],
    );
    text_becomes(column("x", "float32"), &[("0.1", "0.1"), ("1e39", BAD), ("-0.25", "-0.25")]);
}

#[test]
fn text_becomes_a_boolean_by_a_list() {
    text_becomes(
        column("x", "boolean"),
        &[
            ("true", "true"),
            ("T", "true"),
            ("Yes", "true"),
            ("y", "true"),
            ("1", "true"),
            ("FALSE", "false"),
            ("f", "false"),
            ("no", "false"),
            ("N", "false"),
            ("0", "false"),
            ("on", BAD),
            ("off", BAD),
            ("2", BAD),
            ("tru", BAD),
            (" true", BAD),
            ("", BAD),
        ],
    );
}

#[test]
fn text_becomes_a_date_or_a_time_only_in_a_known_form() {
    text_becomes(
        column("x", "date"),
        &[
            ("2026-01-31", "2026-01-31"),
            ("0001-01-01", "0001-01-01"),
            ("2026-01", BAD),
            ("2026-02-30", BAD),
            ("2026-1-3", BAD),
            ("0000-01-01", BAD),
            ("2026-01-31 00:00:00", BAD),
            ("today", BAD),
        ],
    );
    text_becomes(
        column("x", "timestamp"),
        &[
            ("2018-11-01 02:03:04", "2018-11-01T02:03:04Z"),
            ("2018-11-01T02:03:04.25Z", "2018-11-01T02:03:04.250000Z"),
            ("2018-11-01 02:03:04+02:00", "2018-11-01T00:03:04Z"),
            ("12:30", BAD),
            ("2018-11-01", BAD),
            ("2018-02-30 00:00:00", BAD),
            ("2018-11-01 24:00:00", BAD),
            ("2018-11-01 00:00:60", BAD),
            ("2018-11-01 00:00:00.1234567", BAD),
            ("2018-11-01 02:03", BAD),
        ],
    );
    let formats = |formats: &[&str], zone: Option<&str>| Column {
        formats: formats.iter().map(ToString::to_string).collect(),
        time_zone: zone.map(str::to_owned),
        ..column("x", "timestamp")
    };
    text_becomes(
        formats(&["%d/%m/%Y %H:%M", "%Y%m%d"], None),
        &[
            ("31/12/2018 02:03", "2018-12-31T02:03:00Z"),
            ("20181231", "2018-12-31T00:00:00Z"),
            ("2018-12-31 02:03:00", BAD),
            ("31/13/2018 02:03", BAD),
        ],
    );
    text_becomes(
        formats(&[], Some("-05:00")),
        &[("2018-11-01 02:03:04", "2018-11-01T07:03:04Z"), ("2018-11-01 02:03:04Z", "2018-11-01T02:03:04Z")],
    );
}

#[test]
fn numbers_become_what_holds_them() {
    let cases: Vec<(&str, ArrayRef, Vec<&str>)> = vec![
        (
            "int32",
            floats(&[Some(1.0), Some(-0.0), Some(1.5), Some(f64::NAN), Some(3e9), None]),
            vec!["1", "0", BAD, BAD, BAD, "null"],
        ),
        (
            "int64",
            floats(&[Some(9_223_372_036_854_775_808.0), Some(-9_223_372_036_854_775_808.0), Some(f64::INFINITY)]),
            vec![BAD, "-9223372036854775808", BAD],
        ),
        ("int32", Arc::new(Float32Array::from(vec![7.0, 2_147_483_648.0, -7.5])), vec!["7", BAD, BAD]),
        (
            "decimal(5,2)",
            floats(&[Some(7.3), Some(0.125), Some(-0.125), Some(999.994), Some(999.996), Some(f64::NAN), Some(1e300)]),
            vec!["7.30", "0.13", "-0.13", "999.99", BAD, BAD, BAD],
        ),
        (
            "decimal(38,0)",
            floats(&[Some(9_007_199_254_740_991.0), Some(9_007_199_254_740_992.0)]),
            vec!["9007199254740991", BAD],
        ),
        (
            "float32",
            floats(&[Some(0.5), Some(1e300), Some(f64::NEG_INFINITY), Some(f64::NAN)]),
            vec!["0.5", BAD, "-Infinity", "NaN"],
        ),
        ("int8", integers(&[Some(127), Some(128)]), vec!["127", BAD]),
        ("boolean", integers(&[Some(0), Some(1), Some(2)]), vec!["false", "true", BAD]),
        ("decimal(4,2)", integers(&[Some(99), Some(100)]), vec!["99.00", BAD]),
        ("string", integers(&[Some(-5)]), vec!["-5"]),
        (
            "int64",
            Arc::new(Decimal128Array::from(vec![1200, 1250]).with_precision_and_scale(10, 2).unwrap()),
            vec!["12", BAD],
        ),
        (
            "decimal(4,1)",
            Arc::new(Decimal128Array::from(vec![1225, -1225, 99_999]).with_precision_and_scale(10, 2).unwrap()),
            vec!["12.3", "-12.3", BAD],
        ),
        ("string", Arc::new(Decimal128Array::from(vec![-5]).with_precision_and_scale(10, 2).unwrap()), vec!["-0.05"]),
        ("int16", Arc::new(Booleans::from(vec![true, false])), vec!["1", "0"]),
        ("timestamp", Arc::new(Date32Array::from(vec![1])), vec!["1970-01-02T00:00:00Z"]),
        ("string", Arc::new(Date32Array::from(vec![1, 4_000_000])), vec!["1970-01-02", BAD]),
        ("string", Arc::new(BinaryArray::from(vec![b"a".as_slice(), b"\xff".as_slice()])), vec!["a", BAD]),
    ];
    for (of, values, expected) in cases {
        assert_eq!(become_in(column("x", of), Arc::clone(&values)), expected, "{} to {of}", values.data_type());
    }
}

#[test]
fn source_types_take_their_place_without_a_declaration() {
    let times = |values: Vec<i64>| TimestampNanosecondArray::from(values);
    let cases: Vec<(ArrayRef, &str, Vec<&str>)> = vec![
        (Arc::new(UInt64Array::from(vec![u64::MAX])), "Decimal128(20, 0)", vec!["18446744073709551615"]),
        (
            Arc::new(times(vec![1_500, -1])),
            "Timestamp(µs, \"UTC\")",
            vec!["1970-01-01T00:00:00.000001Z", "1970-01-01T00:00:00Z"],
        ),
        (Arc::new(times(vec![0]).with_timezone("+02:00")), "Timestamp(µs, \"UTC\")", vec!["1970-01-01T00:00:00Z"]),
        (
            Arc::new(TimestampMillisecondArray::from(vec![1])),
            "Timestamp(µs, \"UTC\")",
            vec!["1970-01-01T00:00:00.001000Z"],
        ),
        (Arc::new(Time32SecondArray::from(vec![2])), "Int64", vec!["2000000"]),
        (Arc::new(["a", "b", "a"].into_iter().collect::<DictionaryArray<Int8Type>>()), "Utf8", vec!["a", "b", "a"]),
        (Arc::new(arrow::array::LargeStringArray::from(vec!["a"])), "Utf8", vec!["a"]),
        (Arc::new(arrow::array::StringViewArray::from(vec!["a"])), "Utf8", vec!["a"]),
        (
            Arc::new(arrow::array::FixedSizeBinaryArray::try_from_iter([[1_u8, 255]].into_iter()).unwrap()),
            "Binary",
            vec!["01ff"],
        ),
    ];
    for (values, of, expected) in cases {
        let from = values.data_type().clone();
        let cleaned = cleaned(&Clean::default(), &rows(vec![("x", values)])).unwrap();
        assert_eq!(cleaned.clean.column(0).data_type().to_string(), of, "{from}");
        assert_eq!(shown(&cleaned, "x"), expected, "{from}");
    }
}

#[test]
fn a_time_past_the_range_of_microseconds_is_bad() {
    let values = Arc::new(TimestampMillisecondArray::from(vec![i64::MAX, 0]));
    assert_eq!(become_in(column("x", "timestamp"), values), [BAD, "1970-01-01T00:00:00Z"]);
}

#[test]
fn a_local_time_moves_by_its_zone_and_an_instant_does_not() {
    let zoned = || Column { time_zone: Some("+02:00".to_owned()), ..column("x", "timestamp") };
    let local = arrow::array::TimestampMicrosecondArray::from(vec![7_200_000_000]);
    assert_eq!(become_in(zoned(), Arc::new(local.clone())), ["1970-01-01T00:00:00Z"]);
    assert_eq!(become_in(zoned(), Arc::new(local.with_timezone("UTC"))), ["1970-01-01T02:00:00Z"]);
}

#[test]
fn spaces_tokens_case_and_fill_are_done_in_this_order() {
    let flag = Column {
        trim: true,
        case: Some(TextCase::Upper),
        null_tokens: vec!["?".to_owned()],
        fill: Some(Literal::Text("N".to_owned())),
        ..column("flag", "string")
    };
    let clean = Clean { null_tokens: vec![String::new(), "N/A".to_owned()], columns: vec![flag], ..Clean::default() };
    let values = texts(&[Some(" y "), Some("  "), Some("n/a"), Some("N/A "), Some("?"), None]);
    let cleaned = cleaned(&clean, &rows(vec![("flag", values)])).unwrap();
    assert_eq!(shown(&cleaned, "flag"), ["Y", "N", "N/A", "N", "N", "N"]);
    assert_eq!(lists(&cleaned.clean, "_marks"), ["", "fill:flag", "", "fill:flag", "fill:flag", "fill:flag"]);
}

#[test]
fn tokens_of_a_column_count_for_numbers_too() {
    let code = Column { null_tokens: vec!["99".to_owned()], ..column("code", "int32") };
    let clean = Clean { null_tokens: vec!["98".to_owned()], columns: vec![code], ..Clean::default() };
    let cleaned = cleaned(&clean, &rows(vec![("code", floats(&[Some(99.0), Some(98.0)]))])).unwrap();
    assert_eq!(shown(&cleaned, "code"), ["null", "98"]);
    assert_eq!(lists(&cleaned.clean, "_marks"), ["", ""]);
}

#[test]
fn a_column_without_a_type_takes_the_declared_one_or_stays_away() {
    let clean = Clean { columns: vec![column("fee", "decimal(4,2)")], ..Clean::default() };
    let nothing = || Arc::new(NullArray::new(2)) as ArrayRef;
    let cleaned =
        cleaned(&clean, &rows(vec![("fee", nothing()), ("other", nothing()), ("id", integers(&[Some(1), None]))]))
            .unwrap();
    let names: Vec<_> = cleaned.clean.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["fee", "id", "_row", "_marks"]);
    assert_eq!(shown(&cleaned, "fee"), ["null", "null"]);
}

#[test]
fn a_bad_value_fills_if_it_became_null() {
    let clean = Clean {
        columns: vec![Column { on_bad: OnBad::Nullify, fill: Some(Literal::Integer(0)), ..column("x", "int32") }],
        ..Clean::default()
    };
    let cleaned = cleaned(&clean, &rows(vec![("x", texts(&[Some("a"), None, Some("1")]))])).unwrap();
    assert_eq!(shown(&cleaned, "x"), ["0", "0", "1"]);
    assert_eq!(lists(&cleaned.clean, "_marks"), ["type:x; fill:x", "fill:x", ""]);
}

#[test]
fn nested_columns_pass_and_are_reached_by_rules() {
    let inner = integers(&[Some(1), Some(-1), Some(-1)]);
    let field = Arc::new(Field::new("b", DataType::Int32, true));
    let nulls = arrow::buffer::NullBuffer::from(vec![true, true, false]);
    let nested = StructArray::new(vec![field].into(), vec![inner], Some(nulls));
    let clean = Clean { rules: vec![rule("b", "a.b", range(Some(0), None), Action::Reject)], ..Clean::default() };
    let cleaned =
        cleaned(&clean, &rows(vec![("a", Arc::new(nested)), ("long", Arc::new(Longs::from(vec![1, 2, 3])))])).unwrap();
    assert_eq!(numbers(&cleaned.clean), [100, 102], "a field of nothing is nothing");
    assert_eq!(lists(&cleaned.rejects, "reasons"), ["a.b is -1, allowed from 0"]);
    assert_eq!(cleaned.rejects.column(3).as_string::<i32>().value(0), r#"{"a":{"b":-1},"long":2}"#);
}
