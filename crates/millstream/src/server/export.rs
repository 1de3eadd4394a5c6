//! `POST /api/sql/export`: all rows of a statement as one file, CSV or Parquet.
//!
//! The file is made whole, in a nameless file beside the data, before its first byte leaves: an export that fails or is larger than
//! it may be is an error with its reason, never a piece that looks like the whole. So is one that there is no room for: the log comes first.

use std::fs::File;
use std::io::{BufWriter, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{ArrayRef, StringArray};
use arrow::csv;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde::Deserialize;
use tokio::io::AsyncReadExt;
use tokio::sync::OwnedSemaphorePermit;

use super::App;
use super::api::ApiError;
use super::plain::{plain_batch, plain_schema};
use super::rows::text_cells;
use super::{EXPORTS_AT_ONCE, sending};
use crate::disk;
use crate::view::QueryError;
use crate::view::take::Take;

/// What an export may be: it leaves twice the room free that appends to the log do.
const BOUNDS: Bounds =
    Bounds { rows: 10_000_000, bytes: 1024 * 1024 * 1024, reserve_bytes: 2 * disk::LOG_RESERVE_BYTES };
/// What the Parquet writer holds in memory.
const ROW_GROUP_ROWS: usize = 128 * 1024;
const ROW_GROUP_BYTES: usize = 32 * 1024 * 1024;
/// Piece of a file on its way to the client.
const PIECE_BYTES: usize = 256 * 1024;

/// Body of `POST /api/sql/export`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExportRequest {
    sql: String,
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    Csv,
    Parquet,
}

/// The rows of a statement that only reads, as a file.
pub(super) async fn export(
    State(app): State<Arc<App>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let body = body.map_err(|error| ApiError::new(error.status(), error.body_text()))?;
    let ExportRequest { sql, format } = serde_json::from_slice(&body).map_err(|error| {
        let text = format!("the body is not `{{\"sql\": \"SELECT …\", \"format\": \"csv\" or \"parquet\"}}`: {error}");
        ApiError::new(StatusCode::BAD_REQUEST, text)
    })?;
    let pipeline = app.pipeline()?;
    let export = Arc::clone(&app.exports).try_acquire_owned().map_err(|_none_left| {
        let text = format!("{EXPORTS_AT_ONCE} exports are made or sent already; try again when one is done");
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, text)
    })?;
    let writer = Writer::new(format, pipeline.queries.data_dir(), BOUNDS);
    let written = {
        let _place = app.place().await?;
        pipeline.queries.run_into(&sql, writer).await?
    };
    answer(format, written.finish()?, export)
}

/// The file on its way; it and its place are there until it is sent.
fn answer(
    format: Format,
    Written { file, bytes, rows }: Written,
    export: OwnedSemaphorePermit,
) -> Result<Response, ApiError> {
    let (media, name) = match format {
        Format::Csv => ("text/csv; charset=utf-8", "attachment; filename=\"rows.csv\""),
        Format::Parquet => ("application/vnd.apache.parquet", "attachment; filename=\"rows.parquet\""),
    };
    let pieces = futures::stream::try_unfold(tokio::fs::File::from_std(file), |mut file| async move {
        let mut piece = vec![0; PIECE_BYTES];
        let read = file.read(&mut piece).await?;
        piece.truncate(read);
        Ok::<_, std::io::Error>((read > 0).then(|| (Bytes::from(piece), file)))
    });
    let mut response = sending::body(pieces, export).into_response();
    let number = |value: u64| {
        HeaderValue::from_str(&value.to_string()).map_err(|error| ApiError::internal(format!("a header: {error}")))
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(name));
    headers.insert(header::CONTENT_LENGTH, number(bytes)?);
    headers.insert("x-millstream-rows", number(rows)?);
    Ok(response)
}

/// A file that is whole.
struct Written {
    file: File,
    bytes: u64,
    rows: u64,
}

/// Bounds of an export.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// Most rows.
    rows: usize,
    /// Most bytes of its file.
    bytes: u64,
    /// Room that stays free on the disk of the file.
    reserve_bytes: u64,
}

/// Writes the rows of a query into a file without a name, which is gone when nobody holds it.
struct Writer {
    format: Format,
    folder: PathBuf,
    most: Bounds,
    rows: usize,
    bytes: Arc<AtomicU64>,
    open: Option<(SchemaRef, Open)>,
}

enum Open {
    Csv(Box<csv::Writer<Counted>>),
    Parquet(Box<ArrowWriter<Counted>>),
}

