//! Reading: footers, and the rows of a split as Arrow batches.

#![allow(clippy::wildcard_enum_match_arm, reason = "matches over enums of Arrow and DataFusion, which grow")]

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::{DataType, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, stream};
use millstream_core::config::StoreUrl;
use millstream_core::untrusted::footer::FooterRefusal;
use millstream_core::untrusted::pages::PagesRefusal;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, RowSelection, RowSelector};
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::basic::Type;
use parquet::errors::ParquetError;
use parquet::file::metadata::{FileMetaData, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use tracing::info;

use super::isolated::{Failure, Isolated};
use super::untrusted::quiet::{self, Panic, caught};
use super::untrusted::{Guard, PageCheck, cut};
use super::{FoundFile, SourceError, tag_of};
use crate::chain::chain;

/// The last bytes of a whole Parquet file: length of the footer and magic.
pub(crate) const TAIL_BYTES: u64 = 8;

/// The magic of a file whose footer is encrypted.
const ENCRYPTED: &[u8] = b"PARE";

/// Most footers are within so many bytes of the end.
const FOOTER_GUESS: u64 = 64 * 1024;

/// Letters of a reason that a library gives.
const REASON_LETTERS: usize = 300;

/// Rows of a batch when a process that reads a file apart ran out of memory with more.
const FEW_ROWS: usize = 16;

/// A file with its footer read.
#[derive(Debug, Clone)]
pub(crate) struct OpenFile {
    /// The file.
    pub(crate) found: FoundFile,
    /// Its footer.
    pub(crate) metadata: ArrowReaderMetadata,
    /// The same, with texts as views: how rows are read.
    reading: ArrowReaderMetadata,
    /// The state that it was in when the footer was read.
    pub(crate) e_tag: Option<String>,
    /// What it is held to.
    pub(crate) guard: Arc<Guard>,
    /// Why it is to be read by a process of its own.
    isolate: Option<String>,
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

/// Reads the footer, once it was looked at. A panic of the Parquet library is an error like any other.
pub(crate) async fn open(
    store: Arc<dyn ObjectStore>,
    found: FoundFile,
    guard: &Arc<Guard>,
) -> Result<OpenFile, SourceError> {
    let whose = found.clone();
    let guard = Arc::clone(guard);
    let work = async move {
        let meta = store.head(&found.location).await.map_err(|source| read_error(&found, &source))?;
        if meta.size != found.size || tag_of(&found.file, &meta) != found.tag {
            return Err(SourceError::Changed { file: found.file.to_string() });
        }
        let footer = footer(&store, &found, meta.e_tag.as_ref(), &guard).await?;
        let refused = |reason: String| SourceError::Refused { file: found.file.to_string(), reason };
        guard.check_footer(&footer).map_err(|refusal| refused(refusal.to_string()))?;
        let metadata = metadata(&footer).map_err(|source| parquet_error(&found, &source))?;
        let isolate = guard.declared(metadata.metadata(), found.size).map_err(refused)?;
        let reading = with_views(&metadata);
        Ok(OpenFile { found, metadata, reading, e_tag: meta.e_tag, guard, isolate })
    };
    caught(work).await.unwrap_or_else(|panic| Err(SourceError::panicked(&whose, panic)))
}

/// The bytes of the footer.
async fn footer(
    store: &Arc<dyn ObjectStore>,
    found: &FoundFile,
    e_tag: Option<&String>,
    guard: &Guard,
) -> Result<Bytes, SourceError> {
    let fetch =
        async |range: Range<u64>| get(&**store, found, e_tag, range).await.map_err(|source| read_error(found, &source));
    let guess = found.size.saturating_sub(FOOTER_GUESS);
    let end = fetch(guess..found.size).await?;
    if end.ends_with(ENCRYPTED) {
        let reason = FooterRefusal::Encrypted.to_string();
        return Err(SourceError::Refused { file: found.file.to_string(), reason });
    }
    let Some(range) = footer_range(&end, found.size) else {
        let reason = "it has no valid Parquet footer".to_owned();
        return Err(SourceError::Read { file: found.file.to_string(), reason });
    };
    match range.start.checked_sub(guess).and_then(|start| usize::try_from(start).ok()) {
        Some(start) => Ok(end.slice(start..end.len() - 8)),
        // More than a footer may have is not even fetched: this much of it is refused.
        None => fetch(range.start..range.end.min(range.start.saturating_add(guard.limits.footer + 1))).await,
    }
}

/// Where the footer is, by the last bytes of the file.
pub(crate) fn footer_range(tail: &[u8], size: u64) -> Option<Range<u64>> {
    let (_, tail) = tail.split_last_chunk::<8>()?;
    let [a, b, c, d, magic @ ..] = *tail;
    let end = size.checked_sub(TAIL_BYTES)?;
    let start = end.checked_sub(u32::from_le_bytes([a, b, c, d]).into())?;
    (magic == *b"PAR1" && start >= 4).then_some(start..end)
}

/// What the footer tells. INT96 times are read as microseconds: as nanoseconds they wrap outside of the years 1677 to 2262.
pub(crate) fn metadata(footer: &[u8]) -> Result<ArrowReaderMetadata, ParquetError> {
    let footer = Arc::new(with_all_rows(ParquetMetaDataReader::decode_metadata(footer)?));
    let with = |options| ArrowReaderMetadata::try_new(Arc::clone(&footer), options);
    // Arrow's own schema beside that of Parquet only adds to it: where the two do not agree, that of Parquet is what the pages have.
    let metadata =
        with(ArrowReaderOptions::new()).or_else(|_| with(ArrowReaderOptions::new().with_skip_arrow_metadata(true)))?;
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
    with(ArrowReaderOptions::new().with_schema(Arc::new(schema)))
}

/// Some writers leave the rows of the whole file at 0, and the reader would take that for its end: those of the row groups count.
fn with_all_rows(footer: ParquetMetaData) -> ParquetMetaData {
    let rows = footer.row_groups().iter().map(RowGroupMetaData::num_rows).fold(0, i64::saturating_add);
    let file = footer.file_metadata();
    if file.num_rows() == rows {
        return footer;
    }
    let (created_by, orders) = (file.created_by().map(ToOwned::to_owned), file.column_orders().cloned());
    let (pairs, schema) = (file.key_value_metadata().cloned(), file.schema_descr_ptr());
    let file = FileMetaData::new(file.version(), rows, created_by, pairs, schema, orders);
    ParquetMetaData::new(file, footer.row_groups().to_vec())
}

/// With texts as views: what a dictionary makes of a few bytes is seen before it is written out.
pub(crate) fn with_views(metadata: &ArrowReaderMetadata) -> ArrowReaderMetadata {
    let fields = metadata.schema().fields().iter().map(|field| cut::changed(field, cut::as_views));
    let schema = Schema::new_with_metadata(fields.collect::<Vec<_>>(), metadata.schema().metadata().clone());
    if schema == **metadata.schema() {
        return metadata.clone();
    }
    let options = ArrowReaderOptions::new().with_schema(Arc::new(schema));
    ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options).unwrap_or_else(|_| metadata.clone())
}

/// Bytes of a file in the state in which its footer was read.
pub(crate) async fn fetch(
    store: &Arc<dyn ObjectStore>,
    file: &OpenFile,
    range: Range<u64>,
) -> Result<Bytes, SourceError> {
    let bytes = get(&**store, &file.found, file.e_tag.as_ref(), range).await;
    bytes.map_err(|source| read_error(&file.found, &source))
}

async fn get(
    store: &dyn ObjectStore,
    found: &FoundFile,
    e_tag: Option<&String>,
    range: Range<u64>,
) -> Result<Bytes, object_store::Error> {
    let options =
        GetOptions { if_match: e_tag.cloned(), range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
    store.get_opts(&found.location, options).await?.bytes().await
}

/// Batches of rows, each with the number of its first row.
pub(crate) type Rows = BoxStream<'static, Result<(u64, RecordBatch), SourceError>>;

/// The rows of a split, in order, as batches of at most `batch_rows`, each with the number of its first row. A file that cannot be
/// trusted in this process is read by one of its own, from the row on that is due.
pub(crate) fn rows(store: Arc<dyn ObjectStore>, split: &Split, columns: &[usize], batch_rows: usize) -> Rows {
    let reading = Reading {
        store,
        split: split.clone(),
        columns: columns.to_vec(),
        batch_rows: split.file.guard.batch_rows(split, columns, batch_rows),
        next_row: split.rows.start,
        ahead: VecDeque::new(),
        way: Way::Begin,
    };
    stream::try_unfold(reading, |mut reading| async move {
        let next = reading.next().await?;
        Ok(next.map(|next| (next, reading)))
    })
    .boxed()
}

/// The rows of a split that are being read.
struct Reading {
    store: Arc<dyn ObjectStore>,
    split: Split,
    columns: Vec<usize>,
    batch_rows: usize,
    /// First row of the next batch.
    next_row: u64,
    ahead: VecDeque<(u64, RecordBatch)>,
    way: Way,
}

/// Where rows are read.
enum Way {
    Begin,
    Here(BoxStream<'static, Result<RecordBatch, ParquetError>>),
    Apart(Box<Isolated>),
}

impl Reading {
    async fn next(&mut self) -> Result<Option<(u64, RecordBatch)>, SourceError> {
        loop {
            if let Some(piece) = self.ahead.pop_front() {
                return Ok(Some(piece));
            }
            let Some(batch) = self.batch().await? else { return Ok(None) };
            let first_row = self.next_row;
            self.next_row += batch.num_rows() as u64;
            let guard = &self.split.file.guard;
            let pieces = cut::pieces(first_row, batch, guard.cut_bytes, guard.allowance);
            self.ahead = pieces.map_err(|reason| self.unreadable(reason))?;
        }
    }

    async fn batch(&mut self) -> Result<Option<RecordBatch>, SourceError> {
        loop {
            match &mut self.way {
                Way::Begin => match self.split.file.isolate.clone() {
                    Some(reason) => self.isolate(&reason).await?,
                    None => self.way = Way::Here(self.here()?),
                },
                Way::Here(batches) => match caught(batches.next()).await {
                    Ok(Some(Ok(batch))) => return Ok(Some(batch)),
                    Ok(Some(Err(error))) => match pages_refusal(&error) {
                        Some(PagesRefusal::Smaller(rows)) => {
                            self.batch_rows = usize::try_from(*rows).unwrap_or(1).clamp(1, self.batch_rows);
                            self.way = Way::Begin;
                        }
                        Some(PagesRefusal::Isolate(reason)) => {
                            let reason = reason.clone();
                            self.isolate(&reason).await?;
                        }
                        Some(PagesRefusal::Refuse(reason)) => return Err(self.unreadable(reason.clone())),
                        None => return Err(parquet_error(&self.split.file.found, &error)),
                    },
                    Ok(None) => return Ok(None),
                    Err(panic) => self.isolate(&gave_up(panic)).await?,
                },
                Way::Apart(process) => match process.next().await {
                    Ok(batch) => return Ok(batch),
                    Err(Failure::Memory(_)) if self.batch_rows > FEW_ROWS => {
                        self.batch_rows = FEW_ROWS;
                        self.isolate("it takes too much memory at once").await?;
                    }
                    Err(failure) => return Err(self.failed(failure)),
                },
            }
        }
    }

    /// The batches from the next row on, read in this process.
    fn here(&self) -> Result<BoxStream<'static, Result<RecordBatch, ParquetError>>, SourceError> {
        let Split { file, row_groups, rows, start } = &self.split;
        let count = |rows: u64| usize::try_from(rows).unwrap_or(usize::MAX);
        let mask = ProjectionMask::roots(file.reading.parquet_schema(), self.columns.iter().copied());
        let reader = FileReader::new(Arc::clone(&self.store), &self.split, self.batch_rows);
        ParquetRecordBatchStreamBuilder::new_with_metadata(reader, file.reading.clone())
            .with_row_groups(row_groups.clone().collect())
            .with_projection(mask)
            .with_batch_size(self.batch_rows)
            .with_offset(count(self.next_row - start))
            .with_limit(count(rows.end - self.next_row))
            .build()
            .map(StreamExt::boxed)
            .map_err(|source| parquet_error(&file.found, &source))
    }

    /// Goes on in a process of its own.
    async fn isolate(&mut self, reason: &str) -> Result<(), SourceError> {
        // What was read here lets go of its memory first.
        self.way = Way::Begin;
        let file = &self.split.file.found.file;
        info!(%file, from_row = self.next_row, reason, "reading a file in a process of its own");
        let process = Isolated::start(&self.store, &self.split, &self.columns, self.next_row, self.batch_rows).await;
        self.way = Way::Apart(Box::new(process.map_err(|failure| self.failed(failure))?));
        Ok(())
    }

    fn unreadable(&self, reason: String) -> SourceError {
        SourceError::Read { file: self.split.file.found.file.to_string(), reason }
    }

    fn failed(&self, failure: Failure) -> SourceError {
        match failure {
            Failure::Memory(reason) | Failure::Reason(reason) => self.unreadable(reason),
            Failure::Source(error) => error,
        }
    }
}

/// What the look at the pages says, if that is why reading ended.
fn pages_refusal(error: &ParquetError) -> Option<&PagesRefusal> {
    let ParquetError::External(inner) = error else { return None };
    inner.downcast_ref()
}

/// Batches of rows that need not be consecutive.
pub(crate) type RawRows = BoxStream<'static, Result<RecordBatch, SourceError>>;

/// Rows of a batch of rows that are picked.
const ROWS_AT_ONCE: usize = 1024;

/// The rows of a split that have these numbers in the file, ascending, and the schema of their batches. A file that cannot be
/// trusted in this process is an error.
pub(crate) fn rows_at(
    store: Arc<dyn ObjectStore>,
    split: &Split,
    columns: &[usize],
    numbers: &[u64],
) -> Result<(RawRows, SchemaRef), SourceError> {
    let found = split.file.found.clone();
    let reader = FileReader::new(store, split, ROWS_AT_ONCE);
    let metadata = split.file.metadata.clone();
    let mask = ProjectionMask::roots(metadata.parquet_schema(), columns.iter().copied());
    let (groups, selection) = selection(&metadata, numbers);
    let stream = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, metadata)
        .with_row_groups(groups)
        .with_row_selection(selection)
        .with_projection(mask)
        .with_batch_size(ROWS_AT_ONCE)
        .build()
        .map_err(|source| parquet_error(&found, &source))?;
    let schema = Arc::clone(stream.schema());
    let stream = stream::try_unfold(stream, move |mut batches| {
        let found = found.clone();
        async move {
            let next = caught(batches.next()).await.map_err(|panic| SourceError::panicked(&found, panic))?;
            let next = next.transpose().map_err(|source| parquet_error(&found, &source))?;
            Ok(next.map(|batch| (batch, batches)))
        }
    });
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

/// Reads column chunks of one file, as long as it is in the state in which its footer was read, and looks at their pages.
struct FileReader {
    store: Arc<dyn ObjectStore>,
    file: Arc<OpenFile>,
    check: Mutex<PageCheck>,
}

impl FileReader {
    fn new(store: Arc<dyn ObjectStore>, split: &Split, batch_rows: usize) -> Self {
        Self { store, file: Arc::clone(&split.file), check: Mutex::new(PageCheck::new(split, batch_rows)) }
    }
}

impl AsyncFileReader for FileReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        async move {
            let start = range.start;
            let bytes = get(&*self.store, &self.file.found, self.file.e_tag.as_ref(), range).await;
            let bytes = bytes.map_err(|source| ParquetError::External(Box::new(source)))?;
            let mut check = self.check.lock().unwrap_or_else(PoisonError::into_inner);
            let checked = check.check(self.file.metadata.metadata(), start, &bytes);
            checked.map_err(|refusal| ParquetError::External(Box::new(refusal)))?;
            Ok(bytes)
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        let metadata = Arc::clone(self.file.metadata.metadata());
        async move { Ok(metadata) }.boxed()
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
        other if StoreUrl::is_url(&found.file) => SourceError::Stop {
            file: found.file.to_string(),
            reason: format!("the object store failed: {}", chain(other)),
        },
        other => SourceError::Read { file: found.file.to_string(), reason: other.to_string() },
    }
}

fn parquet_error(found: &FoundFile, source: &ParquetError) -> SourceError {
    if let ParquetError::External(inner) = source
        && let Some(error) = inner.downcast_ref::<object_store::Error>()
    {
        return read_error(found, error);
    }
    // What a library tells of bytes that it did not understand can be as long as they are.
    let reason: String = source.to_string().chars().take(REASON_LETTERS).collect();
    SourceError::Read { file: found.file.to_string(), reason }
}

/// What is told of a panic of the Parquet library.
pub(crate) fn gave_up(panic: Panic) -> String {
    format!("the Parquet library gave up on it ({})", quiet::text(panic))
}

impl SourceError {
    /// A file over which the Parquet library panicked.
    pub(crate) fn panicked(found: &FoundFile, panic: Panic) -> Self {
        Self::Read { file: found.file.to_string(), reason: gave_up(panic) }
    }
}
