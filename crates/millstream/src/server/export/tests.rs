use std::io::Read;

use arrow::array::{BinaryArray, Float64Array, Int64Array, ListArray, TimestampMicrosecondArray};
use arrow::datatypes::Int64Type;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;

fn batch() -> RecordBatch {
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None]), None, Some(vec![])]);
    let times = TimestampMicrosecondArray::from(vec![0, 1, 1_500_000]).with_timezone("+00:00");
    RecordBatch::try_from_iter_with_nullable([
        ("n", Arc::new(Int64Array::from(vec![Some(1), None, Some(-3)])) as ArrayRef, true),
        ("na\"me, ö", Arc::new(StringArray::from(vec![Some("a,b"), Some("say \"hi\"\n"), None])) as ArrayRef, true),
        ("x", Arc::new(Float64Array::from(vec![0.1, f64::NAN, 1e300])) as ArrayRef, true),
        ("at", Arc::new(times) as ArrayRef, true),
        ("list", Arc::new(lists) as ArrayRef, true),
        ("raw", Arc::new(BinaryArray::from_vec(vec![b"\x00\xff", b"", b"a"])) as ArrayRef, true),
    ])
    .unwrap()
}

fn written(format: Format, batches: &[RecordBatch], rows: usize, bytes: u64) -> Result<Written, QueryError> {
    written_within(format, batches, Bounds { rows, bytes, reserve_bytes: 0 })
}

fn written_within(format: Format, batches: &[RecordBatch], most: Bounds) -> Result<Written, QueryError> {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(format, folder.path(), most);
    writer.begin(&batch().schema())?;
    for batch in batches {
        assert!(writer.rows(batch)?);
    }
    writer.finish()
}

fn bytes(mut written: Written) -> Vec<u8> {
    let mut bytes = Vec::new();
    written.file.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, written.bytes);
    bytes
}

#[test]
fn csv_holds_every_value_and_nested_ones_as_json() {
    let written = written(Format::Csv, &[batch(), batch().slice(0, 1)], 10, 10_000).unwrap();
    assert_eq!(written.rows, 4);
    let text = String::from_utf8(bytes(written)).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "n,\"na\"\"me, ö\",x,at,list,raw",
            "1,\"a,b\",0.1,1970-01-01T00:00:00Z,\"[1,null]\",00ff",
            // A line end within a value.
            ",\"say \"\"hi\"\"",
            "\",NaN,1970-01-01T00:00:00.000001Z,,",
            "-3,,1e300,1970-01-01T00:00:01.500Z,[],61",
            "1,\"a,b\",0.1,1970-01-01T00:00:00Z,\"[1,null]\",00ff",
        ]
    );
}

#[test]
fn csv_without_rows_has_the_names() {
    let text = String::from_utf8(bytes(written(Format::Csv, &[], 10, 10_000).unwrap())).unwrap();
    assert_eq!(text, "n,\"na\"\"me, ö\",x,at,list,raw\n");
}

#[test]
fn parquet_keeps_types_and_values() {
    for batches in [vec![batch(), batch()], Vec::new()] {
        let file = bytes::Bytes::from(bytes(written(Format::Parquet, &batches, 10, 100_000).unwrap()));
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        assert_eq!(reader.schema().fields(), batch().schema().fields());
        let read: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
        assert_eq!(read.iter().map(RecordBatch::num_rows).sum::<usize>(), 3 * batches.len());
        if let Some(first) = read.first() {
            assert_eq!(first.slice(0, 3).columns(), batch().columns());
        }
    }
}

#[test]
fn an_export_over_its_bounds_is_an_error_and_no_file() {
    let too_long = |format, rows, bytes| written(format, &[batch(), batch()], rows, bytes).err().unwrap().to_string();
    for format in [Format::Csv, Format::Parquet] {
        assert!(too_long(format, 5, 100_000).contains("at most 5 rows"));
    }
    assert!(too_long(Format::Csv, 100, 200).contains("narrow it with WHERE or LIMIT"));
}

#[test]
fn an_export_leaves_the_room_that_the_log_needs() {
    let most = Bounds { reserve_bytes: u64::MAX, ..BOUNDS };
    let refused = written_within(Format::Csv, &[batch()], most).err();
    assert!(
        matches!(&refused, Some(QueryError::NoRoom(text)) if text.contains("must stay free for the log")),
        "{refused:?}"
    );
}
