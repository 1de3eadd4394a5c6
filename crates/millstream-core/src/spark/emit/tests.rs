//! What expressions look like in Spark SQL.

use super::*;
use crate::expr::convert::convert;
use crate::expr::formats::TimeForms;
use crate::expr::parse::parse_sql;
use crate::expr::{Scope, literal::Value};

fn of(text: &str) -> ValueType {
    ValueType::Scalar(text.parse().unwrap())
}

fn scope() -> Scope {
    Scope::new(vec![
        ("id".to_owned(), of("int32")),
        ("big".to_owned(), of("int64")),
        ("fare".to_owned(), of("decimal(10,2)")),
        ("tip".to_owned(), of("float64")),
        ("flag".to_owned(), of("string")),
        ("at".to_owned(), of("timestamp")),
        ("day".to_owned(), of("date")),
        ("nested".to_owned(), ValueType::Struct(vec![("b`c".to_owned(), of("int64"))])),
    ])
}

/// The Spark SQL of SQL in a pipeline file.
fn spark(sql: &str) -> String {
    emit(&parse_sql(sql, &scope()).unwrap(), &str::to_owned).unwrap()
}

fn converted(from: &str, to: &str) -> String {
    let expr = convert(Expr::column("x", of(from)), to.parse().unwrap(), &TimeForms::default()).unwrap();
    emit(&expr, &str::to_owned).unwrap()
}

#[test]
fn every_operator_has_its_form() {
    let cases = [
        ("id > 5", "(id > 5)"),
        ("big <= 5", "(big <= 5L)"),
        ("id != big", "(try_cast(id AS BIGINT) != big)"),
        ("NOT (tip = 0.5 AND id IS NULL OR flag < 'a')", "(NOT (((tip = 5e-1D) AND (id IS NULL)) OR (flag < 'a')))"),
        ("id IN (1, 2)", "(id IN (1, 2))"),
        ("tip IN (0, 1)", "(tip = 0e0D OR tip IN (1e0D))"),
        ("flag LIKE 'a%'", "(flag LIKE 'a%')"),
        ("regexp_like(flag, '^\\d+$')", "(flag RLIKE '^[0-9]+\\z')"),
        ("big + 1", "try_add(big, 1L)"),
        ("big - id", "try_subtract(big, try_cast(id AS BIGINT))"),
        ("big * 2", "try_multiply(big, 2L)"),
        ("fare + 0.5", "CAST(try_add(fare, CAST('0.5' AS DECIMAL(1,1))) AS DECIMAL(11,2))"),
        ("tip * 2", "(tip * 2e0D)"),
        ("tip / id", "try_divide(tip, try_cast(id AS DOUBLE))"),
        ("CASE WHEN id > 1 THEN NULL ELSE flag END", "CASE WHEN (id > 1) THEN CAST(NULL AS STRING) ELSE flag END"),
        ("nested.\"b`c\" = 1", "(nested.`b``c` = 1L)"),
        ("at >= '2020-01-01'", "(at >= timestamp_micros(1577836800000000L))"),
        ("day = '1970-01-03'", "(day = date_from_unix_date(2))"),
    ];
    for (sql, expected) in cases {
        assert_eq!(spark(sql), expected, "{sql}");
    }
}

#[test]
fn every_function_has_its_form() {
    let cases = [
        ("lower(flag) || upper(flag)", "(lower(flag) || upper(flag))"),
        ("trim(ltrim(rtrim(flag)))", "trim(ltrim(rtrim(flag)))"),
        ("length(flag)", "char_length(flag)"),
        ("lpad(flag, 5, '0')", "lpad(flag, 5, '0')"),
        ("rpad(flag, 5)", "rpad(flag, 5, ' ')"),
        ("split_part(flag, ',', 2)", "split_part(flag, ',', 2)"),
        ("replace(flag, 'a', NULL)", "replace(flag, 'a', CAST(NULL AS STRING))"),
        ("concat_ws('-', flag, 'x')", "concat_ws('-', flag, 'x')"),
        ("coalesce(id, 1)", "coalesce(try_cast(id AS BIGINT), 1L)"),
    ];
    for (sql, expected) in cases {
        assert_eq!(spark(sql), expected, "{sql}");
    }
    let parts = [("year", "year"), ("month", "month"), ("day", "day"), ("hour", "hour"), ("minute", "minute")];
    for (name, expected) in parts {
        assert!(spark(&format!("{name}(at)")).contains(&format!(" THEN {expected}(at)")), "{name}");
    }
    let micros = |sql: &str| spark(&format!("date_trunc('{sql}', at)"));
    assert!(
        micros("hour").contains("timestamp_micros(try_subtract(unix_micros(at), pmod(unix_micros(at), 3600000000L)))")
    );
    assert!(micros("minute").contains("60000000L") && micros("day").contains("86400000000L"));
    assert!(micros("month").contains("CAST(trunc(CAST(at AS DATE), 'MONTH') AS TIMESTAMP)"));
    assert!(micros("year").contains("'YEAR'"));
}

