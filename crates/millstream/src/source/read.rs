//! Reading: footers, and the rows of a split as Arrow batches.

#![allow(clippy::wildcard_enum_match_arm, reason = "matches over enums of Arrow and DataFusion, which grow")]

use std::any::Any;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use millstream_core::config::StoreUrl;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, RowSelection, RowSelector};
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::basic::Type;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::{FoundFile, SourceError, tag_of};
use crate::chain::chain;

/// The last bytes of a whole Parquet file: length of the footer and magic.
const TAIL_BYTES: u64 = 8;

/// A file with its footer read.
#[derive(Debug, Clone)]
pub(crate) struct OpenFile {
    /// The file.
    pub(crate) found: FoundFile,
    /// Its footer.
    pub(crate) metadata: ArrowReaderMetadata,
    /// The state that it was in when the footer was read.
    pub(crate) e_tag: Option<String>,
}

impl OpenFile {
    /// Rows by the footer.
    pub(crate) fn rows(&self) -> u64 {
        let groups = self.metadata.metadata().row_groups();
        groups.iter().map(|group| u64::try_from(group.num_rows()).unwrap_or(0)).sum()
    }
}

/// A piece of a file that is cleaned as one.
#[derive(Debug, Clone)]
pub(crate) struct Split {
    /// The file.
    pub(crate) file: Arc<OpenFile>,
    /// Row groups of the piece.
    pub(crate) row_groups: Range<usize>,
    /// Rows of the file that are wanted: within the row groups, some may be done already.
    pub(crate) rows: Range<u64>,
    /// First row of the row groups.
    pub(crate) start: u64,
}

/// Whether the file ends as a whole Parquet file does.
pub(crate) async fn is_complete(store: &dyn ObjectStore, found: &FoundFile) -> Result<bool, SourceError> {
    if found.size < 2 * TAIL_BYTES {
        return Ok(false);
    }
    let options = GetOptions { range: Some(GetRange::Suffix(TAIL_BYTES)), ..GetOptions::default() };
    let tail = match store.get_opts(&found.location, options).await {
        Ok(answer) => answer.bytes().await.map_err(|source| read_error(found, &source))?,
        Err(object_store::Error::NotFound { .. }) => return Ok(false),
        Err(source) => return Err(read_error(found, &source)),
    };
    let Some((length, magic)) = tail.split_first_chunk::<4>() else { return Ok(false) };
    let fits = u64::from(u32::from_le_bytes(*length)) + TAIL_BYTES + 4 <= found.size;
    Ok(fits && (magic == b"PAR1" || magic == b"PARE"))
}

/// The file in the state that it is in now.
pub(crate) async fn as_it_is_now(store: &dyn ObjectStore, found: FoundFile) -> Result<FoundFile, SourceError> {
    match store.head(&found.location).await {
        Ok(meta) => Ok(FoundFile { size: meta.size, tag: tag_of(&found.file, &meta), ..found }),
        Err(object_store::Error::NotFound { .. }) => {
            Err(SourceError::Read { file: found.file.to_string(), reason: "it is gone".to_owned() })
        }
        Err(source) => Err(read_error(&found, &source)),
    }
}

/// Reads the footer. A panic of the Parquet library is an error like any other.
pub(crate) async fn open(store: Arc<dyn ObjectStore>, found: FoundFile) -> Result<OpenFile, SourceError> {
    let whose = found.clone();
    let work = async move {
        let meta = store.head(&found.location).await.map_err(|source| read_error(&found, &source))?;
        if meta.size != found.size || tag_of(&found.file, &meta) != found.tag {
            return Err(SourceError::Changed { file: found.file.to_string() });
        }
        let mut reader = FileReader { store, found: found.clone(), e_tag: meta.e_tag.clone() };
        let footer = reader.get_metadata(None).await.map_err(|source| parquet_error(&found, &source))?;
        let metadata = metadata(footer).map_err(|source| parquet_error(&found, &source))?;
        Ok(OpenFile { found, metadata, e_tag: meta.e_tag })
    };
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|panic| Err(SourceError::panicked(&whose, panic)))
}

/// What the footer tells. INT96 times are read as microseconds: as nanoseconds they wrap outside of the years 1677 to 2262.
fn metadata(footer: Arc<ParquetMetaData>) -> Result<ArrowReaderMetadata, ParquetError> {
    let metadata = ArrowReaderMetadata::try_new(Arc::clone(&footer), ArrowReaderOptions::new())?;
    let parquet = metadata.parquet_schema();
    let is_old_time = |root: &usize| {
        let mut leaves = (0..parquet.num_columns()).filter(|&leaf| parquet.get_column_root_idx(leaf) == *root);
        parquet.root_schema().get_fields()[*root].is_primitive()
            && leaves.all(|leaf| parquet.column(leaf).physical_type() == Type::INT96)
    };
    let old_times: Vec<usize> = (0..metadata.schema().fields().len()).filter(is_old_time).collect();
    if old_times.is_empty() {
        return Ok(metadata);
    }
    let mut fields = metadata.schema().fields().to_vec();
    for root in old_times {
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        fields[root] = Arc::new(fields[root].as_ref().clone().with_data_type(micros));
    }
    let schema = Schema::new_with_metadata(fields, metadata.schema().metadata().clone());
    ArrowReaderMetadata::try_new(footer, ArrowReaderOptions::new().with_schema(Arc::new(schema)))
}

/// Batches of rows, each with the number of its first row.
pub(crate) type Rows = BoxStream<'static, Result<(u64, RecordBatch), SourceError>>;

