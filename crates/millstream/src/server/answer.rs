//! What a query gave, as a body: JSON, or an Arrow IPC stream. Made piece by piece while the client reads, so that an answer
//! is never in memory twice.

use std::convert::Infallible;

use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::api::ApiError;
use super::plain::{plain_batch, plain_schema};
use super::rows::{heads, plain_rows};
use super::sending;
use crate::view::QueryResult;

/// Media type of Arrow IPC streams.
const ARROW_STREAM: &str = "application/vnd.apache.arrow.stream";

/// Rows that become one piece of a body.
const PIECE_ROWS: usize = 1024;

/// The form that a client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// JSON.
    Json,
    /// Arrow IPC stream.
    Arrow,
}

impl Form {
    /// By the `Accept` header; JSON unless the Arrow type is named.
    pub(super) fn wanted(headers: &HeaderMap) -> Self {
        let named = headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|part| part.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case(ARROW_STREAM)));
        if named { Self::Arrow } else { Self::Json }
    }
}

/// The answer in the form that was asked for.
pub(super) fn answer(result: &QueryResult, form: Form) -> Result<Response, ApiError> {
    let schema = plain_schema(&result.schema);
    let batches = result
        .batches
        .iter()
        .map(|batch| plain_batch(batch, &schema))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| ApiError::internal(format!("bringing the answer to plain types: {error}")))?;
    match form {
        Form::Json => Ok(json(result, batches)),
        Form::Arrow => {
            arrow(result, &schema, batches).map_err(|error| ApiError::internal(format!("writing the answer: {error}")))
        }
    }
}

fn json(result: &QueryResult, batches: Vec<RecordBatch>) -> Response {
    let head = format!("{{\"columns\":{},\"rows\":[", text(&heads(&result.schema)));
    let tail = format!("],\"truncated\":{},\"elapsed_ms\":{}}}", result.truncated, text(&elapsed_ms(result)));
    let mut first = true;
    let rows = pieces(batches).map(move |piece| {
        let mut part = String::new();
        for row in plain_rows(&piece) {
            if !std::mem::take(&mut first) {
                part.push(',');
            }
            part += &text(&row);
        }
        part
    });
    let parts = std::iter::once(head).chain(rows).chain(std::iter::once(tail));
    let pieces = futures::stream::iter(parts.map(|part| Ok::<_, Infallible>(Bytes::from(part))));
    let body = sending::body(pieces, result.memory.clone());
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn arrow(result: &QueryResult, schema: &Schema, batches: Vec<RecordBatch>) -> Result<Response, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), schema)?;
    let head = std::mem::take(writer.get_mut());
    // The stream ends with an error, not with a half answer that looks whole.
    let mut pieces = pieces(batches);
    let mut finished = false;
    let rest = std::iter::from_fn(move || {
        if finished {
            return None;
        }
        let written = if let Some(piece) = pieces.next() {
            writer.write(&piece)
        } else {
            finished = true;
            writer.finish()
        };
        finished |= written.is_err();
        Some(written.map(|()| Bytes::from(std::mem::take(writer.get_mut()))))
    });
    let parts = std::iter::once(Ok(Bytes::from(head))).chain(rest);
    let mut response = sending::body(futures::stream::iter(parts), result.memory.clone()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(ARROW_STREAM));
    let truncated = HeaderValue::from_static(if result.truncated { "true" } else { "false" });
    headers.insert("x-millstream-truncated", truncated);
    if let Ok(elapsed) = HeaderValue::from_str(&elapsed_ms(result).to_string()) {
        headers.insert("x-millstream-elapsed-ms", elapsed);
    }
    Ok(response)
}

fn pieces(batches: Vec<RecordBatch>) -> impl Iterator<Item = RecordBatch> + Send {
    batches.into_iter().flat_map(|batch| {
        (0..batch.num_rows())
            .step_by(PIECE_ROWS)
            .map(move |start| batch.slice(start, PIECE_ROWS.min(batch.num_rows() - start)))
    })
}

/// Milliseconds, to the microsecond.
pub(crate) fn elapsed_ms(result: &QueryResult) -> f64 {
    (result.elapsed.as_secs_f64() * 1e6).round() / 1e3
}

/// JSON values and strings always serialise.
fn text<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

#[cfg(test)]
mod tests;