#[test]
fn casts_that_spark_does_differently_are_mended() {
    assert!(converted("float64", "decimal(10,2)").contains(
        "try_cast(CAST(try_cast(round((x * 1e2D), 0) AS BIGINT) AS DECIMAL(19,0)) * CAST('1e-2' AS DECIMAL(2,2)) AS DECIMAL(10,2))"
    ));
    assert!(converted("float64", "decimal(38,30)").contains("|| 'e-30' AS DECIMAL(38,30))"));
    assert_eq!(converted("decimal(15,2)", "float64"), "CAST(x AS DOUBLE)");
    assert_eq!(converted("decimal(16,2)", "float64"), "(CAST(replace(CAST(x AS STRING), '.', '') AS DOUBLE) / 1e2D)");
    assert_eq!(converted("binary", "string"), "try_validate_utf8(CAST(x AS STRING))");
    assert_eq!(converted("decimal(9,2)", "string"), "CAST(x AS STRING)");
    assert_eq!(converted("int64", "int8"), "try_cast(x AS TINYINT)");
    assert_eq!(converted("int32", "float32"), "CAST(CAST(x AS DOUBLE) AS FLOAT)");
    assert_eq!(converted("int64", "float32"), "CAST(CAST(x AS STRING) AS FLOAT)");
}

#[test]
fn literals_are_exact() {
    let decimal = ColumnType::Decimal { precision: 4, scale: 2 };
    let cases = [
        (Literal::text("plain ß 🙂 \\d"), "'plain ß 🙂 \\d'"),
        (Literal::text("it's"), "CAST(X'69742773' AS STRING)"),
        (Literal::text("a\nb"), "CAST(X'610a62' AS STRING)"),
        (Literal::text("a\\"), "CAST(X'615c' AS STRING)"),
        (Literal::text("${x}"), "CAST(X'247b787d' AS STRING)"),
        (Literal::float(-0.0), "-0e0D"),
        (Literal::float(f64::NAN), "CAST('NaN' AS DOUBLE)"),
        (Literal::float(f64::NEG_INFINITY), "CAST('-Infinity' AS DOUBLE)"),
        (Literal::float(5e-324), "5e-324D"),
        (Literal::new(Value::Float(0.5), ColumnType::Float32), "CAST(5e-1D AS FLOAT)"),
        (Literal::new(Value::Decimal(-5), decimal), "CAST('-0.05' AS DECIMAL(4,2))"),
        (Literal::new(Value::Integer(-128), ColumnType::Int8), "-128Y"),
        (Literal::new(Value::Integer(7), ColumnType::Int16), "7S"),
        (Literal::integer(i64::MIN), "-9223372036854775808L"),
        (Literal::boolean(true), "true"),
        (Literal::null(decimal), "CAST(NULL AS DECIMAL(4,2))"),
        (Literal::new(Value::Text("ab".to_owned()), ColumnType::Binary), "X'6162'"),
    ];
    for (value, expected) in cases {
        assert_eq!(literal(&value), expected);
    }
}

#[test]
fn rewritten_texts_take_groups_of_java() {
    let forms = TimeForms::new(&["%d$%m\\%Y".to_owned()], None).unwrap();
    let expr = convert(Expr::column("x", of("string")), ColumnType::Date, &forms).unwrap();
    let sql = emit(&expr, &str::to_owned).unwrap();
    assert!(sql.starts_with(r"CASE WHEN (x RLIKE '^(?:(") && sql.ends_with(r", '$3-$2-$1') AS DATE) END"), "{sql}");
    assert_eq!(replacement(&[Piece::Text("a$b\\".to_owned()), Piece::Group(2)]), r"a\$b\\$2");
}
