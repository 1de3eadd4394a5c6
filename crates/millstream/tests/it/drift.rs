//! Files whose columns differ: each difference, each action, over the real program.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, Int32Array, Int64Array, StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use serde_json::Value;

use crate::program::Pipeline;
use crate::wire::{get, sql};

type Columns = Vec<(&'static str, ArrayRef)>;

fn write(pipeline: &Pipeline, name: &str, mut columns: Columns) {
    columns.push(("at", Arc::new(TimestampMicrosecondArray::from(vec![0, 1]).with_timezone("UTC"))));
    let fields: Vec<Field> =
        columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true)).collect();
    let arrays = columns.into_iter().map(|(_, column)| column).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
    let staged = pipeline.path("data").join(format!("_{name}"));
    let mut writer = ArrowWriter::try_new(File::create(&staged).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    std::fs::rename(staged, pipeline.path("data").join(name)).unwrap();
}

fn longs(values: [i64; 2]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn ints(values: [i32; 2]) -> ArrayRef {
    Arc::new(Int32Array::from(values.to_vec()))
}

fn floats(values: [f64; 2]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

fn texts(values: [&str; 2]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn nested(fields: &[&str]) -> ArrayRef {
    let of = |name: &&str| (Arc::new(Field::new(*name, DataType::Int64, true)), longs([1, 2]));
    Arc::new(StructArray::from(fields.iter().map(of).collect::<Vec<_>>()))
}

/// What comes of a second file.
enum Comes {
    /// Its rows, as this query over them tells.
    Rows(&'static str, &'static str),
    /// It is quarantined for a reason with these words.
    Quarantined(&'static str),
    /// The run ends with these words.
    Fails(&'static str),
}

fn check(what: &str, more: &str, first: Columns, second: Columns, comes: &Comes) {
    let pipeline = Pipeline::with_source("", more);
    write(&pipeline, "a.parquet", first);
    write(&pipeline, "b.parquet", second);
    let run = pipeline.call("run", &["--until-done", "--json"]);
    match comes {
        Comes::Rows(query, wanted) => {
            assert_eq!(run.code, 0, "{what}: {run:?}");
            let query = format!("SELECT {query} FROM archive WHERE _file = 'data/b.parquet' ORDER BY _row");
            let found = pipeline.call("sql", &[&query, "--json"]);
            assert_eq!(found.stdout.replace('\n', ""), *wanted, "{what}: {found:?} {}", run.stderr);
        }
        Comes::Quarantined(words) => {
            assert_eq!(run.code, 0, "{what}: {run:?}");
            let summary: Value = serde_json::from_str(&run.stdout).unwrap();
            let reason = summary["ledger"]["files"][1]["reason"].as_str().unwrap_or_default();
            assert!(reason.contains(words), "{what}: {summary}");
            assert_eq!(summary["ledger"]["files"][0]["state"], "done", "{what}: {summary}");
        }
        Comes::Fails(words) => {
            assert_eq!(run.code, 1, "{what}: {run:?}");
            assert!(run.stderr.contains(words), "{what}: {run:?}");
        }
    }
}

#[test]
fn columns_that_are_missing_or_new() {
    use Comes::{Fails, Quarantined, Rows};
    let set = |key: &str, value: &str| format!("[clean.drift]\n{key} = \"{value}\"\n");
    let a = || vec![("x", longs([1, 2]))];
    let two = || vec![("x", longs([1, 2])), ("y", texts(["p", "q"]))];
    let filled = "[clean.columns]\ny = { type = \"string\", fill = \"none\" }\n";
    let cases = [
        ("missing", String::new(), two(), a(), Rows("y", r#"{"y":null}{"y":null}"#)),
        ("missing, filled", filled.to_owned(), two(), a(), Rows("y", r#"{"y":"none"}{"y":"none"}"#)),
        ("missing", set("missing", "quarantine"), two(), a(), Quarantined("`y` is not in the file")),
        ("missing", set("missing", "fail"), two(), a(), Fails("`y` is not in the file")),
        ("added", String::new(), a(), two(), Rows("y", r#"{"y":"p"}{"y":"q"}"#)),
        ("added", set("added", "ignore"), a(), two(), Rows("x", r#"{"x":1}{"x":2}"#)),
        ("added", set("added", "quarantine"), a(), two(), Quarantined("`y` was not known")),
        ("added", set("added", "fail"), a(), two(), Fails("`y` was not known")),
    ];
    for (what, more, first, second, comes) in cases {
        check(&format!("{what} {more}"), &more, first, second, &comes);
    }
}

#[test]
fn columns_of_another_type() {
    use Comes::{Fails, Quarantined, Rows};
    let set = |value: &str| format!("[clean.drift]\nchanged = \"{value}\"\n");
    let cases = [
        ("changed", String::new(), longs([1, 2]), floats([3.0, 4.0]), Rows("x", r#"{"x":3}{"x":4}"#)),
        ("changed, one is bad", String::new(), longs([1, 2]), floats([3.5, 4.0]), Rows("x", r#"{"x":4}"#)),
        ("changed", set("quarantine"), longs([1, 2]), floats([3.0, 4.0]), Quarantined("`x` is `float64` in this file")),
        ("changed", set("fail"), longs([1, 2]), floats([3.0, 4.0]), Fails("`x` is `float64` in this file")),
        // A narrower type is no change.
        ("narrower", set("fail"), longs([1, 2]), ints([3, 4]), Rows("x", r#"{"x":3}{"x":4}"#)),
        ("nested", String::new(), nested(&["p"]), nested(&["p", "q"]), Quarantined("`x`: values of type")),
        ("nested", set("quarantine"), nested(&["p"]), nested(&["q"]), Quarantined("`x` is `struct<q: int64>`")),
        ("nested to plain", String::new(), longs([1, 2]), nested(&["p"]), Quarantined("`x`")),
        ("nested twice", String::new(), longs([1, 2]), nested(&["p", "P"]), Quarantined("`x`")),
    ];
    for (what, more, first, second, comes) in cases {
        check(&format!("{what} {more}"), &more, vec![("x", first)], vec![("x", second)], &comes);
    }
}

#[test]
fn columns_by_other_names() {
    use Comes::{Quarantined, Rows};
    let a = || vec![("x", longs([1, 2])), ("y", texts(["p", "q"]))];
    let from = "[clean.columns]\nx = { from = [\"X\", \"old\"] }\n";
    let both = r#"{"x":3,"y":"r"}{"x":4,"y":"s"}"#;
    let y = || ("y", texts(["r", "s"]));
    let cases = [
        ("renamed", from, vec![("old", longs([3, 4])), y()], Rows("x, y", both)),
        ("another case, declared", from, vec![("X", longs([3, 4])), y()], Rows("x, y", both)),
        ("another case", "", vec![("X", longs([3, 4])), y()], Quarantined("`X` differs from `x` only by case")),
        ("another order", "", vec![y(), ("x", longs([3, 4]))], Rows("x, y", both)),
        (
            "twice",
            "",
            vec![("x", longs([3, 4])), ("x", longs([5, 6]))],
            Quarantined("`x` and `x` would both become `x`"),
        ),
        ("twice by case", "", vec![("z", longs([3, 4])), ("Z", longs([5, 6]))], Quarantined("would both become `z`")),
        (
            "twice by an alias",
            from,
            vec![("x", longs([3, 4])), ("old", longs([5, 6]))],
            Quarantined("would both become `x`"),
        ),
    ];
    for (what, more, second, comes) in cases {
        check(what, more, a(), second, &comes);
    }
}

#[test]
fn a_new_column_reaches_topic_tables_and_views_of_a_pipeline_that_runs() {
    let view = "[[view]]\nname = \"counted\"\nsql = \"SELECT count(*) AS n, count(t) AS t FROM events\"\n";
    let pipeline = Pipeline::with_source("watch = true", view);
    write(&pipeline, "a.parquet", vec![("x", longs([1, 2]))]);
    let mut run = pipeline.start();
    let host = run.host().to_owned();
    let count = |table: &str| format!("SELECT count(*) AS n, count(t) AS t FROM {table}");
    run.wait_for("the first file in the archive", || {
        crate::wire::status(&host).filter(|status| status["archive"]["rows"] == 2)
    });
    assert_eq!(sql(&run, &count("events")).status, 400, "the column is not there yet");
    write(&pipeline, "b.parquet", vec![("x", longs([3, 4])), ("t", texts(["r", "s"]))]);
    run.wait_for("the second file in the archive", || {
        crate::wire::status(&host).filter(|status| status["archive"]["rows"] == 4)
    });
    for table in ["archive", "events", "live"] {
        let answer = sql(&run, &count(table)).json();
        assert_eq!(answer["rows"], serde_json::json!([[4, 2]]), "{table}: {answer}");
    }
    let data = get(&run, "/api/views/counted/data").json();
    assert_eq!(data["rows"], serde_json::json!([[4, 2]]), "{data}");
}
