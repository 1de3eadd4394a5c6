//! What bad files do: they are told of, and never stop the others.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;

use crate::program::Pipeline;

/// Writes a Parquet file with a number, a time and a text for each row.
fn write(pipeline: &Pipeline, name: &str, texts: &[String]) {
    let numbers: Vec<i64> = (0..).take(texts.len()).collect();
    let times = TimestampMicrosecondArray::from(numbers.clone()).with_timezone("UTC");
    let batch = RecordBatch::try_from_iter([
        ("n", Arc::new(Int64Array::from(numbers)) as _),
        ("at", Arc::new(times) as _),
        ("t", Arc::new(StringArray::from(texts.to_vec())) as _),
    ])
    .unwrap();
    let file = File::create(pipeline.path("data").join(name)).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn texts(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[test]
fn broken_files_and_entries_are_told_of_and_the_others_go_on() {
    let pipeline = Pipeline::with_source("settle = \"100ms\"", "");
    write(&pipeline, "a.parquet", &texts(0..10));
    let whole = std::fs::read(pipeline.path("data/a.parquet")).unwrap();
    std::fs::write(pipeline.path("data/b.parquet"), &whole[..whole.len() - 5]).unwrap();
    std::os::unix::fs::symlink("loop.parquet", pipeline.path("data/loop.parquet")).unwrap();
    let run = pipeline.call("run", &["--until-done"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stderr.contains("loop.parquet"), "{run:?}");
    let status = pipeline.call("status", &[]);
    assert!(status.stdout.contains("quarantined `data/b.parquet`: it has no valid Parquet footer"), "{status:?}");
    assert_eq!(pipeline.call("verify", &[]).code, 0);
}

#[test]
fn a_row_that_fits_no_record_is_rejected_and_verify_agrees() {
    let pipeline = Pipeline::with_source("", "");
    let mut rows = texts(0..5);
    rows[3] = (1..200_000u64).map(|n| (n * n).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_string()).collect();
    write(&pipeline, "a.parquet", &rows);
    let run = pipeline.call("run", &["--until-done"]);
    assert_eq!(run.code, 0, "{run:?}");
    let rejected = pipeline.call("sql", &["SELECT _row, rules[1] AS rule FROM rejects", "--json"]);
    assert_eq!(rejected.stdout, "{\"_row\":3,\"rule\":\"record:too_large\"}\n", "{rejected:?}");
    let verify = pipeline.call("verify", &[]);
    assert_eq!(verify.code, 0, "{verify:?}");
}

#[test]
fn verify_does_not_call_repeats_lost_when_the_file_with_the_first_of_them_is_gone() {
    let pipeline = Pipeline::with_source("", "[clean.dedup]\nkey = [\"t\"]\nwithin = \"source\"\n");
    write(&pipeline, "a.parquet", &texts(0..10));
    write(&pipeline, "b.parquet", &texts(5..15));
    assert_eq!(pipeline.call("run", &["--until-done"]).code, 0);
    std::fs::remove_file(pipeline.path("data/a.parquet")).unwrap();
    let verify = pipeline.call("verify", &[]);
    assert_eq!(verify.code, 0, "{verify:?}");
    assert!(verify.stdout.contains("`data/a.parquet` was not cleaned again"), "{verify:?}");
}

#[test]
fn a_column_that_a_later_file_adds_reaches_every_table() {
    let pipeline = Pipeline::with_source("", "");
    pipeline.add_file("a.parquet", 10);
    write(&pipeline, "b.parquet", &texts(0..5));
    let run = pipeline.call("run", &["--until-done"]);
    assert_eq!(run.code, 0, "{run:?}");
    for table in ["archive", "events"] {
        let count = format!("SELECT count(*) AS rows, count(t) AS texts FROM {table}");
        let counted = pipeline.call("sql", &[&count, "--json"]);
        assert_eq!(counted.stdout, "{\"rows\":15,\"texts\":5}\n", "{counted:?}");
    }
}