/// The rows of a split, in order, as batches of at most `batch_rows`, each with the number of its first row.
pub(crate) fn rows(
    store: Arc<dyn ObjectStore>,
    split: &Split,
    columns: &[usize],
    batch_rows: usize,
) -> Result<Rows, SourceError> {
    let found = split.file.found.clone();
    let skip = usize::try_from(split.rows.start - split.start).unwrap_or(usize::MAX);
    let limit = usize::try_from(split.rows.end - split.rows.start).unwrap_or(usize::MAX);
    let reader = FileReader { store, found: found.clone(), e_tag: split.file.e_tag.clone() };
    let metadata = split.file.metadata.clone();
    let mask = ProjectionMask::roots(metadata.parquet_schema(), columns.iter().copied());
    let stream = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, metadata)
        .with_row_groups(split.row_groups.clone().collect())
        .with_projection(mask)
        .with_batch_size(batch_rows)
        .with_offset(skip)
        .with_limit(limit)
        .build()
        .map_err(|source| parquet_error(&found, &source))?;
    let mut next_row = split.rows.start;
    let stream = stream.map(move |batch| {
        let batch = batch.map_err(|source| parquet_error(&found, &source))?;
        let first_row = next_row;
        next_row += batch.num_rows() as u64;
        Ok((first_row, batch))
    });
    Ok(stream.boxed())
}

/// Batches of rows that need not be consecutive.
pub(crate) type RawRows = BoxStream<'static, Result<RecordBatch, SourceError>>;

/// The rows of a split that have these numbers in the file, ascending, and the schema of their batches.
pub(crate) fn rows_at(
    store: Arc<dyn ObjectStore>,
    split: &Split,
    columns: &[usize],
    numbers: &[u64],
) -> Result<(RawRows, SchemaRef), SourceError> {
    let found = split.file.found.clone();
    let reader = FileReader { store, found: found.clone(), e_tag: split.file.e_tag.clone() };
    let metadata = split.file.metadata.clone();
    let mask = ProjectionMask::roots(metadata.parquet_schema(), columns.iter().copied());
    let (groups, selection) = selection(&metadata, numbers);
    let stream = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, metadata)
        .with_row_groups(groups)
        .with_row_selection(selection)
        .with_projection(mask)
        .build()
        .map_err(|source| parquet_error(&found, &source))?;
    let schema = Arc::clone(stream.schema());
    let stream = stream.map(move |batch| batch.map_err(|source| parquet_error(&found, &source)));
    Ok((stream.boxed(), schema))
}

/// The row groups that have rows with these numbers, and these rows of them.
fn selection(metadata: &ArrowReaderMetadata, mut numbers: &[u64]) -> (Vec<usize>, RowSelection) {
    let (mut groups, mut selectors) = (Vec::new(), Vec::new());
    let mut start = 0;
    for (index, group) in metadata.metadata().row_groups().iter().enumerate() {
        let end = start + u64::try_from(group.num_rows()).unwrap_or_default();
        let (inside, rest) = numbers.split_at(numbers.partition_point(|&number| number < end));
        numbers = rest;
        if !inside.is_empty() {
            groups.push(index);
            let count = |from: u64, to: u64| usize::try_from(to - from).unwrap_or(usize::MAX);
            let mut at = start;
            for run in inside.chunk_by(|left, right| left + 1 == *right) {
                selectors.push(RowSelector::skip(count(at, run[0])));
                selectors.push(RowSelector::select(run.len()));
                at = run[0] + run.len() as u64;
            }
            selectors.push(RowSelector::skip(count(at, end)));
        }
        start = end;
    }
    (groups, selectors.into())
}

/// Reads ranges of one file, as long as it is in the state in which its footer was read.
struct FileReader {
    store: Arc<dyn ObjectStore>,
    found: FoundFile,
    e_tag: Option<String>,
}

impl AsyncFileReader for FileReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        async move {
            let options = GetOptions {
                if_match: self.e_tag.clone(),
                range: Some(GetRange::Bounded(range)),
                ..GetOptions::default()
            };
            let answer = self.store.get_opts(&self.found.location, options).await;
            let bytes = match answer {
                Ok(answer) => answer.bytes().await,
                Err(error) => Err(error),
            };
            bytes.map_err(|source| ParquetError::External(Box::new(source)))
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        async move {
            let size = self.found.size;
            ParquetMetaDataReader::new().load_and_finish(self, size).await.map(Arc::new)
        }
        .boxed()
    }
}

fn read_error(found: &FoundFile, source: &object_store::Error) -> SourceError {
    match source {
        object_store::Error::Precondition { .. } | object_store::Error::NotFound { .. } => {
            SourceError::Changed { file: found.file.to_string() }
        }
        // That is about this object alone.
        object_store::Error::PermissionDenied { .. } => {
            SourceError::Read { file: found.file.to_string(), reason: source.to_string() }
        }
        // A store that does not answer says nothing about the file.
        other if StoreUrl::is_url(&found.file) => {
            SourceError::Stop { file: found.file.to_string(), reason: format!("the object store failed: {}", chain(other)) }
        }
        other => SourceError::Read { file: found.file.to_string(), reason: other.to_string() },
    }
}

fn parquet_error(found: &FoundFile, source: &ParquetError) -> SourceError {
    if let ParquetError::External(inner) = source
        && let Some(error) = inner.downcast_ref::<object_store::Error>()
    {
        return read_error(found, error);
    }
    SourceError::Read { file: found.file.to_string(), reason: source.to_string() }
}

impl SourceError {
    /// A file over which the Parquet library panicked.
    pub(crate) fn panicked(found: &FoundFile, panic: Box<dyn Any + Send>) -> Self {
        let text = panic.downcast::<String>().map(|text| *text);
        let text = text.or_else(|panic| panic.downcast::<&str>().map(|text| (*text).to_owned())).unwrap_or_default();
        Self::Read { file: found.file.to_string(), reason: format!("the Parquet library gave up on it ({text})") }
    }
}
