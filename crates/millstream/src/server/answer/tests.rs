use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, Int64Array, StringViewArray};
use arrow::datatypes::{DataType, Int64Type, Schema};
use arrow::ipc::reader::StreamReader;
use arrow::record_batch::RecordBatch;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::{Form, PIECE_ROWS, answer};
use crate::view::QueryResult;

async fn body(response: Response) -> Vec<u8> {
    axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()
}

fn result(rows: usize) -> QueryResult {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..i64::try_from(rows).unwrap()));
    let texts: ArrayRef = Arc::new(StringViewArray::from_iter_values((0..rows).map(|row| format!("row {row}"))));
    let batch = RecordBatch::try_from_iter([("number", numbers), ("text", texts)]).unwrap();
    QueryResult {
        schema: batch.schema(),
        batches: vec![batch.slice(0, rows / 3), batch.slice(rows / 3, rows - rows / 3)],
        truncated: true,
        elapsed: Duration::from_micros(1500),
        memory: None,
    }
}

#[tokio::test]
async fn a_json_answer_has_every_row_in_order() {
    let rows = 3 * PIECE_ROWS + 1;
    let text: Value = serde_json::from_slice(&body(answer(&result(rows), Form::Json).unwrap()).await).unwrap();
    assert_eq!(
        text["columns"],
        json!([{ "name": "number", "data_type": "Int64" }, { "name": "text", "data_type": "Utf8" }])
    );
    assert_eq!(text["truncated"], json!(true));
    assert_eq!(text["elapsed_ms"], json!(1.5));
    let numbers: Vec<u64> = text["rows"].as_array().unwrap().iter().map(|row| row[0].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..rows as u64).collect::<Vec<_>>());
    assert_eq!(text["rows"][rows - 1][1], json!(format!("row {}", rows - 1)));
}

#[tokio::test]
async fn an_answer_without_rows_has_its_columns() {
    let empty = QueryResult { batches: Vec::new(), ..result(0) };
    let text: Value = serde_json::from_slice(&body(answer(&empty, Form::Json).unwrap()).await).unwrap();
    assert_eq!(text["rows"], json!([]));
    assert_eq!(text["columns"].as_array().unwrap().len(), 2);
    let bytes = body(answer(&empty, Form::Arrow).unwrap()).await;
    let reader = StreamReader::try_new(bytes.as_slice(), None).unwrap();
    assert_eq!(reader.schema().fields().len(), 2);
    assert_eq!(reader.count(), 0);
}

#[tokio::test]
async fn an_arrow_answer_has_every_row_and_only_plain_types() {
    let rows = 2 * PIECE_ROWS + 7;
    let response = answer(&result(rows), Form::Arrow).unwrap();
    assert_eq!(response.headers()["x-millstream-truncated"], "true");
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/vnd.apache.arrow.stream");
    let bytes = body(response).await;
    let reader = StreamReader::try_new(bytes.as_slice(), None).unwrap();
    assert_eq!(reader.schema().field(1).data_type(), &DataType::Utf8);
    let numbers: Vec<i64> =
        reader.flat_map(|batch| batch.unwrap().column(0).as_primitive::<Int64Type>().values().to_vec()).collect();
    assert_eq!(numbers, (0..i64::try_from(rows).unwrap()).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_answer_may_have_no_columns() {
    let nothing = QueryResult { schema: Arc::new(Schema::empty()), batches: Vec::new(), ..result(0) };
    let text: Value = serde_json::from_slice(&body(answer(&nothing, Form::Json).unwrap()).await).unwrap();
    assert_eq!(text["columns"], json!([]));
}

#[test]
fn the_arrow_form_is_chosen_by_the_accept_header() {
    let wanted = |accept: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        Form::wanted(&headers)
    };
    assert_eq!(wanted("application/vnd.apache.arrow.stream"), Form::Arrow);
    assert_eq!(wanted("application/json, application/vnd.apache.arrow.stream;q=0.9"), Form::Arrow);
    assert_eq!(wanted("*/*"), Form::Json);
    assert_eq!(Form::wanted(&HeaderMap::new()), Form::Json);
}
