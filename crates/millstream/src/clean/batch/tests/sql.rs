//! What SQL expressions give, value by value: the semantics written at the top of the expression tree.

use arrow::array::{Decimal128Array, TimestampMicrosecondArray};

use super::*;

/// One row of every type, and one of NULL in the columns that end in `_null`.
fn row() -> RecordBatch {
    rows(vec![
        ("i", integers(&[Some(7)])),
        ("j", integers(&[Some(2)])),
        ("zero", integers(&[Some(0)])),
        ("big", Arc::new(Int64Array::from(vec![i64::MAX]))),
        ("f", floats(&[Some(0.5)])),
        ("minus_zero", floats(&[Some(-0.0)])),
        ("nan", floats(&[Some(f64::NAN)])),
        ("d", Arc::new(Decimal128Array::from(vec![1250]).with_precision_and_scale(10, 2).unwrap())),
        ("t", texts(&[Some("Grün, 12")])),
        ("i_null", integers(&[None])),
        ("t_null", texts(&[None])),
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![1_541_039_584_500_000]).with_timezone("UTC"))),
        ("truth", Arc::new(BooleanArray::from(vec![true]))),
        ("unknown", Arc::new(BooleanArray::from(vec![None]))),
    ])
}

fn give(cases: &[(&str, &str, &str)]) {
    for (sql, of, expected) in cases {
        let derived = Derived { name: "result".to_owned(), column_type: of.parse().unwrap(), sql: (*sql).to_owned() };
        let clean = Clean { derive: vec![derived], ..Clean::default() };
        let cleaned = cleaned(&clean, &row()).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        assert_eq!(shown(&cleaned, "result"), [*expected], "{sql}");
    }
}

#[test]
fn arithmetic_follows_the_rules_of_the_tree() {
    give(&[
        ("i / j", "float64", "3.5"),
        ("i / zero", "float64", "null"),
        ("f / minus_zero", "float64", "null"),
        ("i * j + 1", "int64", "15"),
        ("big + 1", "int64", "null"),
        ("big * big", "int64", "null"),
        ("big - 1", "int64", "9223372036854775806"),
        ("-i", "int64", "-7"),
        ("-f", "float64", "-0.5"),
        ("abs(-i)", "int64", "7"),
        ("d + 1", "decimal(20,2)", "13.50"),
        ("d * d", "decimal(21,4)", "156.2500"),
        ("d - 0.005", "decimal(11,3)", "12.495"),
        ("d / 4", "float64", "3.125"),
        ("d * f", "float64", "6.25"),
        ("i + i_null", "int64", "null"),
    ]);
}

#[test]
fn comparison_and_logic_have_three_values() {
    give(&[
        ("i > j AND unknown", "boolean", "null"),
        ("i < j AND unknown", "boolean", "false"),
        ("i > j OR unknown", "boolean", "true"),
        ("NOT unknown", "boolean", "null"),
        ("unknown IS NOT TRUE", "boolean", "true"),
        ("i_null = 1", "boolean", "null"),
        ("i_null IS NULL", "boolean", "true"),
        ("i IN (1, 7)", "boolean", "true"),
        ("i NOT IN (1, 7.5)", "boolean", "true"),
        ("i_null IN (1, 7)", "boolean", "null"),
        ("i BETWEEN 7 AND 9", "boolean", "true"),
        ("minus_zero = 0", "boolean", "true"),
        ("minus_zero >= 0.0", "boolean", "true"),
        ("minus_zero < 0", "boolean", "false"),
        ("minus_zero IN (0.0, 5)", "boolean", "true"),
        ("nan = nan", "boolean", "true"),
        ("nan > f", "boolean", "true"),
        ("d = 12.5", "boolean", "true"),
        ("d > 12.499", "boolean", "true"),
        ("i > 6.5", "boolean", "true"),
        ("at >= TIMESTAMP '2018-11-01 00:00:00Z'", "boolean", "true"),
        ("at < '2018-11-01T04:33:05+02:00'", "boolean", "true"),
        ("at < '2018-11-01T04:33:04+02:00'", "boolean", "false"),
        ("at > DATE '2018-11-01'", "boolean", "true"),
        ("CASE WHEN unknown THEN 1 WHEN truth THEN 2 ELSE 3 END", "int64", "2"),
        ("CASE i WHEN 8 THEN 'x' END", "string", "null"),
        ("coalesce(i_null, NULL, i)", "int64", "7"),
        ("nullif(i, 7)", "int32", "null"),
        ("nullif(zero, 7)", "int32", "0"),
    ]);
}

#[test]
fn functions_give_what_the_list_says() {
    give(&[
        ("lower(t)", "string", "grün, 12"),
        ("upper(t)", "string", "GRÜN, 12"),
        ("length(t)", "int32", "8"),
        ("trim('  a ') || '.'", "string", "a."),
        ("ltrim('  a ') || '.'", "string", "a ."),
        ("rtrim('  a ') || '.'", "string", "  a."),
        ("lpad('7', 3, '0')", "string", "007"),
        ("rpad('abcd', 3)", "string", "abc"),
        ("split_part(t, ', ', 2)", "string", "12"),
        ("split_part(t, ', ', 3)", "string", ""),
        ("replace(t, 'ü', 'ue')", "string", "Gruen, 12"),
        ("t || t_null", "string", "null"),
        ("concat_ws('-', t, t_null, 'x')", "string", "Grün, 12-x"),
        ("t LIKE 'Gr_n%'", "boolean", "true"),
        ("t LIKE '%\"'", "boolean", "false"),
        ("regexp_like(t, '\\d+$')", "boolean", "true"),
        ("regexp_like(t, '^\\w+$')", "boolean", "false"),
        ("year(at) * 100 + month(at)", "int64", "201811"),
        ("extract(day FROM at)", "int32", "1"),
        ("hour(at)", "int32", "2"),
        ("minute(at)", "int32", "33"),
        ("date_trunc('hour', at)", "timestamp", "2018-11-01T02:00:00Z"),
        ("date_trunc('month', at)", "timestamp", "2018-11-01T00:00:00Z"),
        ("date_trunc('year', at)", "timestamp", "2018-01-01T00:00:00Z"),
        ("CAST(at AS date)", "date", "2018-11-01"),
        ("at + INTERVAL '12' HOUR", "timestamp", "2018-11-01T14:33:04.500000Z"),
        ("at - INTERVAL '1' DAY < TIMESTAMP '2018-11-01 00:00:00Z'", "boolean", "true"),
        ("at < at - INTERVAL '90' SECOND", "boolean", "false"),
        ("CAST('12' AS int)", "int32", "12"),
        ("CAST('on' AS boolean)", "boolean", "null"),
        ("CAST(f AS int)", "int32", "null"),
        ("TRY_CAST('1e2' AS decimal(5,2))", "decimal(5,2)", "null"),
        ("CAST(i AS string) || 'x'", "string", "7x"),
    ]);
}