impl Writer {
    fn new(format: Format, folder: &Path, most: Bounds) -> Self {
        Self { format, folder: folder.to_owned(), most, rows: 0, bytes: Arc::default(), open: None }
    }

    fn finish(self) -> Result<Written, QueryError> {
        let Some((_, open)) = self.open else { return Err(QueryError::Failed("it has no columns".to_owned())) };
        let counted = match open {
            Open::Csv(writer) => (*writer).into_inner(),
            Open::Parquet(writer) => writer.into_inner().map_err(failed)?,
        };
        let mut file = counted.file.into_inner().map_err(failed)?;
        file.rewind().map_err(failed)?;
        Ok(Written { file, bytes: self.bytes.load(Ordering::Relaxed), rows: self.rows as u64 })
    }

    fn check_room(&self) -> Result<(), QueryError> {
        disk::check(&self.folder, self.most.reserve_bytes).map_err(|_full| {
            QueryError::NoRoom(format!(
                "there is no room for the export: it is made on the disk of `{}`, where {} MiB must stay free for the log; make room there, or \
                 narrow it with WHERE or LIMIT",
                self.folder.display(),
                self.most.reserve_bytes >> 20
            ))
        })
    }

    fn too_long(&self) -> QueryError {
        let mebibytes = self.most.bytes / (1024 * 1024);
        QueryError::TooLong(format!(
            "an export has at most {} rows and {mebibytes} MiB, and this one has more; narrow it with WHERE or LIMIT",
            self.most.rows
        ))
    }
}

impl Take for Writer {
    fn begin(&mut self, schema: &SchemaRef) -> Result<(), QueryError> {
        self.check_room()?;
        let file = BufWriter::new(tempfile::tempfile_in(&self.folder).map_err(failed)?);
        let file = Counted { file, bytes: Arc::clone(&self.bytes) };
        let plain = plain_schema(schema);
        let open = match self.format {
            Format::Csv => {
                let mut writer = csv::WriterBuilder::new().with_header(true).build(file);
                // The names of the columns stand there also without rows.
                writer.write(&RecordBatch::new_empty(text_schema(&plain))).map_err(failed)?;
                Open::Csv(Box::new(writer))
            }
            Format::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(ZstdLevel::default()))
                    .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
                    .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
                    .build();
                let writer = ArrowWriter::try_new(file, Arc::clone(&plain), Some(properties)).map_err(failed)?;
                Open::Parquet(Box::new(writer))
            }
        };
        self.open = Some((plain, open));
        Ok(())
    }

    fn rows(&mut self, batch: &RecordBatch) -> Result<bool, QueryError> {
        self.check_room()?;
        self.rows += batch.num_rows();
        if self.rows > self.most.rows {
            return Err(self.too_long());
        }
        let Some((schema, open)) = &mut self.open else {
            return Err(QueryError::Failed("rows came before the columns".to_owned()));
        };
        let plain = plain_batch(batch, schema).map_err(failed)?;
        match open {
            Open::Csv(writer) => writer.write(&text_batch(&plain)?).map_err(failed)?,
            Open::Parquet(writer) => writer.write(&plain).map_err(failed)?,
        }
        if self.bytes.load(Ordering::Relaxed) > self.most.bytes { Err(self.too_long()) } else { Ok(true) }
    }
}

#[allow(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn failed(error: impl std::error::Error) -> QueryError {
    QueryError::Failed(format!("writing the export: {}", crate::chain::chain(&error)))
}

/// A file, and how much was written to it.
struct Counted {
    file: BufWriter<File>,
    bytes: Arc<AtomicU64>,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.bytes.fetch_add(written as u64, Ordering::Relaxed);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// The types that CSV has: what is nested or binary becomes text as in the JSON answers.
fn text_schema(schema: &Schema) -> SchemaRef {
    let field = |field: &FieldRef| -> FieldRef {
        if needs_text(field.data_type()) {
            Arc::new(Field::new(field.name(), DataType::Utf8, true))
        } else {
            Arc::clone(field)
        }
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

fn text_batch(batch: &RecordBatch) -> Result<RecordBatch, QueryError> {
    let columns = batch.columns().iter().map(|column| -> ArrayRef {
        if needs_text(column.data_type()) {
            Arc::new(text_cells(column).into_iter().collect::<StringArray>())
        } else {
            Arc::clone(column)
        }
    });
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(text_schema(batch.schema_ref()), columns.collect(), &options).map_err(failed)
}

fn needs_text(data_type: &DataType) -> bool {
    data_type.is_nested()
        || matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::FixedSizeBinary(_))
}

#[cfg(test)]
mod tests;
